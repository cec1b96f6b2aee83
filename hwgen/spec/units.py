"""What each unit of a core is: frozen and hashable, with a name that tells it from every other.

The Amaranth components build what these specs say, and `hwgen.spec.counts` counts them. Two units
with equal specs are one Verilog module.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

from hwgen.spec.codebook import Codebook
from hwgen.spec.number import FloatFormat, Interval, IntFormat
from hwgen.spec.rounding import FloatAccumulateSpec, FloatReduceSpec, RegisterStage, pipeline_stages
from hwgen.spec.sums import SumDag, sum_dag

TOKEN_BITS = 16
"""Width of `commands.tokens`; a run has at most 2^16 - 1 tokens."""


@dataclass(frozen=True)
class BuildSpec:
    """One table: the sums of a codebook's entries, and the registers that hold or cut them.

    ``cuts`` are the DAG levels after which registers stand; ``registers`` stand in every adder of
    floating-point numbers. The last of them all holds the table (or, at level 0, the activations)
    while it serves its tiles.
    """

    number: IntFormat | FloatFormat
    book: Codebook
    builder: str
    half: bool
    cuts: tuple[int, ...]
    registers: int = 0

    @property
    def mu(self) -> int:
        return self.book.mu

    @cached_property
    def dag(self) -> SumDag:
        return sum_dag(self.book, self.builder, self.half, isinstance(self.number, FloatFormat))

    @property
    def module_name(self) -> str:
        if not self.dag.sums:
            return f"hold_{self.book.slug}_{self.number.name}"
        table = "" if self.half else "_full"
        cuts = "".join(f"_r{cut}" for cut in self.cuts)
        adders = f"_add{self.registers}" if self.registers else ""
        name = f"{self.book.slug}_{self.number.name}_{self.builder}"
        return f"lut_build_{name}{table}{adders}{cuts}"

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
        return _sum_bits(self.number, self.book, self.builder, self.half)[reference - self.mu]

    def name(self, reference: int) -> str:
        """Name of a sum from its weights: p adds, m subtracts, z leaves out an activation."""
        return "sum_" + "".join("zpm"[weight] for weight in self.dag.vector(reference))

    @cached_property
    def unique_names(self) -> tuple[str, ...]:
        """Names of all sums; of one that is computed more than once, later ones are numbered."""
        seen: dict[str, int] = {}
        names = []
        for position in range(len(self.dag.sums)):
            name = self.name(self.mu + position)
            seen[name] = seen.get(name, 0) + 1
            names.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
        return tuple(names)

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

    @cached_property
    def stages(self) -> tuple[RegisterStage, ...]:
        """Register stages in order, the first one nearest to the activations."""
        return pipeline_stages(self.dag.levels, self.registers, self.cuts)

    def crossing(self, stage: RegisterStage) -> tuple[int, ...]:
        """References that a stage registers, apart from what its adders do inside."""
        live = self.live(stage.level)
        if not stage.inner:
            return live
        return tuple(r for r in live if self.dag.depth[r] < stage.level)

    def stage_bits(self, stage: RegisterStage) -> int:
        return sum(self.bits(reference) for reference in self.crossing(stage))

    def merged_stage_bits(self, stage: RegisterStage) -> int:
        """Without what synthesis merges: equal sums, and all but the signs of negated numbers."""
        distinct = {self.dag.representatives[reference] for reference in self.crossing(stage)}
        return sum(1 if self.is_sign(r) else self.bits(r) for r in distinct)

    def is_sign(self, reference: int) -> bool:
        """Whether this is a floating-point sum or activation, negated: nothing but its sign."""
        if reference < self.mu or not isinstance(self.number, FloatFormat):
            return False
        return self.dag.sums[reference - self.mu].left is None


@cache
def _sum_bits(number: IntFormat, book: Codebook, builder: str, half: bool) -> tuple[int, ...]:
    """Widths of all sums, bits: the same in all cores that share these, thousands in a sweep."""
    spec = BuildSpec(number, book, builder, half, ())
    sums = range(book.mu, book.mu + len(spec.dag.sums))
    return tuple(spec.interval(reference).bits for reference in sums)


@dataclass(frozen=True)
class FetchSpec:
    """One fetch port of one table: select by index, negate by sign."""

    entry_bits: tuple[int, ...]
    book: Codebook
    half: bool
    registered: bool
    floating: bool = False

    @property
    def register_stages(self) -> int:
        """Register stages."""
        return int(self.registered)

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
        return f"lut_fetch_{self.book.slug}_w{self.term_bits}{floating}{table}{register}"

    @property
    def cases(self) -> tuple[tuple[int, int], ...]:
        """(key or index value, stored entry) of every case of the multiplexer.

        Whatever else the key may be, the zero group and illegal indices, is none of them.
        """
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
    registers: int = 0

    @property
    def register_stages(self) -> int:
        """Register stages: ``registers`` in the multiplier, and one behind it."""
        return self.registers + self.registered

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
        multiplier = f"_mul{self.registers}" if self.registers else ""
        return f"product_{self.number.name}{multiplier}{'_r' if self.registered else ''}"


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
    def register_stages(self) -> int:
        """Register stages."""
        return len(self.cuts)

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
    def register_stages(self) -> int:
        """Register stages between reading an accumulator and writing it: none."""
        return 0

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
    between fetch and accumulation, ``add_stages`` in the adder that accumulates. With ``special`` a
    flag goes along with every activation beat, with ``exponent_bits`` its exponent too.
    """

    reuse: int
    in_tile_bits: int
    out_tile_bits: int
    build_stages: int
    tile_stages: int
    add_stages: int = 0
    special: bool = False
    exponent_bits: int = 0

    @property
    def module_name(self) -> str:
        special = "_special" if self.special else ""
        if self.exponent_bits:
            special += f"_e{self.exponent_bits}"
        adder = f"_a{self.add_stages}" if self.add_stages else ""
        return (
            f"control_d{self.reuse}_i{self.in_tile_bits}_o{self.out_tile_bits}"
            f"_b{self.build_stages}_t{self.tile_stages}{adder}{special}"
        )

    @property
    def wait_bits(self) -> int:
        """Width of the count of slots that an n-tile waits for sums still being added."""
        return self.add_stages.bit_length()

    @property
    def index_bits(self) -> int:
        return (self.reuse - 1).bit_length()


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
        parts = [f"{kind}_{build.book.slug}_{build.number.name}_k{self.ports}"]
        if build.dag.sums:
            parts.append(build.builder)
        if not build.half and isinstance(self.fetch, FetchSpec):
            parts.append("full")
        if build.registers:
            parts.append(f"add{build.registers}")
        parts += [f"r{cut}" for cut in build.cuts]
        if isinstance(self.fetch, ProductSpec) and self.fetch.registers:
            parts.append(f"mul{self.fetch.registers}")
        if self.fetch.registered:
            parts.append("fetch_r")
        return "_".join(parts)


@dataclass(frozen=True)
class PortSpec:
    """One output port: reduction over the tables, then accumulation."""

    reduce: ReduceSpec | FloatReduceSpec
    accumulate: AccumulateSpec | FloatAccumulateSpec

    @property
    def register_stages(self) -> int:
        """Register stages: those of the reduction, then those of the accumulating adder."""
        return self.reduce.register_stages + self.accumulate.register_stages

    @property
    def module_name(self) -> str:
        return f"port_{self.reduce.module_name}_{self.accumulate.module_name}"
