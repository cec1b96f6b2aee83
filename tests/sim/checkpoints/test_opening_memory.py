"""Reading a large checkpoint never holds more than a part of one tensor."""

from __future__ import annotations

import tracemalloc

import gguf
import numpy as np
import pytest

from sim.checkpoints import examine, pack_rows
from tests.support.checkpoint_files import BITNET, I2_S, gguf_bytes, open_partly, write_folder

SHAPE = (4096, 1024)
COUNT = 6
WEIGHTS = SHAPE[0] * SHAPE[1]


def write_packed(folder):
    weights = np.random.default_rng(0).integers(-1, 2, SHAPE).astype(np.int8)
    tensors = {f"{i}.weight": pack_rows(weights) for i in range(COUNT)}
    tensors |= {f"{i}.weight_scale": np.ones(1, np.float32) for i in range(COUNT)}
    return write_folder(folder, tensors, BITNET)


def write_unpacked(folder):
    weights = np.random.default_rng(0).integers(-1, 2, SHAPE).astype(np.float16)
    return write_folder(
        folder, {f"model.layers.{i}.mlp.up_proj.weight": weights for i in range(COUNT)}
    )


def write_gguf(folder, kind):
    rng = np.random.default_rng(0)
    if kind == I2_S:
        codes = np.array([0, 1, 2, 4, 5, 6, 8, 9, 10], np.uint8)
        data = rng.choice(codes, WEIGHTS // 4).tobytes() + np.float32(1).tobytes() + bytes(28)
    else:
        row = gguf.quants.quantize(rng.integers(-1, 2, SHAPE[1]).astype(np.float32), kind)
        data = row.tobytes() * SHAPE[0]
    file = folder / "m.gguf"
    file.write_bytes(gguf_bytes({str(i): (SHAPE, kind, data) for i in range(COUNT)}, name="tester"))
    return file


FILES = {
    "packed": (write_packed, None),
    "unpacked": (write_unpacked, None),
    "TQ1_0": (lambda folder: write_gguf(folder, 34), None),
    "TQ2_0": (lambda folder: write_gguf(folder, 35), None),
    "I2_S x86": (lambda folder: write_gguf(folder, I2_S), "x86"),
    "I2_S interleaved": (lambda folder: write_gguf(folder, I2_S), "interleaved"),
}


@pytest.mark.parametrize(("write", "layout"), FILES.values(), ids=FILES)
def test_less_than_a_tensor_is_held(tmp_path, monkeypatch, write, layout):
    """Six tensors of 4 Mi weights in pieces of 1/16: the peak is below one tensor's weights."""
    path = write(tmp_path)
    monkeypatch.setattr("sim.checkpoints.base.BLOCK_WEIGHTS", WEIGHTS // 16)
    monkeypatch.setattr("sim.checkpoints.unpacked.BLOCK_WEIGHTS", WEIGHTS // 16)
    checkpoint = open_partly(path, layout)
    assert len(checkpoint.tensors) == COUNT
    tracemalloc.start()
    try:
        reports = [examine(tensor) for tensor in checkpoint.tensors]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        checkpoint.tensors[0].weights()
        _, whole = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert all(0.1 < report.zero_fraction < 0.6 for report in reports)
    assert peak < WEIGHTS
    assert whole > WEIGHTS  # The measure sees what numpy holds.
