"""Whole cores synthesised for a cell library, beside what the model says."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from costmodel.catalog import own_folder
from costmodel.cells import delay, paper
from costmodel.cells.area import core_area
from costmodel.cells.corrections import GROUPS, fit, group_areas
from costmodel.cells.delay import DelayModel
from costmodel.cells.paths import paths
from costmodel.cells.technology import Corrections, PaperModel, Technology, load_technology
from costmodel.fit.residual import Residual
from costmodel.judge.samples import CORES_FILE, Group, Sample, load_samples
from costmodel.synth.yosys import Synthesis
from hwgen.base.files import write_atomically
from hwgen.spec.structure import Structure, structure

FOLDER = CORES_FILE.parent.parent


HOLDOUT: tuple[Group, ...] = ("inside", "outside", "large")


TRAINING: tuple[Group, ...] = ("train",)


def results_file(tech: str, groups: Sequence[Group]) -> Path:
    """Where the results of these groups lie; those of the user's own beside its files."""
    kind = "training" if "train" in groups else "holdout"
    own = own_folder(tech)
    return FOLDER / kind / f"{tech}.csv" if own is None else own / f"{kind}.csv"


def predict_again(tech: str) -> None:
    """Write the records' predictions anew, after the technology has changed."""
    costs = load_technology(tech)
    for groups in (TRAINING, HOLDOUT):
        if rows := read_rows(path := results_file(tech, groups)):
            write_record(path, load_samples().of(*groups), rows, costs)


def corrected(technology: Technology) -> Technology:
    """``technology`` with what is fitted on the training cores that were synthesised so far.

    Corrections of area and of delay, and the paper's coefficient; none of them on fewer cores than
    twice the number of factors.
    """
    rows = read_rows(results_file(technology.name, TRAINING))
    samples = [sample for sample in load_samples().of(*TRAINING) if sample.name in rows]
    if len(samples) < 2 * len(GROUPS):
        fits: dict[str, Any] = {"corrections": None, "paper": None}
        return technology.model_copy(update=fits)
    specs = [structure(sample.config) for sample in samples]
    records = [rows[sample.name] for sample in samples]
    area_found = [float(row[f"synthesised_area_{technology.area_unit}"]) for row in records]
    fits = {
        "corrections": _area_corrections(technology, specs, area_found),
        "paper": _paper(technology, specs, area_found),
    }
    if technology.delays is not None:
        delay_found = [float(row["synthesised_delay_ns"]) for row in records]
        fits["delays"] = _delay_corrections(technology, specs, delay_found)
    return technology.model_copy(update=fits)


def _area_corrections(
    technology: Technology, specs: list[Structure], found: list[float]
) -> Corrections:
    areas = [group_areas(spec.units, technology) for spec in specs]
    factors = fit(areas, found)
    errors = (
        sum(area[group] * factors[group] for group in GROUPS) / synthesised - 1
        for area, synthesised in zip(areas, found, strict=True)
    )
    return Corrections(factors=factors, residual=Residual.of(errors))


def _paper(technology: Technology, specs: list[Structure], found: list[float]) -> PaperModel:
    """On the cores that this model knows."""
    pairs = []
    for spec, area in zip(specs, found, strict=True):
        with contextlib.suppress(paper.PaperModelError):
            pairs.append((sum(paper.uncorrected(spec, technology).values()), area))
    gamma = paper.fit_gamma(*zip(*pairs, strict=True))
    return PaperModel(gamma=gamma, residual=Residual.of(gamma * a / b - 1 for a, b in pairs))


def _delay_corrections(
    technology: Technology, specs: list[Structure], found: list[float]
) -> DelayModel:
    model, name = technology.delays, technology.name
    assert model is not None
    cores = [[delay.group_delays(path, model, name) for path in paths(spec)] for spec in specs]
    fitted = model.model_copy(update={"factors": delay.fit(cores, found)})
    errors = (
        delay.core_clock(spec, fitted, name).period_ns / synthesised - 1
        for spec, synthesised in zip(specs, found, strict=True)
    )
    return fitted.model_copy(update={"residual": Residual.of(errors)})


def measured(result: Synthesis, unit: str) -> dict[str, Any]:
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


def read_rows(path: Path) -> dict[str, dict[str, Any]]:
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


def write_record(
    path: Path, samples: list[Sample], rows: dict[str, dict[str, Any]], costs: Technology
) -> None:
    write_atomically({path: table_text(samples, rows, costs)})


def table_text(samples: list[Sample], rows: dict[str, dict[str, Any]], costs: Technology) -> str:
    """The text of a record."""
    table = pd.DataFrame(lines(samples, rows, costs))
    return table.to_csv(index=False, lineterminator="\n")


def lines(
    samples: list[Sample], rows: dict[str, dict[str, Any]], costs: Technology
) -> list[dict[str, Any]]:
    """Rows of the table: the core, what the model says, and what synthesis gave.

    The paper's model has empty fields where it has no prediction; delays are empty without any.
    """
    unit = costs.area_unit
    table = []
    for sample in samples:
        if sample.name not in rows:
            continue
        spec = structure(sample.config)
        line: dict[str, Any] = {
            "name": sample.name,
            "group": sample.group,
            "beyond": sample.beyond or "",
            "config": json.dumps(sample.core),
            f"predicted_area_{unit}": core_area(spec, costs).total,
            "predicted_delay_ns": "",
            f"paper_area_{unit}": "",
        }
        if costs.delays is not None:
            clock = delay.core_clock(spec, costs.delays, costs.name)
            line["predicted_delay_ns"] = clock.period_ns
            line["predicted_stage"] = clock.stage
        with contextlib.suppress(paper.PaperModelError):
            line[f"paper_area_{unit}"] = paper.paper_area(spec, costs).total
        table.append(line | rows[sample.name])
    return table
