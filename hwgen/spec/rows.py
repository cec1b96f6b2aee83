"""Cores as rows of results, in a few words, and by name: each by the table of axes alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwgen.spec.axes import AXES, BY_COLUMN, Axis, Value, in_effect, nested, worth_saying
from hwgen.spec.config import CoreConfig


def values_of(core: CoreConfig) -> dict[str, Value]:
    """Every axis by its dotted name, as rows and expressions have it; blank where a core has no
    value of it."""
    values = in_effect(core.axis_values())
    return {axis.name: values.get(axis.name, axis.blank) for axis in AXES}


def row_of(core: CoreConfig) -> dict[str, Value]:
    """A core's columns in a row of results."""
    values = values_of(core)
    return {axis.column: values[axis.name] for axis in AXES}


def core_of(row: Mapping[Any, Any]) -> CoreConfig:
    """The core of a row, which may have more columns and lack those of axes at their defaults."""
    return CoreConfig.model_validate(nested(said_in(row)))


def said_in(row: Mapping[Any, Any]) -> dict[str, Value]:
    """What the file of a row's core says, by dotted name."""
    values = {axis.name: _plain(row[column]) for column, axis in BY_COLUMN.items() if column in row}
    return worth_saying(values)


def text_of(core: CoreConfig) -> str:
    """A core in a few words: what tells it from others of a sweep."""
    values = values_of(core)
    return " ".join(axis.text.format(values[axis.name]) for axis in _shown(values) if axis.text)


def name_of(core: CoreConfig) -> str:
    """A name for a core of a sweep; cores that differ otherwise may share it."""
    values = values_of(core)
    shown = _shown(values)
    tagged = [axis for axis in AXES if axis.tag and (axis.always or axis in shown)]
    return "_".join(axis.tag.format(values[axis.name]) for axis in tagged)


def _shown(values: dict[str, Value]) -> list[Axis]:
    """The axes that a core has and whose value does not go without saying."""
    return [
        axis
        for axis in AXES
        if values[axis.name] != "" and axis.broken(values) is None
        if axis.always or values[axis.name] != axis.usual(values)
    ]


def _plain(value: Any) -> Value | None:
    """A cell of a row, whatever array it came from; None if it is missing."""
    if value is None or value != value or isinstance(value, str):
        return value if isinstance(value, str) else None
    return int(value)
