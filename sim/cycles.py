"""Cycles and traffic of layers on a core, in closed form; a simulation counts the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from hwgen.structure import Structure


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


def total_cycles(structure: Structure, runs: Iterable[Run]) -> int:
    """Cycles of queued runs, from the edge that takes the first command to the last result's.

    Both edges included; every stream offered from the command on, none stalling. Runs follow
    each other without a gap, so that the latency counts once.
    """
    return sum(steady_cycles(structure, run) for run in runs) + structure.latency


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
