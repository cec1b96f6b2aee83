"""The header of a GGUF file: metadata, and where each tensor is.

A reader of our own, since ``gguf.GGUFReader`` (0.19) refuses whole files for one tensor of a type
that it does not know (I2_S is 36), takes files that were cut off, and builds objects for every
token of a vocabulary, which takes seconds. Names and block sizes of types still come from ``gguf``.

Layout (ggml/docs/gguf.md, versions 2 and 3, little-endian): ``GGUF``, u32 version, u64 tensors, u64
values; each value: key, u32 type, value; each tensor: name, u32 dimensions, u64 sizes (innermost
first), u32 type, u64 offset from the data; the data start at the next multiple of the alignment. A
text is a u64 length and UTF-8. Long arrays, which are the vocabulary, are skipped; where they start
is kept.
"""

from __future__ import annotations

import math
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from sim.checkpoints.architecture import MAX_LAYERS, Wanted, decoder_layers
from sim.checkpoints.base import CheckpointError, brief
from sim.checkpoints.families import FAMILIES, family_of_gguf
from sim.checkpoints.storage import Stored

I2_S, TL2, Q2_0, PQ2_0 = 36, 39, 42, 142
FOREIGN_TYPES = {
    I2_S: "I2_S",
    37: "I8_S",
    38: "TL1",
    134: "IQ1_BN",
    135: "IQ2_BN",
    Q2_0: "Q2_0",
    PQ2_0: "PQ2_0",
    143: "PTQ1_0",
}
"""Types that the library does not know. TL2 of BitNet's fork is 39, as ggml's MXFP4."""
STORED_TYPES = {0: "F32", 1: "F16", 24: "I8", 28: "F64", 30: "BF16"}
"""Types of plain numbers, by their names in safetensors."""
SCALARS = dict(zip((*range(8), 10, 11, 12), "BbHhIif?Qqd", strict=True))
"""Letters of :mod:`struct` for the types of numbers."""
TEXT, ARRAY = 8, 9
ALIGNMENT = 32
MAX_DIMENSIONS = 4

SHORT_ARRAY = MAX_LAYERS
"""Elements of an array of numbers that is kept: one for each decoder layer."""
Scalar = int | float | bool | str
Value = Scalar | list[Scalar] | None


@dataclass(frozen=True)
class GgufTensor:
    """A tensor. shape: outermost first.

    offset, end: the bytes of the file from its first one up to the next tensor or the file's end.
    """

    file: Path
    name: str
    shape: tuple[int, ...]
    type_id: int
    offset: int
    end: int

    @property
    def where(self) -> str:
        """Beginning of an error message."""
        return f"{self.file}: {self.name}, byte {self.offset}"

    @property
    def type_name(self) -> str:
        """Name of the tensor type in ggml, in BitNet or in another fork."""
        return type_name(self.type_id)

    def stored(self) -> Stored | None:
        """The tensor as one of plain numbers; None if it has another type."""
        if self.type_id not in STORED_TYPES:
            return None
        dtype = STORED_TYPES[self.type_id]
        return Stored(self.file, self.name, dtype, self.shape, self.offset)

    def check_room(self, size: int) -> None:
        """CheckpointError unless ``size`` bytes fit."""
        if size > self.end - self.offset:
            raise CheckpointError(
                f"{self.where}: should have {size} bytes of {self.type_name}, not "
                f"{max(0, self.end - self.offset)}; the file is cut off or damaged: download it "
                "again"
            )


