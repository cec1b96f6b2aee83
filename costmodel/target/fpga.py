"""FPGA families: look-up tables, flip-flops and carry chains as Yosys maps them."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from operator import not_
from typing import Any

from costmodel.calibrate.areas import Generated, Progress
from costmodel.calibrate.fpga import METHOD, measure_units
from costmodel.catalog import Family, load_family
from costmodel.cells.area import labelled
from costmodel.cells.delay import NoDelaysError
from costmodel.cells.energy import CoreEnergy
from costmodel.cells.energy_data import ActivityClass
from costmodel.cells.technology import UncalibratedError
from costmodel.fpga.clock import Fmax, core_fmax
from costmodel.fpga.resources import FpgaTechnology, Resources, load_fpga, predict
from costmodel.judge import fpga_records
from costmodel.judge.fpga_records import SEEDS, FpgaRecord, is_to_be_placed
from costmodel.judge.judgement import Judgement
from costmodel.judge.records import Columns
from costmodel.synth.fpga import nextpnr_version, place_and_route, synthesise_fpga
from costmodel.synth.yosys import tool_version
from costmodel.target.base import CoreCost, Installation, Measurement, Target
from costmodel.target.fpga_report import FpgaReport, fpga_report
from costmodel.target.report import Say
from hwgen.spec.config import CoreConfig
from hwgen.spec.structure import Structure

OMITTED = (
    "as Yosys maps it, products made of LUTs; a vendor's tool may pack two small LUTs into one; "
    "memory around the core is not priced"
)


@dataclass(frozen=True)
class FpgaCost(CoreCost):
    """What a core is predicted to take of an FPGA family."""

    family: Family
    resources: Resources

    @property
    def omitted(self) -> str:
        """What the columns count, and what is left out."""
        inputs, carry = self.family.lut_inputs, self.family.carry_cells
        return f"LUTs of up to {inputs} inputs; carry: {carry}; {OMITTED}"

    def status_json(self) -> dict[str, Any]:
        return {"corrected": self.corrected}

    def resources_json(self) -> dict[str, Any]:
        """Expected numbers, not rounded."""
        parts = {name: dict(part) for name, part in self.resources.by_component.items()}
        return {**self.resources.total, "components": parts}

    def clock_json(self) -> dict[str, Any]:
        if isinstance(self.clock, Fmax):
            return {"fmax_mhz": self.clock.mhz, "limiting_stage": self.clock.stage}
        return {"fmax_mhz": None, "why_no_fmax": self.clock}

    def energy_json(self) -> dict[str, Any]:
        return {}


class FpgaTarget(Target):
    """An FPGA family."""

    kind = "FPGA family"
    records = (FpgaRecord,)

    @property
    def costs(self) -> FpgaTechnology:
        """Its unit costs; ConfigError if there are none."""
        return load_fpga(self.name)

    @property
    def family(self) -> Family:
        """The family's cells, and the tools for it."""
        return load_family(self.name)

    def cost(self, spec: Structure, activity: ActivityClass) -> FpgaCost:
        try:
            clock: Fmax | str = self.clock(spec)
        except NoDelaysError as error:
            clock = str(error)
        return FpgaCost(
            counts=labelled(spec.total),
            corrected=bool(self.costs.corrections),
            clock=clock,
            energy=self._no_energy,
            family=self.family,
            resources=predict(spec, self.costs),
        )

    def clock(self, spec: Structure) -> Fmax:
        return core_fmax(spec, self.costs.delays, self.name)

    def energy(self, spec: Structure, activity: ActivityClass) -> CoreEnergy:
        raise UncalibratedError(self._no_energy)

    @property
    def _no_energy(self) -> str:
        return f"{self.name}: an FPGA has no calibrated energies"

    def installation(self) -> Installation:
        try:
            version = importlib.metadata.version("pyosys")
        except importlib.metadata.PackageNotFoundError:
            return Installation(None, "pip install pyosys", optional=False)
        return Installation(version, "", optional=False)

    def check(self) -> None:
        load_family(self.name)

    @property
    def times_synthesis(self) -> bool:
        """Never: delays are those of placed cores."""
        return False

    def report(
        self, core: CoreConfig, rtlil: str, name: str, clock_ns: float | None, say: Say
    ) -> FpgaReport:
        costs = self.costs if self.calibrated else None
        return fpga_report(core, rtlil, name, self.name, costs, say)

    def calibrate(self, generated: Generated, progress: Progress) -> FpgaTechnology:
        """Unit resources, and corrections and delays from the cores that were synthesised and
        placed, if any."""
        units = measure_units(self.name, generated, progress)
        costs = FpgaTechnology(name=self.name, tool=tool_version(), method=METHOD, units=units)
        return fpga_records.corrected(costs)

    def measurements(self) -> tuple[Measurement, ...]:
        """Synthesis, then placement of the cores that are small enough, where a tool does it."""
        device = self.family.device
        if device is None:
            return (self.synthesis,)
        nextpnr_version(device)
        return (self.synthesis, Measurement(is_to_be_placed, self.placed))

    @property
    def synthesis(self) -> Measurement:
        return Measurement(not_, self.synthesised)

    def synthesised(self, rtlil: str, name: str) -> Columns:
        """What is recorded of a synthesis."""
        return fpga_records.synthesised(synthesise_fpga(rtlil, name, self.name))

    def placed(self, rtlil: str, name: str) -> Columns:
        """What is recorded of a placement."""
        return fpga_records.placed(place_and_route(rtlil, name, SEEDS, self.name))

    def judgements(self) -> list[Judgement]:
        return fpga_records.judgements(self.name)
