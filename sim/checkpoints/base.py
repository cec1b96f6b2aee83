"""What every reader shares: errors, scales, and a ternary matrix whose data are still unread."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

ScaleConvention = Literal["multiply", "divide"]
ScalePlaces = Callable[[int, int], tuple[str, int]]
"""(row, column) of a scale -> the tensor and the byte of the file where it is."""
ILLEGAL = 2
"""What an illegal code unpacks to: of 2-bit codes the 3, less 1."""
BLOCK_WEIGHTS = 1 << 22
"""Weights unpacked at a time, unless four rows have more."""


class CheckpointError(Exception):
    """A checkpoint that cannot be read: one line with the file, the place and the remedy."""


class NotTernaryError(CheckpointError):
    """A matrix whose values or type are not ternary. reason: why, without its place."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.reason = reason


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
        """The least scale that applies to any weight; 0 where all weights are 0."""
        return float(self.values[self.values > 0].min(initial=self.highest))

    @property
    def highest(self) -> float:
        """The greatest scale."""
        return float(self.values.max())

    def of_rows(self, first: int, count: int, rows: int) -> Scales:
        """The scales of some rows of the matrix's ``rows``."""
        if len(self.values) == 1:
            return self
        each = np.repeat(self.values, rows // len(self.values), axis=0)
        return Scales(each[first : first + count], self.convention)

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
        """Name of the layer."""
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
        weights.setflags(write=False)
        return weights

    def check(self) -> None:  # noqa: B027 (most formats have nothing to check)
        """NotTernaryError where the weights may show that they are not ternary, and do.

        Most formats hold nothing else, and nothing is read.
        """

    def part(self, name: str, first: int, count: int) -> TernaryTensor:
        """Some rows as a matrix of that name: one of several that are stored as one."""
        return RowPart(self.file, name, self.offset, count, self.in_features, self, first)

    def check_scales(
        self, values: NDArray[np.float64], convention: ScaleConvention, places: ScalePlaces
    ) -> Scales:
        """The scales (R, C); CheckpointError for one that cannot be applied.

        Where all weights are 0, encoders write 0.
        """
        rows, columns = self.out_features // len(values), self.in_features // values.shape[1]
        smallest = np.finfo(np.float64).tiny
        with np.errstate(invalid="ignore"):
            doubtful = np.argwhere(~((values >= smallest) & (values < math.inf)))
        for row, column in doubtful.tolist():
            value = float(values[row, column])
            if value == 0 and not self._band(row * rows, rows, column * columns, columns).any():
                continue
            if fault := scale_fault(value, convention):
                name, offset = places(row, column)
                raise CheckpointError(
                    f"{self.file}: {name}, byte {offset}: scale {fault}; "
                    "check how the checkpoint was made"
                )
        return Scales(values, convention)

    def _band(self, first: int, rows: int, column: int, columns: int) -> NDArray[np.int8]:
        """The weights that one scale belongs to."""
        start, stop = first // 4 * 4, min(-(-(first + rows) // 4) * 4, self.out_features)
        block = self._unpack(start, stop)
        return block[first - start : first - start + rows, column : column + columns]


@dataclass(frozen=True)
class RowPart(TernaryTensor):
    """Some rows of a matrix, from ``first`` on."""

    whole: TernaryTensor
    first: int

    @property
    def format(self) -> str:
        return self.whole.format

    def scales(self) -> Scales:
        return self.whole.scales().of_rows(self.first, self.out_features, self.whole.out_features)

    def _unpack(self, first: int, last: int) -> NDArray[np.int8]:
        start, stop = self.first + first, self.first + last
        begin = start // 4 * 4
        block = self.whole._unpack(begin, min(-(-stop // 4) * 4, self.whole.out_features))
        return block[start - begin : stop - begin]

    def _byte(self, row: int, column: int) -> int:
        return self.whole._byte(self.first + row, column)

    def _illegal(self, row: int, column: int) -> str:
        return self.whole._illegal(self.first + row, column)


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
        """Share of the weights that are 0."""
        return self.zeros / self.weights


def examine(tensor: TernaryTensor) -> TensorReport:
    """Read a matrix whole, some rows at a time; CheckpointError if anything in it is illegal."""
    scales = tensor.scales()
    zeros = sum(block.size - int(np.count_nonzero(block)) for block in tensor.rows())
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
