"""hwgen inspect: one line for each ternary tensor, totals, warnings, one-line errors."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest

import hwgen.cli
from sim.checkpoints import pack_rows
from sim.nets.packaged import CHECKPOINTS
from tests.sim.checkpoints.gguf.test_layout_fit import model
from tests.support.checkpoint_files import (
    I2_S,
    gguf_bytes,
    i2s_bytes,
    ternary,
    write_folder,
    write_tq,
)

DIGITS = CHECKPOINTS["digits"]


@pytest.fixture
def inspect(monkeypatch, capsys):
    """Runs the command; exit code, stdout, stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["hwgen", "inspect", *map(str, arguments)])
        code = 0
        try:
            hwgen.cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


def test_the_digits(inspect):
    code, out, _ = inspect(DIGITS)
    assert code == 0
    assert re.search(r"layers\.0 +│ packed +│ +256 × 64 +│ +× 0\.109499 +│ 31\.46%", out)
    assert re.search(r"3 tensors +│ +│ 50,432 weights +│ +│ 32\.51%", out)


def test_json(inspect, tmp_path):
    weights = ternary((4, 6))
    tensors = {"a.weight": pack_rows(weights), "a.weight_scale": np.array([4], np.float32)}
    tensors["norm.weight"] = np.ones(3, np.float16)
    config = {"quantization_config": {"quant_method": "bitnet"}}
    tensors["lm_head.weight"] = np.ones((7, 6), np.float16)
    tensors["b.weight"] = np.ones((5, 6), np.int32)
    folder = write_folder(tmp_path, tensors, config)
    code, _, err = inspect(folder)
    assert code == 2
    assert "give --partial to go on with what is there" in err
    code, out, _ = inspect(folder, "--partial", "--json")
    assert code == 0
    share = np.count_nonzero(weights == 0) / 24
    assert json.loads(out) == {
        "checkpoint": str(tmp_path),
        "tensors": [
            {
                "name": "a",
                "format": "packed",
                "out_features": 4,
                "in_features": 6,
                "scales": 1,
                "lowest_scale": 4.0,
                "highest_scale": 4.0,
                "scale_convention": "divide",
                "zero_fraction": share,
            }
        ],
        "weights": 24,
        "zero_fraction": share,
        "left_out": [
            {
                "name": "b.weight",
                "shape": [5, 6],
                "type": "I32",
                "reason": "of unknown meaning",
            },
            {
                "name": "lm_head.weight",
                "shape": [7, 6],
                "type": "F16",
                "reason": "output head",
            },
        ],
        "others": {"I32": 1, "F16": 2},
        "warnings": [],
    }


def test_many_scales_and_other_tensors(inspect, tmp_path):
    values = ternary((2, 512)) * np.repeat([[1.0, 2.0], [4.0, 8.0]], 256, axis=1)
    file = write_tq(tmp_path / "m.gguf", "TQ1_0", {"x": values}, name="tester")
    code, out, _ = inspect(file, "--partial")
    assert code == 0
    assert re.search(r"x +│ TQ1_0 +│ +2 × 512 +│ +× 1 … 8 \(4\)", out)
    assert "Tensors of no ternary linear layer: 1 F32." in out


def test_scale_option(inspect, tmp_path):
    tensors = {"a.weight": pack_rows(ternary((4, 6))), "a.weight_scale": np.ones(1, np.float32)}
    folder = write_folder(tmp_path, tensors)
    code, _, err = inspect(folder, "--partial")
    assert code == 2
    assert "give --scale multiply (AutoBitLinear) or --scale divide (BitLinear)" in err
    code, out, _ = inspect(folder, "--partial", "--scale", "divide")
    assert (code, "÷ 1" in out) == (0, True)
    code, _, err = inspect(folder, "--scale", "times")
    assert code == 2
    assert "--scale: should be 'multiply' or 'divide', not 'times'" in err


def test_a_layout_that_does_not_fit_is_a_warning(inspect, tmp_path):
    file = model(tmp_path / "m.gguf", "arm", 0.1)
    code, out, err = inspect(file, "--i2s-layout", "x86", "--json")
    assert code == 0
    (warning,) = json.loads(out)["warnings"]
    assert warning.startswith(
        f"{file}: the weights fit I2_S layout 'arm' better than 'x86' (scores: arm "
    )
    assert warning.endswith("); is --i2s-layout right?")
    assert f"hwgen: warning: {warning}" in err
    code, out, err = inspect(file, "--i2s-layout", "arm", "--json")
    assert (code, json.loads(out)["warnings"]) == (0, [])
    assert "warning" not in err


def test_a_layout_that_cannot_be_checked_is_a_warning(inspect, tmp_path):
    file = tmp_path / "m.gguf"
    data = i2s_bytes(ternary((4, 64)), "arm", 1.0)
    file.write_bytes(gguf_bytes({"x": ((4, 64), I2_S, data)}, name="tester"))
    code, _, err = inspect(file, "--partial", "--i2s-layout", "arm")
    assert code == 0
    assert (
        f"hwgen: warning: {file}: the weights do not tell whether I2_S layout 'arm' is right" in err
    )
    code, _, err = inspect(file, "--partial")
    assert code == 2
    assert "give --i2s-layout; the weights do not tell which it is" in err
    code, _, err = inspect(file, "--i2s-layout", "neon")
    assert code == 2
    assert "--i2s-layout: should be 'x86' or 'arm' or 'interleaved', not 'neon'" in err


def test_errors_are_one_line(inspect, tmp_path):
    file = tmp_path / "model.bin"
    file.write_bytes(b"\x80\x04\x95")
    code, out, err = inspect(file)
    assert (code, out) == (2, "")
    (line,) = [line for line in err.splitlines() if line.strip()]
    assert line.startswith(f"hwgen: error: {file}: should be ")
    assert "not a pickle (.bin, .pt, .pkl)" in line


def test_help_has_an_example(inspect):
    code, out, _ = inspect("--help")
    assert code == 0
    assert "Example: hwgen inspect digits" in out
