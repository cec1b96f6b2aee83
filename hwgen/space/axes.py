"""Axes of a sweep: one value, a list, a range, or an expression of other axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, create_model

from hwgen.base.yamlfile import Strict, explain
from hwgen.spec.axes import AXES, Axis
from hwgen.spec.config import CoreConfig

MAX_VALUES = 200_000
"""Of one axis."""


class Range(Strict):
    """Integers ``from`` … ``to``, both included, by adding ``step`` or multiplying ``times``."""

    start: Annotated[int, Field(alias="from", description="first value")]
    to: Annotated[int, Field(description="last value, included")]
    step: Annotated[int | None, Field(ge=1, description="difference; default 1")] = None
    times: Annotated[int | None, Field(ge=2, description="ratio instead of a difference")] = None

    def values(self) -> tuple[int, ...]:
        if self.times is None and (self.to - self.start) // (self.step or 1) >= MAX_VALUES:
            raise ValueError(f"should span at most {MAX_VALUES} values")
        if self.to < self.start:
            raise ValueError(f"to should be at least from, {self.start}, not {self.to}")
        if self.times is None:
            return tuple(range(self.start, self.to + 1, self.step or 1))
        if self.step is not None:
            raise ValueError("should have step or times, not both")
        if self.start < 1:
            raise ValueError(f"from should be at least 1 with times, not {self.start}")
        values = [self.start]
        while values[-1] * self.times <= self.to:
            values.append(values[-1] * self.times)
        return tuple(values)


def _distinct(values: Sequence[Any], one: type, null: bool) -> tuple[Any, ...]:
    kinds = {one, type(None)} if null else {one}
    if not values or any(type(value) not in kinds for value in values):
        what = "integers" if one is int else "words"
        raise ValueError(f"should be a list of {what}{' or null' if null else ''}")
    if len(set(values)) < len(values):
        raise ValueError("should be different values")
    return tuple(values)


def _ints(value: Any, null: bool = False) -> tuple[int | None, ...] | str:
    """An axis of integers, as its values; with ``null`` its list may hold the core's default.

    The text of an expression stays as it is: `hwgen.space.space` knows the axes that it may name.
    """
    if type(value) is int:
        return (value,)
    if isinstance(value, list | tuple):
        return _distinct(value, int, null)
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        try:
            return Range.model_validate(value).values()
        except ValidationError as error:
            faults = "; ".join(explain(Range, "range", fault) for fault in error.errors())
            raise ValueError(faults.replace("range: start", "range: from")) from None
    raise ValueError(
        "should be an integer, a list of integers, {from, to, step or times}, or an expression"
    )


def words(value: Any, null: bool = False) -> tuple[str | None, ...]:
    """An axis of words, as its values; with ``null`` its list may hold the core's default."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list | tuple):
        return _distinct(value, str, null)
    raise ValueError("should be a word or a list of words")


Ints = Annotated[
    tuple[int, ...] | str,
    BeforeValidator(_ints, json_schema_input_type=int | list[int] | Range | str),
]
Words = Annotated[tuple[str, ...], BeforeValidator(words, json_schema_input_type=str | list[str])]
IntsOrNull = Annotated[
    tuple[int | None, ...] | str,
    BeforeValidator(
        partial(_ints, null=True), json_schema_input_type=int | list[int | None] | Range | str
    ),
]
WordsOrNull = Annotated[
    tuple[str | None, ...],
    BeforeValidator(partial(words, null=True), json_schema_input_type=str | list[str | None]),
]


def nullable(axis: Axis) -> bool:
    """Whether an axis has no fixed default, so that null in a list stands for the core's."""
    return axis.default is None and axis.swept is None and not _required(axis)


def _required(axis: Axis) -> bool:
    return len(axis.path) == 1 and CoreConfig.model_fields[axis.name].is_required()


def _field(axis: Axis) -> Any:
    """Type and default of an axis in a sweep file."""
    if nullable(axis):
        return (WordsOrNull if axis.type is str else IntsOrNull) | None, None
    values = Words if axis.type is str else Ints
    if axis.of_workload:
        return values | None, None
    default = axis.default if axis.swept is None else axis.swept
    return values, ... if _required(axis) else (default,)


def _group(name: str) -> Any:
    """Type and default of the axes of a group of settings."""
    fields = {axis.path[1]: _field(axis) for axis in AXES if axis.path[0] == name and axis.path[1:]}
    group = create_model(f"{name.capitalize()}Axes", __base__=Strict, **fields)
    group.__doc__ = f"Axes of the {name} settings."
    globals()[group.__name__] = group  # Where other processes find it that get a sweep.
    return group, group()


def _names(chosen: Callable[[Axis], bool]) -> str:
    *names, last = (f"``{axis.name}``" for axis in AXES if chosen(axis))
    return f"{', '.join(names)} and {last}"


def _axes() -> type[Strict]:
    """The model of all axes of a core, from their table."""
    fields = {}
    for axis in AXES:
        head = axis.path[0]
        if head not in fields:
            fields[head] = _field(axis) if len(axis.path) == 1 else _group(head)
    return create_model("Axes", __base__=Strict, __doc__=_AXES, **fields)


_AXES = f"""Axes of a core: one value, a list, a range, or an expression.

A range is {{from, to, step or times}}. An axis multiplies only the cores that have it. Null in a
list of {_names(nullable)} is the core's default.
{_names(lambda axis: axis.of_workload)} default to the largest of the workload's layers.
An expression, such as ``2 * tables * mu``, follows other axes instead of multiplying them.
"""
if TYPE_CHECKING:
    Axes = Strict
else:
    Axes = _axes()


class SystemAxes(Strict):
    """Equal cores side by side, each with its own weights; they share the activations."""

    cores: Ints = (1,)
    split: Annotated[
        Literal["out_features"], Field(description="each core computes a part of the outputs")
    ] = "out_features"