@dataclass(frozen=True)
class GgufHeader:
    """Metadata (long arrays as None) and tensors of a file. arrays: byte of each array's first
    element, its element type and length."""

    file: Path
    values: dict[str, Value]
    tensors: tuple[GgufTensor, ...]
    arrays: dict[str, tuple[int, int, int]]

    def wanted(self) -> Wanted | str:
        """Which matrices the model has; else, why that is not known."""
        name = self.values.get("general.architecture")
        family = family_of_gguf(name) if isinstance(name, str) else None
        if family is None:
            known = ", ".join(arch for one in FAMILIES for arch in one.gguf)
            shown = "missing" if name is None else brief(name)
            return f"{self.file}: general.architecture: should be one of {known}, not {shown}"
        if self.values.get(f"{name}.expert_count"):
            raise CheckpointError(
                f"{self.file}: {name}.expert_count: should be missing or 0, not "
                f"{brief(self.values[f'{name}.expert_count'])}; use a model without experts"
            )
        keys = {
            "ffn": f"{name}.feed_forward_length",
            "heads": f"{name}.attention.head_count",
            "kv_heads": f"{name}.attention.head_count_kv",
            "head_dim": f"{name}.attention.key_length",
        }
        layers = self._size(f"{name}.block_count")
        if layers > MAX_LAYERS:
            raise CheckpointError(
                f"{self.file}: {name}.block_count: should be at most {MAX_LAYERS}, not {layers}"
            )

        def of_layer(size: str, layer: int) -> int | None:
            if size in ("kv_heads", "head_dim") and keys[size] not in self.values:
                return None
            return self._size(keys[size], layer)

        hidden = self._size(f"{name}.embedding_length")
        return Wanted(
            self.file, "the metadata", family, decoder_layers(family, hidden, layers, of_layer)
        )

    def _size(self, key: str, layer: int | None = None) -> int:
        """A size, of one decoder layer where the file has one for each."""
        value = self.values.get(key)
        if isinstance(value, list) and layer is not None and layer < len(value):
            value, key = value[layer], f"{key}[{layer}]"
        if type(value) is int and value >= 1:
            return value
        shown = "missing" if value is None else brief(value)
        raise CheckpointError(
            f"{self.file}: {key}: should be an integer of at least 1, not {shown}; "
            "convert the model again"
        )

    def texts(self, key: str) -> list[str]:
        """The texts of an array; CheckpointError if it is none."""
        return self._array(key, (TEXT,), "texts")

    def numbers(self, key: str) -> list[Scalar]:
        """The numbers of an array; CheckpointError if it is none."""
        return self._array(key, tuple(SCALARS), "numbers")

    def _array(self, key: str, kinds: tuple[int, ...], what: str) -> list[Any]:
        place, kind, count = self.arrays.get(key, (0, -1, 0))
        if kind not in kinds:
            shown = "missing" if kind < 0 else "texts" if kind == TEXT else "numbers"
            raise CheckpointError(
                f"{self.file}: {key}: should be {what}, not {shown}; convert the model again"
            )
        with self.file.open("rb") as stream:
            data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        with data:
            if kind == TEXT:
                parser = _Parser(self.file, data, place)
                return [parser.text() for _ in range(count)]
            return list(struct.unpack_from(f"<{count}{SCALARS[kind]}", data, place))


def type_name(type_id: int) -> str:
    """The name of a tensor type."""
    if type_id == TL2:
        return "MXFP4 (in BitNet's llama.cpp TL2)"
    try:
        return FOREIGN_TYPES.get(type_id) or GGMLQuantizationType(type_id).name
    except ValueError:
        return f"type {type_id}"


def read_header(file: Path) -> GgufHeader:
    """Read the header; CheckpointError with the byte where it is wrong."""
    try:
        with file.open("rb") as stream:
            data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # ValueError: an empty file.
        raise CheckpointError(f"{file}: cannot be read: {error}") from None
    with data:
        return _Parser(file, data).header()


