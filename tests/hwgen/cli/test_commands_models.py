"""Spoilt checkpoints and overflowing networks at the command line."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sim.checkpoints import pack_rows
from tests.hwgen.cli.test_commands import DIGITS


def digits(folder: Path) -> dict[str, np.ndarray]:
    """A copy of the digits model to spoil; returns its tensors."""
    shutil.copytree(DIGITS, folder)
    return load_file(folder / "model.safetensors")


def test_an_all_zero_tensor_computes_zeros_and_is_a_warning(hwgen_cli):
    tensors = digits(Path("model"))
    tensors["layers.1.weight"] = np.full_like(tensors["layers.1.weight"], 0b01010101)
    save_file(tensors, "model/model.safetensors")
    outcome = hwgen_cli("verify", "core.yaml", "--model", "model")
    assert outcome.code == 0
    assert "0 differ" in outcome.out
    assert hwgen_cli("simulate", "model", "core.yaml").code == 0
    outcome = hwgen_cli("inspect", "model")
    assert outcome.code == 0
    assert "layers.1.weight: all of its weights are 0; is it as it was released?" in outcome.err


def test_codes_outside_the_alphabet_are_refused(hwgen_cli):
    tensors = digits(Path("model"))
    tensors["layers.0.weight"][3, 5] = 0b11
    save_file(tensors, "model/model.safetensors")
    outcome = hwgen_cli("verify", "core.yaml", "--model", "model")
    assert outcome.code == 2
    assert "layers.0.weight" in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


def test_an_unreadable_model_is_refused(hwgen_cli):
    digits(Path("model"))
    Path("model/model.safetensors").write_bytes(b"not safetensors")
    outcome = hwgen_cli("verify", "core.yaml", "--model", "model")
    assert outcome.code == 2
    assert len(outcome.err.strip().splitlines()) == 1


SPOILT_TESTS = {
    "narrow": ("images", np.zeros((360, 63), np.uint8), "test images should be (T, 64)"),
    "labels": ("labels", np.full(360, 200, np.uint8), "labels should be below the 10 outputs"),
}


@pytest.mark.parametrize(("tensor", "value", "message"), SPOILT_TESTS.values(), ids=SPOILT_TESTS)
def test_spoilt_test_images_are_refused(hwgen_cli, tensor, value, message):
    digits(Path("model"))
    tests = load_file("model/test.safetensors") | {tensor: value}
    save_file(tests, "model/test.safetensors")
    outcome = hwgen_cli("verify", "core.yaml", "--model", "model")
    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


STRANGE_SCALES = {"nan": float("nan"), "infinite": float("inf"), "zero": 0.0, "negative": -1.0}


@pytest.mark.parametrize("scale", STRANGE_SCALES.values(), ids=STRANGE_SCALES)
def test_strange_scales_are_refused(hwgen_cli, scale):
    tensors = digits(Path("model"))
    tensors["layers.1.weight_scale"] = np.array([scale], np.float32)
    save_file(tensors, "model/model.safetensors")
    outcome = hwgen_cli("verify", "core.yaml", "--model", "model")
    assert (outcome.code, outcome.out) == (2, "")
    assert re.fullmatch(
        r"hwgen: error: model/model\.safetensors: layers\.1\.weight_scale, byte \d+: "
        rf"scale should be finite and above 0, not {scale}; check how the checkpoint was made",
        outcome.err.strip(),
    )


@pytest.mark.verilator
def test_a_scale_that_makes_outputs_infinite_is_named(hwgen_cli):
    tensors = digits(Path("model"))
    tensors["layers.0.weight_scale"] = np.array([1.7e308])
    save_file(tensors, "model/model.safetensors")
    outcome = hwgen_cli("verify", "core.yaml", "--model", "model")
    assert (outcome.code, outcome.out) == (2, "")
    assert re.fullmatch(
        r"hwgen: error: --model model: layers\.0: outputs\[0, \d+\]: should be finite, not -?inf; "
        r"check its weight_scale",
        outcome.err.strip().splitlines()[-1],
    )


def overflowing(folder: Path) -> None:
    """A network of one layer that adds 512 activations of 1: more than fp8_e4m3 holds."""
    folder.mkdir()
    weights = np.ones((10, 512), np.int8)
    weights[:3] = 0
    quantization = {"quant_method": "bitnet", "linear_class": "autobitlinear"}
    layer = {"name": "sum", "out_features": 10, "in_features": 512}
    config = {"hidden_act": "relu", "rms_norm_eps": 1e-9, "layers": [layer]}
    config["quantization_config"] = quantization
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {"sum.weight": pack_rows(weights), "sum.weight_scale": np.ones(1, np.float32)}
    save_file(tensors, folder / "model.safetensors")
    images = np.full((2, 512), 9, np.uint8)
    images[0, ::2] = 0  # 256 activations of √2.
    tests = {"images": images, "labels": np.zeros(2, np.uint8)}
    save_file(tests, folder / "test.safetensors")


E4M3_CORE = "{kind: signflip, act: fp8_e4m3, arith: fixed, tables: 16, ports: 4}"


@pytest.mark.verilator
def test_an_overflow_of_the_cores_format_is_named(hwgen_cli):
    overflowing(Path("model"))
    Path("core.yaml").write_text(E4M3_CORE)
    outcome = hwgen_cli("verify", "core.yaml", "--model", "model")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.strip().splitlines()[-1] == (
        "hwgen: error: --model model: sum: outputs[1, 3]: should be finite in fp8_e4m3, not nan; "
        "use a core whose sum_format has a wider range"
    )
    Path("core.yaml").write_text(
        E4M3_CORE.replace("arith: fixed", "arith: fixed, sum_format: fp16")
    )
    assert hwgen_cli("verify", "core.yaml", "--model", "model").code == 0


@pytest.mark.verilator
def test_a_wrong_core_is_a_mismatch_also_where_its_outputs_overflow(hwgen_cli, monkeypatch):
    """A golden that never overflows, as from a core that does so wrongly."""
    from sim.golden import fixed as golden_fixed

    monkeypatch.setattr(golden_fixed, "matmul", lambda *_, **__: np.zeros((2, 10), int))
    overflowing(Path("model"))
    Path("core.yaml").write_text(E4M3_CORE)
    outcome = hwgen_cli("verify", "core.yaml", "--model", "model")
    assert outcome.code == 1
    last_line = outcome.err.strip().splitlines()[-1]
    assert last_line.startswith(
        "hwgen: error: core.yaml: 14 of 20 outputs differ from golden; first: layer sum, token 0, "
        "output 3: "
    )
