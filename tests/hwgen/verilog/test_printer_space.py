"""Cores drawn from the whole space: every tool reads every one of them without a word."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from hwgen.spec.config import CoreConfig
from hwgen.verilog.emit import emit
from hwgen.verilog.layout import LONGEST_LINE
from tests.hwgen.verilog.test_printer import CHECK, icarus, lint, needs_icarus
from tests.support.draw import draw_cores
from tests.support.netlist import yosys

DRAWN = draw_cores(seed=1, count=400)
FEW, MORE = DRAWN[:20], DRAWN[20:]
# Single blocks that fill their counter: a comparison with it would always be true.
FULL_BLOCKS = [
    CoreConfig(
        kind="lut", mu=2, tables=2, ports=2, reuse=3, max_in_features=16, max_out_features=6
    ),
    CoreConfig(kind="signflip", tables=2, ports=2, reuse=7, max_out_features=14),
    CoreConfig(kind="multiplier", tables=1, ports=1, reuse=4, max_out_features=1),
]


emitted_once = cache(emit)


def faults(cores: list[CoreConfig], folder: Path, tool) -> dict[str, str]:
    """What a tool says of cores, where it says anything."""
    said = {}
    for core in cores:
        emitted = emitted_once(core)
        assert max(map(len, emitted.verilog.splitlines())) <= LONGEST_LINE
        if words := tool(folder, emitted.name, emitted.verilog):
            said[core.model_dump_json(exclude_defaults=True)] = words
    return said


def test_the_draw_has_every_value_of_every_axis():
    axes = [core.model_dump() | core.model_dump()["pipeline"] for core in DRAWN]
    for axis, values in {
        "kind": {"lut", "signflip", "multiplier"},
        "act": {*(f"int{bits}" for bits in range(2, 17)), "fp16", "bf16", "fp8_e4m3", "fp8_e5m2"},
        "arith": {"float", "fixed", None},
        "mu": {1, 2, 3, 4},
        "reuse": {1, 2, 3, 4, 5, 7, 8},
        "table": {"half", "full", None},
        "storage": {"wires", "registers", None},
        "builder": {"minimal", "chain", "naive", None},
        "acc_overflow": {"wrap", "saturate", None},
        "sum_format": {"fp32", "fp16", "bf16", "fp8_e4m3", "fp8_e5m2", None},
        **{name: {0, 1, 2} for name in ("build", "reduce", "fp_add", "fp_mul")},
        "fetch": {0, 1},
    }.items():
        assert {core[axis] for core in axes} == values, axis


def test_verilator_warns_of_none(tmp_path):
    assert faults(FEW + FULL_BLOCKS, tmp_path, lint) == {}


@needs_icarus
def test_icarus_warns_of_none(tmp_path):
    assert faults(FEW, tmp_path, icarus) == {}


@pytest.mark.long
def test_verilator_warns_of_none_of_many(tmp_path):
    assert faults(MORE, tmp_path, lint) == {}


@pytest.mark.long
@needs_icarus
def test_icarus_warns_of_none_of_many(tmp_path):
    assert faults(MORE, tmp_path, icarus) == {}


@pytest.mark.long
def test_yosys_finds_no_fault_in_any(tmp_path):
    for core in DRAWN:
        emitted = emitted_once(core)
        (tmp_path / "core.v").write_text(emitted.verilog)
        yosys([command.format(top=emitted.name) for command in CHECK], tmp_path)


def test_a_comparison_that_is_always_true_would_be_noticed(tmp_path):
    emitted = emit(FULL_BLOCKS[0])
    always = "1'h1 ? out_tiles : tiles_after"
    assert emitted.verilog.count(always) == 1
    compared = always.replace("1'h1", "(tiles_left <= 2'h3)")
    damaged = emitted.verilog.replace(always, compared)
    assert "%Warning-CMPCONST" in lint(tmp_path, emitted.name, damaged)
