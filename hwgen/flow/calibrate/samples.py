"""hwgen calibrate --holdout, --training: whole cores measured, beside what the model says.

Results go to the records of `costmodel.judge.records`. A core that has been measured is not
measured again; predictions are computed again every time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import as_completed
from functools import partial
from pathlib import Path
from typing import TypeVar

from costmodel.judge.records import HOLDOUT, TRAINING, Columns
from costmodel.judge.samples import Group, Sample
from costmodel.target.choice import find_target
from hwgen.base.jobs import workers
from hwgen.verilog.emit import emit

Progress = Callable[[str, int, int], None]
"""Called with the core just measured, the number of cores that are done, and of all cores."""
MOST_CELLS = 1_000_000
"""Cores of up to this size, by their estimate, are measured unless another size is given."""


def measure_samples(
    tech: str,
    groups: Sequence[Group] = HOLDOUT,
    most_cells: float = float("inf"),
    progress: Progress = lambda name, done, total: None,
) -> Path:
    """Measure every core of ``groups`` that was not measured yet, the small ones first.

    most_cells: larger cores, by their estimate, are left for another time.
    Every core that is done is written at once, so that an interrupted run resumes where it stopped.
    Raises ConfigError for an unknown technology, missing files or tools, or without unit costs;
    SynthesisError.
    """
    target = find_target(tech)
    record, measurements = target.record(groups), target.measurements()
    rows = record.rows()
    small = [sample for sample in record.samples if sample.cells <= most_cells]

    def keep(sample: Sample, columns: Columns) -> None:
        rows[sample.name] = rows.get(sample.name, {}) | columns
        record.write(rows)

    for measurement in measurements:
        waiting = [s for s in small if measurement.is_missing(rows.get(s.name, {}))]
        work_through(waiting, partial(measure_sample, measurement.run), keep, progress)
    record.write(rows)
    return record.path


def measure_sets(
    tech: str,
    training: bool,
    holdout: bool,
    most_cells: int | None = None,
    progress: Progress = lambda name, done, total: None,
) -> list[Path]:
    """`measure_samples` of the training set, the hold-out set, or both; returns their records.

    most_cells: default `MOST_CELLS`.
    """
    sets = [TRAINING] * training + [HOLDOUT] * holdout
    return [measure_samples(tech, one, most_cells or MOST_CELLS, progress) for one in sets]


ResultT = TypeVar("ResultT")


def work_through(
    waiting: Iterable[Sample],
    work: Callable[[Sample], ResultT],
    keep: Callable[[Sample, ResultT], None],
    progress: Progress,
) -> None:
    """Do ``work`` for every sample, the small ones first, on all processors.

    keep: is given each result at once, so that an interrupted run loses nothing that is done.
    """
    order = sorted(waiting, key=lambda sample: sample.cells)
    with workers() as pool:
        jobs = {pool.submit(work, sample): sample for sample in order}
        for done, job in enumerate(as_completed(jobs), 1):
            keep(jobs[job], job.result())
            progress(jobs[job].name, done, len(order))


def measure_sample(run: Callable[[str, str], Columns], sample: Sample) -> Columns:
    """What is recorded of a core. run: as of `costmodel.target.base.Measurement`."""
    emitted = emit(sample.config)
    return run(emitted.rtlil, emitted.name)
