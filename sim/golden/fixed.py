"""Golden sums of floating-point activations with one rounding, through numpy and ml_dtypes.

Activations are integers of some unit u, and so are their sums, which are exact; then each is
rounded once. Exact: u is the format's least subnormal. Aligned to W bits: a token has an exponent
field X, and u = 2^(X - bias - W + 2): the numbers of field X fill the W - 1 bits below the sign. An
activation becomes the nearest integer, of two equally near ones that of greater magnitude: it is
wrong by at most u / 2, and a sum over z non-zero weights by at most z · u / 2, before its one
rounding (`error_bound`).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import ArrayLike, NDArray

DTYPES: dict[str, tuple[np.dtype, np.dtype]] = {
    "fp16": (np.dtype(np.float16), np.dtype(np.uint16)),
    "bf16": (np.dtype(ml_dtypes.bfloat16), np.dtype(np.uint16)),
    "fp8_e4m3": (np.dtype(ml_dtypes.float8_e4m3fn), np.dtype(np.uint8)),
    "fp8_e5m2": (np.dtype(ml_dtypes.float8_e5m2), np.dtype(np.uint8)),
    "fp32": (np.dtype(np.float32), np.dtype(np.uint32)),
}
"""Format to its type and the type of its codes."""


def encode(values: ArrayLike, number: str) -> NDArray[Any]:
    """Codes of ``values`` (float64) in the format ``number``, each rounded to nearest even."""
    dtype, codes = DTYPES[number]
    with np.errstate(over="ignore"):
        return np.asarray(values, np.float64).astype(dtype).view(codes)


def decode(codes: ArrayLike, number: str) -> NDArray[np.float64]:
    """The values of codes, exact in float64; NaN and infinities as they are."""
    dtype, unsigned = DTYPES[number]
    with np.errstate(invalid="ignore"):  # A signalling NaN becomes a quiet one.
        return np.asarray(codes).astype(unsigned).view(dtype).astype(np.float64)


def token_exponents(codes: ArrayLike, number: str) -> NDArray[np.int64]:
    """The exponent field to align each token to: the highest of its finite activations, or 1.

    codes: (T, N) of the format ``number``. Returns (T,).
    """
    values = decode(codes, number)
    largest = np.abs(np.where(np.isfinite(values), values, 0)).max(axis=1)
    return np.where(largest > 0, np.maximum(np.frexp(largest)[1] - 1 + _bias(number), 1), 1)


def matmul(
    acts: ArrayLike,
    weights: ArrayLike,
    number: str,
    *,
    sums: str | None = None,
    bits: int | None = None,
    exponents: ArrayLike | None = None,
) -> NDArray[np.int64]:
    """Codes of the sums ``Σ_n acts[t, n] · weights[m, n]`` of fixed point, each rounded once.

    Rounding is to nearest, ties to even. A token with an infinity or NaN among its activations, or
    an activation above the token's exponent, gives the canonical NaN everywhere.

    acts: (T, N) codes of the format ``number``.
    weights: (M, N) integers, each -1, 0 or +1.
    sums: format of the outputs; default ``number``.
    bits, exponents: width W of an aligned activation, and each token's exponent field (T,); default
        exact.
    Returns (T, M) int64 codes of the format ``sums``.
    """
    values = decode(acts, number)
    special = np.asarray(~np.all(np.isfinite(values), axis=1))
    unit = _units(len(values), number, bits, exponents)
    if exponents is not None:
        ends = np.ldexp(1.0, np.asarray(exponents, np.int64) - _bias(number) + 1)
        special = special | np.any(np.abs(values) >= ends[:, None], axis=1)
    scaled = np.ldexp(np.where(special[:, None], 0, values), -unit[:, None])
    nearest = np.copysign(np.floor(np.abs(scaled) + 0.5), scaled)
    whole: Any = np.frompyfunc(int, 1, 1)(nearest)
    if np.abs(nearest).sum(axis=1).max(initial=0) < 2.0**62:
        whole = nearest.astype(np.int64)
    exact = whole @ np.asarray(weights).astype(whole.dtype).T
    target = sums or number
    dtype, unsigned = DTYPES[target]
    kept, lost = np.frompyfunc(partial(_to_odd, 40 if target == "fp32" else 20), 1, 2)(exact)
    shift = lost.astype(np.int64) + unit[:, None]
    result = _narrow(np.ldexp(kept.astype(np.float64), shift), target)
    result[special] = np.nan
    codes = result.view(unsigned).astype(np.int64)
    nan = int(np.array(np.nan, dtype).view(unsigned)) & ((1 << (8 * dtype.itemsize - 1)) - 1)
    return np.where(np.isnan(result.astype(np.float64)), nan, codes)


def error_bound(
    weights: ArrayLike, number: str, bits: int, exponents: ArrayLike
) -> NDArray[np.float64]:
    """How far an aligned sum can be from the exact one before its rounding, (T, M).

    Half a unit for each non-zero weight; arguments as in `matmul`.
    """
    unit = np.ldexp(1.0, _units(len(np.asarray(exponents)), number, bits, exponents))
    result: NDArray[np.float64] = (
        np.count_nonzero(np.asarray(weights), axis=1)[None] * unit[:, None] / 2
    )
    return result


def _bias(number: str) -> int:
    return 1 - int(ml_dtypes.finfo(DTYPES[number][0]).minexp)  # type: ignore[no-untyped-call]


def _units(
    tokens: int, number: str, bits: int | None, exponents: ArrayLike | None
) -> NDArray[np.int64]:
    """log2 of each token's unit."""
    if exponents is None or bits is None:
        least = float(ml_dtypes.finfo(DTYPES[number][0]).smallest_subnormal)  # type: ignore[no-untyped-call]
        return np.full(tokens, int(np.log2(least)))
    return np.asarray(exponents, np.int64) - _bias(number) - bits + 2


def _to_odd(bits: int, value: int) -> tuple[int, int]:
    """``value`` as one of few significant bits, times 2^n, that formats round as they round it.

    Rounding to odd: what lies below the highest ``bits`` is gathered in the lowest of these. Later
    roundings to at least two bits less, in whatever steps, come out as from the exact value.
    """
    magnitude = abs(int(value))
    lost = max(magnitude.bit_length() - bits, 0)
    kept = magnitude >> lost
    kept |= int(kept << lost != magnitude)
    return (-kept if value < 0 else kept), lost


def _narrow(values: NDArray[np.float64], number: str) -> NDArray[Any]:
    dtype, _ = DTYPES[number]
    with np.errstate(over="ignore", under="ignore"):
        result = values.astype(dtype)
        if number == "bf16":  # By way of float32, whose subnormals would round a first time.
            tiny = np.abs(values) < 2.0**-126
            units = np.copysign(np.rint(np.abs(values) * 2.0**133), values)
            result = np.where(tiny, np.ldexp(units, -133).astype(dtype), result)
    return result
