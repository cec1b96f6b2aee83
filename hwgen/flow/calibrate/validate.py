"""hwgen validate: the cost model against cores that it was never fitted to."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from matplotlib.figure import Figure

from costmodel.cells.technology import load_technology
from costmodel.explore.plots import Panel, picture, validation_figure
from costmodel.judge.cell_records import HOLDOUT, measured, read_rows, results_file
from costmodel.judge.judgement import Judgement, judgements_of, shown
from costmodel.judge.samples import Sample, load_samples
from costmodel.synth.libraries import find_library
from costmodel.synth.yosys import Synthesis
from hwgen.base.errors import ConfigError
from hwgen.base.files import check_figure, write_atomically
from hwgen.base.jobs import workers
from hwgen.flow.calibrate.cell_samples import Progress, synthesise_sample


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
