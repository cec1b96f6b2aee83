"""Highest clock of a core on an FPGA: the slowest stage between registers, from unit delays.

A stage is a chain of steps (look-up tables in series, adders on carry chains, their longest carry)
that a core's structure fixes. Its delay is a sum over the chain of a few unit delays, fitted on
placed and routed cores; the largest one limits the clock. Adders behind one another overlap in
their carries: a bit of the second one waits for the same bit of the first, so that only the widest
of them counts. Wires are in the unit delays: each step ends with one, longer where it has many
sinks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from costmodel.technology import Residual
from hwgen.config import Strict
from hwgen.fixedspec import FromFixedSpec, ToFixedSpec
from hwgen.floatspec import FloatAccumulateSpec, FloatReduceSpec
from hwgen.fpspec import ADD_CUTS, MUL_CUTS
from hwgen.number import FloatFormat
from hwgen.primitive import Primitive
from hwgen.spec import TOKEN_BITS, ProductSpec
from hwgen.structure import Structure


class Step(NamedTuple):
    """A stretch of a path. ``levels``: LUTs in series; ``adders`` in series, the longest carry of
    ``bits``; ``sinks`` of what it starts from. ``held``: a register stands behind it."""

    component: str
    levels: float = 0
    adders: int = 0
    bits: int = 0
    sinks: float = 1
    held: bool = False


TERMS = {
    "start": "clock to output, set-up, and the wire from the register",
    "level": "one LUT and the wire behind it",
    "adder": "onto a carry chain, off it, and the wire behind it",
    "bit": "one bit of a carry",
    "sinks": "each doubling of the sinks of a step's source",
}


class Stage(NamedTuple):
    """What lies between registers: its components in order, and how much of each of TERMS."""

    name: str
    terms: tuple[float, ...]


class Delays(Strict):
    """Unit delays of a family, ns."""

    terms: Annotated[dict[str, float], Field(description="ns for one of each of TERMS")]
    residual: Annotated[Residual, Field(description="of the training cores' clocks, after the fit")]
    method: Annotated[str, Field(description="how the clocks were measured")]
    tool: Annotated[str, Field(description="tools and versions")]


class Clock(NamedTuple):
    """Highest clock, and the stage that limits it."""

    fmax_mhz: float
    stage: str


def clock(structure: Structure, delays: Delays) -> Clock:
    """Highest clock of a core, MHz, and the components of its slowest stage, joined by ``+``."""
    units = np.array([delays.terms[name] for name in TERMS])
    found = stages(structure)
    periods = [float(np.dot(stage.terms, units)) for stage in found]
    slowest = int(np.argmax(periods))
    return Clock(1000 / periods[slowest], found[slowest].name)


def stages(structure: Structure) -> list[Stage]:
    """Every stage between registers; registers at the ports count as such."""
    return [
        _stage(part)
        for path in (_data(structure), _feedback(structure), _output(structure))
        for part in _between_registers(path)
    ] + [_stage([step]) for step in _control(structure)]


def fit_delays(
    cores: Sequence[Structure], fmax_mhz: Sequence[float], method: str, tool: str
) -> Delays:
    """Unit delays that bring the clocks of ``cores`` nearest to what was measured.

    Which stage limits depends on the delays: found by turns, from PRIOR_NS on. Least squares of the
    relative error with RIDGE; no delay below a tenth of its prior.
    """
    prior = np.array([PRIOR_NS[name] for name in TERMS])
    units = prior.copy()
    measured = np.array([1000 / mhz for mhz in fmax_mhz])
    tables = [np.array([stage.terms for stage in stages(core)]) for core in cores]
    for _ in range(ROUNDS):
        slowest = np.array([table[int(np.argmax(table @ units))] for table in tables])
        units = (units + _solve(slowest / measured[:, None], prior)) / 2
    units = np.array([round(float(unit), 4) for unit in units])
    errors = [
        abs(period / float(np.max(table @ units)) - 1)
        for table, period in zip(tables, measured, strict=True)
    ]
    return Delays(
        terms=dict(zip(TERMS, units.tolist(), strict=True)),
        residual=Residual(
            max_relative=round(max(errors), 4),
            mean_relative=round(sum(errors) / len(errors), 4),
            points=len(errors),
        ),
        method=method,
        tool=tool,
    )


PRIOR_NS = {"start": 1.2, "level": 0.9, "adder": 1.4, "bit": 0.04, "sinks": 0.1}
"""Where the fit starts, and what a delay stays near that the training cores say little of."""
RIDGE, ROUNDS = 0.02, 40


def _solve(rows: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Least squares of rows @ x = 1, in units of the prior; at least a tenth of it."""
    scaled = rows * prior
    lowest, free = 0.1, np.ones(len(prior), bool)
    result = np.full(len(prior), lowest)
    while free.any():
        ridge = np.sqrt(RIDGE) * np.eye(int(free.sum()))
        left = np.concatenate([scaled[:, free], ridge])
        right = np.concatenate([1 - scaled[:, ~free].sum(axis=1) * lowest, np.diag(ridge)])
        solution = np.linalg.lstsq(left, right, rcond=None)[0]
        result[free] = np.maximum(solution, lowest)
        below = solution < lowest
        if not below.any():
            break
        free[np.flatnonzero(free)[below]] = False
    return result * prior


