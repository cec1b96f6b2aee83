"""Files with anything wrong: refused by a typed error that names the file, or read; never a crash.

What an input may cost is bounded too: memory by twice the file and what one piece of a matrix
takes.
"""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import strategies as st
from safetensors.numpy import save

from sim.checkpoints import CheckpointError, Reading, examine, open_checkpoint
from sim.nets.decoder import Decoder
from tests.sim.checkpoints import test_matrices as whole_models
from tests.support.checkpoint_files import (
    BITNET,
    I2_S,
    LLAMA_SIZES,
    METADATA,
    SHAPES,
    gguf_bytes,
    i2s_bytes,
    packed,
    ternary,
    write_tq,
)
from tests.support.decoder_models import LLAMA, random_model
from tests.support.mutations import CHANGES, EDITS, changed, edited, try_many

SLACK = 3_000_000
"""Bytes beyond twice the file: of the interpreter, of libraries, of a piece of 64 Ki weights."""
NAMES = tuple(f"blk.0.{name}" for name in SHAPES)
HF = {
    f"model.layers.0.{name}": SHAPES[short]
    for short, name in {
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }.items()
}


def write_packed(folder):
    tensors = {}
    for name, shape in HF.items():
        tensors |= packed([name], shape)
    return _folder(folder, tensors, LLAMA_SIZES | BITNET)


def write_unpacked(folder):
    tensors = {f"{name}.weight": ternary(shape).astype(np.float16) for name, shape in HF.items()}
    return _folder(folder, tensors, LLAMA_SIZES)


def _folder(folder, tensors, config):
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(save(tensors))
    (folder / "config.json").write_text(json.dumps(config))
    return folder / "model.safetensors"


def write_i2s(folder):
    folder.mkdir(exist_ok=True)
    tensors = {
        f"blk.0.{name}": (shape, I2_S, i2s_bytes(ternary(shape), "x86", 1.5))
        for name, shape in SHAPES.items()
    }
    file = folder / "m.gguf"
    file.write_bytes(gguf_bytes(tensors))
    return file


def write_blocks(kind):
    def write(folder):
        folder.mkdir(exist_ok=True)
        tensors = {name: ternary(SHAPES[name.rpartition(".")[2]], 1) for name in NAMES}
        return write_tq(folder / "m.gguf", kind, tensors, METADATA)

    return write


def write_numbers(folder):
    folder.mkdir(exist_ok=True)
    file = folder / "m.gguf"
    file.write_bytes(whole_models.gguf(whole_models.metadata(), whole_models.IN_GGUF))
    return file


WRITERS = {
    "packed": (write_packed, None),
    "unpacked": (write_unpacked, None),
    "I2_S": (write_i2s, "x86"),
    "TQ1_0": (write_blocks("TQ1_0"), None),
    "TQ2_0": (write_blocks("TQ2_0"), None),
    "numbers": (write_numbers, None),
}


def read(path: Path, layout: str | None, named: Path) -> str:
    """What comes of a file, whole and partial; any error but ours is the test's failure."""
    outcomes: list[str] = []
    faults: list[str] = []
    for partial in (False, True):
        try:
            checkpoint = open_checkpoint(path, Reading(layout, partial=partial))
            reports = [examine(tensor) for tensor in checkpoint.tensors]
            checkpoint.layout_fit()
            outcomes.append(f"{sum(report.weights for report in reports)} weights")
        except CheckpointError as error:
            outcomes.append("refused")
            faults.append(str(error))
    for said in faults:
        assert "\n" not in said
        assert str(named) in said
    return ", ".join(outcomes)


def test_the_models_are_whole(tmp_path):
    weights = sum(out * inside for out, inside in SHAPES.values())
    for name, (write, layout) in WRITERS.items():
        found = read(write(tmp_path / name), layout, tmp_path)
        assert found == f"{weights} weights, {weights} weights" or name == "numbers"


def check_bytes(tmp_path, name, long=False):
    write, layout = WRITERS[name]
    file = write(tmp_path / "model")
    content = file.read_bytes()
    head = content.index(b"blk.0.") + 800 if file.suffix == ".gguf" else 1600

    def check(changes):
        file.unlink()  # A new file, since the old one may still be mapped.
        file.write_bytes(changed(content, changes, head))
        read(file, layout, tmp_path)

    try_many(f"bytes of {name}", st.lists(CHANGES, min_size=1, max_size=4), check, long)


@pytest.mark.parametrize("name", WRITERS)
def test_bytes(tmp_path, name):
    check_bytes(tmp_path, name)


