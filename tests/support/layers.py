"""Random and extreme layers for a core, with what golden says of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from hwgen.spec.config import CoreConfig
from hwgen.spec.number import FloatFormat
from hwgen.spec.schedule import Run
from sim.golden.fixed import token_exponents
from sim.verilated.runner import Work
from sim.workload.reference import reference
from sim.workload.stimulus import nearest_weights, random_weights

SHAPES = ((2, 37, 11), (1, 1, 1), (3, 64, 20), (1, 5, 3), (2, 90, 7))
"""(T, N, M): smaller and larger than a tile, dividing nothing, one and several tokens."""


def random_work(
    config: CoreConfig, rng: np.random.Generator, shapes: Iterable[tuple[int, int, int]] = SHAPES
) -> list[Work]:
    """Layers of these shapes, cut to the core's maxima; every third with extreme values."""
    return [_layer(config, rng, shape, i % 3 == 2) for i, shape in enumerate(shapes)]


def _layer(
    config: CoreConfig, rng: np.random.Generator, shape: tuple[int, int, int], extreme: bool
) -> Work:
    tokens, features, outs = shape
    features = min(features, config.max_in_features)
    outs = min(outs, config.max_out_features)
    if config.float_number is not None:
        return _float_layer(config, config.float_number, rng, (tokens, features, outs), extreme)
    low, high = config.number.lowest, config.number.highest
    weight_low, weight_high = (low, high) if config.kind == "multiplier" else (-1, 1)
    if extreme:
        acts = np.full((tokens, features), low, np.int16)
        weights = np.full((outs, features), weight_low, np.int16)
        weights[::2] = rng.choice([weight_low, weight_high], size=features)
        return Work(acts, nearest_weights(config, weights))
    acts = rng.integers(low, high, (tokens, features), np.int16, endpoint=True)
    if config.kind != "multiplier":
        return Work(acts, random_weights(config, rng, (outs, features), np.int16))
    return Work(acts, rng.integers(low, high, (outs, features), np.int16, endpoint=True))


def _float_layer(
    config: CoreConfig,
    number: FloatFormat,
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    extreme: bool,
) -> Work:
    """Any finite codes; or extreme ones: largest, least, zeros and their negatives."""
    tokens, features, outs = shape
    weights = random_weights(config, rng, (outs, features), np.int16)
    signs = rng.integers(0, 2, (tokens, features)) << (number.bits - 1)
    if config.kind == "multiplier":
        weights = rng.integers(0, number.largest, (outs, features), endpoint=True)
    elif extreme:
        weights[::2] = 1
        weights = nearest_weights(config, weights)
    if extreme:
        codes = rng.choice([0, 1, number.largest - 1, number.largest], (tokens, features))
        codes |= signs * rng.integers(0, 2)
    else:
        codes = rng.integers(0, number.largest, (tokens, features), endpoint=True) | signs
    acts = codes.astype(np.uint16)
    if not config.exponent_bits:
        return Work(acts, weights)
    exponents = token_exponents(acts, config.act)
    exponents[1::2] += np.minimum(rng.integers(0, 3), number.highest_field - exponents[1::2])
    return Work(acts, weights, exponents)


def expected(config: CoreConfig, work: Work) -> NDArray[np.int64]:
    """Golden's outputs."""
    return reference(config, work.acts, work.weights, work.exponents)


def runs(work: Iterable[Work]) -> list[Run]:
    """The shapes of layers, for the cycle formula."""
    return [Run(*piece.acts.shape, piece.weights.shape[0]) for piece in work]
