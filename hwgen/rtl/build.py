"""Build: the sums of one group of activations."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, Value, signed
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hwgen.dag import Sum
from hwgen.number import FloatFormat
from hwgen.rtl.base import Unit
from hwgen.rtl.floating import fp_sum
from hwgen.rtl.words import act_shape, data_register, word
from hwgen.spec import BuildSpec


def table_layout(spec: BuildSpec) -> data.StructLayout:
    """The entries of one table, entry 0 lowest, each of its own exact width."""
    return data.StructLayout(
        {f"entry_{i}": signed(bits) for i, bits in enumerate(spec.output_bits)}
    )


class Build(Unit[BuildSpec]):
    """Every entry of one table from ``mu`` activations; or, without sums, the activations held.

    Latency: one cycle for each cut of the spec, combinational without any. A register loads when
    its ``load`` bit is set and holds otherwise (an enable costs about 40 % of a flip-flop's area;
    reset none, since data registers have none). Exact: no entry overflows.

    Members
    -------
    acts : In(mu x number)
        Element 0 in the least significant bits.
    load : In(number of cuts), absent without cuts
        Bit s loads the registers of cut s, the first one nearest to ``acts``.
    entries : Out({entry_i: signed(output_bits[i])})
        Entry i is the sum of the codebook's entry i; a full table goes on with their negatives.
    """

    def __init__(self, spec: BuildSpec) -> None:
        self.summary = (
            f"Sums of {spec.mu} {spec.number.name} activations: {len(spec.outputs)} entries from "
            f"{len(spec.dag.sums)} adders ({spec.builder}), {spec.dag.levels} adder levels, "
            f"{len(spec.cuts)} register stages."
            if spec.dag.sums
            else f"Holds {spec.mu} {spec.number.name} activations while they serve their tiles."
        )
        members = {
            "acts": In(data.ArrayLayout(act_shape(spec.number), spec.mu)),
            "entries": Out(table_layout(spec)),
        }
        if spec.cuts:
            members["load"] = In(len(spec.cuts))
        super().__init__(spec, members)

    def body(self) -> Module:
        spec = self.spec
        m = Module()
        live: dict[int, Value] = {j: self.acts[j] for j in range(spec.mu)}
        done = 0
        for stage, cut in enumerate([*spec.cuts, spec.dag.levels]):
            for position, step in enumerate(spec.dag.sums):
                reference = spec.mu + position
                if done < spec.dag.depth[reference] <= cut:
                    live[reference] = self._sum(m, reference, step, live)
            done = cut
            if stage < len(spec.cuts):
                live = self._register(m, stage, cut, live)
        entries = [live[output] for output in spec.outputs]
        m.d.comb += self.entries.as_value().eq(Cat(*entries))
        return m

    def _sum(self, m: Module, reference: int, step: Sum, live: dict[int, Value]) -> Value:
        """One sum; a floating-point operand is subtracted by inverting its sign."""
        spec, name = self.spec, self._unique(reference)
        right = live[step.right]
        left = None if step.left is None else live[step.left]
        if isinstance(spec.number, FloatFormat):
            if step.subtract:
                opposite = Signal(name=f"sign_{name}")
                m.d.comb += opposite.eq(~right[-1])
                right = Cat(right[:-1], opposite)
            return right if left is None else fp_sum(m, name, spec.number, left, right)
        total = word(name, spec.bits(reference))
        if left is None:
            left = Const(0, 1)
        m.d.comb += total.eq(left - right if step.subtract else left + right)
        return total

    def _unique(self, reference: int) -> str:
        return self.spec.unique_names[reference - self.spec.mu]

    def _register(
        self, m: Module, stage: int, cut: int, live: dict[int, Value]
    ) -> dict[int, Value]:
        """All that crosses the cut, registered."""
        registers: dict[int, Value] = {}
        for reference in self.spec.live(cut):
            source = live[reference]
            name = f"act_{reference}" if reference < self.spec.mu else self._unique(reference)
            register = data_register(f"{name}_r{stage}", len(source))
            with m.If(self.load[stage]):
                m.d.sync += register.eq(source)
            registers[reference] = register
        return registers
