"""report.html: what it holds, that nothing can break out of it, and that it works in a browser."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from costmodel.explore.plots import breakdown_figure, label_of, picture, sensitivity_figure
from costmodel.explore.report import (
    Objective,
    Report,
    breakdowns,
    content,
    decode,
    encode,
    page,
    shown_rows,
)
from costmodel.explore.sensitivity import sensitivity
from hwgen.flow.sweep.cores import core_files
from hwgen.flow.sweep.report import accuracy, report_files
from tests.support import ROOT

EVIL = "</script><script>window.broken = 1</script><!--<script> & <b>\"'"
SWEEP = """
technology: asap7
workload: {name: NAME, layers: [{name: a, in_features: 48, out_features: 24, count: 3}]}
core:
  kind: [lut, signflip, multiplier]
  act: [int8, fp16, fp8_e4m3]
  arith: [fixed, float]
  fixed_bits: [null, 16]
  sum_format: [null, fp32]
  mu: [1, 2]
  tables: {from: 1, to: 4, times: 2}
  ports: [2, 4]
  storage: [wires, registers]
  pipeline: {fetch: [0, 1], fp_mul: [0, 2]}
objectives: [area, ns_per_token, core_energy_fj_per_token]
"""


class Elements(HTMLParser):
    """Elements of a page with their attributes, and the text of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        if tag == "style":
            self.styles.append("")

    def handle_data(self, data):
        if self.found and self.found[-1][0] == "script" and self.cdata_elem == "script":
            self.scripts[-1] += data
        if self.found and self.found[-1][0] == "style" and self.cdata_elem == "style":
            self.styles[-1] += data

    @property
    def data(self) -> dict:
        (place,) = (i for i, attrs in enumerate(self.of("script")) if attrs.get("id") == "data")
        return json.loads(self.scripts[place])

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.found if name == tag]


# --- The page as a file ------------------------------------------------------------------------


def test_nothing_is_loaded_from_elsewhere(made):
    """No element, no style and none of our scripts names an address to load from."""
    for _, attributes in made.elements.found:
        for name in ("src", "href", "srcset", "action", "data", "poster"):
            assert (attributes.get(name) or "data:").startswith("data:")
    (policy,) = (m for m in made.elements.of("meta") if "http-equiv" in m)
    assert policy["content"].startswith("default-src 'none'; ")
    assert "http" not in policy["content"]
    assert not re.search(r"url\(|@import|http", "".join(made.elements.styles))
    script = made.elements.scripts[-1]
    assert "Plotly.react" in script
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|https?:|innerHTML|WebSocket", script)


def test_what_comes_from_outside_cannot_leave_its_place(made):
    """A hostile workload, whose name is in title and question, adds no element."""
    assert [attrs.get("id") for attrs in made.elements.of("script")] == [None, "data", None]
    assert "<b>" not in made.text.split("<script>")[0]
    assert made.elements.data["title"].startswith(EVIL)
    assert (
        json.dumps(EVIL)[1:20] in made.elements.data["question"]
        or "</script>" in (made.elements.data["question"])
    )
    assert "&lt;/script&gt;&lt;script&gt;" in made.text.split("<style>")[0]


def test_every_value_comes_back(made):
    """The page holds the whole table, exactly; front, best and counts are those of the sweep."""
    data, results = made.elements.data, made.sweep.drawn
    assert data["rows"] == data["kept"] == len(results) > 100
    for name in results.columns.drop("front"):
        values = results[name].astype(object).where(results[name].notna(), None)
        assert decode(data["columns"][name], data["rows"]) == values.tolist(), name
    assert data["front"] == np.flatnonzero(results["front"]).tolist()
    assert data["best"] == [made.sweep.drawn_best]
    assert dict(data["dropped"]) == made.sweep.dropped
    assert data["combinations"] == len(results) + sum(made.sweep.dropped.values())
    assert data["objectives"] == [
        ["area_um2", False],
        ["ns_per_token", False],
        ["core_energy_fj_per_token", False],
    ]
    assert list(data["breakdowns"]) == ["area_um2"]
    assert set(data["breakdowns"]["area_um2"]) > {"fetch", "reduce", "convert"}


