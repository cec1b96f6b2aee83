"""Any ternary checkpoint: a folder, a safetensors file or a GGUF file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sim.checkpoints.base import CheckpointError, ScaleConvention, TernaryTensor, missing_file
from sim.checkpoints.config import CONFIG_FILE, CheckpointConfig, read_any_config
from sim.checkpoints.gguf.i2s import I2sLayout, I2sTensor
from sim.checkpoints.gguf.layout_fit import LayoutFit, layout_fit
from sim.checkpoints.kind import ACCEPTED, identify, refuse
from sim.checkpoints.packed import packed_layers
from sim.checkpoints.storage import Tensors, open_file, open_folder
from sim.checkpoints.unpacked import unpacked_layers


@dataclass(frozen=True)
class Checkpoint:
    """The ternary matrices of a checkpoint, their weights unread; how many other tensors it has of
    each type."""

    path: Path
    tensors: tuple[TernaryTensor, ...]
    others: Counter[str]

    def layout_fit(self) -> LayoutFit | None:
        """How well each I2_S layout fits; None without I2_S matrices that can be compared."""
        return layout_fit(tensor for tensor in self.tensors if isinstance(tensor, I2sTensor))


def open_checkpoint(
    path: Path,
    i2s_layout: I2sLayout | None = None,
    scale_convention: ScaleConvention | None = None,
) -> Checkpoint:
    """Find the ternary matrices of a checkpoint and check them against its configuration.

    i2s_layout: required for I2_S matrices, refused without.
    scale_convention: required for packed weights whose config.json has no
        ``quantization_config`` or which have no config.json, refused otherwise.
    CheckpointError for anything that cannot be read, with what it is and what could be.
    """
    try:
        exists = path.exists()
    except OSError as error:  # Of a folder on the way that may not be entered, say.
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
    if not exists:
        raise missing_file(path, ACCEPTED)
    if path.is_dir():
        if i2s_layout is not None:
            raise _unused(path, "I2_S layout", i2s_layout)
        config = read_any_config(path)
        return _open_tensors(path, open_folder(path), config, scale_convention)
    kind = identify(path)
    if kind == "GGUF":
        from sim.checkpoints.gguf.file import open_gguf  # Loads gguf, which takes a while.

        if scale_convention is not None:
            raise _unused(path, "scale convention", scale_convention)
        return Checkpoint(path, *open_gguf(path, i2s_layout))
    if kind != "safetensors":
        raise refuse(path, kind)
    if i2s_layout is not None:
        raise _unused(path, "I2_S layout", i2s_layout)
    beside = path.parent / CONFIG_FILE
    found = read_any_config(path.parent) if beside.exists() else None
    return _open_tensors(path, open_file(path), found, scale_convention)


def _open_tensors(
    path: Path,
    tensors: Tensors,
    config: CheckpointConfig | None,
    scale_convention: ScaleConvention | None,
) -> Checkpoint:
    recorded = None if config is None else config.scale_convention
    packed = recorded is not None or any(
        stored.dtype == "U8" and name.endswith(".weight")
        for name, stored in tensors.entries.items()
    )
    layers: tuple[TernaryTensor, ...]
    if scale_convention is not None and (recorded is not None or not packed):
        raise _unused(path, "scale convention", scale_convention)
    if packed:
        convention = recorded or scale_convention
        if convention is None:
            raise CheckpointError(
                f"{path}: how scales apply should be in quantization_config of {CONFIG_FILE}, "
                "not missing; give --scale multiply (AutoBitLinear) or --scale divide (BitLinear)"
            )
        layers = packed_layers(tensors, None if config is None else config.layers, convention)
    else:
        layers = unpacked_layers(tensors, None if config is None else config.model_parallel)
    if config is not None and config.architecture is not None:
        config.architecture.check(layers, str(config.file))
    own = {layer.stored for layer in layers}
    own |= {f"{layer.name}.weight_scale" for layer in layers}
    others = Counter(stored.dtype for name, stored in tensors.entries.items() if name not in own)
    return Checkpoint(path, layers, others)


def _unused(path: Path, what: str, value: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: {what} should be left out for a checkpoint that has none or records it, "
        f"not {value!r}; leave it out"
    )
