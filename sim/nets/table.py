"""Embedding and head of a decoder, left in their files in the type in which they are stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sim.checkpoints import Scales, TernaryTensor
from sim.checkpoints.layer import read_vector
from sim.checkpoints.storage import Stored

Floats = NDArray[np.float64]
KEPT_NUMBERS = 1 << 23
"""Numbers of a table that are kept as float64; a larger one is read some rows at a time."""
BLOCK_NUMBERS = 1 << 22


class Rows(Protocol):
    """A stored matrix. shape: rows and columns."""

    @property
    def name(self) -> str: ...
    @property
    def shape(self) -> tuple[int, int]: ...
    def read(self, first: int, last: int) -> Floats:
        """Rows first … last - 1, finite."""
        ...


@dataclass(frozen=True)
class RealRows:
    """A matrix of plain numbers."""

    stored: Stored

    @property
    def name(self) -> str:
        return self.stored.name

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.stored.shape
        return rows, columns

    def read(self, first: int, last: int) -> Floats:
        return read_vector(self.stored.rows(first, last - first))


@dataclass(frozen=True)
class TernaryRows:
    """A ternary matrix: weights times scales."""

    stored: TernaryTensor

    @property
    def name(self) -> str:
        return self.stored.stored

    @property
    def shape(self) -> tuple[int, int]:
        return self.stored.out_features, self.stored.in_features

    def read(self, first: int, last: int) -> Floats:
        count = last - first
        scales = self._scales.of_rows(first, count, self.shape[0])
        values = self.stored.part(self.name, first, count).weights().astype(np.float64)
        bands = np.repeat(scales.values, count // len(scales.values), axis=0)
        each = np.repeat(bands, values.shape[1] // bands.shape[1], axis=1)
        return values * each if scales.convention == "multiply" else values / each

    @cached_property
    def _scales(self) -> Scales:
        return self.stored.scales()


@dataclass(frozen=True, eq=False)
class Table:
    """A matrix to look up rows of, and to multiply by."""

    stored: Rows

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.stored.shape

    def rows(self, indices: NDArray[np.int64]) -> Floats:
        """Some rows, (len(indices), columns)."""
        if self._kept is not None:
            return self._kept[indices]
        return np.stack([self.stored.read(row, row + 1)[0] for row in indices.tolist()])

    def times(self, x: Floats) -> Floats:
        """``x @ matrix.T``, (T, rows): every token by the same operations whatever T is."""
        blocks = [[block @ token for token in x] for block in self._blocks()]
        return np.concatenate([np.stack(of_tokens) for of_tokens in blocks], axis=1)

    def _blocks(self) -> Iterator[Floats]:
        rows, columns = self.shape
        if self._kept is not None:
            yield self._kept
            return
        step = max(4, BLOCK_NUMBERS // columns // 4 * 4)
        for first in range(0, rows, step):
            yield self.stored.read(first, min(first + step, rows))

    @cached_property
    def _kept(self) -> Floats | None:
        rows, columns = self.shape
        return self.stored.read(0, rows) if rows * columns <= KEPT_NUMBERS else None
