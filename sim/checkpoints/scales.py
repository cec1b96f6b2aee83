"""Scales that lie beside a matrix, in a tensor of their own."""

from __future__ import annotations

import numpy as np

from sim.checkpoints.base import (
    CheckpointError,
    ScaleConvention,
    Scales,
    TernaryTensor,
)
from sim.checkpoints.storage import Stored

SCALE_DTYPES = ("BF16", "F16", "F32", "F64")


def check_scale_tensor(scale: Stored, out_features: int, in_features: int) -> Stored:
    """Itself; CheckpointError unless it has one scale, one for each row, or one for each of equal
    groups along each row."""
    if scale.dtype not in SCALE_DTYPES:
        raise CheckpointError(
            f"{scale.where}: should be {' or '.join(SCALE_DTYPES)}, not {scale.dtype}; "
            "use the release with packed weights"
        )
    shape, rows = scale.shape, out_features
    legal = shape in ((), (1,), (1, 1), (rows,), (rows, 1)) or (
        len(shape) == 2 and shape[0] == rows and shape[1] > 0 and in_features % shape[1] == 0
    )
    if not legal:
        raise CheckpointError(
            f"{scale.where}: should have one scale, one for each of the {rows} outputs, or "
            f"[{rows}, groups] with groups that divide the {in_features} inputs, "
            f"not shape {list(shape)}"
        )
    return scale


def read_scales(scale: Stored, tensor: TernaryTensor, convention: ScaleConvention) -> Scales:
    """The scales (1, 1), (M, 1) or (M, groups); CheckpointError for one that cannot be applied."""
    values = scale.values().astype(np.float64)
    values = values.reshape(1, 1) if values.size == 1 else values.reshape(len(values), -1)

    def place(row: int, column: int) -> tuple[str, int]:
        return scale.name, scale.offset + (row * values.shape[1] + column) * scale.itemsize

    return tensor.check_scales(values, convention, place)
