"""hwgen estimate: counts, area, cycles and traffic of one core, without elaborating anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from costmodel.catalog import FAMILIES
from costmodel.cells import delay
from costmodel.cells.area import OMITTED, Area, core_area, labelled
from costmodel.cells.delay import Clock, NoDelaysError, core_clock
from costmodel.cells.energy import OMITTED as ENERGY_OMITTED
from costmodel.cells.energy import CoreEnergy, core_energy
from costmodel.cells.energy_data import ACTIVITIES
from costmodel.cells.technology import UncalibratedError, load_technology
from hwgen.base.errors import ConfigError
from hwgen.flow.estimate.fpga import FpgaEstimate, estimate_fpga
from hwgen.flow.layer import LayerUse, check_fits, layer_use, parse_layer
from hwgen.spec.config import CoreConfig, load_core
from hwgen.spec.schedule import Run
from hwgen.spec.structure import structure


@dataclass(frozen=True)
class Estimate:
    """What a core costs, and what it does to one layer."""

    core: CoreConfig
    technology: str
    counts: dict[str, int]
    area: Area
    corrected: bool
    """Whether factors fitted on whole cores are in the area; without, it is a sum of its parts."""
    clock: Clock | str
    """Or why there is none."""
    layer: LayerUse
    energy: CoreEnergy | None
    energy_note: str
    """Why there is no energy."""

    def as_json(self) -> dict[str, Any]:
        """Plain data. ``counts`` maps primitives to their number; area is in ``area_unit``."""
        return {
            "core": self.core.name,
            "technology": self.technology,
            "calibrated": self.area.calibrated,
            "corrected": self.corrected,
            "counts": self.counts,
            "area": self.area.total,
            "area_unit": self.area.unit,
            "area_by_component": dict(self.area.by_component),
            **self._clock(),
            **self.layer.as_json(),
            "omitted": OMITTED,
            **self._energy_json(),
        }

    def _energy_json(self) -> dict[str, Any]:
        energy = self.energy
        if energy is None:
            missing = ("energy_fj_per_tile", "energy_fj_per_mac", "leakage_mw")
            return {**dict.fromkeys(missing), "why_no_energy": self.energy_note}
        return {
            "energy_fj_per_tile": energy.fj_per_tile,
            "energy_fj_per_mac": energy.fj_per_mac,
            "energy_by_component_fj_per_tile": dict(energy.by_component),
            "clock_energy_fj_per_tile": energy.clock_fj_per_tile,
            "leakage_mw": energy.leakage_mw,
            "activity": energy.activity,
            "energy_omitted": ENERGY_OMITTED,
        }

    def _clock(self) -> dict[str, Any]:
        if isinstance(self.clock, str):
            return {"clock_ns": None, "why_no_clock": self.clock}
        return {
            "clock_ns": self.clock.period_ns,
            "limiting_stage": self.clock.stage,
            "clock_ns_by_stage": dict(self.clock.by_stage),
            "clock_omitted": delay.OMITTED,
        }


def estimate(
    core: Path, technology: str, layer: str | None = None, activity: str = "random"
) -> Estimate | FpgaEstimate:
    """Estimate the core in ``core``.

    layer: "T,N,M", by default one token of its largest. activity: class of data for the energy.
    """
    if activity not in ACTIVITIES:
        known = " or ".join(ACTIVITIES)
        raise ConfigError(f"--activity: should be {known}, not {activity!r}")
    config = load_core(core)
    run = Run(1, config.max_in_features, config.max_out_features)
    if layer is not None:
        run = parse_layer(layer)
        check_fits(config, "--layer", run.in_features, run.out_features)
    if technology in FAMILIES:
        return estimate_fpga(config, technology, run)
    tech = load_technology(technology)
    spec = structure(config)
    try:
        clock: Clock | str = core_clock(spec, tech.delays, tech.name)
    except NoDelaysError as error:
        clock = str(error)
    try:
        energy, note = core_energy(spec, tech, activity), ""
    except UncalibratedError as error:
        energy, note = None, str(error)
    return Estimate(
        core=config,
        technology=tech.name,
        counts=labelled(spec.total),
        area=core_area(spec, tech),
        corrected=tech.corrections is not None,
        clock=clock,
        layer=layer_use(config, run),
        energy=energy,
        energy_note=note,
    )
