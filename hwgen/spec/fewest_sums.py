"""How few adders a table can have: the least number for any sum DAG over a codebook's entries."""

from __future__ import annotations

from functools import cache

from hwgen.spec.codebook import Codebook, Vector, non_zeros

MOST_STEPS = 100_000
"""Choices that are looked at before the search ends with the bound found so far."""


def fewest_sums(book: Codebook) -> int:
    """Adders that every DAG of the codebook's entries has at least, if none of them cancels.

    An adder that does not cancel puts two sums together that have no activation in common. Then
    every sum is a part of an entry: an entry with two or more non-zeros, which takes an adder in
    any case, or another part, which is there to be shared. The bound is the least number of such
    further parts that a full search does not rule out; it is reached by a DAG unless the search had
    to end (`MOST_STEPS`). Of ``ternary`` it is E - mu.

    Adders that cancel, a + b and later (a + b) - b, save some in a codebook without all parts of
    its groups, but they are deeper, and in floating point they change the result.
    """
    units = {tuple(int(i == j) for i in range(book.mu)) for j in range(book.mu)}
    wanted = set(book.entries) - units
    further, steps = 0, 0

    def possible(there: frozenset[Vector], left: int) -> bool:
        """Whether ``left`` further parts are enough for all that is there."""
        nonlocal steps
        steps += 1
        poor = next((v for v in there - units if not any(p <= there for p in _halvings(v))), None)
        if poor is None or steps > MOST_STEPS:
            return True
        choices = (parts - there for parts in _halvings(poor))
        return any(
            len(new) <= left and possible(there | new, left - len(new)) for new in set(choices)
        )

    while not possible(frozenset(units | wanted), further):
        further += 1
    return len(wanted) + further


@cache
def _halvings(vector: Vector) -> tuple[frozenset[Vector], ...]:
    """Every two sums, up to their sign, that make ``vector`` and have no activation in common."""
    first, *others = non_zeros(vector)
    found = []
    for chosen in range((1 << len(others)) - 1):  # One half has the first place and these.
        here = [first, *(one for i, one in enumerate(others) if chosen >> i & 1)]
        there = [one for i, one in enumerate(others) if not chosen >> i & 1]
        found.append(frozenset(_part(half, len(vector)) for half in (here, there)))
    return tuple(found)


def _part(places: list[tuple[int, int]], mu: int) -> Vector:
    """The vector with these weights, or its negative, whichever begins with +1."""
    vector = [0] * mu
    for place, weight in places:
        vector[place] = weight * places[0][1]
    return tuple(vector)