class _Parser:
    """A place in the header that moves on."""

    def __init__(self, file: Path, data: mmap.mmap, place: int = 0) -> None:
        self.file, self.data, self.size, self.place = file, data, len(data), place
        self.arrays: dict[str, tuple[int, int, int]] = {}

    def fault(self, message: str, place: int | None = None) -> CheckpointError:
        at = self.place if place is None else place
        return CheckpointError(f"{self.file}: header, byte {at}: {message}; download it again")

    def skip(self, size: int) -> int:
        """Move on; where it was."""
        before = self.place
        if size > self.size - before:
            raise self.fault(
                f"should have {brief(size)} more bytes, not {self.size - before}: the file is cut "
                "off or damaged"
            )
        self.place += size
        return before

    def take(self, code: str) -> Any:
        """One number, by its letter for :mod:`struct`."""
        form = f"<{code}"
        return struct.unpack_from(form, self.data, self.skip(struct.calcsize(form)))[0]

    def text(self) -> str:
        start = self.skip(self.take("Q"))
        try:
            return self.data[start : self.place].decode()
        except UnicodeDecodeError as error:
            raise self.fault("should be UTF-8", start + error.start) from None

    def header(self) -> GgufHeader:
        if self.data[:4] != b"GGUF":
            raise self.fault("should be 'GGUF'")
        self.skip(4)
        version = self.take("I")
        if version not in (2, 3):
            if version and not version & 0xFFFF:
                raise CheckpointError(
                    f"{self.file}: header, byte 4: should be little-endian, not big-endian; "
                    "convert it with gguf-py's gguf_convert_endian"
                )
            raise CheckpointError(
                f"{self.file}: header, byte 4: version should be 2 or 3, not {version}; "
                "convert the model again with a current llama.cpp"
            )
        tensor_count, value_count = self.take("Q"), self.take("Q")
        values: dict[str, Value] = {}
        for _ in range(value_count):
            key = self.text()
            if key in values:
                raise self.fault(f"key {brief(key)} is there twice")
            values[key] = self.value(key, self.take("I"))
        infos = [self.tensor() for _ in range(tensor_count)]
        return GgufHeader(self.file, values, self.placed(infos, values), self.arrays)

    def value(self, key: str, kind: int) -> Value:
        if kind == TEXT:
            return self.text()
        if kind in SCALARS:
            number: Scalar = self.take(SCALARS[kind])
            return number
        if kind != ARRAY:
            raise self.fault(f"type of a value should be 0 … 12, not {kind}", self.place - 4)
        kind, count = self.take("I"), self.take("Q")
        self.arrays[key] = (self.place, kind, count)
        if kind in SCALARS:
            start = self.skip(count * struct.calcsize(f"<{SCALARS[kind]}"))
            if count <= SHORT_ARRAY:
                return list(struct.unpack_from(f"<{count}{SCALARS[kind]}", self.data, start))
        elif kind == TEXT:
            for _ in range(count):
                self.skip(self.take("Q"))
        else:
            raise self.fault(f"type in an array should be a number's or a text's, not {kind}")
        return None

    def tensor(self) -> tuple[str, tuple[int, ...], int, int, int]:
        """Name, shape, type, offset from the data, and where in the header that is said."""
        start = self.place
        name, dimensions = self.text(), self.take("I")
        if dimensions > MAX_DIMENSIONS:
            raise self.fault(
                f"{brief(name)} should have at most {MAX_DIMENSIONS} dimensions, not {dimensions}"
            )
        sizes = [self.take("Q") for _ in range(dimensions)]
        return name, tuple(reversed(sizes)), self.take("I"), self.take("Q"), start

    def placed(
        self, infos: list[tuple[str, tuple[int, ...], int, int, int]], values: dict[str, Any]
    ) -> tuple[GgufTensor, ...]:
        """The tensors with their places in the file, which are checked."""
        alignment = values.get("general.alignment", ALIGNMENT)
        if type(alignment) is not int or alignment < 1 or alignment & (alignment - 1):
            raise self.fault(f"general.alignment should be a power of 2, not {brief(alignment)}")
        data = -(-self.place // alignment) * alignment
        starts = sorted({offset for *_, offset, _ in infos})
        following = dict(zip(starts, [*starts[1:], self.size - data], strict=False))
        tensors: dict[str, GgufTensor] = {}
        for name, shape, type_id, offset, place in infos:
            if name in tensors:
                raise self.fault(f"tensor {brief(name)} is there twice", place)
            if offset % alignment:
                raise self.fault(
                    f"{brief(name)} should have an offset divisible by {alignment}, not {offset}",
                    place,
                )
            end = min(data + following[offset], self.size)
            tensor = GgufTensor(self.file, name, shape, type_id, data + offset, end)
            _check_size(tensor)
            tensors[name] = tensor
        return tuple(tensors.values())


def _check_size(tensor: GgufTensor) -> None:
    """CheckpointError if the data of a tensor of a type of ggml do not fit."""
    foreign = tensor.type_id in FOREIGN_TYPES or tensor.type_name.startswith("type ")
    if foreign or tensor.type_id == TL2:
        return  # Of a size that its own reader knows, if there is one.
    block, size = GGML_QUANT_SIZES[GGMLQuantizationType(tensor.type_id)]
    tensor.check_room(-(-math.prod(tensor.shape) // block) * size)
