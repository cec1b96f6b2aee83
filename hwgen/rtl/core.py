"""The core: tables, ports and control behind four streams."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from hwgen.rtl.accumulate import Accumulate
from hwgen.rtl.base import Formats, Unit
from hwgen.rtl.build import Build
from hwgen.rtl.control import Control, command_layout
from hwgen.rtl.fetch import Fetch, Product
from hwgen.rtl.fixed import FromFixed, ToFixed
from hwgen.rtl.floating import FloatAccumulate, FloatReduce
from hwgen.rtl.reduce import Reduce
from hwgen.rtl.words import act_shape
from hwgen.spec.config import CoreConfig
from hwgen.spec.fixed import FromFixedSpec, ToFixedSpec
from hwgen.spec.ports import ACTS, COMMANDS, KEYS, SUMS
from hwgen.spec.rounding import FloatAccumulateSpec, FloatReduceSpec
from hwgen.spec.structure import Structure
from hwgen.spec.units import (
    FetchSpec,
    PortSpec,
    TableSpec,
)


def acts_layout(c: CoreConfig) -> data.Layout:
    """A beat of activations, or of their codes if they are floating-point, and the exponent."""
    act = act_shape(c.number) if c.float_number is None else c.act_bits
    acts = data.ArrayLayout(data.ArrayLayout(act, c.tile_n), 1)
    if c.exponent_bits:
        return data.StructLayout({"acts": acts, "exponent": c.exponent_bits})
    return acts


def keys_layout(c: CoreConfig) -> data.Layout:
    """A beat of keys, or of the multiplier's weights, which are like its activations."""
    weights = c.kind == "multiplier" and c.float_number is None
    key = act_shape(c.number) if weights else c.weight_bits
    return data.ArrayLayout(data.ArrayLayout(key, c.tables), c.ports)


def sums_layout(c: CoreConfig) -> data.Layout:
    """A beat of outputs, or of their codes if they are floating-point, and its flags."""
    out = signed(c.sum_bits) if c.float_number is None else c.out_bits
    sums: dict[str, Any] = {"sums": data.ArrayLayout(data.ArrayLayout(out, c.ports), 1)}
    return data.StructLayout(sums | {"last": 1} | ({"error": 1} if c.exponent_bits else {}))


def core_streams(spec: Structure) -> dict[str, wiring.Member]:
    """The members of a core, for what wraps one."""
    c = spec.config
    return {
        COMMANDS: In(stream.Signature(command_layout(spec.control))),
        ACTS: In(stream.Signature(acts_layout(c))),
        KEYS: In(stream.Signature(keys_layout(c))),
        SUMS: Out(stream.Signature(sums_layout(c))),
    }


class Table(Unit[TableSpec]):
    """One table: its build and its fetch ports. For the baselines, one group of activations.

    Latency: that of Build for activations, and that of Fetch or Product for keys.

    Members
    -------
    acts : In(mu x number)
        Element 0 in the least significant bits.
    build_load : In(build stages), absent without build stages
        As ``load`` of Build.
    fetch_load : In(register stages of the fetch), absent without such stages
        As ``load`` of Fetch or Product.
    keys : In(ports x key_bits)
        Port 0 in the least significant bits.
    terms : Out(ports x signed(term_bits))
        Port 0 in the least significant bits.
    carries : Out(ports), only for half tables
        The value fetched by port k is terms[k] + carries[k].
    """

    def __init__(self, spec: TableSpec) -> None:
        build, fetch = spec.build, spec.fetch
        what = "table" if isinstance(fetch, FetchSpec) else "activation"
        self.summary = f"One {what} and its {spec.ports} ports."
        members = {
            "acts": In(data.ArrayLayout(act_shape(build.number), build.mu)),
            "keys": In(data.ArrayLayout(fetch.key_bits, spec.ports)),
            "terms": Out(data.ArrayLayout(signed(fetch.term_bits), spec.ports)),
        }
        if build.stages:
            members["build_load"] = In(len(build.stages))
        if fetch.register_stages:
            members["fetch_load"] = In(fetch.register_stages)
        if fetch.carry:
            members["carries"] = Out(spec.ports)
        super().__init__(spec, members)

    def body(self) -> Module:
        spec = self.spec
        m = Module()
        source = self.acts.as_value()
        if spec.has_build:
            m.submodules.build = build = Build(spec.build)
            m.d.comb += build.acts.eq(self.acts)
            if spec.build.stages:
                m.d.comb += build.load.eq(self.build_load)
            source = build.entries.as_value()
        terms, carries = [], []
        for k in range(spec.ports):
            if isinstance(spec.fetch, FetchSpec):
                port: Fetch | Product = Fetch(spec.build, spec.fetch)
                m.d.comb += port.entries.eq(source)
                if spec.fetch.carry:
                    carries.append(port.carry)
            else:
                port = Product(spec.fetch)
                m.d.comb += port.act.eq(source)
            m.submodules[f"fetch_{k}"] = port
            m.d.comb += port.key.eq(self.keys[k])
            if spec.fetch.register_stages:
                m.d.comb += port.load.eq(self.fetch_load)
            terms.append(port.term)
        m.d.comb += self.terms.as_value().eq(Cat(*terms))
        if carries:
            m.d.comb += self.carries.eq(Cat(*carries))
        return m


