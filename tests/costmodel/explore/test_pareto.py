"""Fronts: against every pair compared, in blocks of any size, with ties and equal points."""

from __future__ import annotations

import numpy as np
import pytest

from costmodel.explore.pareto import ParetoFront, pareto_mask


def every_pair(values):
    return np.array([not any((v <= p).all() and (v < p).any() for v in values) for p in values])


@pytest.mark.parametrize("objectives", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("levels", [2, 6, 10**6], ids=["ties", "some_ties", "no_ties"])
def test_front_is_what_comparing_every_pair_gives(objectives, levels):
    rng = np.random.default_rng(objectives * levels)
    values = rng.integers(0, levels, (400, objectives)).astype(float)
    expected = every_pair(values)
    assert pareto_mask(values).tolist() == expected.tolist()
    for size in (1, 7, 400):
        front = ParetoFront(objectives)
        for start in range(0, 400, size):
            block = np.arange(start, min(start + size, 400))
            front.add(values[block], block)
        assert sorted(front.ids.tolist()) == np.flatnonzero(expected).tolist()
        assert (front.values == values[front.ids]).all()


def test_sums_that_round_to_the_same_do_not_hide_a_dominated_point():
    small = 2.0**-40
    values = np.array([[2.0**20, 1.0 + small], [2.0**20, 1.0]])
    assert len(set(values.sum(axis=1).tolist())) == 1
    assert pareto_mask(values).tolist() == [False, True]


def test_no_points_and_no_numbers():
    front = ParetoFront(2)
    front.add(np.empty((0, 2)), np.empty(0, np.int64))
    assert len(front.ids) == 0
    with pytest.raises(ValueError, match=r"^objectives must not be NaN$"):
        front.add(np.array([[1.0, np.nan]]), np.array([0]))
