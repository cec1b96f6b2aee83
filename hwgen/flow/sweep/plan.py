"""A sweep file made ready: layers, technologies and axes looked up, and checked together."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from importlib.metadata import version
from typing import Any

from costmodel.catalog import costs_file
from costmodel.cells.technology import Technology, load_technology
from hwgen.base.errors import ConfigError
from hwgen.base.yamlfile import Source, source_name
from hwgen.flow.bandwidth import exact
from hwgen.space.space import Space
from hwgen.space.sweep_file import ENERGIES, TIMED, SweepConfig, load_sweep
from hwgen.spec.fields import MAX_SIZE
from sim.workload.layers import LayerShape
from sim.workload.workload import LayerKind, Workload, of_zoo
from sim.workload.zoo import load_model

WIDEST_WEIGHT = 16
"""Bits of a weight in the stream, at most."""


@dataclass(frozen=True)
class SweepPlan:
    """A sweep file with all that it names looked up. Nothing of it can be wrong any more."""

    config: SweepConfig
    workload: Workload
    technologies: dict[str, Technology]
    space: Space

    @property
    def title(self) -> str:
        """Of the workload."""
        return self.config.workload.name or self.workload.name

    @property
    def area_column(self) -> str:
        """Of the area, with its unit."""
        return f"area_{next(iter(self.technologies.values())).area_unit}"

    def column(self, quantity: str) -> str:
        """Where the results have a quantity."""
        return self.area_column if quantity == "area" else quantity

    @property
    def bits_per_cycle(self) -> Fraction | None:
        """Of all weight streams together; None: no limit."""
        return bits_per_cycle(self.config)

    @property
    def timed(self) -> bool:
        """Whether there are clocks."""
        return all(each.delays is not None for each in self.technologies.values())

    @property
    def powered(self) -> bool:
        """Whether there are energies."""
        energies = [each.energy for each in self.technologies.values()]
        return self.timed and all(each is not None for each in energies)

    @cached_property
    def digest(self) -> str:
        """Of everything that results depend on: equal digests, equal results."""
        files = {name: _hash(costs_file(name).read_bytes()) for name in self.technologies}
        layers = [(layer.role, layer.shape, layer.count) for layer in self.workload.layers]
        packages = {name: version(name) for name in ("hwgen", "numpy", "pyarrow")}
        config = self.config.model_dump(exclude={"name"})
        return _hash(json.dumps([config, files, repr(layers), packages], sort_keys=True).encode())


def plan_sweep(sweep: Source | SweepConfig) -> SweepPlan:
    """The plan of a sweep; ConfigError, a line for each fault, if it cannot be run."""
    config, path = load_sweep(sweep), source_name(sweep, "sweep")
    technologies = {name: load_technology(name) for name in config.technology}
    workload = _workload(config)
    _check_technologies(config, technologies)
    _check_sizes(path, config, workload)
    space = Space(
        config,
        max(layer.shape.in_features // layer.shape.segments for layer in workload.layers),
        max(layer.shape.out_features for layer in workload.layers),
    )
    if not space.shapes:
        where = f"{path}: core: no combination is a legal core"
        reasons = (f"{where}: {reason} ({count})" for reason, count in space.dropped.items())
        raise ConfigError("\n".join(reasons))
    return SweepPlan(config, workload, technologies, space)


def bits_per_cycle(config: SweepConfig) -> Fraction | None:
    """Of all weight streams together; None: no limit."""
    given = config.memory.keys.bits_per_cycle
    if given is None:
        return None
    return exact(f"{config.name}: memory.keys.bits_per_cycle", given)


def _workload(config: SweepConfig) -> Workload:
    given = config.workload
    if given.model is not None:
        return of_zoo(load_model(given.model))
    layers = tuple(
        LayerKind(layer.name, LayerShape(layer.out_features, layer.in_features), layer.count)
        for layer in given.layers or ()
    )
    return Workload(str(given.name), "given", layers)


def _check_technologies(config: SweepConfig, technologies: dict[str, Technology]) -> None:
    """ConfigError for quantities that a technology has no numbers for, and for mixed units."""
    units = {technology.area_unit for technology in technologies.values()}
    if len(units) > 1:
        raise ConfigError(
            f"technology: areas should have one unit, not {' and '.join(sorted(units))}; take a "
            "sweep for each"
        )
    timed = [f"objectives: {name}" for name in config.wanted if name in (*TIMED, *ENERGIES)]
    if config.clock_ns != "predicted":
        timed.append("clock_ns")
    for technology in technologies.values():
        for name in timed:
            energy = name.rpartition(" ")[2] in ENERGIES
            if technology.delays is None or (energy and technology.energy is None):
                where = "constraints" if name.rpartition(" ")[2] in config.constraints else ""
                name = name.replace("objectives", where or "objectives")
                raise ConfigError(
                    f"{name}: {technology.name} has no delays or energies; take a "
                    "technology that has, such as asap7, or leave it out"
                )


def _check_sizes(path: str, config: SweepConfig, workload: Workload) -> None:
    """ConfigError unless every count of cycles and bits fits 64-bit integers."""
    tokens = sum(tokens * times for tokens, times in config.workload.passes)
    padded = tokens * sum(
        layer.count
        * (layer.shape.in_features + 8 * MAX_SIZE)
        * (layer.shape.out_features + MAX_SIZE)
        for layer in workload.layers
    )
    limit = bits_per_cycle(config)
    lags = 1 if limit is None else 2 * max(WIDEST_WEIGHT * limit.denominator, 8 * limit.numerator)
    if padded >= 1 << 50 or padded * lags >= 1 << 62:
        less = "fewer tokens" if limit is None else "fewer tokens, or a rounder bits_per_cycle"
        raise ConfigError(f"{path}: workload: has too many cycles to count exactly; give {less}")


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def describe_tools() -> dict[str, Any]:
    """Versions that the numbers depend on."""
    packages = ("hwgen", "numpy", "numba", "pandas", "pyarrow", "pydantic")
    return {name: version(name) for name in packages}
