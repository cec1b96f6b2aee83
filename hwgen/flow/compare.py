"""hwgen compare: cores side by side, each really synthesised in the same flow."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from costmodel.area import core_area
from costmodel.libraries import find_library, library_names
from costmodel.synth import Synthesis
from costmodel.technology import load_technology, technologies
from hwgen.comparison import CompareConfig, load_comparison
from hwgen.config import ConfigError, CoreConfig
from hwgen.emit import emit
from hwgen.files import write_atomically
from hwgen.structure import structure

Progress = Callable[[int, int], None]
SLICE_PORTS = 2
"""Ports of the slice of a core whose delay is taken for that of the whole one."""
METHOD = (
    "hierarchical: every distinct module synthesised once, nothing shared across modules, the same "
    "for all cores; sums mapped to full-adder cells where the library has them; cell area without "
    "wires, clock tree and placement"
)
TIMING = (
    f"delay: of a slice with {SLICE_PORTS} ports, from the Liberty tables, without wires; cells "
    "mapped for area"
)


@dataclass(frozen=True)
class Row:
    """One core in one technology. Areas are in ``area_unit``.

    ratio: area per weight over that of the baseline. estimated_area: by the cost model, None where
    the technology has no unit costs. delay_ns: least clock period, None without delays.
    full_adders: sums were mapped to the library's adder cells.
    """

    core: str
    technology: str
    tile_n: int
    tile_m: int
    area: float
    area_unit: str
    sequential_area: float
    area_per_weight: float
    gates_per_weight: float
    ratio: float
    full_adders: bool
    estimated_area: float | None
    delay_ns: float | None
    clock_ns: float | None


@dataclass(frozen=True)
class Comparison:
    """All rows, technology by technology in the order of the file."""

    config: CompareConfig
    rows: list[Row]
    folder: Path

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.config.name,
            "baseline": self.config.baseline,
            "rows": [asdict(row) for row in self.rows],
            "published": [entry.model_dump() for entry in self.config.published],
            "method": METHOD,
            "timing": TIMING,
        }


@dataclass(frozen=True)
class _Job:
    core: CoreConfig
    technology: str
    timing: bool

    def run(self) -> Synthesis:
        core, library = self.core, find_library(self.technology)
        if self.timing:
            ports = min(core.ports, SLICE_PORTS)
            emitted = emit(core.model_copy(update={"ports": ports}))
            return library.synthesise(emitted.rtlil, emitted.name, flatten=False, timing=True)
        emitted = emit(core)
        return library.synthesise(emitted.rtlil, emitted.name, flatten=False)


def compare(
    path: Path,
    techs: Sequence[str] = (),
    out: Path | None = None,
    progress: Progress = lambda done, total: None,
) -> Comparison:
    """Synthesise every core of a comparison file in each technology and write a table.

    techs: default: every technology whose Liberty files are found.
    out: folder for ``comparison.csv``; default ``results/<name>``.
    Results are kept in the cache folder, so that an interrupted comparison goes on where it
    stopped. Raises ConfigError for the file or a technology, SynthesisError.
    """
    config, cores = load_comparison(path)
    names = list(techs) or [name for name in library_names() if _found(name)]
    libraries = {name: find_library(name) for name in names}
    known = {name: load_technology(name) for name in names if name in technologies()}
    jobs = [
        _Job(core, name, timing)
        for name in names
        for core in cores.values()
        for timing in (False, True)
        if not timing or libraries[name].info.conditions is not None
    ]
    done: dict[_Job, Synthesis] = {}
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for job, result in zip(jobs, pool.map(_Job.run, jobs), strict=True):
            done[job] = result
            progress(len(done), len(jobs))
    rows: list[Row] = []
    for name, library in libraries.items():
        unit, gate = library.info.area_unit, library.gate_area()
        costs = known.get(name)
        base = cores[config.baseline]
        base_area = done[_Job(base, name, False)].area / (base.tile_n * base.tile_m)
        for label, core in cores.items():
            result = done[_Job(core, name, False)]
            timed = done.get(_Job(core, name, True))
            per_weight = result.area / (core.tile_n * core.tile_m)
            rows.append(
                Row(
                    core=label,
                    technology=name,
                    tile_n=core.tile_n,
                    tile_m=core.tile_m,
                    area=result.area,
                    area_unit=unit,
                    sequential_area=result.sequential_area,
                    area_per_weight=per_weight,
                    gates_per_weight=per_weight / gate,
                    ratio=per_weight / base_area,
                    full_adders=result.full_adders,
                    estimated_area=core_area(structure(core), costs).total if costs else None,
                    delay_ns=None if timed is None else timed.delay_ns,
                    clock_ns=config.clock_ns.get(name),
                )
            )
    folder = out or Path("results") / str(config.name)
    table = io.StringIO()
    pd.DataFrame([asdict(row) for row in rows]).to_csv(table, index=False, lineterminator="\n")
    write_atomically({folder / "comparison.csv": table.getvalue()})
    return Comparison(config, rows, folder)


def _found(name: str) -> bool:
    try:
        find_library(name)
    except ConfigError:
        return False
    return True
