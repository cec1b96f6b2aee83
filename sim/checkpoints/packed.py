"""Hugging Face BitNet packing: four rows per byte, in safetensors files, scales beside them.

Layout (transformers/integrations/bitnet.py): a layer of (M, N) weights is a uint8 tensor
``<layer>.weight`` of R = ceil(M / 4) packed rows of N bytes. Bits [2i+1 : 2i] of packed row r are
row i * R + r of the layer, as code w + 1; code 3 means nothing. ``<layer>.weight_scale`` holds one
number, or one for each row, or one for each of equal groups along each row; ``linear_class`` of
config.json says whether they multiply or divide the integer product. Checkpoints of our own are
packed the same; ``layers`` of config.json gives their true shapes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim.checkpoints.base import (
    ILLEGAL,
    CheckpointError,
    ScaleConvention,
    Scales,
    TernaryTensor,
    two_bits,
)
from sim.checkpoints.scales import check_scale_tensor, read_scales
from sim.checkpoints.storage import Stored

CODES_PER_BYTE = 4


@dataclass(frozen=True)
class PackedTensor(TernaryTensor):
    """A packed layer: its weights and its scales, which may be in different shards."""

    packed: Stored
    scale: Stored
    scale_convention: ScaleConvention

    @property
    def format(self) -> str:
        return "packed"

    def scales(self) -> Scales:
        return read_scales(self.scale, self, self.scale_convention)

    def _unpack(self, first: int, last: int) -> NDArray[np.int8]:
        packed = self.packed.mapped()
        parts = []
        while first < last:  # A part in each quarter of the rows.
            quarter, row = divmod(first, len(packed))
            count = min(last - first, len(packed) - row)
            parts.append(two_bits(packed[row : row + count], quarter))
            first += count
        return np.concatenate(parts)

    def _byte(self, row: int, column: int) -> int:
        return self.offset + row % self.packed.shape[0] * self.in_features + column


def packed_tensor(
    packed: Stored, scale: Stored, shape: tuple[int, int] | None, convention: ScaleConvention
) -> PackedTensor:
    """A packed matrix of the given shape (out, in), or of four rows per packed row.

    CheckpointError where the two tensors do not have the shapes that follow.
    """
    if len(packed.shape) != 2 or 0 in packed.shape:
        raise CheckpointError(
            f"{packed.where}: should be a matrix of packed rows, not of shape {list(packed.shape)}"
        )
    rows, in_features = packed.shape
    out_features = CODES_PER_BYTE * rows
    if shape is not None and -(-shape[0] // CODES_PER_BYTE) == rows:
        out_features = shape[0]
    check_scale_tensor(scale, out_features, in_features)
    return PackedTensor(
        packed.file,
        packed.name,
        packed.offset,
        out_features,
        in_features,
        packed,
        scale,
        convention,
    )


def pack_rows(weights: ArrayLike) -> NDArray[np.uint8]:
    """Pack four rows per byte; rows that fill up the last quarter get code 0, as upstream.

    weights: (M, N) integers, each -1, 0 or +1.
    Returns (ceil(M / 4), N) uint8. ValueError for anything else.

    >>> pack_rows([[1], [0], [-1], [1], [1]])
    array([[34],
           [ 9]], dtype=uint8)
    """
    w = np.asarray(weights)
    if w.ndim != 2 or not w.size or w.dtype.kind not in "iu":
        raise ValueError(f"weights must be (M, N) integers, found {w.dtype} of shape {w.shape}")
    if int(w.min()) < -1 or int(w.max()) > 1:
        place = tuple(np.argwhere((w < -1) | (w > 1))[0].tolist())
        raise ValueError(f"weights must be -1, 0 or +1; found {w[place]} at {place}")
    packed_rows = -(-w.shape[0] // CODES_PER_BYTE)
    codes = np.zeros((CODES_PER_BYTE * packed_rows, w.shape[1]), np.uint8)
    codes[: w.shape[0]] = w + 1
    quarters = codes.reshape(CODES_PER_BYTE, packed_rows, -1)
    result: NDArray[np.uint8] = quarters[0] | quarters[1] << 2 | quarters[2] << 4 | quarters[3] << 6
    return result


def unpack_rows(packed: NDArray[np.uint8], out_features: int) -> NDArray[np.int8]:
    """Undo :func:`pack_rows`; the filled-up rows are dropped, whatever they hold.

    packed: (ceil(out_features / 4), N) uint8.
    out_features: M, at least 1.
    Returns (M, N) int8. ValueError if the shape does not fit or a weight has code 3.

    >>> unpack_rows(np.array([[34], [9]], np.uint8), 5).ravel()
    array([ 1,  0, -1,  1,  1], dtype=int8)
    """
    if packed.dtype != np.uint8 or packed.ndim != 2 or not packed.size:
        raise ValueError(
            f"should be (rows, N) of uint8, not {packed.dtype} of shape {packed.shape}"
        )
    if len(packed) != -(-out_features // CODES_PER_BYTE):
        raise ValueError(
            f"should have {-(-out_features // CODES_PER_BYTE)} packed rows for {out_features} "
            f"outputs, not {len(packed)}"
        )
    weights = np.concatenate([two_bits(packed, i) for i in range(CODES_PER_BYTE)])[:out_features]
    if weights.max() == ILLEGAL:
        row, column = np.argwhere(weights == ILLEGAL)[0].tolist()
        raise ValueError(f"codes should be 0, 1 or 2, not 3 at row {row}, column {column}")
    return weights
