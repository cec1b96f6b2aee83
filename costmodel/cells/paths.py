"""Longest paths of a core, stage by stage, as elements to be priced: structure only, no technology.

A stage lies between two rows of registers, or between one and a port of the core. Its path is a
list of elements, each a kind and a size (`ELEMENTS`). Adders are ripple-carry: the low bits of a
sum are there before its high bits, so that of several adders in a row only the last one's carry
counts in full, and every adder before it adds the delay of about one bit (``adder_before``).
Multiplexers and rows of gates between them work bit by bit and keep that skew; a rounding adder, a
product, a clamp or a conversion waits for the last bit.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

from hwgen.spec.number import FloatFormat
from hwgen.spec.primitive import GENERATED, KINDS, Family, kind_of
from hwgen.spec.rounding import FloatAccumulateSpec, FloatReduceSpec
from hwgen.spec.structure import Structure
from hwgen.spec.units import AccumulateSpec, ControlSpec, FetchSpec, ProductSpec


class ElementKind(NamedTuple):
    """One kind of element. family: of primitives that do the same; None: a signal with many sinks.

    number, target, aligned: as those of `hwgen.spec.primitive.Kind`. chain: two rounding adders in
    a row with registers inside.
    """

    meaning: str
    family: Family | None
    number: FloatFormat | None = None
    target: FloatFormat | None = None
    aligned: bool = False
    chain: bool = False


def _elements() -> dict[str, ElementKind]:
    elements = {
        "register": ElementKind("clock to output, and set-up", Family.REGISTER),
        "adder": ElementKind("the last integer adder of a row, `size` bits", Family.ADDER),
        "adder_before": ElementKind("any other integer adder of the row", Family.ADDER),
        "fetch_mux": ElementKind("one of `size` words, or 0, by a binary index", Family.SELECT),
        "mux": ElementKind("one of `size` words by a binary index", Family.SELECT),
        "gate": ElementKind("a row of gates with one shared input", Family.ROW),
        "equal": ElementKind("comparison of `size` bits", Family.EQUAL),
        "fanout": ElementKind("one signal to `size` gates", None),
        "sum_fanout": ElementKind("a sum that `size` adders take, beyond one", None),
        "clamp": ElementKind("signed saturation to `size` bits", Family.CLAMP),
        "multiplier": ElementKind("signed product of two words of `size` bits", Family.MULTIPLIER),
    }
    for kind in KINDS.values():
        if kind.family not in GENERATED or kind.number is None:
            continue
        staged = kind.family in (Family.FP_ADD, Family.FP_MUL)
        size = "its number of stages" if staged else "the width"
        meaning = f"{kind.meaning}; `size`: {size}"
        elements[kind.name] = ElementKind(
            meaning, kind.family, kind.number, kind.target, kind.aligned
        )
        if kind.family is Family.FP_ADD:
            meaning = "two such adders in a row with registers inside; `size`: stages of each"
            name = f"fp_chain_{kind.number.name}"
            elements[name] = ElementKind(meaning, kind.family, kind.number, chain=True)
    return elements


ELEMENTS = _elements()
"""Every kind of element by its name, and what its size is."""
_CHAINS = {kind.number: name for name, kind in ELEMENTS.items() if kind.chain}


IntsT = TypeVar("IntsT", int, Any)


class Element(NamedTuple):
    """One element of a path."""

    kind: str
    size: int


@dataclass(frozen=True)
class Path:
    """The longest path of one stage. ``stage`` names the components on it."""

    stage: str
    elements: tuple[tuple[Element, int], ...]
    """Element and number."""
    halves: tuple[tuple[Element, int], ...] = ()
    """Element whose delay beyond a register's counts by halves, and the number of halves."""
    ripples: tuple[tuple[Element, Element], ...] = ()
    """Elements that end in an adder, and that adder, whose carry overlaps with those of later ones:
    the element's delay beyond the adder's counts, if there is any."""
    sinks: int | None = None
    """Number of gates that one signal on the path drives: all ports, or what control enables; None:
    few."""


