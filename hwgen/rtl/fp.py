"""FpAdd and FpMul: floating-point addition and multiplication, rounded to nearest even.

Both have one path for normal numbers and subnormals, for little area. A sum or product is shifted
to the left until its leading one is at the top or its exponent is the least one, whichever comes
first; a subnormal is what results in the second case. Rounding increments exponent and mantissa as
one number, so that a carry out of the mantissa needs no logic of its own. Shifters are stages of
multiplexers by powers of two, the largest first; each stage decides whether it shifts.
"""

from __future__ import annotations

from typing import TypeVar

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from hwgen.rtl.base import Unit
from hwgen.spec.fp import FpAddSpec, FpMulSpec, FpSpec

SpecT = TypeVar("SpecT", bound=FpSpec)


class FpUnit(Unit[SpecT]):
    """What both units share: ports, register stages, rounding."""

    operation: str

    def __init__(self, spec: SpecT) -> None:
        number, registers = spec.number, spec.registers
        self.summary = (
            f"{self.operation} of two {number.name} numbers, to nearest even; "
            f"{registers} register stages."
        )
        members: dict[str, wiring.Member] = {
            "a": In(number.bits),
            "b": In(number.bits),
            "o": Out(number.bits),
        }
        if registers:
            members["load"] = In(registers)
        super().__init__(spec, members)

    def cut(self, m: Module, step: int, **values: Value) -> list[Value]:
        """The values behind the register that stands after ``step``, if one does.

        A value given twice is held once, under its first name; constants are not held.
        """
        if step not in self.spec.cuts:
            return list(values.values())
        held: dict[int, Value] = {}
        with m.If(self.load[self.spec.cuts.index(step)]):
            for name, value in values.items():
                if isinstance(value, Const) or not len(value):
                    held[id(value)] = value
                elif id(value) not in held:
                    register = Signal(len(value), name=f"{name}_r{step}", reset_less=True)
                    m.d.sync += register.eq(value)
                    held[id(value)] = register
        return [held[id(value)] for value in values.values()]

    def finish(self, m: Module, **values: Value) -> None:
        """Round, behind register 4 if there is one, and drive the output.

        values, in this order and by names for their registers:
        exponent: biased, of the leading one, less 1; 0 where that one is missing.
        significand: leading one, mantissa, and half a unit, highest first.
        fallen: something lies below.
        sign: of the result, unless it is NaN.
        special: an operand is infinite or NaN; read in formats with infinities only.
        nan: the result is NaN, overflow apart.
        """
        exponent, significand, fallen, sign, special, nan = self.cut(m, 4, **values)
        number = self.spec.number
        bits = number.mantissa_bits
        up = named(m, "up", significand[0] & (significand[1] | fallen))
        # One at the place of the exponent for the leading one, one at the last for rounding.
        ones = Cat(up, Const(0, bits - 1), significand[-1])
        rounded = Signal(len(exponent) + bits, name="rounded")
        m.d.comb += rounded.eq(Cat(significand[1:-1], exponent) + ones)
        code, beyond = rounded[: number.bits - 1], rounded[number.bits - 1 :]
        if number.infinities:
            highest = named(m, "highest", code[bits:].all())
            over = named(m, "over", Cat(highest, beyond, special).any())
            keep = named(m, "keep", ~over)
            kept = named(m, "kept", code[:bits] & keep.replicate(bits))
            quiet = named(m, "quiet", kept[-1] | nan)
            field = named(m, "field", code[bits:] | over.replicate(number.exponent_bits))
            sign_out = named(m, "sign_out", sign & ~nan)
            m.d.comb += self.o.eq(Cat(kept[:-1], quiet, field, sign_out))
        else:
            highest = named(m, "highest", code.all())
            over = named(m, "over", Cat(highest, beyond, nan).any())
            magnitude = named(m, "magnitude", code | over.replicate(number.bits - 1))
            sign_out = named(m, "sign_out", sign & ~over)
            m.d.comb += self.o.eq(Cat(magnitude, sign_out))