def _stage(steps: Sequence[Step]) -> Stage:
    names = list(dict.fromkeys(step.component for step in steps))
    chained = max((step.bits for step in steps), default=0)
    return Stage(
        "+".join(names),
        (
            1.0,
            sum(step.levels for step in steps),
            float(sum(step.adders for step in steps)),
            float(chained),
            sum(math.log2(max(step.sinks, 1)) for step in steps),
        ),
    )


def _between_registers(path: Iterable[Step]) -> Iterator[list[Step]]:
    part: list[Step] = []
    for step in path:
        part.append(step)
        if step.held:
            yield part
            part = []
    if part:
        yield part


def _select(entries: int) -> float:
    """LUTs in series of a multiplexer: two index bits each, and multiplexers behind LUTs."""
    return max(1.0, math.log2(max(entries, 1)) / 2 + 0.5)


def _any(bits: int) -> float:
    """LUTs in series that see whether any of some bits is set."""
    return max(1.0, math.log(max(bits, 1), 4))


def _data(structure: Structure) -> Iterator[Step]:
    """From the activations to the accumulators."""
    config = structure.config
    if structure.to_fixed is not None:
        yield _to_fixed(structure.to_fixed)
    yield from _build(structure)
    yield from _fetch(structure, config.ports)
    yield from _reduce(structure)
    yield from _accumulate(structure)


def _build(structure: Structure) -> Iterator[Step]:
    spec = structure.build
    held = set(spec.cuts)
    if 0 in held:
        yield Step("tables", held=True)
    for level in range(1, spec.dag.levels + 1):
        if isinstance(spec.number, FloatFormat):
            yield from _fp_add("build", spec.number, spec.registers, level in held)
            continue
        bits = [
            spec.bits(spec.mu + place)
            for place in range(len(spec.dag.sums))
            if spec.dag.depth[spec.mu + place] == level
        ]
        yield Step("build", 0, 1, max(bits), sinks=spec.mu, held=level in held)


def _fetch(structure: Structure, ports: int) -> Iterator[Step]:
    spec = structure.fetch
    if not isinstance(spec, ProductSpec):
        levels = _select(len(spec.cases) + 1) + (1.0 if spec.floating and spec.half else 0.0)
        yield Step("fetch", levels, sinks=ports, held=spec.registered)
    elif isinstance(spec.number, FloatFormat):
        steps = _mul_steps(spec.number)
        cuts = MUL_CUTS[spec.registers]
        for place, (levels, adders, bits) in enumerate(steps, 1):
            held = place in cuts or (place == len(steps) and spec.registered)
            yield Step("fetch", levels, adders, bits, ports if place == 1 else 1, held)
    else:
        rows = spec.number.bits
        levels = 1 + math.ceil(math.log(max(rows, 2) / 2, 1.5))
        yield Step("fetch", levels, 1, 2 * rows, ports, spec.registered)


def _reduce(structure: Structure) -> Iterator[Step]:
    spec = structure.reduce
    if isinstance(spec, FloatReduceSpec):
        for level in range(1, len(spec.widths)):
            yield from _fp_add("reduce", spec.number, spec.registers, level in spec.cuts)
        return
    for level, nodes in enumerate(spec.levels):
        if level:
            yield Step("reduce", 0, 1, max(node.bits for node in nodes), held=level in spec.cuts)


