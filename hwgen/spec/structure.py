"""What a configuration means in hardware, decided once: units, cuts, latency, counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from hwgen.spec.config import CoreConfig
from hwgen.spec.counts import (
    accumulate_counts,
    build_counts,
    counter_counts,
    fetch_counts,
    handshake_counts,
    reduce_counts,
    table_counts,
    tile_index_counts,
)
from hwgen.spec.fixed import FromFixedSpec, ToFixedSpec
from hwgen.spec.number import FloatFormat
from hwgen.spec.primitive import Counts, Primitive, scaled
from hwgen.spec.rounding import FloatAccumulateSpec, FloatReduceSpec
from hwgen.spec.schedule import Schedule
from hwgen.spec.sums import sum_dag
from hwgen.spec.units import (
    AccumulateSpec,
    BuildSpec,
    ControlSpec,
    FetchSpec,
    PortSpec,
    ProductSpec,
    ReduceSpec,
    TableSpec,
)

COMPONENTS = ("build", "tables", "fetch", "reduce", "accumulate", "control", "convert")


def _cuts(levels: int, every: int) -> tuple[int, ...]:
    """Levels after which a register stands, one after each ``every`` levels; none for 0."""
    return tuple(range(every, levels + 1, every)) if every else ()


class Units(NamedTuple):
    """Equal units of one component, how many, and the primitives of one of them."""

    component: str
    number: int
    counts: Counts


@dataclass(frozen=True)
class Structure:
    """Everything that the hardware, the cost model and the manifest need to know of a core."""

    config: CoreConfig

    @property
    def module_name(self) -> str:
        """Name of the top module."""
        return self.config.name or "core"

    @property
    def inner_modules(self) -> frozenset[str]:
        """Names of all modules below the top."""
        port = self.port
        units = (self.control, self.table, self.build, self.fetch, port, port.reduce)
        all_units = (*units, port.accumulate, self.to_fixed, self.from_fixed)
        return frozenset(unit.module_name for unit in all_units if unit is not None)

    @cached_property
    def build(self) -> BuildSpec:
        c = self.config
        half = c.half_table or c.kind == "multiplier"
        floating = isinstance(c.table_number, FloatFormat)
        dag = sum_dag(c.book, c.builder_name, half, floating)
        if c.registered_table:
            cuts = _cuts(dag.levels, c.pipeline.build)
            if not cuts or cuts[-1] != dag.levels:
                cuts = (*cuts, dag.levels)
        elif c.pipeline.fp_add and dag.levels:
            cuts = ()  # The last registers in the adders hold the table.
        else:
            cuts = (0,) if c.reuse > 1 else ()
        registers = c.pipeline.fp_add if dag.levels else 0
        return BuildSpec(c.table_number, c.book, c.builder_name, half, cuts, registers)

    @cached_property
    def fetch(self) -> FetchSpec | ProductSpec:
        c = self.config
        registered = bool(c.pipeline.fetch)
        if c.kind == "multiplier":
            return ProductSpec(c.table_number, registered, c.pipeline.fp_mul)
        return FetchSpec(
            entry_bits=self.build.output_bits,
            book=c.book,
            half=c.half_table,
            registered=registered,
            floating=isinstance(c.table_number, FloatFormat),
        )

    @cached_property
    def table(self) -> TableSpec:
        return TableSpec(self.build, self.fetch, self.config.ports)

    @cached_property
    def reduce(self) -> ReduceSpec | FloatReduceSpec:
        c = self.config
        cuts = _cuts((c.tables - 1).bit_length(), c.pipeline.reduce)
        if isinstance(c.table_number, FloatFormat):
            registers = c.pipeline.fp_add if c.tables > 1 else 0
            return FloatReduceSpec(c.table_number, c.tables, cuts, registers)
        wraps = c.acc_overflow == "wrap"
        return ReduceSpec(
            terms=c.tables,
            term=c.group,
            term_bits=c.term_bits,
            carry=c.half_table,
            max_bits=c.sum_bits if wraps else None,
            cuts=cuts,
        )

    @cached_property
    def accumulate(self) -> AccumulateSpec | FloatAccumulateSpec:
        c = self.config
        if isinstance(c.table_number, FloatFormat):
            assert c.sum_number is not None
            registers = c.pipeline.fp_add
            return FloatAccumulateSpec(c.sum_number, c.reuse, c.table_number, registers)
        return AccumulateSpec(
            word_bits=self.reduce.word_bits,
            carry=c.half_table,
            sum_bits=c.sum_bits,
            reuse=c.reuse,
            saturate=c.acc_overflow == "saturate",
        )

    @cached_property
    def port(self) -> PortSpec:
        return PortSpec(self.reduce, self.accumulate)

    @cached_property
    def control(self) -> ControlSpec:
        c = self.config
        return ControlSpec(
            reuse=c.reuse,
            in_tile_bits=c.max_in_tiles.bit_length(),
            out_tile_bits=c.max_out_tiles.bit_length(),
            build_stages=len(self.build.stages),
            tile_stages=self.fetch.loads + self.reduce.loads,
            add_stages=self.accumulate.loads,
            special=c.arith == "fixed",
            exponent_bits=c.exponent_bits,
        )

    @property
    def to_fixed(self) -> ToFixedSpec | None:
        """What turns each activation into fixed point, where that is needed."""
        point = self.config.fixed_point
        return None if point is None or self.config.arith != "fixed" else ToFixedSpec(point)

    @property
    def from_fixed(self) -> FromFixedSpec | None:
        """What rounds each output to floating point, where that is needed."""
        number, point = self.config.sum_number, self.config.fixed_point
        if number is None or point is None or self.config.arith != "fixed":
            return None
        return FromFixedSpec(number, self.config.sum_bits, point)

    @property
    def accumulator_latency(self) -> int:
        """R: cycles from reading an accumulator until its new value can be read."""
        return self.accumulate.loads + 1

    @property
    def latency(self) -> int:
        """Cycles of a run beyond its tiles: command, build, tile pipeline, and the result's edge.

        Counted from the edge that takes the command to the edge that moves the last result, both
        included, with every stream offered from the command on and none stalling.
        """
        control = self.control
        return max(1, control.build_stages) + control.tile_stages + control.add_stages + 1

    @cached_property
    def schedule(self) -> Schedule:
        """When the core does what: its loop nest, cycles and traffic."""
        c = self.config
        return Schedule(
            tile_n=c.tile_n,
            tile_m=c.tile_m,
            reuse=c.reuse,
            accumulator_latency=self.accumulator_latency,
            latency=self.latency,
            first_key=max(1, self.control.build_stages),
            act_beat_bits=c.tile_n * c.act_bits + c.exponent_bits,
            key_beat_bits=c.tables * c.ports * c.weight_bits,
            sum_beat_bits=c.ports * c.out_bits,
        )

    @cached_property
    def units(self) -> tuple[Units, ...]:
        """What the core is made of: so many units of a component, and the primitives of one.

        Of a table that builds one sum twice, or stores a number and its negative, what synthesis
        merges counts once: this is what a core costs.
        """
        return self._units(merged=True)

    def _units(self, merged: bool) -> tuple[Units, ...]:
        c = self.config
        tables, ports = c.tables, c.ports
        return (
            Units("build", tables, build_counts(self.build, merged)),
            Units("tables", tables, table_counts(self.build, merged)),
            Units("fetch", tables * ports, fetch_counts(self.fetch)),
            Units("reduce", ports, reduce_counts(self.reduce)),
            Units("accumulate", ports, accumulate_counts(self.accumulate)),
            Units("control", 1, counter_counts(self.control)),
            Units("control", 1, handshake_counts(self.control)),
            Units("control", 1, tile_index_counts(self.control)),
            *self._converters(),
        )

    def _converters(self) -> tuple[Units, ...]:
        """Conversions to fixed point and back; empty for integers."""
        to, back, c = self.to_fixed, self.from_fixed, self.config
        inward, outward, shared = Counts(), Counts(), Counts()
        if to is not None and back is not None:
            inward[Primitive(to.kind, to.bits)] = 1
            outward[Primitive(back.kind, back.bits)] = 1
            if c.exponent_bits:
                shared[Primitive("adder", back.limit_bits)] = 1
        return (
            Units("convert", c.tile_n, inward),
            Units("convert", c.ports, outward),
            Units("convert", 1, shared),
        )

    @cached_property
    def counts(self) -> dict[str, Counts]:
        """Primitives of the whole core by component (``COMPONENTS``), exactly as written."""
        counts: dict[str, Counts] = {name: Counter() for name in COMPONENTS}
        for component, number, one in self._units(merged=False):
            counts[component] += scaled(one, number)
        return counts

    @property
    def total(self) -> Counts:
        """Primitives of the whole core."""
        return sum(self.counts.values(), Counter())


@lru_cache(maxsize=65536)
def structure(config: CoreConfig) -> Structure:
    """The structure of a core; ``config`` is valid by construction."""
    return Structure(config)
