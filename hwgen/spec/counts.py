"""Primitives of one unit: each line names what the component of the same name builds. Exact."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

from hwgen.spec.fixed import FromFixedSpec, ToFixedSpec
from hwgen.spec.number import FloatFormat
from hwgen.spec.primitive import Counts, Family, Primitive, kind_of
from hwgen.spec.rounding import FloatAccumulateSpec, FloatReduceSpec, RegisterStage
from hwgen.spec.units import (
    TOKEN_BITS,
    AccumulateSpec,
    BuildSpec,
    ControlSpec,
    FetchSpec,
    ProductSpec,
    ReduceSpec,
)


@lru_cache(maxsize=4096)
def build_counts(spec: BuildSpec, merged: bool = False) -> Counts:
    """As written; ``merged``: without equal sums and registers, which synthesis merges."""
    counts: Counts = Counter()
    for position, add in enumerate(spec.dag.sums):
        reference = spec.mu + position
        if merged and spec.dag.representatives[reference] != reference:
            continue
        if not isinstance(spec.number, FloatFormat):
            kind = "negate" if add.left is None else "adder"
            counts[Primitive(kind, spec.bits(reference))] += 1
        elif add.left is not None:  # A negation alone is a wire from an inverted sign.
            counts[fp_adder(spec.number, spec.registers)] += 1
    for stage in spec.stages:
        if stage.inner or stage.level != spec.cuts[-1]:
            bits = spec.merged_stage_bits(stage) if merged else spec.stage_bits(stage)
            if bits:
                counts[Primitive("register_enable", bits)] += 1
    return counts


def fp_adder(number: FloatFormat, registers: int) -> Primitive:
    return Primitive(kind_of(Family.FP_ADD, number), number.bits, registers + 1)


@lru_cache(maxsize=4096)
def table_counts(spec: BuildSpec, merged: bool = False) -> Counts:
    """What holds the table (or the activations) while it serves its tiles."""
    if not spec.cuts:
        return Counter()
    last = RegisterStage(spec.cuts[-1], 0)
    bits = spec.merged_stage_bits(last) if merged else spec.stage_bits(last)
    return Counter({Primitive("register_enable", bits): 1})


def fetch_counts(spec: FetchSpec | ProductSpec) -> Counts:
    counts: Counts = Counter()
    if isinstance(spec, ProductSpec) and isinstance(spec.number, FloatFormat):
        number = spec.number
        kind = kind_of(Family.FP_MUL, number)
        counts[Primitive(kind, number.bits, spec.registers + 1)] += 1
    elif isinstance(spec, ProductSpec):
        counts[Primitive("multiplier", spec.term_bits, spec.number.bits)] += 1
    else:
        # Without a zero group, nothing but the entries is selected, and the last is the default.
        kind = "fetch_mux" if spec.book.has_zero else "mux"
        counts[Primitive(kind, spec.term_bits, len(spec.cases))] += 1
        if spec.carry:
            counts[Primitive("xor_row", spec.term_bits)] += 1
        elif spec.half:
            counts[Primitive("gate", 1 + spec.book.has_zero)] += 1  # The sign bit alone,
            if spec.book.has_zero:
                counts[Primitive("equal", spec.book.index_bits)] += 1  # which zero does not have.
    if spec.registered:
        counts[Primitive("register_enable", spec.term_bits + spec.carry)] += 1
    return counts


@lru_cache(maxsize=4096)
def reduce_counts(spec: ReduceSpec | FloatReduceSpec) -> Counts:
    counts: Counts = Counter()
    if isinstance(spec, FloatReduceSpec):
        if spec.terms > 1:
            counts[fp_adder(spec.number, spec.registers)] += spec.terms - 1
        for stage in spec.stages:
            if words := spec.stage_words(stage):
                counts[Primitive("register_enable", words * spec.number.bits)] += 1
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
        counts[fp_adder(spec.number, spec.registers)] += 1
        if spec.widen is not None and not spec.widen.is_wires:
            kind = kind_of(Family.WIDEN, spec.term, spec.number)
            counts[Primitive(kind, spec.sum_bits)] += 1
    else:
        counts[Primitive("adder_carry" if spec.carry else "adder", spec.adder_bits)] += 1
    counts[Primitive("and_row", spec.sum_bits)] += 1  # The first n-tile has no sum before it.
    if isinstance(spec, AccumulateSpec) and spec.saturate:
        counts[Primitive("clamp", spec.sum_bits, spec.adder_bits)] += 1
    if spec.reuse > 1:
        counts[Primitive("mux", spec.sum_bits, spec.reuse)] += 1
        counts[Primitive("register_enable", spec.sum_bits)] += 1  # The outputs.
    counts[Primitive("register_enable", spec.sum_bits)] += spec.reuse
    return counts


def counter_counts(spec: ControlSpec) -> Counts:
    """Control, first of three parts: counters of n-tiles, tokens and tiles of outputs.

    Adders and registers exact, comparators and gates as written; so are the other two.
    """
    inner, outer = spec.in_tile_bits, spec.out_tile_bits
    counts: Counts = Counter()
    for width in (inner, TOKEN_BITS, outer):  # in_tile + 1, tokens_left - 1, tiles_left - reuse
        _add(counts, "adder", width)
    for width in (inner, inner, TOKEN_BITS, outer):  # first, last n-tile, last token, last block
        _add(counts, "equal", width)
    _add(counts, "mux", TOKEN_BITS, 2)
    _add(counts, "mux", outer, 3)
    _add(counts, "and_row", inner)
    _add(counts, "register_enable", inner + 2 * outer + TOKEN_BITS)  # in_tiles, out_tiles, *_left
    _add(counts, "register_enable_reset", inner)  # in_tile
    return counts


def handshake_counts(spec: ControlSpec) -> Counts:
    """Control, second part: valid bits, what goes along with each tile, waiting for sums."""
    index, stages = spec.index_bits, spec.tile_stages + spec.add_stages
    counts: Counts = Counter()
    _add(counts, "register_enable_reset", 1, number=2 + spec.build_stages + stages)  # valid bits
    _add(counts, "register_enable", 1)  # sums_last
    _add(counts, "register_enable", 3 + index, number=spec.tile_stages)  # tags
    _add(counts, "register_enable", 2 + index, number=spec.add_stages)  # without the first n-tile's
    _add(counts, "gate", 12 + 3 * spec.build_stages + 2 * stages)
    if spec.add_stages:
        _add(counts, "register_enable_reset", spec.wait_bits)  # wait_left
        _add(counts, "adder", spec.wait_bits)  # wait_left - 1
        _add(counts, "equal", spec.wait_bits)
        _add(counts, "mux", spec.wait_bits, 2)
        _add(counts, "gate", 3)
        if spec.reuse > 1:
            _add(counts, "equal", index + 1, number=min(spec.add_stages, spec.reuse))
    if spec.special:
        along = 2 + spec.build_stages + spec.tile_stages
        _add(counts, "register_enable", 1, number=along)
        _add(counts, "gate", 2)
        _add(counts, "register_enable", spec.exponent_bits, number=along)
        _add(counts, "equal", spec.exponent_bits)
    return counts


def tile_index_counts(spec: ControlSpec) -> Counts:
    """Control, third part: the tile of the block, where a block has more than one."""
    index, outer = spec.index_bits, spec.out_tile_bits
    counts: Counts = Counter()
    if spec.reuse > 1:
        _add(counts, "adder", index + 1)  # tile_index + 1
        _add(counts, "equal", index + 1)
        _add(counts, "equal", max(index + 1, outer))
        _add(counts, "equal", index, number=spec.reuse)  # write enables
        _add(counts, "gate", spec.reuse + 1)
        _add(counts, "and_row", index)
        _add(counts, "register_enable_reset", index)  # tile_index
    return counts


def to_fixed_counts(spec: ToFixedSpec | None) -> Counts:
    """One activation's conversion; none for what is no fixed point. So are the other two."""
    return Counter() if spec is None else Counter({Primitive(spec.kind, spec.bits): 1})


def from_fixed_counts(spec: FromFixedSpec | None) -> Counts:
    """One output's conversion."""
    return Counter() if spec is None else Counter({Primitive(spec.kind, spec.bits): 1})


def limit_counts(spec: FromFixedSpec | None) -> Counts:
    """The limit that the conversions of all outputs share, where tokens are aligned."""
    if spec is None or not spec.point.aligned:
        return Counter()
    return Counter({Primitive("adder", spec.limit_bits): 1})


def _add(counts: Counts, kind: str, width: int, fan_in: int = 0, number: int = 1) -> None:
    """Count ``number`` more; none of width 0."""
    if width and number:
        counts[Primitive(kind, width, fan_in)] += number
