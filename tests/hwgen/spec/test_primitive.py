"""Kinds of primitives: one table, which gives each its family, formats, and name."""

from __future__ import annotations

import pytest

from hwgen.spec.number import FLOATS
from hwgen.spec.primitive import GENERATED, KINDS, Family, Primitive, kind_of


def test_families_by_hand():
    found = {name: kind.family for name, kind in KINDS.items()}
    assert found["adder_carry"] is found["adder"] is Family.ADDER
    assert found["fetch_mux"] is found["mux"] is Family.SELECT
    assert found["from_aligned_bf16_fp32"] is Family.FROM_FIXED
    assert {*found.values()} == {*Family}


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_found_by_what_it_is(name):
    kind = KINDS[name]
    assert kind.name == name
    assert Primitive(name, 8).family is kind.family
    assert (kind.number is not None) == (kind.family in GENERATED)
    assert kind.target is None or kind.family in (Family.FROM_FIXED, Family.WIDEN)
    if kind.number is not None:
        assert kind_of(kind.family, kind.number, kind.target, kind.aligned) == name


def test_registers():
    found = {
        name: (kind.enable, kind.reset)
        for name, kind in KINDS.items()
        if kind.family is Family.REGISTER
    }
    assert found == {
        "register": (False, False),
        "register_enable": (True, False),
        "register_reset": (False, True),
        "register_enable_reset": (True, True),
    }


def test_names_and_labels():
    assert kind_of(Family.FP_ADD, FLOATS["fp16"]) == "fp_add_fp16"
    assert kind_of(Family.TO_FIXED, FLOATS["bf16"], aligned=True) == "to_aligned_bf16"
    assert kind_of(Family.WIDEN, FLOATS["fp16"], FLOATS["fp32"]) == "fp_widen_fp16_fp32"
    assert Primitive("adder", 10).label == "adder_w10"
    assert Primitive("fetch_mux", 10, 13).label == "fetch_mux_13_w10"
