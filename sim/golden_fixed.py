"""Golden sums of floating-point activations with one rounding, through numpy and ml_dtypes."""

from __future__ import annotations

import ml_dtypes
import numpy as np
from numpy.typing import ArrayLike, NDArray

DTYPES: dict[str, tuple[np.dtype, np.dtype, int]] = {
    "fp16": (np.dtype(np.float16), np.dtype(np.uint16), 24),
    "bf16": (np.dtype(ml_dtypes.bfloat16), np.dtype(np.uint16), 133),
    "fp8_e4m3": (np.dtype(ml_dtypes.float8_e4m3fn), np.dtype(np.uint8), 9),
    "fp8_e5m2": (np.dtype(ml_dtypes.float8_e5m2), np.dtype(np.uint8), 16),
}
"""Format to its type, the type of its codes, and n for a least subnormal of 2^-n."""
SIGNIFICANT_BITS = 20


def encode(values: ArrayLike, number: str) -> NDArray:
    """Codes of ``values`` (float64) in the format ``number``, each rounded to nearest even."""
    dtype, codes, _ = DTYPES[number]
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float64).astype(dtype).view(codes)


def decode(codes: ArrayLike, number: str) -> NDArray[np.float64]:
    """The values of codes, exact in float64; NaN and infinities as they are."""
    dtype, unsigned, _ = DTYPES[number]
    return np.asarray(codes).astype(unsigned).view(dtype).astype(np.float64)


def matmul(acts: ArrayLike, weights: ArrayLike, number: str) -> NDArray[np.int64]:
    """Codes of the exact sums ``Σ_n acts[t, n] · weights[m, n]``, each rounded once.

    Rounding is to nearest, ties to even. A token with an infinity or NaN among its activations
    gives the canonical NaN everywhere. Activations are integers of units of the least subnormal,
    so that int64 holds every sum of up to 2^20 fp16 activations (41 + 20 bits).

    acts: (T, N) codes of the format ``number`` ("fp16", "fp8_e4m3", "fp8_e5m2").
    weights: (M, N) integers, each -1, 0 or +1.
    Returns (T, M) int64 codes.
    """
    dtype, unsigned, fraction = DTYPES[number]
    values = decode(acts, number)
    special = ~np.isfinite(values).all(axis=1)
    integers = (np.where(np.isfinite(values), values, 0) * 2.0**fraction).astype(np.int64)
    sums = integers @ np.asarray(weights).astype(np.int64).T
    rounded = _exact_enough(sums) * 2.0**-fraction
    with np.errstate(over="ignore"):
        result = rounded.astype(dtype)
    result[special] = np.nan
    codes = result.view(unsigned).astype(np.int64)
    nan = int(np.array(np.nan, dtype).view(unsigned)) & ((1 << (8 * dtype.itemsize - 1)) - 1)
    return np.where(np.isnan(result.astype(np.float64)), nan, codes)


def _exact_enough(sums: NDArray[np.int64]) -> NDArray[np.float64]:
    """Integers with few significant bits that every format rounds as it rounds ``sums``.

    Rounding to odd: bits below the 20 highest are gathered in the lowest of these. Later roundings
    to at most 11 bits, in whatever steps, come out as from the exact sum.
    """
    magnitude = np.abs(sums)
    length = np.frexp(magnitude.astype(np.float64))[1]  # One too many at worst, near 2^k.
    shift = np.maximum(length - SIGNIFICANT_BITS, 0)
    kept = magnitude >> shift
    kept |= (kept << shift) != magnitude
    return np.ldexp(np.where(sums < 0, -kept, kept).astype(np.float64), shift)
