"""Comparison files: cores side by side in one flow, and every fault explained."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from costmodel.catalog import OWN_FILE, VARIABLE
from costmodel.synth.libraries import find_library
from hwgen.base.errors import ConfigError
from hwgen.cli import app
from hwgen.flow.compare.file import load_comparison
from hwgen.flow.compare.run import compare
from hwgen.verilog.emit import emit
from tests.support.technologies import real

SMALL = """\
common: {act: fp8_e5m2, arith: float, sum_format: fp8_e5m2, ports: 2}
baseline: table
cores:
  multiplier: {kind: multiplier, tables: 4}
  table: {kind: lut, mu: 2, tables: 2}
  deeper: {kind: lut, mu: 2, tables: 2, pipeline: {fp_add: 1}}
published:
  - {source: nobody, technology: none, unit: mm², baseline: b, areas: {a: 2.5, b: 1.25}}
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def test_areas_are_those_of_hierarchical_synthesis(small, tmp_path):
    result = compare(small, ["generic"], tmp_path / "out")
    _, cores = load_comparison(small)
    library = find_library("generic")
    areas = {}
    for row in result.rows:
        emitted = emit(cores[row.core])
        found = library.synthesise(emitted.rtlil, emitted.name, flatten=False)
        areas[row.core] = found.area
        assert row.area == found.area
        assert row.sequential_area == found.sequential_area
        assert row.area_per_weight == row.area / 8  # Four inputs by two outputs.
        assert row.delay_ns is None  # generic has none.
    assert [row.ratio for row in result.rows] == [
        areas[name] / areas["table"] for name in ("multiplier", "table", "deeper")
    ]
    table = pd.read_csv(tmp_path / "out" / "comparison.csv")
    assert table["core"].tolist() == ["multiplier", "table", "deeper"]
    assert table["area"].tolist() == list(areas.values())


def test_the_command_prints_a_table_and_json(small, tmp_path):
    arguments = ["compare", str(small), "--tech", "generic", "--out", str(tmp_path / "out")]
    text = CliRunner().invoke(app, arguments)
    assert text.exit_code == 0
    assert "none, published (nobody): a 2.5 : b 1.25 mm², 2.00 : 1.00." in text.stdout
    found = CliRunner().invoke(app, [*arguments, "--json"])
    rows = json.loads(found.stdout)["rows"]
    assert [row["core"] for row in rows] == ["multiplier", "table", "deeper"]
    assert rows[1]["ratio"] == 1.0


def test_delays_where_the_library_has_them(small, tmp_path):
    library = real("asap7")
    rows = {row.core: row for row in compare(small, ["asap7"], tmp_path).rows}
    assert 0 < rows["deeper"].delay_ns < rows["table"].delay_ns < rows["multiplier"].delay_ns
    assert rows["deeper"].gates_per_weight == pytest.approx(
        rows["deeper"].area_per_weight / library.gate_area()
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("baseline: table", "baseline: tabel"),
            "small.yaml: baseline: should be one of multiplier, table, deeper, not 'tabel'",
        ),
        (
            ("baseline: b,", "baseline: c,"),
            "small.yaml: published.0.baseline: should be one of a, b, not 'c'",
        ),
        (
            ("kind: multiplier, tables: 4", "kind: multiplier, tables: 0"),
            "small.yaml: cores.multiplier: tables: input should be greater than or equal to 1, "
            "not 0",
        ),
        (
            ("{kind: multiplier, ", "{name: big, kind: multiplier, "),
            "small.yaml: cores.multiplier.name: a compared core is named by its label; remove it, "
            "not 'big'",
        ),
        (
            ("common: {", "common: {name: any, "),
            "small.yaml: common.name: a compared core is named by its label; remove it, not 'any'",
        ),
    ],
)
def test_faults_are_explained(small, change, message):
    text = small.read_text()
    assert text.count(change[0]) == 1
    small.write_text(text.replace(*change))
    with pytest.raises(ConfigError) as caught:
        load_comparison(small)
    assert str(caught.value) == f"{small.parent}/{message}"


CLOCKS = {
    "misspelt": (
        "asap8",
        "asap8: should be a technology with Liberty files; did you mean 'asap7'?",
    ),
    "unknown": (
        "xcup",
        "xcup: should be a technology with Liberty files; known: generic, asap7, ihp-sg13g2, "
        "sky130hd",
    ),
    "without_delays": (
        "generic",
        "generic: this technology has no delays to compare with; remove it",
    ),
}


@pytest.mark.parametrize(("technology", "message"), CLOCKS.values(), ids=CLOCKS)
def test_a_clock_without_effect_is_refused(small, tmp_path, monkeypatch, technology, message):
    monkeypatch.delenv(VARIABLE, raising=False)
    small.write_text(f"{SMALL}clock_ns: {{asap7: 1, {technology}: 2}}\n")
    with pytest.raises(ConfigError) as caught:
        compare(small, ["generic"], tmp_path / "out")
    assert str(caught.value) == f"{small}: clock_ns: {message}"


def test_by_default_every_technology_with_files_and_no_faulty_one(small, tmp_path, monkeypatch):
    """What has no files is left out; what has a faulty description is not, but an error."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "pdk"))
    own = tmp_path / "pdk" / "mine" / OWN_FILE
    own.parent.mkdir(parents=True)
    text = "source: me\narea_unit: ge\ngate: NAND2\ndont_use: {}\nconditions: null\n"
    own.write_text(text)
    rows = compare(small, out=tmp_path / "out").rows
    assert {row.technology for row in rows} == {"generic"}
    own.write_text(text.replace("gate: NAND2\n", ""))
    with pytest.raises(ConfigError) as caught:
        compare(small, out=tmp_path / "out")
    assert str(caught.value) == f"{own}: gate: is required; add it"
