"""Whole cores synthesised for an FPGA family, and placed, beside what the model says.

As `hwgen.flow.calibrate.cell_samples` for cell libraries: ``costmodel/training/<family>.csv`` and
``costmodel/holdout/<family>.csv``, a row a core, in the order of the drawn list; what is there is
not made again, predictions are made anew every time. Clocks are of cores of up to `MOST_PLACED`
LUTs, in families that can be placed; other rows leave them empty.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median

import pandas as pd

from costmodel.catalog import load_family
from costmodel.fpga.resources import (
    RESOURCES,
    load_fpga,
)
from costmodel.judge.cell_records import HOLDOUT, read_rows, results_file
from costmodel.judge.fpga_records import (
    FMAX,
    MOST_PLACED,
    SEEDS,
    Row,
    _lines,
    judgements_in,
    write_record,
)
from costmodel.judge.samples import Group, Sample, load_samples
from costmodel.synth.fpga import nextpnr_version, place_and_route, synthesise_fpga
from hwgen.flow.calibrate.cell_samples import Progress, work_through
from hwgen.flow.calibrate.validate import Validation, synthesise_again
from hwgen.verilog.emit import emit


def synthesise_samples(
    family: str,
    groups: Sequence[Group] = HOLDOUT,
    most_cells: float = float("inf"),
    progress: Progress = lambda name, done, total: None,
) -> Path:
    """Synthesise every core of ``groups`` that has no row yet, then place those that it is for.

    Small ones first; every core that is done is written at once, so that an interrupted run goes on
    where it stopped. most_cells: larger cores, by their estimate, are left for another time.
    Raises ConfigError for an unknown family, or without place and route where it is needed,
    UncalibratedError without unit costs, SynthesisError.
    """
    costs = load_fpga(family)
    if load_family(family).device:
        nextpnr_version()
    path = results_file(family, groups)
    rows = read_rows(path)
    samples = load_samples().of(*groups)
    small = [sample for sample in samples if sample.cells <= most_cells]

    def keep(sample: Sample, found: Row) -> None:
        rows[sample.name] = rows.get(sample.name, {}) | found
        write_record(path, samples, rows, costs)

    waiting = [sample for sample in small if sample.name not in rows]
    work_through(waiting, partial(synthesise_sample, family), keep, progress)
    if load_family(family).device:
        placeable = [s for s in small if int(rows[s.name]["synthesised_lut"]) <= MOST_PLACED]
        waiting = [sample for sample in placeable if not rows[sample.name].get(FMAX)]
        work_through(waiting, partial(place_sample, family), keep, progress)
    write_record(path, samples, rows, costs)
    return path


def synthesise_sample(family: str, sample: Sample) -> Row:
    """What is kept of one core's synthesis."""
    emitted = emit(sample.config)
    result = synthesise_fpga(emitted.rtlil, emitted.name, family)
    counts = {f"synthesised_{name}": getattr(result, name) for name in RESOURCES}
    return counts | {"tool": result.tool}


def place_sample(family: str, sample: Sample) -> Row:
    """What is kept of one core's placement: the clock of each seed, and their median."""
    emitted = emit(sample.config)
    result = place_and_route(emitted.rtlil, emitted.name, SEEDS, family)
    seeds = {f"{FMAX}_seed{seed}": result.fmax_mhz[seed] for seed in SEEDS}
    return {FMAX: median(seeds.values()), **seeds, "tool": result.tool}


def validate(
    family: str,
    recompute: int | None = None,
    progress: Progress = lambda name, done, total: None,
) -> Validation:
    """Errors of the model on the hold-out cores of one family, by quantity and group.

    recompute: how many of them, the smallest first, to synthesise again (they are not placed
    again); default all. Raises ConfigError if there is none, or for an unknown family.
    """
    costs = load_fpga(family)
    rows = read_rows(results_file(family, HOLDOUT))

    def differs(sample: Sample, found: Row) -> bool:
        counts = [f"synthesised_{name}" for name in RESOURCES]
        return any(int(rows[sample.name][name]) != found[name] for name in counts)

    work = partial(synthesise_sample, family)
    again = synthesise_again(family, rows, recompute, work, differs, progress)
    table = pd.DataFrame(_lines(load_samples().of(*HOLDOUT), rows, costs))
    return Validation(family, list(judgements_in(table)), *again)
