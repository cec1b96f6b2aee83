"""One core in the cells of an FPGA family, beside its estimate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from costmodel.catalog import load_family
from costmodel.cells.technology import UncalibratedError
from costmodel.fpga.resources import RESOURCES, FpgaTechnology, predict
from costmodel.synth.fpga import FpgaSynthesis, synthesise_fpga
from costmodel.target.report import BY_MODULE, PARTS, Report, Say, by_part, joined
from hwgen.spec.config import CoreConfig
from hwgen.spec.structure import Structure, structure

COUNTED = ("lut", "ff", "carry")
"""Resources that are shown by component."""
Estimate = Mapping[str, float]
"""Expected number of each resource."""


@dataclass(frozen=True)
class ComponentResources:
    """Resources of one component in the hierarchical run; ``estimate`` is None without any."""

    lut: int
    ff: int
    carry: int
    estimate: Estimate | None = None


@dataclass(frozen=True)
class FpgaReport(Report):
    """One core in the cells of an FPGA family.

    flat: the core as a whole, which is what counts. apart: module by module.
    estimate: of the whole core; None without unit costs, and ``why`` then says why.
    """

    parts: dict[str, ComponentResources]
    flat: FpgaSynthesis
    apart: FpgaSynthesis
    estimate: Estimate | None
    why: str

    @property
    def cells(self) -> dict[str, int]:
        return self.flat.cells

    @property
    def note(self) -> str:
        family = load_family(self.technology)
        return (
            f"LUTs of up to {family.lut_inputs} inputs, which also form the products; "
            f"carry: {family.carry_cells}; "
            f"components: {self.apart.script}; total: {self.flat.script}"
            + (f"; {self.why}" if self.why else "")
        )

    def to_dict(self) -> dict[str, Any]:
        counts = (*COUNTED, "lutram", "dsp")
        return {
            "core": self.core.name,
            "technology": self.technology,
            **{name: getattr(self.flat, name) for name in counts},
            **_estimated(self.estimate),
            "components": {
                name: {what: getattr(part, what) for what in COUNTED} | _estimated(part.estimate)
                for name, part in self.parts.items()
            },
            "components_total": {what: getattr(self.apart, what) for what in COUNTED},
            "cells": sum(self.flat.cells.values()),
            "most_frequent_cells": self.histogram,
            "notes": [BY_MODULE, self.note],
            "tool": self.flat.tool,
        }


def fpga_report(
    core: CoreConfig, rtlil: str, name: str, family: str, costs: FpgaTechnology | None, say: Say
) -> FpgaReport:
    """Synthesise a core twice and set it beside its estimate. costs: None if there are none yet."""
    spec = structure(core)
    say(f"{family}: synthesising module by module (1 of 2)")
    apart = synthesise_fpga(rtlil, name, family, flatten=False)
    say(f"{family}: synthesising the core as a whole (2 of 2)")
    flat = synthesise_fpga(rtlil, name, family)
    counts = {
        what: by_part(
            spec,
            {module.name: getattr(module, what) * module.instances for module in apart.modules},
            getattr(apart, what),
        )
        for what in COUNTED
    }
    estimates, total, why = _estimates(spec, family, costs)
    parts = {
        name: ComponentResources(
            **{what: int(counts[what][name]) for what in COUNTED}, estimate=estimates.get(name)
        )
        for name in PARTS
        if any(counts[what][name] for what in COUNTED) or any(estimates.get(name, {}).values())
    }
    return FpgaReport(core, family, parts, flat, apart, total, why)


def _estimates(
    spec: Structure, family: str, costs: FpgaTechnology | None
) -> tuple[dict[str, Estimate], Estimate | None, str]:
    """Estimates of parts, of the whole core, and why there are none."""
    if costs is None:
        return {}, None, f"no unit costs yet: hwgen calibrate {family}"
    try:
        resources = predict(spec, costs)
    except UncalibratedError as error:
        return {}, None, str(error)
    return joined(resources.by_component, _sum), resources.total, ""


def _sum(some: Estimate, more: Estimate) -> Estimate:
    return {name: number + more[name] for name, number in some.items()}


def _estimated(estimate: Estimate | None) -> dict[str, float | None]:
    """Expected resources as JSON names them."""
    return {f"estimated_{name}": None if estimate is None else estimate[name] for name in RESOURCES}
