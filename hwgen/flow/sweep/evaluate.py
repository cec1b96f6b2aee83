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
from costmodel.cells.predictor import PricedShape, Prices
from costmodel.explore.pareto import ParetoFront
from hwgen.flow.sweep.plan import SweepPlan
from hwgen.flow.sweep.quantities import PointQuantities
from hwgen.space.space import GRID, CoreShape
from hwgen.spec.axes import SIZES
from hwgen.spec.config import CoreConfig
from hwgen.spec.rules import SIZE_RANGE, SIZE_RULES, Sizes, in_size_range
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
        said = [f"{words} {end:,.6g}" for end, words in ends if np.isfinite(end)]
        return f"{self.name} {' and '.join(said)}"

    def miss(self, values: Any) -> Any:
        """By what share of the limit values are beyond it; 0 or less: they keep to it."""
        misses = []
        if np.isfinite(self.high):
            misses.append((values - self.high) / (abs(self.high) or 1))
        if np.isfinite(self.low):
            misses.append((self.low - values) / (abs(self.low) or 1))
        return misses[0] if len(misses) == 1 else np.maximum(*misses)


def limits(plan: SweepPlan) -> list[Limit]:
    """The constraints of a sweep; a given clock is one of them."""
    config = plan.config
    bounds = []
    if config.clock_ns != "predicted":
        bounds.append(Limit("clock_ns given", "least_clock_ns", -np.inf, float(config.clock_ns)))
    for name, bound in config.constraints.items():
        low = -np.inf if bound.min is None else bound.min
        bounds.append(Limit(name, name, low, np.inf if bound.max is None else bound.max))
    return bounds


