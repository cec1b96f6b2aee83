"""Models in several safetensors files: read whole from any of them, with or without an index."""

from __future__ import annotations

import json

import pytest
from safetensors.numpy import save_file

from sim.checkpoints import Reading, open_checkpoint
from sim.checkpoints.storage import open_path
from tests.sim.checkpoints.test_matrices import LLAMA, found, stored
from tests.support.checkpoint_files import refusal

PARTIAL = Reading(partial=True)
INDEX = "model.safetensors.index.json"


def sharded(folder, index=True, change=None, name="model-{:05d}-of-00003.safetensors"):
    """Fourteen matrices in three files."""
    tensors = stored()
    mapped = {}
    for i in range(3):
        part = {n: v for k, (n, v) in enumerate(tensors.items()) if k % 3 == i}
        save_file(part, folder / name.format(i + 1))
        mapped |= dict.fromkeys(part, name.format(i + 1))
    if index:
        (folder / INDEX).write_text(json.dumps({"weight_map": mapped | (change or {})}))
    (folder / "config.json").write_text(json.dumps(LLAMA))
    return folder


@pytest.mark.parametrize("index", [True, False])
def test_shards_from_the_folder_and_from_any_of_them(tmp_path, index):
    folder = sharded(tmp_path, index)
    paths = [folder, *sorted(folder.glob("*.safetensors"))]
    for path in paths:
        checkpoint = open_checkpoint(path)
        assert len(found(checkpoint)) == 14
        assert len({tensor.file.name for tensor in checkpoint.tensors}) == 3


def test_a_folder_with_one_file_of_another_name(tmp_path):
    save_file(stored(), tmp_path / "weights.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    assert len(open_checkpoint(tmp_path).matrices) == 14
    save_file(stored(), tmp_path / "other.safetensors")
    assert refusal(open_checkpoint, tmp_path) == (
        f"{tmp_path}: should have one model, not 'other.safetensors', 'weights.safetensors'; "
        "give the file itself"
    )


def test_a_shard_that_is_missing(tmp_path):
    folder = sharded(tmp_path, index=False)
    lost = folder / "model-00002-of-00003.safetensors"
    lost.unlink()
    first = folder / "model-00001-of-00003.safetensors"
    assert refusal(open_checkpoint, folder) == (
        f"{first}: should have its other shards beside it, not lack '{lost.name}'; "
        "download them, or give --partial to go on with what is there"
    )
    checkpoint = open_checkpoint(first, PARTIAL)
    assert len(checkpoint.matrices) == 9
    assert sum(item.reason == "missing" for item in checkpoint.left_out) == 5


def test_a_shard_of_the_index_that_is_missing(tmp_path):
    folder = sharded(tmp_path)
    lost = folder / "model-00002-of-00003.safetensors"
    lost.unlink()
    assert refusal(open_checkpoint, folder) == (
        f"{folder / INDEX}: weight_map: should list files that are there, not '{lost.name}'; the "
        "folder has 'model-00001-of-00003.safetensors', 'model-00003-of-00003.safetensors'; "
        "download them, or give --partial to go on with what is there"
    )
    assert len(open_checkpoint(folder, PARTIAL).matrices) == 9


def test_an_index_of_files_that_were_replaced(tmp_path):
    folder = sharded(tmp_path)
    for file in sorted(folder.glob("*.safetensors")):
        file.rename(folder / file.name.replace("model", "new"))
    assert refusal(open_checkpoint, folder).endswith(
        "the index is stale: remove it to read the files that are there"
    )
    (folder / INDEX).unlink()
    assert len(open_checkpoint(folder).matrices) == 14


STALE = {
    "a tensor that is not there": (
        {"model.layers.9.mlp.up_proj.weight": "model-00001-of-00003.safetensors"},
        "weight_map: should say where each tensor is, not 'model.layers.9.mlp.up_proj.weight' in "
        "model-00001-of-00003.safetensors, which lacks it; the index is stale: remove it to read "
        "the files by their names",
    ),
    "outside": (
        {"a": "../1.safetensors"},
        "weight_map.a: should be the name of a file in the same folder, not '../1.safetensors'; "
        "download it again",
    ),
    "number": (
        {"a": 1},
        "weight_map.a: should be the name of a file in the same folder, not 1; download it again",
    ),
}


@pytest.mark.parametrize(("change", "message"), STALE.values(), ids=STALE)
def test_a_stale_index(tmp_path, change, message):
    folder = sharded(tmp_path, change=change)
    assert refusal(open_checkpoint, folder) == f"{folder / INDEX}: {message}"


def test_an_index_that_leaves_out_a_tensor(tmp_path):
    index = sharded(tmp_path) / INDEX
    content = json.loads(index.read_text())
    name = "model.layers.1.mlp.up_proj.weight"
    shard = content["weight_map"].pop(name)
    index.write_text(json.dumps(content))
    assert refusal(open_path, tmp_path) == (
        f"{index}: weight_map: should list every tensor of {shard}, not leave out '{name}'; the "
        "index is stale: remove it to read the files by their names"
    )
    index.write_text("[]")
    assert refusal(open_path, tmp_path) == (
        f"{index}: weight_map: should be an object of tensors and their files, not None; "
        "download it again"
    )
    index.write_text("{")
    assert refusal(open_path, tmp_path).startswith(f"{index}: should be JSON: ")
    save_file(stored(), tmp_path / "model.safetensors")
    assert refusal(open_path, tmp_path) == (
        f"{tmp_path}: should have either model.safetensors or {INDEX}, not both; remove what is old"
    )


def test_shards_of_different_models(tmp_path):
    folder = sharded(tmp_path, index=False)
    first, second = sorted(folder.glob("*.safetensors"))[:2]
    second.write_bytes(first.read_bytes())
    assert "shards of different models lie here" in refusal(open_checkpoint, folder)
