"""Unpacked weights, shards, and what a file is: round trips and refusals."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from sim.checkpoints import examine, open_checkpoint, pack_rows
from sim.checkpoints.storage import open_folder
from tests.support.checkpoint_files import (
    BITNET,
    LLAMA_SIZES,
    packed,
    refusal,
    ternary,
    write_folder,
)

ACCEPTED = (
    "a folder with config.json and safetensors files, a .safetensors file, or a .gguf file with "
    "TQ1_0, TQ2_0 or I2_S tensors"
)
Q, DOWN = "model.layers.0.self_attn.q_proj", "model.layers.0.mlp.down_proj"


def byte_of(file, tensor):
    data = file.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return 8 + length + json.loads(data[8 : 8 + length])[tensor]["data_offsets"][0]


BANDS = {  # scales, axis: one of 0 (bands of rows) and 1 (bands of columns)
    "one": ([0.25], 0),
    "rows": ([0.25, 0.5, 0.125], 0),
    "columns": ([0.25, 0.5], 1),
    "every_row": ([i / 8 for i in range(1, 7)], 0),
}


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize(("scales", "axis"), BANDS.values(), ids=BANDS)
def test_bands_of_scales(tmp_path, monkeypatch, scales, axis, dtype):
    for module in ("base", "unpacked"):
        monkeypatch.setattr(f"sim.checkpoints.{module}.BLOCK_WEIGHTS", 1)
    weights = ternary((6, 8), 1)
    wide = np.repeat(scales, weights.shape[axis] // len(scales))
    values = (weights * np.expand_dims(wide, 1 - axis)).astype(dtype)
    folder = write_folder(tmp_path, {f"{Q}.weight": values, "model.norm.weight": values[0]})
    checkpoint = open_checkpoint(folder)
    (tensor,) = checkpoint.tensors
    assert (tensor.name, tensor.format) == (Q, f"unpacked F{16 if dtype == np.float16 else 32}")
    assert np.array_equal(tensor.weights(), weights)
    found = tensor.scales()
    assert found.convention == "multiply"
    assert found.values.shape == ((len(scales), 1) if axis == 0 else (1, len(scales)))
    assert found.values.ravel().tolist() == scales
    assert checkpoint.others == {values.dtype.name.replace("float", "F"): 1}


def test_bfloat16(tmp_path):
    """Written by hand: numpy has no bfloat16."""
    weights = ternary((4, 4), 2)
    values = (weights * np.float32(0.40625)).astype("<f4")  # Exact in bfloat16.
    data = b"".join(struct.pack("<f", v)[2:] for v in values.ravel().tolist())
    entry = {"dtype": "BF16", "shape": [4, 4], "data_offsets": [0, len(data)]}
    header = json.dumps({f"{Q}.weight": entry}).encode()
    file = tmp_path / "model.safetensors"
    file.write_bytes(struct.pack("<Q", len(header)) + header + data)
    (tensor,) = open_checkpoint(file).tensors
    assert np.array_equal(tensor.weights(), weights)
    assert tensor.scales().values.tolist() == [[0.40625]]


def test_fewest_bands_and_the_recorded_number(tmp_path):
    """Of six shards two by two are alike: three bands. Five shards cannot give three."""
    weights = ternary((12, 8), 1)
    values = (weights * np.repeat([1, 2, 3], 4)[:, None]).astype(np.float16)
    folder = write_folder(tmp_path, {f"{Q}.weight": values}, {"pretraining_model_parallel": 6})
    assert open_checkpoint(folder).tensors[0].scales().values.ravel().tolist() == [1, 2, 3]
    write_folder(tmp_path, {f"{Q}.weight": values}, {"pretraining_model_parallel": 5})
    file = tmp_path / "model.safetensors"
    assert refusal(examine, open_checkpoint(folder).tensors[0]) == (
        f"{file}: {Q}.weight, byte {byte_of(file, f'{Q}.weight')}: should hold -s, 0 and +s, with "
        "one s or one for each of equal bands, whose number divides pretraining_model_parallel 5, "
        "not 3 magnitudes in its rows; the model is not ternary, or not as it was released"
    )


def test_weights_that_are_not_ternary(tmp_path):
    values = (ternary((4, 8), 1) * 0.5).astype(np.float32)
    values[2, 5] = 0.75
    values[2, 0] = 0.5
    file = write_folder(tmp_path, {f"{Q}.weight": values}) / "model.safetensors"
    (tensor,) = open_checkpoint(tmp_path).tensors
    at = byte_of(file, f"{Q}.weight") + 4 * (2 * 8 + 5)
    assert refusal(examine, tensor) == (
        f"{file}: {Q}.weight, byte {at}: should hold -s, 0 and +s, with one s or one for each of "
        "equal bands, not both 0.5 and 0.75 in row 2; the model is not ternary, or not as it was "
        "released"
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_unpacked_weights_that_are_not_finite(tmp_path, value):
    values = ternary((4, 8), 1).astype(np.float16)
    values[3, 6] = value
    file = write_folder(tmp_path, {f"{Q}.weight": values}) / "model.safetensors"
    (tensor,) = open_checkpoint(tmp_path).tensors
    at = byte_of(file, f"{Q}.weight") + 2 * (3 * 8 + 6)
    for read in (examine, type(tensor).weights):
        assert refusal(read, tensor) == (
            f"{file}: {Q}.weight, byte {at}: should be finite, not {value} at [3, 6]; "
            "check how the checkpoint was made"
        )


def test_unpacked_zeros(tmp_path):
    values = np.zeros((4, 8), np.float16)
    file = write_folder(tmp_path, {f"{Q}.weight": values}) / "model.safetensors"
    (tensor,) = open_checkpoint(tmp_path).tensors
    assert refusal(examine, tensor) == (
        f"{file}: {Q}.weight, byte {byte_of(file, f'{Q}.weight')}: should have weights other than "
        "0, not 32 zeros; check how the checkpoint was packed"
    )


UNFIT = {
    "integers": (
        {f"{Q}.weight": ternary((4, 8))},
        f"{Q}.weight, byte @: should be a matrix of F16 or BF16 or F32, not I8 of shape [4, 8]; "
        "use the release with unpacked weights",
    ),
    "vector": (
        {f"{Q}.weight": np.ones(4, np.float16)},
        f"{Q}.weight, byte @: should be a matrix of F16 or BF16 or F32, not F16 of shape [4]; "
        "use the release with unpacked weights",
    ),
    "empty": (
        {f"{Q}.weight": np.ones((0, 8), np.float16)},
        f"{Q}.weight, byte @: should be a matrix of F16 or BF16 or F32, not F16 of shape [0, 8]; "
        "use the release with unpacked weights",
    ),
    "bias": (
        {f"{Q}.weight": np.ones((4, 8), np.float16), f"{Q}.bias": np.ones(4, np.float16)},
        f"{Q}.bias, byte @: unpacked weights should come without a bias, which this reader does "
        "not apply; remove it or use another model",
    ),
    "scale_apart": (
        {f"{Q}.weight": np.ones((4, 8), np.float16), f"{Q}.weight_scale": np.ones(1, np.float32)},
        f"{Q}.weight_scale, byte @: unpacked weights should come without a weight_scale, which "
        "this reader does not apply; remove it or use another model",
    ),
    "other_names": (
        {"head.weight": np.ones((4, 8), np.float16)},
        "should hold projections of decoder layers, tensors named "
        "'….layers.<i>.….<role>_proj.weight', not 1 other tensors; use a model of the LLaMA family",
    ),
}


@pytest.mark.parametrize(("tensors", "message"), UNFIT.values(), ids=UNFIT)
def test_unfit_unpacked_tensors(tmp_path, tensors, message):
    file = write_folder(tmp_path, tensors) / "model.safetensors"
    name, mark, _ = message.partition(", byte @")
    wanted = message.replace("byte @", f"byte {byte_of(file, name)}") if mark else message
    assert refusal(open_checkpoint, tmp_path) == f"{file}: {wanted}"


def test_shapes_that_disagree_with_config(tmp_path):
    values = ternary((256, 768)).astype(np.float16)
    folder = write_folder(tmp_path, {f"{DOWN}.weight": values}, LLAMA_SIZES)
    assert open_checkpoint(folder).tensors[0].out_features == 256
    write_folder(tmp_path, {f"{DOWN}.weight": values}, LLAMA_SIZES | {"intermediate_size": 512})
    file = tmp_path / "model.safetensors"
    wanted = (
        f"{file}: {DOWN}.weight, byte {byte_of(file, f'{DOWN}.weight')}: should have shape "
        f"[256, 512] (out, in) by {tmp_path / 'config.json'}, not [256, 768]; the two do not "
        "belong together"
    )
    assert refusal(open_checkpoint, folder) == wanted
    assert refusal(open_checkpoint, file) == wanted  # The file alone, config.json beside it.
    tensors = {f"{DOWN}.weight": pack_rows(ternary((256, 764)))}
    tensors[f"{DOWN}.weight_scale"] = np.ones(1, np.float32)
    write_folder(tmp_path, tensors, LLAMA_SIZES | BITNET)
    assert refusal(open_checkpoint, folder).endswith(
        "not [256, 764]; the two do not belong together"
    )


def test_sizes_that_follow_from_others(tmp_path):
    """Without head_dim: hidden / heads; without key-value heads: as many as heads."""
    sizes = {k: v for k, v in LLAMA_SIZES.items() if k not in ("head_dim", "num_key_value_heads")}
    values = ternary((256, 256)).astype(np.float16)
    names = (Q, Q.replace("q_proj", "k_proj"))
    write_folder(tmp_path, {f"{name}.weight": values for name in names}, sizes)
    assert len(open_checkpoint(tmp_path).tensors) == 2
    write_folder(tmp_path, {f"{name}.weight": values[:128] for name in names}, sizes)
    assert "should have shape [256, 256] (out, in) by" in refusal(open_checkpoint, tmp_path)


@pytest.mark.parametrize(
    "key",
    ["intermediate_size", "num_attention_heads", "num_hidden_layers"],
)
def test_sizes_of_config_come_together(tmp_path, key):
    values = ternary((256, 768)).astype(np.float16)
    sizes = {k: v for k, v in LLAMA_SIZES.items() if k != key}
    write_folder(tmp_path, {f"{DOWN}.weight": values}, sizes)
    assert refusal(open_checkpoint, tmp_path).startswith(
        f"{tmp_path / 'config.json'}: {key}: should be an integer, not missing; the file has "
    )
    write_folder(tmp_path, {f"{DOWN}.weight": values}, sizes | {key: 0})
    assert refusal(open_checkpoint, tmp_path) == (
        f"{tmp_path / 'config.json'}: {key}: should be at least 1, not 0"
    )


def test_scale_conventions(tmp_path):
    """By config.json, or given where it does not say; never both, never guessed."""
    tensors = packed(["layer"])
    folder = write_folder(tmp_path, tensors, BITNET)
    assert open_checkpoint(folder).tensors[0].scales().convention == "multiply"
    assert refusal(open_checkpoint, folder, None, "multiply") == (
        f"{folder}: scale convention should be left out for a checkpoint that has none or records "
        "it, not 'multiply'; leave it out"
    )
    write_folder(tmp_path, tensors)
    assert refusal(open_checkpoint, folder) == (
        f"{folder}: how scales apply should be in quantization_config of config.json, not missing; "
        "give --scale multiply (AutoBitLinear) or --scale divide (BitLinear)"
    )
    assert open_checkpoint(folder, None, "divide").tensors[0].scales().convention == "divide"
    (folder / "config.json").unlink()
    file = folder / "model.safetensors"
    assert open_checkpoint(file, None, "multiply").tensors[0].scales().convention == "multiply"


def sharded(folder, weight_map=None, config=BITNET):
    """Three layers; one layer's scale is in another shard than its weights."""
    tensors = packed(["a", "b", "c"])
    first = {name: tensors[name] for name in ("a.weight", "a.weight_scale", "b.weight")}
    second = {name: tensors[name] for name in set(tensors) - set(first)}
    save_file(first, folder / "1.safetensors")
    save_file(second, folder / "2.safetensors")
    mapped = dict.fromkeys(first, "1.safetensors") | dict.fromkeys(second, "2.safetensors")
    index = {"weight_map": mapped if weight_map is None else mapped | weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_shards(tmp_path):
    checkpoint = open_checkpoint(sharded(tmp_path))
    assert [tensor.name for tensor in checkpoint.tensors] == ["a", "b", "c"]
    for seed, tensor in enumerate(checkpoint.tensors):
        assert np.array_equal(tensor.weights(), ternary((8, 6), seed))
        assert tensor.scales().values.tolist() == [[0.5]]
    assert [tensor.file.name[0] for tensor in checkpoint.tensors] == ["1", "1", "2"]


SHARD_FAULTS = {
    "outside": (
        {"a.weight": "../1.safetensors"},
        "weight_map.a.weight: should be the name of a "
        "file in the same folder, not '../1.safetensors'; download it again",
    ),
    "number": (
        {"a.weight": 1},
        "weight_map.a.weight: should be the name of a file in the same "
        "folder, not 1; download it again",
    ),
}


@pytest.mark.parametrize(("change", "message"), SHARD_FAULTS.values(), ids=SHARD_FAULTS)
def test_faulty_index(tmp_path, change, message):
    index = sharded(tmp_path, change) / "model.safetensors.index.json"
    assert refusal(open_checkpoint, tmp_path) == f"{index}: {message}"


def test_index_and_shards_that_disagree(tmp_path):
    folder = sharded(tmp_path, {"d.weight": "2.safetensors"})
    assert refusal(open_folder, folder) == (
        f"{folder / '2.safetensors'}: d.weight: no such tensor; the file has 'b.weight_scale', "
        "'c.weight', 'c.weight_scale'"
    )
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    del content["weight_map"]["d.weight"], content["weight_map"]["c.weight"]
    index.write_text(json.dumps(content))
    assert refusal(open_folder, folder) == (
        f"{index}: weight_map: should list every tensor of 2.safetensors, not leave out "
        "'c.weight'; index and shards do not belong together"
    )
    (folder / "2.safetensors").unlink()
    assert refusal(open_folder, folder) == (
        f"{folder / '2.safetensors'}: no such file; give a safetensors file"
    )
    index.write_text("[]")
    assert refusal(open_folder, folder) == (
        f"{index}: weight_map: should be an object of tensors and their files, not None; "
        "download it again"
    )
    index.write_text("{")
    assert refusal(open_folder, folder).startswith(f"{index}: should be JSON: ")
    save_file(packed(["a"]), folder / "model.safetensors")
    assert refusal(open_folder, folder) == (
        f"{folder}: should have either model.safetensors or model.safetensors.index.json, not "
        "both; remove what is old"
    )


def zipped(*names):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return stream.getvalue()


class Trap:
    """Its pickle would raise if anything loaded it."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('loaded')",))


KINDS = {
    "pickle": (
        pickle.dumps(Trap()),
        "a pickle (.bin, .pt, .pkl), which could run any program when loaded",
    ),
    "pytorch": (
        zipped("archive/data.pkl", "archive/data/0"),
        "a PyTorch file (.bin, .pt: a zip with a pickle, which could run any program)",
    ),
    "npz": (zipped("a.npy"), "numpy arrays (.npz)"),
    "zip": (zipped("readme"), "a zip archive"),
    "half_zip": (zipped("readme")[:20], "a damaged zip archive"),
    "onnx": (b"\x08\x08\x12\x07pytorch:\x00", "ONNX"),
    "numpy": (b"\x93NUMPY\x01\x00", "a numpy array"),
    "ggml": (b"tjgg\x03\x00\x00\x00", "GGJT, older than GGUF"),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "a Git LFS pointer, not the file itself (git lfs pull gets it)",
    ),
    "html": (b"<!DOCTYPE html><html>", "a web page (HTML)"),
    "json": (b'{"a": 1}', "JSON text"),
    "text": (("x" + "ä" * 4000).encode(), "plain text"),
    "noise": (bytes(range(255, 100, -1)), "a file of unknown kind"),
    "empty": (b"", "an empty file"),
}


@pytest.mark.parametrize(("content", "kind"), KINDS.values(), ids=KINDS)
def test_a_wrong_file_is_named(tmp_path, content, kind):
    file = tmp_path / "model.bin"
    file.write_bytes(content)
    assert refusal(open_checkpoint, file) == (
        f"{file}: should be {ACCEPTED}, not {kind}; convert it or give another"
    )


def test_onnx_by_its_name(tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(b"\xff\xfe\xfd")
    assert "not ONNX;" in refusal(open_checkpoint, file)


def test_a_path_that_cannot_be(tmp_path):
    path = tmp_path / ("x" * 300)
    assert refusal(open_checkpoint, path) == f"{path}: cannot be read: File name too long"


def test_a_folder_without_safetensors(tmp_path):
    assert refusal(open_checkpoint, tmp_path / "none") == (
        f"{tmp_path / 'none'}: no such file; give {ACCEPTED}"
    )
    (tmp_path / "config.json").write_text("{}")
    file = tmp_path / "model.safetensors"
    assert refusal(open_checkpoint, tmp_path) == f"{file}: no such file; give a safetensors file"
    (tmp_path / "pytorch_model.bin").write_bytes(zipped("archive/data.pkl"))
    assert refusal(open_checkpoint, tmp_path) == (
        f"{file}: no such file; the folder has 'pytorch_model.bin'; give the .gguf file itself, or "
        "use the release with safetensors"
    )
    assert refusal(open_checkpoint, tmp_path, "x86").startswith(f"{tmp_path}: I2_S layout should")
