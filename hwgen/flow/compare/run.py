"""hwgen compare: cores side by side, each really synthesised in the same flow."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd

from costmodel.catalog import library_names
from costmodel.synth.libraries import MissingFilesError, TechnologyFiles, find_library
from costmodel.synth.yosys import Synthesis
from hwgen.base.errors import ConfigError
from hwgen.base.files import write_atomically
from hwgen.base.jobs import workers
from hwgen.base.record import Record
from hwgen.base.yamlfile import Source, source_name
from hwgen.flow.compare.file import CompareConfig, load_comparison
from hwgen.spec.config import CoreConfig
from hwgen.verilog.emit import emit

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

    ratio: area per weight over that of the baseline. delay_ns: least clock period, None without
    delays. full_adders: sums were mapped to the library's adder cells.
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
    delay_ns: float | None
    clock_ns: float | None


@dataclass(frozen=True)
class Comparison(Record):
    """All rows, technology by technology in the order of the file."""

    drawn_in = "compare"
    config: CompareConfig
    rows: list[Row]
    folder: Path

    def to_dict(self) -> dict[str, Any]:
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
    comparison: Source | CompareConfig,
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
    config, cores = load_comparison(comparison)
    if techs:
        libraries = {name: find_library(name) for name in techs}
    else:
        found = ((name, _find_files(name)) for name in library_names())
        libraries = {name: library for name, library in found if library is not None}
    _check_clocks(config, source_name(comparison, "comparison"))
    jobs = [
        _Job(core, name, timing)
        for name, library in libraries.items()
        for core in cores.values()
        for timing in (False, True)
        if not timing or library.info.conditions is not None
    ]
    done: dict[_Job, Synthesis] = {}
    with workers() as pool:
        for job, result in zip(jobs, pool.map(_Job.run, jobs), strict=True):
            done[job] = result
            progress(len(done), len(jobs))
    rows: list[Row] = []
    for name, library in libraries.items():
        unit, gate = library.info.area_unit, library.gate_area()
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
                    delay_ns=None if timed is None else timed.delay_ns,
                    clock_ns=config.clock_ns.get(name),
                )
            )
    folder = out or Path("results") / str(config.name)
    table = io.StringIO()
    pd.DataFrame([asdict(row) for row in rows]).to_csv(table, index=False, lineterminator="\n")
    write_atomically({folder / "comparison.csv": table.getvalue()})
    return Comparison(config, rows, folder)


def _find_files(name: str) -> TechnologyFiles | None:
    """A technology's files, None if they are missing; ConfigError for faults in its description."""
    try:
        return find_library(name)
    except MissingFilesError:
        return None


def _check_clocks(config: CompareConfig, path: str) -> None:
    """ConfigError for clock periods of technologies that are unknown or have no delays."""
    names, faults = library_names(), []
    for name in config.clock_ns:
        where = f"{path}: clock_ns: {name}"
        if name not in names:
            close = get_close_matches(name, names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(names)}"
            faults.append(f"{where}: should be a technology with Liberty files; {hint}")
        elif (library := _find_files(name)) is not None and library.info.conditions is None:
            faults.append(f"{where}: this technology has no delays to compare with; remove it")
    if faults:
        raise ConfigError("\n".join(faults))
