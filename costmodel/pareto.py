"""Pareto fronts, exact, for any number of objectives to minimise.

A point dominates another if it is no worse in every objective and better in one; of points equal in
all objectives every one stays.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


class Front:
    """The front of all points seen so far, block by block; memory as large as the front.

    The same points give the same front, whatever the blocks. Cost: a dominated point is compared
    with few members, since those that dominate often are asked first; a member with all of them.
    """

    def __init__(self, objectives: int) -> None:
        self.values: Floats = np.empty((0, objectives))
        self.ids: Ints = np.empty(0, np.int64)
        """What `add` was told of each member."""

    def add(self, values: Floats, ids: Ints) -> None:
        """More points. values: (P, objectives), no NaN. ids: (P,), any numbers of the caller's."""
        if np.isnan(values).any():
            raise ValueError("objectives must not be NaN")
        values = np.ascontiguousarray(values, dtype=np.float64)
        alive = np.flatnonzero(_not_dominated(values, self.values))
        # What dominates has no larger sum, and of equal (rounded) sums comes first in the
        # objectives' own order: nothing later dominates anything earlier.
        some = values[alive]
        alive = alive[np.lexsort((*some.T[::-1], some.sum(axis=1)))]
        alive = alive[_first_come(values[alive])]
        stays = _not_dominated(self.values, values[alive])
        self.values = np.concatenate([self.values[stays], values[alive]])
        self.ids = np.concatenate([self.ids[stays], ids[alive]])


def pareto_mask(values: Floats) -> Bools:
    """True for the points that no other point dominates.

    values: (P, C), every objective to be minimised, no NaN.

    >>> pareto_mask(np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 3.0]])).tolist()
    [True, True, False]
    """
    front = Front(values.shape[1])
    front.add(values, np.arange(len(values)))
    mask = np.zeros(len(values), bool)
    mask[front.ids] = True
    return mask


@njit(cache=True)
def _dominates(a: Floats, b: Floats) -> bool:
    better = False
    for c in range(len(a)):
        if a[c] > b[c]:
            return False
        better |= a[c] < b[c]
    return better


@njit(cache=True)
def _not_dominated(points: Floats, members: Floats) -> Bools:
    """Of each point, whether no member dominates it."""
    order = np.arange(len(members))
    result = np.ones(len(points), np.bool_)
    for i in range(len(points)):
        for place in range(len(order)):
            if _dominates(members[order[place]], points[i]):
                result[i] = False
                # Half way to the front of the queue: who dominates often is asked soon.
                other = place // 2
                order[place], order[other] = order[other], order[place]
                break
    return result


@njit(cache=True)
def _first_come(points: Floats) -> Bools:
    """Of points in an order in which nothing later dominates, those that nothing dominates."""
    result = np.zeros(len(points), np.bool_)
    order = np.empty(len(points), np.int64)
    members = 0
    for i in range(len(points)):
        dominated = False
        for place in range(members):
            if _dominates(points[order[place]], points[i]):
                dominated = True
                other = place // 2
                order[place], order[other] = order[other], order[place]
                break
        if not dominated:
            order[members] = i
            members += 1
            result[i] = True
    return result
