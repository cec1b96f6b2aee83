"""hwgen validate: the cost model against cores that it was never fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from costmodel.explore.plots import Panel, picture, validation_figure
from costmodel.judge.judgement import Judgement, shown
from costmodel.judge.records import HOLDOUT, Columns, Rows
from costmodel.judge.samples import Sample
from costmodel.target.base import Measurement
from costmodel.target.choice import find_target, recorded_targets
from hwgen.base.errors import ConfigError
from hwgen.base.files import check_figure, write_atomically
from hwgen.base.jobs import workers
from hwgen.base.record import Record
from hwgen.flow.calibrate.samples import Progress, measure_sample


@dataclass(frozen=True)
class Validation(Record):
    """The model against the recorded hold-out, and some of its records against new synthesis."""

    drawn_in = "validate"
    technology: str
    judgements: list[Judgement]
    missing: int
    """Number of cores of the list that were not synthesised yet."""
    recomputed: int
    different: list[str]
    """Cores whose new synthesis gave other numbers than the record's."""

    def figure(self, *others: Validation) -> Figure:
        """Predicted against synthesised, of this technology and others."""
        return figure_of([self, *others])

    def to_dict(self) -> dict[str, Any]:
        return {
            "technology": self.technology,
            "judgements": [judgement.to_dict() for judgement in self.judgements],
            "missing": self.missing,
            "recomputed": self.recomputed,
            "different": self.different,
        }


def recorded() -> list[str]:
    """Technologies that can be validated: those with a recorded hold-out."""
    return [target.name for target in recorded_targets()]


def validate(
    tech: str,
    recompute: int | None = None,
    progress: Progress = lambda name, done, total: None,
) -> Validation:
    """Errors of the model on the hold-out cores that were measured, by quantity and group.

    recompute: number of these cores, the smallest first, to synthesise again (they are not placed
    again); the default is all. Raises ConfigError if no core was measured, or for an unknown
    technology or missing files.
    """
    target = find_target(tech)
    if recompute != 0:
        target.check()
    record = target.record(HOLDOUT)
    rows = record.rows()
    measured = sorted((s for s in record.samples if s.name in rows), key=lambda s: s.cells)
    if not measured:
        raise ConfigError(
            f"technology {tech}: no hold-out core was synthesised; run "
            f"`hwgen calibrate {tech} --holdout`"
        )
    again = measured[:recompute]
    different = _different(again, target.synthesis, rows, progress)
    missing = len(record.samples) - len(measured)
    return Validation(tech, target.judgements(), missing, len(again), different)


def _different(
    again: Sequence[Sample], synthesis: Measurement, rows: Rows, progress: Progress
) -> list[str]:
    """Names of the cores whose new synthesis differs from the record."""
    different = []
    work = partial(measure_sample, synthesis.run)
    with workers() as pool:
        results = zip(again, pool.map(work, again), strict=True)
        for done, (sample, columns) in enumerate(results, 1):
            if _differs(rows[sample.name], columns):
                different.append(sample.name)
            progress(sample.name, done, len(again))
    return different


def _differs(row: Columns, columns: Columns) -> bool:
    """Whether new columns have other numbers; the tool's version is not one."""
    return any(row[name] != value for name, value in columns.items() if name != "tool")


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
