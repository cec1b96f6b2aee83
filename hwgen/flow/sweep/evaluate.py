"""Blocks of points: evaluated, filtered, and held against the front.

A block is a box of one shape's grid, so that its points follow each other in number.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from costmodel.cells.area import unit_area
from costmodel.cells.paper import PaperModelError, paper_unit_area
from costmodel.cells.predictor import Prices
from costmodel.cells.predictor import Shape as PricedShape
from costmodel.explore.pareto import Front
from hwgen.flow.sweep.points import Points
from hwgen.flow.sweep.prepare import Question
from hwgen.space.space import GRID, MOST, Shape
from hwgen.spec.config import MAX_TABLE_PORTS
from hwgen.spec.structure import structure

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Box = tuple[slice, ...]
BLOCK = 1 << 17
"""Points of a block, at most, so that its arrays are far below memory."""
DENSE = 0.3
"""Share of a box above which arithmetic on the whole box is faster than on what is left of it."""


def boxes(sizes: tuple[int, ...], limit: int = BLOCK) -> list[Box]:
    """A grid cut into boxes of at most ``limit`` points that follow each other in its order."""
    steps, rest = [], limit
    for size in reversed(sizes):
        steps.append(max(1, min(size, rest)))
        rest = rest // size if size <= rest else 0
    cuts = [
        [slice(start, min(start + step, size)) for start in range(0, size, step)]
        for size, step in zip(sizes, reversed(steps), strict=True)
    ]
    return list(product(*cuts))


@dataclass
class Tally:
    """What became of some points, by number."""

    points: int = 0
    """legal ones that ``where`` lets pass"""
    feasible: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """combinations that are not points, by reason, of several by the first"""
    excluded: Counter[str] = field(default_factory=Counter)
    """points that do not keep to a constraint, by constraint; some do not keep to several"""
    nearest: tuple[float, int] | None = None
    """of points of which none is feasible the one that misses least: by what share, and number"""

    def add(self, other: Tally) -> None:
        """Another's points, too."""
        self.points += other.points
        self.feasible += other.feasible
        self.dropped += other.dropped
        self.excluded += other.excluded
        if other.nearest is not None:
            self.nearest = min(self.nearest or other.nearest, other.nearest)


class Kept(NamedTuple):
    """Points of a block that stay, in order of number."""

    shape: int
    numbers: Ints
    feasible: Bools
    columns: dict[str, Any]


class Limit(NamedTuple):
    """A constraint: a quantity between two numbers, both included."""

    name: str
    quantity: str
    low: float
    high: float

    @property
    def text(self) -> str:
        """As people write it."""
        ends = ((self.low, "at least"), (self.high, "at most"))
        found = [f"{words} {end:,.6g}" for end, words in ends if np.isfinite(end)]
        return f"{self.name} {' and '.join(found)}"

    def miss(self, values: Any) -> Any:
        """By what share of the limit values are beyond it; 0 or less: they keep to it."""
        misses = []
        if np.isfinite(self.high):
            misses.append((values - self.high) / (abs(self.high) or 1))
        if np.isfinite(self.low):
            misses.append((self.low - values) / (abs(self.low) or 1))
        return misses[0] if len(misses) == 1 else np.maximum(*misses)


def limits(question: Question) -> list[Limit]:
    """The constraints of a question; a given clock is one, too."""
    config = question.config
    found = []
    if config.clock_ns != "predicted":
        found.append(Limit("clock_ns given", "least_clock_ns", -np.inf, float(config.clock_ns)))
    for name, bound in config.constraints.items():
        low = -np.inf if bound.min is None else bound.min
        found.append(Limit(name, name, low, np.inf if bound.max is None else bound.max))
    return found


