"""Cycles and traffic of layers on a core, in closed form; a simulation counts the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from hwgen.spec.structure import Structure


@dataclass(frozen=True)
class Run:
    """One run of a core: T tokens of a layer of M outputs from N inputs."""

    tokens: int
    in_features: int
    out_features: int


def in_tiles(structure: Structure, run: Run) -> int:
    """I: activation beats of one token and block."""
    return -(-run.in_features // structure.config.tile_n)


def out_tiles(structure: Structure, run: Run) -> int:
    """Tiles of outputs of one token."""
    return -(-run.out_features // structure.config.tile_m)


def blocks(structure: Structure, run: Run) -> int:
    """Blocks of one token: how often its activations are read."""
    return -(-out_tiles(structure, run) // structure.config.reuse)


def steady_cycles(structure: Structure, run: Run) -> int:
    """Cycles of a run without its latency, as in `cycles_per_token`, for all its tokens."""
    per_token = cycles_per_token(
        in_tiles(structure, run),
        out_tiles(structure, run),
        structure.config.reuse,
        structure.accumulator_latency,
    )
    return run.tokens * int(per_token)


def cycles_per_token(in_tiles: Any, out_tiles: Any, reuse: Any, wait: Any) -> Any:
    """``Σ_b [(I - 1) · max(D_b, R) + D_b]`` over the blocks b of D_b tiles each.

    R, ``wait``, is the accumulator's latency, 1 for integers, for which this is one cycle per tile:
    I · ⌈M/m⌉. Integers, or arrays of them that broadcast.
    """
    full, rest = out_tiles // reuse, out_tiles % reuse
    whole = (in_tiles - 1) * _at_least(reuse, wait) + reuse
    part = (in_tiles - 1) * _at_least(rest, wait) + rest
    return full * whole + (rest > 0) * part


def _at_least(size: Any, wait: Any) -> Any:
    return size + (wait > size) * (wait - size)


def total_cycles(
    structure: Structure, runs: Sequence[Run], beat_cycles: Fraction | None = None
) -> int:
    """Cycles of queued runs, from the edge that takes the first command to the last result's.

    Both edges included; every stream offered from the command on, none stalling. Runs follow
    each other without a gap, so that the latency counts once. ``beat_cycles``: the weight stream
    is limited, as in `weight_stalls`.
    """
    cycles = sum(steady_cycles(structure, run) for run in runs) + structure.latency
    return cycles if beat_cycles is None else cycles + weight_stalls(structure, runs, beat_cycles)


def beat_bits(structure: Structure) -> int:
    """Bits of a beat of the weight stream."""
    config = structure.config
    return config.tables * config.ports * config.weight_bits


def weight_stalls(structure: Structure, runs: Iterable[Run], beat_cycles: Fraction) -> int:
    """Cycles for which queued runs wait for a weight stream of limited bandwidth.

    beat_cycles: bits of a beat per bits that come each cycle. Beat j of the stream, counted through
    all tokens and runs, can move ⌈(j + 1) · beat_cycles⌉ cycles after the edge that takes the first
    command, not before.

    Unstalled, the core asks for beat j in cycle k + G(j), k being the build's latency. Stalls only
    ever add up, to the largest lag ``⌈(j + 1) · beat_cycles⌉ - G(j)`` over all beats, less k.
    Within a block G grows by one per tile and by max(D_b, R) per n-tile, so that the lag is linear
    in each loop's counter, and its largest value belongs to the first or last turn of each.
    """
    fill, drain = beat_cycles.numerator, beat_cycles.denominator
    lag = peak = 0  # Of the run's first beat, and the largest so far: in cycles, times ``drain``.
    for at, run in enumerate(runs):
        shape = (
            in_tiles(structure, run),
            out_tiles(structure, run),
            structure.config.reuse,
            structure.accumulator_latency,
        )
        rise, highest = token_lags(*shape, fill, drain)
        highest = lag + max(0, (run.tokens - 1) * int(rise)) + int(highest)
        peak = max(peak, highest) if at else highest
        lag += run.tokens * int(rise)
    first_key = max(1, structure.control.build_stages)
    return max(0, -(-(peak + fill) // drain) - first_key)


def token_lags(
    in_tiles: Any, out_tiles: Any, reuse: Any, wait: Any, fill: Any, drain: Any
) -> tuple[Any, Any]:
    """How far a token's weight stream falls behind: over the whole token, and at most within it.

    In cycles times ``drain``; a beat takes ``fill / drain`` cycles to arrive. Negative where the
    stream gets ahead. Integers, or arrays of them that broadcast.
    """

    def block(tiles: Any) -> tuple[Any, Any]:
        width = _at_least(tiles, wait)
        whole = in_tiles * tiles * fill - ((in_tiles - 1) * width + tiles) * drain
        across = _positive((in_tiles - 1) * (tiles * fill - width * drain))
        return whole, across + _positive((tiles - 1) * (fill - drain))

    full, rest = out_tiles // reuse, out_tiles % reuse
    (rise, within), (rise_rest, within_rest) = block(reuse), block(rest)
    highest = _positive((full - 1) * rise) + within
    highest_rest = full * rise + within_rest
    highest = highest + (full == 0) * (highest_rest - highest)
    either = highest + (highest_rest > highest) * (highest_rest - highest)
    highest = highest + (rest > 0) * (either - highest)
    return full * rise + (rest > 0) * rise_rest, highest


def _positive(value: Any) -> Any:
    return value * (value > 0)


@dataclass(frozen=True)
class Traffic:
    """Bits that cross a core's streams in one run."""

    weight_bits: int
    act_bits: int
    sum_bits: int


def traffic(structure: Structure, run: Run) -> Traffic:
    """Bits of whole beats, padding included; weights are read again for every token."""
    config = structure.config
    tiles = in_tiles(structure, run) * out_tiles(structure, run)
    acts = in_tiles(structure, run) * blocks(structure, run)
    return Traffic(
        weight_bits=run.tokens * tiles * config.tables * config.ports * config.weight_bits,
        act_bits=run.tokens * acts * (config.tile_n * config.act_bits + config.exponent_bits),
        sum_bits=run.tokens * out_tiles(structure, run) * config.ports * config.out_bits,
    )
