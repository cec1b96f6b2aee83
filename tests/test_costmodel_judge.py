"""Errors by hand, and that nothing is left out."""

from __future__ import annotations

import pandas as pd
import pytest

from costmodel.judge import judge

TABLE = pd.DataFrame(
    {
        "name": list("abcdef"),
        "group": ["inside"] * 4 + ["outside"] * 2,
        "predicted_area_ge": [110.0, 190.0, 345.0, 400.0, 50.0, 80.0],
        "synthesised_area_ge": [100.0, 200.0, 300.0, 400.0, 100.0, 80.0],
    }
)


def test_errors_by_hand():
    inside, outside, everything = judge(TABLE, "area_ge")
    assert (inside.group, inside.cores) == ("inside", 4)
    assert inside.mean == pytest.approx((0.1 + 0.05 + 0.15 + 0) / 4)
    assert inside.largest == pytest.approx(0.15)
    assert inside.spearman == pytest.approx(1)
    assert [name for name, _ in inside.worst] == ["c", "a", "b", "d"]
    assert outside.worst[0] == ("e", -0.5)
    assert outside.spearman is None
    assert (everything.group, everything.cores, everything.largest) == ("all", 6, 0.5)
    assert len(everything.worst) == 5


def test_ranks_that_disagree():
    (errors,) = judge(
        TABLE.assign(group="g", predicted_area_ge=[6.0, 5, 4, 3, 2, 1]).iloc[:4], "area_ge"
    )
    assert errors.spearman == pytest.approx(-1)


@pytest.mark.parametrize("column", ["predicted_area_ge", "synthesised_area_ge"])
def test_a_missing_number_is_an_error(column):
    table = TABLE.copy()
    table.loc[2, column] = None
    with pytest.raises(ValueError, match="area_ge: every core needs a prediction and a synthesis"):
        judge(table, "area_ge")
    with pytest.raises(ValueError, match="every core needs"):
        judge(TABLE.iloc[:0], "area_ge")
