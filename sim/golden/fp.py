"""Golden floating-point addition and multiplication, on codes, by numpy and ml_dtypes alone.

Each operation is computed in a wider format and rounded once more to the narrow one. With p bits
of significand (the leading one included) in the narrow format and P in the wide one, that gives
what a single rounding of the exact value gives if P >= 2p + 2 and the wide exponent range holds the
result as a normal number: the exact sum or product of two p-bit numbers then never lies so close to
the middle between two narrow numbers that the first rounding moves it there (S. A. Figueroa, "When
is double rounding innocuous?", SIGNUM Newsletter 30(3), 1995). Products even are exact: 2p <= P.

| format | p | wide format | P |
| --- | --- | --- | --- |
| fp16 | 11 | float32 | 24 = 2p + 2 |
| bf16 | 8 | float32 | 24 |
| fp8_e4m3, fp8_e5m2 | 4, 3 | float32 | 24 |
| fp32 | 24 | float64 | 53 |

A sum of subnormal size is a multiple of the least subnormal, so that no rounding takes place. Only
products of bf16 leave the wide range, since float32 has the same exponents: those below 2^-126 are
rounded apart, as a whole number of least subnormals.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from numpy.typing import ArrayLike, NDArray


class _Golden(NamedTuple):
    narrow: Any
    wide: Any
    code: Any
    nan: int


_FORMATS = {
    "fp16": _Golden(np.float16, np.float32, np.uint16, 0x7E00),
    "bf16": _Golden(ml_dtypes.bfloat16, np.float32, np.uint16, 0x7FC0),
    "fp8_e4m3": _Golden(ml_dtypes.float8_e4m3fn, np.float32, np.uint8, 0x7F),
    "fp8_e5m2": _Golden(ml_dtypes.float8_e5m2, np.float32, np.uint8, 0x7E),
    "fp32": _Golden(np.float32, np.float64, np.uint32, 0x7FC00000),
}


def fp_add(name: str, a: ArrayLike, b: ArrayLike) -> NDArray[Any]:
    """Codes of ``round(a + b)``, nearest, ties to even; every NaN is the canonical one.

    name: format, as in `hwgen.spec.number.FLOATS`.
    a, b: codes as unsigned integers of the format's width, of one shape.
    Returns codes of that shape.

    >>> hex(fp_add("fp16", np.uint16(0x3C00), np.uint16(0x4000)))  # 1 + 2 = 3
    '0x4200'
    """
    golden = _FORMATS[name]
    left, right = _widen(golden, a), _widen(golden, b)
    with np.errstate(all="ignore"):
        return _narrow(golden, left + right)


def fp_mul(name: str, a: ArrayLike, b: ArrayLike) -> NDArray[Any]:
    """Codes of ``round(a * b)``, nearest, ties to even; every NaN is the canonical one.

    name: format, as in `hwgen.spec.number.FLOATS`.
    a, b: codes as unsigned integers of the format's width, of one shape.
    Returns codes of that shape.

    >>> hex(fp_mul("fp8_e4m3", np.uint8(0x7E), np.uint8(0x40)))  # 448 * 2 overflows
    '0x7f'
    """
    golden = _FORMATS[name]
    left, right = _widen(golden, a), _widen(golden, b)
    with np.errstate(all="ignore"):
        rounded = _narrow(golden, left * right)
        if name != "bf16":
            return rounded
        exact = left.astype(np.float64) * right.astype(np.float64)
        sign = np.signbit(exact).astype(np.uint16) << 15
        units = np.rint(np.abs(exact) * 2.0**133)  # To even, as the code's last bit tells.
        tiny = np.abs(exact) < 2.0**-126
        return np.where(tiny, np.where(tiny, units, 0).astype(np.uint16) | sign, rounded)


def convert(codes: ArrayLike, source: str, target: str) -> NDArray[Any]:
    """Codes of the same numbers in another format, rounded to nearest even if need be.

    codes: of the format ``source``. Returns codes of ``target``; every NaN is the canonical one.

    >>> hex(convert(np.uint16(0x0001), "fp16", "fp32"))  # 2^-24
    '0x33800000'
    """
    narrow, wide = _FORMATS[source], _FORMATS[target]
    with np.errstate(all="ignore"):
        return _narrow(wide, _widen(narrow, codes).astype(np.float64))


def _widen(golden: _Golden, codes: ArrayLike) -> NDArray[Any]:
    codes = np.asarray(codes)
    if codes.dtype != golden.code:
        raise ValueError(f"codes must be {np.dtype(golden.code)}, not {codes.dtype}")
    with np.errstate(all="ignore"):
        result: NDArray[Any] = codes.view(golden.narrow).astype(golden.wide)
        return result


def _narrow(golden: _Golden, values: NDArray[Any]) -> NDArray[Any]:
    narrow = values.astype(golden.narrow)
    codes = np.asarray(narrow).view(golden.code)
    result: NDArray[Any] = np.where(np.isnan(narrow), golden.code(golden.nan), codes)
    return result
