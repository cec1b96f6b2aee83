"""What the benches share: a core's streams driven and checked, beat by beat."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from numpy.typing import NDArray

from hwgen.spec.config import CoreConfig
from hwgen.spec.number import FloatFormat, Interval
from hwgen.spec.ports import ACTS, COMMANDS, KEYS, SUMS
from hwgen.spec.schedule import Run
from hwgen.spec.structure import structure
from sim.bench.run import CLOCK_NS, MANIFEST
from sim.golden import fixed as golden_fixed
from sim.verilated import beats
from sim.verilated.runner import Stalls, Work
from sim.workload.reference import reference
from sim.workload.stimulus import any_codes, nearest_weights, random_weights

INPUTS = (COMMANDS, ACTS, KEYS)


PATIENCE = 1_000
"""Cycles without any transfer after which a core counts as stuck."""


IDLE = 40
"""Cycles to wait for strays after the last transfer, besides the core's latency."""


TERNARY = Interval(-1, 1)


STALLS = {
    "none": Stalls(),
    "little": Stalls(commands=10, acts=10, keys=10, sums=10),
    "half": Stalls(commands=50, acts=50, keys=50, sums=50),
    "commands": Stalls(commands=95),
    "acts": Stalls(acts=80, keys=20),
    "keys": Stalls(keys=80, sums=20),
    "sums": Stalls(acts=20, sums=80),
}


Beats = list[int]


Number = Interval | FloatFormat


class Core:
    """What a core's streams carry for some work, as its manifest lays them out."""

    def __init__(self, manifest: dict[str, Any]) -> None:
        self.config = CoreConfig.from_resolved(manifest["config"])
        self.structure = structure(self.config)
        self.streams: dict[str, dict[str, Any]] = manifest["streams"]
        self._fields = beats.fields(manifest)

    @classmethod
    def read(cls, manifest: str) -> Core:
        """The core of a manifest file."""
        return cls(json.loads(Path(manifest).read_text()))

    def number(self, operand: str) -> Number:
        """What "acts" or "weights" are: integers of a range, or codes of a format."""
        config = self.config
        if operand == "weights" and config.kind != "multiplier":
            return TERNARY
        return config.float_number or Interval(config.number.lowest, config.number.highest)

    def beats(self, work: Sequence[Work]) -> dict[str, Beats]:
        """The beats of every input stream, as integers."""
        words: dict[str, Beats] = {name: [] for name in INPUTS}
        for piece in work:
            run = self.run(piece)
            schedule = self.structure.schedule
            in_tiles = schedule.in_tiles(run.in_features)
            counts = (run.tokens, in_tiles, schedule.out_tiles(run.out_features))
            words[COMMANDS].append(beats.command(self._fields, *counts))
            acts = _integers(beats.pack_acts(piece.acts, self._fields, piece.exponents))
            for start in range(0, len(acts), in_tiles):  # A token's beats come once per block.
                words[ACTS] += acts[start : start + in_tiles] * schedule.blocks(counts[2])
            words[KEYS] += self._key_beats(piece.weights) * run.tokens
        return words

    def run(self, piece: Work) -> Run:
        """The shape of a piece of work."""
        (tokens, in_features), out_features = piece.acts.shape, piece.weights.shape[0]
        return Run(tokens, in_features, out_features)

    def result_beats(self, piece: Work) -> int:
        run = self.run(piece)
        result: int = run.tokens * self.structure.schedule.out_tiles(run.out_features)
        return result

    def outputs(self, words: Beats, piece: Work) -> dict[str, list[Any]]:
        """Outputs (T, M), and of every beat ``last`` and, of cores that have one, ``error``."""
        run = self.run(piece)
        sums = self._fields["sums"]
        ports = self.config.ports
        size = beats.beat_bytes(sums["low"] + sums["bits"] * ports)
        mask = (1 << sums["bits"] * ports) - 1
        packed = b"".join((w >> sums["low"] & mask).to_bytes(size, "little") for w in words)
        rows = np.frombuffer(packed, np.uint8).reshape(len(words), size)
        fields = beats.unpack_fields(rows, sums["bits"], ports)
        if not sums["signed"]:
            fields &= (1 << sums["bits"]) - 1
        values = beats.output_order(fields, run.tokens, ports, run.out_features)
        flags: dict[str, list[Any]] = {
            name: [w >> self._fields[name]["low"] & 1 for w in words]
            for name in ("last", "error")
            if name in self._fields
        }
        return {"sums": values.tolist(), **flags}

    def expected(self, piece: Work) -> dict[str, list[Any]]:
        """What :meth:`outputs` should return, from golden."""
        run = self.run(piece)
        tiles = self.structure.schedule.out_tiles(run.out_features)
        sums = reference(self.config, piece.acts, piece.weights, piece.exponents)
        wanted: dict[str, list[Any]] = {
            "sums": sums.tolist(),
            "last": ([0] * (tiles - 1) + [1]) * run.tokens,
        }
        if "error" in self._fields:
            wanted["error"] = np.repeat(self._unfit(piece).astype(int), tiles).tolist()
        return wanted

    def _unfit(self, piece: Work) -> NDArray[np.bool_]:
        """Tokens (T,) with an infinity, NaN, or an exponent above the one that comes with them."""
        number = self.number("acts")
        assert isinstance(number, FloatFormat)
        assert piece.exponents is not None
        magnitudes = piece.acts & ((1 << (number.bits - 1)) - 1)
        above = magnitudes >> number.mantissa_bits > np.maximum(piece.exponents, 1)[:, None]
        result: NDArray[np.bool_] = np.any(above | (magnitudes > number.largest), axis=1)
        return result

    def _key_beats(self, weights: NDArray[Any]) -> Beats:
        c, bits = self.config, self._fields["keys"]["bits"]
        if c.kind == "multiplier":
            return _integers(beats.pack_weights(weights, c.tables, c.ports, c.reuse, bits))
        packed = beats.pack_keys(weights, c.mu, c.tables, c.ports, c.reuse, bits, c.codebook_name)
        return _integers(packed)


