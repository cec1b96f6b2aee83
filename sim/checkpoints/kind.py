"""What a file is, by its first bytes; nothing in it is unpickled or executed."""

from __future__ import annotations

import zipfile
from pathlib import Path

from sim.checkpoints.base import CheckpointError, missing_file

ACCEPTED = (
    "a folder with config.json and safetensors files, a .safetensors file, or a .gguf file with "
    "TQ1_0, TQ2_0, Q2_0 or I2_S tensors"
)
HEAD_BYTES = 4096

_MAGIC = {
    b"GGUF": "GGUF",
    b"FUGG": "GGUF for big-endian machines (gguf-py's gguf_convert_endian converts it)",
    b"\x89HDF\r\n\x1a\n": "HDF5",
    b"\x93NUMPY": "a numpy array",
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstandard",
    b"7z\xbc\xaf": "7-Zip",
    b"\x7fELF": "a program",
    b"lmgg": "GGML, older than GGUF",
    b"tjgg": "GGJT, older than GGUF",
    b"fmgg": "GGMF, older than GGUF",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself (git lfs pull gets it)",
}


def identify(file: Path) -> str:
    """ "GGUF", "safetensors", or what else the file seems to be, in a few words.

    CheckpointError if it cannot be read.
    """
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except FileNotFoundError:
        raise missing_file(file, ACCEPTED) from None
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read: {error.strerror}") from None
    if not head:
        return "an empty file"
    for magic, kind in _MAGIC.items():
        if head.startswith(magic):
            return kind
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(file)
    if head[0] == 0x80 and len(head) > 1 and 2 <= head[1] <= 5:
        return "a pickle (.bin, .pt, .pkl), which could run any program when loaded"
    if 2 <= int.from_bytes(head[:8], "little") <= size - 8 and head[8:9] == b"{":
        return "safetensors"
    if file.suffix == ".onnx" or _like_onnx(head):
        return "ONNX"
    return _text_kind(head)


def refuse(file: Path, kind: str) -> CheckpointError:
    """The error for a file of no use here."""
    return CheckpointError(f"{file}: should be {ACCEPTED}, not {kind}; convert it or give another")


def _zip_kind(file: Path) -> str:
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError):
        return "a damaged zip archive"
    if any(name.endswith("data.pkl") for name in names):
        return "a PyTorch file (.bin, .pt: a zip with a pickle, which could run any program)"
    if names and all(name.endswith(".npy") for name in names):
        return "numpy arrays (.npz)"
    return "a zip archive"


def _like_onnx(head: bytes) -> bool:
    """A protobuf message that starts with a small ir_version and then a text or the graph."""
    return len(head) > 2 and head[0] == 0x08 and 1 <= head[1] < 32 and head[2] in (0x12, 0x1A, 0x3A)


def _text_kind(head: bytes) -> str:
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # Else only the last character was cut off.
            return "a file of unknown kind"
        text = head[: error.start].decode()
    if any(ord(letter) < 32 and letter not in "\t\n\r\f" for letter in text):
        return "a file of unknown kind"
    start = text.lstrip()[:9].lower()
    if start.startswith(("<!doctype", "<html")):
        return "a web page (HTML)"
    return "JSON text" if start[:1] in ("{", "[") else "plain text"
