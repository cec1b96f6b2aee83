"""The top of an emitted file: bits, order of beats, and every form in names."""

from __future__ import annotations

import re

import pytest

from hwgen.verilog.header import NAMES
from tests.support.cases import CASES
from tests.support.emitted import emitted


def header(name: str) -> str:
    """The comment at the top, in one line, and the rest."""
    top, _ = emitted(CASES[name]).verilog.split("\n\n", 1)
    lines = top.splitlines()
    assert all(line.startswith("//") for line in lines)
    return re.sub(r"\s+", " ", " ".join(line.removeprefix("//") for line in lines))


@pytest.mark.parametrize("name", CASES)
def test_it_has_every_field_where_the_manifest_has_it(name):
    text, manifest = header(name), emitted(CASES[name]).manifest
    for role, found in manifest["streams"].items():
        ports = ", ".join(found[signal] for signal in ("payload", "valid", "ready"))
        assert f"Stream {role}, {found['direction']}: {ports}" in text
        for field in found["layout"]:
            array = "".join(f"[{size}]" for size in field["shape"])
            count = 1
            for size in field["shape"]:
                count *= size
            high = field["low"] + count * field["bits"] - 1
            bits = f"bits {field['low']} to {high}" if high > field["low"] else f"bit {high}"
            assert f"{field['name']}{array}: {bits}" in text


def test_the_order_of_beats():
    """D = 3, n = 3·2, m = 3."""
    text = header("lut_saturate_d3")
    for words in (
        "for each block b of 3 tiles of outputs",
        "[0][j] is input i*6 + j",
        "[k][l] is the key of table l for output (b*3 + d)*3 + k",
        "weights of inputs i*6 + l*3 + (0 to 2). Bit 4 is the sign",
        "Index 13: all weights are 0",
    ):
        assert words in text
    assert "for each tile b of outputs" in header("lut_mu2_wires_d1")
    assert "the weight of input i*3 + l, in the format" in header("multiplier_int16")
    assert "error is 1" in header("lut_bf16_aligned_d2")
    assert "error is 1" not in header("lut_fp16_fixed")


@pytest.mark.parametrize("name", CASES)
def test_names_are_explained_where_they_occur_and_only_there(name):
    text = header(name)
    body = emitted(CASES[name]).verilog.split("\n\n", 1)[1]
    for pattern, meaning in NAMES.items():
        assert (meaning in text) == bool(re.search(pattern, body)), pattern


def test_every_explanation_is_needed_somewhere():
    texts = [header(name) for name in CASES]
    assert [meaning for meaning in NAMES.values() if not any(meaning in t for t in texts)] == []