def _accumulate(structure: Structure) -> Iterator[Step]:
    spec = structure.accumulate
    if isinstance(spec, FloatAccumulateSpec):
        if spec.widen is not None and not spec.widen.is_wires:
            bits = spec.widen.source.mantissa_bits
            yield Step("accumulate", 2 * bits.bit_length(), 1, spec.number.exponent_bits)
        yield from _fp_add("accumulate", spec.number, spec.registers, True)
        return
    yield Step("accumulate", 2.0 if spec.saturate else 0.0, 1, spec.adder_bits, held=True)


def _feedback(structure: Structure) -> Iterator[Step]:
    """From the accumulators to themselves."""
    spec = structure.accumulate
    yield Step("accumulate", _select(spec.reuse) if spec.reuse > 1 else 1.0)
    if isinstance(spec, FloatAccumulateSpec):
        yield from _fp_add("accumulate", spec.number, spec.registers, True)
    else:
        yield Step("accumulate", 2.0 if spec.saturate else 0.0, 1, spec.adder_bits, held=True)


def _output(structure: Structure) -> Iterator[Step]:
    if structure.from_fixed is not None:
        yield _from_fixed(structure.from_fixed)


def _fp_add(component: str, number: FloatFormat, registers: int, held: bool) -> Iterator[Step]:
    steps = _add_steps(number)
    for place, (levels, adders, bits) in enumerate(steps, 1):
        last = place == len(steps)
        yield Step(
            component, levels, adders, bits, held=place in ADD_CUTS[registers] or (last and held)
        )


def _add_steps(number: FloatFormat) -> list[tuple[float, int, int]]:
    """LUT levels, adders and carry bits of the five steps of an adder."""
    mantissa, exponent = number.mantissa_bits, number.exponent_bits
    shifts = (mantissa + 2).bit_length()
    return [
        (1 + _any(exponent), 2, number.bits - 1 + exponent),  # Compare, exchange, distance.
        (1.0 + min(shifts, exponent), 0, 0),
        (1.0, 1, mantissa + 5),
        (shifts * 2.0, 0, 0),
        (2.0 + _any(exponent), 2, exponent + mantissa + 2),  # Lower the exponent, round.
    ]


def _mul_steps(number: FloatFormat) -> list[tuple[float, int, int]]:
    """LUT levels, adders and carry bits of the five steps of a multiplier."""
    mantissa, exponent = number.mantissa_bits, number.exponent_bits
    rows, shifts = mantissa + 1, (mantissa + 1).bit_length()
    return [
        (1 + _any(exponent) + rows // 2, 0, 0),
        (rows - rows // 2, 1, rows),
        (2.0 + shifts, 1, exponent),
        (float(shifts), 0, 0),
        (2.0 + _any(exponent), 2, exponent + mantissa + 2),
    ]


def _to_fixed(spec: ToFixedSpec) -> Step:
    number = spec.point.number
    steps = number.exponent_bits
    if spec.point.aligned_bits is not None:
        steps = min(spec.bits.bit_length(), number.exponent_bits) + 1
    return Step("convert", steps + 1 + _any(number.exponent_bits), 2, spec.bits)


def _from_fixed(spec: FromFixedSpec) -> Step:
    levels = 1 + sum(1 + _any(min(1 << step, spec.bits)) for step in range(spec.steps))
    return Step("convert", levels, 2, spec.bits + spec.number.bits)


def _control(structure: Structure) -> Iterator[Step]:
    """Counters to their own enables; and to those of the tables' registers."""
    spec = structure.control
    sinks = _held_bits(structure)
    compare = _any(2 * max(spec.in_tile_bits, 1))
    yield Step("control", compare + 4 + spec.build_stages / 2, 1, spec.in_tile_bits, sinks)
    yield Step("control", _any(TOKEN_BITS) + 4, 1, TOKEN_BITS, 64)


def _held_bits(structure: Structure) -> float:
    """Flip-flops behind one enable: most of those of a table or of the accumulators."""
    bits = [
        sum(p.width * number for p, number in counts.items() if p.kind == "register_enable")
        for counts in structure.counts.values()
    ]
    return max([1.0, *map(float, bits)])
