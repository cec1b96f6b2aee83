"""hwgen calibrate --holdout, --training: whole cores synthesised, beside what the model says.

Results are data: ``costmodel/holdout/<tech>.csv`` and ``costmodel/training/<tech>.csv``, a row a
core, in the order of the drawn list (`costmodel.judge.samples`). A row that is there is not
synthesised again; predictions are made anew every time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import as_completed
from functools import partial
from pathlib import Path
from typing import TypeVar

from costmodel.cells.technology import load_technology
from costmodel.judge.cell_records import HOLDOUT, measured, read_rows, results_file, write_record
from costmodel.judge.samples import Group, Sample, load_samples
from costmodel.synth.libraries import find_library
from costmodel.synth.yosys import Synthesis
from hwgen.base.jobs import workers
from hwgen.spec.config import CoreConfig
from hwgen.verilog.emit import emit

Progress = Callable[[str, int, int], None]
"""Called with the core just synthesised, how many are done, and of how many."""


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
    rows = read_rows(path)
    samples = load_samples().of(*groups)
    waiting = [s for s in samples if s.name not in rows and s.cells <= most_cells]

    def keep(sample: Sample, result: Synthesis) -> None:
        rows[sample.name] = measured(result, costs.area_unit)
        write_record(path, samples, rows, costs)

    work_through(waiting, partial(synthesise_sample, tech), keep, progress)
    write_record(path, samples, rows, costs)
    return path


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


def synthesise_sample(tech: str, sample: Sample) -> Synthesis:
    return synthesise_core(tech, sample.config)


def synthesise_core(tech: str, config: CoreConfig) -> Synthesis:
    """A core by the one definition of synthesised area, with delay where the library has any."""
    library = find_library(tech)
    emitted = emit(config)
    return library.synthesise(
        emitted.rtlil,
        emitted.name,
        depth=True,
        timing=library.info.conditions is not None,
    )
