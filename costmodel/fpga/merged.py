"""What is left of a core's primitives once Yosys has merged them, as counts to be priced.

Flattened, equal sums are computed once and equal registers held once (of builders that write sums
more than once); a word that is selected and then masked or negated bit by bit takes the look-up
tables of the selection, and where it is then added, part of it those of the adder; and sums of sums
without a register or a second use between them become one sum: rows of carry-save adders and one
carry chain. Terms with carries of their own (half tables) are not merged, as their carries stand in
the way.
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
        "mux of `fan_in` words, 1 being none, by an index that others also decode, its word AND "
        "one shared bit, likewise",
        selects="mux",
    ),
    "compress": MergedKind(
        "`fan_in` signed words of `width` bits to two words of the same sum", sums=True
    ),
    "compress_products": MergedKind(
        "`fan_in` signed products of two words of `width` bits to two words",
        sums=True,
        products=True,
    ),
    "mux_and_add": MergedKind(
        "mux_and as one operand of an adder, in whose LUTs part of it fits, without it",
        selects="mux",
        adder="adder",
    ),
    "fetch_mux_xor_add": MergedKind(
        "fetch_mux_xor of at most MOST_ADDED words as the right operand of adder_carry, likewise",
        selects="fetch_mux",
        adder="adder_carry",
    ),
}
"""Kinds that stand for several primitives and are measured as one."""
MOST_ADDED = 4
"""Most words of a multiplexer whose last LUT can be the adder's; more take other forms."""


def shared_group(component: str, primitive: Primitive) -> str:
    """The group of GROUPS that a merged primitive of a core belongs to."""
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
    """A port of fetch that negates: a multiplexer and a row of XOR gates."""
    result = Counter(counts)
    for row in [p for p in counts if p.kind == "xor_row"]:
        for mux in [p for p in counts if p.kind == "fetch_mux" and p.width == row.width]:
            number = min(result[row], result[mux])
            result[Primitive("fetch_mux_xor", mux.width, mux.fan_in)] += number
            result[row] -= number
            result[mux] -= number
    return +result


def _added(counts: Counts, right: int, terms: int) -> Counts:
    """Of the few words that each port fetches, ``right`` of ``terms`` are right operands of adders.

    The left operand of an adder goes onto the carry chain by itself, too, and so takes LUTs of its
    own; the right one only where it meets the left one.
    """
    result = Counter(counts)
    for word in [p for p in counts if p.kind == "fetch_mux_xor" and p.fan_in <= MOST_ADDED]:
        number = counts[word] // terms * right
        result[word] -= number
        result[Primitive("fetch_mux_xor_add", word.width, word.fan_in)] += number
    return +result


def _masked(counts: Counts, kind: str) -> Counts:
    """An accumulator is read through a multiplexer and masked on the first n-tile."""
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

    products: terms are products that nothing holds, which merge, too.
    """
    reduce = spec.reduce
    assert isinstance(reduce, ReduceSpec)
    found: Counts = Counter()
    starts = [0, *reduce.cuts]
    last = len(reduce.levels) - 1
    ends = [*reduce.cuts, *([last] if last not in reduce.cuts or not last else [])]
    for start, end in zip(starts, ends, strict=False):
        bits = reduce.levels[start][0].bits
        into_accumulator = end == last and end not in reduce.cuts
        for node, below in zip(reduce.levels[end], _spans(reduce, start, end), strict=True):
            terms = below + into_accumulator
            if products and start == 0:
                found[Primitive("compress_products", _factor_bits(spec), below)] += 1
                if into_accumulator:
                    found[Primitive("compress", node.bits, 3)] += 1
            elif terms > 2:
                found[Primitive("compress", bits, terms)] += 1
            if not into_accumulator and (below > 1 or (products and start == 0)):
                found[Primitive("adder", node.bits)] += 1
    return found


def _factor_bits(spec: Structure) -> int:
    assert isinstance(spec.fetch, ProductSpec)
    return spec.fetch.number.bits


def _spans(reduce: ReduceSpec, start: int, end: int) -> list[int]:
    """How many words of level ``start`` each node of level ``end`` adds."""
    spans = [1] * len(reduce.levels[start])
    for nodes in reduce.levels[start + 1 : end + 1]:
        spans = [
            spans[node.left] + (0 if node.right is None else spans[node.right]) for node in nodes
        ]
    return spans
