"""What a configuration means in hardware, decided once: widths, trees, cuts, latency, counts.

The Amaranth components build what these specs say, and the cost model counts them. Every spec is
frozen and hashable: two units with equal specs are one Verilog module.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property, lru_cache

from hwgen.codebook import Codebook, ternary
from hwgen.config import CoreConfig
from hwgen.dag import SumDag, sum_dag
from hwgen.floatspec import FloatAccumulateSpec, FloatReduceSpec
from hwgen.number import FloatFormat, Interval, IntFormat
from hwgen.primitive import Counts, Primitive, scaled

TOKEN_BITS = 16
"""Width of `commands.tokens`; a run has at most 2^16 - 1 tokens."""

COMPONENTS = ("build", "tables", "fetch", "reduce", "accumulate", "control", "convert")


def _cuts(levels: int, every: int) -> tuple[int, ...]:
    """Levels after which a register stands, one after each ``every`` levels; none for 0."""
    return tuple(range(every, levels + 1, every)) if every else ()


@dataclass(frozen=True)
class BuildSpec:
    """One table: the sums of ``mu`` activations, and the registers that hold or cut them.

    ``cuts`` are the DAG levels after which registers stand; the last one holds the table (or,
    at level 0, the activations) while it serves its tiles.
    """

    number: IntFormat | FloatFormat
    mu: int
    codebook: str
    builder: str
    half: bool
    cuts: tuple[int, ...]

    @property
    def book(self) -> Codebook:
        return ternary(self.mu)

    @property
    def dag(self) -> SumDag:
        return sum_dag(self.book, self.builder, self.half, isinstance(self.number, FloatFormat))

    @property
    def module_name(self) -> str:
        if not self.dag.sums:
            return f"hold_mu{self.mu}_{self.number.name}"
        table = "" if self.half else "_full"
        cuts = "".join(f"_r{cut}" for cut in self.cuts)
        return f"lut_build_mu{self.mu}_{self.number.name}_{self.builder}{table}{cuts}"

    def interval(self, reference: int) -> Interval:
        """Range of a sum: its weights times activations at either end of their range."""
        assert isinstance(self.number, IntFormat)
        acts = Interval(self.number.lowest, self.number.highest)
        total = Interval(0, 0)
        for weight in self.dag.vector(reference):
            total = total + (acts if weight > 0 else -acts if weight < 0 else Interval(0, 0))
        return total

    def bits(self, reference: int) -> int:
        """Width of a sum, bits: exact, and B + ⌈log2 k⌉ for an entry with k non-zeros."""
        if reference < self.mu or isinstance(self.number, FloatFormat):
            return self.number.bits
        return self.interval(reference).bits

    def name(self, reference: int) -> str:
        """Name of a sum from its weights: p adds, m subtracts, z leaves out an activation."""
        return "sum_" + "".join("zpm"[weight] for weight in self.dag.vector(reference))

    @cached_property
    def outputs(self) -> tuple[int, ...]:
        return self.dag.outputs

    @cached_property
    def output_bits(self) -> tuple[int, ...]:
        """Stored width of each entry, bits."""
        return tuple(self.bits(output) for output in self.outputs)

    def live(self, cut: int) -> tuple[int, ...]:
        """References that cross the boundary after DAG level ``cut``."""
        wanted = set(self.outputs)
        for position, add in enumerate(self.dag.sums):
            if self.dag.depth[self.mu + position] > cut:
                wanted.update(r for r in (add.left, add.right) if r is not None)
        return tuple(sorted(r for r in wanted if self.dag.depth[r] <= cut))

    def cut_bits(self, cut: int) -> int:
        return sum(self.bits(reference) for reference in self.live(cut))


@dataclass(frozen=True)
class FetchSpec:
    """One fetch port of one table: select by index, negate by sign."""

    entry_bits: tuple[int, ...]
    mu: int
    codebook: str
    half: bool
    registered: bool
    floating: bool = False

    @property
    def book(self) -> Codebook:
        return ternary(self.mu)

    @property
    def carry(self) -> bool:
        """Whether a negated entry leaves as its one's complement, with a carry."""
        return self.half and not self.floating

    @property
    def term_bits(self) -> int:
        """Width of a selected entry, bits: the widest one."""
        return max(self.entry_bits)

    @property
    def key_bits(self) -> int:
        return self.book.key_bits

    @property
    def module_name(self) -> str:
        table = "" if self.half else "_full"
        register = "_r" if self.registered else ""
        floating = "_float" if self.floating else ""
        return f"lut_fetch_mu{self.mu}_w{self.term_bits}{floating}{table}{register}"

    @property
    def cases(self) -> tuple[tuple[int, int], ...]:
        """(key or index value, stored entry) of every case of the multiplexer."""
        entries = len(self.book.entries)
        if self.half:
            return tuple((i, i) for i in range(entries))
        sign = 1 << self.book.index_bits
        return tuple((i, i) for i in range(entries)) + tuple(
            (sign + i, entries + i) for i in range(entries)
        )


