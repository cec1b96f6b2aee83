"""Any linear layer on any core, or on several: how it is cut into runs, and put together again.

A core sees raw numbers only. Scales, those of groups along N too, and a bias are applied outside;
so are sums over parts of N. Layers larger than a core's counters, and layers whose scales change
along N, take several runs, queued one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgen.spec.schedule import Run, Traffic
from hwgen.spec.structure import Structure, structure
from hwgen.spec.system import System
from sim.checkpoints import Scales
from sim.golden import fixed as golden_fixed
from sim.golden.codebooks import GroupError
from sim.verilated.runner import CoreModel, Stalls, Work
from sim.workload.reference import reference


@dataclass(frozen=True)
class LayerShape:
    """A linear layer: M outputs from N inputs, whose scales change ``segments`` - 1 times along N.

    ValueError unless the segments are equal: N divisible by their number.
    """

    out_features: int
    in_features: int
    segments: int = 1

    def __post_init__(self) -> None:
        if self.in_features % self.segments:
            raise ValueError(
                f"in_features should be divisible by the {self.segments} scales along them, "
                f"not {self.in_features}"
            )


@dataclass(frozen=True)
class LayerPart:
    """What one run computes of a layer: outputs of some rows over some of the inputs."""

    rows: slice
    columns: slice
    segment: int

    def run(self, tokens: int) -> Run:
        """The run that computes this part, of ``tokens`` tokens."""
        return Run(tokens, self.columns.stop - self.columns.start, self.rows.stop - self.rows.start)


@dataclass(frozen=True)
class LayerCycles:
    """Where the cycles of one layer go; they add up to ``total``.

    work: those in which every multiplier-accumulator would be busy; a fraction of one counts.
    padding: the rest of the tiles: outputs and inputs that fill up tiles, and idle cores.
    waits: for the accumulating adder. stalls: for the weight stream. latency: of filling and
    draining the pipeline.
    weight_cycles: that the weight stream alone would take; 0 without a limit.
    tiles: of all cores.
    """

    total: int
    work: float
    padding: float
    waits: int
    stalls: int
    latency: int
    weight_cycles: float
    tiles: int
    traffic: Traffic

    @property
    def parts(self) -> dict[str, float]:
        """What ``total`` is made of, in cycles."""
        names = ("work", "padding", "waits", "latency", "stalls")
        return {name: float(getattr(self, name)) for name in names}

    @property
    def bandwidth_bound(self) -> bool:
        """Whether the weight stream takes longer than the tiles."""
        return self.weight_cycles > self.total - self.stalls - self.latency


@dataclass(frozen=True)
class Plan:
    """A layer of some tokens on a system: the runs of each core that has any.

    bits_per_cycle: that all weight streams together bring; None: no limit.
    """

    system: System
    shape: LayerShape
    bits_per_cycle: Fraction | None = None

    @cached_property
    def structure(self) -> Structure:
        """Structure of each core."""
        return structure(self.system.core)

    @cached_property
    def parts(self) -> tuple[tuple[LayerPart, ...], ...]:
        """The runs of each core in order. Outputs are split by whole tiles, the last cores have
        fewer or none; each core's by ``max_out_features`` and, within these, inputs by segment and
        ``max_in_features``, of a codebook that does not have all weights by whole groups."""
        core, shape = self.system.core, self.shape
        # Of any weights a core may take a part; of others, whole groups.
        step = core.max_in_features
        step -= 0 if core.book.holds_all else step % core.mu
        tiles = -(-shape.out_features // core.tile_m)
        rows = -(-tiles // self.system.cores) * core.tile_m
        width = shape.in_features // shape.segments
        cores = []
        for start in range(0, shape.out_features, rows):
            stop = min(start + rows, shape.out_features)
            cores.append(
                tuple(
                    LayerPart(
                        slice(row, min(row + core.max_out_features, stop)),
                        slice(column, min(column + step, (segment + 1) * width)),
                        segment,
                    )
                    for row in range(start, stop, core.max_out_features)
                    for segment in range(shape.segments)
                    for column in range(segment * width, (segment + 1) * width, step)
                )
            )
        return tuple(cores)

    @property
    def beat_cycles(self) -> Fraction | None:
        """Cycles for a beat of each core's weight stream; those with work share the bandwidth."""
        if self.bits_per_cycle is None:
            return None
        return (
            len(self.parts) * Fraction(self.structure.schedule.key_beat_bits) / self.bits_per_cycle
        )

    def cycles(self, tokens: int) -> LayerCycles:
        """Until the last core has its last result, exactly; where they go is of the first core."""
        schedule = self.structure.schedule
        by_core = [[part.run(tokens) for part in parts] for parts in self.parts]
        total = max(schedule.cycles(runs, self.beat_cycles) for runs in by_core)
        steady = sum(schedule.steady_cycles(run) for run in by_core[0])
        beats = sum(schedule.tiles(run) for run in by_core[0])
        work = tokens * self.shape.in_features * self.shape.out_features
        busy = work / self.system.weights_per_cycle
        moved = [schedule.traffic(run) for runs in by_core for run in runs]
        return LayerCycles(
            total=total,
            work=busy,
            padding=beats - busy,
            waits=steady - beats,
            stalls=total - steady - schedule.latency,
            latency=schedule.latency,
            weight_cycles=float(beats * (self.beat_cycles or 0)),
            tiles=sum(schedule.tiles(run) for runs in by_core for run in runs),
            traffic=Traffic(
                weight_bits=sum(one.weight_bits for one in moved),
                act_bits=sum(schedule.traffic(run).act_bits for run in by_core[0]),
                sum_bits=sum(one.sum_bits for one in moved),
            ),
        )


