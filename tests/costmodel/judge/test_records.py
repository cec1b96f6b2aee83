"""Records: measured once, predicted anew, read from the user's folder in preference."""

from __future__ import annotations

from io import StringIO

import pandas as pd
import pytest

from costmodel.catalog import PACKAGE, PACKAGED
from costmodel.judge import samples as sampling
from costmodel.judge.records import HOLDOUT, TRAINING
from costmodel.judge.samples import load_samples
from costmodel.synth.libraries import find_library
from costmodel.target.choice import all_targets, find_target, recorded_targets
from hwgen.base.errors import ConfigError
from hwgen.flow.calibrate.samples import measure_samples
from hwgen.flow.calibrate.validate import validate


@pytest.mark.usefixtures("own_cache")
def test_synthesis_resumes_where_it_stopped(no_records):
    cores = sorted(load_samples().of("train"), key=lambda sample: sample.cells)
    seen = []
    path = measure_samples("generic", ["train"], cores[0].cells, lambda *x: seen.append(x))
    assert path == no_records / "training" / "generic.csv"
    assert seen == [(cores[0].name, 1, 1)]
    first = path.read_text()
    measure_samples("generic", ["train"], cores[0].cells, lambda *x: seen.append(x))
    assert len(seen) == 1
    assert path.read_text() == first
    measure_samples("generic", ["train"], cores[1].cells, lambda *x: seen.append(x))
    assert seen[1:] == [(cores[1].name, 1, 1)]
    rows = path.read_text().splitlines()
    assert len(rows) == 3
    assert set(first.splitlines()) < set(rows)


@pytest.mark.parametrize("tech", PACKAGED)
def test_recorded_holdout_is_what_synthesis_gives(tech, tmp_path, monkeypatch):
    """Five cores again, from nothing; the model's errors are the README's business."""
    monkeypatch.setenv("HWGEN_CACHE", str(tmp_path / "cache"))
    try:
        find_library(tech)
    except ConfigError as error:
        pytest.skip(str(error))
    result = validate(tech, recompute=5)
    assert (result.recomputed, result.different) == (5, [])
    judged = {(judgement.quantity, judgement.model) for judgement in result.judgements}
    delays = set() if tech == "generic" else {("delay", "hwgen")}
    energies = {"energy, random", "energy, digits", "leakage"} if tech != "generic" else set()
    simulated = {(quantity, "hwgen") for quantity in energies}
    assert judged == {("area", "hwgen"), ("area", "paper")} | delays | simulated
    for judgement in (j for j in result.judgements if j.quantity not in energies):
        cores = {errors.group: errors.cores for errors in judgement.errors}
        total = sum(sampling.SIZES[group] for group in HOLDOUT)
        assert cores["all"] + judgement.left_out + result.missing == total
        assert cores["inside"] > 0 < cores["outside"]


KINDS = [
    pytest.param(kind, target.name, groups, id=f"{target.name}{kind.suffix}-{groups[-1]}")
    for target in all_targets()
    if target.name in {one.name for one in recorded_targets()}
    for kind in target.records
    if kind(target.name, HOLDOUT).path.exists()
    for groups in (TRAINING, HOLDOUT)
]


def test_every_packaged_technology_is_recorded():
    files = {path.name for path in (PACKAGE / "training").glob("*.csv")}
    assert files == {path.name for path in (PACKAGE / "holdout").glob("*.csv")}
    assert len(files) * 2 == len(KINDS)


@pytest.mark.parametrize(("kind", "tech", "groups"), KINDS)
def test_records_hold_what_the_model_predicts_now(kind, tech, groups):
    record = kind(tech, groups)
    assert record.path.read_text(encoding="utf-8") == record.text(record.rows())


@pytest.mark.parametrize("tech", ["asap7", "ecp5"])
def test_predictions_are_made_anew(tech, own_data):
    """In every file, and in no other column; in the user's folder, and not in the package."""
    target = find_target(tech)
    records = [kind(tech, groups) for kind in target.records for groups in (TRAINING, HOLDOUT)]
    before = {record.path: record.path.read_text(encoding="utf-8") for record in records}
    for record, text in zip(records, before.values(), strict=True):
        table = pd.read_csv(StringIO(text), keep_default_na=False)
        wrong = {column: 1.0 for column in table if column.startswith("predicted_")}
        record.destination.parent.mkdir(parents=True, exist_ok=True)
        table.assign(**wrong).to_csv(record.destination, index=False)
    target.predict_again()
    for record, text in zip(records, before.values(), strict=True):
        assert record.path == record.destination
        assert record.path.is_relative_to(own_data)
        assert record.path.read_text(encoding="utf-8") == text
    assert {path: path.read_text(encoding="utf-8") for path in before} == before


def test_a_record_that_synthesis_does_not_give_is_named(no_records):
    record = find_target("generic").record(HOLDOUT)
    samples = sorted(record.samples, key=lambda sample: sample.cells)
    table = pd.read_csv(PACKAGE / "holdout" / "generic.csv", keep_default_na=False)
    here = table["name"] == samples[0].name
    table.loc[here, "synthesised_area_ge"] += 1
    (no_records / "holdout").mkdir(parents=True)
    table.to_csv(record.path, index=False)
    seen = []
    result = validate("generic", recompute=2, progress=lambda *done: seen.append(done))
    assert (result.recomputed, result.different) == (2, [samples[0].name])
    assert seen == [(samples[0].name, 1, 2), (samples[1].name, 2, 2)]


def test_without_files_nothing_is_begun(no_records, monkeypatch):
    monkeypatch.delenv("HWGEN_LIBERTY_PATH", raising=False)
    with pytest.raises(ConfigError, match="HWGEN_LIBERTY_PATH"):
        measure_samples("asap7", most_cells=0)
    assert not no_records.exists()


@pytest.mark.usefixtures("no_records")
def test_without_a_record_there_is_nothing_to_judge():
    with pytest.raises(ConfigError) as caught:
        validate("generic")
    assert str(caught.value) == (
        "technology generic: no hold-out core was synthesised; run "
        "`hwgen calibrate generic --holdout`"
    )
