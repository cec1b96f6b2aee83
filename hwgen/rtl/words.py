"""Small helpers for words of exact width."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value, signed

from hwgen.spec.number import FloatFormat, IntFormat


def act_shape(number: IntFormat | FloatFormat) -> Shape:
    """Shape of one activation; of its code, if it is floating-point."""
    return Shape(number.bits, isinstance(number, IntFormat) and number.signed)


def word(name: str, bits: int) -> Signal:
    """A signed combinational word."""
    return Signal(signed(bits), name=name)


def data_register(name: str, bits: int) -> Signal:
    """A signed data register: never reset, since a valid bit tells whether it means anything."""
    return Signal(signed(bits), name=name, reset_less=True)


def fit(value: Value, bits: int) -> Value:
    """``value`` as a signed word of exactly ``bits`` bits: sign-extended, or its low bits."""
    value = value.as_signed()
    if len(value) >= bits:
        return value[:bits].as_signed()
    return Cat(value, value[-1].replicate(bits - len(value))).as_signed()


def add(
    m: Module, name: str, left: Value, right: Value, bits: int, carry: Value | None = None
) -> Signal:
    """``left + right (+ carry)`` modulo 2^bits, in one adder.

    A carry enters as ``{left, 1} + {right, carry}``, whose lowest bit is dropped: one adder for
    every synthesis tool, where three operands would become two.
    """
    total = word(name, bits)
    if carry is None:
        m.d.comb += total.eq(left + right)
    else:
        wide = Signal(bits + 1, name=f"{name}_wide")
        one = Const(1, 1)
        m.d.comb += [
            wide.eq(Cat(one, left).as_signed() + Cat(carry, right).as_signed()),
            total.eq(wide[1:]),
        ]
    return total