@dataclass
class _Walk:
    """Follows the data path, and notes a path wherever it meets registers."""

    paths: list[Path] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)
    elements: Counter[Element] = field(default_factory=Counter)
    halves: Counter[Element] = field(default_factory=Counter)
    ripples: list[tuple[Element, Element]] = field(default_factory=list)
    sinks: int | None = None
    carry: int = 0
    """Width of the last integer adder whose carry is still on its way."""

    def add(self, stage: str, kind: str, size: int = 0) -> None:
        """An element that keeps the skew of carries."""
        self._enter(stage)
        self.elements[Element(kind, size)] += 1

    def adder(self, stage: str, bits: int) -> None:
        self._enter(stage)
        if self.carry:
            self.elements[Element("adder_before", 0)] += 1
        self.carry = max(self.carry, bits)

    def block(self, stage: str, kind: str, size: int) -> None:
        """An element that waits for all bits."""
        self._settle()
        self.add(stage, kind, size)

    def rippling(self, stage: str, kind: str, size: int, bits: int) -> None:
        """An element that waits for all bits and ends in an adder of ``bits``."""
        self._settle()
        self._enter(stage)
        self.ripples.append((Element(kind, size), Element("adder", bits)))
        self.carry = bits

    def rounding(self, stage: str, number: FloatFormat, registers: int) -> None:
        """A rounding adder, with registers inside or without."""
        self._settle()
        if not registers:
            self.add(stage, kind_of(Family.FP_ADD, number), 1)
            return
        self._enter(stage)
        half = Element(_CHAINS[number], registers + 1)
        self.halves[half] += 1
        self.cut()
        inner = Element(kind_of(Family.FP_ADD, number), registers + 1)
        self.paths.append(Path(stage, ((inner, 1),)))
        self._enter(stage)
        self.halves[half] += 1

    def cut(self) -> None:
        """A row of registers."""
        self._settle()
        if self.elements or self.halves or self.ripples:
            elements = self.elements.copy()
            elements[Element("register", 0)] += 1
            stage = "+".join(self.stages)
            ripples, halves = tuple(self.ripples), _sorted(self.halves)
            self.paths.append(Path(stage, _sorted(elements), halves, ripples, self.sinks))
        self.stages, self.elements, self.halves = [], Counter(), Counter()
        self.ripples, self.sinks = [], None

    def _settle(self) -> None:
        if self.carry:
            self.elements[Element("adder", self.carry)] += 1
            self.carry = 0

    def _enter(self, stage: str) -> None:
        if stage not in self.stages:
            self.stages.append(stage)


def _sorted(elements: Counter[Element]) -> tuple[tuple[Element, int], ...]:
    return tuple(sorted(elements.items()))


def paths(spec: Structure) -> tuple[Path, ...]:
    """The longest path of every stage of a core: those of its data, then that of its control."""
    c, control = spec.config, spec.control
    sinks = control_sinks(
        c.tables * widest_stage(spec), control.in_tile_bits, control.out_tile_bits
    )
    return (*data_paths(spec), replace(control_path(control), sinks=sinks))


def data_paths(spec: Structure) -> tuple[Path, ...]:
    """From the activations on; exactly one of them has ``sinks``, the ports."""
    return (*forward_paths(spec), *loop_paths(spec.accumulate))


def forward_paths(spec: Structure) -> tuple[Path, ...]:
    """From the activations to the accumulators, and from those to the outputs; exactly one path has
    ``sinks``, the ports. The number of accumulators matters only in whether it is 1."""
    walk = _Walk()
    if spec.to_fixed is not None:
        bits = spec.to_fixed.bits
        walk.rippling("convert", spec.to_fixed.kind, bits, bits)
    _build(walk, spec)
    _fetch(walk, spec)
    _reduce(walk, spec)
    _accumulate(walk, spec)
    if spec.from_fixed is not None:
        walk.block("convert", spec.from_fixed.kind, spec.from_fixed.bits)
        walk.cut()
    return tuple(walk.paths)


def control_path(control: ControlSpec) -> Path:
    """From the counter of n-tiles to whatever the end of a table's use enables, without sinks."""
    elements: Counter[Element] = Counter()
    elements[Element("register", 0)] += 1
    elements[Element("adder", control.in_tile_bits)] += 1
    elements[Element("equal", control.in_tile_bits)] += 1
    elements[Element("gate", 0)] += 5 + control.build_stages
    elements[Element("mux", 2)] += 1
    return Path("control", _sorted(elements))


