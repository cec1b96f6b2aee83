"""hwgen calibrate --holdout, --training: whole cores synthesised, beside what the model says.

Results are data: ``costmodel/holdout/<tech>.csv`` and ``costmodel/training/<tech>.csv``, a row a
core, in the order of the drawn list (`costmodel.sampling`). A row that is there is not synthesised
again; predictions are made anew every time.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from costmodel.area import core_area
from costmodel.corrections import GROUPS, fit, group_areas
from costmodel.judge import Errors, judge
from costmodel.libraries import find_library
from costmodel.residual import Residual
from costmodel.sampling import CORES_FILE, Group, Sample, load_samples
from costmodel.synth import Synthesis
from costmodel.technology import Corrections, Technology, load_technology
from hwgen.config import ConfigError
from hwgen.emit import emit
from hwgen.files import write_atomically
from hwgen.structure import structure

FOLDER = CORES_FILE.parent.parent
HOLDOUT: tuple[Group, ...] = ("inside", "outside", "large")
TRAINING: tuple[Group, ...] = ("train",)
Progress = Callable[[str, int, int], None]
"""Called with the core just synthesised, how many are done, and of how many."""


def results_file(tech: str, groups: Sequence[Group]) -> Path:
    """Where the results of these groups lie."""
    return FOLDER / ("training" if "train" in groups else "holdout") / f"{tech}.csv"


def synthesise_samples(
    tech: str,
    groups: Sequence[Group] = HOLDOUT,
    most_cells: float = float("inf"),
    progress: Progress = lambda name, done, total: None,
) -> Path:
    """Synthesise every core of ``groups`` that has no row yet, the small ones first.

    most_cells: larger cores, by their estimate, are left for another time.
    Every core that is done is written at once, so that an interrupted run goes on where it stopped.
    Raises ConfigError for an unknown technology or missing files, SynthesisError.
    """
    find_library(tech)
    costs = load_technology(tech)
    path = results_file(tech, groups)
    rows = _read(path)
    samples = load_samples().of(*groups)
    waiting = [s for s in samples if s.name not in rows and s.cells <= most_cells]
    waiting.sort(key=lambda sample: sample.cells)
    done = 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        jobs: dict[Future[Synthesis], Sample] = {
            pool.submit(_synthesise, tech, sample): sample for sample in waiting
        }
        for job in as_completed(jobs):
            sample = jobs[job]
            rows[sample.name] = _measured(job.result(), costs.area_unit)
            done += 1
            _write(path, samples, rows, costs)
            progress(sample.name, done, len(waiting))
    _write(path, samples, rows, costs)
    return path


@dataclass(frozen=True)
class Validation:
    """The model against the recorded hold-out, and some of its records against synthesis anew."""

    technology: str
    errors: list[Errors]
    missing: int
    """Cores of the list that were not synthesised yet."""
    recomputed: int
    different: list[str]
    """Cores whose synthesis anew gave another area than the record's."""

    def as_json(self) -> dict[str, Any]:
        return {
            "technology": self.technology,
            "errors": [errors._asdict() for errors in self.errors],
            "missing": self.missing,
            "recomputed": self.recomputed,
            "different": self.different,
        }


def validate(
    tech: str,
    recompute: int | None = None,
    progress: Progress = lambda name, done, total: None,
) -> Validation:
    """Errors of the model on the hold-out cores that were synthesised, by group.

    recompute: how many of them, the smallest first, to synthesise again; default all.
    Raises ConfigError if none was, or for an unknown technology or missing files.
    """
    find_library(tech)
    costs = load_technology(tech)
    rows = _read(results_file(tech, HOLDOUT))
    samples = load_samples().of(*HOLDOUT)
    there = sorted((s for s in samples if s.name in rows), key=lambda sample: sample.cells)
    if not there:
        raise ConfigError(
            f"technology {tech}: no hold-out core was synthesised; run "
            f"`hwgen calibrate {tech} --holdout`"
        )
    table = pd.DataFrame(_lines(samples, rows, costs))
    again = there[:recompute]
    different = []
    area = f"synthesised_area_{costs.area_unit}"
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        work = partial(_synthesise, tech)
        for done, (sample, result) in enumerate(zip(again, pool.map(work, again), strict=True), 1):
            if result.area != float(rows[sample.name][area]):
                different.append(sample.name)
            progress(sample.name, done, len(again))
    errors = judge(table, f"area_{costs.area_unit}")
    return Validation(tech, errors, len(samples) - len(there), len(again), different)


def corrected(technology: Technology) -> Technology:
    """``technology`` with corrections fitted on the training cores that were synthesised so far.

    None are fitted on fewer cores than twice the number of factors.
    """
    rows = _read(results_file(technology.name, TRAINING))
    samples = [sample for sample in load_samples().of(*TRAINING) if sample.name in rows]
    if len(samples) < 2 * len(GROUPS):
        return technology.model_copy(update={"corrections": None})
    areas = [group_areas(structure(s.config).counts, technology) for s in samples]
    found = [float(rows[s.name][f"synthesised_area_{technology.area_unit}"]) for s in samples]
    factors = fit(areas, found)
    residual = Residual.of(
        sum(area[group] * factors[group] for group in GROUPS) / synthesised - 1
        for area, synthesised in zip(areas, found, strict=True)
    )
    corrections = Corrections(factors=factors, residual=residual)
    return technology.model_copy(update={"corrections": corrections})


def _synthesise(tech: str, sample: Sample) -> Synthesis:
    library = find_library(tech)
    emitted = emit(sample.config)
    return library.synthesise(
        emitted.rtlil,
        emitted.name,
        depth=True,
        timing=library.info.conditions is not None,
    )


def _measured(result: Synthesis, unit: str) -> dict[str, Any]:
    """What is kept of a synthesis; empty where the technology has no delays."""
    delay = result.delay_ns
    return {
        f"synthesised_area_{unit}": result.area,
        f"synthesised_sequential_area_{unit}": result.sequential_area,
        "synthesised_delay_ns": "" if delay is None else delay,
        "synthesised_depth": result.depth,
        "synthesised_cells": sum(result.cells.values()),
        "full_adders": result.full_adders,
        "tool": result.tool,
    }


def _read(path: Path) -> dict[str, dict[str, Any]]:
    """Measured columns by the name of the core."""
    if not path.exists():
        return {}
    rows: dict[str, dict[str, Any]] = {}
    for row in pd.read_csv(path, keep_default_na=False).to_dict("records"):
        rows[str(row["name"])] = {
            str(column): value
            for column, value in row.items()
            if str(column).startswith("synthesised_") or column in ("full_adders", "tool")
        }
    return rows


def _write(
    path: Path, samples: list[Sample], rows: dict[str, dict[str, Any]], costs: Technology
) -> None:
    text = io.StringIO()
    pd.DataFrame(_lines(samples, rows, costs)).to_csv(text, index=False, lineterminator="\n")
    write_atomically({path: text.getvalue()})


def _lines(
    samples: list[Sample], rows: dict[str, dict[str, Any]], costs: Technology
) -> list[dict[str, Any]]:
    """Rows of the table: the core, what the model says, and what synthesis gave."""
    unit = costs.area_unit
    lines = []
    for sample in samples:
        if sample.name not in rows:
            continue
        predicted = core_area(structure(sample.config), costs).total
        lines.append(
            {
                "name": sample.name,
                "group": sample.group,
                "beyond": sample.beyond or "",
                "config": json.dumps(sample.core),
                f"predicted_area_{unit}": predicted,
                **rows[sample.name],
            }
        )
    return lines
