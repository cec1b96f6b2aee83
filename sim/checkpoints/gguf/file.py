"""GGUF files with TQ1_0, TQ2_0 and I2_S matrices."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

from gguf import GGMLQuantizationType

from sim.checkpoints.architecture import layer_and_role
from sim.checkpoints.base import CheckpointError, TernaryTensor, natural
from sim.checkpoints.gguf.blocks import BLOCK, Tq1Tensor, Tq2Tensor
from sim.checkpoints.gguf.header import I2_S, GgufHeader, GgufTensor, read_header, type_name
from sim.checkpoints.gguf.i2s import LAYOUTS, I2sLayout, I2sTensor, i2s_bytes
from sim.checkpoints.gguf.layout_fit import layout_fit
from sim.checkpoints.gguf.outer_scale import OuterScale

_BLOCKS: dict[int, type[Tq1Tensor] | type[Tq2Tensor]] = {
    GGMLQuantizationType.TQ1_0: Tq1Tensor,
    GGMLQuantizationType.TQ2_0: Tq2Tensor,
}


def open_gguf(
    file: Path, layout: I2sLayout | None = None
) -> tuple[tuple[TernaryTensor, ...], Counter[str]]:
    """The ternary matrices of a file in natural order, and how many others there are of each type.

    layout: of I2_S matrices; required if there are any, and else refused.
    CheckpointError if there is none, or if the sizes in the metadata are not theirs.
    """
    header = read_header(file)
    outer = _outer_scales(header)
    others = Counter(
        tensor.type_name
        for tensor in header.tensors
        if not _is_ternary(tensor) and tensor.name not in {scale.name for scale in outer.values()}
    )
    found = sorted(filter(_is_ternary, header.tensors), key=lambda tensor: natural(tensor.name))
    if not found:
        raise CheckpointError(
            f"{file}: should have tensors of TQ1_0, TQ2_0 or I2_S, not {types_text(others)}; "
            "use the release of that type, or convert with llama-quantize"
        )
    has_i2s = any(tensor.type_id == I2_S for tensor in found)
    if layout is not None and not has_i2s:
        raise CheckpointError(
            f"{file}: the I2_S layout should be left out for a file without I2_S tensors, "
            f"not {layout!r}; leave it out"
        )
    if layout is None and has_i2s:
        raise _layout_missing(file, header)
    tensors = tuple(_tensor(tensor, layout, outer.get(tensor.name)) for tensor in found)
    if any(layer_and_role(tensor.name) for tensor in tensors):
        header.architecture().check(tensors, "the metadata")
    return tensors, others


def types_text(types: Counter[str]) -> str:
    """``"210 Q4_K, 61 F32"``, the most frequent first."""
    return ", ".join(f"{count} {name}" for name, count in types.most_common()) or "no tensors"


def _is_ternary(tensor: GgufTensor) -> bool:
    return tensor.type_id == I2_S or tensor.type_id in _BLOCKS


def _outer_scales(header: GgufHeader) -> dict[str, OuterScale]:
    """The second scale of each ternary matrix that has one, by the matrix's name."""
    by_name = {tensor.name: tensor for tensor in header.tensors}
    outer = {}
    for tensor in filter(_is_ternary, header.tensors):
        scale = by_name.get(f"{tensor.name.removesuffix('.weight')}.scale")
        if scale is None:
            continue
        if scale.type_id != GGMLQuantizationType.F32 or math.prod(scale.shape) != 1:
            raise CheckpointError(
                f"{scale.where}: should be one number of F32, not {scale.type_name} of shape "
                f"{list(scale.shape)}; convert the model again"
            )
        outer[tensor.name] = OuterScale(scale.file, scale.name, scale.offset)
    return outer


def _tensor(
    tensor: GgufTensor, layout: I2sLayout | None, outer: OuterScale | None = None
) -> TernaryTensor:
    if len(tensor.shape) != 2 or 0 in tensor.shape:
        raise CheckpointError(
            f"{tensor.where}: should be a matrix of at least one weight, "
            f"not of shape {list(tensor.shape)}; use a model without experts"
        )
    out_features, in_features = tensor.shape
    if tensor.type_id == I2_S:
        tensor.check_room(i2s_bytes(out_features, in_features))
        assert layout is not None
        return I2sTensor(
            tensor.file, tensor.name, tensor.offset, out_features, in_features, layout, outer
        )
    if in_features % BLOCK:
        raise CheckpointError(
            f"{tensor.where}: {type_name(tensor.type_id)} should have rows of a multiple of "
            f"{BLOCK} weights, not {in_features}; convert the model again"
        )
    kind = _BLOCKS[tensor.type_id]
    return kind(tensor.file, tensor.name, tensor.offset, out_features, in_features, outer)


def _layout_missing(file: Path, header: GgufHeader) -> CheckpointError:
    """Also says which layout the weights fit, if that can be told."""
    tensors = []
    for tensor in header.tensors:
        if tensor.type_id == I2_S:
            for layout in LAYOUTS:  # The first one that the shape allows.
                try:
                    candidate = _tensor(tensor, layout)
                except CheckpointError:
                    continue
                assert isinstance(candidate, I2sTensor)
                tensors.append(candidate)
                break
    fit = layout_fit(tensors)
    if fit is None or fit.best is None:
        advice = "the weights do not tell which it is"
    else:
        advice = f"the weights fit {fit.best!r} (scores: {fit.text()})"
    return CheckpointError(
        f"{file}: I2_S layout should be {', '.join(map(repr, LAYOUTS[:-1]))} or {LAYOUTS[-1]!r}, "
        f"not missing: the file does not record it; give --i2s-layout; {advice}"
    )
