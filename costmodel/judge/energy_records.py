"""The energy model fitted on simulated cores, and judged on others that it was never fitted to.

A record has a line for each core and activity class (`hwgen.flow.calibrate.gates` simulates them):
``costmodel/training/<tech>_energy.csv`` and ``costmodel/holdout/<tech>_energy.csv``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np

from costmodel.cells.energy import core_energy, core_sizes, fit_rates
from costmodel.cells.energy_data import ACTIVITIES, ActivityClass, EnergyModel
from costmodel.cells.technology import Technology, load_technology
from costmodel.fit.residual import Residual
from costmodel.judge.judgement import Judgement, judged
from costmodel.judge.records import HOLDOUT, TRAINING, Columns, Record, Rows
from hwgen.spec.structure import Structure, structure

MOST_CYCLES = 384
"""Cycles that are sampled of a run, at most. Four times as many moved the energy of a tile of three
small cores of ihp-sg13g2 by at most 1 %, another seed by at most 1.5 %."""
METHOD = (
    "rates of groups fitted on gate-level simulations of whole cores without glitches "
    f"(Verilator, zero delay, at most {MOST_CYCLES} cycles at full speed; Liberty power tables)"
)


class EnergyRecord(Record):
    """Energies of simulated cores; rows are by the name of the core, then by activity class."""

    suffix = "_energy"
    kept = ("cycles", "tiles", "cells", "tool")

    @cached_property
    def costs(self) -> Technology:
        """What predicts."""
        return load_technology(self.technology)

    def _add(self, rows: Rows, columns: Columns, measured: Columns) -> None:
        rows.setdefault(str(columns["name"]), {})[str(columns["data"])] = measured

    def lines(self, spec: Structure, row: Mapping[str, Columns]) -> Iterator[Columns]:
        """A line for each activity class; predictions are empty as long as there is no model."""
        for data in ACTIVITIES:
            energy: float | str = ""
            leakage: float | str = ""
            if self.costs.energy is not None:
                cycles = float(row[data]["cycles"]) / float(row[data]["tiles"])
                predicted = core_energy(spec, self.costs, data, cycles)
                energy = round(predicted.fj_per_tile, 4)
                leakage = round(predicted.leakage_mw * 1e6, 4)
            yield {
                "data": data,
                "predicted_energy_fj": energy,
                "predicted_leakage_nw": leakage,
                **row[data],
            }


def with_energies(technology: Technology) -> Technology:
    """``technology`` with energies fitted on the training cores that were simulated.

    It has none if none were. Each residual is that of cores left out of the fit one at a time.
    """
    record = EnergyRecord(technology.name, TRAINING)
    rows = record.rows()
    samples = [sample for sample in record.samples if sample.name in rows]
    if len(samples) < 2:
        return technology.model_copy(update={"energy": None})
    sizes = [core_sizes(structure(sample.config), technology) for sample in samples]
    busy, everything = [size.busy for size in sizes], [size.all for size in sizes]
    bits = np.array([size.clock_bits for size in sizes])

    def column(data: ActivityClass, name: str) -> np.ndarray:
        return np.array([float(rows[sample.name][data][name]) for sample in samples])

    cycles = {data: column(data, "cycles") / column(data, "tiles") for data in ACTIVITIES}
    clocks = [column(data, "synthesised_clock_fj") / cycles[data] / bits for data in ACTIVITIES]
    clock = round(float(np.median(clocks)), 5)
    rates: dict[ActivityClass, dict[str, float]] = {}
    residual: dict[ActivityClass, Residual] = {}
    for data in ACTIVITIES:
        total = column(data, "synthesised_energy_fj")
        moved = total - column(data, "synthesised_clock_fj")
        rates[data] = fit_rates(busy, moved.tolist())
        predicted = left_out(busy, moved) + clock * bits * cycles[data]
        residual[data] = Residual.of(predicted / total - 1)
    leaked = column("random", "synthesised_leakage_nw")
    tools = {str(rows[sample.name][data]["tool"]) for sample in samples for data in ACTIVITIES}
    model = EnergyModel(
        method=METHOD,
        tool="; ".join(sorted(tools)),
        clock_fj_per_bit=clock,
        fj_per_um2=rates,
        leakage_nw_per_um2=fit_rates(everything, leaked.tolist()),
        energy_residual=residual,
        leakage_residual=Residual.of(left_out(everything, leaked) / leaked - 1),
    )
    return technology.model_copy(update={"energy": model})


def left_out(sizes: Sequence[Mapping[str, float]], measured: np.ndarray) -> np.ndarray:
    """Prediction of each core by a fit on all others."""
    predictions = []
    for core, size in enumerate(sizes):
        others = [i for i in range(len(sizes)) if i != core]
        rates = fit_rates([sizes[i] for i in others], measured[others].tolist())
        # A group that no other core has takes the common rate of all groups.
        whole = sum(sum(sizes[i].values()) / measured[i] for i in others) / len(others)
        predictions.append(sum(area * rates.get(group, 1 / whole) for group, area in size.items()))
    return np.array(predictions)


def judgements(tech: str) -> list[Judgement]:
    """Energy of a tile by activity class, and leakage, on the recorded hold-out.

    The list is empty without a model or a record.
    """
    record = EnergyRecord(tech, HOLDOUT)
    rows = record.rows()
    if record.costs.energy is None or not rows:
        return []
    table = record.table(rows)
    by_class = {data: table[table["data"] == data] for data in ACTIVITIES}
    energies = "predicted_energy_fj", "synthesised_energy_fj"
    leakages = "predicted_leakage_nw", "synthesised_leakage_nw"
    results = [
        judged(lines, f"energy, {data}", "fJ per tile", *energies)
        for data, lines in by_class.items()
    ]
    return [*results, judged(by_class["random"], "leakage", "nW", *leakages)]
