"""What every reader shares: errors, scales, and a ternary matrix whose data are still unread."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

ScaleConvention = Literal["multiply", "divide"]
ILLEGAL = 2
"""What an illegal code unpacks to: of 2-bit codes the 3, less 1."""
BLOCK_WEIGHTS = 1 << 22
"""Weights unpacked at a time, unless four rows have more."""


class CheckpointError(Exception):
    """A checkpoint that cannot be read: one line with the file, the place and the remedy."""


@dataclass(frozen=True, eq=False)
class Scales:
    """The scales of a matrix of (M, N) weights, each of which belongs to M/R × N/C of them.

    values: (R, C) float64, finite and above 0; 0 only where all the weights are 0.
    convention: "multiply": weight = ternary × value; "divide": weight = ternary / value.
    """

    values: NDArray[np.float64]
    convention: ScaleConvention

    @property
    def lowest(self) -> float:
        """The least scale that applies to any weight."""
        return float(self.values[self.values > 0].min())

    @property
    def highest(self) -> float:
        """The greatest scale."""
        return float(self.values.max())

    def coarsest(self) -> Scales:
        """The same scales in the fewest bands of rows and columns; a 0 takes its band's value."""
        rows = fewest_bands(self.values)
        return Scales(np.ascontiguousarray(fewest_bands(rows.T).T), self.convention)


def fewest_bands(values: NDArray[Any]) -> NDArray[Any]:
    """(R, C) as the fewest equal bands of rows, in each of which no value but 0 changes."""
    count = len(values)
    for bands in range(1, count + 1):
        if count % bands == 0:
            parts = values.reshape(bands, count // bands, -1)
            highest = parts.max(axis=1)
            if ((parts == 0) | (parts == highest[:, None])).all():
                result: NDArray[Any] = highest
                return result
    raise AssertionError("each row is a band of its own")


@dataclass(frozen=True)
class TernaryTensor(ABC):
    """A ternary matrix of a checkpoint, its data still unread.

    file, stored, offset: where its weights are: tensor of that name, from that byte of the file.
    name: of the layer: ``stored`` without ``.weight``.
    out_features, in_features: M and N, at least 1.
    """

    file: Path
    stored: str
    offset: int
    out_features: int
    in_features: int

    @property
    def name(self) -> str:
        """Scales of the layer."""
        return self.stored.removesuffix(".weight")

    @property
    @abstractmethod
    def format(self) -> str:
        """How the weights are packed, in a word or two."""

    @abstractmethod
    def scales(self) -> Scales:
        """Read the scales; CheckpointError for one that cannot be applied."""

    @abstractmethod
    def _unpack(self, first: int, last: int) -> NDArray[np.int8]:
        """Rows first … last - 1, ``first`` divisible by 4; an illegal code gives ``ILLEGAL``."""

    @abstractmethod
    def _byte(self, row: int, column: int) -> int:
        """The byte of the file that holds one weight."""

    def rows(self) -> Iterator[NDArray[np.int8]]:
        """All rows in order, (some, N) int8 of -1, 0 and +1 at a time.

        CheckpointError at the first illegal code.
        """
        step = max(4, BLOCK_WEIGHTS // self.in_features // 4 * 4)
        for first in range(0, self.out_features, step):
            block = self._unpack(first, min(first + step, self.out_features))
            if block.max() == ILLEGAL:
                row, column = np.argwhere(block == ILLEGAL)[0].tolist()
                row += first
                raise CheckpointError(
                    f"{self.file}: {self.stored}, byte {self._byte(row, column)}: "
                    f"{self._illegal(row, column)}; download it again"
                )
            yield block

    def _illegal(self, row: int, column: int) -> str:
        """What is wrong with an illegal code."""
        return f"codes should be 0, 1 or 2, not 3 at row {row}, column {column}"

    def weights(self) -> NDArray[np.int8]:
        """All weights at once, (M, N) int8, read-only."""
        weights = np.empty((self.out_features, self.in_features), np.int8)
        first = 0
        for block in self.rows():
            weights[first : first + len(block)] = block
            first += len(block)
        self.check_zeros(weights.size - int(np.count_nonzero(weights)))
        weights.setflags(write=False)
        return weights

    def check_zeros(self, zeros: int) -> None:
        """CheckpointError if all weights are 0."""
        if zeros == self.out_features * self.in_features:
            raise CheckpointError(
                f"{self.file}: {self.stored}, byte {self.offset}: should have weights other than "
                f"0, not {zeros} zeros; check how the checkpoint was packed"
            )


@dataclass(frozen=True, eq=False)
class TensorReport:
    """What was found in a matrix that was read whole. zeros: how many weights are 0."""

    tensor: TernaryTensor
    scales: Scales
    zeros: int

    @property
    def weights(self) -> int:
        """M × N."""
        return self.tensor.out_features * self.tensor.in_features

    @property
    def zero_fraction(self) -> float:
        """Share of the weights that are 0; below 1."""
        return self.zeros / self.weights


def examine(tensor: TernaryTensor) -> TensorReport:
    """Read a matrix whole, some rows at a time; CheckpointError if anything in it is illegal."""
    scales = tensor.scales()
    zeros = sum(block.size - int(np.count_nonzero(block)) for block in tensor.rows())
    tensor.check_zeros(zeros)
    return TensorReport(tensor, scales, zeros)


def two_bits(packed: NDArray[np.uint8], field: int) -> NDArray[np.int8]:
    """The weight in bits [2·field + 1 : 2·field] of each byte: code - 1; code 3 is ``ILLEGAL``."""
    result: NDArray[np.int8] = _TWO_BITS[field][packed]
    return result


# Of field 0 … 3, by byte; code 3 becomes ``ILLEGAL``.
_TWO_BITS = ((np.arange(256) >> 2 * np.arange(4)[:, None] & 3) - 1).astype(np.int8)


def scale_fault(scale: float, convention: ScaleConvention) -> str:
    """What is wrong with a scale; nothing where it can be applied."""
    if not 0 < scale < math.inf:
        return f"should be finite and above 0, not {scale}"
    if convention == "divide" and 1 / scale == math.inf:
        return f"should be large enough to divide by, not {scale}"
    return ""


def first_strange(values: NDArray[Any]) -> tuple[int, ...] | None:
    """Index of the first value that is NaN or infinite; None where all are finite."""
    finite = np.isfinite(values)
    return None if finite.all() else tuple(np.argwhere(~finite)[0].tolist())


def natural(name: str) -> str:
    """Sort key that puts layers.2 before layers.10."""
    return re.sub(r"[0-9]+", lambda digits: digits[0].zfill(20), name)


def missing_file(file: Path, wanted: str) -> CheckpointError:
    """The error for a file that is not there."""
    return CheckpointError(f"{file}: no such file; give {wanted}")


def brief(value: object) -> str:
    """A value as Python writes it, cut off if it is long."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def listed(names: Iterable[str]) -> str:
    """At most four names, for an error message."""
    ordered = sorted(names, key=natural)
    more = f", … ({len(ordered)} in all)" if len(ordered) > 4 else ""
    return ", ".join(map(repr, ordered[:4])) + more if ordered else "nothing"
