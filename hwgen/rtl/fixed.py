"""Floating point to fixed point and back: exact at the input, one rounding at the output."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from hwgen.rtl.base import Unit
from hwgen.rtl.words import add
from hwgen.spec import FromFixedSpec, ToFixedSpec


class ToFixed(Unit[ToFixedSpec]):
    """A floating-point activation as an integer multiple of its format's least subnormal. Exact.

    Combinational. Infinities and NaN have no integer: ``special`` is set and ``fixed`` is
    meaningless.

    Members
    -------
    act : In(format bits)
    fixed : Out(signed(bits))
        The activation divided by 2^(1 - bias - mantissa bits).
    special : Out(1)
    """

    def __init__(self, spec: ToFixedSpec) -> None:
        self.summary = (
            f"{spec.number.name} to an integer of {spec.bits} bits, in units of the least "
            "subnormal; exact."
        )
        super().__init__(
            spec,
            {"act": In(spec.number.bits), "fixed": Out(signed(spec.bits)), "special": Out(1)},
        )

    def body(self) -> Module:
        number = self.spec.number
        m = Module()
        mantissa = self.act[: number.mantissa_bits]
        exponent = self.act[number.mantissa_bits : -1]
        sign = self.act[-1]
        normal = Signal(name="normal")
        lowered = Signal(number.exponent_bits, name="lowered")
        shift = Signal(number.exponent_bits, name="shift")
        m.d.comb += [
            normal.eq(exponent.any()),
            # A subnormal has the weight of the lowest normal exponent.
            lowered.eq(exponent - 1),
            shift.eq(Mux(normal, lowered, 0)),
        ]
        bits = self.spec.bits - 1
        magnitude: Value = Cat(mantissa, normal)
        for step in range(number.exponent_bits):
            width = min(len(magnitude) + (1 << step), bits)
            shifted = Signal(width, name=f"shifted_{step}")
            moved = Cat(Const(0, 1 << step), magnitude)[:width]
            m.d.comb += shifted.eq(Mux(shift[step], moved, magnitude))
            magnitude = shifted
        flipped = Signal(self.spec.bits, name="flipped")
        negated = Signal(self.spec.bits, name="negated")
        m.d.comb += [
            flipped.eq(Cat(magnitude, Const(0, 1)) ^ sign.replicate(self.spec.bits)),
            negated.eq(flipped + sign),
            self.fixed.eq(negated.as_signed()),
        ]
        if number.infinities:
            m.d.comb += self.special.eq(exponent.all())
        else:
            m.d.comb += self.special.eq(self.act[:-1].all())
        return m


class FromFixed(Unit[FromFixedSpec]):
    """An integer multiple of a format's least subnormal, rounded once to that format.

    Combinational. Round to nearest, ties to even; what is too large becomes infinity, or NaN in a
    format without. An exact zero is +0. With ``special`` the result is the canonical NaN.

    Members
    -------
    fixed : In(signed(bits))
    special : In(1)
    value : Out(format bits)
    """

    def __init__(self, spec: FromFixedSpec) -> None:
        self.summary = (
            f"An integer of {spec.bits} bits, in units of the least subnormal, rounded to "
            f"{spec.number.name}."
        )
        super().__init__(
            spec,
            {"fixed": In(signed(spec.bits)), "special": In(1), "value": Out(spec.number.bits)},
        )

    def body(self) -> Module:
        spec, number, bits = self.spec, self.spec.number, self.spec.bits
        kept = number.mantissa_bits + 1  # Leading one and stored mantissa.
        m = Module()
        sign = self.fixed[-1]
        flipped = Signal(bits, name="flipped")
        magnitude = Signal(bits, name="magnitude")
        m.d.comb += [
            flipped.eq(self.fixed.as_unsigned() ^ sign.replicate(bits)),
            magnitude.eq(flipped + sign),
        ]
        # Shift the leading one to the top, but no further than brings the least subnormal's bit
        # to the mantissa's lowest one: subnormals need no case of their own. Zeros on top make the
        # furthest shift the sum of all steps.
        width = kept + (1 << spec.steps) - 1
        word: Value = Cat(magnitude, Const(0, width - bits)) if width > bits else magnitude
        unshifted: list[Value] = []
        for step in reversed(range(spec.steps)):
            amount = 1 << step
            stays = Signal(name=f"stays_{amount}")
            shifted = Signal(width, name=f"shifted_{amount}")
            moved = Cat(Const(0, amount), word[: width - amount])
            m.d.comb += [
                stays.eq(word[width - amount :].any()),
                shifted.eq(Mux(stays, word, moved)),
            ]
            word = shifted
            unshifted.insert(0, stays)
        top, rest = word[width - kept :], word[: width - kept]
        half, below = rest[-1], rest[:-1]
        up = Signal(name="round_up")
        m.d.comb += up.eq(half & (below.any() | top[0]))
        # The leading one, where there is one, adds 1 to the exponent, and so may the rounding.
        exponent = Cat(Const(0, number.mantissa_bits), *unshifted, Const(0, 1))
        mantissa = Cat(top, Const(0, len(exponent) - kept))
        code = add(m, "code", exponent, mantissa, len(exponent), up).as_unsigned()
        overflows, invalid = Signal(name="overflows"), Signal(name="invalid")
        limited = Signal(number.bits - 1, name="limited")
        m.d.comb += [
            overflows.eq(code > number.largest),
            limited.eq(code[: number.bits - 1]),
            invalid.eq(self.special),
            self.value.eq(Mux(invalid, number.quiet_nan, Cat(limited, sign))),
        ]
        if number.infinity is None:  # Without infinities what overflows is NaN.
            m.d.comb += invalid.eq(self.special | overflows)
        else:
            m.d.comb += limited.eq(Mux(overflows, number.infinity, code[: number.bits - 1]))
        return m
