"""What a configuration means in hardware, decided once: units, cuts, latency, counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import Any, Literal, NamedTuple, get_args

from hwgen.spec.config import CoreConfig
from hwgen.spec.counts import (
    accumulate_counts,
    build_counts,
    counter_counts,
    fetch_counts,
    from_fixed_counts,
    handshake_counts,
    limit_counts,
    reduce_counts,
    table_counts,
    tile_index_counts,
    to_fixed_counts,
)
from hwgen.spec.fixed import FromFixedSpec, ToFixedSpec
from hwgen.spec.number import FloatFormat
from hwgen.spec.primitive import Counts, scaled
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


SizeAxis = Literal["tables", "ports", "reuse"]
SIZE_AXES: tuple[SizeAxis, ...] = get_args(SizeAxis)
"""Sizes in which cores of one shape differ."""


class Size(NamedTuple):
    """What the primitives of a unit depend on of one size of a core.

    value: of that size, in a core of any tables, ports and reuse. Without a field it is a size
    again, which stands for all of the same value; else it is the content of the ``field`` of the
    unit's spec in which alone the size shows.
    """

    axis: SizeAxis
    value: Callable[[CoreConfig, int], int]
    field: str | None = None


def _in_tile_bits(core: CoreConfig, tables: int) -> int:
    return (-(-core.max_in_features // (tables * core.mu))).bit_length()


def _out_tile_bits(core: CoreConfig, ports: int) -> int:
    return (-(-core.max_out_features // ports)).bit_length()


def _tile_stages(core: CoreConfig, tables: int) -> int:
    return sized(core, tables=tables).control.tile_stages


TABLES = Size("tables", lambda core, tables: tables)
SATURATED_TABLES = Size(
    "tables", lambda core, tables: tables if core.acc_overflow == "saturate" else 1
)
"""Tables where accumulators saturate; to others the width of what they add does not matter."""
IN_TILE_BITS = Size("tables", _in_tile_bits, "in_tile_bits")
TILE_STAGES = Size("tables", _tile_stages, "tile_stages")
OUT_TILE_BITS = Size("ports", _out_tile_bits, "out_tile_bits")
REUSE = Size("reuse", lambda core, reuse: reuse)
REUSED = Size("reuse", lambda core, reuse: min(reuse, 2))
"""Whether a table serves more than one tile."""
UNIT_SIZES = (TABLES, SATURATED_TABLES, IN_TILE_BITS, TILE_STAGES, OUT_TILE_BITS, REUSE, REUSED)
"""All of them, by axis."""


class UnitKind(NamedTuple):
    """Units of a core that are all equal, and what they depend on.

    number: from tables, ports and mu, integers or arrays of them. spec: what one unit is. counts:
    its primitives, as written; merged: what is left of them once synthesis has merged what is
    equal, where that is less. sizes: all that the spec's primitives depend on of tables, ports and
    reuse, one of each axis at most.
    """

    component: str
    number: Callable[[Any, Any, int], Any]
    spec: Callable[[Structure], Any]
    counts: Callable[[Any], Counts]
    sizes: tuple[Size, ...] = ()
    merged: Callable[[Any], Counts] | None = None

    @property
    def cost(self) -> Callable[[Any], Counts]:
        """Primitives that one unit costs, from its spec."""
        return self.merged or self.counts

    def spec_of(self, core: CoreConfig, values: Sequence[int]) -> Any:
        """The spec of a unit in any core like ``core``, whose ``sizes`` have these values."""
        found = list(zip(self.sizes, values, strict=True))
        spec = self.spec(sized(core, **{s.axis: v for s, v in found if s.field is None}))
        fields = {size.field: value for size, value in found if size.field is not None}
        return replace(spec, **fields) if fields else spec


def _per_table(tables: Any, ports: Any, mu: int) -> Any:
    return tables


def _per_port(tables: Any, ports: Any, mu: int) -> Any:
    return ports


def _one(tables: Any, ports: Any, mu: int) -> Any:
    return 1


UNIT_KINDS = (
    UnitKind(
        "build",
        _per_table,
        lambda core: core.build,
        build_counts,
        (REUSED,),
        merged=partial(build_counts, merged=True),
    ),
    UnitKind(
        "tables",
        _per_table,
        lambda core: core.build,
        table_counts,
        (REUSED,),
        merged=partial(table_counts, merged=True),
    ),
    UnitKind(
        "fetch", lambda tables, ports, mu: tables * ports, lambda core: core.fetch, fetch_counts
    ),
    UnitKind("reduce", _per_port, lambda core: core.reduce, reduce_counts, (TABLES,)),
    UnitKind(
        "accumulate",
        _per_port,
        lambda core: core.accumulate,
        accumulate_counts,
        (SATURATED_TABLES, REUSE),
    ),
    UnitKind(
        "control", _one, lambda core: core.control, counter_counts, (IN_TILE_BITS, OUT_TILE_BITS)
    ),
    UnitKind("control", _one, lambda core: core.control, handshake_counts, (TILE_STAGES, REUSE)),
    UnitKind("control", _one, lambda core: core.control, tile_index_counts, (OUT_TILE_BITS, REUSE)),
    UnitKind(
        "convert",
        lambda tables, ports, mu: tables * mu,
        lambda core: core.to_fixed,
        to_fixed_counts,
    ),
    UnitKind("convert", _per_port, lambda core: core.from_fixed, from_fixed_counts),
    UnitKind("convert", _one, lambda core: core.from_fixed, limit_counts),
)
"""What every core is made of, in the order in which costs are added up."""


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
            in_tile_bits=IN_TILE_BITS.value(c, c.tables),
            out_tile_bits=OUT_TILE_BITS.value(c, c.ports),
            build_stages=len(self.build.stages),
            tile_stages=self.fetch.register_stages + self.reduce.register_stages,
            add_stages=self.accumulate.register_stages,
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
        return self.accumulate.register_stages + 1

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
        return tuple(
            Units(kind.component, self._number(kind), kind.cost(kind.spec(self)))
            for kind in UNIT_KINDS
        )

    def _number(self, kind: UnitKind) -> int:
        number: int = kind.number(self.config.tables, self.config.ports, self.config.mu)
        return number

    @cached_property
    def counts(self) -> dict[str, Counts]:
        """Primitives of the whole core by component (``COMPONENTS``), exactly as written."""
        counts: dict[str, Counts] = {name: Counter() for name in COMPONENTS}
        for kind in UNIT_KINDS:
            counts[kind.component] += scaled(kind.counts(kind.spec(self)), self._number(kind))
        return counts

    @property
    def total(self) -> Counts:
        """Primitives of the whole core."""
        return sum(self.counts.values(), Counter())


def sized(core: CoreConfig, tables: int = 1, ports: int = 1, reuse: int = 1) -> Structure:
    """The structure of a core like ``core`` but for these sizes, which are legal ones."""
    return structure(core.model_copy(update={"tables": tables, "ports": ports, "reuse": reuse}))


@lru_cache(maxsize=65536)
def structure(config: CoreConfig) -> Structure:
    """The structure of a core; ``config`` is valid by construction."""
    return Structure(config)
