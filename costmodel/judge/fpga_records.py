"""Whole cores synthesised for an FPGA family, and placed, beside what the model says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from costmodel.catalog import FAMILIES, load_family
from costmodel.cells.corrections import GROUPS
from costmodel.fpga.clock import core_fmax, fit_delays
from costmodel.fpga.resources import (
    RESOURCES,
    FpgaTechnology,
    fit_corrections,
    load_fpga,
    predict,
)
from costmodel.fpga.terms import TERMS
from costmodel.judge.cell_records import HOLDOUT, TRAINING, read_rows, results_file
from costmodel.judge.errors import judge
from costmodel.judge.judgement import Judgement
from costmodel.judge.samples import Sample, load_samples
from hwgen.base.files import write_atomically
from hwgen.spec.structure import structure

MOST_PLACED = 6000
"""LUTs of the largest core that is placed and routed."""


SEEDS = (1, 2, 3)


FITTED = ("lut", "carry")
"""Resources with factors fitted on whole cores; flip-flops are right without, and no core has
memory in LUTs."""


FMAX = "synthesised_fmax_mhz"


PLACING = f"median of seeds {', '.join(map(str, SEEDS))}, out of context, registers at the ports"


Row = dict[str, Any]


def corrected(technology: FpgaTechnology) -> FpgaTechnology:
    """``technology`` with what is fitted on the training cores that were synthesised so far.

    No factors and no delays on fewer cores than twice their number.
    """
    rows = read_rows(results_file(technology.name, TRAINING))
    samples = [sample for sample in load_samples().of(*TRAINING) if sample.name in rows]
    placed = [sample for sample in samples if rows[sample.name].get(FMAX)]
    fits: dict[str, Any] = {"corrections": {}, "delays": None}
    if len(samples) >= 2 * len(GROUPS):
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
            write_record(path, load_samples().of(*groups), rows, costs)


def judgements_in(table: pd.DataFrame) -> Iterator[Judgement]:
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


def write_record(
    path: Path, samples: list[Sample], rows: dict[str, Row], costs: FpgaTechnology
) -> None:
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
        if load_family(costs.name).device:
            fmax = None if costs.delays is None else core_fmax(spec, costs.delays, costs.name)
            line["predicted_fmax_mhz"] = "" if fmax is None else fmax.mhz
            line["predicted_stage"] = "" if fmax is None else fmax.stage
            columns = (FMAX, *(f"{FMAX}_seed{seed}" for seed in SEEDS))
            line |= {name: row.get(name, "") for name in columns}
        lines.append(line | {"tool": row["tool"]})
    return lines
