"""The registers of accumulators, for integers and rounding numbers alike."""

from __future__ import annotations

from typing import Protocol

from amaranth.hdl import Module, Signal, Value

from hwgen.rtl.words import data_register


class BankSpec(Protocol):
    """How many accumulators a port has, and how wide they are, bits."""

    @property
    def reuse(self) -> int: ...

    @property
    def sum_bits(self) -> int: ...


class Accumulating(Protocol):
    """A unit with the ports of a bank; ``index`` and ``finish`` only where ``reuse`` is over 1."""

    @property
    def spec(self) -> BankSpec: ...

    write: Value
    sum: Value
    index: Value
    finish: Value


def accumulators(unit: Accumulating, m: Module, old: Signal, updated: Signal) -> None:
    """The registers of an accumulating unit: drives ``old`` from them and loads ``updated``."""
    spec = unit.spec
    held = [
        data_register(f"acc_{d}" if spec.reuse > 1 else "acc", spec.sum_bits)
        for d in range(spec.reuse)
    ]
    if spec.reuse == 1:
        m.d.comb += old.eq(held[0])
    else:
        with m.Switch(unit.index):
            for d, accumulator in enumerate(held[:-1]):
                with m.Case(d):
                    m.d.comb += old.eq(accumulator)
            with m.Default():
                m.d.comb += old.eq(held[-1])
    for d, accumulator in enumerate(held):
        with m.If(unit.write[d]):
            m.d.sync += accumulator.eq(updated)
    if spec.reuse == 1:
        m.d.comb += unit.sum.eq(held[0])
    else:
        result = data_register("sum_r", spec.sum_bits)
        with m.If(unit.finish):
            m.d.sync += result.eq(updated)
        m.d.comb += unit.sum.eq(result)
