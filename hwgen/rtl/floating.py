"""Rounding reduction and accumulation."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hwgen.rtl.bank import accumulators
from hwgen.rtl.base import Unit
from hwgen.rtl.fp import FpAdd
from hwgen.spec.fp import FpAddSpec
from hwgen.spec.number import FloatFormat
from hwgen.spec.rounding import FloatAccumulateSpec, FloatReduceSpec, RegisterStage, WidenSpec


def fp_sum(
    m: Module, name: str, number: FloatFormat, left: Value, right: Value, loads: Value
) -> Signal:
    """left + right by an adder of its own, called ``name``; codes in, code out.

    loads: one bit for each register in the adder.
    """
    m.submodules[f"add_{name}"] = adder = FpAdd(FpAddSpec(number, len(loads)))
    m.d.comb += [adder.a.eq(left), adder.b.eq(right)]
    if len(loads):
        m.d.comb += adder.load.eq(loads)
    return adder.o


class Widen(Unit[WidenSpec]):
    """A floating-point number in a wider format, which holds it exactly. Combinational.

    Infinities stay; a NaN becomes a NaN.

    Members
    -------
    value : In(source bits)
    wide : Out(target bits)
    """

    def __init__(self, spec: WidenSpec) -> None:
        self.summary = f"{spec.source.name} to {spec.target.name}, exact."
        super().__init__(spec, {"value": In(spec.source.bits), "wide": Out(spec.target.bits)})

    def body(self) -> Module:
        source, target = self.spec.source, self.spec.target
        m = Module()
        bits = source.mantissa_bits
        mantissa, exponent, sign = self.value[:bits], self.value[bits:-1], self.value[-1]
        low = Const(0, target.mantissa_bits - bits)
        if self.spec.is_wires:
            m.d.comb += self.wide.eq(Cat(low, mantissa, exponent, sign))
            return m
        # A subnormal goes left until its leading one stands where that of a normal number does.
        normal = Signal(name="normal")
        m.d.comb += normal.eq(exponent.any())
        significand: Value = Cat(mantissa, normal)
        amount: list[Value] = []
        for step in reversed(range(bits.bit_length())):
            by = min(1 << step, bits)
            moves, moved = Signal(name=f"moves_{by}"), Signal(bits + 1, name=f"moved_{by}")
            m.d.comb += [
                moves.eq(~significand[bits + 1 - by :].any()),
                moved.eq(Mux(moves, Cat(Const(0, by), significand)[: bits + 1], significand)),
            ]
            significand, amount = moved, [moves, *amount]
        shift, field = Signal(len(amount), name="shift"), Signal(target.exponent_bits, name="field")
        special, leading = Signal(name="special"), Signal(name="leading")
        if source.infinities:
            m.d.comb += special.eq(exponent.all())
        else:
            m.d.comb += special.eq(self.value[:-1].all())
        offset = target.bias - source.bias
        m.d.comb += [
            shift.eq(Cat(*amount)),
            leading.eq(significand[-1]),
            # Subnormals have the weight of the least normal exponent.
            field.eq(Cat(exponent[0] | ~normal, exponent[1:]) + offset - shift),
        ]
        masked = field & leading.replicate(len(field)) | special.replicate(len(field))
        m.d.comb += self.wide.eq(Cat(low, significand[:-1], masked, sign))
        return m


class FloatReduce(Unit[FloatReduceSpec]):
    """Rounding sum of ``terms`` terms: level by level, 2i + (2i + 1), an odd one passes.

    ``terms - 1`` adders, each rounding to nearest even. Latency: one cycle for each stage, inside
    the adders and after some levels.

    Members
    -------
    terms : In(terms x bits)
    load : In(number of stages), absent without
        Bit s loads the registers of stage s, the first one nearest to ``terms``.
    total : Out(bits)
    """

    def __init__(self, spec: FloatReduceSpec) -> None:
        self.summary = (
            f"Rounding sum of {spec.terms} {spec.number.name} terms: {spec.terms - 1} adders, "
            f"{len(spec.widths) - 1} levels, {spec.register_stages} register stages."
        )
        members = {
            "terms": In(data.ArrayLayout(spec.term_bits, spec.terms)),
            "total": Out(spec.word_bits),
        }
        if spec.register_stages:
            members["load"] = In(spec.register_stages)
        super().__init__(spec, members)

    def body(self) -> Module:
        spec = self.spec
        m = Module()
        words: list[Value] = [self.terms[i] for i in range(spec.terms)]
        for level in range(1, len(spec.widths)):
            inner = [i for i, s in enumerate(spec.stages) if s.level == level and s.inner]
            loads = Cat(self.load[i] for i in inner)
            odd = words[-1:] if len(words) % 2 else []
            for i in inner:
                odd = self._register(m, i, odd, f"level{level}_odd_{spec.stages[i].inner}")
            words = [
                fp_sum(m, f"level{level}_{i}", spec.number, words[2 * i], words[2 * i + 1], loads)
                for i in range(len(words) // 2)
            ] + odd
            if (after := RegisterStage(level, 0)) in spec.stages:
                words = self._register(m, spec.stages.index(after), words, f"level{level}")
        m.d.comb += self.total.eq(words[0])
        return m

    def _register(self, m: Module, stage: int, words: list[Value], name: str) -> list[Value]:
        held = [
            Signal(self.spec.number.bits, name=f"{name}_{i}_r", reset_less=True)
            for i in range(len(words))
        ]
        with m.If(self.load[stage]):
            m.d.sync += [old.eq(new) for old, new in zip(held, words, strict=True)]
        return list(held)


class FloatAccumulate(Unit[FloatAccumulateSpec]):
    """The ``reuse`` rounding accumulators of one port, and their one adder.

    The new sum is the accumulator that ``index`` names plus ``total``, rounded to nearest even. On
    the first n-tile -0 takes the accumulator's place, which leaves every number as it is, signs of
    zero included. A NaN leaves as the canonical one. A total in a narrower format is widened first,
    exactly. Latency: one cycle, and one for each register in the adder; ``write`` and ``finish``
    come that much later than ``total``, ``first`` and ``index``.

    Members
    -------
    total : In(bits of the term's format)
    load : In(registers), absent without registers
        Bit s loads register s of the adder, the first one nearest to its operands.
    first : In(1)
    index : In(range(reuse)), only with several accumulators
    write : In(reuse)
    finish : In(1), only with several accumulators
    sum : Out(bits)
        As in Accumulate.
    """

    def __init__(self, spec: FloatAccumulateSpec) -> None:
        self.summary = f"{spec.reuse} rounding accumulators in {spec.number.name} with one adder."
        members = {
            "total": In(spec.word_bits),
            "first": In(1),
            "write": In(spec.reuse),
            "sum": Out(spec.sum_bits),
        }
        if spec.register_stages:
            members["load"] = In(spec.register_stages)
        if spec.reuse > 1:
            members |= {"index": In(spec.index_bits), "finish": In(1)}
        super().__init__(spec, members)

    def body(self) -> Module:
        spec = self.spec
        m = Module()
        total: Value = self.total
        if spec.widen is not None:
            m.submodules.widen = widen = Widen(spec.widen)
            m.d.comb += widen.value.eq(self.total)
            total = widen.wide
        old = Signal(spec.sum_bits, name="old")
        keep, start = Signal(name="keep"), Signal(spec.sum_bits, name="start")
        start_magnitude = Signal(spec.sum_bits - 1, name="start_magnitude")
        m.d.comb += [
            keep.eq(~self.first),
            start_magnitude.eq(old[:-1] & keep.replicate(spec.sum_bits - 1)),
            start.eq(Cat(start_magnitude, old[-1] | self.first)),
        ]
        loads = self.load if spec.register_stages else Const(0, 0)
        updated = fp_sum(m, "total", spec.number, start, total, loads)
        accumulators(self, m, old, updated)
        return m
