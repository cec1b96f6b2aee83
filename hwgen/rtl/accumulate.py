"""Accumulate: sums over the tiles of a dot product."""

from __future__ import annotations

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib.wiring import In, Out

from hwgen.rtl.bank import accumulators
from hwgen.rtl.base import Unit
from hwgen.rtl.words import add, fit, word
from hwgen.spec.units import AccumulateSpec


class Accumulate(Unit[AccumulateSpec]):
    """The ``reuse`` accumulators of one port, and their one adder.

    The new sum is total + carry plus the accumulator that ``index`` names; on the first n-tile that
    is taken as 0, without ever being cleared. With one accumulator, it is also the output. With
    several, the sums of the last n-tile go to the output register and not to an accumulator.
    Latency 1 cycle, one tile per cycle. Exact; a narrower accumulator wraps modulo 2^sum_bits, or
    is clamped to its range after every n-tile where ``saturate``.

    Members
    -------
    total : In(signed(word_bits))
    carry : In(1), only with carries
        What is added is total + carry.
    first : In(1)
        This is the first n-tile of its outputs.
    index : In(range(reuse)), only with several accumulators
        The accumulator that is read.
    write : In(reuse)
        Bit d loads accumulator d with the new sum.
    finish : In(1), only with several accumulators
        Loads the output register with the new sum.
    sum : Out(signed(sum_bits))
        The accumulator, or the output register.
    """

    def __init__(self, spec: AccumulateSpec) -> None:
        overflow = "saturating" if spec.saturate else "modulo 2^width"
        self.summary = (
            f"{spec.reuse} accumulators of {spec.sum_bits} bits ({overflow}) with one adder."
        )
        members = {
            "total": In(signed(spec.word_bits)),
            "first": In(1),
            "write": In(spec.reuse),
            "sum": Out(signed(spec.sum_bits)),
        }
        if spec.carry:
            members["carry"] = In(1)
        if spec.reuse > 1:
            members |= {"index": In(spec.index_bits), "finish": In(1)}
        super().__init__(spec, members)

    def body(self) -> Module:
        spec = self.spec
        m = Module()
        old = word("old", spec.sum_bits)
        keep = Signal(name="keep")
        start = Signal(signed(spec.sum_bits), name="start")
        m.d.comb += [
            keep.eq(~self.first),
            start.eq(old.as_unsigned() & keep.replicate(spec.sum_bits)),
        ]
        carry = self.carry if spec.carry else None
        bits = spec.adder_bits
        updated = add(m, "updated", fit(start, bits), fit(self.total, bits), bits, carry)
        if spec.saturate:
            updated = self._clamp(m, updated)
        accumulators(self, m, old, updated)
        return m

    def _clamp(self, m: Module, updated: Signal) -> Signal:
        """``updated`` within the accumulator's range, which it leaves if its top bits differ."""
        bits = self.spec.sum_bits
        top = updated[bits - 1 :]
        overflows = Signal(name="overflows")
        m.d.comb += overflows.eq(top.any() & ~top.all())
        clamped = word("clamped", bits)
        positive = Signal(name="positive")
        limit = Cat(positive.replicate(bits - 1), updated[-1])
        m.d.comb += [
            positive.eq(~updated[-1]),
            clamped.eq(Mux(overflows, limit, updated[:bits])),
        ]
        return clamped
