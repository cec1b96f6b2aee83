"""Sweep files: the question that an exploration answers, and the cores that it spans."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from hwgen.config import (
    ConfigError,
    CoreConfig,
    Strict,
    explain,
    load,
)
from hwgen.number import FORMATS

LUT_ONLY = ("mu", "codebook", "table", "storage", "builder")
FLOAT_ONLY = ("arith", "fixed_bits", "sum_format")
MAX_POINTS = 200_000
Objective = Literal[
    "area",
    "cycles_per_token",
    "weight_bits_per_token",
    "act_bits_per_token",
    "sum_bits_per_token",
]


class Range(Strict):
    """Integers ``from`` … ``to``, both included, by adding ``step`` or multiplying ``times``."""

    start: Annotated[int, Field(alias="from", description="first value")]
    to: Annotated[int, Field(description="last value, included")]
    step: Annotated[int | None, Field(ge=1, description="difference; default 1")] = None
    times: Annotated[int | None, Field(ge=2, description="ratio instead of a difference")] = None

    def values(self) -> tuple[int, ...]:
        if self.times is None and (self.to - self.start) // (self.step or 1) >= MAX_POINTS:
            raise ValueError(f"should span at most {MAX_POINTS} values")
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


def _distinct(values: list[Any], one: type, null: bool) -> tuple[Any, ...]:
    kinds = {one, type(None)} if null else {one}
    if not values or any(type(value) not in kinds for value in values):
        what = "integers" if one is int else "words"
        raise ValueError(f"should be a list of {what}{' or null' if null else ''}")
    if len(set(values)) < len(values):
        raise ValueError("should be different values")
    return tuple(values)


def _ints(value: Any, null: bool = False) -> tuple[int | None, ...]:
    """An axis of integers, as its values; with ``null`` its list may hold the core's default."""
    if type(value) is int:
        return (value,)
    if isinstance(value, list):
        return _distinct(value, int, null)
    if isinstance(value, dict):
        try:
            return Range.model_validate(value).values()
        except ValidationError as error:
            faults = "; ".join(explain(Range, "range", fault) for fault in error.errors())
            raise ValueError(faults.replace("range: start", "range: from")) from None
    raise ValueError("should be an integer, a list of integers or {from, to, step or times}")


def _words(value: Any, null: bool = False) -> tuple[str | None, ...]:
    """An axis of words, as its values; with ``null`` its list may hold the core's default."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list):
        return _distinct(value, str, null)
    raise ValueError("should be a word or a list of words")


Ints = Annotated[
    tuple[int, ...], BeforeValidator(_ints, json_schema_input_type=int | list[int] | Range)
]
Words = Annotated[tuple[str, ...], BeforeValidator(_words, json_schema_input_type=str | list[str])]
IntsOrNull = Annotated[
    tuple[int | None, ...],
    BeforeValidator(
        partial(_ints, null=True), json_schema_input_type=int | list[int | None] | Range
    ),
]
WordsOrNull = Annotated[
    tuple[str | None, ...],
    BeforeValidator(partial(_words, null=True), json_schema_input_type=str | list[str | None]),
]


class PipelineAxes(Strict):
    """Axes of the pipeline settings."""

    build: Ints = (0,)
    fetch: Ints = (0,)
    reduce: Ints = (0,)
    fp_add: Ints = (0,)
    fp_mul: Ints = (0,)


class Axes(Strict):
    """Axes of a core: one value, a list, or a range {from, to, step or times} of integers.

    ``arith``, ``fixed_bits`` and ``sum_format`` concern floating-point activations only, and
    ``fixed_bits`` only arith: fixed. In lists of the latter two null is the core's default.
    ``max_in_features`` and ``max_out_features`` default to the largest of the workload's layers.
    """

    kind: Words
    act: Words = ("int8",)
    arith: Words = ("fixed",)
    fixed_bits: IntsOrNull | None = None
    sum_format: WordsOrNull | None = None
    mu: Ints = (1,)
    tables: Ints
    ports: Ints
    reuse: Ints = (1,)
    table: Words = ("half",)
    storage: Words = ("wires",)
    builder: Words = ("minimal",)
    pipeline: PipelineAxes = PipelineAxes()
    max_in_features: Ints | None = None
    max_out_features: Ints | None = None


class LayerShape(Strict):
    """A linear layer and how often a token passes one of its shape."""

    name: Annotated[str, Field(description="for reports")]
    in_features: Annotated[int, Field(ge=1, le=1 << 20, description="N")]
    out_features: Annotated[int, Field(ge=1, le=1 << 20, description="M")]
    count: Annotated[int, Field(ge=1, description="layers of this shape in the model")] = 1


class Workload(Strict):
    """What the core is to run."""

    name: Annotated[str, Field(description="for reports")]
    tokens: Annotated[int, Field(ge=1, le=65535, description="tokens of one run; 1: decode")] = 1
    layers: Annotated[list[LayerShape], Field(min_length=1)]


class SweepConfig(Strict):
    """One exploration: axes of the core, a workload, a technology, objectives to minimise."""

    format: Literal["hwgen.sweep/1"] = "hwgen.sweep/1"
    name: Annotated[str | None, Field(description="results folder; default: the file's stem")] = (
        None
    )
    technology: Annotated[str, Field(description="unit costs to use")] = "generic"
    model: Annotated[
        Literal["hwgen", "paper"],
        Field(description="of the area; paper: that of arXiv 2604.25183, for comparison"),
    ] = "hwgen"
    workload: Workload
    core: Axes
    objectives: Annotated[
        tuple[Objective, ...],
        BeforeValidator(_words, json_schema_input_type=list[Objective]),
        Field(min_length=2, description="quantities to minimise"),
    ] = ("area", "cycles_per_token")


def load_sweep(path: Path) -> SweepConfig:
    """Read a sweep file; its ``name`` defaults to the file's stem."""
    config = load(SweepConfig, path)
    if config.name and not re.fullmatch(r"\w[\w.-]*", config.name):
        raise ConfigError(
            f"{path}: name: should be letters, digits, '_', '-' and '.', not {config.name!r}"
        )
    return config if config.name else config.model_copy(update={"name": path.stem})


