"""Whole cores synthesised for an FPGA family, and placed, beside what the model says.

As `hwgen.flow.holdout` for cell libraries: ``costmodel/training/<family>.csv`` and
``costmodel/holdout/<family>.csv``, a row a core, in the order of the drawn list; what is there is
not made again, predictions are made anew every time. Clocks are of cores of up to `MOST_PLACED`
LUTs, in families that can be placed; other rows leave them empty.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd

from costmodel.fpga import DEVICES, FAMILIES, nextpnr_version, place_and_route, synthesise_fpga
from costmodel.fpgacost import (
    RESOURCES,
    FpgaTechnology,
    fit_corrections,
    load_fpga,
    predict,
)
from costmodel.fpgadelay import core_fmax, fit_delays
from costmodel.fpgashare import FPGA_GROUPS
from costmodel.fpgaterms import TERMS
from costmodel.judge import judge
from costmodel.sampling import Group, Sample, load_samples
from hwgen.emit import emit
from hwgen.files import write_atomically
from hwgen.flow.holdout import (
    HOLDOUT,
    TRAINING,
    Progress,
    read_rows,
    results_file,
    work_through,
)
from hwgen.flow.validate import Judgement, Validation, synthesise_again
from hwgen.structure import structure

MOST_PLACED = 6000
"""LUTs of the largest core that is placed and routed."""
SEEDS = (1, 2, 3)
FITTED = ("lut", "carry")
"""Resources with factors fitted on whole cores; flip-flops are right without, and no core has
memory in LUTs."""
FMAX = "synthesised_fmax_mhz"
PLACING = f"median of seeds {', '.join(map(str, SEEDS))}, out of context, registers at the ports"
Row = dict[str, Any]


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
    if family in DEVICES:
        nextpnr_version()
    path = results_file(family, groups)
    rows = read_rows(path)
    samples = load_samples().of(*groups)
    small = [sample for sample in samples if sample.cells <= most_cells]

    def keep(sample: Sample, found: Row) -> None:
        rows[sample.name] = rows.get(sample.name, {}) | found
        _write(path, samples, rows, costs)

    waiting = [sample for sample in small if sample.name not in rows]
    work_through(waiting, partial(synthesise_sample, family), keep, progress)
    if family in DEVICES:
        placeable = [s for s in small if int(rows[s.name]["synthesised_lut"]) <= MOST_PLACED]
        waiting = [sample for sample in placeable if not rows[sample.name].get(FMAX)]
        work_through(waiting, partial(place_sample, family), keep, progress)
    _write(path, samples, rows, costs)
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


def corrected(technology: FpgaTechnology) -> FpgaTechnology:
    """``technology`` with what is fitted on the training cores that were synthesised so far.

    No factors and no delays on fewer cores than twice their number.
    """
    rows = read_rows(results_file(technology.name, TRAINING))
    samples = [sample for sample in load_samples().of(*TRAINING) if sample.name in rows]
    placed = [sample for sample in samples if rows[sample.name].get(FMAX)]
    fits: dict[str, Any] = {"corrections": {}, "delays": None}
    if len(samples) >= 2 * len(FPGA_GROUPS):
        specs = [structure(sample.config) for sample in samples]
        for resource in FITTED:
            found = [float(rows[s.name][f"synthesised_{resource}"]) for s in samples]
            fits["corrections"][resource] = fit_corrections(technology, resource, specs, found)
    if len(placed) >= 2 * len(TERMS):
        fits["delays"] = fit_delays(
            [structure(sample.config) for sample in placed],
            [float(rows[sample.name][FMAX]) for sample in placed],
            PLACING,
            rows[placed[0].name]["tool"],
        )
    return technology.model_copy(update=fits)


def predict_again(family: str) -> None:
    """Write the records' predictions anew, after the costs have changed."""
    costs = load_fpga(family)
    for groups in (TRAINING, HOLDOUT):
        if rows := read_rows(path := results_file(family, groups)):
            _write(path, load_samples().of(*groups), rows, costs)


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
    return Validation(family, list(_judgements(table)), *again)


def _judgements(table: pd.DataFrame) -> Iterator[Judgement]:
    """Every quantity that the cores have; clocks of those that were placed."""
    for quantity in (*RESOURCES, "fmax_mhz"):
        found = f"synthesised_{quantity}"
        if found not in table:
            continue
        part = table[table[found].astype(str) != ""]
        if (part[found].astype(float) > 0).any():
            cores = part[["name", "group", f"predicted_{quantity}", found]].astype(
                {f"predicted_{quantity}": float, found: float}
            )
            unit = "MHz" if quantity == "fmax_mhz" else "cells"
            yield Judgement(quantity, "hwgen", unit, judge(cores, quantity), 0, cores)


def recorded() -> list[str]:
    """Families with a recorded hold-out."""
    return [family for family in sorted(FAMILIES) if results_file(family, HOLDOUT).exists()]


def _write(path: Path, samples: list[Sample], rows: dict[str, Row], costs: FpgaTechnology) -> None:
    write_atomically({path: table_text(samples, rows, costs)})


def table_text(samples: list[Sample], rows: dict[str, Row], costs: FpgaTechnology) -> str:
    """The text of a record."""
    table = pd.DataFrame(_lines(samples, rows, costs))
    return table.to_csv(index=False, lineterminator="\n")


def _lines(samples: list[Sample], rows: dict[str, Row], costs: FpgaTechnology) -> list[Row]:
    """Rows of the table: the core, what the model says, and what synthesis and placement gave."""
    lines = []
    for sample in (sample for sample in samples if sample.name in rows):
        spec, row = structure(sample.config), rows[sample.name]
        predicted = predict(spec, costs).total
        line: Row = {
            "name": sample.name,
            "group": sample.group,
            "beyond": sample.beyond or "",
            "config": json.dumps(sample.core),
        }
        for name in RESOURCES:
            line |= {f"predicted_{name}": predicted[name]}
            line |= {f"synthesised_{name}": row[f"synthesised_{name}"]}
        if costs.name in DEVICES:
            fmax = None if costs.delays is None else core_fmax(spec, costs.delays, costs.name)
            line["predicted_fmax_mhz"] = "" if fmax is None else fmax.mhz
            line["predicted_stage"] = "" if fmax is None else fmax.stage
            columns = (FMAX, *(f"{FMAX}_seed{seed}" for seed in SEEDS))
            line |= {name: row.get(name, "") for name in columns}
        lines.append(line | {"tool": row["tool"]})
    return lines
