"""A matrix stored as numbers, one for each weight."""

from __future__ import annotations

from abc import ABC
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sim.checkpoints.base import CheckpointError, TernaryTensor, first_strange
from sim.checkpoints.storage import Stored

DTYPES = ("F16", "BF16", "F32", "F64", "I8")


@dataclass(frozen=True)
class RealTensor(TernaryTensor, ABC):
    """Weights (M, N) of one of `DTYPES`, row by row."""

    values: Stored

    def real_rows(self, first: int, last: int) -> NDArray[np.floating]:
        """Rows first … last - 1 as they are stored; CheckpointError for NaN and infinities."""
        values = self.values.real(self.values.mapped()[first:last])
        if (place := first_strange(values)) is not None:
            row, column = first + place[0], place[1]
            raise CheckpointError(
                f"{self.file}: {self.stored}, byte {self._byte(row, column)}: should be finite, "
                f"not {values[place]} at {[row, column]}; check how the checkpoint was made"
            )
        return values

    def part(self, name: str, first: int, count: int) -> TernaryTensor:
        """Some rows as a matrix, whose scales are its own."""
        values = self.values.rows(first, count)
        return replace(self, stored=name, offset=values.offset, out_features=count, values=values)

    def _byte(self, row: int, column: int) -> int:
        return self.offset + (row * self.in_features + column) * self.values.itemsize
