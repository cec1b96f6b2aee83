"""Safetensors files, one or sharded: checked by the safetensors library, mapped into memory."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, replace
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
_SHARD = re.compile(r"(.+)-([0-9]{5})-of-([0-9]{5})\.safetensors")
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

    @property
    def type_name(self) -> str:
        """Name of the type, as people read it."""
        return self.dtype

    def rows(self, first: int, count: int) -> Stored:
        """Some rows of a matrix, or elements of a vector, as a tensor of its own."""
        size = math.prod(self.shape[1:]) * self.itemsize
        shape = (count, *self.shape[1:])
        return replace(self, shape=shape, offset=self.offset + first * size)

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

    def real(self, mapped: np.ndarray) -> NDArray[np.floating]:
        """Some of its elements as float32, F64 as float64: every value is kept.

        BF16 is the upper half of float32.
        """
        if self.dtype == "BF16":
            return (mapped.astype(np.uint32) << 16).view(np.float32)
        return mapped.astype(np.float64 if self.dtype == "F64" else np.float32)

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


def open_path(path: Path, partial: bool = False) -> Tensors:
    """The tensors of a checkpoint, all of its shards included.

    path: a folder, or a safetensors file; one shard stands for all of them.
    partial: shards that are not there are passed over.
    """
    if not path.is_dir():
        return _open_shard_set(path, partial)
    index, single = path / INDEX_FILE, path / MODEL_FILE
    if index.exists():
        if single.exists():
            raise CheckpointError(
                f"{path}: should have either {MODEL_FILE} or {INDEX_FILE}, not both; "
                "remove what is old"
            )
        return _open_indexed(index, partial)
    if single.exists():
        return open_file(single)
    files = sorted(path.glob("*.safetensors"))
    sets = {_set_name(file) for file in files}
    if len(sets) == 1:
        return _open_shard_set(files[0], partial)
    if files:
        raise CheckpointError(
            f"{path}: should have one model, not {listed(file.name for file in files)}; "
            "give the file itself"
        )
    if others := _other_weights(path):
        raise CheckpointError(
            f"{single}: no such file; the folder has {listed(others)}; {_other_remedy(others)}"
        )
    raise missing_file(single, "a folder with safetensors files")


def _open_indexed(index: Path, partial: bool) -> Tensors:
    """The tensors of the shards that an index lists."""
    weight_map = _weight_map(index)
    missing = sorted({name for name in weight_map.values() if not (index.parent / name).exists()})
    if missing and not partial:
        there = [file.name for file in sorted(index.parent.glob("*.safetensors"))]
        stale = there and not set(there) & set(weight_map.values())
        remedy = (
            "the index is stale: remove it to read the files that are there"
            if stale
            else "download them, or give --partial to go on with what is there"
        )
        raise CheckpointError(
            f"{index}: weight_map: should list files that are there, not {listed(missing)}; "
            f"the folder has {listed(there)}; {remedy}"
        )
    shards = {
        name: open_file(index.parent / name)
        for name in sorted(set(weight_map.values()) - set(missing))
    }
    entries = {}
    for name, shard in weight_map.items():
        if shard not in shards:
            continue
        if name not in shards[shard].entries:
            raise CheckpointError(
                f"{index}: weight_map: should say where each tensor is, not {name!r} in {shard}, "
                "which lacks it; the index is stale: remove it to read the files by their names"
            )
        entries[name] = shards[shard].entries[name]
    for shard, tensors in shards.items():
        if strays := set(tensors.entries) - set(weight_map):
            raise CheckpointError(
                f"{index}: weight_map: should list every tensor of {shard}, not leave out "
                f"{listed(strays)}; the index is stale: remove it to read the files by their names"
            )
    return Tensors(index, entries)


def _open_shard_set(file: Path, partial: bool) -> Tensors:
    """The tensors of a file, and of the other shards if it is one of several."""
    shard = _SHARD.fullmatch(file.name)
    if shard is None:
        return open_file(file)
    stem, _, count = shard.groups()
    names = [f"{stem}-{i:05d}-of-{count}.safetensors" for i in range(1, int(count) + 1)]
    missing = [name for name in names if not (file.parent / name).exists()]
    if missing and not partial:
        raise CheckpointError(
            f"{file}: should have its other shards beside it, not lack {listed(missing)}; "
            "download them, or give --partial to go on with what is there"
        )
    entries: dict[str, Stored] = {}
    for name in names:
        if name in missing:
            continue
        for tensor, stored in open_file(file.parent / name).entries.items():
            if tensor in entries:
                raise CheckpointError(
                    f"{stored.where}: should be in one shard, not in {entries[tensor].file.name} "
                    "too; shards of different models lie here"
                )
            entries[tensor] = stored
    return Tensors(file, entries)


def _set_name(file: Path) -> str:
    """The same for all shards of a model."""
    shard = _SHARD.fullmatch(file.name)
    return file.name if shard is None else f"{shard[1]}-of-{shard[3]}"


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
    return [file.name for file in folder.iterdir() if file.suffix in kinds]


def _other_remedy(others: list[str]) -> str:
    if any(name.endswith(".gguf") for name in others):
        return "give the .gguf file itself"
    if any(name.endswith((".bin", ".pt", ".pth", ".pkl", ".ckpt")) for name in others):
        return (
            "pickled weights could run any program when loaded and are never read: use the release "
            "with safetensors, or convert with safetensors.torch.save_file"
        )
    return "use the release with safetensors"
