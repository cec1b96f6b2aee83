"""Embeddings and heads in other types of ggml, Q4_K or Q6_K say, by the library's decoders."""

from __future__ import annotations

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize
from numpy.typing import NDArray

from sim.checkpoints.base import CheckpointError, first_strange
from sim.checkpoints.gguf.header import GgufTensor


class QuantisedRows:
    """A matrix of quantised numbers, read some rows at a time. CheckpointError for one of a type
    without a decoder, or whose rows are no whole blocks."""

    def __init__(self, tensor: GgufTensor) -> None:
        self.tensor, self.name = tensor, tensor.name
        try:
            self.kind = GGMLQuantizationType(tensor.type_id)
            self.block, self.block_bytes = GGML_QUANT_SIZES[self.kind]
            dequantize(np.zeros((1, self.block_bytes), np.uint8), self.kind)
        except (ValueError, KeyError, NotImplementedError):
            raise CheckpointError(
                f"{tensor.where}: should be of a type that the gguf package decodes, not "
                f"{tensor.type_name}; use another release"
            ) from None
        if len(tensor.shape) != 2 or 0 in tensor.shape or tensor.shape[1] % self.block:
            raise CheckpointError(
                f"{tensor.where}: should be a matrix with rows of a multiple of {self.block} "
                f"numbers, not of shape {list(tensor.shape)}; convert the model again"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.tensor.shape
        return rows, columns

    def read(self, first: int, last: int) -> NDArray[np.float64]:
        """Rows first … last - 1; CheckpointError for NaN and infinities."""
        row_bytes = self.shape[1] // self.block * self.block_bytes
        start, count = self.tensor.offset + first * row_bytes, (last - first) * row_bytes
        stored = np.memmap(self.tensor.file, np.uint8, "r", start, (count,))
        with np.errstate(invalid="ignore", over="ignore"):
            values = dequantize(stored.reshape(last - first, row_bytes), self.kind)
        if (place := first_strange(values)) is not None:
            raise CheckpointError(
                f"{self.tensor.where}: should be finite, not {values[place]} at row "
                f"{first + place[0]}, column {place[1]}; check how the checkpoint was made"
            )
        result: NDArray[np.float64] = values.astype(np.float64)
        return result
