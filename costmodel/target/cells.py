"""Technologies of cells: Liberty files, areas, delays and energies."""

from __future__ import annotations

from dataclasses import dataclass
from operator import not_
from typing import Any

from costmodel.calibrate.areas import Generated, Progress
from costmodel.calibrate.areas import calibrate as measure_areas
from costmodel.calibrate.delays import unit_delays
from costmodel.cells import delay, energy
from costmodel.cells.area import OMITTED, Area, core_area, labelled
from costmodel.cells.delay import Clock, NoDelaysError, core_clock
from costmodel.cells.energy import CoreEnergy, core_energy
from costmodel.cells.energy_data import ActivityClass
from costmodel.cells.technology import Technology, UncalibratedError, load_technology
from costmodel.judge import cell_records, energy_records
from costmodel.judge.cell_records import CellRecord, measured
from costmodel.judge.energy_records import EnergyRecord, with_energies
from costmodel.judge.judgement import Judgement
from costmodel.judge.records import Columns
from costmodel.synth.libraries import find_library
from costmodel.target.base import CoreCost, Installation, Measurement, Target
from costmodel.target.cell_report import CellReport, cell_report
from costmodel.target.report import Say
from hwgen.base.errors import ConfigError
from hwgen.spec.config import CoreConfig
from hwgen.spec.structure import Structure


@dataclass(frozen=True)
class CellCost(CoreCost):
    """What a core is predicted to cost in cells."""

    area: Area

    @property
    def omitted(self) -> str:
        return OMITTED

    def status_json(self) -> dict[str, Any]:
        return {"calibrated": self.area.calibrated, "corrected": self.corrected}

    def resources_json(self) -> dict[str, Any]:
        return {
            "area": self.area.total,
            "area_unit": self.area.unit,
            "area_by_component": dict(self.area.by_component),
        }

    def clock_json(self) -> dict[str, Any]:
        if not isinstance(self.clock, Clock):
            return {"clock_ns": None, "why_no_clock": self.clock}
        return {
            "clock_ns": self.clock.period_ns,
            "limiting_stage": self.clock.stage,
            "clock_ns_by_stage": dict(self.clock.by_stage),
            "clock_omitted": delay.OMITTED,
        }

    def energy_json(self) -> dict[str, Any]:
        if isinstance(self.energy, str):
            missing = ("energy_fj_per_tile", "energy_fj_per_mac", "leakage_mw")
            return {**dict.fromkeys(missing), "why_no_energy": self.energy}
        return {
            "energy_fj_per_tile": self.energy.fj_per_tile,
            "energy_fj_per_mac": self.energy.fj_per_mac,
            "energy_by_component_fj_per_tile": dict(self.energy.by_component),
            "clock_energy_fj_per_tile": self.energy.clock_fj_per_tile,
            "leakage_mw": self.energy.leakage_mw,
            "activity": self.energy.activity,
            "energy_omitted": energy.OMITTED,
        }


class CellTarget(Target):
    """A technology of cells."""

    kind = "technology"
    records = (CellRecord, EnergyRecord)

    @property
    def costs(self) -> Technology:
        """Its unit costs; ConfigError if there are none."""
        return load_technology(self.name)

    def cost(self, spec: Structure, activity: ActivityClass) -> CellCost:
        costs = self.costs
        try:
            clock: Clock | str = self.clock(spec)
        except NoDelaysError as error:
            clock = str(error)
        try:
            core: CoreEnergy | str = self.energy(spec, activity)
        except UncalibratedError as error:
            core = str(error)
        return CellCost(
            counts=labelled(spec.total),
            corrected=costs.corrections is not None,
            clock=clock,
            energy=core,
            area=core_area(spec, costs),
        )

    def clock(self, spec: Structure) -> Clock:
        return core_clock(spec, self.costs.delays, self.name)

    def energy(self, spec: Structure, activity: ActivityClass) -> CoreEnergy:
        return core_energy(spec, self.costs, activity)

    def installation(self) -> Installation:
        """Whether its Liberty files are here, without reading them."""
        optional = self.name != "generic"
        try:
            files = find_library(self.name).files
        except ConfigError as error:
            head = f"technology {self.name}: should have Liberty files: "
            return Installation(None, str(error).removeprefix(head), optional)
        return Installation(
            f"{len(files)} Liberty file{'s' if len(files) > 1 else ''}", "", optional
        )

    def check(self) -> None:
        find_library(self.name).check()

    @property
    def times_synthesis(self) -> bool:
        return find_library(self.name).info.conditions is not None

    def report(
        self, core: CoreConfig, rtlil: str, name: str, clock_ns: float | None, say: Say
    ) -> CellReport:
        costs = self.costs if self.calibrated else None
        return cell_report(core, rtlil, name, find_library(self.name), costs, clock_ns, say)

    def calibrate(self, generated: Generated, progress: Progress) -> Technology:
        """Unit areas and delays, corrections from the cores that were synthesised, and energies
        from those that were simulated, if any."""
        library = find_library(self.name)
        areas = measure_areas(library, generated, progress)
        delays = unit_delays(library, generated, progress)
        units = areas.model_copy(update={"delays": delays})
        return with_energies(cell_records.corrected(units))

    def measurements(self) -> tuple[Measurement, ...]:
        find_library(self.name)
        return (self.synthesis,)

    @property
    def synthesis(self) -> Measurement:
        return Measurement(not_, self.synthesised)

    def synthesised(self, rtlil: str, name: str) -> Columns:
        """What is recorded of a synthesis, with delay where the library has any."""
        library = find_library(self.name)
        timing = library.info.conditions is not None
        result = library.synthesise(rtlil, name, depth=True, timing=timing)
        return measured(result, library.info.area_unit)

    def judgements(self) -> list[Judgement]:
        return [*cell_records.judgements(self.name), *energy_records.judgements(self.name)]
