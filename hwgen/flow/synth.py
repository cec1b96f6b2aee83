"""hwgen synth: one core really synthesised, by component and as a whole, beside its estimate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from itertools import groupby
from pathlib import Path
from typing import Any

from costmodel.area import core_area
from costmodel.delay import Clock, core_clock
from costmodel.fpga import CARRY_CELLS, FAMILIES, LUT_INPUTS, FpgaSynthesis, synthesise_fpga
from costmodel.fpgacost import RESOURCES, load_fpga, predict
from costmodel.libraries import TechnologyFiles, find_library, library_names
from costmodel.synth import Synthesis
from costmodel.technology import UncalibratedError, load_technology, technologies
from costmodel.timing import PathStep
from hwgen.config import ConfigError, CoreConfig, load_core
from hwgen.emit import Emitted, emit
from hwgen.structure import Structure, structure

Progress = Callable[[str], None]
BUILD = "build+tables"
"""Build and tables are one module: the registers that hold a table cannot be told apart in it."""
PARTS = (BUILD, "fetch", "reduce", "accumulate", "control", "convert")
"""The components of ``hwgen.structure.COMPONENTS`` as far as modules tell them apart."""
SHOWN_CELLS = 10
BY_MODULE = (
    "components: every module synthesised on its own, nothing shared or buffered across modules; "
    "total: the core as a whole, flattened"
)


@dataclass(frozen=True)
class Part:
    """One component of the hierarchical run; ``estimate`` is None without unit costs."""

    area: float
    estimate: float | None

    @property
    def error_percent(self) -> float | None:
        return _error_percent(self.estimate, self.area)


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
        return _error_percent(self.estimate, self.flat.area)

    @property
    def slack_ns(self) -> float | None:
        if self.clock_ns is None or self.flat.delay_ns is None:
            return None
        return self.clock_ns - self.flat.delay_ns

    @property
    def histogram(self) -> dict[str, int]:
        """The most frequent cells of the flattened core, first the most frequent one."""
        return _most_frequent(self.flat.cells)

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


@dataclass(frozen=True)
class FpgaPart:
    """One component of the hierarchical run; ``estimate`` is None without unit costs."""

    lut: int
    ff: int
    carry: int
    estimate: Mapping[str, float] | None = None


@dataclass(frozen=True)
class FpgaReport:
    """One core in the cells of an FPGA family; ``flat`` and ``apart`` as in ``CellReport``.

    estimate: of the whole core by resource, None without unit costs, and ``why`` then says why.
    """

    core: CoreConfig
    technology: str
    parts: dict[str, FpgaPart]
    flat: FpgaSynthesis
    apart: FpgaSynthesis
    estimate: Mapping[str, float] | None
    why: str

    @property
    def histogram(self) -> dict[str, int]:
        """The most frequent cells of the flattened core, first the most frequent one."""
        return _most_frequent(self.flat.cells)

    @property
    def note(self) -> str:
        """What the columns count."""
        family = self.technology
        return (
            f"LUTs of up to {LUT_INPUTS[family]} inputs, products made of them, too; carry: "
            f"{CARRY_CELLS[family]}; components: {self.apart.script}; total: {self.flat.script}"
            + (f"; {self.why}" if self.why else "")
        )

    def as_json(self) -> dict[str, Any]:
        counts = ("lut", "ff", "carry", "lutram", "dsp")
        return {
            "core": self.core.name,
            "technology": self.technology,
            **{name: getattr(self.flat, name) for name in counts},
            **_estimated(self.estimate),
            "components": {
                name: {what: getattr(part, what) for what in counts[:3]} | _estimated(part.estimate)
                for name, part in self.parts.items()
            },
            "components_total": {what: getattr(self.apart, what) for what in counts[:3]},
            "cells": sum(self.flat.cells.values()),
            "most_frequent_cells": self.histogram,
            "notes": [BY_MODULE, self.note],
            "tool": self.flat.tool,
        }


def synth(
    core: Path,
    technology: str,
    clock_ns: float | None = None,
    progress: Progress = lambda text: None,
) -> CellReport | FpgaReport:
    """Synthesise the core in ``core`` twice: module by module, and flattened.

    technology: one with Liberty files, or an FPGA family.
    clock_ns: period to compare the delay with; ConfigError where there are no delays.
    Seconds for small cores, minutes for large ones; results are kept in the cache folder.
    Raises ConfigError for the core or the technology, SynthesisError, TimingError.
    """
    config = load_core(core)
    known = [*library_names(), *FAMILIES]
    if technology not in known:
        close = get_close_matches(technology, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
        raise ConfigError(f"technology: should be a known one, not {technology!r}; {hint}")
    if clock_ns is not None and not 0 < clock_ns < float("inf"):
        raise ConfigError(f"--clock-ns: should be above 0, not {clock_ns:g}")
    library = None if technology in FAMILIES else find_library(technology)
    if clock_ns is not None and (library is None or library.info.conditions is None):
        raise ConfigError(
            f"--clock-ns: should go with a technology with delays, not {technology}; leave it out"
        )
    if library is None:
        return _fpga(config, technology, progress)
    library.check()
    return _cells(config, library, clock_ns, progress)


def component(instance: str) -> str:
    """Component that an instance of a hierarchical run lies in, one of PARTS.

    instance: as the flattened netlist names it, such as ``table_3.build.…`` or, where the tool made
        the last part of the name, ``$flatten\\table_3.\\build.$…``.
    """
    first, second, *_ = [*instance.removeprefix("$flatten").replace("\\", "").split("."), "", ""]
    if first.startswith("table_"):
        return BUILD if second == "build" else "fetch"
    if first.startswith("port_"):
        return "accumulate" if second == "accumulate" else "reduce"
    return "control" if first == "control" else "convert"


def modules(spec: Structure) -> dict[str, tuple[str, ...]]:
    """Modules of each of PARTS; they contain everything but wires and what converts at the top."""
    converters = (spec.to_fixed, spec.from_fixed)
    return {
        BUILD: (spec.build.module_name,),
        "fetch": (spec.fetch.module_name,),
        "reduce": (spec.reduce.module_name,),
        "accumulate": (spec.accumulate.module_name,),
        "control": (spec.control.module_name,),
        "convert": tuple(unit.module_name for unit in converters if unit is not None),
    }


def _cells(
    config: CoreConfig, library: TechnologyFiles, clock_ns: float | None, progress: Progress
) -> CellReport:
    spec, emitted = structure(config), _emit(config, progress)
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


def _fpga(config: CoreConfig, family: str, progress: Progress) -> FpgaReport:
    spec, emitted = structure(config), _emit(config, progress)
    progress(f"{family}: synthesising module by module (1 of 2)")
    apart = synthesise_fpga(emitted.rtlil, emitted.name, family, flatten=False)
    progress(f"{family}: synthesising the core as a whole (2 of 2)")
    flat = synthesise_fpga(emitted.rtlil, emitted.name, family)
    found = {module.name: module for module in apart.modules}
    counts = {
        name: [
            sum(
                getattr(found[module], what) * found[module].instances
                for module in names
                if module in found
            )
            for what in ("lut", "ff", "carry")
        ]
        for name, names in modules(spec).items()
    }
    whole = (apart.lut, apart.ff, apart.carry)
    for index, number in enumerate(whole):
        counts["convert"][index] += number - sum(part[index] for part in counts.values())
    estimate, why = None, ""
    by_part: dict[str, Mapping[str, float]] = {}
    try:
        found_costs = predict(spec, load_fpga(family))
        estimate, by_part = found_costs.total, dict(found_costs.by_component)
        held = by_part.pop("tables")
        by_part[BUILD] = {name: held[name] + n for name, n in by_part.pop("build").items()}
    except UncalibratedError as error:
        why = str(error)
    parts = {
        name: FpgaPart(lut, ff, carry, by_part.get(name))
        for name, (lut, ff, carry) in ((name, counts[name]) for name in PARTS)
        if lut or ff or carry or any(by_part.get(name, {}).values())
    }
    return FpgaReport(config, family, parts, flat, apart, estimate, why)


def _estimated(estimate: Mapping[str, float] | None) -> dict[str, float | None]:
    """Expected resources as JSON names them."""
    return {f"estimated_{name}": None if estimate is None else estimate[name] for name in RESOURCES}


def _emit(config: CoreConfig, progress: Progress) -> Emitted:
    progress("generating")
    return emit(config)


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


def _error_percent(estimate: float | None, area: float) -> float | None:
    return None if estimate is None or not area else 100 * (estimate - area) / area


def _most_frequent(cells: dict[str, int]) -> dict[str, int]:
    frequent = sorted(cells.items(), key=lambda item: (-item[1], item[0]))
    return dict(frequent[:SHOWN_CELLS])
