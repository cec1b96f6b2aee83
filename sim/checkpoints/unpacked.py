"""Ternary weights that were never packed: real numbers -s, 0 and +s, as TriLM is released.

Each matrix is one tensor ``….layers.<i>.….<role>_proj.weight`` (F16, BF16 or F32; LLaMA's names).
Nothing beside it tells the scales; they are the magnitudes of the weights themselves. TriLM has one
for each of the P shards that it was trained in (arXiv 2407.12327; ``pretraining_model_parallel`` of
config.json): equal bands of rows (q, k, v, gate, up) or of columns (o, down). The reader takes the
fewest equal bands of rows, or else of columns, that have one magnitude each. That is exact, not a
guess: ternary × scale gives back every bit. Weights without such bands are not ternary, which is an
error. Scales multiply.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sim.checkpoints.architecture import layer_and_role
from sim.checkpoints.base import (
    BLOCK_WEIGHTS,
    CheckpointError,
    Scales,
    TernaryTensor,
    fewest_bands,
    first_strange,
    natural,
)
from sim.checkpoints.storage import Stored, Tensors

DTYPES = ("F16", "BF16", "F32")


@dataclass(frozen=True)
class UnpackedTensor(TernaryTensor):
    """Weights stored as real numbers. shards: a multiple of the number of scales, if known."""

    values: Stored
    shards: int | None

    @property
    def format(self) -> str:
        return f"unpacked {self.values.dtype}"

    def scales(self) -> Scales:
        return self._scales

    @cached_property
    def _scales(self) -> Scales:
        """The scales, for which all weights are read."""
        by_row, by_column = _Magnitudes(self.out_features), _Magnitudes(self.in_features)
        step = max(1, BLOCK_WEIGHTS // 4 // self.in_features)  # Of float32 instead of int8.
        for first in range(0, self.out_features, step):
            last = min(first + step, self.out_features)
            sizes = np.abs(self._real(first, last))
            by_row.add(slice(first, last), sizes, axis=1)
            by_column.add(slice(None), sizes, axis=0)
        for found, shape in ((by_row, (-1, 1)), (by_column, (1, -1))):
            bands = found.bands()
            if bands is not None and (self.shards or len(bands)) % len(bands) == 0:
                return Scales(bands.reshape(shape), "multiply")
        raise self._not_ternary(by_row)

    def _real(self, first: int, last: int) -> NDArray[np.float32]:
        values = self.values.real(self.values.mapped()[first:last])
        if (place := first_strange(values)) is not None:
            row, column = first + place[0], place[1]
            raise CheckpointError(
                f"{self.file}: {self.stored}, byte {self._byte(row, column)}: should be finite, "
                f"not {values[place]} at {[row, column]}; check how the checkpoint was made"
            )
        return values

    def _unpack(self, first: int, last: int) -> NDArray[np.int8]:
        self.scales()  # Every weight is one of them, their negatives, or 0.
        return np.sign(self._real(first, last)).astype(np.int8)

    def _byte(self, row: int, column: int) -> int:
        return self.offset + (row * self.in_features + column) * self.values.itemsize

    def _not_ternary(self, by_row: _Magnitudes) -> CheckpointError:
        """Names two magnitudes of one row, or how many there are in different rows."""
        legal = "should hold -s, 0 and +s, with one s or one for each of equal bands"
        if self.shards is not None:
            legal += f", whose number divides pretraining_model_parallel {self.shards}"
        remedy = "the model is not ternary, or not as it was released"
        mixed = np.flatnonzero(by_row.lowest < by_row.highest)
        if not mixed.size:
            several = len(np.unique(by_row.highest))
            return CheckpointError(
                f"{self.file}: {self.stored}, byte {self.offset}: {legal}, "
                f"not {several} magnitudes in its rows; {remedy}"
            )
        row = int(mixed[0])
        low, high = by_row.lowest[row], by_row.highest[row]
        column = int(np.argmax(np.abs(self._real(row, row + 1)[0]) == high))
        return CheckpointError(
            f"{self.file}: {self.stored}, byte {self._byte(row, column)}: {legal}, "
            f"not both {low:.6g} and {high:.6g} in row {row}; {remedy}"
        )


class _Magnitudes:
    """Least and greatest |w| above 0 in each of some rows or columns; inf and 0 where all are 0."""

    def __init__(self, count: int) -> None:
        self.lowest = np.full(count, np.inf, np.float32)
        self.highest = np.zeros(count, np.float32)

    def add(self, where: slice, sizes: NDArray[np.float32], axis: int) -> None:
        lowest = np.where(sizes > 0, sizes, np.float32(np.inf)).min(axis=axis)
        self.lowest[where] = np.minimum(self.lowest[where], lowest)
        self.highest[where] = np.maximum(self.highest[where], sizes.max(axis=axis))

    def bands(self) -> NDArray[np.float64] | None:
        """The magnitude of each of the fewest equal bands; None if a row or column has several."""
        if (self.lowest < self.highest).any():
            return None
        return fewest_bands(self.highest[:, None])[:, 0].astype(np.float64)


def unpacked_layers(tensors: Tensors, shards: int | None) -> tuple[UnpackedTensor, ...]:
    """The projections of all decoder layers, in natural order; at least one."""
    layers = []
    for name in sorted(tensors.entries, key=natural):
        layer = name.removesuffix(".weight")
        if layer == name or layer_and_role(layer) is None:
            continue
        stored = tensors.entries[name].require_matrix(DTYPES)
        for extra in ("weight_scale", "bias"):
            if (found := tensors.entries.get(f"{layer}.{extra}")) is not None:
                raise CheckpointError(
                    f"{found.where}: unpacked weights should come without a {extra}, which this "
                    "reader does not apply; remove it or use another model"
                )
        out_features, in_features = stored.shape
        layers.append(
            UnpackedTensor(
                stored.file, name, stored.offset, out_features, in_features, stored, shards
            )
        )
    if not layers:
        raise CheckpointError(
            f"{tensors.file}: should hold projections of decoder layers, tensors named "
            f"'….layers.<i>.….<role>_proj.weight', not {len(tensors.entries)} other tensors; "
            "use a model of the LLaMA family"
        )
    return tuple(layers)