def control_sinks(build_bits: IntsT, in_tile_bits: IntsT, out_tile_bits: IntsT) -> IntsT:
    """Flip-flops that control enables at once: the widest row of build, and a command's counters.

    Integers, or arrays of them.
    """
    return build_bits + 2 * in_tile_bits + 3 * out_tile_bits


def widest_stage(spec: Structure) -> int:
    """Flip-flops of the widest row of registers in one build, bits."""
    build = spec.build
    return max((build.stage_bits(stage) for stage in build.stages), default=0)


def _build(walk: _Walk, spec: Structure) -> None:
    build = spec.build
    dag = build.dag
    same = dag.representatives
    distinct = [dag.sums[r - build.mu] for r in sorted(set(same)) if r >= build.mu]
    uses = Counter(same[r] for s in distinct for r in (s.left, s.right) if r is not None)
    if 0 in build.cuts:
        walk.cut()
    for level in range(1, dag.levels + 1):
        sums = [build.mu + i for i in range(len(dag.sums)) if dag.depth[build.mu + i] == level]
        if isinstance(build.number, FloatFormat):
            walk.rounding("build", build.number, build.registers)
        else:
            below = [uses[r] for r in uses if dag.depth[r] == level - 1]
            walk.add("build", "sum_fanout", max(below))
            walk.adder("build", max(build.bits(reference) for reference in sums))
        if level in build.cuts:
            walk.cut()


def _fetch(walk: _Walk, spec: Structure) -> None:
    fetch = spec.fetch
    walk.sinks = spec.config.ports
    if isinstance(fetch, FetchSpec):
        walk.add("fetch", "fetch_mux" if fetch.book.has_zero else "mux", len(fetch.cases))
        if fetch.half:
            walk.add("fetch", "gate")
    else:
        _product(walk, fetch)
    if fetch.registered:
        walk.cut()


def _product(walk: _Walk, fetch: ProductSpec) -> None:
    if not isinstance(fetch.number, FloatFormat):
        walk.rippling("fetch", "multiplier", fetch.number.bits, fetch.term_bits)
        return
    kind, stages = kind_of(Family.FP_MUL, fetch.number), fetch.registers + 1
    walk.block("fetch", kind, stages)
    if fetch.registers:
        walk.cut()
        walk.block("fetch", kind, stages)


def _reduce(walk: _Walk, spec: Structure) -> None:
    reduce = spec.reduce
    if isinstance(reduce, FloatReduceSpec):
        for level in range(1, len(reduce.widths)):
            walk.rounding("reduce", reduce.number, reduce.registers)
            if level in reduce.cuts:
                walk.cut()
        return
    for level in range(1, len(reduce.levels)):
        walk.adder("reduce", reduce.levels[level][0].bits)
        if level in reduce.cuts:
            walk.cut()


def _accumulate(walk: _Walk, spec: Structure) -> None:
    accumulate = spec.accumulate
    if isinstance(accumulate, FloatAccumulateSpec):
        widen = accumulate.widen
        if widen is not None and not widen.is_wires:
            kind = kind_of(Family.WIDEN, widen.source, widen.target)
            walk.block("accumulate", kind, accumulate.sum_bits)
        walk.rounding("accumulate", accumulate.number, accumulate.registers)
    else:
        walk.adder("accumulate", accumulate.adder_bits)
        if accumulate.saturate:
            walk.block("accumulate", "clamp", accumulate.sum_bits)
    walk.add("accumulate", "mux", 2)  # What an enable takes in.
    walk.cut()


def loop_paths(accumulate: AccumulateSpec | FloatAccumulateSpec) -> tuple[Path, ...]:
    """From an accumulator back to it."""
    loop = _Walk()
    if accumulate.reuse > 1:
        loop.add("accumulate", "mux", accumulate.reuse)
        loop.add("accumulate", "fanout", accumulate.sum_bits)
    loop.add("accumulate", "gate")
    if isinstance(accumulate, FloatAccumulateSpec):
        loop.rounding("accumulate", accumulate.number, accumulate.registers)
    else:
        loop.adder("accumulate", accumulate.adder_bits)
        if accumulate.saturate:
            loop.block("accumulate", "clamp", accumulate.sum_bits)
    loop.add("accumulate", "mux", 2)
    loop.cut()
    return tuple(loop.paths)