class FpAdd(FpUnit[FpAddSpec]):
    """Sum of two floating-point numbers, correctly rounded: IEEE 754-2019, nearest, ties to even.

    Latency: one cycle for each of the ``registers``; takes one pair per cycle; without registers
    combinational. Subnormals, signed zeros (x - x = +0), infinities and NaN as in the standard. A
    NaN result is always the canonical quiet NaN of the format. Overflow gives infinity, or NaN in
    a format without infinities. Data registers are never reset.

    Members
    -------
    a, b : In(bits of the format)
        Operands: sign highest, then exponent, then mantissa.
    load : In(registers), absent without registers
        Bit s loads register s, the first one nearest to the operands.
    o : Out(bits of the format)
        a + b.
    """

    operation = "Sum"

    def body(self) -> Module:
        m = Module()
        number = self.spec.number
        mantissa, exponent = number.mantissa_bits, number.exponent_bits

        # The operand of greater magnitude goes left: codes are ordered as magnitudes are.
        swap = named(m, "swap", self.a[:-1] < self.b[:-1])
        greater: Value = named(m, "greater", Mux(swap, self.b, self.a))
        lesser: Value = named(m, "lesser", Mux(swap, self.a[:-1], self.b[:-1]))
        subtract: Value = named(m, "subtract", self.a[-1] ^ self.b[-1])
        greater_field, lesser_field = greater[mantissa:-1], lesser[mantissa:]
        greater_normal: Value = named(m, "greater_normal", greater_field.any())
        lesser_normal: Value = named(m, "lesser_normal", lesser_field.any())
        # Subnormals have the exponent of field 1: of two unlike ones, the distance is 1 less.
        alike = named(m, "alike", lesser_normal | ~greater_normal)
        complement = named(m, "complement", ~lesser_field)
        distance: Value = add(m, "distance", greater_field, complement, exponent, alike)
        if number.infinities:
            opposite = named(m, "opposite", lesser_field.all() & subtract)
            no_infinity = named(m, "no_infinity", greater[:mantissa].any() | opposite)
            nan: Value = named(m, "nan", greater_field.all() & no_infinity)
        else:
            nan = named(m, "nan", greater[:-1].all())
        greater, lesser, subtract, greater_normal, lesser_normal, distance, nan = self.cut(
            m,
            1,
            greater=greater,
            lesser=lesser[:mantissa],
            subtract=subtract,
            greater_normal=greater_normal,
            lesser_normal=lesser_normal,
            distance=distance,
            nan=nan,
        )

        aligned, fallen = self._align(m, Cat(lesser, lesser_normal), distance)
        greater, greater_normal, subtract, aligned, fallen, nan = self.cut(
            m,
            2,
            greater=greater,
            greater_normal=greater_normal,
            subtract=subtract,
            aligned=aligned,
            fallen=fallen,
            nan=nan,
        )

        bits = mantissa + 4
        term = named(m, "term", Cat(fallen, aligned) ^ subtract.replicate(bits))
        significand = Cat(Const(0, 3), greater[:mantissa], greater_normal)
        added = add(m, "added", significand, term, bits + 1, subtract)
        # Subtraction always carries out, since the greater operand is on the left.
        carry = named(m, "carry", added[-1] & ~subtract)
        lowest = named(m, "lowest", greater[mantissa] | ~greater_normal)
        sign, total, field, subtract, nan = self.cut(
            m,
            3,
            sign=greater[-1],
            total=Cat(added[:-1], carry),
            field=Cat(lowest, greater[mantissa + 1 : -1]),
            subtract=subtract,
            nan=nan,
        )

        vector, amount = self._normalise(m, total, field)
        empty = named(m, "empty", ~total.any())
        sign = named(m, "sign_of_sum", sign & ~(subtract & empty))
        special = named(m, "special", field.all()) if number.infinities else nan
        rest = named(m, "rest", vector[:3].any())
        reduced = reduce(m, field, amount, exponent + (not number.infinities), vector[-1])
        self.finish(
            m, reduced=reduced, normal=vector[3:], rest=rest, sign=sign, special=special, nan=nan
        )
        return m

    def _align(self, m: Module, significand: Value, distance: Value) -> tuple[Value, Value]:
        """The lesser significand in places of the greater one, with two guard bits below, and
        whether any bit fell off."""
        number = self.spec.number
        aligned: Value = Cat(Const(0, 2), significand)
        fallen: Value = Const(0, 1)
        stages = min((number.mantissa_bits + 2).bit_length(), number.exponent_bits)
        if stages < number.exponent_bits:
            fallen = named(m, "far", distance[stages:].any())
            near = named(m, "near", ~fallen)
            aligned = named(m, "aligned", aligned & near.replicate(len(aligned)))
        for k in reversed(range(stages)):
            by = 1 << k
            fallen = named(m, f"fallen_{by}", fallen | (distance[k] & aligned[:by].any()))
            lowered = Cat(aligned[by:], Const(0, min(by, len(aligned))))
            aligned = named(m, f"aligned_{by}", Mux(distance[k], lowered, aligned))
        return aligned, fallen

    def _normalise(self, m: Module, total: Value, field: Value) -> tuple[Value, Value]:
        """The sum with its leading one at the top, or as near as the exponent allows, and by how
        far it moved."""
        stages = (self.spec.number.mantissa_bits + 2).bit_length()
        limit = Cat(field, Const(0, max(stages - self.spec.number.exponent_bits, 0)))
        below = some(limit[stages:])
        amount: Value = Const(0, 0)
        vector = total
        for k in reversed(range(stages)):
            by = 1 << k
            # Only operands next to each other lead to more than 2: nothing lies in two low bits.
            still = 2 if by > 2 else 0
            shift, below = decide(m, k, vector, limit, below)
            amount = Cat(shift, amount)
            stay = vector[still:]
            raised = Cat(Const(0, by), stay)[: len(stay)]
            vector = Cat(vector[:still], choose(m, by, shift, stay, raised))
        return vector, amount


