"""Reduce: the sum of one port's terms."""

from __future__ import annotations

from amaranth.hdl import Module, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hwgen.rtl.base import Unit
from hwgen.rtl.words import add, data_register, fit
from hwgen.spec.units import ReduceSpec


class Reduce(Unit[ReduceSpec]):
    """Sum of ``terms`` terms by a balanced tree: level by level, 2i + (2i + 1), an odd one passes.

    ``terms - 1`` adders. With carries, each adder takes in the carry of its left operand; that of
    the last term is left over and leaves as ``carry``. Latency: one cycle for each cut. Exact, or
    modulo 2^max_bits where the accumulator wraps there.

    Members
    -------
    terms : In(terms x signed(term_bits))
    carries : In(terms), only with carries
        The value of term i is terms[i] + carries[i].
    load : In(number of cuts), absent without cuts
        Bit s loads the registers of cut s, the first one nearest to ``terms``.
    total : Out(signed(word_bits))
    carry : Out(1), only with carries
        The sum is total + carry.
    """

    def __init__(self, spec: ReduceSpec) -> None:
        self.summary = (
            f"Sum of {spec.terms} terms: {spec.terms - 1} adders, {len(spec.levels) - 1} levels, "
            f"{len(spec.cuts)} register stages."
        )
        members = {
            "terms": In(data.ArrayLayout(signed(spec.term_bits), spec.terms)),
            "total": Out(signed(spec.word_bits)),
        }
        if spec.carry:
            members |= {"carries": In(spec.terms), "carry": Out(1)}
        if spec.cuts:
            members["load"] = In(len(spec.cuts))
        super().__init__(spec, members)

    def body(self) -> Module:
        spec = self.spec
        m = Module()
        words: list[Value] = [
            fit(term, node.bits) for term, node in zip(self.terms, spec.levels[0], strict=True)
        ]
        carries: list[Value | None] = [
            self.carries[i] if spec.carry else None for i in range(spec.terms)
        ]
        for level, nodes in enumerate(spec.levels[1:], 1):
            sums, pending = [], []
            for i, node in enumerate(nodes):
                if node.right is None:
                    sums.append(words[node.left])
                    pending.append(carries[node.left])
                else:
                    left, right = words[node.left], words[node.right]
                    name = f"level{level}_{i}"
                    sums.append(add(m, name, left, right, node.bits, carries[node.left]))
                    pending.append(carries[node.right])
            words, carries = sums, pending
            if level in spec.cuts:
                words, carries = self._register(m, level, words, carries)
        m.d.comb += self.total.eq(words[0])
        if spec.carry:
            m.d.comb += self.carry.eq(carries[0])
        return m

    def _register(
        self, m: Module, level: int, words: list[Value], carries: list[Value | None]
    ) -> tuple[list[Value], list[Value | None]]:
        held: list[Value] = []
        held_carries: list[Value | None] = []
        with m.If(self.load[self.spec.cuts.index(level)]):
            for i, (value, carry) in enumerate(zip(words, carries, strict=True)):
                held.append(data_register(f"level{level}_{i}_r", len(value)))
                m.d.sync += held[-1].eq(value)
                held_carries.append(carry)
                if carry is not None:
                    bit = Signal(name=f"level{level}_{i}_carry_r", reset_less=True)
                    m.d.sync += bit.eq(carry)
                    held_carries[-1] = bit
        return held, held_carries
