"""Closed forms of cycles against a schedule that is walked through beat by beat."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from hwgen.spec.schedule import Run, Schedule
from hwgen.spec.structure import structure
from sim.verilated.beats import tile_order
from tests.support.cases import CASES


def of(reuse, wait) -> Schedule:
    """The schedule of a core of which only D and R matter."""
    return Schedule(1, 1, reuse, wait, 0, 1, 1, 1, 1)


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
        schedule = structure(config).schedule
        stalls = schedule.stalls(runs, rate)
        waited += stalls > 0
        assert schedule.cycles(runs, rate) == walked(config, runs, rate)
        assert schedule.cycles(runs) == walked(config, runs, Fraction(0))
    assert 0 < waited < 60


def test_a_stream_of_a_beat_a_cycle_never_stalls():
    for config in CASES.values():
        runs = [Run(3, 5 * config.tile_n, 4 * config.tile_m), Run(1, 1, 1)]
        assert structure(config).schedule.stalls(runs, Fraction(1)) == 0


def test_lags_of_arrays_equal_those_of_integers():
    rng = np.random.default_rng(3)
    shapes = rng.integers(1, 9, (6, 500))
    rises, highest = of(shapes[2], shapes[3]).token_lags(*shapes[[0, 1, 4, 5]])
    for i in range(shapes.shape[1]):
        inputs, outputs, reuse, wait, fill, drain = (int(value) for value in shapes[:, i])
        lags = of(reuse, wait).token_lags(inputs, outputs, fill, drain)
        assert lags == (rises[i], highest[i])


def test_beat_bits_are_the_keys_of_a_tile():
    config = CASES["lut_mu3_wires_d2_fetch1"]
    assert structure(config).schedule.key_beat_bits == 4 * 3 * 5


@pytest.mark.parametrize("config", CASES.values(), ids=CASES)
def test_beats_and_indices_are_those_that_are_packed(config):
    """The closed loop nest against the order in which keys are packed for the hardware."""
    schedule = structure(config).schedule
    columns, rows = 3 * config.tables + 1, 2 * config.tile_m * config.reuse + config.tile_m + 1
    groups = np.arange(rows * columns, dtype=np.int64).reshape(rows, columns)
    packed = tile_order(groups, config.tables, config.ports, config.reuse, -1)
    beats = list(schedule.beats(Run(1, columns * config.mu, rows)))
    assert len(beats) == len(packed) == schedule.tiles(Run(1, columns * config.mu, rows))
    for beat, keys in zip(beats, packed.reshape(-1, config.ports, config.tables), strict=True):
        for port in range(config.ports):
            row = schedule.output_index(beat.block, beat.tile, port)
            for table in range(config.tables):
                group = schedule.input_index(beat.in_tile, table * config.mu) // config.mu
                inside = row < rows and group < columns
                assert keys[port, table] == (groups[row, group] if inside else -1)


def test_a_short_last_block_waits_for_the_accumulators():
    """R = 3 and D = 4: a last block of 3 tiles does not wait, one of 1 tile waits 2 slots."""
    schedule = of(4, 3)
    assert [schedule.token_cycles(5, out_tiles) for out_tiles in (4, 5, 7)] == [20, 33, 35]
