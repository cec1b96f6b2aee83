"""Golden references: exact integer products, accumulators and weight codes, in plain numpy.

Nothing here is shared with the generator, so a fault of one is not a fault of both. Axes: T tokens,
N inputs (reduced), M outputs. Every function refuses what the hardware cannot be given.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim.golden import codebooks

MAX_BITS = 16
TRITS_PER_BYTE = 5
BYTE_CODES = 3**TRITS_PER_BYTE
WEIGHT_BLOCK = 1 << 18
"""Weights converted at once, so that they stay in cache."""


def matmul(acts: ArrayLike, weights: ArrayLike) -> NDArray[np.int64]:
    """Exact product ``out[t, m] = sum over n of acts[t, n] * weights[m, n]``; no rounding.

    acts: (T, N) integers, -32768 … 32767.
    weights: (M, N) integers, -32768 … 32767.
    Returns (T, M) int64. ValueError for anything else.

    >>> matmul([[2, -3, 7]], [[1, -1, 5]])
    array([[40]])
    """
    a, w = _operands(acts, weights)
    dtype = _exact_dtype(a, w)
    a = a.astype(dtype)
    out = np.empty((len(a), len(w)), np.int64)
    step = max(1, WEIGHT_BLOCK // w.shape[1])
    for first in range(0, len(w), step):
        out[:, first : first + step] = a @ w[first : first + step].astype(dtype).T
    return out


def ternary_matmul(acts: ArrayLike, weights: ArrayLike) -> NDArray[np.int64]:
    """Exact product ``out[t, m] = sum over n of acts[t, n] * weights[m, n]``; no rounding.

    acts: (T, N) integers, -32768 … 32767.
    weights: (M, N) integers, each -1, 0 or +1.
    Returns (T, M) int64. ValueError for anything else.

    >>> ternary_matmul([[2, -3, 7]], [[1, -1, 0]])
    array([[5]])
    """
    return matmul(acts, _ternary(_matrix("weights", "(M, N)", weights)))


def accumulate(
    acts: ArrayLike,
    weights: ArrayLike,
    tile_n: int,
    acc_bits: int,
    overflow: Literal["wrap", "saturate"],
) -> NDArray[np.int64]:
    """What an accumulator of ``acc_bits`` signed bits holds after every n-tile was added in order.

    An n-tile is ``tile_n`` consecutive inputs, the last one padded with zeros; its sum is exact.
    ``wrap`` takes the result modulo 2^acc_bits, two's complement; ``saturate`` clamps it to
    -2^(acc_bits - 1) … 2^(acc_bits - 1) - 1 after every n-tile, the first one included, so that
    the order of the tiles matters.

    acts: (T, N) integers, -32768 … 32767.
    weights: (M, N) integers, -32768 … 32767.
    tile_n: inputs per tile, at least 1.
    acc_bits: 2 … 64.
    Returns (T, M) int64. ValueError for anything else.

    >>> accumulate([[7, 7, -7]], [[1, 1, 1]], tile_n=1, acc_bits=4, overflow="saturate")
    array([[0]])
    """
    a, w = _operands(acts, weights)
    if tile_n < 1:
        raise ValueError(f"tile_n must be at least 1, found {tile_n}")
    if not 2 <= acc_bits <= 64:
        raise ValueError(f"acc_bits must be 2 … 64, found {acc_bits}")
    if overflow not in ("wrap", "saturate"):
        raise ValueError(f"overflow must be 'wrap' or 'saturate', found {overflow!r}")
    if overflow == "wrap":
        unused = 64 - acc_bits
        return (matmul(a, w) << unused) >> unused  # Wrapping once is wrapping after every tile.
    dtype = _exact_dtype(a, w)
    a, w = a.astype(dtype), w.astype(dtype)
    low, high = -(1 << (acc_bits - 1)), (1 << (acc_bits - 1)) - 1
    acc = np.zeros((a.shape[0], w.shape[0]), np.int64)
    for start in range(0, a.shape[1], tile_n):
        tile = slice(start, start + tile_n)
        acc += (a[:, tile] @ w[:, tile].T).astype(np.int64, copy=False)
        np.clip(acc, low, high, out=acc)
    return acc


KEY_BLOCK = 1 << 15
"""Keys made at once."""


def keys_from_weights(weights: ArrayLike, mu: int, codebook: str = "ternary") -> NDArray[np.uint16]:
    """Keys of a lookup-table core: one per group of ``mu`` consecutive weights of a row.

    Keys are those of `sim.golden.codebooks`. With ``t = sum over j of w[j] * 3^(mu - 1 - j)`` and
    E = (3^mu - 1) / 2, a key of ``ternary`` is the sign bit (t < 0) above ceil(log2(E + 1)) bits of
    index ``(|t| - 1) mod (E + 1)``. The last group of a row is padded with zeros or, where that is
    not legal, with other weights (`sim.golden.codebooks.completed_keys`).

    weights: (M, N) integers, each -1, 0 or +1, in groups of the codebook.
    mu: 1 … 8.
    Returns (M, ceil(N / mu)) uint16. GroupError for groups that the codebook does not have,
    ValueError for anything else.

    >>> keys_from_weights([[0, 1, -1, -1, 0]], mu=2)
    array([[ 0, 11,  4]], dtype=uint16)
    """
    w = _ternary(_matrix("weights", "(M, N)", weights))
    table = codebooks.book(codebook, mu).keys
    groups, rest = -(-w.shape[1] // mu), w.shape[1] % mu
    keys = np.empty((w.shape[0], groups), np.uint16)
    step = max(1, KEY_BLOCK // groups)
    for first in range(0, w.shape[0], step):  # Blocks whose intermediate values stay in cache.
        block = w[first : first + step]
        value = np.zeros((len(block), groups), np.int8 if mu <= 5 else np.int16)
        for j in range(mu):  # Horner's rule; every |value| is at most E.
            column = block[:, j::mu]
            value *= 3
            value[:, : column.shape[1]] += column
        # A negative value counts from the table's end.
        table.take(value, mode="wrap", out=keys[first : first + step])
        if rest:
            last = codebooks.completed_keys(codebook, mu, rest)
            keys[first : first + step, -1] = last.take(value[:, -1], mode="wrap")
    codebooks.check(w, codebook, mu, keys)
    return keys


def weights_from_keys(
    keys: ArrayLike, mu: int, in_features: int, codebook: str = "ternary"
) -> NDArray[np.int8]:
    """Weights behind the keys of :func:`keys_from_weights`.

    The sign of a zero group is ignored, and so are the weights that pad the last group of a row.

    keys: (M, ceil(in_features / mu)) integers, each with the index of an entry or the zero group.
    mu: 1 … 8.
    in_features: N, at least 1.
    Returns (M, N) int8. ValueError for anything else.

    >>> weights_from_keys([[0, 11, 4]], mu=2, in_features=5)
    array([[ 0,  1, -1, -1,  0]], dtype=int8)
    """
    k = _matrix("keys", "(M, groups)", keys)
    book = codebooks.book(codebook, mu)
    highest, index_bits = book.highest_index, book.index_bits
    if in_features < 1:
        raise ValueError(f"in_features must be at least 1, found {in_features}")
    groups = -(-in_features // mu)
    if k.shape[1] != groups:
        raise ValueError(
            f"{in_features} inputs in groups of {mu} need {groups} keys per row, found {k.shape[1]}"
        )
    _within("keys", k, 0, (2 << index_bits) - 1)
    index = k & ((1 << index_bits) - 1)
    if index.max() > highest:
        row, group = np.argwhere(index > highest)[0].tolist()
        raise ValueError(
            f"keys must have an index of 0 … {highest} for mu={mu}; "
            f"found {index[row, group]} at ({row}, {group})"
        )
    result: NDArray[np.int8] = codebooks.groups_by_key(codebook, mu)[k].reshape(k.shape[0], -1)[
        :, :in_features
    ]
    return result


def pack_trits(weights: ArrayLike) -> NDArray[np.uint8]:
    """Dense code: five weights per byte, ``byte = sum over j of (w[j] + 1) * 3^j``.

    weights: integers of any shape, each -1, 0 or +1, taken in C order and padded with zeros.
    Returns (ceil(size / 5),) uint8, each 0 … 242. ValueError for anything else.

    >>> pack_trits([1, 0, 0, 0, 0, -1])
    array([122, 120], dtype=uint8)
    """
    w = _ternary(_integers("weights", np.asarray(weights)).ravel())
    digits = np.ones(-(-w.size // TRITS_PER_BYTE) * TRITS_PER_BYTE, np.uint8)
    digits[: w.size] += w.astype(np.uint8)  # -1 is 255: adding it to 1 leaves 0.
    packed = np.zeros(digits.size // TRITS_PER_BYTE, np.uint8)
    for j in reversed(range(TRITS_PER_BYTE)):
        packed *= 3
        packed += digits[j::TRITS_PER_BYTE]
    return packed


def unpack_trits(packed: ArrayLike, count: int) -> NDArray[np.int8]:
    """The first ``count`` weights behind the bytes of :func:`pack_trits`.

    packed: (ceil(count / 5),) integers, 0 … 242.
    count: weights, at least 1.
    Returns (count,) int8. ValueError for anything else.

    >>> unpack_trits([122, 120], 6)
    array([ 1,  0,  0,  0,  0, -1], dtype=int8)
    """
    codes = _integers("packed", np.asarray(packed))
    if count < 1:
        raise ValueError(f"count must be at least 1, found {count}")
    length = -(-count // TRITS_PER_BYTE)
    if codes.shape != (length,):
        raise ValueError(
            f"{count} weights at {TRITS_PER_BYTE} per byte need shape ({length},), "
            f"found {codes.shape}"
        )
    _within("packed", codes, 0, BYTE_CODES - 1)
    powers = 3 ** np.arange(TRITS_PER_BYTE)
    table = (np.arange(BYTE_CODES)[:, None] // powers % 3 - 1).astype(np.int8)
    result: NDArray[np.int8] = table[codes].ravel()[:count]
    return result


def _operands(acts: ArrayLike, weights: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Both factors of a product, of equal N and at most 16 signed bits."""
    a, w = _matrix("acts", "(T, N)", acts), _matrix("weights", "(M, N)", weights)
    if a.shape[1] != w.shape[1]:
        raise ValueError(
            f"acts and weights must have the same number of inputs N, "
            f"found {a.shape[1]} and {w.shape[1]}"
        )
    half = 1 << (MAX_BITS - 1)
    return _within("acts", a, -half, half - 1), _within("weights", w, -half, half - 1)


