"""hwgen validate: the cost model against cores that it was never fitted to."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pandas as pd
from matplotlib.figure import Figure

from costmodel.judge import Errors, judge
from costmodel.libraries import find_library
from costmodel.plots import Panel, picture, validation_figure
from costmodel.sampling import Sample, load_samples
from costmodel.synth import Synthesis
from costmodel.technology import load_technology, technologies
from hwgen.config import ConfigError
from hwgen.files import check_figure, write_atomically
from hwgen.flow.energies import held_out
from hwgen.flow.holdout import (
    HOLDOUT,
    Progress,
    lines,
    measured,
    read_rows,
    results_file,
    synthesise_sample,
)
from hwgen.jobs import workers

NAMES = {
    "delay": "clock period",
    "energy, random": "energy, random data",
    "energy, digits": "energy, the digits",
    "lut": "LUTs",
    "ff": "flip-flops",
    "carry": "carry cells",
    "fmax_mhz": "highest clock",
}
"""What people call quantities; others are called what they are."""


@dataclass(frozen=True)
class Judgement:
    """Errors of one model for one quantity by group; ``left_out``: cores without a prediction."""

    quantity: str
    model: str
    unit: str
    errors: list[Errors]
    left_out: int
    cores: pd.DataFrame
    """Columns name, group, predicted_<quantity>, synthesised_<quantity>."""

    def as_json(self) -> dict[str, Any]:
        return {
            "quantity": self.quantity,
            "model": self.model,
            "unit": self.unit,
            "errors": [errors._asdict() for errors in self.errors],
            "left_out": self.left_out,
        }


@dataclass(frozen=True)
class Validation:
    """The model against the recorded hold-out, and some of its records against synthesis anew."""

    technology: str
    judgements: list[Judgement]
    missing: int
    """Cores of the list that were not synthesised yet."""
    recomputed: int
    different: list[str]
    """Cores whose synthesis anew gave other numbers than the record's."""

    def as_json(self) -> dict[str, Any]:
        return {
            "technology": self.technology,
            "judgements": [judgement.as_json() for judgement in self.judgements],
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
    costs = load_technology(tech)
    if recompute != 0:
        find_library(tech)
    rows = read_rows(results_file(tech, HOLDOUT))

    def differs(sample: Sample, result: Synthesis) -> bool:
        found = measured(result, costs.area_unit)
        return any(rows[sample.name][name] != value for name, value in found.items())

    work = partial(synthesise_sample, tech)
    again = synthesise_again(tech, rows, recompute, work, differs, progress)
    return Validation(tech, judgements_of(tech), *again)


ResultT = TypeVar("ResultT")


class Again(NamedTuple):
    """Cores without a record, how many with one were synthesised again, and which differ."""

    missing: int
    recomputed: int
    different: list[str]


def synthesise_again(
    tech: str,
    rows: Collection[str],
    recompute: int | None,
    work: Callable[[Sample], ResultT],
    differs: Callable[[Sample, ResultT], bool],
    progress: Progress,
) -> Again:
    """Do ``work`` for recorded cores, the smallest first, and ask of each whether it ``differs``.

    rows: names of the recorded ones. recompute: how many; None: all. Raises ConfigError if no core
    is recorded.
    """
    samples = load_samples().of(*HOLDOUT)
    there = sorted((s for s in samples if s.name in rows), key=lambda sample: sample.cells)
    if not there:
        raise ConfigError(
            f"technology {tech}: no hold-out core was synthesised; run "
            f"`hwgen calibrate {tech} --holdout`"
        )
    again, different = there[:recompute], []
    with workers() as pool:
        for done, (sample, result) in enumerate(zip(again, pool.map(work, again), strict=True), 1):
            if differs(sample, result):
                different.append(sample.name)
            progress(sample.name, done, len(again))
    return Again(len(samples) - len(there), len(again), different)


def judgements_of(tech: str) -> list[Judgement]:
    """Every quantity of the recorded hold-out that the technology has, by every model.

    A core that a model cannot predict at all (the paper's, some) is left out and counted.
    """
    costs = load_technology(tech)
    rows = read_rows(results_file(tech, HOLDOUT))
    table = pd.DataFrame(lines(load_samples().of(*HOLDOUT), rows, costs))
    unit = costs.area_unit
    found = f"synthesised_area_{unit}"
    judgements = [
        _judge(table, "area", "hwgen", unit, f"predicted_area_{unit}", found),
        _judge(table, "area", "paper", unit, f"paper_area_{unit}", found),
    ]
    if costs.delays is not None:
        columns = "predicted_delay_ns", "synthesised_delay_ns"
        judgements.append(_judge(table, "delay", "hwgen", "ns", *columns))
    judgements += [
        Judgement(found.quantity, "hwgen", found.unit, found.errors, 0, found.cores)
        for found in held_out(tech)
    ]
    return judgements


def _judge(
    table: pd.DataFrame, quantity: str, model: str, unit: str, predicted: str, found: str
) -> Judgement:
    there = table[table[predicted] != ""]
    columns = {predicted: f"predicted_{quantity}", found: f"synthesised_{quantity}"}
    cores = there[["name", "group", *columns]].rename(columns=columns)
    left_out = len(table) - len(there)
    return Judgement(quantity, model, unit, judge(cores, quantity), left_out, cores)


def recorded() -> list[str]:
    """Technologies with a recorded hold-out."""
    return [tech for tech in technologies() if results_file(tech, HOLDOUT).exists()]


def shown(judgement: Judgement) -> str:
    """A quantity with its unit, for people."""
    unit = {"um2": "µm²", "ge": "gate equivalents"}.get(judgement.unit, judgement.unit)
    title = NAMES.get(judgement.quantity, judgement.quantity)
    return title if unit == "cells" else f"{title}, {unit}"


def figure_of(results: list[Validation]) -> Figure:
    """Predicted against synthesised of every technology and quantity."""
    panels = [
        [
            Panel(
                f"{result.technology}: {shown(judgement)}",
                judgement.cores,
                judgement.quantity,
                judgement.errors[-1].mean,
            )
            for judgement in result.judgements
            if judgement.model == "hwgen"
        ]
        for result in results
    ]
    return validation_figure(panels)


def write_figure(results: list[Validation], path: Path) -> None:
    """`figure_of` as a .png or .svg file."""
    check_figure(path)
    write_atomically({path: picture(figure_of(results), path.suffix.lstrip("."))})
