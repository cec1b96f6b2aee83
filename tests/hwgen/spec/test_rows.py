"""Cores as rows and back, in words and by name."""

from __future__ import annotations

import numpy as np
import pytest

from hwgen.spec.axes import AXES
from hwgen.spec.config import CoreConfig
from hwgen.spec.rows import core_of, name_of, row_of, text_of, values_of
from hwgen.spec.structure import structure
from tests.support.cases import CASES


@pytest.mark.parametrize("core", CASES.values(), ids=CASES)
def test_a_row_is_its_core_again(core):
    row = row_of(core)
    assert list(row) == [axis.column for axis in AXES]
    assert all(type(row[axis.column]) is axis.type for axis in AXES)
    again = core_of(row)
    assert row_of(again) == row
    assert structure(again).units == structure(core).units
    assert list(values_of(core).values()) == list(row.values())


def test_cells_of_arrays_and_missing_ones_are_read():
    core = CASES["signflip_fp16_aligned_pipelined_to_fp32"]
    row = {
        name: np.nan if value == "" else np.int32(value) if isinstance(value, int) else value
        for name, value in row_of(core).items()
    }
    assert row_of(core_of({**row, "area_um2": 3.5})) == row_of(core)


def test_a_row_without_an_axis_is_of_its_default():
    row = {"kind": "lut", "act": "int8", "mu": 2, "tables": 3, "ports": 4}
    assert core_of(row) == CoreConfig(kind="lut", mu=2, tables=3, ports=4)


TEXTS = {
    "lut_mu2_wires_d1": ("lut int4 µ=2 L=3 K=2 D=1", "lut_int4_mu2_l3_k2_d1"),
    "signflip_odd_d3_pipelined": (
        "signflip int8 L=7 K=3 D=3 fetch=1 reduce=2",
        "signflip_int8_mu1_l7_k3_d3",
    ),
    "lut_mu3_naive_registers_d2_build2": (
        "lut int9 µ=3 L=1 K=2 D=2 registers naive build=2 fetch=1",
        "lut_int9_mu3_l1_k2_d2",
    ),
    "lut_saturate_d3": (
        "lut int8 µ=3 L=2 K=3 D=3 registers acc=12 saturate",
        "lut_int8_mu3_l2_k3_d3",
    ),
    "lut_sherry34_wires_d2": (
        "lut int8 sherry34 µ=4 L=3 K=2 D=2",
        "lut_int8_sherry34_mu4_l3_k2_d2",
    ),
    "lut_fp16_fixed": ("lut fp16 fixed µ=2 L=3 K=2 D=2", "lut_fp16_mu2_l3_k2_d2"),
    "signflip_fp16_aligned_pipelined_to_fp32": (
        "signflip fp16 fixed 12 bits to fp32 L=5 K=2 D=1 fetch=1 reduce=2",
        "signflip_fp16_mu1_l5_k2_d1",
    ),
    "lut_fp8_e4m3_float_chain_full_pipelined": (
        "lut fp8_e4m3 float to fp8_e4m3 µ=4 L=2 K=2 D=1 full registers chain build=1 fetch=1 "
        "reduce=1",
        "lut_fp8_e4m3_mu4_l2_k2_d1",
    ),
    "multiplier_fp8_e4m3_float_d3_r4": (
        "multiplier fp8_e4m3 float to fp8_e4m3 L=3 K=2 D=3 fetch=1 fp_add=3 fp_mul=2",
        "multiplier_fp8_e4m3_mu1_l3_k2_d3",
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_words_and_names(name):
    assert (text_of(CASES[name]), name_of(CASES[name])) == TEXTS[name]
    CoreConfig.model_validate(CASES[name].model_dump() | {"name": name_of(CASES[name])})