@dataclass(frozen=True)
class ProductSpec:
    """One port of the multiplier baseline: activation × weight, full or rounded product."""

    number: IntFormat | FloatFormat
    registered: bool

    @property
    def term_bits(self) -> int:
        return self.number.bits * (1 if isinstance(self.number, FloatFormat) else 2)

    @property
    def carry(self) -> bool:
        return False

    @property
    def key_bits(self) -> int:
        return self.number.bits

    @property
    def module_name(self) -> str:
        return f"product_{self.number.name}{'_r' if self.registered else ''}"


@dataclass(frozen=True)
class Node:
    """One word of the reduction tree: a term, a sum of two nodes, or a node passed on.

    ``bits`` is the word's width. With ``carry``, the value is word + a carry bit that is still
    to be added; it is that of the node's last leaf.
    """

    left: int
    right: int | None
    bits: int


@dataclass(frozen=True)
class ReduceSpec:
    """The reduction of one port: L terms to one word, L - 1 adders, ⌈log2 L⌉ levels.

    With ``carry``, terms are one's complements with a carry each; every adder takes in one of
    them, and one is left for the accumulator. ``max_bits`` narrows words where the accumulator
    wraps there anyway.
    """

    terms: int
    term: Interval
    term_bits: int
    carry: bool
    max_bits: int | None
    cuts: tuple[int, ...]

    @property
    def module_name(self) -> str:
        cuts = "".join(f"_r{cut}" for cut in self.cuts)
        carry = "_carry" if self.carry else ""
        wrap = f"_wrap{self.max_bits}" if self.max_bits is not None else ""
        reach = max(self.term.high, -self.term.low)
        return f"reduce_{self.terms}x{self.term_bits}_reach{reach}{carry}{wrap}{cuts}"

    @cached_property
    def levels(self) -> tuple[tuple[Node, ...], ...]:
        """Nodes of each level; node i of a level adds nodes 2i and 2i + 1 of the one below."""
        leaf = Node(0, None, self._clip(self.term_bits))
        below, leaves = [leaf] * self.terms, [1] * self.terms
        levels = [tuple(below)]
        while len(below) > 1:
            nodes, sizes = [], []
            for i in range(0, len(below) - 1, 2):
                size = leaves[i] + leaves[i + 1]
                nodes.append(Node(i, i + 1, self._clip(self._word(size).bits)))
                sizes.append(size)
            if len(below) % 2:
                nodes.append(Node(len(below) - 1, None, below[-1].bits))
                sizes.append(leaves[-1])
            below, leaves = nodes, sizes
            levels.append(tuple(below))
        return tuple(levels)

    def _word(self, leaves: int) -> Interval:
        """Range of the word that sums ``leaves`` terms, its last carry not yet added.

        The last term is then a one's complement, which reaches one less upwards.
        """
        total = self.term.times(leaves)
        return Interval(total.low, total.high - 1) if self.carry else total

    def _clip(self, bits: int) -> int:
        return bits if self.max_bits is None else min(bits, self.max_bits)

    @property
    def word_bits(self) -> int:
        return self.levels[-1][0].bits

    @property
    def word(self) -> Interval:
        """Range of the whole sum, carry included."""
        return self.term.times(self.terms)


