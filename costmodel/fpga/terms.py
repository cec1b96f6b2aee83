"""The elements of a path on an FPGA as look-up tables in series and adders on carry chains.

Levels are counted for the units as they are built (`hwgen.rtl`), in look-up tables of four inputs.
The delay of one level is fitted (`costmodel.fpga.clock`), so that only proportions matter.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from costmodel.cells.paths import ELEMENTS, Element, Path
from hwgen.spec.fp import ADD_CUTS, MUL_CUTS
from hwgen.spec.number import FloatFormat
from hwgen.spec.primitive import Family

TERMS = {
    "register": "clock to output, set-up, and the wire behind the register",
    "level": "one LUT and the wire behind it",
    "adder": "onto a carry chain, off it, and the wire behind it",
    "bit": "one bit of carry",
    "fanout": "each doubling of the sinks of a signal",
}


class Terms(NamedTuple):
    """Amount of each of TERMS."""

    register: float = 0
    level: float = 0
    adder: float = 0
    bit: float = 0
    fanout: float = 0

    def plus(self, other: Terms, times: float = 1) -> Terms:
        return Terms(*(a + times * b for a, b in zip(self, other, strict=True)))


def path_terms(path: Path) -> Terms:
    """The amount of each of TERMS on a path."""
    total = Terms()
    for element, number in path.elements:
        total = total.plus(element_terms(element), number)
    for element, number in path.halves:
        total = total.plus(element_terms(element), number / 2)
    for element, adder in path.ripples:
        total = total.plus(element_terms(element)).plus(element_terms(adder), -1)
    if path.sinks is not None:
        total = total.plus(element_terms(Element("fanout", path.sinks)))
    return total


def element_terms(element: Element) -> Terms:
    """The amount of each of TERMS in one element of a path; ValueError for an unknown kind.

    A unit with registers inside counts as its slowest stage.
    """
    kind, size = element
    simple = {
        "register": Terms(register=1),
        "adder": Terms(adder=1, bit=size),
        "adder_before": Terms(adder=1, bit=1),
        "fetch_mux": Terms(level=_select(size + 1)),
        "mux": Terms(level=_select(size)),
        "gate": Terms(level=0.5),  # It often fits a LUT that is there anyway.
        "equal": Terms(level=_any(2 * size)),
        "fanout": Terms(fanout=math.log2(max(size, 1))),
        "sum_fanout": Terms(fanout=math.log2(max(size, 1))),
        "clamp": Terms(level=2),
        "multiplier": Terms(level=1 + _rows(size), adder=1, bit=2 * size),
    }
    if kind in simple:
        return simple[kind]
    if kind not in ELEMENTS or (number := ELEMENTS[kind].number) is None:
        raise ValueError(f"{kind} is no element of a path")
    unit = ELEMENTS[kind]
    if unit.family is Family.FP_ADD:
        stages = _stages(_add_steps(number), ADD_CUTS[size - 1])
        if unit.chain:
            return stages[-1].plus(stages[0])
        return _slowest(stages).plus(Terms(register=size > 1))  # Such a stage is its own path.
    if unit.family is Family.FP_MUL:
        return _slowest(_stages(_mul_steps(number), MUL_CUTS[size - 1]))
    if unit.family is Family.WIDEN:
        bits = number.mantissa_bits
        return Terms(level=2 * bits.bit_length(), adder=1, bit=number.exponent_bits)
    if unit.family is Family.TO_FIXED:
        steps = size.bit_length() + 1 if unit.aligned else number.exponent_bits
        shift = min(steps, number.exponent_bits + 1)
        return Terms(level=shift + _any(number.exponent_bits), adder=2, bit=size)
    assert unit.target is not None
    # Magnitude, normalising shift, exponent, rounding, overflow.
    gates = 2 if unit.aligned else 0
    shifts = _normalise((size - 1).bit_length(), gates)
    return Terms(level=shifts + _any(size) + 4, adder=3, bit=size + 2 * unit.target.bits)


def _normalise(steps: int, gates: int) -> float:
    """Levels of a normalising shifter: each step tests its highest bits, and ``gates`` more where
    the distance is limited, then selects."""
    return sum(1 + _any((1 << step) + gates) for step in range(steps))


def _stages(steps: list[Terms], cuts: tuple[int, ...]) -> list[Terms]:
    """The sum of the steps between each two registers."""
    ends = [*cuts, len(steps)]
    starts = [0, *cuts]
    stages = []
    for start, end in zip(starts, ends, strict=True):
        total = Terms()
        for step in steps[start:end]:
            total = total.plus(step)
        stages.append(total)
    return stages


def _slowest(stages: list[Terms]) -> Terms:
    return max(stages, key=lambda stage: stage.level + 1.5 * stage.adder + 0.05 * stage.bit)


def _select(words: int) -> float:
    """Levels of a multiplexer: each takes two bits of the index, some of them behind LUTs."""
    return max(1.0, math.log2(max(words, 1)) / 2 + 0.5)


def _any(bits: int) -> float:
    """Levels of an OR of ``bits`` bits."""
    return max(1.0, math.log(max(bits, 1), 4))


def _rows(bits: int) -> int:
    """Levels of carry-save adders that reduce ``bits`` rows to two."""
    return max(0, math.ceil(math.log(max(bits, 2) / 2, 1.5)))


def _add_steps(number: FloatFormat) -> list[Terms]:
    """The five steps of a rounding adder: order, align, add, normalise, round."""
    mantissa, exponent = number.mantissa_bits, number.exponent_bits
    shifts = (mantissa + 2).bit_length()
    return [
        Terms(level=1 + _any(exponent), adder=2, bit=number.bits - 1 + exponent),
        Terms(level=1 + min(shifts, exponent)),
        Terms(level=1, adder=1, bit=mantissa + 5),
        Terms(level=_normalise(shifts, 2)),
        Terms(level=2 + _any(exponent), adder=2, bit=exponent + mantissa + 2),
    ]


def _mul_steps(number: FloatFormat) -> list[Terms]:
    """The five steps of a multiplier: half the rows, product, shift, normalise, round."""
    mantissa, exponent = number.mantissa_bits, number.exponent_bits
    rows, shifts = mantissa + 1, (mantissa + 1).bit_length()
    return [
        Terms(level=1 + _any(exponent) + rows // 2),
        Terms(level=rows - rows // 2, adder=1, bit=rows),
        Terms(level=2 + shifts, adder=1, bit=exponent),
        Terms(level=shifts),
        Terms(level=2 + _any(exponent), adder=2, bit=exponent + mantissa + 2),
    ]
