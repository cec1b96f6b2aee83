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
LEAF = 8
"""Members of a leaf of the tree, at most."""
RECENT = 8
"""Members that dominated others lately, asked first."""


class ParetoFront:
    """The front of all points seen so far, block by block; memory as large as the front.

    The same points give the same front, whatever the blocks. A point is held against the members
    that dominated others lately, and then against a tree of all of them, of which it sees few.
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
        alive = alive[_not_dominated(values[alive], values[alive])]
        stays = _not_dominated(self.values, values[alive])
        self.values = np.concatenate([self.values[stays], values[alive]])
        self.ids = np.concatenate([self.ids[stays], ids[alive]])


def pareto_mask(values: Floats) -> Bools:
    """True for the points that no other point dominates.

    values: (P, C), every objective to be minimised, no NaN.

    >>> pareto_mask(np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 3.0]])).tolist()
    [True, True, False]
    """
    front = ParetoFront(values.shape[1])
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
    result = np.ones(len(points), np.bool_)
    if len(members) == 0 or len(points) == 0:
        return result
    tree, least = _tree(members)
    recent = np.zeros(RECENT, np.int64)
    for i in range(len(points)):
        for place in range(RECENT):
            if _dominates(tree[recent[place]], points[i]):
                result[i] = False
                # Half way to the front of the queue: who dominates often is asked soon.
                other = place // 2
                recent[place], recent[other] = recent[other], recent[place]
                break
        if result[i]:
            found = _dominator(tree, least, points[i])
            if found >= 0:
                result[i] = False
                recent[RECENT - 1] = found
    return result


@njit(cache=True)
def _levels(number: int) -> int:
    levels = 0
    while number >> levels > LEAF:
        levels += 1
    return levels


@njit(cache=True)
def _tree(members: Floats) -> tuple[Floats, Floats]:
    """Members in the order of a balanced k-d tree, and each node's least values.

    Node j of level l holds members n·j >> l … n·(j + 1) >> l and is row 2^l + j.
    """
    number, width = members.shape
    levels = _levels(number)
    order = np.arange(number)
    for level in range(levels):
        column = level % width
        for node in range(1 << level):
            start, stop = number * node >> level, number * (node + 1) >> level
            middle = number * (2 * node + 1) >> (level + 1)
            _select(order, members[:, column], start, stop, middle)
    tree = members[order]
    least = np.empty((2 << levels, width))
    for node in range(1 << levels):
        start, stop = number * node >> levels, number * (node + 1) >> levels
        for column in range(width):
            least[(1 << levels) + node, column] = tree[start:stop, column].min()
    for node in range((1 << levels) - 1, 0, -1):
        for column in range(width):
            least[node, column] = min(least[2 * node, column], least[2 * node + 1, column])
    return tree, least


@njit(cache=True)
def _select(order: Ints, keys: Floats, start: int, stop: int, middle: int) -> None:
    """Reorder start … stop so that no key before ``middle`` is larger than one after it."""
    low, high = start, stop - 1
    while low < high:
        pivot = keys[order[(low + high) // 2]]
        i, j = low, high
        while i <= j:
            while keys[order[i]] < pivot:
                i += 1
            while keys[order[j]] > pivot:
                j -= 1
            if i <= j:
                order[i], order[j] = order[j], order[i]
                i, j = i + 1, j - 1
        if middle <= j:
            high = j
        elif middle >= i:
            low = i
        else:
            return


@njit(cache=True)
def _dominator(tree: Floats, least: Floats, point: Floats) -> int:
    """Row of a member that dominates the point; -1 if none does."""
    number, levels = len(tree), _levels(len(tree))
    waiting = np.empty(levels + 2, np.int64)
    waiting[0], size = 1, 1
    while size:
        size -= 1
        node = waiting[size]
        if not _reaches(least[node], point):
            continue
        if node >= 1 << levels:
            leaf = node - (1 << levels)
            for row in range(number * leaf >> levels, number * (leaf + 1) >> levels):
                if _dominates(tree[row], point):
                    return row
        else:
            waiting[size], waiting[size + 1] = 2 * node + 1, 2 * node
            size += 2
    return -1


@njit(cache=True)
def _reaches(least: Floats, point: Floats) -> bool:
    """Whether something with these least values may be no worse than the point."""
    # Numba compiles no generators.
    for column in range(len(point)):  # noqa: SIM110
        if least[column] > point[column]:
            return False
    return True
