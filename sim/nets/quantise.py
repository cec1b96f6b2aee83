"""Quantisers of BitNet b1.58: ternary weights per tensor, integer activations per token.

Formulas: "The Era of 1-bit LLMs", arXiv 2402.17764, section 2, as realised by the Hugging Face
integration (transformers/integrations/bitnet.py, ``WeightQuant`` and ``BitLinear``). Computed in
float64, where that integration uses the type of the model.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

EPS = 1e-5


def weights_absmean(w: ArrayLike) -> tuple[NDArray[np.int8], float]:
    """Ternary weights ``clamp(round(w * s), -1, +1)`` with ``s = 1 / max(mean|w|, 1e-5)``.

    Rounds half to even. ``ternary / s`` approximates ``w``: a checkpoint whose scales are divided
    by stores s, one whose scales multiply stores 1 / s.

    w: real numbers of any shape, finite, and so their sum.
    Returns int8 of the same shape and s > 0. ValueError for anything else.

    >>> weights_absmean([[0.5, -0.1, -0.9]])
    (array([[ 1,  0, -1]], dtype=int8), 2.0)
    """
    values = _finite("w", w)
    with np.errstate(over="ignore"):
        mean = float(np.abs(values).mean())
    if mean == np.inf:
        raise ValueError(f"w must have a finite sum, found up to {np.abs(values).max()}")
    scale = 1.0 / max(mean, EPS)
    return np.clip(np.round(values * scale), -1, 1).astype(np.int8), scale


def activations_absmax(
    x: ArrayLike, bits: int = 8
) -> tuple[NDArray[np.signedinteger], NDArray[Any]]:
    """Integer activations ``clamp(round(x * s), -2^(bits - 1), 2^(bits - 1) - 1)`` of each token.

    ``s = (2^(bits - 1) - 1) / max(absmax of the token, 1e-5)``. Rounds half to even.
    ``integer / s`` approximates ``x``.

    x: (T, N) real numbers, finite.
    bits: 2 … 16.
    Returns (T, N) int8, or int16 above 8 bits, and s, (T,) float64. ValueError for anything else.

    >>> activations_absmax([[0.5, -2.0]])
    (array([[  32, -127]], dtype=int8), array([63.5]))
    """
    values = _finite("x", x)
    if values.ndim != 2:
        raise ValueError(f"x must be (T, N), found shape {values.shape}")
    if not 2 <= bits <= 16:
        raise ValueError(f"bits must be 2 … 16, found {bits}")
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    scale = high / np.maximum(np.abs(values).max(axis=1), EPS)
    integers = np.clip(np.round(values * scale[:, None]), low, high)
    return integers.astype(np.int8 if bits <= 8 else np.int16), scale


def _finite(name: str, values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if not array.size:
        raise ValueError(f"{name} must not be empty, found shape {array.shape}")
    if not np.isfinite(array).all():
        place = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
        raise ValueError(f"{name} must be finite, found {array[place]} at {place}")
    return array
