"""A linear layer with its weights in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.checkpoints.base import CheckpointError, Scales, first_strange, scale_fault
from sim.checkpoints.matrices import Matrix
from sim.checkpoints.storage import Stored


@dataclass(frozen=True, eq=False)
class TernaryLayer:
    """A ternary linear layer: the products of each of its segments times `gain`, added up.

    weights: (M, N) int8, each -1, 0 or +1, read-only.
    scales: one for the layer, for each band of rows, or for each of ``segments`` groups along N.
        ValueError for one that cannot be applied.
    bias: (M,) float64, added to the outputs, or None.
    inner_norm: (N,) float64, gains of an RMS norm of the inputs, or None.
    """

    name: str
    weights: NDArray[np.int8]
    scales: Scales
    bias: NDArray[np.float64] | None = None
    inner_norm: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        for value in self.scales.values.ravel()[self.scales.values.ravel() != 0].tolist():
            if fault := scale_fault(value, self.scales.convention):
                raise ValueError(f"{self.name}: scale: {fault}")

    @property
    def out_features(self) -> int:
        """M, the number of outputs."""
        result: int = self.weights.shape[0]
        return result

    @property
    def in_features(self) -> int:
        """N, the length of a dot product."""
        result: int = self.weights.shape[1]
        return result

    @property
    def segments(self) -> int:
        """Equal parts of N with scales of their own."""
        result: int = self.scales.values.shape[1]
        return result

    def outputs(
        self, products: NDArray[np.float64], act_scale: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Real outputs (T, M): scales undone, segments added up, bias added.

        products: (segments, T, M). act_scale: (T,), what activations were multiplied by.
        """
        total = np.zeros(products.shape[1:])
        for segment, values in enumerate(products):
            total += values * (self.gain(segment) / act_scale[:, None])
        return total if self.bias is None else total + self.bias

    def gain(self, segment: int) -> NDArray[np.float64]:
        """Factor of each output's product in a segment, (1,) or (M,), whatever the convention."""
        column = self.scales.values[:, segment]
        if self.scales.convention == "divide":
            column = np.divide(1, column, out=np.zeros_like(column), where=column != 0)
        return column if len(column) == 1 else np.repeat(column, self.out_features // len(column))


def read_layer(matrix: Matrix) -> TernaryLayer:
    """Read a linear layer into memory; CheckpointError for anything in it that is illegal."""
    tensor = matrix.tensor
    return TernaryLayer(
        tensor.name,
        tensor.weights(),
        tensor.scales().coarsest(),
        None if matrix.bias is None else read_vector(matrix.bias),
        None if matrix.inner_norm is None else read_vector(matrix.inner_norm),
    )


def read_vector(stored: Stored) -> NDArray[np.float64]:
    """A tensor as float64; CheckpointError for NaN and infinities."""
    values = stored.real(stored.mapped()).astype(np.float64)
    if (place := first_strange(values)) is not None:
        raise CheckpointError(
            f"{stored.where}: should be finite, not {values[place]} at {list(place)}; "
            "check how the checkpoint was made"
        )
    return values