class Stream:
    """The three signals of one stream, and a generator of its own."""

    def __init__(self, dut: Any, stream: dict[str, Any], rng: np.random.Generator) -> None:
        """stream: as the manifest has it."""
        self.payload = getattr(dut, stream["payload"])
        self.valid = getattr(dut, stream["valid"])
        self.ready = getattr(dut, stream["ready"])
        self.rng = rng
        self._edge = RisingEdge(dut.clk)

    @property
    def moves(self) -> bool:
        """Whether a beat moves on the edge at hand."""
        return bool(self.valid.value) and bool(self.ready.value)

    async def offer(self, words: Beats, stall_pct: int) -> None:
        """Offer every beat until it moves; a payload without ``valid`` is noise."""
        for word in words:
            while self._stalls(stall_pct):
                self.withdraw()
                await self._edge
            self.payload.value = word
            self.valid.value = 1
            await self._edge
            while not self.ready.value:
                await self._edge
        self.withdraw()

    def withdraw(self) -> None:
        self.valid.value = 0
        size = len(self.payload)
        self.payload.value = int.from_bytes(self.rng.bytes(-(-size // 8)), "little") >> -size % 8

    async def accept(self, stall_pct: int) -> None:
        """Be ready at random, whether there is a beat or not."""
        while True:
            self.ready.value = not self._stalls(stall_pct)
            await self._edge

    def _stalls(self, stall_pct: int) -> bool:
        return stall_pct > 0 and bool(self.rng.integers(100) < stall_pct)


class Bench:
    """A core under test: stimulus, monitor, and the comparison with golden."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.core = Core.read(os.environ[MANIFEST])
        self.rng = np.random.default_rng(cocotb.RANDOM_SEED)
        names = (*INPUTS, SUMS)
        streams = zip(names, self.rng.spawn(len(names)), strict=True)
        self.streams = {name: Stream(dut, self.core.streams[name], rng) for name, rng in streams}
        self.edge = RisingEdge(dut.clk)

    async def reset(self) -> None:
        """One cycle of reset, nothing offered in it."""
        for name in INPUTS:
            self.streams[name].withdraw()
        self.streams[SUMS].ready.value = 0
        self.dut.rst.value = 1
        await self.edge
        self.dut.rst.value = 0

    async def play(
        self, work: Sequence[Work], stalls: Stalls | None = None
    ) -> dict[str, list[int]]:
        """Play ``work`` as queued runs; returns the cycles of each stream's transfers.

        Fails unless every result beat equals the golden model's, in order, ``last`` included, every
        input beat is taken, nothing more comes, and ``sums`` keeps to the rules in every cycle.
        """
        stalls = stalls or Stalls()
        words = self.core.beats(work)
        due = sum(map(self.core.result_beats, work))
        assert due > 0, "nothing to compare"
        got: Beats = []
        moves: dict[str, list[int]] = {name: [] for name in self.streams}
        offers = [self.start(name, stalls, words[name]) for name in INPUTS]
        accept = cocotb.start_soon(self.streams[SUMS].accept(stalls.sums))
        cycle = quiet = 0
        idle = IDLE + self.core.structure.latency
        held: int | None = None
        while len(got) < due or quiet < idle or not all(offer.done() for offer in offers):
            await self.edge
            result = self.result(held)
            moving = [name for name, stream in self.streams.items() if stream.moves]
            for name in moving:
                moves[name].append(cycle)
            if result is not None and "sums" in moving:
                got.append(result)
            held = None if "sums" in moving else result
            assert len(got) + (held is not None) <= due, "a result beat too many"
            cycle, quiet = cycle + 1, 0 if moving else quiet + 1
            assert quiet < PATIENCE, (
                f"stuck: {len(got)} of {due} result beats; moves {_ends(moves)}"
            )
        accept.cancel()
        self._compare(got, work)
        return moves

    async def play_part(self, work: Sequence[Work], beats_before: int) -> None:
        """Play ``work`` until that many key beats moved, and leave the core in the middle of it."""
        words = self.core.beats(work)
        assert beats_before < len(words[KEYS])
        tasks = [self.start(name, Stalls(), words[name]) for name in INPUTS]
        tasks.append(cocotb.start_soon(self.streams[SUMS].accept(30)))
        moved = quiet = 0
        held: int | None = None
        while moved < beats_before:
            await self.edge
            result = self.result(held)
            held = None if self.streams[SUMS].ready.value else result
            moves = self.streams[KEYS].moves
            moved, quiet = moved + moves, 0 if moves else quiet + 1
            assert quiet < PATIENCE, f"stuck: {moved} of {beats_before} key beats"
        for task in tasks:
            task.cancel()

    def work(self, tokens: int, in_features: int, out_features: int) -> Work:
        """A layer of random legal values."""
        weights = self.values("weights", (out_features, in_features))
        return self.layer(self.values("acts", (tokens, in_features)), weights)

    def layer(self, acts: NDArray[Any], weights: NDArray[Any]) -> Work:
        """These values, for a core that wants them with exponents that are high enough."""
        number, config = self.core.number("acts"), self.core.config
        if not config.exponent_bits:
            return Work(acts, weights)
        assert isinstance(number, FloatFormat)
        exponents = golden_fixed.token_exponents(acts, config.act)
        exponents += self.rng.integers(0, 3, len(acts)) * self.rng.integers(0, 2, len(acts))
        return Work(acts, weights, np.minimum(exponents, number.highest_field))

    def values(self, operand: str, shape: tuple[int, int]) -> NDArray[Any]:
        """Random integers; or codes of finite numbers: in some rows any, in others normal ones."""
        number = self.core.number(operand)
        if number is TERNARY:
            return random_weights(self.core.config, self.rng, shape, np.int64)
        if isinstance(number, Interval):
            return self.rng.integers(number.low, number.high, shape, endpoint=True)
        codes = any_codes(number, self.rng, shape)
        rows = self.rng.integers(0, 2, (shape[0], 1), bool, endpoint=False)
        return np.where(rows, codes, self.normal(operand, shape))

    def normal(self, operand: str, shape: tuple[int, int]) -> NDArray[Any]:
        """Like `values`, but codes of normally distributed numbers: no short sum overflows."""
        if isinstance(self.core.number(operand), Interval):
            return self.values(operand, shape)
        values = self.rng.standard_normal(shape)
        return golden_fixed.encode(values, self.core.config.act).astype(np.int64)

    def extremes(self, operand: str, features: int) -> NDArray[Any]:
        """Rows of each extreme value alone; of opposite ones in turn, so that sums cancel.

        The turns are from input to input, from group to group and from tile to tile. Weights are
        those of the core's codebook that are nearest to that.
        """
        number, config = self.core.number(operand), self.core.config
        if isinstance(number, Interval):
            alone = [number.low, number.high]
            pairs = [(np.full(features, number.low), np.full(features, number.high))]
        else:
            sign = 1 << (number.bits - 1)
            alone = [code | s for code in (0, 1, number.largest) for s in (0, sign)]
            some = self.rng.integers(0, number.largest, features)
            near = some + self.rng.integers(0, 2, features)
            codes = (np.full(features, 1), np.full(features, number.largest), some)
            pairs = [(code, code | sign) for code in codes] + [(some, near | sign)]
        at = np.arange(features)
        rows = [np.full(features, value) for value in alone]
        for turn in sorted({1, config.mu, config.tile_n}):
            second = at // turn % 2
            partner = at - turn * second
            rows += [np.where(second, pair[1][partner], pair[0][partner]) for pair in pairs]
        found = np.stack(rows)
        return nearest_weights(config, found) if number is TERNARY else found

    def some_work(self, runs: int) -> list[Work]:
        """Small layers of different shapes, whatever divides them."""
        c = self.core.config
        return [
            self.work(
                int(self.rng.integers(1, 4)),
                int(self.rng.integers(1, min(c.max_in_features, 4 * c.tile_n) + 1)),
                int(self.rng.integers(1, min(c.max_out_features, 3 * c.ports * c.reuse) + 1)),
            )
            for _ in range(runs)
        ]

    def start(self, name: str, stalls: Stalls, words: Beats) -> Any:
        return cocotb.start_soon(self.streams[name].offer(words, getattr(stalls, name)))

    def result(self, held: int | None) -> int | None:
        """The result on offer; asserts that it is the one that was held, if one was."""
        sums = self.streams[SUMS]
        payload = sums.payload.value.to_unsigned() if sums.valid.value else None
        assert held is None or payload is not None, "sums: valid fell before ready"
        assert held is None or payload == held, "sums: payload changed before ready"
        return payload

    def _compare(self, got: Beats, work: Sequence[Work]) -> None:
        at = 0
        for number, piece in enumerate(work):
            end = at + self.core.result_beats(piece)
            outputs = self.core.outputs(got[at:end], piece)
            assert outputs == self.core.expected(piece), f"run {number}: {self.core.run(piece)}"
            at = end


async def begin(dut: Any) -> Bench:
    """A bench whose core was just reset from whatever state it was in."""
    Clock(dut.clk, CLOCK_NS, unit="ns").start()
    await RisingEdge(dut.clk)
    bench = Bench(dut)
    await bench.reset()
    return bench


def _integers(packed: beats.Bytes) -> Beats:
    return [int.from_bytes(row.tobytes(), "little") for row in packed]


def _ends(moves: dict[str, list[int]]) -> str:
    return ", ".join(f"{name} {len(at)}" for name, at in moves.items())
