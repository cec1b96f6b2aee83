"""Fetch: one weight group's contribution, selected by its key."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from hwgen.rtl.base import Unit
from hwgen.rtl.build import table_layout
from hwgen.rtl.fp import FpMul
from hwgen.rtl.words import act_shape, data_register, fit, word
from hwgen.spec.fp import FpMulSpec
from hwgen.spec.number import FloatFormat
from hwgen.spec.units import BuildSpec, FetchSpec, ProductSpec


class Fetch(Unit[FetchSpec]):
    """The table entry that a key names, negated where its sign bit is set.

    Latency 0, or 1 cycle where ``registered``. No adder: a half table's entry leaves as its
    one's complement where negated, and ``carry`` says that 1 is still to be added. The zero
    group, and any illegal index, gives 0 (with the sign set: all ones and a carry, again 0). Of a
    codebook without the zero group, an illegal index gives the last entry.

    Members
    -------
    entries : In({entry_i: signed(entry_bits[i])})
        As in Build.
    key : In(key_bits)
        Sign in the most significant bit, index below.
    load : In(1), only where registered
        Loads the registers of the outputs.
    term : Out(signed(term_bits))
    carry : Out(1), only for half tables
        The value fetched is term + carry.
    """

    def __init__(self, build: BuildSpec, spec: FetchSpec) -> None:
        none = ", or 0," if spec.book.has_zero else ""
        self.summary = (
            f"Fetch: selects one of {len(spec.cases)} entries{none} by a {spec.key_bits}-bit key"
            + (
                " and negates it by the key's sign: term + carry is the value."
                if spec.half
                else "."
            )
        )
        members = {
            "entries": In(table_layout(build)),
            "key": In(spec.key_bits),
            "term": Out(signed(spec.term_bits)),
        }
        if spec.carry:
            members["carry"] = Out(1)
        if spec.registered:
            members["load"] = In(1)
        super().__init__(spec, members)

    def body(self) -> Module:
        spec = self.spec
        m = Module()
        entry = word("entry", spec.term_bits)
        words = {key: fit(self.entries[f"entry_{i}"], spec.term_bits) for key, i in spec.cases}
        otherwise = Const(0) if spec.book.has_zero else words.popitem()[1]
        with m.Switch(self.key[:-1] if spec.half else self.key):
            for key, value in words.items():
                with m.Case(key):
                    m.d.comb += entry.eq(value)
            with m.Default():
                m.d.comb += entry.eq(otherwise)
        outputs = {"term": entry}
        if spec.floating and spec.half:
            outputs = {"term": self._signed(m, entry)}
        elif spec.half:
            sign = self.key[-1]
            negated = Signal(spec.term_bits, name="negated")
            m.d.comb += negated.eq(entry.as_unsigned() ^ sign.replicate(spec.term_bits))
            outputs = {"term": negated.as_signed(), "carry": sign}
        drive(self, m, outputs)
        return m

    def _signed(self, m: Module, entry: Value) -> Value:
        """A floating-point entry with the key's sign, which zero does not have: it is +0."""
        if not self.spec.book.has_zero:
            return Cat(entry[:-1], entry[-1] ^ self.key[-1])
        nonzero, sign = Signal(name="nonzero"), Signal(name="sign")
        legal = len(self.spec.cases)
        m.d.comb += [
            nonzero.eq(self.key[:-1] < legal),
            sign.eq(entry[-1] ^ (self.key[-1] & nonzero)),
        ]
        return Cat(entry[:-1], sign)


class Product(Unit[ProductSpec]):
    """Activation × weight: one port of the multiplier baseline.

    The product of integers is full and exact, that of floating-point numbers is rounded to their
    format. Latency: one cycle for each register in the multiplier of floating-point numbers, and
    one where ``registered``.

    Members
    -------
    act : In(number)
        The activation.
    key : In(number)
        The weight, of the activation's format.
    load : In(register stages), absent without register stages
        Bit 0 loads the registers nearest to the operands.
    term : Out(signed(term_bits))
        The product: of twice as many bits for integers, of the same format for floating point.
    """

    def __init__(self, spec: ProductSpec) -> None:
        self.summary = f"Full product of a {spec.number.name} activation and weight."
        members = {
            "act": In(act_shape(spec.number)),
            "key": In(act_shape(spec.number)),
            "term": Out(signed(spec.term_bits)),
        }
        if spec.register_stages:
            members["load"] = In(spec.register_stages)
        super().__init__(spec, members)

    def body(self) -> Module:
        m = Module()
        number = self.spec.number
        product = word("product", self.spec.term_bits)
        if isinstance(number, FloatFormat):
            registers = self.spec.registers
            m.submodules.multiply = multiply = FpMul(FpMulSpec(number, registers))
            m.d.comb += [multiply.a.eq(self.act), multiply.b.eq(self.key), product.eq(multiply.o)]
            if registers:
                m.d.comb += multiply.load.eq(self.load[:registers])
        else:
            m.d.comb += product.eq(self.act * self.key)
        drive(self, m, {"term": product})
        return m


def drive(unit: Fetch | Product, m: Module, outputs: dict[str, Value]) -> None:
    """Drive the outputs of a unit; where it is registered, from registers of the last load bit."""
    for name, value in outputs.items():
        if unit.spec.registered:
            register = data_register(f"{name}_r", len(value))
            with m.If(unit.load[-1]):
                m.d.sync += register.eq(value)
            value = register
        m.d.comb += getattr(unit, name).eq(value)
