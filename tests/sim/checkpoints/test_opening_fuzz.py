"""Damaged files: every one is refused cleanly or reads as other values; nothing crashes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sim.checkpoints import CheckpointError, examine
from tests.support.checkpoint_files import (
    BITNET,
    I2_S,
    LLAMA_SIZES,
    METADATA,
    SHAPES,
    gguf_bytes,
    i2s_bytes,
    open_partly,
    packed,
    ternary,
    write_folder,
    write_tq,
)

ROUNDS = 400
NAMES = ("blk.0.attn_k", "blk.0.attn_v")


def packed_folder(folder):
    names = ["model.layers.0.self_attn.k_proj", "model.layers.0.self_attn.v_proj"]
    return write_folder(folder, packed(names, SHAPES["attn_k"]), BITNET | LLAMA_SIZES)


def unpacked_folder(folder):
    values = ternary(SHAPES["attn_k"]).astype(np.float16)
    return write_folder(folder, {"model.layers.0.self_attn.k_proj.weight": values}, LLAMA_SIZES)


def i2s_file(folder, layout):
    data = i2s_bytes(ternary(SHAPES["attn_k"]), layout, 1.5)
    folder.mkdir()
    file = folder / "m.gguf"
    file.write_bytes(gguf_bytes(dict.fromkeys(NAMES, (SHAPES["attn_k"], I2_S, data))))
    return file


def tq_file(folder, kind):
    folder.mkdir()
    tensors = {name: ternary(SHAPES["attn_k"], i) for i, name in enumerate(NAMES)}
    return write_tq(folder / "m.gguf", kind, tensors, METADATA)


WRITERS = {
    "packed": (packed_folder, "model.safetensors", None),
    "config": (packed_folder, "config.json", None),
    "unpacked": (unpacked_folder, "model.safetensors", None),
    "x86": (lambda folder: i2s_file(folder, "x86"), "m.gguf", "x86"),
    "interleaved": (lambda folder: i2s_file(folder, "interleaved"), "m.gguf", "interleaved"),
    "TQ1_0": (lambda folder: tq_file(folder, "TQ1_0"), "m.gguf", None),
    "TQ2_0": (lambda folder: tq_file(folder, "TQ2_0"), "m.gguf", None),
}


def read(path, layout) -> str:
    """Everything that a checkpoint says, or the error; any other exception is a failure."""
    try:
        checkpoint = open_partly(path, layout)
        reports = [examine(tensor) for tensor in checkpoint.tensors]
        checkpoint.layout_fit()
    except CheckpointError as error:
        return f"refused: {error}"
    return json.dumps(
        [
            (r.tensor.name, r.tensor.weights().tobytes().hex(), r.scales.values.tolist())
            for r in reports
        ]
    )


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Mostly in the header, which takes part in every decision."""
    data = bytearray(content)
    place = int(rng.integers(min(len(data), 700) if rng.random() < 0.7 else len(data)))
    kind = rng.integers(4)
    if kind == 0:
        data[place] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        data[place] = int(rng.integers(256))
    elif kind == 2:
        data[place : place + 8] = b"\xff" * len(data[place : place + 8])
    else:
        del data[place:]
    return bytes(data)


@pytest.mark.parametrize(("write", "name", "layout"), WRITERS.values(), ids=WRITERS)
def test_damaged_files(tmp_path, write, name, layout):
    rng = np.random.default_rng(7)
    path = write(tmp_path / "whole")
    whole = read(path, layout)
    assert not whole.startswith("refused")
    victim: Path = path if path.is_file() else path / name
    content = victim.read_bytes()
    outcomes = {"refused": 0, "same": 0, "other": 0}
    for _ in range(ROUNDS):
        victim.unlink()  # A new file, since the old one may still be mapped.
        victim.write_bytes(damaged(content, rng))
        found = read(path, layout)
        if found.startswith("refused"):
            assert "\n" not in found
            assert str(path) in found
            outcomes["refused"] += 1
        else:
            outcomes["same" if found == whole else "other"] += 1
    assert outcomes["refused"] > ROUNDS // 5, outcomes
    assert outcomes["same"] + outcomes["other"] > 0, outcomes
