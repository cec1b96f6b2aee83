"""Configurations of floating-point cores: what is refused, and what formats allow."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from hwgen.spec.config import CoreConfig
from hwgen.spec.number import FLOATS
from tests.hwgen.spec.test_config import refusal, write
from tests.support import ROOT

FLOAT = "kind: lut\nact: fp16\ntables: 1\nports: 1\n"


FLOAT_FAULTS = {
    "arith_missing": (FLOAT, "arith: is required for fp16 activations; add arith: float or fixed"),
    "arith_of_integers": (
        "kind: lut\narith: fixed\ntables: 1\nports: 1\n",
        "arith: belongs to floating-point activations, not to int8; remove it",
    ),
    "fixed_multiplier": (
        FLOAT.replace("lut", "multiplier") + "arith: fixed\n",
        "kind: a multiplier's weights have the activations' type, whose products are too wide for "
        "fixed point; should be lut or signflip, not 'multiplier'",
    ),
    "fixed_bf16": (
        FLOAT.replace("fp16", "bf16") + "arith: fixed\n",
        "fixed_bits: is required: 262 bits would hold every bf16 exactly, at most 128 are "
        "possible; add fixed_bits: 24, say, which aligns every token to the exponent that comes "
        "with it",
    ),
    "fixed_bits_too_many": (
        FLOAT.replace("fp16", "bf16") + "arith: fixed\nfixed_bits: 129\n",
        "fixed_bits: should be at most 128, not 129",
    ),
    "fixed_bits_too_few": (
        FLOAT.replace("fp16", "bf16") + "arith: fixed\nfixed_bits: 8\n",
        "fixed_bits: should hold sign and significand of bf16, at least 9 bits, not 8",
    ),
    "fixed_bits_more_than_exact": (
        FLOAT + "arith: fixed\nfixed_bits: 41\n",
        "fixed_bits: 41 bits hold every fp16 exactly; remove it, not 41",
    ),
    "fixed_bits_of_float": (
        FLOAT + "arith: float\nfixed_bits: 24\n",
        "fixed_bits: belongs to arith: fixed; remove it",
    ),
    "fixed_bits_of_integers": (
        "kind: lut\nfixed_bits: 24\ntables: 1\nports: 1\n",
        "fixed_bits: belongs to floating-point activations, not to int8; remove it",
    ),
    "fp8_sums_by_default": (
        FLOAT.replace("fp16", "fp8_e4m3") + "arith: float\n",
        "sum_format: is required for arith: float on fp8_e4m3, in which the sum of a few "
        "activations overflows; add sum_format: fp16, say, for the accumulators (tables and the "
        "reduction tree stay fp8_e4m3: they can overflow within a tile)",
    ),
    "sum_format_too_narrow": (
        FLOAT + "arith: float\nsum_format: bf16\n",
        "sum_format: should hold every number of fp16 (fp16, fp32), not 'bf16'",
    ),
    "sum_format_unknown": (
        FLOAT + "arith: float\nsum_format: fp64\n",
        "sum_format: should be one of fp16, bf16, fp8_e4m3, fp8_e5m2, fp32, not 'fp64'",
    ),
    "sum_format_of_integers": (
        "kind: lut\nsum_format: fp32\ntables: 1\nports: 1\n",
        "sum_format: belongs to floating-point activations, not to int8; remove it",
    ),
    "fp_add_of_fixed": (
        FLOAT + "arith: fixed\npipeline: {fp_add: 2}\n",
        "pipeline.fp_add: belongs to arith: float; should be 0, not 2",
    ),
    "fp_mul_of_tables": (
        FLOAT + "arith: float\npipeline: {fp_mul: 1}\n",
        "pipeline.fp_mul: belongs to multiplier cores with arith: float; should be 0, not 1",
    ),
    "fixed_acc_bits": (
        FLOAT + "arith: fixed\nacc_bits: 60\n",
        "acc_bits: belongs to integer activations, not to fp16; remove it",
    ),
    "acc_overflow_of_float": (
        FLOAT + "arith: float\nacc_overflow: wrap\n",
        "acc_overflow: belongs to integer activations, not to fp16; remove it",
    ),
    "accumulator_of_float": (
        FLOAT + "arith: float\nacc_bits: 2\nacc_overflow: wrap\n",
        "acc_bits, acc_overflow: belong to integer activations, not to fp16; remove them",
    ),
}


@pytest.mark.parametrize(("text", "message"), FLOAT_FAULTS.values(), ids=FLOAT_FAULTS)
def test_faults_of_floating_point_cores(tmp_path, text, message):
    assert refusal(write(tmp_path, text)) == f"core.yaml: {message}"


FLOAT_LIMITS = {
    "fp16": ({"fp16", "fp32"}, (12, 40)),
    "bf16": ({"bf16", "fp32"}, (9, 128)),
    "fp8_e4m3": ({"fp8_e4m3", "fp16", "bf16", "fp32"}, (5, 18)),
    "fp8_e5m2": ({"fp8_e5m2", "fp16", "bf16", "fp32"}, (4, 32)),
}
"""Legal sum_format, least and most fixed_bits, as the documentation's table says."""


@pytest.mark.parametrize("act", FLOAT_LIMITS)
def test_what_floating_point_activations_allow(act):
    formats, ends = FLOAT_LIMITS[act]

    def legal(**fields) -> bool:
        try:
            CoreConfig(kind="signflip", act=act, tables=1, ports=1, **fields)
        except ValidationError:
            return False
        return True

    for arith in ("float", "fixed"):
        wide = {} if act != "bf16" or arith == "float" else {"fixed_bits": 24}
        assert {f for f in FLOATS if legal(arith=arith, sum_format=f, **wide)} == formats
    widths = [bits for bits in range(200) if legal(arith="fixed", fixed_bits=bits)]
    assert widths == list(range(ends[0], ends[1] + 1))
    row = f"| {act} | {', '.join(f for f in FLOATS if f in formats)} | {ends[0]} … {ends[1]}"
    assert row in (ROOT / "docs/explanation/arithmetic.md").read_text()
