"""Values of JSON files, checked as they are taken out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from sim.checkpoints.base import CheckpointError, brief, listed, missing_file

_Value = TypeVar("_Value")


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


class _Required:
    """No default."""


def size_value(file: Path, values: dict[str, Any], key: str, default: Any = _Required) -> Any:
    """An integer of at least 1; without a default the key must be there."""
    size = optional_value(file, values, key, int)
    if size is None and default is not _Required:
        return default
    if size is None:
        size = required_value(file, values, key, int)  # Raises.
    if size < 1:
        raise CheckpointError(f"{file}: {key}: should be at least 1, not {brief(size)}")
    return size


_KINDS: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
}


def required_value(
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
    if value is not None and (isinstance(value, bool) != (kind is bool) or not fits):
        raise CheckpointError(
            f"{file}: {prefix}{key}: should be {_KINDS[kind]}, not {brief(value)}"
        )
    return value