@pytest.mark.long
@pytest.mark.parametrize("name", WRITERS)
def test_more_bytes(tmp_path, name):
    check_bytes(tmp_path, name, long=True)


def check_header(tmp_path, long=False):
    """The JSON of a safetensors header, its values recombined; the length fits."""
    file = write_packed(tmp_path / "model")
    content = file.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header, data = json.loads(content[8 : 8 + size]), content[8 + size :]

    def check(edits):
        text = json.dumps(edited(header, edits)).encode()
        file.unlink()
        file.write_bytes(len(text).to_bytes(8, "little") + text + data)
        read(file, None, tmp_path)

    try_many("headers of safetensors", EDITS, check, long)


def test_headers_of_safetensors(tmp_path):
    check_header(tmp_path)


@pytest.mark.long
def test_more_headers_of_safetensors(tmp_path):
    check_header(tmp_path, long=True)


def refused(load, partial) -> str:
    """Why something is not read; nothing where it is."""
    try:
        load(Reading(partial=partial))
    except CheckpointError as error:
        return str(error)
    return ""


def check_config(tmp_path, long=False):
    """config.json of a whole decoder, read as a checkpoint and as a decoder."""
    folder = random_model(LLAMA).write(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())

    def check(edits):
        (folder / "config.json").write_text(json.dumps(edited(config, edits)))
        for partial in (False, True):
            said = refused(lambda how: Decoder.load(open_checkpoint(folder, how)), partial)
            assert "\n" not in said
            assert not said or str(folder) in said

    try_many("config.json", EDITS, check, long)


def test_config(tmp_path):
    check_config(tmp_path)


@pytest.mark.long
def test_more_config(tmp_path):
    check_config(tmp_path, long=True)


def test_text_of_config(tmp_path):
    folder = random_model(LLAMA).write(tmp_path / "model")
    content = (folder / "config.json").read_bytes()

    def check(changes):
        (folder / "config.json").write_bytes(changed(content, changes, len(content)))
        said = refused(lambda how: open_checkpoint(folder, how), False)
        assert not said or str(folder) in said

    try_many("text of config.json", st.lists(CHANGES, min_size=1, max_size=4), check)


def test_metadata_of_gguf(tmp_path):
    """Keys and values recombined, with vocabulary; read as a decoder."""
    model = whole_models.IN_GGUF
    values = whole_models.metadata()
    file = tmp_path / "m.gguf"

    def check(edits):
        recombined = {
            str(key)[:60]: value
            for key, value in edited(values, edits).items()
            if isinstance(value, str)
            or (isinstance(value, int) and -(2**31) <= value < 2**31)
            or (
                isinstance(value, list)
                and all(type(v) is int and -(2**31) <= v < 2**31 for v in value)
            )
        }
        file.unlink(missing_ok=True)
        file.write_bytes(whole_models.gguf(recombined, model))
        read(file, None, tmp_path)

    try_many("metadata of GGUF", EDITS, check)


@pytest.mark.parametrize("name", WRITERS)
def test_memory_is_bounded_by_the_file(tmp_path, monkeypatch, name):
    """Also where lengths and shapes in it promise more."""
    for module in ("base", "unpacked", "master"):
        monkeypatch.setattr(f"sim.checkpoints.{module}.BLOCK_WEIGHTS", 1 << 16)
    write, layout = WRITERS[name]
    file = write(tmp_path / "model")
    content = file.read_bytes()
    read(file, layout, tmp_path)  # Imports and caches.

    def check(changes):
        file.unlink()
        data = changed(content, changes, 1600)
        file.write_bytes(data)
        tracemalloc.start()
        try:
            read(file, layout, tmp_path)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak <= 2 * len(data) + SLACK

    try_many(f"memory of {name}", st.lists(CHANGES, min_size=1, max_size=3), check)


def test_sizes_that_promise_too_much(tmp_path):
    """A matrix of 2^40 weights in a small file, and a text of 2^60 bytes."""
    file = write_blocks("TQ2_0")(tmp_path / "model")
    content = file.read_bytes()
    sizes = np.array([256, 768], np.uint64).tobytes()
    for new in ([2**20, 2**20], [256, 2**60], [2**63, 2**63]):
        file.unlink()
        file.write_bytes(content.replace(sizes, np.array(new, np.uint64).tobytes()))
        assert read(file, None, tmp_path).startswith("refused")
    assert gguf.GGML_QUANT_SIZES
