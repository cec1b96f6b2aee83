"""Area, clock and energy of very many cores at once: the numbers of one core at a time, to the bit.

Cores that differ only in tables L, ports K and reuse D have one *shape*. Of a shape, every part
depends on one or two of the three: a table and a fetch on whether D > 1, a reduction on L,
accumulators on L and D, control on few widths. Parts are priced once each, by `costmodel.area`,
`costmodel.energy` and `costmodel.delay`, and combined by arithmetic that is the same for Python
integers and for numpy arrays of them, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import product
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from costmodel.area import unit_area
from costmodel.delay import DelayModel, fanout_delay, path_delay
from costmodel.energy import UnitEnergy, unit_energy, unit_leakage_nw
from costmodel.energy_data import ActivityClass
from costmodel.paths import (
    Path,
    control_path,
    control_sinks,
    forward_paths,
    loop_paths,
    widest_stage,
)
from costmodel.technology import Technology
from hwgen.config import CoreConfig
from hwgen.counts import accumulate_counts, control_counts, reduce_counts
from hwgen.primitive import Counts
from hwgen.structure import Structure, structure

CONVERTERS = 3
"""The last units of a core: conversions, one component."""
VARIED = ("tables", "ports", "reuse", "name")
"""What does not belong to a shape."""
UnitArea = Callable[[str, Counts, Technology], float]
"""`costmodel.area.unit_area`, or that of another model."""
_SHAPE = attrgetter(*(name for name in CoreConfig.model_fields if name not in VARIED))


class Prediction(NamedTuple):
    """Numbers of one core, or arrays of those of many. period_ns: None without delays."""

    area: Any
    period_ns: Any
    latency: Any
    accumulator_latency: int
    """R, of the shape. Cycles follow from it: `sim.cycles.cycles_per_token`."""
    fj_per_tile: Any
    leakage_mw: Any
    """Energy at full speed, and leakage; None without energies."""


class Prices(NamedTuple):
    """What one unit costs, or arrays of it: area; energy as `costmodel.energy.UnitEnergy`; leakage.

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
        self._shapes: dict[tuple[Any, ...], Shape] = {}
        self._prices: dict[Any, Prices] = {}

    def shape(self, core: CoreConfig) -> Shape:
        """The shape of a core."""
        key = _SHAPE(core)
        found = self._shapes.get(key)
        if found is None:
            found = self._shapes[key] = Shape(core, self.technology, self.activity, self._prices)
        return found

    def __call__(self, core: CoreConfig) -> Prediction:
        """One core."""
        return self.shape(core).predict(core.tables, core.ports, core.reuse)


