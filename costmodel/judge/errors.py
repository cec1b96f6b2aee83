"""How wrong predictions are: errors of a table of predicted and synthesised cores, by group."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:  # Pandas takes a third of a second, which a prediction does not need.
    import pandas as pd

WORST = 5


class Errors(NamedTuple):
    """Errors of one group of cores, relative: (predicted - synthesised) / synthesised.

    spearman: correlation of the ranks; None for fewer than three cores. worst: name and signed
    error, the largest first.
    """

    group: str
    cores: int
    mean: float
    largest: float
    spearman: float | None
    worst: tuple[tuple[str, float], ...]


def judge(table: pd.DataFrame, quantity: str) -> list[Errors]:
    """Errors of each group in the table's order, and of all groups together as "all".

    table: columns name, group, predicted_<quantity>, synthesised_<quantity>. A row without either
        number is a ValueError, as nothing may be left out silently.
    """
    predicted, synthesised = (
        table[f"{which}_{quantity}"].to_numpy(float) for which in ("predicted", "synthesised")
    )
    if not len(table) or not np.isfinite([predicted, synthesised]).all():
        raise ValueError(f"{quantity}: every core needs a prediction and a synthesis")
    groups = table["group"].to_numpy(str)
    names = table["name"].to_numpy(str)
    parts = [(name, groups == name) for name in dict.fromkeys(groups.tolist())]
    if len(parts) > 1:
        parts.append(("all", np.ones(len(table), bool)))
    return [_errors(name, names[rows], predicted[rows], synthesised[rows]) for name, rows in parts]


def _errors(
    group: str, names: np.ndarray, predicted: np.ndarray, synthesised: np.ndarray
) -> Errors:
    import pandas as pd

    error = predicted / synthesised - 1
    order = np.argsort(-np.abs(error), kind="stable")[:WORST]
    ranks = [pd.Series(values).rank() for values in (predicted, synthesised)]
    return Errors(
        group=group,
        cores=len(error),
        mean=float(np.abs(error).mean()),
        largest=float(np.abs(error).max()),
        spearman=float(ranks[0].corr(ranks[1])) if len(error) > 2 else None,
        worst=tuple((str(names[i]), float(error[i])) for i in order),
    )
