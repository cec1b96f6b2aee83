"""Errors by hand, and that nothing is left out."""

from __future__ import annotations

import pandas as pd
import pytest

from costmodel.judge.errors import judge
from costmodel.judge.judgement import Judgement
from hwgen.flow.calibrate.validate import Validation
from hwgen.tables.markdown import validation_markdown

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


def test_errors_as_markdown_by_hand():
    area = Judgement("area", "hwgen", "ge", judge(TABLE, "area_ge"), 0, TABLE)
    paper = Judgement("area", "paper", "um2", judge(TABLE[4:], "area_ge"), 4, TABLE)
    large = TABLE.assign(group=["large"] + ["outside"] * 5)
    delay = Judgement("delay", "hwgen", "ns", judge(large, "area_ge"), 0, large)
    lines = validation_markdown(
        [Validation("a", [area, paper], 0, 0, []), Validation("b", [delay], 0, 0, [])]
    )
    # Ranks 3 4 5 6 1 2 against 2.5 4 5 6 2.5 1 of all six cores.
    assert list(lines) == [
        "| technology | prediction | inside the training range | outside it | rank correlation |",
        "| --- | --- | --- | --- | --- |",
        "| `a` | area, gate equivalents | 4: 7.5 %, 15 % | 2: 25.0 %, 50 % | 0.899 |",
        "|  | area, µm², by the paper's unit costs |  | 2: 25.0 %, 50 % |  |",
        "| `b` | clock period, ns |  | 5: 14.0 %, 50 %; large 1: 10.0 %, 10 % | 0.899 |",
        "",
        "The worst cores of each:",
        "",
        "- `a`: area, gate equivalents: e -50 %, c +15 %, a +10 %, b -5 %, d +0 %",
        "- `b`: clock period, ns: e -50 %, c +15 %, a +10 %, b -5 %, d +0 %",
    ]