@pytest.mark.parametrize(
    ("values", "form"),
    {
        "one": ([7] * 9, "constant"),
        "repeated": (["a", "b"] * 9, "levels"),
        "different": ([0.1, 0.2, 1e300, -3.0], "values"),
        "missing": ([1.5, None, 2.5], "values"),
        "truth": ([True, False] * 9, "levels"),
    }.values(),
)
def test_columns_are_encoded_exactly(values, form):
    coded = json.loads(json.dumps(encode(pd.Series(values)), allow_nan=False))
    assert form in coded
    assert decode(coded, len(values)) == values


def test_the_front_is_whole_and_the_rest_is_thinned_the_same_every_time():
    front = np.zeros(50_000, bool)
    front[::7] = True
    rows = shown_rows(front, [1, 3], 1000)
    assert set(np.flatnonzero(front)) | {1, 3} <= set(rows)
    assert len(rows) == front.sum() + 2 + 1000
    assert (rows == shown_rows(front, [1, 3], 1000)).all()
    others = np.setdiff1d(rows, np.flatnonzero(front))
    assert set(others % 16) == set(range(16))  # No value of an axis is lost to a step.


def test_thinned_pages_say_so_and_shares_are_of_all_points(made):
    results = made.sweep.drawn
    axes = ["kind", "mu", "tables"]
    report = Report(
        title="t",
        question="q",
        results=results,
        core_files=core_files,
        objectives=[Objective("area_um2"), Objective("utilisation", maximise=True)],
        axes=axes,
        best=[made.sweep.drawn_best],
        dropped={},
    )
    thinned = content(report, most_background=5)
    assert thinned["rows"] <= results["front"].sum() + 6 < thinned["kept"] == len(results)
    assert thinned["sensitivity"] == content(report)["sensitivity"]
    assert thinned["objectives"][1] == ["utilisation", True]
    sampled = content(replace(report, kept=10**6, combinations=2 * 10**6))
    counts = [sampled[name] for name in ("kept", "sampled", "combinations")]
    assert counts == [10**6, len(results), 2 * 10**6]
    assert page(report) == page(report)


def test_parts_are_those_that_add_up():
    table = {"area_ge": [3.0, 7.0], "area_a_ge": [1.0, 3.0], "area_b_ge": [2.0, 4.0], "kind": "lut"}
    frame = pd.DataFrame(table | {"lut": [5, 6], "lut_a": [1, 1], "lut_b": [1, 1]})
    expected = {"area_ge": {"a": "area_a_ge", "b": "area_b_ge"}}
    assert breakdowns(frame) == expected
    unknown = frame.assign(area_a_ge=[1.0, None], area_b_ge=[2.0, None])
    assert breakdowns(unknown) == expected  # Where the parts are known.


def two_technologies(folder: Path = Path(), given: tuple[str, ...] = ()) -> str:
    """A page of two technologies, each with an objective that the other has no numbers for."""
    half = pd.DataFrame({"kind": "lut", "mu": [1, 2, 3], "tables": 2, "ports": [1, 2, 4]})
    generic = half.assign(technology="generic", area_ge=[1.0, 2.0, 3.0], tokens_per_second=1.5)
    family = half.assign(technology="xcup", lut=[10, 20, 40], colour=["x", None, "y"])
    frame = pd.concat([generic, family], ignore_index=True).assign(front=[True, False] * 3)
    return report_files(
        folder,
        frame,
        ["area_ge", "lut", Objective("tokens_per_second", maximise=True)],
        title="two",
        question="",
        best=[0, 4],
        dropped={},
        given=given,
    )[folder / "report.html"]


def test_a_table_of_several_technologies_and_unknown_columns():
    """Columns come from the frame; what one technology has no numbers for is null there."""
    data = Elements(two_technologies()).data
    assert data["technologies"] == ["generic", "xcup"]
    assert decode(data["columns"]["area_ge"], 6) == [1, 2, 3, None, None, None]
    assert data["columns"]["tokens_per_second"]["label"] == "tokens per second"
    assert set(data["sensitivity"]["generic"]) == {"area_ge", "tokens_per_second"}
    assert set(data["sensitivity"]["xcup"]) == {"lut"}
    assert set(data["accuracy"]["generic"]) == {"area_ge"}
    assert set(data["accuracy"]["xcup"]) == {"lut"}
    assert data["best"] == [0, 4]
    assert Elements(two_technologies(given=("lut",))).data["accuracy"]["xcup"] == {}


