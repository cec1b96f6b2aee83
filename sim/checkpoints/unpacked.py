"""Ternary weights that were never packed: numbers -s, 0 and +s, as TriLM is released.

Each matrix is one tensor (F16, BF16, F32, F64 or I8). Nothing beside it tells the scales; they are
the magnitudes of the weights themselves. TriLM has one for each of the P shards that it was trained
in (arXiv 2407.12327; ``pretraining_model_parallel`` of config.json): equal bands of rows (q, k, v,
gate, up) or of columns (o, down). Others have one for each row, or for each group along a row. The
reader takes the fewest equal bands of rows, or else of columns, that have one magnitude each, or
else the fewest groups. That is exact, not a guess: ternary × scale gives back every bit. Weights
without such bands are not ternary, which is an error. Scales multiply. Where integers -1, 0 and +1
are stored, ``weight_scale`` beside them is their scale.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sim.checkpoints.base import (
    BLOCK_WEIGHTS,
    NotTernaryError,
    ScaleConvention,
    Scales,
    TernaryTensor,
    fewest_bands,
)
from sim.checkpoints.real import RealTensor
from sim.checkpoints.scales import read_scales
from sim.checkpoints.storage import Stored

GROUP = 32
"""Least weights along a row that may have a scale of their own."""


@dataclass(frozen=True)
class UnpackedTensor(RealTensor):
    """Weights stored as numbers.

    shards: a multiple of the number of scales, if known. beside: scales of their own, and how they
    apply to what the magnitudes tell.
    """

    shards: int | None
    beside: Stored | None = None
    convention: ScaleConvention | None = None

    @property
    def format(self) -> str:
        return f"unpacked {self.values.dtype}"

    def scales(self) -> Scales:
        return self._scales

    def check(self) -> None:
        self.scales()

    @cached_property
    def _scales(self) -> Scales:
        """The scales, for which all weights are read."""
        own = self._magnitudes()
        if self.beside is None:
            return own
        assert self.convention is not None
        if (own.values != 1).any():
            raise self._fault("weights with a weight_scale beside them should be -1, 0 and +1")
        return read_scales(self.beside, self, self.convention)

    def _magnitudes(self) -> Scales:
        by_row, by_column = _Magnitudes(self.out_features), _Magnitudes(self.in_features)
        grouped = self.shards is None and self.in_features % GROUP == 0
        by_group = _Magnitudes(self.out_features * self.in_features // GROUP if grouped else 0)
        groups = self.in_features // GROUP
        step = max(1, BLOCK_WEIGHTS // 4 // self.in_features)  # Of float32 instead of int8.
        for first in range(0, self.out_features, step):
            last = min(first + step, self.out_features)
            sizes = np.abs(self.real_rows(first, last))
            by_row.add(slice(first, last), sizes, axis=1)
            by_column.add(slice(None), sizes, axis=0)
            if grouped:
                by_group.add(slice(first * groups, last * groups), sizes.reshape(-1, GROUP), axis=1)
        if self.values.dtype == "I8" and (by_row.highest > 1).any():
            raise self._not_ternary(by_row)
        for found, shape in ((by_row, (-1, 1)), (by_column, (1, -1))):
            bands = found.bands()
            if bands is not None and (self.shards or len(bands)) % len(bands) == 0:
                return Scales(bands.reshape(shape), "multiply")
        if grouped and not by_group.mixed:
            each = by_group.highest.reshape(self.out_features, groups).astype(np.float64)
            return Scales(each, "multiply").coarsest()
        raise self._not_ternary(by_row)

    def _unpack(self, first: int, last: int) -> NDArray[np.int8]:
        if self.beside is None:
            self.scales()  # Every weight is one of them, their negatives, or 0.
        weights: NDArray[np.int8] = np.sign(self.real_rows(first, last)).astype(np.int8)
        return weights

    def part(self, name: str, first: int, count: int) -> TernaryTensor:
        part, beside = super().part(name, first, count), self.beside
        assert isinstance(part, UnpackedTensor)
        if beside is not None and beside.shape[:1] == (self.out_features,):
            beside = beside.rows(first, count)
        return replace(part, beside=beside)

    def _fault(self, reason: str) -> NotTernaryError:
        return NotTernaryError(f"{self.file}: {self.stored}, byte {self.offset}", reason)

    def _not_ternary(self, by_row: _Magnitudes) -> NotTernaryError:
        """Names two magnitudes of one row, or how many there are in different rows."""
        legal = "should hold -s, 0 and +s, with one s or one for each of equal bands or groups"
        if self.shards is not None:
            legal += f", whose number divides pretraining_model_parallel {self.shards}"
        if self.values.dtype == "I8":
            legal = "should hold -1, 0 and +1"
        mixed = np.flatnonzero(by_row.lowest < by_row.highest)
        if not mixed.size:
            several = len(np.unique(by_row.highest))
            return self._fault(f"{legal}, not {several} magnitudes in its rows")
        row = int(mixed[0])
        low, high = by_row.lowest[row], by_row.highest[row]
        column = int(np.argmax(np.abs(self.real_rows(row, row + 1)[0]) == high))
        return NotTernaryError(
            f"{self.file}: {self.stored}, byte {self._byte(row, column)}",
            f"{legal}, not both {low:.6g} and {high:.6g} in row {row}",
        )


class _Magnitudes:
    """Least and greatest |w| above 0 in each of some rows or columns; inf and 0 where all are 0."""

    def __init__(self, count: int) -> None:
        self.lowest = np.full(count, np.inf)
        self.highest = np.zeros(count)

    def add(self, where: slice, sizes: NDArray[np.floating], axis: int) -> None:
        lowest = np.where(sizes > 0, sizes, np.inf).min(axis=axis)
        self.lowest[where] = np.minimum(self.lowest[where], lowest)
        self.highest[where] = np.maximum(self.highest[where], sizes.max(axis=axis))

    @property
    def mixed(self) -> bool:
        """Whether a row or column has several."""
        return bool((self.lowest < self.highest).any())

    def bands(self) -> NDArray[np.float64] | None:
        """The magnitude of each of the fewest equal bands; None if a row or column has several."""
        if self.mixed:
            return None
        return fewest_bands(self.highest[:, None])[:, 0].astype(np.float64)