@dataclass(frozen=True, eq=False)
class Linear:
    """The weights of a layer (M, N), for kind multiplier of the activations' type, else ternary."""

    name: str
    weights: NDArray[Any]
    scales: Scales | None = None
    bias: NDArray[np.float64] | None = None

    @property
    def shape(self) -> LayerShape:
        segments = 1 if self.scales is None else self.scales.values.shape[1]
        outputs, inputs = self.weights.shape
        return LayerShape(outputs, inputs, segments)

    def outputs(
        self, plan: Plan, products: Sequence[Sequence[NDArray[Any]]], act_scale: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Real outputs (T, M): runs over inputs added up, scales undone, bias added.

        products: of every run, as `Plan.parts` has them: exact sums, or codes.
        act_scale: (T,), what activations were multiplied by before they were rounded.
        """
        core = plan.system.core
        tokens = len(act_scale)
        sums = np.zeros((self.shape.segments, tokens, self.shape.out_features))
        for parts, found in zip(plan.parts, products, strict=True):
            for part, values in zip(parts, found, strict=True):
                real = values
                if core.sum_number is not None:
                    real = golden_fixed.decode(values, core.sum_number.name)
                sums[part.segment][:, part.rows] += real
        total = np.zeros((tokens, self.shape.out_features))
        for segment, values in enumerate(sums):
            total += values * self._gain(segment)
        total /= act_scale[:, None]
        return total if self.bias is None else total + self.bias

    def _gain(self, segment: int) -> NDArray[np.float64]:
        """Factor of each output in a segment."""
        if self.scales is None:
            return np.ones(self.shape.out_features)
        column = self.scales.values[:, segment]
        if self.scales.convention == "divide":
            column = np.divide(1, column, out=np.zeros_like(column), where=column != 0)
        return np.repeat(column, self.shape.out_features // len(column))


def integer_products(plan: Plan, products: Sequence[Sequence[NDArray[Any]]]) -> NDArray[np.int64]:
    """Exact sums of each segment (segments, T, M) of a layer on integer cores: runs over inputs
    added up."""
    tokens = len(products[0][0])
    sums = np.zeros((plan.shape.segments, tokens, plan.shape.out_features), np.int64)
    for parts, found in zip(plan.parts, products, strict=True):
        for part, values in zip(parts, found, strict=True):
            sums[part.segment][:, part.rows] += values
    return sums


@dataclass(frozen=True, eq=False)
class LayerResult:
    """products: of every run of every core. cycles: until the last core has its last result."""

    products: list[list[NDArray[np.int64]]]
    cycles: int


def run_golden(plan: Plan, acts: NDArray[Any], linear: Linear) -> list[list[NDArray[np.int64]]]:
    """The products of every run, from golden. acts: (T, N), codes if floating-point.

    GroupError for weights that the core's codebook does not have.
    """

    def products(part: LayerPart, piece: Work) -> NDArray[np.int64]:
        try:
            return reference(plan.system.core, piece.acts, piece.weights, piece.exponents)
        except GroupError as error:
            rows, columns = part.rows.start, part.columns.start
            raise error.within(linear.name, rows, columns) from None

    return [
        [
            products(part, piece)
            for part, piece in zip(parts, _work(plan, parts, acts, linear), strict=True)
        ]
        for parts in plan.parts
    ]


def run_rtl(
    model: CoreModel,
    plan: Plan,
    acts: NDArray[Any],
    linear: Linear,
    seed: int = 0,
    stalls: Stalls | None = None,
) -> LayerResult:
    """The products of every run, from the compiled core; the cores of a system one after another.

    acts: (T, N), codes if floating-point. ModelError if the core does not finish.
    """
    products, cycles = [], 0
    for parts in plan.parts:
        work = _work(plan, parts, acts, linear)
        result = model.run(work, stalls, seed, plan.beat_cycles)
        products.append(result.outputs)
        cycles = max(cycles, result.cycles)
    return LayerResult(products, cycles)


def _work(plan: Plan, parts: Sequence[LayerPart], acts: NDArray[Any], linear: Linear) -> list[Work]:
    core = plan.system.core
    exponents = golden_fixed.token_exponents(acts, core.act) if core.exponent_bits else None
    return [
        Work(acts[:, part.columns], linear.weights[part.rows, part.columns], exponents)
        for part in parts
    ]
