"""Results of a sweep as core files: what each row's file says, and what goes unsaid."""

from __future__ import annotations

import pandas as pd

from hwgen.spec.axes import AXES, Axis
from hwgen.spec.rows import said_in


def axes_in(results: pd.DataFrame) -> list[Axis]:
    """The axes that results have columns of, in the order of a core's file."""
    return [axis for axis in AXES if axis.column in results]


def core_files(results: pd.DataFrame) -> pd.DataFrame:
    """Of each row what its core's file says, a column per key; None where it says nothing.

    Sizes are said of every core. Of all other axes results have few combinations.
    """
    axes = axes_in(results)
    shape = [axis.column for axis in axes if not axis.size]
    groups = results.groupby(shape, dropna=False, sort=False) if shape else None
    places = groups.ngroup() if groups is not None else pd.Series(0, results.index)
    first = ~places.duplicated()
    said = [said_in(row) for row in results.loc[first, shape].to_dict("records")]
    files = {
        axis.name: results[axis.column].astype(object)
        if axis.size
        else pd.Series([said[place].get(axis.name) for place in places], results.index, object)
        for axis in axes
    }
    return pd.DataFrame(files, index=results.index)
