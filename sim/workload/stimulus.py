"""Random operands of a core: activations of its type, and weights that its codebook has."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hwgen.spec.config import CoreConfig
from hwgen.spec.number import FloatFormat
from sim.golden import fixed
from sim.golden.codebooks import book

Floats = Literal["any", "normal", "mixed"]
"""Floating-point operands: any finite code, codes of normally distributed numbers, or these in even
rows and any in odd ones."""


def random_acts(
    core: CoreConfig, rng: np.random.Generator, shape: tuple[int, int], floats: Floats
) -> NDArray[Any]:
    """Activations (T, N): integers over their whole range, or codes as ``floats`` says."""
    number = core.float_number
    if number is None:
        low, high = core.number.lowest, core.number.highest
        return rng.integers(low, high, shape, np.int16, endpoint=True)
    if floats == "any":
        return any_codes(number, rng, shape)
    normal: NDArray[Any] = fixed.encode(rng.standard_normal(shape), number.name)
    if floats == "normal":
        return normal
    codes = any_codes(number, rng, shape)
    return np.where(np.arange(shape[0])[:, None] % 2 == 0, normal, codes.astype(normal.dtype))


def any_codes(
    number: FloatFormat, rng: np.random.Generator, shape: tuple[int, int]
) -> NDArray[np.int64]:
    """Codes of finite numbers, each as likely, signs included."""
    magnitudes = rng.integers(0, number.largest, shape, endpoint=True)
    return magnitudes | rng.integers(0, 2, shape) << (number.bits - 1)


def random_operands(
    core: CoreConfig, rng: np.random.Generator, tokens: int, ins: int, outs: int, floats: Floats
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Activations (T, N) and weights (M, N): of the codebook, for kind multiplier of any value."""
    acts = random_acts(core, rng, (tokens, ins), floats)
    weights = random_weights(core, rng, (outs, ins))
    if core.kind == "multiplier":
        weights = random_acts(core, rng, (outs, ins), floats)
    return acts, weights


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