class FpMul(FpUnit[FpMulSpec]):
    """Product of two floating-point numbers, correctly rounded: IEEE 754-2019, ties to even.

    Latency: one cycle for each of the ``registers``; takes one pair per cycle; without registers
    combinational. Subnormals, signed zeros, infinities and NaN as in the standard. A NaN result is
    always the canonical quiet NaN of the format. Overflow gives infinity, or NaN in a format
    without infinities. Data registers are never reset.

    The significands are multiplied by rows of carry-save adders, which are small; their delay grows
    with the number of rows. A ``*``, synthesised for least area, makes fp16 larger by 8 % (ASAP7).

    Members
    -------
    a, b : In(bits of the format)
        Operands: sign highest, then exponent, then mantissa.
    load : In(registers), absent without registers
        Bit s loads register s, the first one nearest to the operands.
    o : Out(bits of the format)
        a * b.
    """

    operation = "Product"

    def body(self) -> Module:
        m = Module()
        number = self.spec.number
        mantissa, exponent = number.mantissa_bits, number.exponent_bits

        normal, fields, special, nan = self._operands(m)
        sign: Value = named(m, "sign", self.a[-1] ^ self.b[-1])
        both: Value = add(m, "both", fields[0], fields[1], exponent + 1, Const(1, 1))

        a: Value = Cat(self.a[:mantissa], normal[0])
        b: Value = Cat(self.b[:mantissa], normal[1])
        rows = mantissa + 1
        total: Value = named(m, "row_0", a & b[0].replicate(rows))
        above, carry, done = Cat(total[1:], Const(0, 1)), Const(0, rows), total[0]
        for row in range(1, rows):
            if row == (rows + 1) // 2:
                a, b, above, carry, done, both, sign, special, nan = self.cut(
                    m,
                    1,
                    a=a,
                    b=b[row:],
                    above=above[:-1],
                    carry=carry,
                    done=done,
                    both=both,
                    sign=sign,
                    special=special,
                    nan=nan,
                )
                b, above = Cat(Const(0, row), b), Cat(above, Const(0, 1))
            total, carry = self._row(m, row, a, b, above, carry)
            above, done = Cat(total[1:], Const(0, 1)), Cat(done, total[0])
        high = Signal(rows, name="high")
        m.d.comb += high.eq(above + carry)
        product, both, sign, special, nan = self.cut(
            m, 2, product=Cat(done, high), both=both, sign=sign, special=special, nan=nan
        )

        # With `room` places above the product, shifts to the left are all that is needed. By 0, the
        # product lies below half of the result's last place; by `room`, its top is the result's.
        stages = (mantissa + 1).bit_length()
        room = 1 << stages
        offset = room - number.bias - 1
        deep = 3 + offset < 0  # The exponent can be below even that.
        field, limit = self._places(m, both, offset)
        width = room + mantissa + 1
        shift = named(m, f"shift_{room}", some(limit[stages:]))
        below = some(limit[stages + 1 :])
        amount: Value = shift
        raised = Cat(Const(0, width - len(product)), product)
        stay = Cat(product[len(product) + room - width :], Const(0, room))
        vector: Value = named(m, f"normal_{room}", Mux(shift, raised, stay))
        fallen: Value = named(m, "fallen", ~shift & product[: len(product) + room - width].any())
        for k in reversed(range(stages)):
            if k == stages - 2:
                known = exponent + 1  # Bits of the exponent that are read from here on.
                field = field[:known] if deep else field[: max(known, k + 1)]
                limit, below, field, amount, vector, fallen, sign, special, nan = self.cut(
                    m,
                    3,
                    limit=limit[: k + 1] if deep else field,
                    below=below,
                    field=field,
                    amount=amount[: max(known - k - 1, 0)],
                    vector=vector,
                    fallen=fallen,
                    sign=sign,
                    special=special,
                    nan=nan,
                )
            by = 1 << k
            shift, below = decide(m, k, vector, limit, below)
            amount = Cat(shift, amount)
            fallen = named(m, f"fallen_{by}", fallen | (~shift & vector[:by].any()))
            vector = choose(m, by, shift, vector[by:], vector[:-by])
        reduced = reduce(m, field, amount, exponent + 1, vector[-1])
        self.finish(
            m, reduced=reduced, normal=vector, fallen=fallen, sign=sign, special=special, nan=nan
        )
        return m

    def _operands(self, m: Module) -> tuple[list[Value], list[Value], Value, Value]:
        """Of both operands whether they are normal, and their exponents as of normal numbers; and
        whether one of them is infinite or NaN, and whether the product is NaN."""
        mantissa, number = self.spec.number.mantissa_bits, self.spec.number
        normal, fields, tops, rests = [], [], [], []
        for name, operand in (("a", self.a), ("b", self.b)):
            field = operand[mantissa:-1]
            normal.append(named(m, f"{name}_normal", field.any()))
            lowest = named(m, f"{name}_lowest", field[0] | ~normal[-1])
            fields.append(Cat(lowest, field[1:]))
            if number.infinities:
                tops.append(named(m, f"{name}_top", field.all()))
                rests.append(named(m, f"{name}_rest", operand[:mantissa].any()))
            else:
                tops.append(named(m, f"{name}_nan", operand[:-1].all()))
        special: Value = named(m, "special", tops[0] | tops[1])
        nan: Value = special
        if number.infinities:
            # An operand at the top is NaN, or infinite; then the other one must not be 0.
            invalid = [
                named(m, f"{name}_invalid", tops[i] & (rests[i] | ~(normal[1 - i] | rests[1 - i])))
                for i, name in enumerate("ab")
            ]
            nan = named(m, "nan", invalid[0] | invalid[1])
        return normal, fields, special, nan

    def _places(self, m: Module, both: Value, offset: int) -> tuple[Value, Value]:
        """The exponent of the product's highest place, which may be negative, and how far to the
        left the product may go, which is not."""
        exponent = self.spec.number.exponent_bits
        deep = 3 + offset < 0
        if not offset:
            return both, both
        highest = 2 * (1 << exponent) - 1 + offset
        bits = max(exponent + 1, highest.bit_length()) + deep
        field = Signal(bits, name="field_in")
        m.d.comb += field.eq(both + Const(offset % (1 << bits), bits))
        if not deep:
            return field, field
        positive = named(m, "positive", ~field[-1])
        return field, named(m, "limit", field[:-1] & positive.replicate(bits - 1))

    @staticmethod
    def _row(
        m: Module, row: int, a: Value, b: Value, above: Value, carry: Value
    ) -> tuple[Value, Value]:
        """Sum and carries of a row of carry-save adders."""
        term = named(m, f"row_{row}", a & b[row].replicate(len(above)))
        if row == 1:
            total = named(m, f"total_{row}", above ^ term)
            carry = named(m, f"carry_{row}", above & term)
        else:
            either = named(m, f"either_{row}", above ^ carry)
            total = named(m, f"total_{row}", either ^ term)
            carry = named(m, f"carry_{row}", (above & carry) | (either & term))
        return total, carry