# --- Sensitivity and accuracy ------------------------------------------------------------------


def test_shares_of_a_table_with_a_known_answer():
    """log y = 2a + b over all pairs: variances 1 and 1/4, so 80 % and 20 %; c does nothing."""
    grid = np.array([(a, b, c) for a in (0, 1) for b in (0, 1) for c in (0, 1)])
    table = pd.DataFrame(grid, columns=["a", "b", "c"]).assign(d="x")
    table["y"] = np.exp(2.0 * table["a"] + table["b"])
    table["z"] = 2.0 * table["a"] + table["b"] - 1  # Not positive: taken as it is.
    table["same"] = 0.1
    shares = sensitivity(table, ["a", "b", "c", "d"], ["y", "z", "same"])
    assert shares["y"].to_dict() == pytest.approx({"a": 0.8, "b": 0.2, "c": 0, "d": 0})
    assert shares["z"].to_dict() == pytest.approx({"a": 0.8, "b": 0.2, "c": 0, "d": 0})
    assert (shares["same"] == 0).all()


def test_a_combination_is_no_axis_share_and_gaps_are_left_out():
    table = pd.DataFrame({"a": [0, 0, 1, 1, 0], "b": [0, 1, 0, 1, 0]})
    table["y"] = [2.0, 1.0, 1.0, 2.0, np.nan]
    assert sensitivity(table, ["a", "b"], ["y"])["y"].to_list() == pytest.approx([0, 0])


def test_error_bars_are_those_of_the_records():
    """Recomputed here from the committed columns, without the model."""
    columns = ["area_um2", "clock_ns", "ns_per_token", "cycles_per_token", "area_build_um2"]
    columns.append("core_energy_fj_per_token")
    record = pd.read_csv(ROOT / "costmodel/holdout/asap7.csv")
    area = (record["predicted_area_um2"] / record["synthesised_area_um2"] - 1).abs().mean()
    clock = (record["predicted_delay_ns"] / record["synthesised_delay_ns"] - 1).abs().mean()
    energies = pd.read_csv(ROOT / "costmodel/holdout/asap7_energy.csv").query("data == 'digits'")
    energy = (energies["predicted_energy_fj"] / energies["synthesised_energy_fj"] - 1).abs().mean()
    found = accuracy("asap7", columns, "digits")
    assert {name: one.error for name, one in found.items()} == pytest.approx(
        {
            "area_um2": area,
            "clock_ns": clock,
            "ns_per_token": clock,
            "core_energy_fj_per_token": energy,
        },
        rel=1e-3,
    )
    assert found["area_um2"].cores == len(record)
    assert found["area_um2"].note.startswith(f"area, {len(record)} cores: 36 inside the fitted")
    paper = record["paper_area_um2"] / record["synthesised_area_um2"] - 1
    error = accuracy("asap7", columns, model="paper")["area_um2"].error
    assert error == pytest.approx(paper.abs().mean(), rel=1e-3)
    assert accuracy("unheard-of", columns) == {}


# --- Pictures ----------------------------------------------------------------------------------


def test_pictures_of_shares_and_of_parts():
    shares = pd.DataFrame({"area_ge": [0.1, 0.7], "clock_ns": [0.2, 0.3]}, index=["mu", "tables"])
    figure = sensitivity_figure(shares, "title")
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        label_of("tables"),
        label_of("mu"),
    ]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([70, 10, 30, 20])
    parts = breakdown_figure({"build": 1.0, "tables": 0.0, "fetch": 3.0}, "area, µm²", "title")
    assert [bar.get_width() for bar in parts.axes[0].patches] == [1, 3]
    assert "3 (75 %)" in picture(parts, "svg").decode()
    assert "area, µm²; together 4" in picture(parts, "svg").decode()
    again = sensitivity_figure(shares, "title")
    assert imread(io.BytesIO(picture(figure, "png"))).std() > 0.05
    assert picture(figure, "png") == picture(again, "png")


def test_a_sweep_draws_them(made):
    for name in ("sensitivity", "breakdown"):
        assert made.path.with_name(f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "</svg>" in made.path.with_name(f"{name}.svg").read_text()
    assert label_of("core_energy_fj_per_token") in (
        made.path.with_name("sensitivity.svg").read_text()
    )


# --- The page in a browser ---------------------------------------------------------------------
