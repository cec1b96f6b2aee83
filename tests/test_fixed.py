"""Exact fixed-point arithmetic on floating-point activations: golden by fractions, specials."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from hwgen.emit import emit
from hwgen.number import FLOATS, FloatFormat
from sim import golden_fixed
from sim.runner import CoreModel, Stalls, Work
from tests.cases import CASES

EXACT = ("fp16", "fp8_e4m3", "fp8_e5m2")
CORES = {name: config for name, config in CASES.items() if config.arith == "fixed"}


def value(code: int, number: FloatFormat) -> Fraction:
    """What a finite code stands for, from the definition."""
    sign = -1 if code >> (number.bits - 1) else 1
    exponent, mantissa = divmod(code & ((1 << (number.bits - 1)) - 1), 1 << number.mantissa_bits)
    one = 1 << number.mantissa_bits
    significand = mantissa + (one if exponent else 0)
    power = max(exponent, 1) - number.bias - number.mantissa_bits
    return sign * significand * Fraction(2) ** power


def rounded(exact: Fraction, number: FloatFormat) -> int:
    """The code nearest to a sum, ties to even, by looking at every finite code's neighbours."""
    low, high = 0, number.largest
    magnitude = abs(exact)
    sign = 1 << (number.bits - 1) if exact < 0 else 0
    if magnitude >= value(high, number):
        step = value(high, number) - value(high - 1, number)
        limit = value(high, number) + step / 2
        even = number.largest % 2 == 0
        if magnitude < limit or (magnitude == limit and even):
            return high | sign
        return number.quiet_nan if number.infinity is None else number.infinity | sign
    while high - low > 1:  # Codes of positive numbers rise with their values.
        middle = (low + high) // 2
        low, high = (middle, high) if value(middle, number) <= magnitude else (low, middle)
    below, above = magnitude - value(low, number), value(high, number) - magnitude
    return (low if below < above or (below == above and low % 2 == 0) else high) | sign


@pytest.mark.parametrize("name", EXACT)
def test_golden_against_fractions(name):
    number = FLOATS[name]
    rng = np.random.default_rng(3)
    acts = rng.integers(0, number.largest, (30, 9), endpoint=True)
    acts |= rng.integers(0, 2, acts.shape) << (number.bits - 1)
    weights = rng.integers(-1, 1, (8, 9), endpoint=True)
    got = golden_fixed.matmul(acts, weights, name)
    for t, row in enumerate(acts.tolist()):
        for m, wanted in enumerate(weights.tolist()):
            exact = sum(w * value(a, number) for w, a in zip(wanted, row, strict=True))
            assert got[t, m] == rounded(Fraction(exact), number)


@pytest.mark.parametrize("name", EXACT)
def test_fixed_bits_hold_the_largest_and_no_more(name):
    number = FLOATS[name]
    units = value(number.largest, number) / value(1, number)
    assert units.denominator == 1
    assert int(units).bit_length() + 1 == number.fixed_bits


def test_fixed_bits_by_hand():
    assert [FLOATS[name].fixed_bits for name in EXACT] == [41, 19, 33]


@pytest.mark.verilator
@pytest.mark.parametrize("config", CORES.values(), ids=CORES)
def test_rounding_at_every_magnitude(config):
    """Sums of a large and two small terms: ties, just above, just below, at each exponent."""
    number = config.float_number
    codes = np.arange(1, number.largest + 1, max(1, number.largest // 4000))
    rng = np.random.default_rng(1)
    acts = np.zeros((len(codes), 4), np.uint16)
    acts[:, 0] = codes
    shift = (number.mantissa_bits + 1) << number.mantissa_bits
    acts[:, 1] = np.maximum(codes - shift, 0)  # Half a unit in the last place, and then some.
    acts[:, 2] = rng.choice([0, 1], len(codes))
    acts[:, 3] = codes
    weights = np.array([[1, 1, 1, 0], [1, -1, 1, 0], [1, 1, -1, 0], [1, 0, 0, -1], [1, 1, 0, 1]])
    emitted = emit(config)
    (got,) = CoreModel(emitted.verilog, emitted.manifest).run([Work(acts, weights)]).outputs
    np.testing.assert_array_equal(got, golden_fixed.matmul(acts, weights, config.act))
    assert not got[:, 3].any()  # x - x is +0.


@pytest.mark.verilator
@pytest.mark.parametrize("stalls", [Stalls(), Stalls(30, 40, 40, 40)], ids=["free", "stalls"])
@pytest.mark.parametrize("config", CORES.values(), ids=CORES)
def test_infinities_and_nan_spoil_their_token_only(config, stalls):
    number = config.float_number
    specials = [number.quiet_nan, number.quiet_nan | 1 << (number.bits - 1)]
    if number.infinity is not None:
        specials += [number.infinity, number.infinity | 1 << (number.bits - 1), number.infinity + 1]
    rng = np.random.default_rng(2)
    acts = rng.integers(0, number.largest // 2, (40, 29)).astype(np.uint16)
    weights = rng.integers(-1, 1, (17, 29), endpoint=True)
    weights[:, 5] = 0  # A special activation counts even where every weight is zero.
    spoilt = rng.choice(40, 15, replace=False)
    acts[spoilt, rng.integers(0, 29, 15)] = rng.choice(specials, 15)
    acts[spoilt[0], 5] = specials[0]
    emitted = emit(config)
    model = CoreModel(emitted.verilog, emitted.manifest)
    (got,) = model.run([Work(acts, weights)], stalls, seed=3).outputs
    np.testing.assert_array_equal(got, golden_fixed.matmul(acts, weights, config.act))
    assert (got[spoilt] == number.quiet_nan).all()
    clean = np.setdiff1d(np.arange(40), spoilt)
    assert (got[clean] != number.quiet_nan).any(axis=1).all()
