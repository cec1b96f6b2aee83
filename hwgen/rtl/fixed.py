"""Floating point to fixed point and back: one rounding at the output."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib.wiring import In, Out

from hwgen.rtl.base import Unit
from hwgen.rtl.fp import decide, some
from hwgen.rtl.words import add
from hwgen.spec.fixed import FromFixedSpec, ToFixedSpec


class ToFixed(Unit[ToFixedSpec]):
    """A floating-point activation as an integer. Combinational.

    Exact: in units of the format's least subnormal. Aligned: in the unit that belongs to the
    token's exponent, rounded to nearest, ties away from zero; the error is at most half a unit.
    ``special`` is set where there is no such integer: for an infinity or NaN, and, aligned, for an
    exponent above the token's. ``fixed`` is meaningless then.

    Members
    -------
    act : In(format bits)
    exponent : In(exponent bits), only where aligned
        Highest exponent field of the token, at least 1.
    fixed : Out(signed(bits))
        The activation divided by 2^(1 - bias - mantissa bits); aligned, by
        2^(exponent - bias - bits + 2).
    special : Out(1)
    """

    in_processes = True

    def __init__(self, spec: ToFixedSpec) -> None:
        number, aligned = spec.point.number, spec.point.aligned_bits is not None
        self.summary = f"{number.name} to an integer of {spec.bits} bits, " + (
            "aligned to the token's exponent; to nearest."
            if aligned
            else "in units of the least subnormal; exact."
        )
        members = {"act": In(number.bits), "fixed": Out(signed(spec.bits)), "special": Out(1)}
        if aligned:
            members["exponent"] = In(number.exponent_bits)
        super().__init__(spec, members)

    def body(self) -> Module:
        spec, number = self.spec, self.spec.point.number
        m = Module()
        mantissa = self.act[: number.mantissa_bits]
        exponent = self.act[number.mantissa_bits : -1]
        sign = self.act[-1]
        normal = Signal(name="normal")
        m.d.comb += normal.eq(exponent.any())
        significand = Cat(mantissa, normal)
        # Without infinities the highest exponent holds numbers, and one NaN.
        not_finite = exponent.all() if number.infinities else self.act[:-1].all()
        if spec.point.aligned_bits is None:
            magnitude, up = self._shift_left(m, significand, exponent, normal), Const(0, 1)
            m.d.comb += self.special.eq(not_finite)
        else:
            # A subnormal has the weight of the lowest normal exponent.
            effective = Cat(exponent[0] | ~normal, exponent[1:])
            distance = Signal(signed(number.exponent_bits + 1), name="distance")
            m.d.comb += [
                distance.eq(self.exponent - effective),
                self.special.eq(distance[-1] | not_finite),
            ]
            magnitude, up = self._shift_right(m, significand, distance[:-1])
        flipped = Signal(spec.bits, name="flipped")
        signed_up = Signal(name="signed_up")
        m.d.comb += [
            flipped.eq(Cat(magnitude, Const(0, 1)) ^ sign.replicate(spec.bits)),
            signed_up.eq(up ^ sign),  # -(a + up) = ~a + 1 - up.
            self.fixed.eq((flipped + signed_up)[: spec.bits].as_signed()),
        ]
        return m

    def _shift_left(self, m: Module, magnitude: Value, exponent: Value, normal: Value) -> Value:
        number, bits = self.spec.point.number, self.spec.bits - 1
        lowered = Signal(number.exponent_bits, name="lowered")
        shift = Signal(number.exponent_bits, name="shift")
        # A subnormal has the weight of the lowest normal exponent.
        m.d.comb += [lowered.eq(exponent - 1), shift.eq(Mux(normal, lowered, 0))]
        for step in range(number.exponent_bits):
            width = min(len(magnitude) + (1 << step), bits)
            shifted = Signal(width, name=f"shifted_{step}")
            moved = Cat(Const(0, 1 << step), magnitude)[:width]
            m.d.comb += shifted.eq(Mux(shift[step], moved, magnitude))
            magnitude = shifted
        return magnitude

    def _shift_right(self, m: Module, magnitude: Value, distance: Value) -> tuple[Value, Value]:
        """The integer below, and the bit below it; highest places are filled first."""
        bits = self.spec.bits
        steps = min(bits.bit_length(), len(distance))
        for step in range(steps):
            by = 1 << step
            width = min(len(magnitude) + by, bits)
            shifted = Signal(width, name=f"shifted_{step}")
            stays = Cat(Const(0, width - len(magnitude)), magnitude)
            moved = Cat(magnitude, Const(0, by))[len(magnitude) + by - width :]
            m.d.comb += shifted.eq(Mux(distance[step], moved, stays))
            magnitude = shifted
        magnitude = Cat(Const(0, bits - len(magnitude)), magnitude)
        kept = Signal(bits, name="kept")
        near = Signal(name="near")
        m.d.comb += [
            near.eq(~distance[steps:].any() if steps < len(distance) else 1),
            kept.eq(magnitude & near.replicate(bits)),
        ]
        return kept[1:], kept[0]


class FromFixed(Unit[FromFixedSpec]):
    """An integer of fixed point, rounded once to a floating-point format. Combinational.

    Round to nearest, ties to even; what is too large becomes infinity, or NaN in a format without.
    An exact zero is +0. With ``special`` the result is the canonical NaN.

    Members
    -------
    fixed : In(signed(bits))
    special : In(1)
    limit : In, only where aligned
        Exponent field, less 1, of an output whose leading one is the highest bit of ``fixed``:
        top_field - 1 + the token's exponent.
    value : Out(format bits)
    """

    def __init__(self, spec: FromFixedSpec) -> None:
        aligned = spec.point.aligned_bits is not None
        unit = "of its token's unit" if aligned else "in units of the least subnormal"
        self.summary = f"An integer of {spec.bits} bits, {unit}, rounded to {spec.number.name}."
        members = {"fixed": In(signed(spec.bits)), "special": In(1), "value": Out(spec.number.bits)}
        if aligned:
            members["limit"] = In(spec.limit_bits)
        super().__init__(spec, members)

    def body(self) -> Module:
        spec, number, bits = self.spec, self.spec.number, self.spec.bits
        m = Module()
        sign = self.fixed[-1]
        flipped = Signal(bits, name="flipped")
        magnitude = Signal(bits, name="magnitude")
        m.d.comb += [
            flipped.eq(self.fixed.as_unsigned() ^ sign.replicate(bits)),
            magnitude.eq(flipped + sign),
        ]
        kept = number.mantissa_bits + 1  # Leading one and stored mantissa.
        aligned = spec.point.aligned_bits is not None
        # Zeros on top make the furthest shift the sum of all steps.
        padding = 0 if aligned else (1 << spec.steps) - 1 - spec.limit
        below = max(0, kept + 2 - bits - padding)  # At least two bits are rounded away.
        word: Value = Cat(Const(0, below), magnitude, Const(0, padding))
        word, shifted = self._normalise(m, word)
        top, rest = word[len(word) - kept :], word[: len(word) - kept]
        exponent = self._exponent(m, shifted, top[-1], padding)
        half, lower = rest[-1], rest[:-1]
        up = Signal(name="round_up")
        m.d.comb += up.eq(half & (lower.any() | top[0]))
        # The leading one, where there is one, adds 1 to the exponent, and so may the rounding.
        field = Cat(Const(0, number.mantissa_bits), exponent, Const(0, 1))
        mantissa = Cat(top, Const(0, len(field) - kept))
        code = add(m, "code", field, mantissa, len(field), up).as_unsigned()
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

    def _normalise(self, m: Module, word: Value) -> tuple[Value, list[Value]]:
        """The word with its leading one at the top, and the steps of the shift.

        The shift ends where the least subnormal is at the lowest bit of the mantissa, so that
        subnormals need no case of their own.
        """
        spec = self.spec
        aligned = spec.point.aligned_bits is not None
        nearer: Value = some(self.limit[spec.steps :]) if aligned else Const(1)
        shifted: list[Value] = []
        for step in reversed(range(spec.steps)):
            amount = 1 << step
            if aligned:
                moves, nearer = decide(m, step, word, self.limit, nearer)
            else:
                moves = Signal(name=f"shift_{amount}")
                m.d.comb += moves.eq(~word[len(word) - amount :].any())
            after = Signal(len(word), name=f"shifted_{amount}")
            moved = Cat(Const(0, amount), word[: len(word) - amount])
            m.d.comb += after.eq(Mux(moves, moved, word))
            word = after
            shifted.insert(0, moves)
        return word, shifted

    def _exponent(self, m: Module, shifted: list[Value], leading: Value, padding: int) -> Value:
        """Exponent field less 1; ``leading``: the leading one is at the top, else this is 0."""
        spec = self.spec
        if spec.point.aligned_bits is not None:
            left = Signal(len(self.limit), name="exponent_left")
            m.d.comb += left.eq(self.limit - Cat(*shifted))
        else:
            stays = Cat(~moves for moves in shifted)  # Furthest shift less this one.
            furthest = spec.top_field + padding - 1
            spare = furthest - ((1 << spec.steps) - 1)
            if not spare:
                return stays
            left = Signal(furthest.bit_length(), name="exponent_left")
            m.d.comb += left.eq(stays + spare)
        exponent = Signal(len(left), name="exponent")
        m.d.comb += exponent.eq(left & leading.replicate(len(left)))
        return exponent
