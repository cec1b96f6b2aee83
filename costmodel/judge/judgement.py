"""Errors of the model on cores that it was never fitted to, by quantity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from costmodel.judge.errors import Errors, judge

if TYPE_CHECKING:  # Pandas takes a third of a second, which a prediction does not need.
    import pandas as pd

TITLES = {
    "delay": "clock period",
    "energy, random": "energy, random data",
    "energy, digits": "energy, the digits",
    "lut": "LUTs",
    "ff": "flip-flops",
    "carry": "carry cells",
    "fmax_mhz": "highest clock",
}
"""Titles of quantities, for people; other quantities go by their names."""


@dataclass(frozen=True)
class Judgement:
    """Errors of one model for one quantity, by group of cores.

    left_out: number of cores for which the model has no prediction.
    """

    quantity: str
    model: str
    unit: str
    errors: list[Errors]
    left_out: int
    cores: pd.DataFrame
    """Columns name, group, predicted_<quantity>, synthesised_<quantity>."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "quantity": self.quantity,
            "model": self.model,
            "unit": self.unit,
            "errors": [errors._asdict() for errors in self.errors],
            "left_out": self.left_out,
        }


def judged(
    table: pd.DataFrame,
    quantity: str,
    unit: str,
    predicted: str,
    synthesised: str,
    model: str = "hwgen",
) -> Judgement:
    """Errors of the column ``predicted`` of a record against the column ``synthesised``.

    Cores with an empty prediction are left out and counted.
    """
    columns = {predicted: f"predicted_{quantity}", synthesised: f"synthesised_{quantity}"}
    known = table[table[predicted] != ""]
    cores = known[["name", "group", *columns]].rename(columns=columns)
    cores = cores.astype(dict.fromkeys(columns.values(), float))
    left_out = len(table) - len(known)
    return Judgement(quantity, model, unit, judge(cores, quantity), left_out, cores)


def shown(judgement: Judgement) -> str:
    """A quantity with its unit, for people."""
    unit = {"um2": "µm²", "ge": "gate equivalents"}.get(judgement.unit, judgement.unit)
    title = TITLES.get(judgement.quantity, judgement.quantity)
    return title if unit == "cells" else f"{title}, {unit}"
