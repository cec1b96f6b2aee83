"""Counts of the primitives that are left of a core once Yosys has merged them, to be priced.

In a flattened core:

- equal sums are computed once and equal registers exist once, for builders that write sums more
  than once;
- a word that is selected and then masked or negated bit by bit takes only the look-up tables of the
  selection; where it is then added, part of the selection fits the look-up tables of the adder;
- sums of sums without a register or a second use between them become one sum: rows of carry-save
  adders and one carry chain. Terms with a carry-in (half tables) are not merged, as their carries
  stand in the way.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from costmodel.cells.corrections import group_of, group_of_rest
from hwgen.spec.counts import build_counts, table_counts
from hwgen.spec.primitive import Counts, Primitive, scaled
from hwgen.spec.structure import Structure
from hwgen.spec.units import AccumulateSpec, ProductSpec, ReduceSpec


class MergedKind(NamedTuple):
    """Several primitives that are measured as one.

    selects: the kind of primitive that selects a word, if one does. adder: the one whose operand
    the word is. sums: whether many words are added. products: of two factors each.
    """

    meaning: str
    selects: str | None = None
    adder: str | None = None
    sums: bool = False
    products: bool = False


MERGED = {
    "fetch_mux_xor": MergedKind(
        "fetch_mux, and its word XOR one shared bit, which fits the same LUTs", selects="fetch_mux"
    ),
    "mux_and": MergedKind(
        "mux of `fan_in` words (1: no mux) by an index that other logic also decodes, and its word "
        "AND one shared bit, which fits the same LUTs",
        selects="mux",
    ),
    "compress": MergedKind(
        "`fan_in` signed words of `width` bits reduced to two words with the same sum", sums=True
    ),
    "compress_products": MergedKind(
        "`fan_in` signed products of two words of `width` bits, reduced to two words",
        sums=True,
        products=True,
    ),
    "mux_and_add": MergedKind(
        "mux_and as one operand of an adder, whose LUTs hold part of it; the adder itself is not "
        "counted",
        selects="mux",
        adder="adder",
    ),
    "fetch_mux_xor_add": MergedKind(
        "fetch_mux_xor of at most MOST_ADDED words as the right operand of adder_carry, whose LUTs "
        "hold part of it; the adder itself is not counted",
        selects="fetch_mux",
        adder="adder_carry",
    ),
}
"""Kinds that stand for several primitives and are measured as one."""
MOST_ADDED = 4
"""Most words of a multiplexer whose last LUT can be the adder's."""


def shared_group(component: str, primitive: Primitive) -> str:
    """The group of `costmodel.cells.corrections` that a merged primitive belongs to."""
    merged = MERGED.get(primitive.kind)
    if merged is None:
        return group_of(component, primitive)
    return "product" if merged.products else group_of_rest(component)


def shared_counts(spec: Structure) -> dict[str, Counts]:
    """Primitives of a whole core by component, merged."""
    config, counts = spec.config, dict(spec.counts)
    counts["build"] = scaled(build_counts(spec.build, merged=True), config.tables)
    counts["tables"] = scaled(table_counts(spec.build, merged=True), config.tables)
    counts["fetch"] = _selected(counts["fetch"])
    if isinstance(spec.reduce, ReduceSpec) and spec.reduce.carry and not spec.fetch.registered:
        counts["fetch"] = _added(counts["fetch"], spec.reduce.terms // 2, spec.reduce.terms)
    into_adder = isinstance(spec.accumulate, AccumulateSpec)
    counts["accumulate"] = _masked(counts["accumulate"], "mux_and_add" if into_adder else "mux_and")
    if isinstance(spec.reduce, ReduceSpec) and not spec.reduce.carry:
        products = isinstance(spec.fetch, ProductSpec) and not spec.fetch.registered
        if products:
            counts["fetch"] = +Counter(
                {p: n for p, n in counts["fetch"].items() if p.kind != "multiplier"}
            )
        old = Counter({p: n for p, n in counts["reduce"].items() if p.kind != "adder"})
        counts["reduce"] = old + scaled(_sums(spec, products), config.ports)
    return counts


def _selected(counts: Counts) -> Counts:
    """Counts of a negating fetch: each multiplexer takes in the row of XOR gates behind it."""
    result = Counter(counts)
    for row in [p for p in counts if p.kind == "xor_row"]:
        for mux in [p for p in counts if p.kind == "fetch_mux" and p.width == row.width]:
            number = min(result[row], result[mux])
            result[Primitive("fetch_mux_xor", mux.width, mux.fan_in)] += number
            result[row] -= number
            result[mux] -= number
    return +result


def _added(counts: Counts, right: int, terms: int) -> Counts:
    """Counts in which ``right`` of the ``terms`` words that a port fetches are merged into adders.

    They are the right operands. The left operand of an adder also enters the carry chain directly
    and so takes separate LUTs.
    """
    result = Counter(counts)
    for word in [p for p in counts if p.kind == "fetch_mux_xor" and p.fan_in <= MOST_ADDED]:
        number = counts[word] // terms * right
        result[word] -= number
        result[Primitive("fetch_mux_xor_add", word.width, word.fan_in)] += number
    return +result


def _masked(counts: Counts, kind: str) -> Counts:
    """Counts of accumulators: each multiplexer takes in the mask of the first n-tile behind it."""
    result = Counter(counts)
    for row in [p for p in counts if p.kind == "and_row"]:
        words = [p for p in counts if p.kind == "mux" and p.width == row.width]
        number = result.pop(row)
        result[Primitive(kind, row.width, words[0].fan_in if words else 1)] += number
        for mux in words:
            result[mux] -= number
    return +result


def _sums(spec: Structure, products: bool) -> Counts:
    """Adders of one port's reduction, merged between its registers and into the accumulator.

    products: terms are products without registers, which are merged as well.
    """
    reduce = spec.reduce
    assert isinstance(reduce, ReduceSpec)
    sums: Counts = Counter()
    starts = [0, *reduce.cuts]
    last = len(reduce.levels) - 1
    ends = [*reduce.cuts, *([last] if last not in reduce.cuts or not last else [])]
    for start, end in zip(starts, ends, strict=False):
        bits = reduce.levels[start][0].bits
        into_accumulator = end == last and end not in reduce.cuts
        for node, below in zip(reduce.levels[end], _spans(reduce, start, end), strict=True):
            terms = below + into_accumulator
            if products and start == 0:
                sums[Primitive("compress_products", _factor_bits(spec), below)] += 1
                if into_accumulator:
                    sums[Primitive("compress", node.bits, 3)] += 1
            elif terms > 2:
                sums[Primitive("compress", bits, terms)] += 1
            if not into_accumulator and (below > 1 or (products and start == 0)):
                sums[Primitive("adder", node.bits)] += 1
    return sums


def _factor_bits(spec: Structure) -> int:
    assert isinstance(spec.fetch, ProductSpec)
    return spec.fetch.number.bits


def _spans(reduce: ReduceSpec, start: int, end: int) -> list[int]:
    """Number of words of level ``start`` that each node of level ``end`` adds."""
    spans = [1] * len(reduce.levels[start])
    for nodes in reduce.levels[start + 1 : end + 1]:
        spans = [
            spans[node.left] + (0 if node.right is None else spans[node.right]) for node in nodes
        ]
    return spans
