"""Safetensors files, one or sharded: checked by the safetensors library, mapped into memory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from sim.checkpoints.base import (
    CheckpointError,
    brief,
    first_strange,
    listed,
    missing_file,
)
from sim.checkpoints.kind import identify, refuse

MODEL_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
_DTYPES = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "F16": "<f2",
    "BF16": "<u2",  # Bits: numpy has no bfloat16.
    "F32": "<f4",
    "F64": "<f8",
}


@dataclass(frozen=True)
class Stored:
    """A tensor of a safetensors file. offset: its first byte in the file."""

    file: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int

    @property
    def where(self) -> str:
        """Beginning of an error message."""
        return f"{self.file}: {self.name}, byte {self.offset}"

    def mapped(self) -> np.ndarray:
        """The tensor as a read-only map of the file; of BF16 its bits as uint16."""
        dtype = _DTYPES[self.dtype]
        if 0 in self.shape:
            return np.zeros(self.shape, dtype)
        return np.memmap(self.file, dtype, "r", self.offset, self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return np.dtype(_DTYPES[self.dtype]).itemsize

    def values(self) -> np.ndarray:
        """The tensor, copied; BF16 as float32."""
        mapped = self.mapped()
        return self.real(mapped) if self.dtype == "BF16" else np.array(mapped)

    def real(self, mapped: np.ndarray) -> NDArray[np.float32]:
        """Some of its elements as float32; BF16, the upper half of float32, keeps every bit."""
        if self.dtype == "BF16":
            return (mapped.astype(np.uint32) << 16).view(np.float32)
        return mapped.astype(np.float32)

    def require_matrix(self, dtypes: tuple[str, ...]) -> Stored:
        """Itself; CheckpointError unless it is a matrix, not empty, of one of the dtypes."""
        if self.dtype not in dtypes or len(self.shape) != 2 or 0 in self.shape:
            raise CheckpointError(
                f"{self.where}: should be a matrix of {' or '.join(dtypes)}, not {self.dtype} of "
                f"shape {list(self.shape)}; use the release with unpacked weights"
            )
        return self

    def require(
        self, dtypes: tuple[str, ...], shapes: tuple[list[int], ...] | None = None
    ) -> Stored:
        """Itself; CheckpointError unless it has one of the dtypes and shapes."""
        if self.dtype not in dtypes:
            raise CheckpointError(
                f"{self.where}: should be {' or '.join(dtypes)}, not {self.dtype}; "
                "use the release with packed weights"
            )
        if shapes is not None and list(self.shape) not in shapes:
            raise CheckpointError(
                f"{self.where}: should have shape {' or '.join(map(str, shapes))}, "
                f"not {list(self.shape)}; config.json and the file do not belong together"
            )
        return self


@dataclass(frozen=True)
class Tensors:
    """All tensors of a checkpoint. file: the safetensors file, or the index of its shards."""

    file: Path
    entries: dict[str, Stored]

    def find(self, name: str) -> Stored:
        """The tensor of that name; CheckpointError if there is none."""
        if name not in self.entries:
            raise CheckpointError(
                f"{self.file}: {name}: no such tensor; the file has {listed(self.entries)}"
            )
        return self.entries[name]


def open_file(file: Path) -> Tensors:
    """The tensors of one safetensors file, its header checked against its length."""
    try:
        with safe_open(file, framework="np"):
            pass
    except FileNotFoundError:
        raise missing_file(file, "a safetensors file") from None
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read: {error}") from None
    except SafetensorError as error:
        kind = identify(file)
        if kind not in ("safetensors", "a file of unknown kind", "an empty file"):
            raise refuse(file, kind) from None
        reason = str(error).removeprefix("Error while deserializing header: ")
        raise CheckpointError(
            f"{file}: should be a whole safetensors file: {reason}; download it again"
        ) from None
    with file.open("rb") as stream:
        start = 8 + int.from_bytes(stream.read(8), "little")
        header: dict[str, Any] = json.loads(stream.read(start - 8))
    header.pop("__metadata__", None)
    return Tensors(
        file,
        {
            name: Stored(
                file,
                name,
                entry["dtype"],
                tuple(entry["shape"]),
                start + entry["data_offsets"][0],
            )
            for name, entry in header.items()
        },
    )


def open_folder(folder: Path) -> Tensors:
    """The tensors of model.safetensors, or of the shards that its index lists."""
    index, single = folder / INDEX_FILE, folder / MODEL_FILE
    if not index.exists():
        if not single.exists() and (others := _other_weights(folder)):
            raise CheckpointError(
                f"{single}: no such file; the folder has {listed(others)}; give the .gguf file "
                "itself, or use the release with safetensors"
            )
        return open_file(single)
    if single.exists():
        raise CheckpointError(
            f"{folder}: should have either {MODEL_FILE} or {INDEX_FILE}, not both; "
            "remove what is old"
        )
    shards: dict[str, Tensors] = {}
    entries = {}
    for name, shard in _weight_map(index).items():
        if shard not in shards:
            shards[shard] = open_file(folder / shard)
        entries[name] = shards[shard].find(name)
    for shard, tensors in shards.items():
        if strays := set(tensors.entries) - set(entries):
            raise CheckpointError(
                f"{index}: weight_map: should list every tensor of {shard}, not leave out "
                f"{listed(strays)}; index and shards do not belong together"
            )
    return Tensors(index, entries)


def read_tensor(file: Path, name: str, *dtypes: str) -> np.ndarray:
    """One tensor of a safetensors file; BF16 comes back as float32, every bit kept.

    dtypes: the legal types in the spelling of safetensors: "U8", "BF16", ….
    CheckpointError if the file or the tensor is missing or of another type, or a value is NaN or
    infinite.
    """
    stored = open_file(file).find(name).require(dtypes)
    values = stored.values()
    if (place := first_strange(values)) is not None:
        raise CheckpointError(
            f"{stored.where}: should be finite, not {values[place]} at {list(place)}; "
            "check how the checkpoint was made"
        )
    return values


def _weight_map(index: Path) -> dict[str, str]:
    """Tensor name → name of its shard, a file of the same folder."""
    try:
        content = json.loads(index.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{index}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{index}: should be JSON: {error}; download it again") from None
    weight_map = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(
            f"{index}: weight_map: should be an object of tensors and their files, "
            f"not {brief(weight_map)}; download it again"
        )
    for name, shard in weight_map.items():
        if not isinstance(shard, str) or Path(shard).name != shard or "\0" in shard:
            raise CheckpointError(
                f"{index}: weight_map.{name}: should be the name of a file in the same folder, "
                f"not {brief(shard)}; download it again"
            )
    return weight_map


def _other_weights(folder: Path) -> list[str]:
    """Files that look like weights in formats that are not read from a folder."""
    kinds = (".bin", ".pt", ".pth", ".pkl", ".ckpt", ".onnx", ".h5", ".msgpack", ".gguf")
    if not folder.is_dir():
        return []
    return [file.name for file in folder.iterdir() if file.suffix in kinds]