class Evaluator:
    """Evaluates blocks of a question; ``front`` is that of all feasible points so far."""

    def __init__(self, question: Question, remembered: int = 1) -> None:
        """remembered: shapes whose prices are kept; blocks of one shape follow each other."""
        self.question = question
        self._prices: dict[str, dict[Any, Prices]] = {name: {} for name in question.technologies}
        self._shapes: dict[int, PricedShape] = {}
        self._remembered = remembered
        self._limits = limits(question)
        self.front = Front(len(question.config.objectives))

    def block(self, place: int, box: Box, tally: Tally) -> Kept | None:
        """One block of the shape of that place: counted in ``tally``; what stays of it, if any."""
        question = self.question
        space, shape = question.space, question.space.shapes[place]
        values = self._values(shape, box)
        extent = tuple(part.stop - part.start for part in box)
        alive = self._legal(shape, values, extent, tally)
        left = int(np.count_nonzero(alive))
        if not left:
            return None
        first = place * space.grid + int(
            np.ravel_multi_index([part.start for part in box], space.sizes)
        )
        sizes = tuple(np.clip(values[name], 1, MOST) for name in GRID)
        if left < DENSE * alive.size:
            numbers = first + np.flatnonzero(alive)
            sizes = tuple(np.broadcast_to(size, extent)[alive] for size in sizes)
            alive, extent = np.ones(left, bool), (left,)
        else:
            numbers = first + np.arange(alive.size).reshape(extent)
        priced = self.priced(place)
        try:
            found = priced.predict(*sizes[:3])
        except PaperModelError as error:
            tally.dropped[str(error)] += left
            return None
        points = Points(question, shape, priced, sizes, found)
        tally.points += left
        feasible, _ = self._feasible(points, alive, numbers, tally)
        self._compete(points, feasible, numbers)
        keep = question.config.keep
        kept = alive if keep == "all" else feasible
        if keep == "front":
            kept = np.isin(numbers, self.front.ids[self.front.ids >= first])
        if not kept.any():
            return None
        return Kept(place, numbers[kept], feasible[kept], points.take(kept, extent).columns)

    def one(self, number: int) -> Points:
        """A single legal point."""
        place, at = divmod(number, self.question.space.grid)
        _, points = self.some(place, np.array([at]), Tally())
        assert points is not None
        return points

    def some(self, place: int, at: Ints, tally: Tally) -> tuple[Bools, Points | None]:
        """Points of the shape of that place, at places in its grid: which are legal, and those."""
        shape, space = self.question.space.shapes[place], self.question.space
        index = np.unravel_index(at, space.sizes)
        values = shape.names
        for name, where in zip(GRID, index, strict=True):
            if name not in space.linked:
                values[name] = np.array(space.axes[name], np.int64)[where]
        self._link(values)
        alive = self._legal(shape, values, at.shape, tally)
        if not alive.any():
            return alive, None
        sizes = tuple(np.broadcast_to(values[name], at.shape)[alive] for name in GRID)
        priced = self.priced(place)
        try:
            found = priced.predict(*sizes[:3])
        except PaperModelError as error:
            tally.dropped[str(error)] += int(np.count_nonzero(alive))
            return np.zeros_like(alive), None
        return alive, Points(self.question, shape, priced, sizes, found)

    def judge(self, points: Points, numbers: Ints, tally: Tally) -> tuple[Any, Any]:
        """Objectives of ``points`` from `some`, to be minimised, and by what share each of them
        misses the constraint that it misses most, at most 0 if none; those go to the front."""
        everything = np.ones(numbers.shape, bool)
        tally.points += len(numbers)
        feasible, misses = self._feasible(points, everything, numbers, tally)
        self._compete(points, feasible, numbers)
        return self._objectives(points, everything), np.broadcast_to(misses, numbers.shape)

    def priced(self, place: int) -> PricedShape:
        """A shape with its prices."""
        found = self._shapes.get(place)
        if found is None:
            shape, config = self.question.space.shapes[place], self.question.config
            technology = self.question.technologies[shape.technology]
            area = unit_area if config.model == "hwgen" else paper_unit_area
            prices = self._prices[shape.technology]
            structure.cache_clear()  # Nobody asks for another shape's again.
            found = PricedShape(shape.core, technology, config.activity, prices, area)
            while len(self._shapes) >= self._remembered:
                del self._shapes[next(iter(self._shapes))]
            self._shapes[place] = found
        return found

    def _values(self, shape: Shape, box: Box) -> dict[str, Any]:
        """Every name that expressions know: words, integers, and arrays that broadcast."""
        space, values = self.question.space, shape.names
        for axis, (name, part) in enumerate(zip(GRID, box, strict=True)):
            if name not in space.linked:
                wide = [1] * len(GRID)
                wide[axis] = -1
                values[name] = np.array(space.axes[name][part], np.int64).reshape(wide)
        self._link(values)
        return values

    def _link(self, values: dict[str, Any]) -> None:
        """Add the sizes that are expressions of others."""
        for name, link in self.question.space.linked.items():
            values[name] = np.asarray(link.value(values), np.int64)

    def _legal(
        self, shape: Shape, values: dict[str, Any], extent: tuple[int, ...], tally: Tally
    ) -> Bools:
        """Which points are cores, by the rules of `CoreConfig` for sizes, and pass ``where``."""
        core, space = shape.core, self.question.space
        tables, ports = values["tables"], values["ports"]
        rules = {
            f"{name}: should be 1 … {MOST}": (values[name] >= 1) & (values[name] <= MOST)
            for name in space.linked
        }
        entries = len(core.book.entries) + 1
        rules[f"tables × ports × (entries + 1): should be at most {MAX_TABLE_PORTS}"] = (
            tables * ports * entries <= MAX_TABLE_PORTS
        )
        rules["max_in_features: should be at least tables × mu"] = (
            tables * core.mu <= core.max_in_features
        )
        rules["max_out_features: should be at least ports"] = ports <= core.max_out_features
        for condition in space.where:
            rules[f"where: {condition.text}"] = condition.value(values)
        alive = np.ones(extent, bool)
        left = alive.size
        for reason, passed in rules.items():
            if np.all(passed):
                continue
            alive = alive & passed
            now = int(np.count_nonzero(alive))
            if now < left:
                tally.dropped[reason] += left - now
                left = now
        return alive

    def _feasible(
        self, points: Points, alive: Bools, numbers: Ints, tally: Tally
    ) -> tuple[Bools, Any]:
        """Which of those alive are feasible, and by what share each misses a constraint."""
        feasible: Bools = alive
        worst: Any = -np.inf
        for limit in self._limits:
            miss = limit.miss(points.quantity(limit.quantity))
            worst = np.maximum(worst, miss)
            within = miss <= 0
            tally.excluded[limit.name] += int(np.count_nonzero(alive & ~within))
            feasible = feasible & within
        found = int(np.count_nonzero(feasible))
        tally.feasible += found
        if found or tally.feasible:
            tally.nearest = None
        else:
            misses = np.where(alive, worst, np.inf)
            least = int(misses.argmin())
            here = float(misses.flat[least]), int(numbers.flat[least])
            tally.nearest = min(tally.nearest or here, here)
        return feasible, worst

    def _compete(self, points: Points, feasible: Bools, numbers: Ints) -> None:
        """Put the feasible points to the front."""
        self.front.add(self._objectives(points, feasible), numbers[feasible])

    def _objectives(self, points: Points, chosen: Bools) -> Any:
        """Of the chosen ones, (P, objectives), to be minimised."""
        objectives = self.question.config.objectives
        whole = bool(chosen.all())
        values = np.empty((int(np.count_nonzero(chosen)), len(objectives)))
        for column, objective in enumerate(objectives):
            found = np.broadcast_to(points.quantity(objective.quantity), chosen.shape)
            values[:, column] = found.ravel() if whole else found[chosen]
            if objective.maximise:
                values[:, column] *= -1
        return values
