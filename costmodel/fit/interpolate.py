"""Straight lines between measured sizes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


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


def along(knots: Sequence[int], values: Sequence[float], sizes: NDArray[np.int64]) -> Floats:
    """What `locate` and `between` give for every one of ``sizes``, to the bit."""
    at, value = np.asarray(knots), np.asarray(values, float)
    if len(at) == 1:
        return np.full(sizes.shape, value[0])
    index = np.clip(np.searchsorted(at, sizes, side="right"), 1, len(at) - 1) - 1
    share = np.where(sizes <= at[0], 0.0, (sizes - at[index]) / (at[index + 1] - at[index]))
    low = value[index]
    return np.asarray(low + (value[index + 1] - low) * share)
