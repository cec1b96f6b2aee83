"""The points that a sweep spans, numbered: shapes of cores, and on each the same grid of sizes."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple

from pydantic import ValidationError

from hwgen.base.errors import ConfigError
from hwgen.base.yamlfile import explain
from hwgen.space.axes import Axes, PipelineAxes
from hwgen.space.expressions import Expression, ExpressionError, Interval, parse
from hwgen.space.sweep_file import SweepConfig
from hwgen.spec.config import CoreConfig
from hwgen.spec.number import FORMATS

LUT_ONLY = ("mu", "codebook", "table", "storage", "builder")
FLOAT_ONLY = ("arith", "fixed_bits", "sum_format")
GRID = ("tables", "ports", "reuse", "cores")
"""Sizes that all shapes have in common, the last one fastest."""
MOST = 4096
"""Of each of them."""
DEPTHS = tuple(f"pipeline.{name}" for name in PipelineAxes.model_fields)
SHAPE_NUMBERS = ("mu", *DEPTHS, "max_in_features", "max_out_features")
WORDS = ("technology", "kind", "act", "arith", "sum_format", "table", "storage", "builder")
MAX_SHAPES = 200_000
MAX_POINTS = 10**10


class Shape(NamedTuple):
    """All cores like ``core``, which has one table, port and accumulator, in a technology."""

    technology: str
    core: CoreConfig

    @property
    def columns(self) -> dict[str, Any]:
        """What all points of the shape have in common, as results have it."""
        core, lut = self.core, self.core.kind == "lut"
        return {
            "technology": self.technology,
            "kind": core.kind,
            "act": core.act,
            "arith": core.arith or "",
            "fixed_bits": core.number.bits if core.arith == "fixed" else 0,
            "sum_format": core.sum_number.name if core.sum_number else "",
            "mu": core.mu,
            "table": core.table or ("half" if lut else ""),
            "storage": core.storage or ("wires" if lut else ""),
            "builder": core.builder or ("minimal" if lut else ""),
            **{f"pipeline_{name}": depth for name, depth in core.pipeline.model_dump().items()},
            "max_in_features": core.max_in_features,
            "max_out_features": core.max_out_features,
        }

    @property
    def names(self) -> dict[str, Any]:
        """The same, as expressions call it."""
        return {name.replace("pipeline_", "pipeline."): v for name, v in self.columns.items()}


class Space:
    """The points of a sweep. ``in_features``, ``out_features``: of the widest layers.

    Point ``shape × grid + place``: the place in the grid counts `GRID`, the last one fastest; axes
    that are expressions have one value there. ``dropped`` counts combinations that give no shape,
    by reason, of several reasons by the first, a whole grid each. ConfigError for axes that no
    combination could use, and for expressions that are wrong or could go wrong anywhere.
    """

    def __init__(self, config: SweepConfig, in_features: int, out_features: int) -> None:
        self.config = config
        self.widest = {"max_in_features": in_features, "max_out_features": out_features}
        self.faults: list[str] = []
        self.axes: dict[str, list[Any]] = {}
        self.linked: dict[str, Expression] = {}
        """Of the grid's axes, each after those that it takes."""
        self._shape_linked: dict[str, Expression] = {}
        for name, values in self._given().items():
            if isinstance(values, str):
                self._link(name, values)
            self.axes[name] = [None] if isinstance(values, str) else list(values)
        self.where = [self._parse("where", text, condition=True) for text in config.where]
        self.linked = self._in_order(self.linked)
        self._shape_linked = self._in_order(self._shape_linked)
        self._check_single_values()
        self._raise()
        self.sizes = tuple(len(self.axes[name]) for name in GRID)
        self.grid = math.prod(self.sizes)
        combinations = math.prod(map(len, self.axes.values()))
        self._check_size(combinations // self.grid, combinations)
        self.dropped: Counter[str] = Counter()
        self.shapes: list[Shape] = list(self._shapes())
        self._check_bounds()
        self._raise()

    @property
    def size(self) -> int:
        """Points of all shapes, those included that are not legal cores."""
        return len(self.shapes) * self.grid

    @property
    def combinations(self) -> int:
        """Of all axes."""
        return self.size + self.dropped.total()

    def point(self, number: int) -> tuple[Shape, CoreConfig, int]:
        """Shape, core and number of cores of a point; ValidationError unless it is legal."""
        place, rest = divmod(number, self.grid)
        shape = self.shapes[place]
        values = shape.names
        for name, size in zip(reversed(GRID), reversed(self.sizes), strict=True):
            rest, at = divmod(rest, size)
            values[name] = self.axes[name][at]
        for name, expression in self.linked.items():
            values[name] = expression.value(values)
        content = {name: values[name] for name in ("tables", "ports", "reuse")}
        core = CoreConfig.model_validate(shape.core.model_dump(exclude_unset=True) | content)
        return shape, core, values["cores"]

    def cores(self) -> Iterator[CoreConfig]:
        """Every legal core, whatever ``where`` says; for small spaces."""
        for number in range(self.size):
            try:
                yield self.point(number)[1]
            except ValidationError:
                continue

    def _given(self) -> dict[str, Any]:
        """Axes by dotted name, as the file gives them."""
        axes = self.config.core
        given: dict[str, Any] = {"technology": self.config.technology}
        for name in Axes.model_fields:
            if name == "pipeline":
                given |= {depth: getattr(axes.pipeline, depth.split(".")[1]) for depth in DEPTHS}
            else:
                given[name] = getattr(axes, name)
        given["fixed_bits"] = given["fixed_bits"] or (None,)
        given["sum_format"] = given["sum_format"] or (None,)
        for name, size in self.widest.items():
            given[name] = given[name] or (size,)
        return given | {"cores": self.config.system.cores}

    def _link(self, name: str, text: str) -> None:
        if name == "fixed_bits":
            self.faults.append(f"core.{name}: should be integers or null, not {text!r}")
            return
        numbers = SHAPE_NUMBERS if name in SHAPE_NUMBERS else (*SHAPE_NUMBERS, "fixed_bits", *GRID)
        links = self._shape_linked if name in SHAPE_NUMBERS else self.linked
        links[name] = self._parse(_field(name), text, numbers)

    def _parse(
        self, field: str, text: str, numbers: tuple[str, ...] = (), condition: bool = False
    ) -> Expression:
        try:
            names = numbers or (*SHAPE_NUMBERS, "fixed_bits", *GRID)
            return parse(text, names, WORDS if condition else (), condition=condition)
        except ExpressionError as error:
            self.faults.append(f"{field}: {error}, not {text!r}")
            return parse("1", ())  # Whatever it is: the faults are raised before it is used.

    def _in_order(self, links: dict[str, Expression]) -> dict[str, Expression]:
        graph = {name: link.names & links.keys() for name, link in links.items()}
        try:
            return {name: links[name] for name in TopologicalSorter(graph).static_order()}
        except CycleError as error:
            names = " → ".join(error.args[1])
            self.faults.append(f"core: axes should not follow from themselves: {names}")
            return {}

    def _raise(self) -> None:
        if self.faults:
            raise ConfigError("\n".join(self.faults))

    def _check_size(self, shapes: int, combinations: int) -> None:
        if combinations > MAX_POINTS or shapes > MAX_SHAPES:
            longest = sorted(self.axes.items(), key=lambda item: -len(item[1]))[:4]
            values = ", ".join(f"{name} {len(axis):,}" for name, axis in longest)
            raise ConfigError(
                f"core: should span at most {MAX_POINTS:,} combinations, and at most "
                f"{MAX_SHAPES:,} without {', '.join(GRID)}, not {combinations:,} and {shapes:,}; "
                f"give fewer values (longest axes: {values})"
            )

    def _shapes(self) -> Iterator[Shape]:
        """Every shape once, in the order of the axes.

        Axes that belong to kind lut do not multiply the other kinds, nor those of floating-point
        activations the integers: what differs only in them is one core, and the rest is dropped and
        counted.
        """
        seen = set()
        axes = {name: values for name, values in self.axes.items() if name not in GRID}
        for combination in itertools.product(*axes.values()):
            point = dict(zip(axes, combination, strict=True))
            if point["kind"] != "lut":
                for name in LUT_ONLY:
                    point.pop(name, None)
            for name, link in self._shape_linked.items():
                if name in point:
                    point[name] = link.value({"mu": 1, **point})
            if point["kind"] != "lut" and point["pipeline.build"]:
                self.dropped["pipeline.build: belongs to kind lut"] += self.grid
                continue
            if point["act"] in FORMATS:
                for name in FLOAT_ONLY:
                    del point[name]
            elif point["arith"] != "fixed":
                del point["fixed_bits"]
            key = tuple(point.items())
            if key in seen:
                reason = "same core: differs only in axes that do not concern it"
                self.dropped[reason] += self.grid
                continue
            seen.add(key)
            technology = point.pop("technology")
            base = {"tables": 1, "ports": 1, "reuse": 1}
            try:
                core = CoreConfig.model_validate(_nest(point) | base)
            except ValidationError as error:
                first = explain(CoreConfig, "", error.errors()[0]).splitlines()[0]
                self.dropped[_reason(first.removeprefix(": "))] += self.grid
                continue
            if short := [name for name, size in self.widest.items() if getattr(core, name) < size]:
                self.dropped[f"{short[0]}: smaller than the workload's widest layer"] += self.grid
                continue
            yield Shape(technology, core)

    def _check_single_values(self) -> None:
        """Faults of values that no combination could use: unknown words, out of range."""
        for name, values in self.axes.items():
            if name == "technology":
                continue
            for value in values:
                if value is None:
                    continue
                if name == "cores":
                    if not 1 <= value <= MOST:
                        self.faults.append(f"system.cores: should be 1 … {MOST}, not {value}")
                    continue
                base = {"kind": "lut", "tables": 1, "ports": 1}
                parts = name.split(".")
                content: Any = value if len(parts) == 1 else {parts[1]: value}
                try:
                    CoreConfig.model_validate(base | {parts[0]: content})
                except ValidationError as error:
                    fault = error.errors()[0]
                    if fault["loc"]:  # Combination rules have no place; they are for the sweep.
                        self.faults.append(explain(CoreConfig, "core", fault))

    def _check_bounds(self) -> None:
        """Faults of expressions that could divide by zero or grow too large at any point."""
        if not self.linked and not self.where:
            return
        ranges: dict[str, Interval] = {}
        for shape in self.shapes:
            for name, value in shape.names.items():
                if isinstance(value, int):
                    low, high = ranges.get(name, (value, value))
                    ranges[name] = min(low, value), max(high, value)
        for name in GRID:
            if name not in self.linked:
                ranges[name] = min(self.axes[name]), max(self.axes[name])
        fields = [(_field(name), link) for name, link in self.linked.items()]
        for field, expression in [*fields, *(("where", each) for each in self.where)]:
            try:
                found = expression.bounds(ranges)
                ranges[field.rpartition(".")[2]] = found
            except ExpressionError as error:
                self.faults.append(f"{field}: {error}, in {expression.text!r}")


def _field(name: str) -> str:
    return "system.cores" if name == "cores" else f"core.{name}"


def _nest(point: dict[str, Any]) -> dict[str, Any]:
    """A core's mapping from axes with dotted names."""
    core: dict[str, Any] = {}
    for name, value in point.items():
        head, _, tail = name.partition(".")
        if tail:
            core.setdefault(head, {})[tail] = value
        elif name not in GRID:
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
