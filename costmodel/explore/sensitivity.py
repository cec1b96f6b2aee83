"""Which axis of an explored space matters for which objective, by a measure that can be explained.

An axis' share is the correlation ratio η²: of the variance of log(objective) over all points, the
part that lies between the means of the axis' values. 1: who knows the axis knows the objective;
0: its values do not differ on average. Each axis is taken on its own, so that shares need not add
up to 1: what only a combination of axes does is in none of them, and where the space lets axes go
together (no µ without tables) they share.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd


def sensitivity(
    results: pd.DataFrame, axes: Sequence[str], objectives: Sequence[str]
) -> pd.DataFrame:
    """Share of the variance of log(objective) that each axis' means explain, 0 … 1.

    One row per axis, one column per objective. An objective with values of 0 or less is taken as
    it is, without the logarithm; points without a number are left out. An axis of a single value
    explains nothing, and of an objective that does not vary there is nothing to explain: 0.
    """
    shares = {}
    for objective in objectives:
        values = results[objective].to_numpy(float)
        known = np.isfinite(values)
        known_values = values[known]
        if (known_values > 0).all():
            known_values = np.log(known_values)
        deviation = known_values - known_values.mean() if known.any() else known_values
        shares[objective] = [_share(deviation, results.loc[known, axis]) for axis in axes]
    return pd.DataFrame(shares, index=pd.Index(list(axes), name="axis"))


def _share(deviation: np.ndarray, groups: pd.Series) -> float:
    codes, values = pd.factorize(groups, use_na_sentinel=False)
    total = float(deviation @ deviation)
    # Rounding of equal values must not look like a variance to explain.
    if len(values) < 2 or total <= len(deviation) * 1e-24:
        return 0.0
    counts = np.bincount(codes)
    sums = np.bincount(codes, weights=deviation)
    return float((sums * sums / counts).sum()) / total
