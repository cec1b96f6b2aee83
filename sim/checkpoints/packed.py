"""Hugging Face BitNet packing: four rows per byte, in safetensors files, one scale per layer.

Layout (transformers/integrations/bitnet.py): a layer of (M, N) weights is a uint8 tensor
``<layer>.weight`` of R = ceil(M / 4) packed rows of N bytes. Bits [2i+1 : 2i] of packed row r are
row i * R + r of the layer, as code w + 1; code 3 means nothing. ``<layer>.weight_scale`` holds one
number; ``linear_class`` of config.json says whether it multiplies or divides the integer product.
Checkpoints of our own are packed the same; ``layers`` of config.json gives their true shapes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim.checkpoints.base import (
    ILLEGAL,
    CheckpointError,
    ScaleConvention,
    Scales,
    TernaryTensor,
    natural,
    scale_fault,
    two_bits,
)
from sim.checkpoints.config import LayerShape, read_config
from sim.checkpoints.storage import Stored, Tensors, open_folder

CODES_PER_BYTE = 4
SCALE_DTYPES = ("BF16", "F16", "F32", "F64")


@dataclass(frozen=True, eq=False)
class TernaryLayer:
    """A ternary linear layer: ``y = (acts @ weights.T) * gain / (scale of the activations)``.

    weights: (M, N) int8, each -1, 0 or +1, read-only.
    scale: finite, above 0, and so its inverse where it divides; ``scale_convention`` says how it
        applies. ValueError for any other one.
    """

    name: str
    weights: NDArray[np.int8]
    scale: float
    scale_convention: ScaleConvention

    def __post_init__(self) -> None:
        if fault := scale_fault(self.scale, self.scale_convention):
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
    def gain(self) -> float:
        """Factor of the integer product, whatever the convention."""
        return self.scale if self.scale_convention == "multiply" else 1 / self.scale


@dataclass(frozen=True)
class PackedTensor(TernaryTensor):
    """A packed layer: its weights and its scale, which may be in different shards."""

    packed: Stored
    scale: Stored
    scale_convention: ScaleConvention

    @property
    def format(self) -> str:
        return "packed"

    def scales(self) -> Scales:
        value = float(self.scale.values().item())
        if fault := scale_fault(value, self.scale_convention):
            raise CheckpointError(
                f"{self.scale.where}: {fault}; check how the checkpoint was packed"
            )
        return Scales(np.full((1, 1), value), self.scale_convention)

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


def list_layers(folder: Path) -> tuple[PackedTensor, ...]:
    """The packed layers of a checkpoint folder, without reading their weights.

    ``layers`` of config.json gives their order and true shapes. Without it, every uint8 tensor
    named ``….weight`` is a layer of four rows per packed row, in natural order of the names.
    CheckpointError if a tensor is missing or does not fit, also the sizes in config.json.
    """
    config = read_config(folder)
    assert config.scale_convention is not None
    layers = packed_layers(open_folder(folder), config.layers, config.scale_convention)
    if config.architecture is not None:
        config.architecture.check(layers, str(config.file))
    return layers


def packed_layers(
    tensors: Tensors, shapes: tuple[LayerShape, ...] | None, convention: ScaleConvention
) -> tuple[PackedTensor, ...]:
    """The packed layers of the given shapes; without them, all that there are, at least one."""
    if shapes is None:
        shapes = tuple(_found_shapes(tensors))
    if not shapes:
        raise CheckpointError(
            f"{tensors.file}: should hold packed layers, uint8 tensors named '<layer>.weight', "
            f"not {len(tensors.entries)} other tensors; use the release with packed weights"
        )
    layers = []
    for shape in shapes:
        wanted = [-(-shape.out_features // CODES_PER_BYTE), shape.in_features]
        packed = tensors.find(f"{shape.name}.weight").require(("U8",), (wanted,))
        scale = tensors.find(f"{shape.name}.weight_scale").require(SCALE_DTYPES, ([1], []))
        if (bias := tensors.entries.get(f"{shape.name}.bias")) is not None:
            raise CheckpointError(
                f"{bias.where}: a layer should have no bias, which BitNet b1.58 "
                "leaves out and this reader does not apply; remove it or use another model"
            )
        layers.append(
            PackedTensor(
                packed.file,
                packed.name,
                packed.offset,
                shape.out_features,
                shape.in_features,
                packed,
                scale,
                convention,
            )
        )
    return tuple(layers)


def read_layer(info: PackedTensor) -> TernaryLayer:
    """Read and unpack one layer of :func:`list_layers`.

    CheckpointError if a code is illegal, all weights are zero, or the scale is not a positive
    number that can be applied.
    """
    weights, scales = info.weights(), info.scales()
    return TernaryLayer(info.name, weights, float(scales.values.item()), scales.convention)


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


def _found_shapes(tensors: Tensors) -> Iterator[LayerShape]:
    """The packed layers of a file by the types of its tensors."""
    for tensor in sorted(tensors.entries, key=natural):
        found = tensors.entries[tensor]
        name, _, kind = tensor.rpartition(".")
        if name and kind == "weight" and found.dtype == "U8" and len(found.shape) == 2:
            rows, in_features = found.shape
            if rows and in_features:
                yield LayerShape(name, CODES_PER_BYTE * rows, in_features)
