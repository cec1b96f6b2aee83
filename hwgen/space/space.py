"""The points that a sweep spans, numbered: shapes of cores, and on each the same grid of sizes."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from operator import attrgetter
from typing import Any, NamedTuple

from pydantic import ValidationError

from hwgen.base.errors import ConfigError
from hwgen.base.yamlfile import explain
from hwgen.space.axes import nullable
from hwgen.space.expressions import Expression, ExpressionError, Interval, parse
from hwgen.space.sweep_file import SweepConfig
from hwgen.spec.axes import AXES, SIZES, Axis, nested
from hwgen.spec.config import CoreConfig
from hwgen.spec.rows import row_of, values_of
from hwgen.spec.rules import SIZE_RANGE, in_size_range, reason_of

TECHNOLOGY = Axis("technology", str)
CORES = Axis("cores", int, size=True)
"""Axes of a sweep beside those of a core."""
EVERY = (TECHNOLOGY, *AXES, CORES)
GRID = tuple(axis.name for axis in EVERY if axis.size)
"""Sizes that all shapes have in common, the last one fastest."""
SHAPE_AXES = tuple(axis for axis in AXES if not axis.size)
SHAPE_NUMBERS = tuple(a.name for a in SHAPE_AXES if a.type is int and not nullable(a))
"""Those that may be expressions, which follow from each other only."""
GIVEN_NUMBERS = tuple(a.name for a in SHAPE_AXES if a.type is int and nullable(a))
SELECTIVE = tuple(axis for axis in AXES if axis.conditions and not axis.zero_is_none)
"""Those that a sweep leaves out where cores do not have them."""
NUMBERS = (*SHAPE_NUMBERS, *GIVEN_NUMBERS, *GRID)
WORDS = tuple(axis.name for axis in EVERY if axis.type is str)
MAX_SHAPES = 200_000
MAX_POINTS = 10**10


class CoreShape(NamedTuple):
    """All cores like ``core``, which has one table, port and accumulator, in a technology."""

    technology: str
    core: CoreConfig

    @property
    def names(self) -> dict[str, Any]:
        """What all points of the shape have in common, as expressions call it."""
        values = values_of(self.core)
        return {"technology": self.technology} | {a.name: values[a.name] for a in SHAPE_AXES}

    @property
    def columns(self) -> dict[str, Any]:
        """The same, as results have it."""
        row = row_of(self.core)
        return {"technology": self.technology} | {a.column: row[a.column] for a in SHAPE_AXES}


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
        self.shapes: list[CoreShape] = list(self._shapes())
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

    def point(self, number: int) -> tuple[CoreShape, CoreConfig, int]:
        """Shape, core and number of cores of a point; ValueError unless it is legal."""
        place, rest = divmod(number, self.grid)
        shape = self.shapes[place]
        values = shape.names
        for name, size in zip(reversed(GRID), reversed(self.sizes), strict=True):
            rest, at = divmod(rest, size)
            values[name] = self.axes[name][at]
        for name, expression in self.linked.items():
            values[name] = expression.value(values)
        core = shape.core.with_sizes(**{name: values[name] for name in SIZES})
        return shape, core, values["cores"]

    def cores(self) -> Iterator[CoreConfig]:
        """Every legal core, whatever ``where`` says; for small spaces."""
        for number in range(self.size):
            try:
                yield self.point(number)[1]
            except ValueError:
                continue

    def _given(self) -> dict[str, Any]:
        """Axes by dotted name, as the file gives them."""
        given: dict[str, Any] = {"technology": self.config.technology}
        for axis in AXES:
            values = attrgetter(axis.name)(self.config.core)
            given[axis.name] = (self.widest.get(axis.name),) if values is None else values
        return given | {"cores": self.config.system.cores}

    def _link(self, name: str, text: str) -> None:
        if name in GIVEN_NUMBERS:
            self.faults.append(f"core.{name}: should be integers or null, not {text!r}")
            return
        numbers = SHAPE_NUMBERS if name in SHAPE_NUMBERS else NUMBERS
        links = self._shape_linked if name in SHAPE_NUMBERS else self.linked
        links[name] = self._parse(_field(name), text, numbers)

    def _parse(
        self, field: str, text: str, numbers: tuple[str, ...] = NUMBERS, condition: bool = False
    ) -> Expression:
        try:
            return parse(text, numbers, WORDS if condition else (), condition=condition)
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

    def _shapes(self) -> Iterator[CoreShape]:
        """Every shape once, in the order of the axes.

        An axis does not multiply the cores that do not have it: what differs only in it is one
        core, and the rest is dropped and counted.
        """
        seen = set()
        axes = {name: values for name, values in self.axes.items() if name not in GRID}
        for combination in itertools.product(*axes.values()):
            point: dict[str, Any] = dict(zip(axes, combination, strict=True))
            lacking = {a.name: a.elsewhere for a in SELECTIVE if a.broken(point) is not None}
            for name in lacking:
                del point[name]
            for name, link in self._shape_linked.items():
                if name in point:
                    point[name] = link.value({**lacking, **point})
            key = tuple(point.items())
            if key in seen:
                reason = "same core: differs only in axes that do not concern it"
                self.dropped[reason] += self.grid
                continue
            seen.add(key)
            technology = point.pop("technology")
            try:
                core = CoreConfig.model_validate(nested(point | dict.fromkeys(SIZES, 1)))
            except ValidationError as error:
                first = explain(CoreConfig, "", error.errors()[0]).splitlines()[0]
                self.dropped[reason_of(first.removeprefix(": "))] += self.grid
                continue
            if short := [name for name, size in self.widest.items() if getattr(core, name) < size]:
                self.dropped[f"{short[0]}: smaller than the workload's widest layer"] += self.grid
                continue
            yield CoreShape(technology, core)

    def _check_single_values(self) -> None:
        """Faults of values that no combination could use: unknown words, out of range."""
        for name, values in self.axes.items():
            if name == "technology":
                continue
            for value in values:
                if value is None:
                    continue
                if name == "cores":
                    if not in_size_range(value):
                        self.faults.append(f"system.cores: {SIZE_RANGE}, not {value}")
                    continue
                least = {"kind": "lut", "tables": 1, "ports": 1, name: value}
                try:
                    CoreConfig.model_validate(nested(least))
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
                ranges[field.rpartition(".")[2]] = expression.bounds(ranges)
            except ExpressionError as error:
                self.faults.append(f"{field}: {error}, in {expression.text!r}")


def _field(name: str) -> str:
    return "system.cores" if name == "cores" else f"core.{name}"