class Shape:
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
        """Of control, reductions and accumulators, by their specs; shapes have many in common."""
        self.mu = core.mu
        self._known: dict[tuple[Any, ...], Any] = {}

    def predict(self, tables: Any, ports: Any, reuse: Any) -> Prediction:
        """Numbers for integers, or for integer arrays that broadcast against each other.

        Every combination must be a legal core; nothing is checked here.
        """
        deep = _look(lambda d: int(d > 1), reuse)
        units = self._units(tables, ports, reuse, deep)
        wait = self._get(self._accumulator_latency)
        energy = leakage = None
        if self.technology.energy is not None:
            energy, leakage = self._energy(units, reuse, wait)
        return Prediction(
            _total(number * prices.area for number, prices in units),
            self.period_ns(tables, ports, reuse, deep),
            self._get(self._latency, tables, deep),
            wait,
            energy,
            leakage,
        )

    def _units(self, tables: Any, ports: Any, reuse: Any, deep: Any) -> list[tuple[Any, Prices]]:
        """Number of each of `Structure.units`, in their order, and what one of them costs."""
        widths = self._get(self._in_tile_bits, tables), self._get(self._out_tile_bits, ports)
        stages = self._get(self._tile_stages, tables)
        words = self._get(self._words, tables)
        return [
            (tables, self._prices_at(self._build, deep)),
            (tables, self._prices_at(self._tables, deep)),
            (tables * ports, self._prices_at(self._fetch, deep)),
            (ports, self._prices_at(self._reduce, tables)),
            (ports, self._prices_at(self._accumulate, words, reuse)),
            (1, self._prices_at(self._control, *widths, stages, reuse)),
            (tables * self.mu, self._prices_at(self._inward, deep)),
            (ports, self._prices_at(self._outward, tables)),
            (1, self._prices_at(self._shared, deep)),
        ]

    def area_by_component(self, tables: Any, ports: Any, reuse: Any) -> dict[str, Any]:
        """As `predict` takes them: area of each of `hwgen.structure.COMPONENTS`."""
        deep = _look(lambda d: int(d > 1), reuse)
        parts: dict[str, Any] = {}
        units = self._units(tables, ports, reuse, deep)
        for unit, (number, prices) in zip(self.structure(1, 1, 1).units, units, strict=True):
            parts[unit.component] = parts.get(unit.component, 0.0) + number * prices.area
        return parts

    def _energy(self, units: list[tuple[Any, Prices]], reuse: Any, wait: int) -> tuple[Any, Any]:
        """fJ per tile and leakage in mW, as `costmodel.energy.core_energy` adds them."""
        cycles = _larger(reuse, wait) / reuse
        parts, leakage = [], 0.0
        for number, prices in units:
            unit = UnitEnergy(prices.tile_fj, prices.block_fj, prices.clock_fj)
            parts.append(number * unit.of_tile(reuse, cycles))
            leakage = leakage + number * prices.leakage_nw
        first = len(parts) - CONVERTERS
        return _total([*parts[:first], _total(parts[first:])]), leakage * 1e-6

    def period_ns(self, tables: Any, ports: Any, reuse: Any, deep: Any) -> Any:
        """Longest stage; None without unit delays."""
        if self.technology.delays is None:
            return None
        loop = self._get(self._loop_period, self._get(self._words, tables), reuse)
        fixed = _larger(self._get(self._fixed_period, tables, deep), loop)
        fetch = self._get(self._fetch_period, tables, deep)
        period = _larger(fixed, fetch + self._get(self._port_fanout, ports))
        widths = self._get(self._in_tile_bits, tables), self._get(self._out_tile_bits, ports)
        sinks = control_sinks(tables * self._get(self._widest, deep), *widths)
        control = self._get(self._control_period, widths[0], deep)
        return _larger(period, control + self._fanout("control", sinks))

    def structure(self, tables: int, ports: int, reuse: int) -> Structure:
        """Of one core of this shape."""
        update = {"tables": tables, "ports": ports, "reuse": reuse}
        return structure(self.core.model_copy(update=update))

    def _get(self, price: Callable[..., Any], *axes: Any) -> Any:
        """``price`` at ``axes``; each combination of values is priced once."""
        if not any(isinstance(axis, np.ndarray) for axis in axes):
            key = (price, *axes)
            found = self._known.get(key)
            if found is None:
                found = self._known[key] = price(*axes)
            return found
        return _look(lambda *values: self._get(price, *values), *axes)

    def _prices_at(self, price: Callable[..., Prices], *axes: Any) -> Prices:
        """`Prices` of one unit, or arrays of them."""
        if not any(isinstance(axis, np.ndarray) for axis in axes):
            prices: Prices = self._get(price, *axes)
            return prices
        found = _look(lambda *values: self._get(price, *values), *axes)
        return Prices(*(found[..., place] for place in range(len(Prices._fields))))

    def _unit(self, place: int, spec: Structure) -> Prices:
        unit = spec.units[place]
        return self._price(unit.component, unit.counts)

    def _price(self, component: str, counts: Counts) -> Prices:
        technology = self.technology
        area = self._area(component, counts, technology)
        if technology.energy is None:
            return Prices(area, 0.0, 0.0, 0.0, 0.0)
        energy = unit_energy(component, counts, technology, self.activity)
        return Prices(area, *energy, unit_leakage_nw(component, counts, technology))

    def _build(self, deep: int) -> Prices:
        return self._unit(0, self.structure(1, 1, 1 + deep))

    def _tables(self, deep: int) -> Prices:
        return self._unit(1, self.structure(1, 1, 1 + deep))

    def _fetch(self, deep: int) -> Prices:
        return self._unit(2, self.structure(1, 1, 1 + deep))

    def _reduce(self, tables: int) -> Prices:
        spec = self.structure(tables, 1, 1).reduce
        return self._priced("reduce", spec, reduce_counts)

    def _words(self, tables: int) -> int:
        """Tables of a core with accumulators that cost the same as those of ``tables``.

        The width of what is added matters only to accumulators that saturate.
        """
        return tables if self.core.acc_overflow == "saturate" else 1

    def _accumulate(self, tables: int, reuse: int) -> Prices:
        spec = self.structure(tables, 1, reuse).accumulate
        return self._priced("accumulate", spec, accumulate_counts)

    def _inward(self, deep: int) -> Prices:
        return self._unit(6, self.structure(1, 1, 1 + deep))

    def _outward(self, tables: int) -> Prices:
        return self._unit(7, self.structure(tables, 1, 1))

    def _shared(self, deep: int) -> Prices:
        return self._unit(8, self.structure(1, 1, 1 + deep))

    def _in_tile_bits(self, tables: int) -> int:
        return (-(-self.core.max_in_features // (tables * self.mu))).bit_length()

    def _out_tile_bits(self, ports: int) -> int:
        return (-(-self.core.max_out_features // ports)).bit_length()

    def _tile_stages(self, tables: int) -> int:
        return self.structure(tables, 1, 1).control.tile_stages

    def _control(self, in_bits: int, out_bits: int, stages: int, reuse: int) -> Prices:
        control = self.structure(1, 1, reuse).control
        spec = replace(control, in_tile_bits=in_bits, out_tile_bits=out_bits, tile_stages=stages)
        return self._priced("control", spec, control_counts)

    def _priced(self, component: str, spec: Any, counts: Callable[[Any], Counts]) -> Prices:
        if spec not in self._prices:
            self._prices[spec] = self._price(component, counts(spec))
        return self._prices[spec]

    def _latency(self, tables: int, deep: int) -> int:
        return self.structure(tables, 1, 1 + deep).latency

    def _accumulator_latency(self) -> int:
        return self.structure(1, 1, 1).accumulator_latency

    def _widest(self, deep: int) -> int:
        return widest_stage(self.structure(1, 1, 1 + deep))

    def _fixed_period(self, tables: int, deep: int) -> float:
        """Longest stage forward that no number of ports makes longer."""
        stages = forward_paths(self.structure(tables, 1, 1 + deep))
        return max((self._path(path) for path in stages if path.sinks is None), default=0.0)

    def _fetch_period(self, tables: int, deep: int) -> float:
        """The stage from which all ports fetch, without the fan-out to them."""
        stages = forward_paths(self.structure(tables, 1, 1 + deep))
        (path,) = (path for path in stages if path.sinks is not None)
        return self._path(replace(path, sinks=None))

    def _loop_period(self, tables: int, reuse: int) -> float:
        accumulate = self.structure(tables, 1, reuse).accumulate
        return max(self._path(path) for path in loop_paths(accumulate))

    def _control_period(self, in_bits: int, deep: int) -> float:
        control = self.structure(1, 1, 1 + deep).control
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
    if not any(isinstance(axis, np.ndarray) for axis in axes):
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


def _larger(a: Any, b: Any) -> Any:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.maximum(a, b)
    return max(a, b)
