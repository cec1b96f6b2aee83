"""Weights of a core's codebook: drawn evenly, and as near as possible to those wanted."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hwgen.spec.config import CoreConfig
from sim.workload.stimulus import density, nearest_weights, random_weights

SHERRY = CoreConfig(kind="lut", codebook="sherry34", mu=4, tables=1, ports=1)
TERNARY = CoreConfig(kind="lut", mu=4, tables=1, ports=1)


def test_every_group_is_as_likely():
    weights = random_weights(SHERRY, np.random.default_rng(1), (100, 400))
    assert weights.dtype == np.int8
    groups, counts = np.unique(weights.reshape(-1, 4), axis=0, return_counts=True)
    assert len(groups) == 32
    assert ((groups == 0).sum(axis=1) == 1).all()
    assert (abs(counts - 10000 / 32) < 5 * (10000 / 32) ** 0.5).all()
    assert np.count_nonzero(weights) / weights.size == density(SHERRY) == 0.75
    assert density(TERNARY) == 2 / 3


@pytest.mark.parametrize("columns", [1, 2, 3, 5, 11])
def test_the_last_group_of_a_row_is_part_of_a_legal_one(columns):
    weights = random_weights(SHERRY, np.random.default_rng(columns), (50, columns), np.int16)
    assert (weights.shape, weights.dtype) == ((50, columns), np.int16)
    zeros = (np.pad(weights, ((0, 0), (0, -columns % 4)), constant_values=9) == 0).reshape(-1, 4)
    assert (zeros.sum(axis=1) <= 1).all()


def test_weights_of_a_core_that_takes_any_stay_as_they_were_drawn():
    drawn = random_weights(TERNARY, np.random.default_rng(5), (3, 7))
    same = np.random.default_rng(5).integers(-1, 1, (3, 7), np.int8, endpoint=True)
    assert np.array_equal(drawn, same)
    assert nearest_weights(TERNARY, drawn) is drawn


def test_nearest_groups_change_one_weight_less_or_more():
    every = np.array(list(itertools.product((-1, 0, 1), repeat=4)), np.int16)
    near = nearest_weights(SHERRY, every)
    assert ((near == 0).sum(axis=1) == 1).all()
    changes = abs(near - every).sum(axis=1)
    assert np.array_equal(changes, abs((every == 0).sum(axis=1) - 1))


@pytest.mark.parametrize("kept", range(4))
def test_the_most_important_weight_is_kept(kept):
    costs = np.ones((1, 4))
    costs[0, kept] = 9
    near = nearest_weights(SHERRY, np.full((1, 4), -1), costs)
    assert near[0, kept] == -1
    assert sorted(near[0].tolist()) == [-1, -1, -1, 0]
