"""Errors of the model on cores that it was never fitted to, by quantity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from costmodel.cells.technology import load_technology, technologies
from costmodel.judge.cell_records import HOLDOUT, lines, read_rows, results_file
from costmodel.judge.energy_records import held_out
from costmodel.judge.errors import Errors, judge
from costmodel.judge.samples import load_samples

NAMES = {
    "delay": "clock period",
    "energy, random": "energy, random data",
    "energy, digits": "energy, the digits",
    "lut": "LUTs",
    "ff": "flip-flops",
    "carry": "carry cells",
    "fmax_mhz": "highest clock",
}
"""What people call quantities; others are called what they are."""


@dataclass(frozen=True)
class Judgement:
    """Errors of one model for one quantity by group; ``left_out``: cores without a prediction."""

    quantity: str
    model: str
    unit: str
    errors: list[Errors]
    left_out: int
    cores: pd.DataFrame
    """Columns name, group, predicted_<quantity>, synthesised_<quantity>."""

    def as_json(self) -> dict[str, Any]:
        return {
            "quantity": self.quantity,
            "model": self.model,
            "unit": self.unit,
            "errors": [errors._asdict() for errors in self.errors],
            "left_out": self.left_out,
        }


def judgements_of(tech: str) -> list[Judgement]:
    """Every quantity of the recorded hold-out that the technology has, by every model.

    A core that a model cannot predict at all (the paper's, some) is left out and counted.
    """
    costs = load_technology(tech)
    rows = read_rows(results_file(tech, HOLDOUT))
    table = pd.DataFrame(lines(load_samples().of(*HOLDOUT), rows, costs))
    unit = costs.area_unit
    found = f"synthesised_area_{unit}"
    judgements = [
        _judge(table, "area", "hwgen", unit, f"predicted_area_{unit}", found),
        _judge(table, "area", "paper", unit, f"paper_area_{unit}", found),
    ]
    if costs.delays is not None:
        columns = "predicted_delay_ns", "synthesised_delay_ns"
        judgements.append(_judge(table, "delay", "hwgen", "ns", *columns))
    judgements += [
        Judgement(found.quantity, "hwgen", found.unit, found.errors, 0, found.cores)
        for found in held_out(tech)
    ]
    return judgements


def _judge(
    table: pd.DataFrame, quantity: str, model: str, unit: str, predicted: str, found: str
) -> Judgement:
    there = table[table[predicted] != ""]
    columns = {predicted: f"predicted_{quantity}", found: f"synthesised_{quantity}"}
    cores = there[["name", "group", *columns]].rename(columns=columns)
    left_out = len(table) - len(there)
    return Judgement(quantity, model, unit, judge(cores, quantity), left_out, cores)


def recorded() -> list[str]:
    """Technologies with a recorded hold-out."""
    return [tech for tech in technologies() if results_file(tech, HOLDOUT).exists()]


def shown(judgement: Judgement) -> str:
    """A quantity with its unit, for people."""
    unit = {"um2": "µm²", "ge": "gate equivalents"}.get(judgement.unit, judgement.unit)
    title = NAMES.get(judgement.quantity, judgement.quantity)
    return title if unit == "cells" else f"{title}, {unit}"