def _exact_dtype(a: np.ndarray, w: np.ndarray) -> type[np.float64] | type[np.int64]:
    """The faster type that holds every partial sum exactly, whatever the order of summation.

    float64 goes through BLAS. int64 never overflows: it would take 2^33 inputs.
    """
    largest = a.shape[1] * _magnitude(a) * _magnitude(w)
    return np.float64 if largest < 1 << 53 else np.int64


def _magnitude(values: np.ndarray) -> int:
    return max(int(values.max()), -int(values.min()))


def _integers(name: str, values: np.ndarray) -> np.ndarray:
    if not values.size:
        raise ValueError(f"{name} must not be empty, found shape {values.shape}")
    if values.dtype.kind not in "iu":
        raise ValueError(f"{name} must be integers, found {values.dtype}")
    return values


def _matrix(name: str, axes: str, values: ArrayLike) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 2:
        raise ValueError(f"{name} must be {axes}, found shape {array.shape}")
    return _integers(name, array)


def _within(name: str, values: np.ndarray, low: int, high: int) -> np.ndarray:
    if int(values.min()) < low or int(values.max()) > high:
        place = tuple(np.argwhere((values < low) | (values > high))[0].tolist())
        raise ValueError(f"{name} must be {low} … {high}; found {values[place]} at {place}")
    return values


def _ternary(weights: np.ndarray) -> NDArray[np.int8]:
    if int(weights.min()) < -1 or int(weights.max()) > 1:
        place = tuple(np.argwhere((weights < -1) | (weights > 1))[0].tolist())
        raise ValueError(f"weights must be -1, 0 or +1; found {weights[place]} at {place}")
    return weights.astype(np.int8, copy=False)
