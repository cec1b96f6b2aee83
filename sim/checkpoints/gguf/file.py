"""GGUF files: one, or several into which a model was split."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gguf import GGMLQuantizationType

from sim.checkpoints.architecture import Shape, Wanted
from sim.checkpoints.base import (
    CheckpointError,
    NotTernaryError,
    ScaleConvention,
    TernaryTensor,
    listed,
)
from sim.checkpoints.gguf.blocks import BlockTensor, Q2Tensor, Tq1Tensor, Tq2Tensor
from sim.checkpoints.gguf.header import (
    I2_S,
    PQ2_0,
    Q2_0,
    TL2,
    GgufHeader,
    GgufTensor,
    read_header,
)
from sim.checkpoints.gguf.i2s import LAYOUTS, I2sLayout, I2sTensor, i2s_bytes
from sim.checkpoints.gguf.layout_fit import layout_fit
from sim.checkpoints.gguf.outer_scale import OuterScale
from sim.checkpoints.matrices import Companions, Entry
from sim.checkpoints.storage import Stored

_BLOCKS: dict[int, type[BlockTensor]] = {
    GGMLQuantizationType.TQ1_0: Tq1Tensor,
    GGMLQuantizationType.TQ2_0: Tq2Tensor,
    Q2_0: Q2Tensor,
    PQ2_0: Q2Tensor,
}
_PART = re.compile(r"(.+)-([0-9]{5})-of-([0-9]{5})\.gguf")
_TABLES = "its order of weights belongs to kernels of the machine that made it"
_UNREAD = {
    38: f"TL1 of BitNet's llama.cpp: {_TABLES}; use the I2_S or TQ2_0 release",
    TL2: f"TL2 of BitNet's llama.cpp or MXFP4 of ggml, which have one number; of TL2 {_TABLES}: "
    "use the I2_S or TQ2_0 release",
    134: "IQ1_BN of ik_llama.cpp; convert from the original model to TQ2_0",
    135: "IQ2_BN of ik_llama.cpp; convert from the original model to TQ2_0",
    143: "PTQ1_0 of PrismML's llama.cpp; use the PQ2_0 or Q2_0 release",
}
"""Ternary types that are known, but not read."""


@dataclass(frozen=True)
class GgufModel:
    """header: of the part with the metadata. tensors: of all parts."""

    header: GgufHeader
    tensors: tuple[GgufTensor, ...]

    @property
    def entries(self) -> list[Entry]:
        """The tensors, those of plain numbers as such."""
        return [tensor.stored() or tensor for tensor in self.tensors]

    def wanted(self) -> Wanted | str:
        """Which matrices the model has; else, why that is not known."""
        return self.header.wanted()


def open_gguf(file: Path, partial: bool = False) -> GgufModel:
    """The tensors of a model, all of its parts included, whichever of them is given.

    partial: parts that are not there are passed over.
    """
    own = read_header(file)
    count = own.values.get("split.count", 1)
    if not isinstance(count, int) or count <= 1:
        return GgufModel(own, own.tensors)
    named = _PART.fullmatch(file.name)
    if named is None or int(named[3]) != count:
        raise CheckpointError(
            f"{file}: should be named like …-00001-of-{count:05d}.gguf, as one of the {count} "
            "parts that its metadata give; give it back its name, beside the others"
        )
    files = [file.with_name(f"{named[1]}-{i:05d}-of-{named[3]}.gguf") for i in range(1, count + 1)]
    missing = [part.name for part in files if not part.exists()]
    if missing and not partial:
        raise CheckpointError(
            f"{file}: should have its other parts beside it, not lack {listed(missing)}; "
            "download them, or give --partial to go on with what is there"
        )
    headers = [own if part == file else read_header(part) for part in files if part.exists()]
    tensors: dict[str, GgufTensor] = {}
    for header in headers:
        for tensor in header.tensors:
            if tensor.name in tensors:
                raise CheckpointError(
                    f"{tensor.where}: should be in one part, not in "
                    f"{tensors[tensor.name].file.name} too; parts of different models lie here"
                )
            tensors[tensor.name] = tensor
    first = next((one for one in headers if "general.architecture" in one.values), headers[0])
    return GgufModel(first, tuple(tensors.values()))


class GgufReader:
    """Makes matrices of tensors.

    layout: of I2_S. convention: how ``.weight_scale`` tensors apply. of_numbers: makes a matrix of
    plain numbers. used: options that made a difference.
    """

    def __init__(
        self,
        model: GgufModel,
        layout: I2sLayout | None,
        convention: ScaleConvention | None,
        of_numbers: Callable[[Stored, Companions], TernaryTensor],
    ) -> None:
        self.model, self.layout, self.convention = model, layout, convention
        self.of_numbers = of_numbers
        self.used: set[str] = set()

    def __call__(self, entry: Entry, parts: Companions, shape: Shape | None) -> TernaryTensor:
        if isinstance(entry, Stored):
            outer = self._outer(parts)
            if outer is not None:
                raise CheckpointError(
                    f"{outer.file}: {outer.name}, byte {outer.offset}: should belong to a packed "
                    f"matrix, not to one of {entry.dtype}; convert the model again"
                )
            return self.of_numbers(entry, {})
        assert isinstance(entry, GgufTensor)
        if entry.type_id != I2_S and entry.type_id not in _BLOCKS:
            raise NotTernaryError(entry.where, _UNREAD.get(entry.type_id, entry.type_name))
        if len(entry.shape) != 2 or 0 in entry.shape:
            raise CheckpointError(
                f"{entry.where}: should be a matrix of at least one weight, "
                f"not of shape {list(entry.shape)}; use a model without experts"
            )
        outer = self._outer(parts)
        if entry.type_id != I2_S:
            return _blocks(entry, outer)
        if self.layout is None:
            raise self._layout_missing()
        self.used.add("i2s_layout")
        return _i2s(entry, self.layout, outer)

    def _outer(self, parts: Companions) -> OuterScale | None:
        """The second scale of a matrix, if it has one."""
        found = [parts[name] for name in ("scale", "weight_scale") if name in parts]
        if not found:
            return None
        scale = found[-1]
        if not isinstance(scale, Stored) or scale.dtype != "F32" or math.prod(scale.shape) != 1:
            raise CheckpointError(
                f"{scale.where}: should be one number of F32, not {scale.type_name} of shape "
                f"{list(scale.shape)}; convert the model again"
            )
        if len(found) > 1:
            raise CheckpointError(f"{scale.where}: should not come with a .scale as well")
        if "weight_scale" not in parts:
            return OuterScale(scale.file, scale.name, scale.offset)
        if self.convention is None:
            raise CheckpointError(
                f"{scale.where}: how it applies is not in the file; give --scale multiply "
                "(AutoBitLinear) or --scale divide (BitLinear)"
            )
        self.used.add("scale")
        return OuterScale(scale.file, scale.name, scale.offset, self.convention == "divide")

    def _layout_missing(self) -> CheckpointError:
        """Also says which layout the weights fit, if that can be told."""
        tensors = []
        for tensor in self.model.tensors:
            if tensor.type_id == I2_S and len(tensor.shape) == 2 and 0 not in tensor.shape:
                for layout in LAYOUTS:  # The first one that the shape allows.
                    try:
                        tensors.append(_i2s(tensor, layout))
                    except CheckpointError:
                        continue
                    break
        fit = layout_fit(tensors)
        if fit is None or fit.best is None:
            advice = "the weights do not tell which it is"
        else:
            advice = f"the weights fit {fit.best!r} (scores: {fit.text()})"
        file = self.model.header.file
        return CheckpointError(
            f"{file}: I2_S layout should be {', '.join(map(repr, LAYOUTS[:-1]))} or "
            f"{LAYOUTS[-1]!r}, not missing: the file does not record it; give --i2s-layout; "
            f"{advice}"
        )


def _i2s(tensor: GgufTensor, layout: I2sLayout, outer: OuterScale | None = None) -> I2sTensor:
    out_features, in_features = tensor.shape
    tensor.check_room(i2s_bytes(out_features, in_features))
    return I2sTensor(
        tensor.file, tensor.name, tensor.offset, out_features, in_features, layout, outer
    )


def _blocks(tensor: GgufTensor, outer: OuterScale | None) -> BlockTensor:
    out_features, in_features = tensor.shape
    place = (tensor.file, tensor.name, tensor.offset, out_features, in_features, outer)
    if tensor.type_id in (Q2_0, PQ2_0):
        made: BlockTensor = Q2Tensor(*place, of_128=_of_128(tensor))
    else:
        made = _BLOCKS[tensor.type_id](*place)
    if in_features % made.block:
        raise CheckpointError(
            f"{tensor.where}: {tensor.type_name} should have rows of a multiple of {made.block} "
            f"weights, not {in_features}; convert the model again"
        )
    tensor.check_room(out_features * in_features // made.block * made.block_bytes)
    return made


def _of_128(tensor: GgufTensor) -> bool:
    """Whether Q2_0 has blocks of 128: as PQ2_0, and by the room that the tensor takes."""
    if tensor.type_id == PQ2_0:
        return True
    weights = math.prod(tensor.shape)
    large, small = weights // 128 * 34, weights // 64 * 18
    room = tensor.end - tensor.offset
    return weights % 128 == 0 and large <= room < small
