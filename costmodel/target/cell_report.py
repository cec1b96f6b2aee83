"""One core in the cells of a library, beside its estimate."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import groupby
from operator import add
from typing import Any

from costmodel.cells.area import core_area
from costmodel.cells.delay import Clock, core_clock
from costmodel.cells.technology import Technology, UncalibratedError
from costmodel.netlist.timing import PathStep
from costmodel.synth.libraries import TechnologyFiles
from costmodel.synth.yosys import Synthesis
from costmodel.target.report import BY_MODULE, PARTS, Report, Say, by_part, component, joined
from hwgen.spec.config import CoreConfig
from hwgen.spec.structure import Structure, structure


@dataclass(frozen=True)
class ComponentArea:
    """Area of one component in the hierarchical run; ``estimate`` is None without unit costs."""

    area: float
    estimate: float | None

    @property
    def error_percent(self) -> float | None:
        return error_percent(self.estimate, self.area)


@dataclass(frozen=True)
class PathStage:
    """The part of the longest path that lies inside one component."""

    component: str
    cells: int
    delay_ns: float


@dataclass(frozen=True)
class CellReport(Report):
    """One core in the cells of a library. Areas are in ``unit``.

    flat: the core as a whole, whose area is that of the core. apart: module by module.
    estimate: of the whole core; None without unit costs, and ``note`` then says why.
    stages: of the longest path of ``apart``. clock: the estimate; None without unit delays.
    """

    unit: str
    parts: dict[str, ComponentArea]
    flat: Synthesis
    apart: Synthesis
    estimate: float | None
    why: str
    stages: tuple[PathStage, ...]
    clock_ns: float | None
    clock: Clock | None

    @property
    def cells(self) -> dict[str, int]:
        return self.flat.cells

    @property
    def note(self) -> str:
        return self.why

    @property
    def error_percent(self) -> float | None:
        return error_percent(self.estimate, self.flat.area)

    @property
    def slack_ns(self) -> float | None:
        if self.clock_ns is None or self.flat.delay_ns is None:
            return None
        return self.clock_ns - self.flat.delay_ns

    def to_dict(self) -> dict[str, Any]:
        area, flat = f"area_{self.unit}", self.flat
        return {
            "core": self.core.name,
            "technology": self.technology,
            area: flat.area,
            f"sequential_{area}": flat.sequential_area,
            f"estimated_{area}": self.estimate,
            "estimate_error_percent": self.error_percent,
            "components": {
                name: {
                    area: part.area,
                    f"estimated_{area}": part.estimate,
                    "estimate_error_percent": part.error_percent,
                }
                for name, part in self.parts.items()
            },
            f"components_{area}": self.apart.area,
            "delay_ns": flat.delay_ns,
            "estimated_delay_ns": None if self.clock is None else self.clock.period_ns,
            "estimated_stage": None if self.clock is None else self.clock.stage,
            "depth_cells": flat.depth,
            "clock_ns": self.clock_ns,
            "slack_ns": self.slack_ns,
            "path_start": flat.path_start,
            "path_end": flat.path_end,
            "critical_path": [step.model_dump() for step in flat.critical_path],
            "components_delay_ns": self.apart.delay_ns,
            "components_path": [asdict(stage) for stage in self.stages],
            "cells": sum(flat.cells.values()),
            "most_frequent_cells": self.histogram,
            "notes": [BY_MODULE, *([self.note] if self.note else [])],
            "tool": flat.tool,
        }


def cell_report(
    core: CoreConfig,
    rtlil: str,
    name: str,
    library: TechnologyFiles,
    costs: Technology | None,
    clock_ns: float | None,
    say: Say,
) -> CellReport:
    """Synthesise a core twice and set it beside its estimate. costs: None if there are none yet."""
    spec, timing = structure(core), library.info.conditions is not None
    say(f"{library.name}: synthesising module by module (1 of 2)")
    apart = library.synthesise(rtlil, name, flatten=False, timing=timing)
    say(f"{library.name}: synthesising the core as a whole (2 of 2)")
    flat = library.synthesise(rtlil, name, depth=True, timing=timing)
    by_module = {module.name: module.area * module.instances for module in apart.modules}
    areas = by_part(spec, by_module, apart.area)
    areas["convert"] = max(0.0, round(areas["convert"], 6))
    estimates, total, why = _estimates(spec, library.name, costs)
    clock = None
    if costs is not None and costs.delays is not None:
        clock = core_clock(spec, costs.delays, library.name)
    return CellReport(
        core=core,
        technology=library.name,
        unit=library.info.area_unit,
        parts={
            name: ComponentArea(areas[name], None if estimates is None else estimates[name])
            for name in PARTS
            if areas[name] or (estimates is not None and estimates[name])
        },
        flat=flat,
        apart=apart,
        estimate=total,
        why=why,
        stages=_stages(apart.critical_path),
        clock_ns=clock_ns,
        clock=clock,
    )


def error_percent(estimate: float | None, area: float) -> float | None:
    """Error of an estimate; None without one."""
    return None if estimate is None or not area else 100 * (estimate - area) / area


def _estimates(
    spec: Structure, name: str, costs: Technology | None
) -> tuple[dict[str, float] | None, float | None, str]:
    """Estimated areas of parts, of the whole core, and why there are none."""
    if costs is None:
        return None, None, f"no unit costs yet: hwgen calibrate {name}"
    try:
        area = core_area(spec, costs)
    except UncalibratedError as error:
        return None, None, str(error)
    return joined(area.by_component, add), area.total, ""


def _stages(path: tuple[PathStep, ...]) -> tuple[PathStage, ...]:
    stretches = [(name, list(steps)) for name, steps in groupby(path, _component_of)]
    return tuple(
        PathStage(name, len(steps), sum(step.delay_ns for step in steps))
        for name, steps in stretches
    )


def _component_of(step: PathStep) -> str:
    return component(step.instance)
