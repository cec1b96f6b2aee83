"""Straight lines between measured sizes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence


def locate(knots: Sequence[int], size: int) -> tuple[int, float]:
    """Index of the interval to use for ``size`` and the place in it: 0 at its start, 1 at its end.

    Above 1 beyond the last knot; 0 below the first.
    """
    if len(knots) == 1 or size <= knots[0]:
        return 0, 0.0
    index = min(bisect_right(knots, size), len(knots) - 1) - 1
    return index, (size - knots[index]) / (knots[index + 1] - knots[index])


def between(ends: Sequence[float], share: float) -> float:
    return ends[0] + (ends[-1] - ends[0]) * share