class Evaluator:
    """Evaluates blocks of a sweep; ``front`` is that of all feasible points so far."""

    def __init__(self, plan: SweepPlan, remembered: int = 1) -> None:
        """remembered: shapes whose prices are kept; blocks of one shape follow each other."""
        self.plan = plan
        self._prices: dict[str, dict[Any, Prices]] = {name: {} for name in plan.technologies}
        self._shapes: dict[int, PricedShape] = {}
        self._remembered = remembered
        self._limits = limits(plan)
        self.front = ParetoFront(len(plan.config.objectives))

    def block(self, place: int, box: Box, tally: Tally) -> Kept | None:
        """One block of the shape of that place: counted in ``tally``; what stays of it, if any."""
        plan = self.plan
        space, shape = plan.space, plan.space.shapes[place]
        values = self._values(shape, box)
        extent = tuple(part.stop - part.start for part in box)
        alive = self._legal(shape, values, extent, tally)
        left = int(np.count_nonzero(alive))
        if not left:
            return None
        first = place * space.grid + int(
            np.ravel_multi_index([part.start for part in box], space.sizes)
        )
        sizes = _priceable(shape.core, values)
        if left < DENSE * alive.size:
            numbers = first + np.flatnonzero(alive)
            sizes = tuple(np.broadcast_to(size, extent)[alive] for size in sizes)
            alive, extent = np.ones(left, bool), (left,)
        else:
            numbers = first + np.arange(alive.size).reshape(extent)
        priced = self.priced(place)
        try:
            prediction = priced.predict(*sizes[:3])
        except PaperModelError as error:
            tally.dropped[str(error)] += left
            return None
        points = PointQuantities(plan, shape, priced, sizes, prediction)
        tally.points += left
        feasible, _ = self._feasible(points, alive, numbers, tally)
        self._compete(points, feasible, numbers)
        keep = plan.config.keep
        kept = alive if keep == "all" else feasible
        if keep == "front":
            kept = np.isin(numbers, self.front.ids[self.front.ids >= first])
        if not kept.any():
            return None
        return Kept(place, numbers[kept], feasible[kept], points.take(kept, extent).columns)

    def one(self, number: int) -> PointQuantities:
        """A single legal point."""
        place, at = divmod(number, self.plan.space.grid)
        _, points = self.some(place, np.array([at]), Tally())
        assert points is not None
        return points

    def some(self, place: int, at: Ints, tally: Tally) -> tuple[Bools, PointQuantities | None]:
        """Points of the shape of that place, at places in its grid: which are legal, and those."""
        shape, space = self.plan.space.shapes[place], self.plan.space
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
            prediction = priced.predict(*sizes[:3])
        except PaperModelError as error:
            tally.dropped[str(error)] += int(np.count_nonzero(alive))
            return np.zeros_like(alive), None
        return alive, PointQuantities(self.plan, shape, priced, sizes, prediction)

    def judge(self, points: PointQuantities, numbers: Ints, tally: Tally) -> tuple[Any, Any]:
        """Objectives of ``points`` from `some`, to be minimised, and by what share each of them
        misses the constraint that it misses most, at most 0 if none; those go to the front."""
        everything = np.ones(numbers.shape, bool)
        tally.points += len(numbers)
        feasible, misses = self._feasible(points, everything, numbers, tally)
        self._compete(points, feasible, numbers)
        return self._objectives(points, everything), np.broadcast_to(misses, numbers.shape)

    def priced(self, place: int) -> PricedShape:
        """A shape with its prices."""
        priced = self._shapes.get(place)
        if priced is None:
            shape, config = self.plan.space.shapes[place], self.plan.config
            technology = self.plan.technologies[shape.technology]
            area = unit_area if config.model == "hwgen" else paper_unit_area
            prices = self._prices[shape.technology]
            structure.cache_clear()  # Nobody asks for another shape's again.
            priced = PricedShape(shape.core, technology, config.activity, prices, area)
            while len(self._shapes) >= self._remembered:
                del self._shapes[next(iter(self._shapes))]
            self._shapes[place] = priced
        return priced

    def _values(self, shape: CoreShape, box: Box) -> dict[str, Any]:
        """Every name that expressions know: words, integers, and arrays that broadcast."""
        space, values = self.plan.space, shape.names
        for axis, (name, part) in enumerate(zip(GRID, box, strict=True)):
            if name not in space.linked:
                wide = [1] * len(GRID)
                wide[axis] = -1
                values[name] = np.array(space.axes[name][part], np.int64).reshape(wide)
        self._link(values)
        return values

    def _link(self, values: dict[str, Any]) -> None:
        """Add the sizes that are expressions of others."""
        for name, link in self.plan.space.linked.items():
            values[name] = np.asarray(link.value(values), np.int64)

    def _legal(
        self, shape: CoreShape, values: dict[str, Any], extent: tuple[int, ...], tally: Tally
    ) -> Bools:
        """Which points are cores, by the rules of `CoreConfig` for sizes, and pass ``where``."""
        core, space = shape.core, self.plan.space
        sizes = Sizes(*(values[name] for name in SIZES))
        rules = {f"{name}: {SIZE_RANGE}": in_size_range(values[name]) for name in space.linked}
        rules |= {rule.reason: rule.holds(core, sizes) for rule in SIZE_RULES}
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
        self, points: PointQuantities, alive: Bools, numbers: Ints, tally: Tally
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
        tally.feasible += int(np.count_nonzero(feasible))
        if tally.feasible:
            tally.nearest = None
        else:
            misses = np.where(alive, worst, np.inf)
            least = int(misses.argmin())
            here = float(misses.flat[least]), int(numbers.flat[least])
            tally.nearest = min(tally.nearest or here, here)
        return feasible, worst

    def _compete(self, points: PointQuantities, feasible: Bools, numbers: Ints) -> None:
        """Put the feasible points to the front."""
        self.front.add(self._objectives(points, feasible), numbers[feasible])

    def _objectives(self, points: PointQuantities, chosen: Bools) -> Any:
        """Of the chosen ones, (P, objectives), to be minimised."""
        objectives = self.plan.config.objectives
        whole = bool(chosen.all())
        values = np.empty((int(np.count_nonzero(chosen)), len(objectives)))
        for column, objective in enumerate(objectives):
            quantity = np.broadcast_to(points.quantity(objective.quantity), chosen.shape)
            values[:, column] = quantity.ravel() if whole else quantity[chosen]
            if objective.maximise:
                values[:, column] *= -1
        return values


def _priceable(core: CoreConfig, values: dict[str, Any]) -> tuple[Any, ...]:
    """The grid's sizes, with 1 instead of those that no core of the shape has.

    A box is priced as a whole, as long as many of its points are legal, and the parts of a core
    by each size on its own.
    """
    sizes = {name: np.where(in_size_range(values[name]), values[name], 1) for name in GRID}
    for name in SIZES:
        for rule in SIZE_RULES:
            alone = Sizes(**{name: sizes[name]})
            sizes[name] = np.where(rule.holds(core, alone), sizes[name], 1)
    return tuple(sizes.values())
