"""Control: the loop nest's counters and every handshake of a core."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from hwgen.rtl.base import Unit
from hwgen.spec.schedule import slots
from hwgen.spec.units import TOKEN_BITS, ControlSpec


def command_layout(spec: ControlSpec) -> data.StructLayout:
    """A run: tokens, then tiles of inputs, then tiles of outputs; each at least 1."""
    return data.StructLayout(
        {"tokens": TOKEN_BITS, "in_tiles": spec.in_tile_bits, "out_tiles": spec.out_tile_bits}
    )


class Control(Unit[ControlSpec]):
    """Loop counters over token, block, n-tile and tile of the block, and the handshakes.

    A tile issues when a run is active, its table and its keys are there, and the result stage is
    free or being freed. A command is taken when the core is idle, or in the cycle in which the last
    tile of the previous run issues: queued runs follow without a gap. All tile stages move
    together, and stand still while a result waits to be taken. Where the accumulating adder has
    registers, an n-tile waits until the sums that it continues are there: its first tile issues
    ``add_stages`` + 1 slots after the first tile of the previous n-tile at the earliest. The valid
    bits, ``running``, and the counters that return to 0 by themselves are reset; what a command
    loads is not.

    Members
    -------
    command : In({tokens, in_tiles, out_tiles})
    command_valid : In(1)
    command_ready : Out(1)
        The next run.
    acts_valid : In(1)
    acts_ready : Out(1)
        The activation stream, one beat per build.
    keys_valid : In(1)
    keys_ready : Out(1)
        The key stream, one beat per tile.
    sums_valid : Out(1)
    sums_last : Out(1)
        Set with a token's final beat.
    sums_ready : In(1)
        The result stream, one beat per tile of a block's last n-tile.
    build_load : Out(build_stages), absent without build stages
        Loads the build registers; bit 0 those nearest to the activations.
    tile_load : Out(tile_stages + add_stages), absent without such stages
        Loads the registers between fetch and accumulators, then those in the adder.
    first : Out(1)
    index : Out(range(reuse)), only with several accumulators
        As in Accumulate, for the tile whose total reaches the accumulators.
    write : Out(reuse)
    finish : Out(1), only with several accumulators
        As in Accumulate, for the tile whose new sum is there.
    acts_special : In(1), only where special
        An activation of the beat is infinite or NaN.
    sums_special : Out(1), only where special
        Some activation beat of the results' block was special, or its beats differed in exponent.
    acts_exponent : In(exponent_bits), only with exponents
        That of the activation beat.
    sums_exponent : Out(exponent_bits), only with exponents
        That of the results' block.
    """

    def __init__(self, spec: ControlSpec) -> None:
        self.summary = (
            f"Loop counters and handshakes: {spec.reuse} tiles per block, {spec.build_stages} "
            f"build stages, {spec.tile_stages} tile stages."
        )
        members = {
            "command": In(command_layout(spec)),
            "command_valid": In(1),
            "command_ready": Out(1),
            "acts_valid": In(1),
            "acts_ready": Out(1),
            "keys_valid": In(1),
            "keys_ready": Out(1),
            "sums_valid": Out(1),
            "sums_last": Out(1),
            "sums_ready": In(1),
            "first": Out(1),
            "write": Out(spec.reuse),
        }
        if spec.build_stages:
            members["build_load"] = Out(spec.build_stages)
        if spec.tile_stages + spec.add_stages:
            members["tile_load"] = Out(spec.tile_stages + spec.add_stages)
        if spec.reuse > 1:
            members |= {"index": Out(spec.index_bits), "finish": Out(1)}
        if spec.special:
            members |= {"acts_special": In(1), "sums_special": Out(1)}
        if spec.exponent_bits:
            bits = spec.exponent_bits
            members |= {"acts_exponent": In(bits), "sums_exponent": Out(bits)}
        super().__init__(spec, members)

    def body(self) -> Module:
        m = Module()
        running, issue, step = signals("running", "issue", "step")
        table_valid, accept, ends_run = signals("table_valid", "accept", "ends_run")
        ready: Value = running & table_valid & step
        if self.spec.add_stages:
            (waits,) = signals("waits")
            ready = ready & ~waits
        m.d.comb += [
            step.eq(self.sums_ready | ~self.sums_valid),
            self.keys_ready.eq(ready),
            issue.eq(self.keys_valid & self.keys_ready),
            self.command_ready.eq(ends_run | ~running),
            accept.eq(self.command_valid & self.command_ready),
        ]
        with m.If(self.command_ready):
            m.d.sync += running.eq(self.command_valid)
        tag, leaves_table, tiles = self._count(m, accept, issue, ends_run)
        if self.spec.add_stages:
            self._wait(m, waits, step, leaves_table & ~tag["last_in"], tiles)
        self._build_stages(m, table_valid, leaves_table, tag)
        self._tile_stages(m, issue, step, tag)
        return m

    def _count(
        self, m: Module, accept: Signal, issue: Signal, ends_run: Signal
    ) -> tuple[dict[str, Value], Signal, Value]:
        """The counters of the loop nest.

        Returns the tag of the tile that issues, the signal that its table is not needed any more,
        and the number of tiles of the block that have issued, this one included. ``in_tile`` and
        ``index`` return to 0 at the end of every run by themselves.
        """
        spec = self.spec
        in_tiles = counter("in_tiles", spec.in_tile_bits)
        out_tiles = counter("out_tiles", spec.out_tile_bits)
        tokens_left = counter("tokens_left", TOKEN_BITS)
        tiles_left = counter("tiles_left", spec.out_tile_bits)  # Of this token, with this block.
        in_tile = Signal(spec.in_tile_bits, name="in_tile")
        next_in_tile = Signal(spec.in_tile_bits, name="next_in_tile")
        tokens_after = Signal(TOKEN_BITS, name="tokens_after")
        tiles_after = Signal(spec.out_tile_bits, name="tiles_after")
        first, last_in, last_block = signals("first_in_tile", "last_in_tile", "last_block")
        ends_block, ends_token = signals("ends_block", "ends_token")
        (leaves_table,) = (issue,) if spec.reuse == 1 else signals("leaves_table")
        tag: dict[str, Value] = {"first": first, "last_in": last_in, "last": ends_token}
        m.d.comb += [
            next_in_tile.eq(in_tile + 1),
            tokens_after.eq(tokens_left - 1),
            tiles_after.eq(tiles_left - spec.reuse),
            first.eq(in_tile == 0),
            last_in.eq(next_in_tile == in_tiles),
            ends_block.eq(leaves_table & last_in),
            ends_token.eq(ends_block & last_block),
            ends_run.eq(ends_token & (tokens_after == 0)),
        ]
        tiles: Value = Const(1)
        if spec.reuse == 1:
            m.d.comb += last_block.eq(tiles_after == 0)
        else:
            index = Signal(spec.index_bits, name="tile_index")
            next_index = Signal(spec.index_bits + 1, name="next_index")
            last_tile = Signal(name="last_tile")
            # No command can say more tiles than a block has: a comparison would always be true.
            one_block = (1 << spec.out_tile_bits) - 1 <= spec.reuse
            m.d.comb += [
                next_index.eq(index + 1),
                last_block.eq(1 if one_block else tiles_left <= spec.reuse),
                last_tile.eq((next_index == spec.reuse) | (next_index == tiles_left)),
                leaves_table.eq(issue & last_tile),
            ]
            with m.If(issue):
                m.d.sync += index.eq(Mux(last_tile, 0, next_index[: spec.index_bits]))
            tag["index"], tiles = index, next_index
        with m.If(accept):
            m.d.sync += [
                in_tiles.eq(self.command.in_tiles),
                out_tiles.eq(self.command.out_tiles),
                tokens_left.eq(self.command.tokens),
                tiles_left.eq(self.command.out_tiles),
            ]
        with m.Else():
            with m.If(ends_block):
                m.d.sync += tiles_left.eq(Mux(last_block, out_tiles, tiles_after))
            with m.If(ends_token):
                m.d.sync += tokens_left.eq(tokens_after)
        with m.If(leaves_table):
            m.d.sync += in_tile.eq(Mux(last_in, 0, next_in_tile))
        return tag, leaves_table, tiles

    def _wait(
        self, m: Module, waits: Signal, step: Signal, ends_in_tile: Value, tiles: Value
    ) -> None:
        """Wait after an n-tile that has fewer tiles than the accumulating adder takes cycles."""
        stages = self.spec.add_stages
        left = Signal(self.spec.wait_bits, name="wait_left")
        wait = Signal(self.spec.wait_bits, name="wait_slots")
        if self.spec.reuse == 1:
            m.d.comb += wait.eq(stages)
        else:
            with m.Switch(tiles):
                for some in range(1, min(stages, self.spec.reuse) + 1):
                    with m.Case(some):
                        m.d.comb += wait.eq(slots(some, stages + 1) - some)
                with m.Default():
                    m.d.comb += wait.eq(0)
        m.d.comb += waits.eq(left != 0)
        with m.If(ends_in_tile):
            m.d.sync += left.eq(wait)
        with m.Else(), m.If(step & waits):
            m.d.sync += left.eq(left - 1)

    def _carry(self, m: Module, name: str, value: Value, tag: dict[str, Value]) -> None:
        """Carry a value along with the table through its stages, as a tag of the table's tiles."""
        for stage in range(self.spec.build_stages):
            held = counter(f"build_{name}_{stage}", len(value))
            with m.If(self.build_load[stage]):
                m.d.sync += held.eq(value)
            value = held
        tag[name] = value

    def _build_stages(
        self, m: Module, table_valid: Signal, released: Signal, tag: dict[str, Value]
    ) -> None:
        """Valid bits of the build registers; a stage takes a beat when free or being freed."""
        spec = self.spec
        valids = signals(*(f"build_valid_{s}" for s in range(spec.build_stages)))
        free: Value = released
        for stage in reversed(range(spec.build_stages)):
            valid = valids[stage]
            source = valids[stage - 1] if stage else self.acts_valid
            moves = Signal(name=f"build_free_{stage}")
            m.d.comb += [moves.eq(free | ~valid), self.build_load[stage].eq(moves & source)]
            with m.If(moves):
                m.d.sync += valid.eq(source)
            free = moves
        if spec.special:
            self._carry(m, "special", self.acts_special, tag)
        if spec.exponent_bits:
            self._carry(m, "exponent", self.acts_exponent, tag)
        m.d.comb += [
            self.acts_ready.eq(free),
            table_valid.eq(valids[-1] if valids else self.acts_valid),
        ]

    def _tile_stages(self, m: Module, issue: Signal, step: Signal, tag: dict[str, Value]) -> None:
        """Valid bits and tags down to the accumulators, and the result's valid bit."""
        spec = self.spec
        valid: Value = issue
        for stage in range(spec.tile_stages + spec.add_stages):
            if stage == spec.tile_stages:
                tag = self._read(m, tag)
            load = valid if stage == 0 else step & valid
            m.d.comb += self.tile_load[stage].eq(load)
            held = {name: counter(f"{name}_{stage}", len(tag[name])) for name in tag}
            with m.If(self.tile_load[stage]):
                m.d.sync += [held[name].eq(tag[name]) for name in tag]
            next_valid = Signal(name=f"tile_valid_{stage}")
            with m.If(step):
                m.d.sync += next_valid.eq(valid)
            valid, tag = next_valid, held
        if not spec.add_stages:
            tag = self._read(m, tag)
        enters, finishes = signals("enters", "finishes")
        m.d.comb += [enters.eq(step & valid), finishes.eq(enters & tag["last_in"])]
        with m.If(step):
            m.d.sync += self.sums_valid.eq(finishes)
        last = counter("sums_last_r", 1)
        with m.If(finishes):
            m.d.sync += last.eq(tag["last"])
        m.d.comb += self.sums_last.eq(last)
        if spec.special:
            self._gather_special(m, enters, finishes, tag)
        if spec.reuse == 1:
            m.d.comb += self.write.eq(enters)
        else:
            m.d.comb += self.finish.eq(finishes)
            stays = Signal(name="stays")
            m.d.comb += [
                stays.eq(enters & ~tag["last_in"]),
                self.write.eq(Cat(stays & (tag["index"] == d) for d in range(spec.reuse))),
            ]

    def _read(self, m: Module, tag: dict[str, Value]) -> dict[str, Value]:
        """Drive what a tile needs as it reaches the accumulators; returns what its sum needs."""
        m.d.comb += self.first.eq(tag["first"])
        if self.spec.reuse > 1:
            m.d.comb += self.index.eq(tag["index"])
        if not self.spec.add_stages:
            return tag
        return {name: value for name, value in tag.items() if name != "first"}

    def _gather_special(
        self, m: Module, enters: Signal, finishes: Signal, tag: dict[str, Value]
    ) -> None:
        """Gather whether any beat of the block was special; all its tiles see the same beats."""
        so_far, special = counter("special_so_far", 1), Signal(name="special")
        result = counter("sums_special_r", 1)
        before: Value = so_far
        if self.spec.exponent_bits:
            exponent = counter("exponent_so_far", self.spec.exponent_bits)
            exponent_result = counter("sums_exponent_r", self.spec.exponent_bits)
            m.d.comb += self.sums_exponent.eq(exponent_result)
            with m.If(enters):
                m.d.sync += exponent.eq(tag["exponent"])
            with m.If(finishes):
                m.d.sync += exponent_result.eq(tag["exponent"])
            differs = Signal(name="exponent_differs")
            m.d.comb += differs.eq(exponent != tag["exponent"])
            before = so_far | differs
        m.d.comb += [
            special.eq(tag["special"] | (before & ~tag["first"])),
            self.sums_special.eq(result),
        ]
        with m.If(enters):
            m.d.sync += so_far.eq(special)
        with m.If(finishes):
            m.d.sync += result.eq(special)


def signals(*names: str) -> list[Signal]:
    """One-bit signals of these names."""
    return [Signal(name=name) for name in names]


def counter(name: str, bits: int) -> Signal:
    """A register without reset: something loads it before anything reads it."""
    return Signal(bits, name=name, reset_less=True)