def named(m: Module, name: str, value: Value) -> Signal:
    """An unsigned signal for ``value``, so that Verilog calls it by name."""
    signal = Signal(len(value), name=name)
    m.d.comb += signal.eq(value)
    return signal


def some(value: Value) -> Value:
    """Whether any bit is set; of no bits, none is."""
    return value.any() if len(value) else Const(0, 1)


def add(m: Module, name: str, left: Value, right: Value, bits: int, carry: Value) -> Value:
    """``left + right + carry`` modulo 2^bits, unsigned, in one adder."""
    wide = Signal(bits + 1, name=f"{name}_wide")
    m.d.comb += wide.eq(Cat(Const(1, 1), left) + Cat(carry, right))
    return named(m, name, wide[1:])


def decide(m: Module, k: int, vector: Value, limit: Value, below: Value) -> tuple[Signal, Signal]:
    """Whether ``vector`` goes left by 2^k: its 2^k highest bits are 0, and the limit allows it.

    below: the shifts decided so far, of larger distances, are less than those bits of the limit.
    Returns the decision, and ``below`` for the next one.
    """
    by = 1 << k
    shift = named(m, f"shift_{by}", ~vector[-by:].any() & (below | limit[k]))
    return shift, named(m, f"below_{by}", below | (limit[k] & ~shift))


def choose(m: Module, by: int, shift: Value, stay: Value, raised: Value) -> Value:
    """``raised`` if ``shift``, else ``stay``, whose ``by`` highest bits are 0 if ``shift``."""
    low = named(m, f"normal_{by}", Mux(shift, raised[:-by], stay[:-by]))
    high = named(m, f"high_{by}", stay[-by:] | (raised[-by:] & shift.replicate(by)))
    return Cat(low, high)


def reduce(m: Module, field: Value, amount: Value, bits: int, leading: Value) -> Signal:
    """``field - amount``, which is 0 for subnormals, and made 0 where the whole value is."""
    left = Signal(bits, name="exponent_left")
    m.d.comb += left.eq(field - amount)
    return named(m, "reduced", left & leading.replicate(bits))
