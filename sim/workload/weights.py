"""Weights that a core's codebook has: random ones, and those nearest to what was wanted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hwgen.spec.config import CoreConfig
from sim.golden.codebooks import book


def random_weights(
    core: CoreConfig, rng: np.random.Generator, shape: tuple[int, int], dtype: DTypeLike = np.int8
) -> NDArray[Any]:
    """Ternary weights (M, N) in which every group of the core's codebook is as likely."""
    if core.book.holds_all:
        return rng.integers(-1, 1, shape, dtype, endpoint=True)
    legal = book(core.codebook_name, core.mu).groups
    rows, columns = shape
    drawn = rng.integers(0, len(legal), (rows, -(-columns // core.mu)))
    return legal[drawn].reshape(rows, -1)[:, :columns].astype(dtype)


def density(core: CoreConfig) -> float:
    """Share of `random_weights` that is not 0."""
    groups = book(core.codebook_name, core.mu).groups
    return np.count_nonzero(groups) / groups.size


def nearest_weights(
    core: CoreConfig, wanted: NDArray[Any], importance: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Ternary weights (M, N) changed as little as the core's codebook asks for.

    importance: (M, N) or (N,), what changing each weight by 1 costs; default 1 each. Squares of
    changes are added up; of several nearest groups the one of least t is taken.
    """
    if core.book.holds_all:
        return wanted
    legal, mu = book(core.codebook_name, core.mu).groups, core.mu
    rows, columns = wanted.shape
    filled = ((0, 0), (0, -columns % mu))
    costs = np.broadcast_to(1 if importance is None else importance, wanted.shape)
    groups = np.pad(wanted, filled).reshape(-1, mu)
    weights = np.pad(costs, filled).reshape(-1, mu)
    # Σ cost · (group - wanted)², less what does not depend on the group.
    distance = weights @ (legal**2).T - 2 * (weights * groups) @ legal.T
    nearest = legal[distance.argmin(axis=1)]
    result: NDArray[Any] = nearest.reshape(rows, -1)[:, :columns].astype(wanted.dtype)
    return result
