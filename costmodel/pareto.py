"""Pareto fronts, exact, for any number of objectives to minimise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def pareto_mask(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """True for the points that no other point dominates.

    A point dominates another if it is no worse in every objective and better in one; of points
    equal in all objectives every one stays.

    values: (P, C), every objective to be minimised, no NaN.

    >>> pareto_mask(np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 3.0]])).tolist()
    [True, True, False]
    """
    if np.isnan(values).any():
        raise ValueError("objectives must not be NaN")
    order = np.lexsort(values.T[::-1])
    front: list[int] = []
    kept = np.empty_like(values)
    for index in order:  # Sorted: nothing later dominates anything earlier.
        point = values[index]
        seen = kept[: len(front)]
        if not ((seen <= point).all(axis=1) & (seen < point).any(axis=1)).any():
            kept[len(front)] = point
            front.append(int(index))
    mask = np.zeros(len(values), bool)
    mask[front] = True
    return mask
