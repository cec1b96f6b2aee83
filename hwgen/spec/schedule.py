"""When a core does what: loop order, index formulas, beats, cycles and traffic, in closed form.

The loop nest, outermost first: token, block b of K·D outputs, n-tile i, tile d of the block. A core
reads one activation beat per n-tile and block, and one key beat per tile; the results of a block
leave during its last n-tile. Everything here is arithmetic on integers, or on integer numpy arrays
that broadcast against each other, so that one core and a million cores follow the same formulas.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

LOOPS = ("token", "block", "n-tile", "tile")
"""The loop nest of a run, outermost first."""
INDEX_FORMULAS = {
    "order": ", ".join(LOOPS),
    "input": "in_tile * tile_n + position",
    "output": "(block * reuse + tile) * ports + port",
}
CYCLES_FORMULA = (
    "tokens * sum over blocks b of ((in_tiles - 1) * max(tiles_b, R) + tiles_b) + latency"
)
"""The formulas of this module as text, for manifests and headers."""


@dataclass(frozen=True)
class Run:
    """One run of a core: T tokens of a layer of M outputs from N inputs."""

    tokens: int
    in_features: int
    out_features: int


@dataclass(frozen=True)
class Traffic:
    """Bits that cross the streams of a core in one run, whole beats, padding included."""

    weight_bits: int
    act_bits: int
    sum_bits: int


class Beat(NamedTuple):
    """The place of one key beat in the loop nest."""

    token: int
    block: int
    in_tile: int
    tile: int


def slots(tiles: Any, accumulator_latency: Any) -> Any:
    """Slots that an n-tile of ``tiles`` tiles takes if another n-tile of its block follows.

    One slot per tile, but at least R, ``accumulator_latency``: the next n-tile adds to sums that
    must be there. Slots without a tile take no key. Integers, or arrays that broadcast.
    """
    return tiles + (accumulator_latency > tiles) * (accumulator_latency - tiles)


@dataclass(frozen=True)
class Schedule:
    """The schedule of a core, or of many cores where the fields are arrays.

    tile_n, tile_m: inputs and outputs of a tile, n = L·µ and m = K.
    reuse: D, tiles of a block.
    accumulator_latency: R, cycles from reading an accumulator until its new value can be read.
    latency: cycles of a run beyond its slots: command, build, pipeline and the edge of the result.
    first_key: cycles from the edge that takes a command until the core asks for the first key.
    act_beat_bits, key_beat_bits, sum_beat_bits: width of a beat, without the flags of results.
    """

    tile_n: Any
    tile_m: Any
    reuse: Any
    accumulator_latency: Any
    latency: Any
    first_key: Any
    act_beat_bits: Any
    key_beat_bits: Any
    sum_beat_bits: Any

    def in_tiles(self, in_features: Any) -> Any:
        """I = ⌈N/n⌉, n-tiles of a token: activation beats of one block."""
        return -(-in_features // self.tile_n)

    def out_tiles(self, out_features: Any) -> Any:
        """⌈M/m⌉, tiles of outputs of a token: result beats of a token."""
        return -(-out_features // self.tile_m)

    def blocks(self, out_tiles: Any) -> Any:
        """Blocks of a token: how often its activations are read."""
        return -(-out_tiles // self.reuse)

    def input_index(self, in_tile: Any, position: Any) -> Any:
        """Index of the input at a position l·µ + j of an activation beat."""
        return in_tile * self.tile_n + position

    def output_index(self, block: Any, tile: Any, port: Any) -> Any:
        """Index of the output that a port computes in a tile of a block."""
        return (block * self.reuse + tile) * self.tile_m + port

    def beats(self, run: Run) -> Iterator[Beat]:
        """Key beats of a run in their order; integers only."""
        in_tiles, out_tiles = self.in_tiles(run.in_features), self.out_tiles(run.out_features)
        for token in range(run.tokens):
            for first in range(0, out_tiles, self.reuse):
                for in_tile in range(in_tiles):
                    for tile in range(min(self.reuse, out_tiles - first)):
                        yield Beat(token, first // self.reuse, in_tile, tile)

    @property
    def slots_per_tile(self) -> Any:
        """Slots that a tile of a full block takes on average, at full speed."""
        return slots(self.reuse, self.accumulator_latency) / self.reuse

    def token_cycles(self, in_tiles: Any, out_tiles: Any) -> Any:
        """``Σ_b [(I - 1) · max(D_b, R) + D_b]`` over the blocks b of D_b tiles each.

        With R = 1, as for integers, that is one cycle per tile: I · ⌈M/m⌉.
        """
        full, rest = out_tiles // self.reuse, out_tiles % self.reuse
        return full * self._block_cycles(in_tiles, self.reuse) + (rest > 0) * self._block_cycles(
            in_tiles, rest
        )

    def _block_cycles(self, in_tiles: Any, tiles: Any) -> Any:
        return (in_tiles - 1) * slots(tiles, self.accumulator_latency) + tiles

    def tiles(self, run: Run) -> int:
        """Tiles of a run: key beats."""
        in_tiles, out_tiles = self.in_tiles(run.in_features), self.out_tiles(run.out_features)
        return run.tokens * int(in_tiles * out_tiles)

    def steady_cycles(self, run: Run) -> int:
        """Cycles of a run without its latency and without stalls."""
        in_tiles, out_tiles = self.in_tiles(run.in_features), self.out_tiles(run.out_features)
        return run.tokens * int(self.token_cycles(in_tiles, out_tiles))

    def cycles(self, runs: Sequence[Run], beat_cycles: Fraction | None = None) -> int:
        """Cycles of queued runs, from the edge that takes the first command to the last result's.

        Both edges included; every stream offered from the command on, none stalling. Runs follow
        each other without a gap, so that the latency counts once. ``beat_cycles``: the weight
        stream is limited, as in `stalls`.
        """
        cycles = sum(self.steady_cycles(run) for run in runs) + int(self.latency)
        return cycles if beat_cycles is None else cycles + self.stalls(runs, beat_cycles)

    def stalls(self, runs: Iterable[Run], beat_cycles: Fraction) -> int:
        """Cycles for which queued runs wait for a weight stream of limited bandwidth.

        beat_cycles: bits of a beat per bits that come each cycle. Beat j of the stream, counted
        through all tokens and runs, can move ⌈(j + 1) · beat_cycles⌉ cycles after the edge that
        takes the first command, not before.

        Unstalled, the core asks for beat j in cycle k + G(j), k being ``first_key``. Stalls only
        ever add up, to the largest lag ``⌈(j + 1) · beat_cycles⌉ - G(j)`` over all beats, less k.
        Within a block G grows by one per tile and by max(D_b, R) per n-tile, so that the lag is
        linear in each loop's counter, and its largest value belongs to the first or last turn of
        each.
        """
        fill, drain = beat_cycles.numerator, beat_cycles.denominator
        lag = peak = 0  # Of the run's first beat, and the largest until now: cycles times `drain`.
        for at, run in enumerate(runs):
            in_tiles, out_tiles = self.in_tiles(run.in_features), self.out_tiles(run.out_features)
            rise, highest = self.token_lags(in_tiles, out_tiles, fill, drain)
            highest = lag + max(0, (run.tokens - 1) * int(rise)) + int(highest)
            peak = max(peak, highest) if at else highest
            lag += run.tokens * int(rise)
        return max(0, -(-(peak + fill) // drain) - int(self.first_key))

    def equal_stalls(
        self, tokens: Any, in_tiles: Any, out_tiles: Any, fill: Any, drain: Any
    ) -> Any:
        """`stalls` of tokens of one layer, queued; a beat takes ``fill / drain`` cycles."""
        rise, within = self.token_lags(in_tiles, out_tiles, fill, drain)
        peak = _positive((tokens - 1) * rise) + within
        return _positive(-(-(peak + fill) // drain) - self.first_key)

    def token_lags(self, in_tiles: Any, out_tiles: Any, fill: Any, drain: Any) -> tuple[Any, Any]:
        """How far the weight stream of a token falls behind: over all of it, and at most within.

        In cycles times ``drain``; a beat takes ``fill / drain`` cycles to arrive. Negative where
        the stream gets ahead.
        """

        def block(tiles: Any) -> tuple[Any, Any]:
            width = slots(tiles, self.accumulator_latency)
            whole = in_tiles * tiles * fill - ((in_tiles - 1) * width + tiles) * drain
            across = _positive((in_tiles - 1) * (tiles * fill - width * drain))
            return whole, across + _positive((tiles - 1) * (fill - drain))

        full, rest = out_tiles // self.reuse, out_tiles % self.reuse
        (rise, within), (rise_rest, within_rest) = block(self.reuse), block(rest)
        highest = _positive((full - 1) * rise) + within
        highest_rest = full * rise + within_rest
        highest = highest + (full == 0) * (highest_rest - highest)
        either = highest + (highest_rest > highest) * (highest_rest - highest)
        highest = highest + (rest > 0) * (either - highest)
        return full * rise + (rest > 0) * rise_rest, highest

    def traffic(self, run: Run) -> Traffic:
        """Bits of whole beats, padding included; weights are read again for every token."""
        in_tiles, out_tiles = self.in_tiles(run.in_features), self.out_tiles(run.out_features)
        return Traffic(
            weight_bits=run.tokens * in_tiles * out_tiles * self.key_beat_bits,
            act_bits=run.tokens * in_tiles * self.blocks(out_tiles) * self.act_beat_bits,
            sum_bits=run.tokens * out_tiles * self.sum_beat_bits,
        )


def _positive(value: Any) -> Any:
    return value * (value > 0)
