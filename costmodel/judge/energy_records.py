"""The energy model fitted on simulated cores, and judged on others that it was never fitted to.

Simulations are data: ``costmodel/training/<tech>_energy.csv`` and ``costmodel/holdout/…``, a row
for each core and kind of data (`hwgen.flow.calibrate.gates`), in the order of the drawn list;
predictions beside them are made anew every time. `hwgen.flow.calibrate.energy` makes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from costmodel.cells.energy import core_energy, core_sizes, fit_rates
from costmodel.cells.energy_data import ACTIVITIES, ActivityClass, EnergyModel
from costmodel.cells.technology import Technology, load_technology
from costmodel.fit.residual import Residual
from costmodel.judge.cell_records import HOLDOUT, TRAINING, results_file
from costmodel.judge.errors import Errors, judge
from costmodel.judge.samples import Group, Sample, load_samples
from hwgen.base.files import write_atomically
from hwgen.spec.structure import structure

MOST_CYCLES = 384
"""Sampled of a run. Four times as many, or another seed, moved the energy of a tile of three small
cores of ihp-sg13g2 by at most 1 % and 1.5 %."""
METHOD = (
    "rates of groups fitted on gate-level simulations of whole cores without glitches "
    f"(Verilator, zero delay, at most {MOST_CYCLES} cycles at full speed; Liberty power tables)"
)
WHICH = ("predicted", "synthesised")
KEPT = ("cycles", "tiles", "cells", "tool")
Rows = dict[str, dict[str, dict[str, Any]]]
"""Measured columns by the name of the core and the kind of data."""


def energy_file(tech: str, groups: Sequence[Group]) -> Path:
    """Where the results of these groups lie."""
    path = results_file(tech, groups)
    return path.with_stem(f"{path.stem}_energy")


def with_energies(technology: Technology) -> Technology:
    """``technology`` with energies fitted on the training cores that were simulated; none if none.

    Each residual is that of cores left out of the fit one at a time.
    """
    rows = read_rows(energy_file(technology.name, TRAINING))
    samples = [sample for sample in load_samples().of(*TRAINING) if sample.name in rows]
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
        found = left_out(busy, moved) + clock * bits * cycles[data]
        residual[data] = Residual.of(found / total - 1)
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
    found = []
    for core, size in enumerate(sizes):
        others = [i for i in range(len(sizes)) if i != core]
        rates = fit_rates([sizes[i] for i in others], measured[others].tolist())
        # A group that no other core has takes the rate of all together.
        whole = sum(sum(sizes[i].values()) / measured[i] for i in others) / len(others)
        found.append(sum(area * rates.get(group, 1 / whole) for group, area in size.items()))
    return np.array(found)


class HeldOut(NamedTuple):
    """One quantity of the hold-out cores that were simulated."""

    quantity: str
    unit: str
    cores: pd.DataFrame
    """Columns name, group, predicted_<quantity>, synthesised_<quantity>."""

    @property
    def errors(self) -> list[Errors]:
        return judge(self.cores, self.quantity)


def held_out(tech: str) -> list[HeldOut]:
    """Energy of a tile by activity class, and leakage, of the hold-out cores; empty without any."""
    technology = load_technology(tech)
    rows = read_rows(energy_file(tech, HOLDOUT))
    if technology.energy is None or not rows:
        return []
    table = pd.DataFrame(_lines(load_samples().of(*HOLDOUT), rows, technology))
    found = []
    for data in ACTIVITIES:
        columns = {f"{which}_energy_fj": f"{which}_energy, {data}" for which in WHICH}
        cores = table[table["data"] == data][["name", "group", *columns]].rename(columns=columns)
        found.append(HeldOut(f"energy, {data}", "fJ per tile", cores))
    columns = {f"{which}_leakage_nw": f"{which}_leakage" for which in WHICH}
    cores = table[table["data"] == "random"][["name", "group", *columns]].rename(columns=columns)
    return [*found, HeldOut("leakage", "nW", cores)]


def read_rows(path: Path) -> Rows:
    """What was measured so far."""
    rows: Rows = {}
    if not path.exists():
        return rows
    for row in pd.read_csv(path, keep_default_na=False).to_dict("records"):
        rows.setdefault(str(row["name"]), {})[str(row["data"])] = {
            str(column): value
            for column, value in row.items()
            if str(column).startswith("synthesised_") or column in KEPT
        }
    return rows


def write_rows(tech: str, groups: Sequence[Group], rows: Rows) -> None:
    """Measured columns and the model's predictions, empty as long as there is no model."""
    text = table_text(load_samples().of(*groups), rows, load_technology(tech))
    write_atomically({energy_file(tech, groups): text})


def predict_again(tech: str) -> None:
    """Write the records' predictions anew, after the technology has changed."""
    for groups in (TRAINING, HOLDOUT):
        if rows := read_rows(energy_file(tech, groups)):
            write_rows(tech, groups, rows)


def table_text(samples: list[Sample], rows: Rows, technology: Technology) -> str:
    """The text of a record."""
    table = pd.DataFrame(_lines(samples, rows, technology))
    return table.to_csv(index=False, lineterminator="\n")


def _lines(samples: list[Sample], rows: Rows, technology: Technology) -> list[dict[str, Any]]:
    lines = []
    for sample, data in ((s, d) for s in samples if s.name in rows for d in ACTIVITIES):
        row, spec = rows[sample.name][data], structure(sample.config)
        energy: float | str = ""
        leakage: float | str = ""
        if technology.energy is not None:
            cycles = float(row["cycles"]) / float(row["tiles"])
            found = core_energy(spec, technology, data, cycles)
            energy, leakage = round(found.fj_per_tile, 4), round(found.leakage_mw * 1e6, 4)
        lines.append(
            {
                "name": sample.name,
                "group": sample.group,
                "beyond": sample.beyond or "",
                "config": json.dumps(sample.core),
                "data": data,
                "predicted_energy_fj": energy,
                "predicted_leakage_nw": leakage,
                **row,
            }
        )
    return lines
