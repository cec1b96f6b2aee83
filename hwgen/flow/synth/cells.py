"""One core in the cells of a library, beside the estimate."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

from costmodel.cells.area import core_area
from costmodel.cells.delay import Clock, core_clock
from costmodel.cells.technology import UncalibratedError, load_technology, technologies
from costmodel.netlist.timing import PathStep
from costmodel.synth.libraries import TechnologyFiles
from costmodel.synth.yosys import Synthesis
from hwgen.flow.synth.components import (
    BUILD,
    BY_MODULE,
    PARTS,
    Progress,
    component,
    emit_core,
    error_percent,
    modules,
    most_frequent,
)
from hwgen.spec.config import CoreConfig
from hwgen.spec.structure import Structure, structure


@dataclass(frozen=True)
class Part:
    """One component of the hierarchical run; ``estimate`` is None without unit costs."""

    area: float
    estimate: float | None

    @property
    def error_percent(self) -> float | None:
        return error_percent(self.estimate, self.area)


@dataclass(frozen=True)
class Stage:
    """A stretch of the longest path inside one component."""

    component: str
    cells: int
    delay_ns: float


@dataclass(frozen=True)
class CellReport:
    """One core in the cells of a library. Areas are in ``unit``.

    flat: the core as a whole, which is what counts; apart: module by module. estimate: of the whole
    core, None without unit costs, and ``note`` then says why. stages: of apart's longest path.
    """

    core: CoreConfig
    technology: str
    unit: str
    parts: dict[str, Part]
    flat: Synthesis
    apart: Synthesis
    estimate: float | None
    note: str
    stages: tuple[Stage, ...]
    clock_ns: float | None
    clock: Clock | None
    """As estimated; None where there are no unit delays."""

    @property
    def error_percent(self) -> float | None:
        return error_percent(self.estimate, self.flat.area)

    @property
    def slack_ns(self) -> float | None:
        if self.clock_ns is None or self.flat.delay_ns is None:
            return None
        return self.clock_ns - self.flat.delay_ns

    @property
    def histogram(self) -> dict[str, int]:
        """The most frequent cells of the flattened core, first the most frequent one."""
        return most_frequent(self.flat.cells)

    def as_json(self) -> dict[str, Any]:
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


def synthesise_cells(
    config: CoreConfig, library: TechnologyFiles, clock_ns: float | None, progress: Progress
) -> CellReport:
    spec, emitted = structure(config), emit_core(config, progress)
    timing = library.info.conditions is not None
    progress(f"{library.name}: synthesising module by module (1 of 2)")
    apart = library.synthesise(emitted.rtlil, emitted.name, flatten=False, timing=timing)
    progress(f"{library.name}: synthesising the core as a whole (2 of 2)")
    flat = library.synthesise(emitted.rtlil, emitted.name, depth=True, timing=timing)
    found = {module.name: module.area * module.instances for module in apart.modules}
    areas = {
        name: sum(found.get(module, 0.0) for module in names)
        for name, names in modules(spec).items()
    }
    # What stands in the top module itself, or in tables and ports, joins conversions.
    areas["convert"] = max(0.0, round(apart.area - sum(areas.values()) + areas["convert"], 6))
    estimates, total, note = _estimates(spec, library.name)
    return CellReport(
        core=config,
        technology=library.name,
        unit=library.info.area_unit,
        parts={
            name: Part(areas[name], None if estimates is None else estimates[name])
            for name in PARTS
            if areas[name] or (estimates is not None and estimates[name])
        },
        flat=flat,
        apart=apart,
        estimate=total,
        note=note,
        stages=_stages(apart.critical_path),
        clock_ns=clock_ns,
        clock=_clock(spec, library.name),
    )


def _estimates(
    spec: Structure, technology: str
) -> tuple[dict[str, float] | None, float | None, str]:
    """By part, in total, and why there are none."""
    if technology not in technologies():
        return None, None, f"no unit costs yet: hwgen calibrate {technology}"
    try:
        area = core_area(spec, load_technology(technology))
    except UncalibratedError as error:
        return None, None, str(error)
    by_part = {name: area.by_component.get(name, 0.0) for name in PARTS}
    by_part[BUILD] = area.by_component["build"] + area.by_component["tables"]
    return by_part, area.total, ""


def _clock(spec: Structure, technology: str) -> Clock | None:
    if technology not in technologies():
        return None
    model = load_technology(technology).delays
    return None if model is None else core_clock(spec, model, technology)


def _stages(path: tuple[PathStep, ...]) -> tuple[Stage, ...]:
    stretches = [(name, list(steps)) for name, steps in groupby(path, _component_of)]
    return tuple(
        Stage(name, len(steps), sum(step.delay_ns for step in steps)) for name, steps in stretches
    )


def _component_of(step: PathStep) -> str:
    return component(step.instance)