class Port(Unit[PortSpec]):
    """One output port: the reduction over all tables and the accumulators behind it.

    Latency: that of the reduction and that of the accumulators.

    Members
    -------
    terms : In(tables x signed(term_bits))
    carries : In(tables), only with carries
        As in Reduce.
    load : In(register stages), absent without register stages
        Loads those of the reduction, then those in the accumulating adder.
    first : In(1)
    index : In(range(reuse)), only with several accumulators
    write : In(reuse)
    finish : In(1), only with several accumulators
        As in Accumulate.
    sum : Out(signed(sum_bits))
        The output, as in Accumulate.
    """

    def __init__(self, spec: PortSpec) -> None:
        reduce, accumulate = spec.reduce, spec.accumulate
        self.summary = f"One output: sum of {reduce.terms} terms, {accumulate.reuse} accumulators."
        members = {
            "terms": In(data.ArrayLayout(signed(reduce.term_bits), reduce.terms)),
            "first": In(1),
            "write": In(accumulate.reuse),
            "sum": Out(signed(accumulate.sum_bits)),
        }
        if reduce.carry:
            members["carries"] = In(reduce.terms)
        if spec.register_stages:
            members["load"] = In(spec.register_stages)
        if accumulate.reuse > 1:
            members |= {"index": In(accumulate.index_bits), "finish": In(1)}
        super().__init__(spec, members)

    def body(self) -> Module:
        spec = self.spec
        m = Module()
        reduce: Reduce | FloatReduce
        accumulate: Accumulate | FloatAccumulate
        if isinstance(spec.reduce, FloatReduceSpec):
            reduce = FloatReduce(spec.reduce)
        else:
            reduce = Reduce(spec.reduce)
        if isinstance(spec.accumulate, FloatAccumulateSpec):
            accumulate = FloatAccumulate(spec.accumulate)
        else:
            accumulate = Accumulate(spec.accumulate)
        m.submodules.reduce, m.submodules.accumulate = reduce, accumulate
        m.d.comb += [
            reduce.terms.eq(self.terms),
            accumulate.total.eq(reduce.total),
            accumulate.first.eq(self.first),
            accumulate.write.eq(self.write),
            self.sum.eq(accumulate.sum),
        ]
        if spec.reduce.carry:
            m.d.comb += [reduce.carries.eq(self.carries), accumulate.carry.eq(reduce.carry)]
        if spec.reduce.register_stages:
            m.d.comb += reduce.load.eq(self.load[: spec.reduce.register_stages])
        if isinstance(accumulate, FloatAccumulate) and spec.accumulate.register_stages:
            m.d.comb += accumulate.load.eq(self.load[spec.reduce.register_stages :])
        if spec.accumulate.reuse > 1:
            m.d.comb += [accumulate.index.eq(self.index), accumulate.finish.eq(self.finish)]
        return m


