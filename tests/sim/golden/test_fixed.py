"""Exact fixed-point arithmetic on floating-point activations: golden by fractions, specials."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hwgen.spec.config import CoreConfig
from hwgen.spec.number import FLOATS, FloatFormat
from hwgen.spec.primitive import TARGETS
from sim.golden import fixed as golden_fixed
from sim.verilated import beats
from sim.verilated.runner import CoreModel, Stalls, Work
from sim.workload.stimulus import nearest_weights, random_weights
from tests.support.cases import CASES
from tests.support.emitted import emitted as emitted_once
from tests.support.layers import expected

EXACT = ("fp16", "fp8_e4m3", "fp8_e5m2")
CORES = {name: config for name, config in CASES.items() if config.arith == "fixed"}
ALIGNED = {name: config for name, config in CORES.items() if config.exponent_bits}
Codes = NDArray[Any]


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


def any_codes(number: FloatFormat, rng: np.random.Generator, shape: tuple[int, int]) -> Codes:
    codes = rng.integers(0, number.largest, shape, endpoint=True)
    return codes | rng.integers(0, 2, shape) << (number.bits - 1)


@pytest.mark.parametrize(
    ("name", "sums"), [(name, sums) for name in EXACT for sums in TARGETS[name]]
)
def test_golden_against_fractions(name, sums):
    number = FLOATS[name]
    rng = np.random.default_rng(3)
    acts = any_codes(number, rng, (30, 9))
    weights = rng.integers(-1, 1, (8, 9), endpoint=True)
    got = golden_fixed.matmul(acts, weights, name, sums=sums)
    for t, row in enumerate(acts.tolist()):
        for m, wanted in enumerate(weights.tolist()):
            exact = sum(w * value(a, number) for w, a in zip(wanted, row, strict=True))
            assert got[t, m] == rounded(Fraction(exact), FLOATS[sums])


def nearest(exact: Fraction) -> int:
    """Of two equally near integers that of greater magnitude."""
    magnitude = (abs(exact) + Fraction(1, 2)).__floor__()
    return -magnitude if exact < 0 else magnitude


@pytest.mark.parametrize("bits", [9, 12, 24, 33, 128])
@pytest.mark.parametrize(
    ("name", "sums"), [("bf16", "bf16"), ("bf16", "fp32"), ("fp16", "fp16"), ("fp8_e4m3", "bf16")]
)
def test_golden_of_aligned_tokens_against_fractions(name, sums, bits):
    number = FLOATS[name]
    bits = max(bits, number.mantissa_bits + 2)
    rng = np.random.default_rng(4)
    acts = any_codes(number, rng, (40, 9))
    acts[::2] &= (1 << (number.bits - 1)) | ((4 << number.mantissa_bits) - 1)  # Tiny numbers.
    weights = rng.integers(-1, 1, (8, 9), endpoint=True)
    fields = (acts & ((1 << (number.bits - 1)) - 1)) >> number.mantissa_bits
    exponents = golden_fixed.token_exponents(acts, name)
    assert exponents.tolist() == [max(1, *row) for row in fields.tolist()]
    got = golden_fixed.matmul(acts, weights, name, sums=sums, bits=bits, exponents=exponents)
    bound = golden_fixed.error_bound(weights, name, bits, exponents)
    for t, row in enumerate(acts.tolist()):
        unit = Fraction(2) ** (int(exponents[t]) - number.bias - bits + 2)
        for m, wanted in enumerate(weights.tolist()):
            terms = [(w, value(a, number)) for w, a in zip(wanted, row, strict=True)]
            aligned = sum(w * nearest(v / unit) for w, v in terms) * unit
            assert abs(aligned - sum(w * v for w, v in terms)) <= Fraction(bound[t, m])
            expected = rounded(aligned, FLOATS[sums])
            negative = aligned < 0
            assert got[t, m] == expected or (negative and not expected and got[t, m])


def test_the_error_bound_is_reached():
    """Activations half a unit off, all in one direction: bf16, 9 bits, one large activation."""
    acts = np.array([[0x3F80, *[0x3B80] * 4]])  # 1, and 2^-8 four times; the unit is 2^-7.
    weights = np.array([[1, 1, 1, 1, 1], [0, 1, 1, 0, -1]])
    exponents = golden_fixed.token_exponents(acts, "bf16")
    got = golden_fixed.matmul(acts, weights, "bf16", bits=9, sums="fp32", exponents=exponents)
    error = golden_fixed.decode(got, "fp32") - golden_fixed.decode(acts, "bf16") @ weights.T
    assert error.tolist() == [[4 * 2.0**-8, 2.0**-8]]
    bound = golden_fixed.error_bound(weights, "bf16", 9, exponents)
    assert bound.tolist() == [[5 * 2.0**-8, 3 * 2.0**-8]]


@pytest.mark.parametrize("name", EXACT)
def test_fixed_bits_hold_the_largest_and_no_more(name):
    number = FLOATS[name]
    units = value(number.largest, number) / value(1, number)
    assert units.denominator == 1
    assert int(units).bit_length() + 1 == number.fixed_bits


def test_fixed_bits_by_hand():
    assert [FLOATS[name].fixed_bits for name in EXACT] == [41, 19, 33]


def layer(config: CoreConfig, acts: Codes, weights: Codes) -> Work:
    exponents = golden_fixed.token_exponents(acts, config.act) if config.exponent_bits else None
    return Work(acts, weights, exponents)


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
    weights = nearest_weights(config, np.concatenate([weights, -weights]))
    emitted = emitted_once(config)
    work = layer(config, acts, weights)
    (got,) = CoreModel(emitted.verilog, emitted.manifest).run([work]).outputs
    np.testing.assert_array_equal(got, expected(config, work))
    if config.book.holds_all:
        assert not got[:, [3, 8]].any()  # x - x is +0.


@pytest.mark.verilator
@pytest.mark.parametrize("stalls", [Stalls(), Stalls(30, 40, 40, 40)], ids=["free", "stalls"])
@pytest.mark.parametrize("config", CORES.values(), ids=CORES)
def test_infinities_and_nan_spoil_their_token_only(config, stalls):
    number, sums = config.float_number, config.sum_number
    specials = [number.quiet_nan, number.quiet_nan | 1 << (number.bits - 1)]
    if number.infinity is not None:
        specials += [number.infinity, number.infinity | 1 << (number.bits - 1), number.infinity + 1]
    rng = np.random.default_rng(2)
    acts = rng.integers(0, number.largest // 2, (40, 29)).astype(np.uint16)
    weights = rng.integers(-1, 1, (17, 29), endpoint=True)
    weights[:, 5] = 0  # A special activation counts even where every weight is zero.
    weights = nearest_weights(config, weights, 1 + 9 * (np.arange(29) == 5))
    assert not weights[:, 5].any()
    spoilt = rng.choice(40, 15, replace=False)
    acts[spoilt, rng.integers(0, 29, 15)] = rng.choice(specials, 15)
    acts[spoilt[0], 5] = specials[0]
    emitted = emitted_once(config)
    work = layer(config, acts, weights)
    result = CoreModel(emitted.verilog, emitted.manifest).run([work], stalls, seed=3)
    (got,), (errors,) = result.outputs, result.errors
    np.testing.assert_array_equal(got, expected(config, work))
    assert (got[spoilt] == sums.quiet_nan).all()
    clean = np.setdiff1d(np.arange(40), spoilt)
    assert (got[clean] != sums.quiet_nan).any(axis=1).all()
    assert errors.tolist() == [bool(config.exponent_bits and t in spoilt) for t in range(40)]


@pytest.mark.verilator
@pytest.mark.parametrize("stalls", [Stalls(), Stalls(30, 40, 40, 40)], ids=["free", "stalls"])
@pytest.mark.parametrize("config", ALIGNED.values(), ids=ALIGNED)
def test_an_activation_above_its_token_raises_the_error_flag(config, stalls):
    """One activation one exponent too large, anywhere in the token, and the next token is clean."""
    number = config.float_number
    rng = np.random.default_rng(5)
    acts = any_codes(number, rng, (30, 40)).astype(np.uint16)
    weights = random_weights(config, rng, (5, 40), np.int64)
    exponents = golden_fixed.token_exponents(acts, config.act)
    low = exponents > 1
    exponents[low & (np.arange(30) % 3 == 0)] -= 1
    too_low = low & (np.arange(30) % 3 == 0)
    emitted = emitted_once(config)
    work = Work(acts, weights, exponents)
    result = CoreModel(emitted.verilog, emitted.manifest).run([work], stalls, seed=3)
    np.testing.assert_array_equal(result.outputs[0], expected(config, work))
    assert result.errors[0].tolist() == too_low.tolist()
    assert (result.outputs[0][too_low] == config.sum_number.quiet_nan).all()


@pytest.mark.verilator
@pytest.mark.parametrize("config", ALIGNED.values(), ids=ALIGNED)
def test_beats_of_a_token_that_differ_in_exponent_raise_the_error_flag(config):
    emitted = emitted_once(config)
    model = CoreModel(emitted.verilog, emitted.manifest)
    weights = nearest_weights(config, np.ones((3, 40), np.int8))
    work = Work(np.ones((4, 40), np.uint16), weights, np.full(4, 5))
    packed = model.pack([work])
    beats_of_token = -(-40 // config.tile_n)
    exponent = config.tile_n * config.act_bits
    beats.put_field(packed.acts[beats_of_token + 1 :][:1], np.array([2]), exponent)  # 5 | 2 = 7
    result = model.run(packed)
    assert result.errors[0].tolist() == [False, True, False, False]