@dataclass(frozen=True)
class AccumulateSpec:
    """The accumulators of one port: ``reuse`` words of ``sum_bits`` and one adder."""

    word_bits: int
    carry: bool
    sum_bits: int
    reuse: int
    saturate: bool

    @property
    def module_name(self) -> str:
        carry = "_carry" if self.carry else ""
        saturate = "_saturate" if self.saturate else ""
        return f"accumulate_d{self.reuse}_w{self.word_bits}_to{self.sum_bits}{carry}{saturate}"

    @property
    def adder_bits(self) -> int:
        """Width of the adder's result: that of the sum, or wide enough to see it overflow."""
        return max(self.sum_bits, self.word_bits) + 1 if self.saturate else self.sum_bits

    @property
    def index_bits(self) -> int:
        return (self.reuse - 1).bit_length()


@dataclass(frozen=True)
class ControlSpec:
    """Loop counters and handshakes of a core.

    ``build_stages`` registers stand between the activation stream and fetch, ``tile_stages``
    between fetch and accumulation. With ``special`` a flag goes along with every activation beat.
    """

    reuse: int
    in_tile_bits: int
    out_tile_bits: int
    build_stages: int
    tile_stages: int
    special: bool = False

    @property
    def module_name(self) -> str:
        special = "_special" if self.special else ""
        return (
            f"control_d{self.reuse}_i{self.in_tile_bits}_o{self.out_tile_bits}"
            f"_b{self.build_stages}_t{self.tile_stages}{special}"
        )

    @property
    def index_bits(self) -> int:
        return (self.reuse - 1).bit_length()


@dataclass(frozen=True)
class ToFixedSpec:
    """One activation from floating to fixed point, in units of its format's least subnormal."""

    number: FloatFormat

    @property
    def bits(self) -> int:
        """Signed bits that hold every finite activation exactly: 41 for fp16."""
        return self.number.fixed_bits

    @property
    def module_name(self) -> str:
        return f"to_fixed_{self.number.name}"


@dataclass(frozen=True)
class FromFixedSpec:
    """One output from fixed point of ``bits`` bits to floating point, rounded once."""

    number: FloatFormat
    bits: int

    @property
    def steps(self) -> int:
        """Stages of the normalising shifter; together they shift by 2^steps - 1 bits."""
        return (self.bits - self.number.mantissa_bits - 1).bit_length()

    @property
    def module_name(self) -> str:
        return f"from_fixed_w{self.bits}_{self.number.name}"


@dataclass(frozen=True)
class TableSpec:
    """One table with its build and all its fetch ports; also one group of a baseline."""

    build: BuildSpec
    fetch: FetchSpec | ProductSpec
    ports: int

    @property
    def has_build(self) -> bool:
        """False where the table is the activations as they arrive: nothing to add or hold."""
        return bool(self.build.dag.sums or self.build.cuts)

    @property
    def module_name(self) -> str:
        kind = "group" if isinstance(self.fetch, ProductSpec) else "table"
        build = self.build
        parts = [f"{kind}_mu{build.mu}_{build.number.name}_k{self.ports}"]
        if build.dag.sums:
            parts.append(build.builder)
        if not build.half and isinstance(self.fetch, FetchSpec):
            parts.append("full")
        parts += [f"r{cut}" for cut in build.cuts]
        if self.fetch.registered:
            parts.append("fetch_r")
        return "_".join(parts)


