"""Build: the sums of one group of activations."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hwgen.rtl.base import Unit
from hwgen.rtl.floating import fp_sum
from hwgen.rtl.words import act_shape, data_register, word
from hwgen.spec.number import FloatFormat
from hwgen.spec.rounding import RegisterStage
from hwgen.spec.sums import Sum
from hwgen.spec.units import BuildSpec


def table_layout(spec: BuildSpec) -> data.StructLayout:
    """The entries of one table, entry 0 lowest, each of its own exact width."""
    return data.StructLayout(
        {f"entry_{i}": signed(bits) for i, bits in enumerate(spec.output_bits)}
    )


class Build(Unit[BuildSpec]):
    """All entries of one table, from ``mu`` activations; without sums, the activations themselves.

    Latency: one cycle for each stage of the spec; combinational where it has none. Stages stand
    after some levels of adders, and inside the adders of floating-point numbers. A register loads
    when its ``load`` bit is set and holds otherwise; the enable costs about 40 % of a flip-flop's
    area. No register is reset. Exact: no entry overflows; floating-point sums round.

    Members
    -------
    acts : In(mu x number)
        Element 0 in the least significant bits.
    load : In(number of stages), absent without
        Bit s loads the registers of stage s, the first one nearest to ``acts``.
    entries : Out({entry_i: signed(output_bits[i])})
        Entry i is the sum of the codebook's entry i. In a full table the negatives follow.
    """

    in_processes = True

    def __init__(self, spec: BuildSpec) -> None:
        self.summary = (
            f"Sums of {spec.mu} {spec.number.name} activations: {len(spec.outputs)} entries from "
            f"{len(spec.dag.sums)} adders ({spec.builder}), {spec.dag.levels} adder levels, "
            f"{len(spec.stages)} register stages."
            if spec.dag.sums
            else f"Holds {spec.mu} {spec.number.name} activations while they serve their tiles."
        )
        members = {
            "acts": In(data.ArrayLayout(act_shape(spec.number), spec.mu)),
            "entries": Out(table_layout(spec)),
        }
        if spec.stages:
            members["load"] = In(len(spec.stages))
        super().__init__(spec, members)

    def body(self) -> Module:
        spec = self.spec
        m = Module()
        live: dict[int, Value] = {j: self.acts[j] for j in range(spec.mu)}
        for level in range(spec.dag.levels + 1):
            inner = [i for i, s in enumerate(spec.stages) if s.level == level and s.inner]
            loads = Cat(self.load[i] for i in inner)
            operands = live
            for i in inner:  # What the level does not add waits for it.
                live = self._register(m, i, live)
            for position, step in enumerate(spec.dag.sums):
                reference = spec.mu + position
                if spec.dag.depth[reference] == level:
                    source = live if step.left is None else operands
                    live[reference] = self._sum(m, reference, step, source, loads)
            if (after := RegisterStage(level, 0)) in spec.stages:
                live = self._register(m, spec.stages.index(after), live)
        entries = [live[output] for output in spec.outputs]
        m.d.comb += self.entries.as_value().eq(Cat(*entries))
        return m

    def _sum(
        self, m: Module, reference: int, step: Sum, live: dict[int, Value], loads: Value
    ) -> Value:
        """One sum; a floating-point operand is subtracted by inverting its sign."""
        spec, name = self.spec, self._unique(reference)
        right = live[step.right]
        left = None if step.left is None else live[step.left]
        if isinstance(spec.number, FloatFormat):
            if step.subtract:
                opposite = Signal(name=f"sign_{name}")
                m.d.comb += opposite.eq(~right[-1])
                right = Cat(right[:-1], opposite)
            return right if left is None else fp_sum(m, name, spec.number, left, right, loads)
        total = word(name, spec.bits(reference))
        if left is None:
            left = Const(0, 1)
        m.d.comb += total.eq(left - right if step.subtract else left + right)
        return total

    def _unique(self, reference: int) -> str:
        return self.spec.unique_names[reference - self.spec.mu]

    def _register(self, m: Module, stage: int, live: dict[int, Value]) -> dict[int, Value]:
        """All that crosses a stage outside the adders, registered."""
        registers: dict[int, Value] = {}
        for reference in self.spec.crossing(self.spec.stages[stage]):
            source = live[reference]
            name = f"act_{reference}" if reference < self.spec.mu else self._unique(reference)
            register = data_register(f"{name}_r{stage}", len(source))
            with m.If(self.load[stage]):
                m.d.sync += register.eq(source)
            registers[reference] = register
        return registers