class Core(Unit[Structure]):
    """A core for matrix products with ternary weights (any weights for kind multiplier).

    Throughput: one tile of L·µ inputs by K outputs per cycle while no stream stalls, across
    blocks, tokens and queued runs. A run takes T · ⌈N/n⌉ · ⌈M/m⌉ + latency cycles. Exact, unless
    the configuration asks for accumulators that wrap or saturate. The streams follow Amaranth's
    rules: a producer's valid does not wait for ready, and holds with its payload until the
    transfer. Any stream may stall at any time.

    Members
    -------
    commands : In(stream of {tokens, in_tiles, out_tiles}), each at least 1
        The next run is accepted while the previous one drains.
    acts : In(stream of [1][L·µ] activations)
        Position l·µ + j of beat i is input i·n + l·µ + j. A block takes I beats; their order is
        token, block, i. The last of them is padded with zeros.
    keys : In(stream of [K][L] keys)
        One beat per tile, in the order token, block, i, d; table 0 of port 0 lowest. Kind
        multiplier: one weight of the activation's format for each key.
    sums : Out(stream of {sums: [1][K] signed(sum_bits), last})
        One beat per tile of a block, during its last n-tile; ``last`` on a token's final beat.

    With floating-point activations `acts` and `sums` carry their codes. With arith: fixed each
    output is the exact sum, rounded once (nearest, ties to even); it is NaN where any activation of
    the token is an infinity or NaN, whatever the weights.

    With ``fixed_bits`` W, tokens are aligned: every beat of `acts` carries above the activations
    ``exponent`` X, the same for all beats of a token: the highest exponent field among the token's
    activations, at least 1. Each activation becomes the nearest multiple of one unit,
    2^(X - bias - W + 2), which is wrong by at most half a unit. Sums of these are exact, so that an
    output of z non-zero weights is wrong by at most z/2 units before its one rounding. `sums`
    carries ``error`` above ``last``: an activation of the token was above the exponent, infinite or
    NaN, or the token's beats differed in exponent; the outputs are NaN.
    """

    def __init__(self, spec: Structure) -> None:
        c = spec.config
        self.summary = (
            f"{c.kind} core: {c.act} activations, {c.tile_n} inputs x {c.tile_m} outputs per "
            f"cycle, {spec.latency} cycles of latency."
        )
        super().__init__(spec, core_streams(spec))

    def formats(self) -> Formats:
        c = self.spec.config
        sums = f"int{c.sum_bits}" if c.sum_number is None else c.sum_number.name
        return {(ACTS, "acts"): c.act, (SUMS, "sums"): sums}

    def body(self) -> Module:
        spec = self.spec
        c = spec.config
        m = Module()
        m.submodules.control = control = Control(spec.control)
        m.d.comb += [
            control.command.eq(self.commands.payload),
            control.command_valid.eq(self.commands.valid),
            self.commands.ready.eq(control.command_ready),
            control.acts_valid.eq(self.acts.valid),
            self.acts.ready.eq(control.acts_ready),
            control.keys_valid.eq(self.keys.valid),
            self.keys.ready.eq(control.keys_ready),
            self.sums.valid.eq(control.sums_valid),
            control.sums_ready.eq(self.sums.ready),
        ]
        payload = self.acts.payload
        group_acts = payload["acts"] if c.exponent_bits else payload
        acts: list[Value] = [group_acts[0][j] for j in range(c.tile_n)]
        if c.exponent_bits:
            m.d.comb += control.acts_exponent.eq(payload["exponent"])
        if spec.to_fixed is not None:
            acts = self._to_fixed(m, spec.to_fixed, acts, control)
        tables = [Table(spec.table) for _ in range(c.tables)]
        ports = [Port(spec.port) for _ in range(c.ports)]
        fetch_stages = spec.fetch.register_stages
        for i, table in enumerate(tables):
            m.submodules[f"table_{i}"] = table
            group = Cat(acts[i * c.mu : (i + 1) * c.mu])
            m.d.comb += table.acts.as_value().eq(group)
            keys = Cat(self.keys.payload[k][i] for k in range(c.ports))
            m.d.comb += table.keys.as_value().eq(keys)
            if spec.build.stages:
                m.d.comb += table.build_load.eq(control.build_load)
            if fetch_stages:
                m.d.comb += table.fetch_load.eq(control.tile_load[:fetch_stages])
        for k, port in enumerate(ports):
            m.submodules[f"port_{k}"] = port
            m.d.comb += port.terms.as_value().eq(Cat(table.terms[k] for table in tables))
            if spec.reduce.carry:
                m.d.comb += port.carries.eq(Cat(table.carries[k] for table in tables))
            if spec.port.register_stages:
                m.d.comb += port.load.eq(control.tile_load[fetch_stages:])
            m.d.comb += [port.first.eq(control.first), port.write.eq(control.write)]
            if c.reuse > 1:
                m.d.comb += [port.index.eq(control.index), port.finish.eq(control.finish)]
        sums: list[Value] = [port.sum for port in ports]
        if spec.from_fixed is not None:
            sums = self._from_fixed(m, spec.from_fixed, sums, control)
        error = [control.sums_special] if c.exponent_bits else []
        m.d.comb += self.sums.payload.as_value().eq(Cat(*sums, control.sums_last, *error))
        return m

    @staticmethod
    def _to_fixed(m: Module, spec: ToFixedSpec, acts: list[Value], control: Control) -> list[Value]:
        """Every activation as fixed point; infinities and NaN are reported to control."""
        fixed, special = [], []
        for j, act in enumerate(acts):
            m.submodules[f"to_fixed_{j}"] = convert = ToFixed(spec)
            m.d.comb += convert.act.eq(act)
            if spec.point.aligned_bits is not None:
                m.d.comb += convert.exponent.eq(control.acts_exponent)
            fixed.append(convert.fixed)
            special.append(convert.special)
        m.d.comb += control.acts_special.eq(Cat(*special).any())
        return fixed

    @staticmethod
    def _from_fixed(
        m: Module, spec: FromFixedSpec, sums: list[Value], control: Control
    ) -> list[Value]:
        """Every sum, rounded; NaN in all results of a block with an infinity or NaN."""
        values = []
        aligned = spec.point.aligned_bits is not None
        limit = Signal(spec.limit_bits, name="sums_limit")
        if aligned:
            m.d.comb += limit.eq(control.sums_exponent + (spec.top_field - 1))
        for k, total in enumerate(sums):
            m.submodules[f"from_fixed_{k}"] = convert = FromFixed(spec)
            m.d.comb += [convert.fixed.eq(total), convert.special.eq(control.sums_special)]
            if aligned:
                m.d.comb += convert.limit.eq(limit)
            values.append(convert.value)
        return values