@dataclass(frozen=True)
class PortSpec:
    """One output port: reduction over the tables, then accumulation."""

    reduce: ReduceSpec | FloatReduceSpec
    accumulate: AccumulateSpec | FloatAccumulateSpec

    @property
    def module_name(self) -> str:
        return f"port_{self.reduce.module_name}_{self.accumulate.module_name}"


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
        else:
            cuts = (0,) if c.reuse > 1 else ()
        return BuildSpec(c.table_number, c.mu, c.book.name, c.builder_name, half, cuts)

    @cached_property
    def fetch(self) -> FetchSpec | ProductSpec:
        c = self.config
        registered = bool(c.pipeline.fetch)
        if c.kind == "multiplier":
            return ProductSpec(c.table_number, registered)
        return FetchSpec(
            entry_bits=self.build.output_bits,
            mu=c.mu,
            codebook=c.book.name,
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
            return FloatReduceSpec(c.table_number, c.tables, cuts)
        wraps = c.acc_overflow == "wrap"
        return ReduceSpec(
            terms=c.tables,
            term=c.term.times(c.mu),
            term_bits=c.term_bits,
            carry=c.half_table,
            max_bits=c.sum_bits if wraps else None,
            cuts=cuts,
        )

    @cached_property
    def accumulate(self) -> AccumulateSpec | FloatAccumulateSpec:
        c = self.config
        if isinstance(c.table_number, FloatFormat):
            return FloatAccumulateSpec(c.table_number, c.reuse)
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
            build_stages=len(self.build.cuts),
            tile_stages=int(self.fetch.registered) + len(self.reduce.cuts),
            special=c.arith == "fixed",
        )

    @property
    def to_fixed(self) -> ToFixedSpec | None:
        """What turns each activation into fixed point, where that is needed."""
        number = self.config.float_number
        return None if number is None or self.config.arith != "fixed" else ToFixedSpec(number)

    @property
    def from_fixed(self) -> FromFixedSpec | None:
        """What rounds each output to floating point, where that is needed."""
        number = self.config.float_number
        if number is None or self.config.arith != "fixed":
            return None
        return FromFixedSpec(number, self.config.sum_bits)

    @property
    def accumulator_latency(self) -> int:
        """R: cycles from reading an accumulator until its new value can be read."""
        return 1

    @property
    def latency(self) -> int:
        """Cycles of a run beyond its tiles: command, build, tile pipeline, and the result's edge.

        Counted from the edge that takes the command to the edge that moves the last result, both
        included, with every stream offered from the command on and none stalling.
        """
        return max(1, self.control.build_stages) + self.control.tile_stages + 1

    @cached_property
    def counts(self) -> dict[str, Counts]:
        """Primitives of the whole core by component (``COMPONENTS``); exact."""
        c = self.config
        tables, ports = c.tables, c.ports
        return {
            "build": scaled(build_counts(self.build), tables),
            "tables": scaled(table_counts(self.build), tables),
            "fetch": scaled(fetch_counts(self.fetch), tables * ports),
            "reduce": scaled(reduce_counts(self.reduce), ports),
            "accumulate": scaled(accumulate_counts(self.accumulate), ports),
            "control": control_counts(self.control),
            "convert": self._convert_counts(),
        }

    def _convert_counts(self) -> Counts:
        """Conversions to fixed point and back; none for integers."""
        number = self.config.float_number
        if number is None or self.from_fixed is None:
            return Counter()
        return Counter(
            {
                Primitive(f"to_fixed_{number.name}", number.fixed_bits): self.config.tile_n,
                Primitive(f"from_fixed_{number.name}", self.from_fixed.bits): self.config.ports,
            }
        )

    @property
    def total(self) -> Counts:
        """Primitives of the whole core."""
        return sum(self.counts.values(), Counter())


@lru_cache(maxsize=65536)
def structure(config: CoreConfig) -> Structure:
    """The structure of a core; ``config`` is valid by construction."""
    return Structure(config)


# Counts of one unit. Each line names what the component of the same name builds.


@lru_cache(maxsize=4096)
def build_counts(spec: BuildSpec) -> Counts:
    counts: Counts = Counter()
    for position, add in enumerate(spec.dag.sums):
        if not isinstance(spec.number, FloatFormat):
            kind = "negate" if add.left is None else "adder"
            counts[Primitive(kind, spec.bits(spec.mu + position))] += 1
        elif add.left is not None:  # A negation alone is a wire from an inverted sign.
            counts[Primitive(f"fp_add_{spec.number.name}", spec.number.bits)] += 1
    for cut in spec.cuts[:-1]:
        counts[Primitive("register_enable", spec.cut_bits(cut))] += 1
    return counts


@lru_cache(maxsize=4096)
def table_counts(spec: BuildSpec) -> Counts:
    """What holds the table (or the activations) while it serves its tiles."""
    if not spec.cuts:
        return Counter()
    return Counter({Primitive("register_enable", spec.cut_bits(spec.cuts[-1])): 1})


