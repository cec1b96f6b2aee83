"""Resources and clock of whole cores synthesised for an FPGA family and placed, beside the model's.

Clocks are those of cores of up to `MOST_PLACED` LUTs, in families that can be placed; other lines
have empty fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from statistics import median
from typing import Any

from costmodel.catalog import load_family
from costmodel.cells.corrections import GROUPS
from costmodel.cells.technology import Corrections
from costmodel.fpga.clock import core_fmax, fit_delays
from costmodel.fpga.resources import (
    RESOURCES,
    FpgaTechnology,
    group_resources,
    load_fpga,
    predict,
)
from costmodel.fpga.terms import TERMS
from costmodel.judge.judgement import Judgement, judged
from costmodel.judge.records import HOLDOUT, TRAINING, Columns, Record
from costmodel.synth.fpga import FpgaSynthesis, Placement
from hwgen.spec.structure import Structure, structure

MOST_PLACED = 6000
"""LUTs of the largest core that is placed and routed."""
SEEDS = (1, 2, 3)
FITTED = ("lut", "carry")
"""Resources with factors fitted on whole cores. Flip-flops are right without factors, and no core
has memory in LUTs."""
FMAX = "synthesised_fmax_mhz"
PLACING = f"median of seeds {', '.join(map(str, SEEDS))}, out of context, registers at the ports"


class FpgaRecord(Record):
    """Resources of synthesised cores, and clocks of placed ones."""

    @cached_property
    def costs(self) -> FpgaTechnology:
        """What predicts."""
        return load_fpga(self.technology)

    def lines(self, spec: Structure, row: Columns) -> Iterator[Columns]:
        """One line: predicted and synthesised resources in pairs, then the clock."""
        costs = self.costs
        line: Columns = {}
        predicted = predict(spec, costs).total
        for name in RESOURCES:
            line[f"predicted_{name}"] = predicted[name]
            line[f"synthesised_{name}"] = row[f"synthesised_{name}"]
        if load_family(costs.name).device:
            fmax = None if costs.delays is None else core_fmax(spec, costs.delays, costs.name)
            line["predicted_fmax_mhz"] = "" if fmax is None else fmax.mhz
            line["predicted_stage"] = "" if fmax is None else fmax.stage
            columns = (FMAX, *(f"{FMAX}_seed{seed}" for seed in SEEDS))
            line |= {name: row.get(name, "") for name in columns}
        yield line | {"tool": row["tool"]}


def synthesised(result: FpgaSynthesis) -> Columns:
    """The columns that are kept of a synthesis."""
    counts = {f"synthesised_{name}": getattr(result, name) for name in RESOURCES}
    return counts | {"tool": result.tool}


def placed(result: Placement) -> Columns:
    """The columns that are kept of a placement: the clock of each seed, and their median."""
    seeds = {f"{FMAX}_seed{seed}": result.fmax_mhz[seed] for seed in SEEDS}
    return {FMAX: median(seeds.values()), **seeds, "tool": result.tool}


def is_to_be_placed(row: Columns) -> bool:
    """Whether a synthesised core is small enough to be placed and has no clock yet."""
    return int(row["synthesised_lut"]) <= MOST_PLACED and not row.get(FMAX)


def judgements(family: str) -> list[Judgement]:
    """Every quantity of the recorded hold-out; the clock is judged on the placed cores."""
    record = FpgaRecord(family, HOLDOUT)
    table, results = record.table(record.rows()), []
    for quantity in (*RESOURCES, "fmax_mhz"):
        columns = f"predicted_{quantity}", f"synthesised_{quantity}"
        if columns[1] not in table:
            continue
        measured = table[table[columns[1]].astype(str) != ""]
        if (measured[columns[1]].astype(float) > 0).any():
            unit = "MHz" if quantity == "fmax_mhz" else "cells"
            results.append(judged(measured, quantity, unit, *columns))
    return results


def corrected(technology: FpgaTechnology) -> FpgaTechnology:
    """``technology`` with what is fitted on the training cores that were synthesised so far.

    Factors and delays are fitted on no fewer cores than twice their number.
    """
    record = FpgaRecord(technology.name, TRAINING)
    rows = record.rows()
    samples = [sample for sample in record.samples if sample.name in rows]
    timed = [sample for sample in samples if rows[sample.name].get(FMAX)]
    fits: dict[str, Any] = {"corrections": {}, "delays": None}
    if len(samples) >= 2 * len(GROUPS):
        specs = [structure(sample.config) for sample in samples]
        for resource in FITTED:
            counts = [float(rows[s.name][f"synthesised_{resource}"]) for s in samples]
            sums = [group_resources(spec, technology, resource) for spec in specs]
            fits["corrections"][resource] = Corrections.fitted(sums, counts)
    if len(timed) >= 2 * len(TERMS):
        fits["delays"] = fit_delays(
            [structure(sample.config) for sample in timed],
            [float(rows[sample.name][FMAX]) for sample in timed],
            PLACING,
            rows[timed[0].name]["tool"],
        )
    return technology.model_copy(update=fits)
