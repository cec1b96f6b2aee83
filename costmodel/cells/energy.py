"""Energy of a core from structural counts: per tile, per multiply-accumulate, and its leakage.

A tile is the work of one cycle of a core at full speed: L·µ inputs by K outputs. Each primitive
costs

    unit area × fJ per µm² of its group and activity class × times per tile
    + flip-flop bits × clock energy × cycles per tile

Unit areas are those of ``costmodel.cells.area``, uncorrected: within a group, energy is
proportional to size, as the same gates switch at the same rate. The times per tile are 1/reuse for
logic that fills tables and registers that hold them, for conversions of activations, and for the
flip-flop of each accumulator (the multiplexer of its enable sees a new sum with every tile);
otherwise 1. Every flip-flop sees the clock in every cycle, as no clock is gated. Rates are fitted
on gate-level simulations of whole cores (`costmodel.judge.energy_records`).

The model leaves out glitches (simulation is without delays), wires, the clock tree and memory
around the core.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from costmodel.cells.energy_data import GROUPS, ActivityClass, EnergyModel, energy_group
from costmodel.cells.technology import Technology, UncalibratedError
from hwgen.spec.primitive import Counts, Family, Primitive
from hwgen.spec.structure import COMPONENTS, Structure

RIDGE = 0.02
"""Weight of an additional equation for each group, which says that its rate is the common one; the
unit is a training core that consists of that group alone, as in ``costmodel.cells.corrections``."""
OMITTED = "glitches, wires, clock tree, memory around the core"


class UnitEnergy(NamedTuple):
    """Energy of a primitive, a unit or a core, fJ."""

    tile_fj: float
    """Energy for every tile."""
    block_fj: float
    """Energy for every ``reuse`` tiles, for which a table is built once."""
    clock_fj: float
    """Energy for every cycle: that of the clock pins of its flip-flops."""

    def of_tile(self, reuse: int, cycles: float) -> float:
        """Energy of a tile that takes ``cycles`` cycles, fJ."""
        return self.tile_fj + self.block_fj / reuse + self.clock_fj * cycles


@dataclass(frozen=True)
class CoreEnergy:
    """Energy of one core at full speed. ``by_component`` adds up to ``fj_per_tile``."""

    fj_per_tile: float
    fj_per_mac: float
    by_component: Mapping[str, float]
    clock_fj_per_tile: float
    clock_fj_per_cycle: float
    leakage_mw: float
    activity: ActivityClass


def energies(technology: Technology) -> EnergyModel:
    """The energies of a technology; UncalibratedError, which says what to do, if it has none."""
    if technology.energy is not None:
        return technology.energy
    if technology.area_unit == "ge":
        raise UncalibratedError(
            f"{technology.name}: has no energies, as its cells have none; take a technology whose "
            "Liberty files have power tables"
        )
    raise UncalibratedError(
        f"{technology.name}: has no energies; run `hwgen calibrate {technology.name} --energy`"
    )


def unit_energy(
    component: str, counts: Counts, technology: Technology, activity: ActivityClass
) -> UnitEnergy:
    """Energy of one unit of a component, with arguments as of ``costmodel.cells.area.unit_area``.

    Raises UncalibratedError for an unknown primitive, group or activity class.
    """
    model = energies(technology)
    rates = model.fj_per_um2.get(activity)
    if rates is None:
        raise UncalibratedError(f"{technology.name}: has no energies for {activity!r} data")
    tile = block = clock = 0.0
    for primitive, number in counts.items():
        rate = number * _rate(rates, component, primitive, technology)
        at_tile, at_block = busy_area(component, primitive, technology)
        tile += rate * at_tile
        block += rate * at_block
        clock += number * clock_bits(primitive, technology) * model.clock_fj_per_bit
    return UnitEnergy(tile, block, clock)


def unit_leakage_nw(component: str, counts: Counts, technology: Technology) -> float:
    """Leakage of one unit of a component; UncalibratedError as from ``unit_energy``."""
    rates = energies(technology).leakage_nw_per_um2
    return sum(
        (
            number
            * technology.unit_area(primitive)
            * _rate(rates, component, primitive, technology)
            for primitive, number in counts.items()
        ),
        start=0.0,
    )


def core_energy(
    structure: Structure,
    technology: Technology,
    activity: ActivityClass = "random",
    cycles: float | None = None,
) -> CoreEnergy:
    """Energy per tile and leakage of a whole core; UncalibratedError without energies.

    cycles: cycles per tile; default: those of a layer of many n-tiles, without stalls.
    """
    config = structure.config
    cycles = structure.schedule.slots_per_tile if cycles is None else cycles
    parts = dict.fromkeys(COMPONENTS, 0.0)
    clock = leakage = 0.0
    for component, number, counts in structure.units:
        unit = unit_energy(component, counts, technology, activity)
        parts[component] += number * unit.of_tile(config.reuse, cycles)
        clock += number * unit.clock_fj
        leakage += number * unit_leakage_nw(component, counts, technology)
    total = sum(parts.values())
    return CoreEnergy(
        fj_per_tile=total,
        fj_per_mac=total / (config.tile_n * config.tile_m),
        by_component=parts,
        clock_fj_per_tile=clock * cycles,
        clock_fj_per_cycle=clock,
        leakage_mw=leakage * 1e-6,
        activity=activity,
    )


def work_fj(
    tiles: Any, core_cycles: Any, per_tile: Any, fj_per_tile: Any, clock_fj_per_cycle: Any
) -> Any:
    """Energy of ``tiles`` tiles in ``core_cycles`` cycles, without leakage, fJ; numbers or arrays.

    core_cycles: of one core, or the sum of the cycles of several.
    per_tile: `Schedule.slots_per_tile`, for which ``fj_per_tile`` holds. In further cycles, of
        filling, draining and waiting, only the clock takes energy.
    """
    return tiles * fj_per_tile + (core_cycles - tiles * per_tile) * clock_fj_per_cycle


def busy_area(component: str, primitive: Primitive, technology: Technology) -> tuple[float, float]:
    """Uncorrected area of a primitive: the part that works for every tile, that for every block."""
    area = technology.unit_area(primitive)
    if component in ("build", "tables") or primitive.family is Family.TO_FIXED:
        return 0.0, area
    if component == "accumulate" and primitive.kind == "register_enable":
        plain = min(area, technology.unit_area(primitive._replace(kind="register")))
        return area - plain, plain
    return area, 0.0


def clock_bits(primitive: Primitive, technology: Technology) -> float:
    """Flip-flops of one primitive; those in floating-point units follow from the area."""
    if primitive.family is Family.REGISTER:
        return primitive.width
    if primitive.family in (Family.FP_ADD, Family.FP_MUL) and primitive.fan_in > 1:
        plain = technology.unit_area(primitive._replace(fan_in=1))
        bit = technology.unit_area(Primitive("register_enable", 16)) / 16
        return max(0.0, technology.unit_area(primitive) - plain) / bit
    return 0


class Sizes(NamedTuple):
    """What the energies of a core are fitted to: area by group, µm², and flip-flops."""

    busy: dict[str, float]
    """Uncorrected area × the times per tile that it works."""
    all: dict[str, float]
    clock_bits: float


def core_sizes(structure: Structure, technology: Technology) -> Sizes:
    """Sizes of a whole core."""
    busy, everything, bits = dict.fromkeys(GROUPS, 0.0), dict.fromkeys(GROUPS, 0.0), 0.0
    for component, units, counts in structure.units:
        for primitive, each in counts.items():
            number, group = units * each, energy_group(component, primitive)
            at_tile, at_block = busy_area(component, primitive, technology)
            busy[group] += number * (at_tile + at_block / structure.config.reuse)
            everything[group] += number * (at_tile + at_block)
            bits += number * clock_bits(primitive, technology)
    return Sizes(busy, everything, bits)


def fit_rates(sizes: Sequence[Mapping[str, float]], measured: Sequence[float]) -> dict[str, float]:
    """Rate of each group that occurs, such that Σ size × rate comes near the measured values.

    The fit is by least squares of the relative error, with `RIDGE` towards one rate for all groups;
    no rate is below 0.
    """
    names = [name for name in GROUPS if any(core[name] for core in sizes)]
    relative = np.array([[core[name] for name in names] for core in sizes], float)
    relative /= np.asarray(measured, float)[:, None]
    common = 1 / relative.sum(axis=1).mean()
    rows = np.concatenate([relative * common, np.sqrt(RIDGE) * np.eye(len(names))])
    right = np.concatenate([np.ones(len(relative)), np.full(len(names), np.sqrt(RIDGE))])
    factors = np.linalg.lstsq(rows, right, rcond=None)[0]
    rates = np.maximum(factors, 0.0) * common
    return {name: float(f"{rate:.5g}") for name, rate in zip(names, rates, strict=True)}


def _rate(
    rates: Mapping[str, float], component: str, primitive: Primitive, technology: Technology
) -> float:
    group = energy_group(component, primitive)
    if group not in rates:
        raise UncalibratedError(
            f"{technology.name}: {group}: has no energy, as no training core has it; run "
            f"`hwgen calibrate {technology.name} --energy` with larger cores"
        )
    return rates[group]
