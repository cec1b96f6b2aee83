"""config.json of a checkpoint folder: how weights are packed, how scales apply, which shapes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sim.checkpoints.architecture import Architecture
from sim.checkpoints.base import CheckpointError, ScaleConvention, brief, listed, missing_file

CONFIG_FILE = "config.json"
SCALE_CONVENTIONS: dict[str, ScaleConvention] = {"autobitlinear": "multiply", "bitlinear": "divide"}

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class LayerShape:
    """One entry of ``layers`` in config.json: the true shape of a layer whose rows are padded."""

    name: str
    out_features: int
    in_features: int


@dataclass(frozen=True)
class CheckpointConfig:
    """What is read from config.json.

    scale_convention: None where the file has no ``quantization_config``.
    layers: in order of evaluation, or None where the file does not list them.
    hidden_act, rms_norm_eps: None where the file does not give them.
    architecture: None where the file has no ``hidden_size``.
    model_parallel: shards the model was trained in (``pretraining_model_parallel``), or None.
    """

    file: Path
    scale_convention: ScaleConvention | None
    layers: tuple[LayerShape, ...] | None
    hidden_act: str | None
    rms_norm_eps: float | None
    architecture: Architecture | None
    model_parallel: int | None


def read_config(folder: Path) -> CheckpointConfig:
    """Read config.json of a folder with packed weights.

    ``quantization_config`` must say quant_method ``bitnet``, with packed weights
    (quantization_mode ``offline``, the default) and linear_class ``autobitlinear`` (scales
    multiply) or ``bitlinear`` (scales divide, the default). CheckpointError for anything else.
    """
    config = read_any_config(folder)
    if config.scale_convention is None:
        _value(config.file, read_object(config.file), "quantization_config", dict)  # Raises.
    return config


def read_any_config(folder: Path) -> CheckpointConfig:
    """Read config.json of a folder, which may have no ``quantization_config``."""
    file = folder / CONFIG_FILE
    values = read_object(file)
    eps = optional_value(file, values, "rms_norm_eps", float)
    if eps is not None and not 0 < eps < 1:
        raise CheckpointError(
            f"{file}: rms_norm_eps: should be above 0 and below 1, not {brief(eps)}"
        )
    return CheckpointConfig(
        file=file,
        scale_convention=_scale_convention(file, values),
        layers=_layer_shapes(file, values),
        hidden_act=optional_value(file, values, "hidden_act", str),
        rms_norm_eps=eps,
        architecture=_architecture(file, values),
        model_parallel=size_value(file, values, "pretraining_model_parallel", None),
    )


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object that a file holds; CheckpointError for anything else."""
    try:
        values = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise missing_file(file, "a folder with config.json and model.safetensors") from None
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # Also of bytes that are no text.
        raise CheckpointError(f"{file}: should be JSON: {error}; download it again") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{file}: should be a JSON object, not {brief(values)}")
    return values


def _scale_convention(file: Path, values: dict[str, Any]) -> ScaleConvention | None:
    """How scales apply by ``quantization_config``; None where there is none."""
    quantization = optional_value(file, values, "quantization_config", dict)
    if quantization is None:
        return None
    method = quantization.get("quant_method")
    if method != "bitnet":
        raise CheckpointError(
            f"{file}: quantization_config.quant_method: should be 'bitnet', not {brief(method)}; "
            "only BitNet checkpoints can be read"
        )
    mode = quantization.get("quantization_mode", "offline")
    if mode != "offline":
        raise CheckpointError(
            f"{file}: quantization_config.quantization_mode: should be 'offline', "
            f"not {brief(mode)}; use the release with packed weights"
        )
    linear_class = optional_value(file, quantization, "linear_class", str, "quantization_config.")
    linear_class = "bitlinear" if linear_class is None else linear_class
    if linear_class not in SCALE_CONVENTIONS:
        raise CheckpointError(
            f"{file}: quantization_config.linear_class: should be 'autobitlinear' "
            f"(scales multiply) or 'bitlinear' (scales divide), not {brief(linear_class)}"
        )
    return SCALE_CONVENTIONS[linear_class]


def _architecture(file: Path, values: dict[str, Any]) -> Architecture | None:
    """The sizes, with the defaults of LlamaConfig: a key-value head for each head, and so on."""
    hidden = size_value(file, values, "hidden_size", None)
    if hidden is None:
        return None
    heads = size_value(file, values, "num_attention_heads")
    return Architecture(
        hidden=hidden,
        ffn=size_value(file, values, "intermediate_size"),
        heads=heads,
        kv_heads=size_value(file, values, "num_key_value_heads", heads),
        head_dim=size_value(file, values, "head_dim", max(1, hidden // heads)),
        layers=size_value(file, values, "num_hidden_layers"),
    )


class _Required:
    """No default."""


def size_value(file: Path, values: dict[str, Any], key: str, default: Any = _Required) -> Any:
    """An integer of at least 1; without a default the key must be there."""
    size = optional_value(file, values, key, int)
    if size is None and default is not _Required:
        return default
    if size is None:
        size = _value(file, values, key, int)  # Raises.
    if size < 1:
        raise CheckpointError(f"{file}: {key}: should be at least 1, not {brief(size)}")
    return size


def _layer_shapes(file: Path, values: dict[str, Any]) -> tuple[LayerShape, ...] | None:
    entries = optional_value(file, values, "layers", list)
    if entries is None:
        return None
    shapes = []
    for i, entry in enumerate(entries):
        where = f"layers[{i}]"
        if not isinstance(entry, dict):
            raise CheckpointError(f"{file}: {where}: should be an object, not {brief(entry)}")
        name = _value(file, entry, "name", str, f"{where}.")
        sizes = [
            _value(file, entry, key, int, f"{where}.") for key in ("out_features", "in_features")
        ]
        for key, size in zip(("out_features", "in_features"), sizes, strict=True):
            if size < 1:
                raise CheckpointError(f"{file}: {where}.{key}: should be at least 1, not {size}")
        shapes.append(LayerShape(name, *sizes))
    return tuple(shapes)


_KINDS = {dict: "an object", list: "a list", str: "a string", int: "an integer", float: "a number"}


def _value(
    file: Path, values: dict[str, Any], key: str, kind: type[_Value], prefix: str = ""
) -> _Value:
    """The value of a key that must be there."""
    value = optional_value(file, values, key, kind, prefix)
    if value is None:
        raise CheckpointError(
            f"{file}: {prefix}{key}: should be {_KINDS[kind]}, not missing; "
            f"the file has {listed(values)}"
        )
    return value


def optional_value(
    file: Path, values: dict[str, Any], key: str, kind: type[_Value], prefix: str = ""
) -> _Value | None:
    """The value of a key, or None where it is missing or null."""
    value = values.get(key)
    fits = isinstance(value, (int, float) if kind is float else kind)
    if value is not None and (isinstance(value, bool) or not fits):
        raise CheckpointError(
            f"{file}: {prefix}{key}: should be {_KINDS[kind]}, not {brief(value)}"
        )
    return value
