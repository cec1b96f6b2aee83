"""Master weights, quantised when they are read."""

from __future__ import annotations

import numpy as np
import pytest

from sim.checkpoints import Reading, open_checkpoint
from sim.nets.quantise import weights_absmean
from tests.sim.checkpoints.test_matrices import HF, LLAMA, SHAPES, found, stored
from tests.support.checkpoint_files import BITNET, refusal, write_folder

ABSMEAN = Reading(quantise="absmean")
ONLINE = {"quantization_config": BITNET["quantization_config"] | {"quantization_mode": "online"}}


def masters(dtype=np.float32):
    rng = np.random.default_rng(4)
    return {
        f"model.layers.{layer}.{HF[role]}.weight": rng.normal(0, 0.02, shape).astype(dtype)
        for layer in range(2)
        for role, shape in SHAPES.items()
    }


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("config", [LLAMA, LLAMA | ONLINE], ids=["plain", "online"])
def test_absmean(tmp_path, monkeypatch, dtype, config):
    """As the quantiser of whole arrays does it, block by block."""
    for module in ("base", "master"):
        monkeypatch.setattr(f"sim.checkpoints.{module}.BLOCK_WEIGHTS", 1)
    tensors = masters(dtype)
    checkpoint = open_checkpoint(write_folder(tmp_path, tensors, config), ABSMEAN)
    assert len(checkpoint.matrices) == 14
    for tensor in checkpoint.tensors:
        wanted, scale = weights_absmean(tensors[tensor.stored])
        assert np.array_equal(tensor.weights(), wanted)
        assert tensor.scales().convention == "multiply"
        assert tensor.scales().values[0, 0] == pytest.approx(1 / scale, rel=1e-12)
        assert tensor.format == f"absmean of F{8 * np.dtype(dtype).itemsize}"


def test_a_fused_matrix_has_a_mean_for_each_part(tmp_path):
    tensors = masters()
    start = "model.layers.0.self_attn."
    parts = [tensors.pop(f"{start}{role}_proj.weight") * (i + 1) for i, role in enumerate("qkv")]
    tensors[f"{start}qkv_proj.weight"] = np.concatenate(parts)
    matrices = found(open_checkpoint(write_folder(tmp_path, tensors, LLAMA), ABSMEAN))
    for role, part in zip("qkv", parts, strict=True):
        wanted, scale = weights_absmean(part)
        assert np.array_equal(matrices[0, role].weights(), wanted)
        assert matrices[0, role].scales().values[0, 0] == pytest.approx(1 / scale, rel=1e-12)


def test_master_weights_are_never_quantised_unasked(tmp_path):
    folder = write_folder(tmp_path, masters(), LLAMA)
    assert "14 not ternary (model.layers.0.mlp.down_proj.weight, F32: should hold" in refusal(
        open_checkpoint, folder
    )
    folder = write_folder(tmp_path, masters(), LLAMA | ONLINE)
    assert refusal(open_checkpoint, folder) == (
        f"{folder}/config.json: quantization_config.quantization_mode: 'online' means master "
        "weights; give --quantise absmean to make them ternary, or use the release with packed "
        "weights"
    )


def test_nothing_to_quantise(tmp_path):
    tensors = {name: np.sign(values).astype(np.int8) for name, values in stored().items()}
    folder = write_folder(tmp_path, tensors, LLAMA)
    assert "--quantise should be left out for a checkpoint that has none" in refusal(
        open_checkpoint, folder, ABSMEAN
    )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_strange_master_weights(tmp_path, value):
    tensors = masters()
    name = "model.layers.1.mlp.up_proj.weight"
    tensors[name][3, 4] = value
    checkpoint = open_checkpoint(write_folder(tmp_path, tensors, LLAMA), ABSMEAN)
    (tensor,) = [tensor for tensor in checkpoint.tensors if tensor.stored == name]
    assert f"should be finite, not {value} at [3, 4]" in refusal(tensor.scales)