class Space:
    """The cores that a sweep spans.

    ``dropped`` counts combinations left out by reason, of several reasons by the first.
    """

    def __init__(self, config: SweepConfig) -> None:
        self.config = config
        axes = config.core
        layers = config.workload.layers
        self.axes: dict[str, list[Any]] = {
            name: list(getattr(axes, name) or (None,))
            for name in Axes.model_fields
            if name not in ("pipeline", "max_in_features", "max_out_features")
        }
        for name in PipelineAxes.model_fields:
            self.axes[f"pipeline.{name}"] = list(getattr(axes.pipeline, name))
        for name in ("in_features", "out_features"):
            largest = max(getattr(layer, name) for layer in layers)
            self.axes[f"max_{name}"] = list(getattr(axes, f"max_{name}") or (largest,))
        self.dropped: Counter[str] = Counter()
        self.size = math.prod(len(values) for values in self.axes.values())
        if self.size > MAX_POINTS:
            raise ConfigError(
                f"core: should span at most {MAX_POINTS} combinations, not {self.size}; "
                "give fewer values"
            )
        self._check_single_values()

    def cores(self) -> Iterator[CoreConfig]:
        """Every legal core once, in the order of the axes.

        Axes that belong to kind lut do not multiply the other kinds, nor those of floating-point
        activations the integers: what differs only in them is one core, and the rest is dropped and
        counted.
        """
        seen = set()
        for combination in itertools.product(*self.axes.values()):
            point = dict(zip(self.axes, combination, strict=True))
            if point["kind"] != "lut":
                for name in LUT_ONLY:
                    point.pop(name, None)
                if point["pipeline.build"]:
                    self.dropped["pipeline.build: belongs to kind lut"] += 1
                    continue
            if point["act"] in FORMATS:
                for name in FLOAT_ONLY:
                    del point[name]
            elif point["arith"] != "fixed":
                del point["fixed_bits"]
            key = tuple(point.items())
            if key in seen:
                self.dropped["same core: differs only in axes that do not concern it"] += 1
                continue
            seen.add(key)
            try:
                yield CoreConfig.model_validate(_nest(point))
            except ValidationError as error:
                first = explain(CoreConfig, "", error.errors()[0]).splitlines()[0]
                self.dropped[_reason(first.removeprefix(": "))] += 1

    def _check_single_values(self) -> None:
        """ConfigError for values that no combination could use: unknown words, out of range."""
        faults = []
        for name, values in self.axes.items():
            for value in values:
                base = {"kind": "lut", "tables": 1, "ports": 1}
                parts = name.split(".")
                content: Any = value if len(parts) == 1 else {parts[1]: value}
                if value is None:
                    continue
                try:
                    CoreConfig.model_validate(base | {parts[0]: content})
                except ValidationError as error:
                    fault = error.errors()[0]
                    if fault["loc"]:  # Combination rules have no place; they are for the sweep.
                        faults.append(explain(CoreConfig, "core", fault))
        if faults:
            raise ConfigError("\n".join(faults))


def _nest(point: dict[str, Any]) -> dict[str, Any]:
    """A core's mapping from axes with dotted names."""
    core: dict[str, Any] = {}
    for name, value in point.items():
        head, _, tail = name.partition(".")
        if tail:
            core.setdefault(head, {})[tail] = value
        else:
            core[name] = value
    return core


def _reason(message: str) -> str:
    """A combination rule without the values that broke it, so that reasons can be counted."""
    head = message.split(", not ")[0]
    return head.split(" = ")[0] if " = " in head else head


def describe(core: CoreConfig) -> str:
    """A core in a few words: what tells it from others of a sweep."""
    parts = [core.kind, core.act]
    if core.arith is not None:
        parts.append(core.arith + (f" {core.fixed_bits} bits" if core.fixed_bits else ""))
    if core.sum_format is not None:
        parts.append(f"to {core.sum_format}")
    if core.kind == "lut":
        parts.append(f"µ={core.mu}")
    parts.append(f"L={core.tables} K={core.ports} D={core.reuse}")
    if core.kind == "lut":
        parts += [v for v in (core.table, core.storage, core.builder) if v not in _USUAL]
    pipeline = core.pipeline
    parts += [f"{name}={depth}" for name, depth in pipeline.model_dump().items() if depth]
    return " ".join(parts)


_USUAL = (None, "half", "wires", "minimal")
