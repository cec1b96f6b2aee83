"""Ternary checkpoints in the Hugging Face BitNet packing, read from safetensors files.

Layout (transformers/integrations/bitnet.py): a layer of (M, N) weights is a uint8 tensor
``<layer>.weight`` of R = ceil(M / 4) packed rows of N bytes. Bits [2i+1 : 2i] of packed row r are
row i * R + r of the layer, as code w + 1; code 3 means nothing. ``<layer>.weight_scale`` holds one
number; ``linear_class`` of config.json says whether it multiplies or divides the integer product.

A folder holds ``config.json`` and ``model.safetensors``. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError, safe_open

CONFIG_FILE = "config.json"
MODEL_FILE = "model.safetensors"
CODES_PER_BYTE = 4

ScaleConvention = Literal["multiply", "divide"]
SCALE_CONVENTIONS: dict[str, ScaleConvention] = {"autobitlinear": "multiply", "bitlinear": "divide"}
SCALE_DTYPES = ("BF16", "F16", "F32", "F64")

_Value = TypeVar("_Value")


class CheckpointError(Exception):
    """A checkpoint that cannot be read: one line with the file, the place and the remedy."""


@dataclass(frozen=True)
class LayerInfo:
    """A ternary linear layer of a checkpoint, its data still unread.

    file: the safetensors file that holds it.
    name: prefix of its tensors, ``<name>.weight`` and ``<name>.weight_scale``.
    out_features, in_features: M and N, at least 1.
    """

    file: Path
    name: str
    out_features: int
    in_features: int
    scale_convention: ScaleConvention


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
        if fault := _scale_fault(self.scale, self.scale_convention):
            raise ValueError(f"{self.name}: scale: {fault}")

    @property
    def out_features(self) -> int:
        """M, the number of outputs."""
        return self.weights.shape[0]

    @property
    def in_features(self) -> int:
        """N, the length of a dot product."""
        return self.weights.shape[1]

    @property
    def gain(self) -> float:
        """Factor of the integer product, whatever the convention."""
        return self.scale if self.scale_convention == "multiply" else 1 / self.scale


@dataclass(frozen=True)
class LayerShape:
    """One entry of ``layers`` in config.json: the true shape of a layer whose rows are padded."""

    name: str
    out_features: int
    in_features: int


@dataclass(frozen=True)
class CheckpointConfig:
    """What is read from config.json.

    layers: in order of evaluation, or None where the file does not list them.
    hidden_act, rms_norm_eps: None where the file does not give them.
    """

    file: Path
    scale_convention: ScaleConvention
    layers: tuple[LayerShape, ...] | None
    hidden_act: str | None
    rms_norm_eps: float | None


def read_config(folder: Path) -> CheckpointConfig:
    """Read config.json of a checkpoint folder.

    ``quantization_config`` must say quant_method ``bitnet``, with packed weights
    (quantization_mode ``offline``, the default) and linear_class ``autobitlinear`` (scales
    multiply) or ``bitlinear`` (scales divide, the default). CheckpointError for anything else.
    """
    file = folder / CONFIG_FILE
    try:
        values = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise _missing_file(file, "a folder with config.json and model.safetensors") from None
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError as error:  # Also of bytes that are no text.
        raise CheckpointError(f"{file}: should be JSON: {error}; download it again") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{file}: should be a JSON object, not {_brief(values)}")
    quantization = _value(file, values, "quantization_config", dict)
    method = quantization.get("quant_method")
    if method != "bitnet":
        raise CheckpointError(
            f"{file}: quantization_config.quant_method: should be 'bitnet', not {_brief(method)}; "
            "only BitNet checkpoints can be read"
        )
    mode = quantization.get("quantization_mode", "offline")
    if mode != "offline":
        raise CheckpointError(
            f"{file}: quantization_config.quantization_mode: should be 'offline', "
            f"not {_brief(mode)}; use the release with packed weights"
        )
    linear_class = _optional(file, quantization, "linear_class", str, "quantization_config.")
    linear_class = "bitlinear" if linear_class is None else linear_class
    if linear_class not in SCALE_CONVENTIONS:
        raise CheckpointError(
            f"{file}: quantization_config.linear_class: should be 'autobitlinear' "
            f"(scales multiply) or 'bitlinear' (scales divide), not {_brief(linear_class)}"
        )
    eps = _optional(file, values, "rms_norm_eps", float)
    if eps is not None and not 0 < eps < 1:
        raise CheckpointError(
            f"{file}: rms_norm_eps: should be above 0 and below 1, not {_brief(eps)}"
        )
    return CheckpointConfig(
        file=file,
        scale_convention=SCALE_CONVENTIONS[linear_class],
        layers=_layer_shapes(file, values),
        hidden_act=_optional(file, values, "hidden_act", str),
        rms_norm_eps=eps,
    )


def list_layers(folder: Path) -> tuple[LayerInfo, ...]:
    """The ternary linear layers of a checkpoint folder, without reading their weights.

    ``layers`` of config.json gives their order and true shapes. Without it, every uint8 tensor
    named ``….weight`` is a layer of four rows per packed row, in natural order of the names.
    CheckpointError if a tensor is missing or does not fit.
    """
    config = read_config(folder)
    file = folder / MODEL_FILE
    with _opened(file) as tensors:
        shapes = config.layers
        if shapes is None:
            shapes = tuple(_found_shapes(tensors))
        if not shapes:
            raise CheckpointError(
                f"{file}: should hold packed layers, uint8 tensors named '<layer>.weight', "
                f"not {len(tensors.keys())} other tensors; use the release with packed weights"
            )
        for shape in shapes:
            packed = [-(-shape.out_features // CODES_PER_BYTE), shape.in_features]
            _check_tensor(file, tensors, f"{shape.name}.weight", ("U8",), (packed,))
            _check_tensor(file, tensors, f"{shape.name}.weight_scale", SCALE_DTYPES, ([1], []))
            if f"{shape.name}.bias" in set(tensors.keys()):
                raise CheckpointError(
                    f"{file}: {shape.name}.bias: a layer should have no bias, which BitNet b1.58 "
                    "leaves out and this reader does not apply; remove it or use another model"
                )
    return tuple(
        LayerInfo(file, shape.name, shape.out_features, shape.in_features, config.scale_convention)
        for shape in shapes
    )


def read_layer(info: LayerInfo) -> TernaryLayer:
    """Read and unpack one layer of :func:`list_layers`.

    CheckpointError if a code is illegal, all weights are zero, or the scale is not a positive
    number that can be applied.
    """
    weight, scale_name = f"{info.name}.weight", f"{info.name}.weight_scale"
    packed = read_tensor(info.file, weight, "U8")
    scale = float(_read_tensor(info.file, scale_name, *SCALE_DTYPES).item())
    try:
        weights = unpack_rows(packed, info.out_features)
    except ValueError as error:
        raise CheckpointError(f"{info.file}: {weight}: {error}; download it again") from None
    if not weights.any():
        raise CheckpointError(
            f"{info.file}: {weight}: should have weights other than 0, not {weights.size} zeros; "
            "check how the checkpoint was packed"
        )
    if fault := _scale_fault(scale, info.scale_convention):
        raise CheckpointError(
            f"{info.file}: {scale_name}: {fault}; check how the checkpoint was packed"
        )
    weights.setflags(write=False)
    return TernaryLayer(info.name, weights, scale, info.scale_convention)


def read_tensor(file: Path, name: str, *dtypes: str) -> np.ndarray:
    """One tensor of a safetensors file; BF16 comes back as float32, every bit kept.

    dtypes: the legal types in the spelling of safetensors: "U8", "BF16", ….
    CheckpointError if the file or the tensor is missing or of another type, or a value is NaN or
    infinite.
    """
    values = _read_tensor(file, name, *dtypes)
    if (place := first_strange(values)) is not None:
        raise CheckpointError(
            f"{file}: {name}: should be finite, not {values[place]} at {list(place)}; "
            "check how the checkpoint was made"
        )
    return values


def first_strange(values: NDArray[Any]) -> tuple[int, ...] | None:
    """Index of the first value that is NaN or infinite; None where all are finite."""
    finite = np.isfinite(values)
    return None if finite.all() else tuple(np.argwhere(~finite)[0].tolist())


def _read_tensor(file: Path, name: str, *dtypes: str) -> np.ndarray:
    """As `read_tensor`, whatever the values."""
    with _opened(file) as tensors:
        _check_tensor(file, tensors, name, dtypes)
        if tensors.get_slice(name).get_dtype() == "BF16":  # Unknown to numpy.
            return _read_bfloat16(file, name)
        return tensors.get_tensor(name)


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
    return quarters[0] | quarters[1] << 2 | quarters[2] << 4 | quarters[3] << 6


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
    codes = np.concatenate([packed >> 2 * i & 3 for i in range(CODES_PER_BYTE)])[:out_features]
    if codes.max() == 3:
        row, column = np.argwhere(codes == 3)[0].tolist()
        raise ValueError(f"codes should be 0, 1 or 2, not 3 at row {row}, column {column}")
    weights = codes.astype(np.int8)
    weights -= 1
    return weights


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """A safetensors file, its header checked against its length."""
    try:
        opened = safe_open(file, framework="np")
    except FileNotFoundError:
        raise _missing_file(file, "a safetensors file") from None
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read: {error}") from None
    except SafetensorError as error:
        reason = str(error).removeprefix("Error while deserializing header: ")
        raise CheckpointError(
            f"{file}: should be a whole safetensors file: {reason}; download it again"
        ) from None
    with opened as tensors:
        yield tensors


def _check_tensor(
    file: Path,
    tensors: Any,
    name: str,
    dtypes: tuple[str, ...],
    shapes: tuple[list[int], ...] | None = None,
) -> None:
    """CheckpointError unless the tensor exists with one of the dtypes and shapes."""
    if name not in tensors.keys():  # noqa: SIM118 (not a dictionary)
        raise CheckpointError(
            f"{file}: {name}: no such tensor; the file has {_listed(tensors.keys())}"
        )
    found = tensors.get_slice(name)
    if found.get_dtype() not in dtypes:
        raise CheckpointError(
            f"{file}: {name}: should be {' or '.join(dtypes)}, not {found.get_dtype()}; "
            "use the release with packed weights"
        )
    if shapes is not None and found.get_shape() not in shapes:
        raise CheckpointError(
            f"{file}: {name}: should have shape {' or '.join(map(str, shapes))}, "
            f"not {found.get_shape()}; config.json and the file do not belong together"
        )


def _found_shapes(tensors: Any) -> Iterator[LayerShape]:
    """The packed layers of a file by the types of its tensors."""
    for tensor in sorted(tensors.keys(), key=_natural):
        found = tensors.get_slice(tensor)
        name, _, kind = tensor.rpartition(".")
        if name and kind == "weight" and found.get_dtype() == "U8" and len(found.get_shape()) == 2:
            rows, in_features = found.get_shape()
            yield LayerShape(name, CODES_PER_BYTE * rows, in_features)


def _natural(name: str) -> list[str | int]:
    """Sort key that puts layers.2 before layers.10."""
    parts = re.split(r"([0-9]+)", name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)]


def _read_bfloat16(file: Path, name: str) -> NDArray[np.float32]:
    """A BF16 tensor of a file that was found whole: bfloat16 is the upper half of float32."""
    with file.open("rb") as data:
        header_length = int.from_bytes(data.read(8), "little")
        entry = json.loads(data.read(header_length))[name]
        start, stop = entry["data_offsets"]
        data.seek(8 + header_length + start)
        halves = np.frombuffer(data.read(stop - start), "<u2")
    return (halves.astype(np.uint32) << 16).view(np.float32).reshape(entry["shape"])


def _layer_shapes(file: Path, values: dict[str, Any]) -> tuple[LayerShape, ...] | None:
    entries = _optional(file, values, "layers", list)
    if entries is None:
        return None
    shapes = []
    for i, entry in enumerate(entries):
        where = f"layers[{i}]"
        if not isinstance(entry, dict):
            raise CheckpointError(f"{file}: {where}: should be an object, not {_brief(entry)}")
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
    value = _optional(file, values, key, kind, prefix)
    if value is None:
        raise CheckpointError(
            f"{file}: {prefix}{key}: should be {_KINDS[kind]}, not missing; "
            f"the file has {_listed(values)}"
        )
    return value


def _optional(
    file: Path, values: dict[str, Any], key: str, kind: type[_Value], prefix: str = ""
) -> _Value | None:
    """The value of a key, or None where it is missing or null."""
    value = values.get(key)
    fits = isinstance(value, (int, float) if kind is float else kind)
    if value is not None and (isinstance(value, bool) or not fits):
        raise CheckpointError(
            f"{file}: {prefix}{key}: should be {_KINDS[kind]}, not {_brief(value)}"
        )
    return value


def _scale_fault(scale: float, convention: ScaleConvention) -> str:
    """What is wrong with the scale of a layer; nothing where it can be applied."""
    if not 0 < scale < math.inf:
        return f"should be finite and above 0, not {scale}"
    if convention == "divide" and 1 / scale == math.inf:
        return f"should be large enough to divide by, not {scale}"
    return ""


def _missing_file(file: Path, wanted: str) -> CheckpointError:
    return CheckpointError(f"{file}: no such file; give {wanted}")


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _listed(names: Iterable[str]) -> str:
    """At most four names, for an error message."""
    ordered = sorted(names, key=_natural)
    more = f", … ({len(ordered)} in all)" if len(ordered) > 4 else ""
    return ", ".join(map(repr, ordered[:4])) + more if ordered else "nothing"
