"""Rounding reduction and accumulation."""

from __future__ import annotations

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hwgen.floatspec import FloatAccumulateSpec, FloatReduceSpec
from hwgen.fpspec import FpAddSpec
from hwgen.number import FloatFormat
from hwgen.rtl.accumulate import accumulators
from hwgen.rtl.base import Unit
from hwgen.rtl.fp import FpAdd


def fp_sum(m: Module, name: str, number: FloatFormat, left: Value, right: Value) -> Signal:
    """left + right by an adder of its own, called ``name``; codes in, code out."""
    m.submodules[f"add_{name}"] = adder = FpAdd(FpAddSpec(number, 0))
    m.d.comb += [adder.a.eq(left), adder.b.eq(right)]
    return adder.o


class FloatReduce(Unit[FloatReduceSpec]):
    """Rounding sum of ``terms`` terms: level by level, 2i + (2i + 1), an odd one passes.

    ``terms - 1`` adders, each rounding to nearest even. Latency: one cycle for each cut.

    Members
    -------
    terms : In(terms x bits)
    load : In(number of cuts), absent without cuts
        Bit s loads the registers of cut s, the first one nearest to ``terms``.
    total : Out(bits)
    """

    def __init__(self, spec: FloatReduceSpec) -> None:
        self.summary = (
            f"Rounding sum of {spec.terms} {spec.number.name} terms: {spec.terms - 1} adders, "
            f"{len(spec.widths) - 1} levels, {len(spec.cuts)} register stages."
        )
        members = {
            "terms": In(data.ArrayLayout(spec.term_bits, spec.terms)),
            "total": Out(spec.word_bits),
        }
        if spec.cuts:
            members["load"] = In(len(spec.cuts))
        super().__init__(spec, members)

    def body(self) -> Module:
        spec = self.spec
        m = Module()
        words: list[Value] = [self.terms[i] for i in range(spec.terms)]
        for level in range(1, len(spec.widths)):
            odd = words[-1:] if len(words) % 2 else []
            words = [
                fp_sum(m, f"level{level}_{i}", spec.number, words[2 * i], words[2 * i + 1])
                for i in range(len(words) // 2)
            ] + odd
            if level in spec.cuts:
                held = [
                    Signal(spec.number.bits, name=f"level{level}_{i}_r", reset_less=True)
                    for i in range(len(words))
                ]
                with m.If(self.load[spec.cuts.index(level)]):
                    m.d.sync += [old.eq(new) for old, new in zip(held, words, strict=True)]
                words = list(held)
        m.d.comb += self.total.eq(words[0])
        return m


class FloatAccumulate(Unit[FloatAccumulateSpec]):
    """The ``reuse`` rounding accumulators of one port, and their one adder.

    As Accumulate, but that the first n-tile's total is loaded as it is instead of being added to
    0, so that a sum of one tile keeps its sign of zero. Rounds to nearest even at every addition.

    Members
    -------
    total : In(bits)
    first, index, write, finish : In
        As in Accumulate.
    sum : Out(bits)
    """

    def __init__(self, spec: FloatAccumulateSpec) -> None:
        self.summary = f"{spec.reuse} rounding accumulators in {spec.number.name} with one adder."
        members = {
            "total": In(spec.word_bits),
            "first": In(1),
            "write": In(spec.reuse),
            "sum": Out(spec.sum_bits),
        }
        if spec.reuse > 1:
            members |= {"index": In(spec.index_bits), "finish": In(1)}
        super().__init__(spec, members)

    def body(self) -> Module:
        m = Module()
        old = Signal(self.spec.sum_bits, name="old")
        updated = Signal(self.spec.sum_bits, name="updated")
        added = fp_sum(m, "total", self.spec.number, old, self.total)
        m.d.comb += updated.eq(Mux(self.first, self.total, added))
        accumulators(self, m, old, updated)
        return m
