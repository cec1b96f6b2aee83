"""config.json of a checkpoint folder: how weights are packed, how scales apply, which matrices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.checkpoints.architecture import Wanted
from sim.checkpoints.base import CheckpointError, ScaleConvention, brief
from sim.checkpoints.config_sizes import wanted_matrices
from sim.checkpoints.json_values import optional_value, read_object, required_value, size_value

CONFIG_FILE = "config.json"
SCALE_CONVENTIONS: dict[str, ScaleConvention] = {"autobitlinear": "multiply", "bitlinear": "divide"}
INNER_NORM_EPS = 1e-6
"""Default of ``rms_norm_eps`` in Hugging Face's ``BitNetQuantConfig``."""


@dataclass(frozen=True)
class LayerShape:
    """One entry of ``layers`` in config.json: the true shape of a layer whose rows are padded."""

    name: str
    out_features: int
    in_features: int


@dataclass(frozen=True)
class Quantization:
    """``quantization_config``.

    convention: how scales apply.
    online: the file holds master weights, which are quantised when they are read.
    inner_norm_eps: of a norm with learned gains in every linear layer (``use_rms_norm``), or None.
    """

    convention: ScaleConvention
    online: bool = False
    inner_norm_eps: float | None = None


@dataclass(frozen=True)
class CheckpointConfig:
    """What is read from config.json.

    quantization: ``quantization_config``, or None.
    layers: in order of evaluation, or None where the file does not list them.
    hidden_act, rms_norm_eps: None where the file does not give them.
    wanted: the matrices of a decoder, or why the file does not tell them.
    model_parallel: shards the model was trained in (``pretraining_model_parallel``), or None.
    """

    file: Path
    quantization: Quantization | None
    layers: tuple[LayerShape, ...] | None
    hidden_act: str | None
    rms_norm_eps: float | None
    wanted: Wanted | str
    model_parallel: int | None


def read_config(folder: Path) -> CheckpointConfig:
    """Read config.json of a folder; CheckpointError for what is not as it should be.

    ``quantization_config``, if there is one, must say quant_method ``bitnet`` and linear_class
    ``autobitlinear`` (scales multiply) or ``bitlinear`` (scales divide, the default).
    """
    file = folder / CONFIG_FILE
    values = read_object(file)
    return CheckpointConfig(
        file=file,
        quantization=_quantization(file, values),
        layers=_layer_shapes(file, values),
        hidden_act=optional_value(file, values, "hidden_act", str),
        rms_norm_eps=_checked_eps(file, "", optional_value(file, values, "rms_norm_eps", float)),
        wanted=wanted_matrices(file, values),
        model_parallel=size_value(file, values, "pretraining_model_parallel", None),
    )


def _quantization(file: Path, values: dict[str, Any]) -> Quantization | None:
    """``quantization_config``; None where there is none."""
    found = optional_value(file, values, "quantization_config", dict)
    if found is None:
        return None
    method = found.get("quant_method")
    if method != "bitnet":
        raise CheckpointError(
            f"{file}: quantization_config.quant_method: should be 'bitnet', not {brief(method)}; "
            "only BitNet checkpoints can be read"
        )
    mode = found.get("quantization_mode", "offline")
    if mode not in ("offline", "online"):
        raise CheckpointError(
            f"{file}: quantization_config.quantization_mode: should be 'offline' or 'online', "
            f"not {brief(mode)}; use the release with packed weights"
        )
    prefix = "quantization_config."
    linear_class = optional_value(file, found, "linear_class", str, prefix) or "bitlinear"
    if linear_class not in SCALE_CONVENTIONS:
        raise CheckpointError(
            f"{file}: quantization_config.linear_class: should be 'autobitlinear' "
            f"(scales multiply) or 'bitlinear' (scales divide), not {brief(linear_class)}"
        )
    inner = optional_value(file, found, "use_rms_norm", bool, prefix)
    eps = optional_value(file, found, "rms_norm_eps", float, prefix)
    return Quantization(
        SCALE_CONVENTIONS[linear_class],
        online=mode == "online",
        inner_norm_eps=_checked_eps(file, prefix, INNER_NORM_EPS if eps is None else eps)
        if inner
        else None,
    )


def _checked_eps(file: Path, prefix: str, eps: float | None) -> float | None:
    if eps is not None and not 0 < eps < 1:
        raise CheckpointError(
            f"{file}: {prefix}rms_norm_eps: should be above 0 and below 1, not {brief(eps)}"
        )
    return eps


def _layer_shapes(file: Path, values: dict[str, Any]) -> tuple[LayerShape, ...] | None:
    entries = optional_value(file, values, "layers", list)
    if entries is None:
        return None
    shapes = []
    for i, entry in enumerate(entries):
        where = f"layers[{i}]"
        if not isinstance(entry, dict):
            raise CheckpointError(f"{file}: {where}: should be an object, not {brief(entry)}")
        name = required_value(file, entry, "name", str, f"{where}.")
        sizes = [
            required_value(file, entry, key, int, f"{where}.")
            for key in ("out_features", "in_features")
        ]
        for key, size in zip(("out_features", "in_features"), sizes, strict=True):
            if size < 1:
                raise CheckpointError(f"{file}: {where}.{key}: should be at least 1, not {size}")
        shapes.append(LayerShape(name, *sizes))
    return tuple(shapes)
