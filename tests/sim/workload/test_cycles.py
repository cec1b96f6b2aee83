"""Closed forms of cycles against a schedule that is walked through beat by beat."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from hwgen.spec.structure import structure
from sim.workload.cycles import Run, beat_bits, token_lags, total_cycles, weight_stalls
from tests.support.cases import CASES


def walked(config, runs, beat_cycles: Fraction) -> int:
    """Cycles from the first command to the last result: every beat of the loop nest in turn."""
    spec = structure(config)
    wait = spec.accumulator_latency
    at = max(1, spec.control.build_stages)  # When the core asks for the next beat.
    beat = 0
    for run in runs:
        inputs = math.ceil(run.in_features / config.tile_n)
        for _ in range(run.tokens):
            left = math.ceil(run.out_features / config.tile_m)
            while left:
                tiles = min(left, config.reuse)
                left -= tiles
                for i in range(inputs):
                    for tile in range(tiles):
                        beat += 1
                        issued = max(at, math.ceil(beat * beat_cycles))
                        ends = tile == tiles - 1 and i < inputs - 1
                        at = issued + (1 + max(0, wait - tiles) if ends else 1)
    return issued + spec.control.tile_stages + spec.control.add_stages + 2


@pytest.mark.parametrize("config", CASES.values(), ids=CASES)
def test_cycles_of_a_limited_weight_stream_equal_a_walk_through_all_beats(config):
    rng = np.random.default_rng(11)
    waited = 0
    for _ in range(60):
        runs = [
            Run(int(t), int(n), int(m))
            for t, n, m in zip(
                rng.integers(1, 4, 2),
                rng.integers(1, 6 * config.tile_n, 2),
                rng.integers(1, 3 * config.tile_m * config.reuse, 2),
                strict=True,
            )
        ]
        rate = Fraction(int(rng.integers(1, 60)), int(rng.integers(1, 20)))
        stalls = weight_stalls(structure(config), runs, rate)
        waited += stalls > 0
        assert total_cycles(structure(config), runs, rate) == walked(config, runs, rate)
        assert total_cycles(structure(config), runs) == walked(config, runs, Fraction(0))
    assert 0 < waited < 60


def test_a_stream_of_a_beat_a_cycle_never_stalls():
    for config in CASES.values():
        runs = [Run(3, 5 * config.tile_n, 4 * config.tile_m), Run(1, 1, 1)]
        assert weight_stalls(structure(config), runs, Fraction(1)) == 0


def test_lags_of_arrays_equal_those_of_integers():
    rng = np.random.default_rng(3)
    shapes = rng.integers(1, 9, (6, 500))
    rises, highest = token_lags(*shapes)
    for i in range(shapes.shape[1]):
        assert token_lags(*(int(value) for value in shapes[:, i])) == (rises[i], highest[i])


def test_beat_bits_are_the_keys_of_a_tile():
    config = CASES["lut_mu3_wires_d2_fetch1"]
    assert beat_bits(structure(config)) == 4 * 3 * 5
