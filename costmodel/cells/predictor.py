"""Area, clock and energy of very many cores at once: the numbers of one core at a time, to the bit.

Cores that differ only in tables L, ports K and reuse D have one *shape*. Of a shape, every unit
depends on at most two of the three, and often on little of these, as
`hwgen.spec.structure.UNIT_KINDS` says. Units are priced once each, by `costmodel.cells.area`,
`costmodel.cells.energy` and `costmodel.cells.delay`, and combined by arithmetic that is the same
for Python integers and for numpy arrays of them, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from itertools import product
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from costmodel.cells.area import unit_area
from costmodel.cells.delay import DelayModel, fanout_delay, path_delay
from costmodel.cells.energy import UnitEnergy, unit_energy, unit_leakage_nw
from costmodel.cells.energy_data import ActivityClass
from costmodel.cells.paths import (
    Path,
    control_path,
    control_sinks,
    forward_paths,
    loop_paths,
    widest_stage,
)
from costmodel.cells.technology import Technology
from hwgen.spec.axes import SIZES as SIZE_NAMES
from hwgen.spec.config import CoreConfig
from hwgen.spec.primitive import Counts
from hwgen.spec.schedule import slots
from hwgen.spec.structure import (
    COMPONENTS,
    IN_TILE_BITS,
    OUT_TILE_BITS,
    REUSED,
    SATURATED_TABLES,
    SIZE_AXES,
    UNIT_KINDS,
    UNIT_SIZES,
    SizeAxis,
    Structure,
    sized,
)

VARIED = (*SIZE_NAMES, "name")
"""What does not belong to a shape."""
UnitArea = Callable[[str, Counts, Technology], float]
"""`costmodel.cells.area.unit_area`, or that of another model."""
_IN_TILE_BITS, _OUT_TILE_BITS, _REUSED, _SATURATED_TABLES = map(
    UNIT_SIZES.index, (IN_TILE_BITS, OUT_TILE_BITS, REUSED, SATURATED_TABLES)
)
"""Their places among `UNIT_SIZES`."""
_SHAPE = attrgetter(*(name for name in CoreConfig.model_fields if name not in VARIED))


class Prediction(NamedTuple):
    """Numbers of one core, or arrays of those of many. period_ns: None without delays."""

    area: Any
    period_ns: Any
    latency: Any
    accumulator_latency: int
    """R, of the shape. Cycles follow from it: `hwgen.spec.schedule.Schedule`."""
    fj_per_tile: Any
    clock_fj_per_cycle: Any
    leakage_mw: Any
    """Energy at full speed, that of the clock alone, and leakage; None without energies."""


class Prices(NamedTuple):
    """What one unit costs, or arrays of it: area; energy as `costmodel.cells.energy.UnitEnergy`;
    leakage.

    Without energies they are 0, and nobody asks.
    """

    area: Any
    tile_fj: Any
    block_fj: Any
    clock_fj: Any
    leakage_nw: Any


class Predictor:
    """Predictions in one technology; keeps what it has priced, so use one for many cores."""

    def __init__(self, technology: Technology, activity: ActivityClass = "random") -> None:
        self.technology, self.activity = technology, activity
        self._shapes: dict[tuple[Any, ...], PricedShape] = {}
        self._prices: dict[Any, Prices] = {}

    def shape(self, core: CoreConfig) -> PricedShape:
        """The shape of a core."""
        key = _SHAPE(core)
        shape = self._shapes.get(key)
        if shape is None:
            shape = PricedShape(core, self.technology, self.activity, self._prices)
            self._shapes[key] = shape
        return shape

    def __call__(self, core: CoreConfig) -> Prediction:
        """One core."""
        return self.shape(core).predict(core.tables, core.ports, core.reuse)


class PricedShape:
    """All cores like ``core`` but for tables, ports and reuse."""

    def __init__(
        self,
        core: CoreConfig,
        technology: Technology,
        activity: ActivityClass,
        prices: dict[Any, Prices],
        area: UnitArea = unit_area,
    ) -> None:
        self.core, self.technology, self.activity, self._area = core, technology, activity, area
        self._prices = prices
        """Of units by their specs; shapes have many in common."""
        self._known: dict[tuple[Any, ...], Any] = {}
        self._kinds = [
            (kind, partial(self._unit, place), [UNIT_SIZES.index(size) for size in kind.sizes])
            for place, kind in enumerate(UNIT_KINDS)
        ]
        self._axes = [partial(self._sizes, axis) for axis in SIZE_AXES]

    def predict(self, tables: Any, ports: Any, reuse: Any) -> Prediction:
        """Numbers for integers, or for integer arrays that broadcast against each other.

        Each size must be legal beside 1 of the others, or ValueError; of combinations that are
        not legal the numbers mean nothing.
        """
        values = self._values(tables, ports, reuse)
        units = self._units(tables, ports, values)
        wait = self._get(self._accumulator_latency)
        energies = (None, None, None)
        if self.technology.energy is not None:
            energies = self._energy(units, reuse, wait)
        return Prediction(
            _total(number * prices.area for _, number, prices in units),
            self.period_ns(tables, ports, reuse, values),
            self._get(self._latency, tables, values[_REUSED]),
            wait,
            *energies,
        )

    def _values(self, tables: Any, ports: Any, reuse: Any) -> list[Any]:
        """That of each of `hwgen.spec.structure.UNIT_SIZES`."""
        values: list[Any] = []
        for of_axis, number in zip(self._axes, (tables, ports, reuse), strict=True):
            found = self._get(of_axis, number)
            values.extend(found if isinstance(found, tuple) else np.moveaxis(found, -1, 0))
        return values

    def _sizes(self, axis: SizeAxis, number: int) -> tuple[int, ...]:
        """The values of all sizes of an axis at one number."""
        return tuple(size.value(self.core, number) for size in UNIT_SIZES if size.axis == axis)

    def _units(self, tables: Any, ports: Any, values: list[Any]) -> list[tuple[str, Any, Prices]]:
        """`Structure.units`, in their order, each with what one of them costs."""
        mu, known = self.core.mu, self._known
        if _any_array(values):
            return [
                (
                    kind.component,
                    kind.number(tables, ports, mu),
                    self._prices_at(unit, [values[place] for place in places]),
                )
                for kind, unit, places in self._kinds
            ]
        units = []
        for kind, unit, places in self._kinds:
            key = (unit, *[values[place] for place in places])
            prices = known[key] if key in known else self._get(*key)
            units.append((kind.component, kind.number(tables, ports, mu), prices))
        return units

    def area_by_component(self, tables: Any, ports: Any, reuse: Any) -> dict[str, Any]:
        """As `predict` takes them: area of each of `hwgen.spec.structure.COMPONENTS`."""
        parts: dict[str, Any] = {}
        values = self._values(tables, ports, reuse)
        for component, number, prices in self._units(tables, ports, values):
            parts[component] = parts.get(component, 0.0) + number * prices.area
        return parts

    def _energy(
        self, units: list[tuple[str, Any, Prices]], reuse: Any, wait: int
    ) -> tuple[Any, Any, Any]:
        """fJ per tile, of the clock per cycle, and leakage in mW, as `core_energy` adds them."""
        cycles = slots(reuse, wait) / reuse
        parts: dict[str, Any] = dict.fromkeys(COMPONENTS, 0.0)
        clock: Any = 0.0
        leakage: Any = 0.0
        for component, number, prices in units:
            unit = UnitEnergy(prices.tile_fj, prices.block_fj, prices.clock_fj)
            parts[component] = parts[component] + number * unit.of_tile(reuse, cycles)
            clock = clock + number * prices.clock_fj
            leakage = leakage + number * prices.leakage_nw
        return _total(parts.values()), clock, leakage * 1e-6

    def structure(self, tables: int, ports: int, reuse: int) -> Structure:
        """The structure of one core of this shape."""
        return sized(self.core, tables, ports, reuse)

    def period_ns(self, tables: Any, ports: Any, reuse: Any, values: list[Any]) -> Any:
        """Longest stage; None without unit delays. values: as `_values` gives them."""
        if self.technology.delays is None:
            return None
        few = values[_REUSED]
        loop = self._get(self._loop_period, values[_SATURATED_TABLES], reuse)
        fixed = _larger(self._get(self._fixed_period, tables, few), loop)
        fetch = self._get(self._fetch_period, tables, few)
        period = _larger(fixed, fetch + self._get(self._port_fanout, ports))
        widths = values[_IN_TILE_BITS], values[_OUT_TILE_BITS]
        sinks = control_sinks(tables * self._get(self._widest, few), *widths)
        control = self._get(self._control_period, widths[0], few)
        return _larger(period, control + self._fanout("control", sinks))

    def _get(self, price: Callable[..., Any], *axes: Any) -> Any:
        """``price`` at ``axes``; each combination of values is priced once."""
        if _any_array(axes):
            return _look(lambda *values: self._get(price, *values), *axes)
        key = (price, *axes)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = price(*axes)
        return known

    def _prices_at(self, price: Callable[..., Prices], values: list[Any]) -> Prices:
        """`Prices` of one unit, or arrays of them."""
        prices = self._get(price, *values)
        if isinstance(prices, Prices):
            return prices
        return Prices(*(prices[..., place] for place in range(len(Prices._fields))))

    def _price(self, component: str, counts: Counts) -> Prices:
        technology = self.technology
        area = self._area(component, counts, technology)
        if technology.energy is None:
            return Prices(area, 0.0, 0.0, 0.0, 0.0)
        energy = unit_energy(component, counts, technology, self.activity)
        return Prices(area, *energy, unit_leakage_nw(component, counts, technology))

    def _unit(self, place: int, *values: int) -> Prices:
        """Prices of a unit of the kind at a place of `UNIT_KINDS`, for values of its sizes."""
        kind = UNIT_KINDS[place]
        spec = kind.spec_of(self.core, values)
        prices = self._prices.get((place, spec))
        if prices is None:
            prices = self._prices[place, spec] = self._price(kind.component, kind.cost(spec))
        return prices

    def _latency(self, tables: int, few: int) -> int:
        return self.structure(tables, 1, few).latency

    def _accumulator_latency(self) -> int:
        return self.structure(1, 1, 1).accumulator_latency

    def _widest(self, few: int) -> int:
        return widest_stage(self.structure(1, 1, few))

    def _fixed_period(self, tables: int, few: int) -> float:
        """Longest stage forward that no number of ports makes longer."""
        stages = forward_paths(self.structure(tables, 1, few))
        return max((self._path(path) for path in stages if path.sinks is None), default=0.0)

    def _fetch_period(self, tables: int, few: int) -> float:
        """The stage from which all ports fetch, without the fan-out to them."""
        stages = forward_paths(self.structure(tables, 1, few))
        (path,) = (path for path in stages if path.sinks is not None)
        return self._path(replace(path, sinks=None))

    def _loop_period(self, tables: int, reuse: int) -> float:
        accumulate = self.structure(tables, 1, reuse).accumulate
        return max(self._path(path) for path in loop_paths(accumulate))

    def _control_period(self, in_bits: int, few: int) -> float:
        control = self.structure(1, 1, few).control
        return self._path(control_path(replace(control, in_tile_bits=in_bits)))

    def _port_fanout(self, ports: int) -> float:
        return float(self._fanout("fetch", ports))

    def _path(self, path: Path) -> float:
        return path_delay(path, self._model, self.technology.name)

    def _fanout(self, stage: str, sinks: Any) -> Any:
        return fanout_delay(stage, sinks, self._model, self.technology.name)

    @property
    def _model(self) -> DelayModel:
        assert self.technology.delays is not None
        return self.technology.delays


def _total(numbers: Iterable[Any]) -> Any:
    """Their sum, added in order."""
    total: Any = 0.0
    for number in numbers:
        total = total + number
    return total


def _look(price: Callable[..., Any], *axes: Any) -> Any:
    """``price`` at every combination of the values of ``axes`` that broadcasting makes."""
    if not _any_array(axes):
        return price(*axes)
    arrays = [np.asarray(axis) for axis in axes]
    places: list[Any] = []
    values: list[list[Any]] = []
    for array in arrays:
        distinct, inverse = np.unique(array, return_inverse=True)
        values.append(distinct.tolist())
        places.append(inverse.reshape(array.shape))
    shape = tuple(len(some) for some in values)
    table = np.array([price(*point) for point in product(*values)])
    table = table.reshape(*shape, *table.shape[1:])
    return table[tuple(places)]


def _any_array(axes: Iterable[Any]) -> bool:
    return np.ndarray in map(type, axes)  # Faster than any(); one core asks two dozen times.


def _larger(a: Any, b: Any) -> Any:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.maximum(a, b)
    return max(a, b)
