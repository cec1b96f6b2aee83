"""Damaged cores: the batch runner against golden notices every one, by the sign written here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from hwgen.spec.config import CoreConfig
from hwgen.spec.number import FLOATS, FloatFormat
from hwgen.spec.structure import structure
from sim.golden.fixed import token_exponents
from sim.verilated.beats import pack_fields, unpack_fields
from sim.verilated.model import ModelError
from sim.verilated.runner import CoreModel, Packed, Stalls, Work
from tests.support.cases import CASES
from tests.support.damages import ALIGNED, DAMAGES, SOUND, WAITING, WIDE
from tests.support.emitted import emitted
from tests.support.layers import expected, random_work, runs

pytestmark = pytest.mark.verilator

STALLS = Stalls(commands=30, acts=30, keys=30, sums=60)
SIGNS = {"stuck": "stuck: ", "count": "input beats not taken", "last": "last should be "}
"""What the runner says of a broken protocol; `count` is of results and of inputs taken."""


class Round(NamedTuple):
    """Beats that a core is given, and for each layer what should come out: outputs, error flags."""

    name: str
    beats: Packed
    wanted: list[tuple[NDArray, NDArray]]
    stalls: Stalls = Stalls()


def noticed(name: str, verilog: str) -> str | None:
    """The first sign of a fault in ``verilog``, printed for the case ``name``; None without any.

    Queued layers with and without stalls: a broken protocol, wrong outputs, wrong cycles. Then what
    a sound user would not send: signs of zero groups, which shall not matter, and tokens whose
    exponents differ, which are flagged.
    """
    config, manifest = CASES[name], emitted(CASES[name]).manifest
    model = CoreModel(verilog, manifest)  # Damage that does not compile proves nothing.
    work = random_work(config, np.random.default_rng(1))
    if config.float_number is not None:
        work += strange_work(config, config.float_number, np.random.default_rng(2))
    for turn in _rounds(config, model, work):
        try:
            result = model.run(turn.beats, turn.stalls, seed=1)
        except ModelError as error:
            return next(sign for sign, said in SIGNS.items() if said in str(error)) + turn.name
        for wanted, got, errors in zip(turn.wanted, result.outputs, result.errors, strict=True):
            if not np.array_equal(got, wanted[0]):
                return f"outputs{turn.name}"
            if not np.array_equal(errors, wanted[1]):
                return f"errors{turn.name}"
        if not turn.name and result.cycles != structure(config).schedule.cycles(runs(work)):
            return "cycles"
    return None


def _rounds(config: CoreConfig, model: CoreModel, work: list[Work]) -> Iterator[Round]:
    wanted = [(expected(config, piece), unfit(config, piece)) for piece in work]
    packed = model.pack(work)
    yield Round("", packed, wanted)
    yield Round(" under stalls", packed, wanted, STALLS)
    if config.kind != "multiplier":
        yield Round(" with signs of zero groups", signed_zero_groups(config, packed), wanted)
    if config.exponent_bits and config.sum_number is not None:
        flagged = np.ones(len(work[-1].acts), np.bool_)
        outputs = np.full_like(wanted[-1][0], config.sum_number.quiet_nan)
        beats_of_work = differing_exponents(model, work[-1])
        yield Round(" where exponents differ", beats_of_work, [(outputs, flagged)])


def strange_work(config: CoreConfig, number: FloatFormat, rng: np.random.Generator) -> list[Work]:
    """Short sums, so that single additions show.

    Zeros of both signs alone; any finite numbers; subnormals and the next; numbers close to each
    other, whose sums are often ties; pairs that cancel; an infinity or NaN in every other token.
    """
    sign, step = 1 << (number.bits - 1), 1 << number.mantissa_bits
    one = number.bias * step
    shape, outs = (24, 12), 9
    signs = sign * rng.integers(0, 2, shape)
    zeros = signs.copy()
    zeros[0], zeros[1] = 0, sign
    any_codes = signs | rng.integers(0, number.largest, shape, endpoint=True)
    small = signs | rng.integers(0, 3 * step, shape)
    near = signs | rng.integers(one, one + 4 * step, shape)
    pairs = any_codes.copy()
    pairs[:, 1::2] = pairs[:, ::2] ^ sign
    spoilt = near.copy()
    infinity = number.infinity or number.quiet_nan
    specials = [infinity, infinity | sign, number.quiet_nan, number.quiet_nan | sign]
    spoilt[1::2][np.diag_indices(shape[1])] = np.resize(specials, shape[1])
    spoilt[-1, :2] = specials[:2]
    weights = rng.integers(-1, 1, (outs, shape[1]), endpoint=True) * rng.integers(
        0, 2, (outs, shape[1])
    )
    weights[0], weights[1] = 1, -1
    if config.kind == "multiplier":
        codes = rng.integers(one - step, one + step, weights.shape)
        weights = np.where(weights, codes | sign * (weights < 0), 0)
    layers = (zeros, any_codes, small, near, pairs, spoilt)
    if not config.exponent_bits:
        return [Work(acts, weights) for acts in layers]
    work = [Work(acts, weights, token_exponents(acts, config.act)) for acts in layers]
    too_low = token_exponents(near, config.act) - np.arange(len(near)) % 2
    return [*work, Work(near, weights, too_low)]


def unfit(config: CoreConfig, work: Work) -> NDArray[np.bool_]:
    """Tokens of an aligned core that have an infinity, NaN, or too low an exponent."""
    if work.exponents is None:
        return np.zeros(len(work.acts), np.bool_)
    number = FLOATS[config.act]
    magnitudes = work.acts & ((1 << (number.bits - 1)) - 1)
    above = magnitudes >> number.mantissa_bits > work.exponents[:, None]
    return np.any(above | (magnitudes > number.largest), axis=1)


def signed_zero_groups(config: CoreConfig, packed: Packed) -> Packed:
    """The same beats, but that the key of each group of zeros says that it is negative."""
    bits, count = config.weight_bits, config.tables * config.ports
    keys = unpack_fields(packed.keys, bits, count) & ((1 << bits) - 1)
    zero = config.book.zero_index
    keys[keys == zero] |= 1 << (bits - 1)
    return replace(packed, keys=pack_fields(keys, bits))


def differing_exponents(model: CoreModel, work: Work) -> Packed:
    """Every other beat with an exponent higher by 1; of two n-tiles, the second."""
    assert work.exponents is not None
    one, other = model.pack([work]), model.pack([replace(work, exponents=work.exponents + 1)])
    assert len(one.acts) % (2 * len(work.acts)) == 0
    second = np.arange(len(one.acts)) % 2 == 1
    return replace(one, acts=np.where(second[:, None], other.acts, one.acts))


SOUND += [ALIGNED, WAITING, WIDE]


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_noticed_without_damage(name):
    assert noticed(name, emitted(CASES[name]).verilog) is None


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_noticed(damage):
    verilog = emitted(CASES[damage.case]).verilog
    assert len(re.findall(re.escape(damage.old), verilog)) == 1
    assert noticed(damage.case, verilog.replace(damage.old, damage.new)) == damage.sign
