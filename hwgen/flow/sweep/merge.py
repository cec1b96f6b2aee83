"""Part files of a sweep merged: the front of all of them, and the tables of the results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from costmodel.explore.pareto import ParetoFront
from hwgen.flow.sweep.evaluate import Evaluator
from hwgen.flow.sweep.part_files import ResultsWriter
from hwgen.flow.sweep.plan import SweepPlan
from hwgen.spec.axes import SIZES

Ints = NDArray[np.int64]
DRAWN = 10_000
"""Points in the picture beside the front, about."""


def objective_columns(plan: SweepPlan) -> list[str]:
    """Columns of a part that `compete` takes."""
    names = [plan.column(each.quantity) for each in plan.config.objectives]
    return ["point", "candidate", *names]


def compete(front: ParetoFront, plan: SweepPlan, table: pa.Table) -> None:
    """Put a part's candidates to the front."""
    if not table.num_rows:
        return
    table = table.filter(table["candidate"])
    values = np.empty((len(table), len(plan.config.objectives)))
    for column, objective in enumerate(plan.config.objectives):
        values[:, column] = table[plan.column(objective.quantity)].to_numpy()
        if objective.maximise:
            values[:, column] *= -1
    front.add(values, table["point"].to_numpy())


def merge(
    plan: SweepPlan, tables: Iterable[pa.Table], ids: Any, writer: ResultsWriter, every: int
) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """The front and a sample of all kept points; all of them go to the writer.

    tables: of parts, in order. every: one point of so many is of the sample.
    """
    fronts, sample, kept = [], [], 0
    for table in tables:
        if not table.num_rows:
            continue
        flags = np.isin(table["point"].to_numpy(), ids)
        table = table.drop_columns("candidate").append_column("front", pa.array(flags))
        fronts.append(table.filter(flags))
        if plan.config.keep == "front":
            table = fronts[-1]
        sample.append(table.filter(sampled(table["point"].to_numpy(), every)))
        writer.add(table)
        kept += len(table)
    return _sorted_front(plan, _frame(fronts)), _frame(sample), kept


def sampled(points: Ints, every: int) -> pa.Array:
    """One point of ``every``, by a number that has nothing to do with its place on any axis.

    The numbers of points count the axes, so that every n-th of them would have some values only;
    splitmix64's mixing (Steele et al., OOPSLA 2014) makes any two equally likely.
    """
    mixed = points.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return pa.array((mixed ^ (mixed >> np.uint64(31))) % np.uint64(every) == 0)


def _frame(tables: Iterable[pa.Table]) -> pd.DataFrame:
    """A table whose words are words, not categories."""
    table = pa.concat_tables(tables)
    fields = [
        field.with_type(pa.string()) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    ]
    result: pd.DataFrame = table.cast(pa.schema(fields)).to_pandas()
    return result


def _sorted_front(plan: SweepPlan, front: pd.DataFrame) -> pd.DataFrame:
    """By the objectives, best first; with areas by component."""
    objectives = plan.config.objectives
    keys = [plan.column(each.quantity) for each in objectives]
    up = [not each.maximise for each in objectives]
    front = front.drop(columns="feasible", errors="ignore")
    front = front.sort_values([*keys, "point"], ascending=[*up, True], ignore_index=True)
    evaluator, unit = Evaluator(plan), plan.area_column.removeprefix("area_")
    places = front["point"].to_numpy() // plan.space.grid
    areas: dict[str, Any] = {}
    for place in np.unique(places):
        rows = np.flatnonzero(places == place)
        sizes = [front[name].to_numpy(np.int64)[rows] for name in SIZES]
        parts = evaluator.priced(int(place)).area_by_component(*sizes)
        cores = front["cores"].to_numpy(np.int64)[rows]
        for name, area in parts.items():
            column = areas.setdefault(f"area_{name}_{unit}", np.zeros(len(front)))
            column[rows] = cores * area
    return pd.concat([front, pd.DataFrame(areas)], axis=1)


def best_row(plan: SweepPlan, front: pd.DataFrame) -> int:
    """Row of the point with the least product of the first two objectives."""
    product: Any = 1.0
    for objective in plan.config.objectives[:2]:
        values = front[plan.column(objective.quantity)].astype(float)
        product = product * (1 / values if objective.maximise else values)
    least = front.index[product == product.min()]
    return int(front.loc[least, "point"].idxmin())