def fetch_counts(spec: FetchSpec | ProductSpec) -> Counts:
    counts: Counts = Counter()
    if isinstance(spec, ProductSpec) and isinstance(spec.number, FloatFormat):
        counts[Primitive(f"fp_mul_{spec.number.name}", spec.number.bits)] += 1
    elif isinstance(spec, ProductSpec):
        counts[Primitive("multiplier", spec.term_bits, spec.number.bits)] += 1
    else:
        counts[Primitive("fetch_mux", spec.term_bits, len(spec.cases))] += 1
        if spec.carry:
            counts[Primitive("xor_row", spec.term_bits)] += 1
        elif spec.half:
            counts[Primitive("gate", 2)] += 1  # The sign bit alone,
            counts[Primitive("equal", spec.book.index_bits)] += 1  # which zero does not have.
    if spec.registered:
        counts[Primitive("register_enable", spec.term_bits + spec.carry)] += 1
    return counts


@lru_cache(maxsize=4096)
def reduce_counts(spec: ReduceSpec | FloatReduceSpec) -> Counts:
    counts: Counts = Counter()
    if isinstance(spec, FloatReduceSpec):
        if spec.terms > 1:
            counts[Primitive(f"fp_add_{spec.number.name}", spec.number.bits)] += spec.terms - 1
        for cut in spec.cuts:
            counts[Primitive("register_enable", spec.widths[cut] * spec.number.bits)] += 1
        return counts
    adder = "adder_carry" if spec.carry else "adder"
    for level, nodes in enumerate(spec.levels):
        if level:
            for node in nodes:
                if node.right is not None:
                    counts[Primitive(adder, node.bits)] += 1
        if level in spec.cuts:
            bits = sum(node.bits + spec.carry for node in nodes)
            counts[Primitive("register_enable", bits)] += 1
    return counts


def accumulate_counts(spec: AccumulateSpec | FloatAccumulateSpec) -> Counts:
    counts: Counts = Counter()
    if isinstance(spec, FloatAccumulateSpec):
        counts[Primitive(f"fp_add_{spec.number.name}", spec.number.bits)] += 1
        counts[Primitive("mux", spec.sum_bits, 2)] += 1  # The first n-tile is loaded.
    else:
        counts[Primitive("adder_carry" if spec.carry else "adder", spec.adder_bits)] += 1
        counts[Primitive("and_row", spec.sum_bits)] += 1
    if isinstance(spec, AccumulateSpec) and spec.saturate:
        counts[Primitive("clamp", spec.sum_bits, spec.adder_bits)] += 1
    if spec.reuse > 1:
        counts[Primitive("mux", spec.sum_bits, spec.reuse)] += 1
        counts[Primitive("register_enable", spec.sum_bits)] += 1  # The outputs.
    counts[Primitive("register_enable", spec.sum_bits)] += spec.reuse
    return counts


def control_counts(spec: ControlSpec) -> Counts:
    """Counters, handshakes, tags: adders and registers exact, comparators and gates as written."""
    inner, outer, index = spec.in_tile_bits, spec.out_tile_bits, spec.index_bits
    counts: Counts = Counter()

    def add(kind: str, width: int, fan_in: int = 0, number: int = 1) -> None:
        if width and number:
            counts[Primitive(kind, width, fan_in)] += number

    for width in (inner, TOKEN_BITS, outer):  # in_tile + 1, tokens_left - 1, tiles_left - reuse
        add("adder", width)
    for width in (inner, inner, TOKEN_BITS, outer):  # first, last n-tile, last token, last block
        add("equal", width)
    add("mux", TOKEN_BITS, 2)
    add("mux", outer, 3)
    add("and_row", inner)
    add("register_enable", inner + 2 * outer + TOKEN_BITS)  # in_tiles, out_tiles, *_left
    add("register_enable_reset", inner)  # in_tile
    add("register_enable_reset", 1, number=2 + spec.build_stages + spec.tile_stages)  # valid bits
    add("register_enable", 1)  # sums_last
    add("register_enable", 3 + index, number=spec.tile_stages)  # tags
    add("gate", 12 + 3 * spec.build_stages + 2 * spec.tile_stages)
    if spec.special:
        add("register_enable", 1, number=2 + spec.build_stages + spec.tile_stages)
        add("gate", 2)
    if spec.reuse > 1:
        add("adder", index + 1)  # tile_index + 1
        add("equal", index + 1)
        add("equal", max(index + 1, outer))
        add("equal", index, number=spec.reuse)  # write enables
        add("gate", spec.reuse + 1)
        add("and_row", index)
        add("register_enable_reset", index)  # tile_index
    return counts
