"""The drawn list of cores: legal, as many as said, apart where they should be, reproducible."""

from __future__ import annotations

import math
from collections import Counter
from io import StringIO

import pandas as pd
import pytest
from hwgen.flow.calibrate.cell_samples import synthesise_samples

from costmodel.catalog import FAMILIES, PACKAGED
from costmodel.cells.technology import load_technology
from costmodel.fpga.resources import load_fpga
from costmodel.judge import energy_records as energies
from costmodel.judge import samples as sampling
from costmodel.judge.cell_records import results_file
from costmodel.judge.samples import as_json, draw_samples, load_samples
from costmodel.synth.libraries import find_library
from hwgen.base.errors import ConfigError
from hwgen.flow.calibrate import cell_samples as holdout
from hwgen.flow.calibrate import fpga_samples as fpga_holdout
from hwgen.flow.calibrate.validate import validate
from hwgen.spec.structure import structure


@pytest.fixture(scope="module")
def samples():
    return load_samples()


def tables_and_ports(core):
    """A size that needs no unit costs."""
    return 40.0 * core.tables * core.ports * core.mu * core.act_bits / 8


def test_groups_are_as_large_as_said(samples):
    assert Counter(sample.group for sample in samples.cores) == sampling.SIZES
    assert len({sample.name for sample in samples.cores}) == len(samples.cores)
    assert sampling.CORES_FILE.read_text(encoding="utf-8") == as_json(samples)


def test_every_core_is_legal_and_has_a_structure(samples):
    generic = load_technology("generic")
    for sample in samples.cores:
        counts = structure(sample.config).total
        assert sum(generic.unit_area(p) * n for p, n in counts.items()) > 0


def test_no_core_is_drawn_twice(samples):
    cores = [sample.config.model_copy(update={"name": None}) for sample in samples.cores]
    assert len(set(cores)) == len(cores)


def test_training_and_inside_stay_in_range(samples):
    for sample in samples.of("train", "inside"):
        core = sample.config
        assert core.mu < sampling.UNSEEN_MU
        assert core.act in (*sampling.INTEGERS, *sampling.FLOATS)
        assert core.reuse <= sampling.MOST_REUSE
        assert core.fixed_bits in (None, *sampling.FIXED_BITS)
        assert sample.cells <= sampling.HIGHEST_CELLS * (1 + sampling.TOLERANCE)


def test_outside_goes_beyond_in_the_respect_it_names(samples):
    beyond = {
        "mu": lambda core: core.mu == sampling.UNSEEN_MU,
        "integer": lambda core: core.act in sampling.UNSEEN_INTEGERS,
        "format": lambda core: core.act == sampling.UNSEEN_FLOAT,
        "fixed_bits": lambda core: core.fixed_bits == sampling.UNSEEN_FIXED_BITS,
        "reuse": lambda core: core.reuse == sampling.UNSEEN_REUSE,
    }
    outside = samples.of("outside")
    assert Counter(sample.beyond for sample in outside) == dict.fromkeys(beyond, 3)
    assert all(beyond[sample.beyond](sample.config) for sample in outside)


def test_every_kind_and_arithmetic_is_there(samples):
    for group in ("train", "inside"):
        cores = [sample.config for sample in samples.of(group)]
        assert {core.kind for core in cores} == {"lut", "signflip", "multiplier"}
        assert {core.arith for core in cores} == {None, "float", "fixed"}
        assert {core.mu for core in cores if core.kind == "lut"} == {1, 2, 3, 4, 5}


def test_drawing_again_gives_the_same(monkeypatch):
    monkeypatch.setattr(sampling, "SIZES", {"train": 4, "outside": 2})
    once, again, other = (draw_samples(seed, tables_and_ports) for seed in (1, 1, 2))
    assert once == again != other
    for sample in once.of("train"):
        assert math.isclose(sample.cells, tables_and_ports(sample.config), abs_tol=1)


def test_the_kept_list_is_what_its_seed_draws(samples):
    assert draw_samples(samples.seed, sampling.estimated_cells) == samples


def test_synthesis_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setenv("HWGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(holdout, "FOLDER", tmp_path)
    cores = sorted(load_samples().of("train"), key=lambda sample: sample.cells)
    seen = []
    path = synthesise_samples("generic", ["train"], cores[0].cells, lambda *x: seen.append(x))
    assert path == results_file("generic", ["train"]) == tmp_path / "training" / "generic.csv"
    assert seen == [(cores[0].name, 1, 1)]
    first = path.read_text()
    synthesise_samples("generic", ["train"], cores[0].cells, lambda *x: seen.append(x))
    assert len(seen) == 1
    assert path.read_text() == first
    synthesise_samples("generic", ["train"], cores[1].cells, lambda *x: seen.append(x))
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
        total = sum(sampling.SIZES[group] for group in holdout.HOLDOUT)
        assert cores["all"] + judgement.left_out + result.missing == total
        assert cores["inside"] > 0 < cores["outside"]


GROUPS = pytest.mark.parametrize(
    "groups", [holdout.TRAINING, holdout.HOLDOUT], ids=["train", "holdout"]
)


@GROUPS
@pytest.mark.parametrize("tech", PACKAGED)
def test_records_hold_what_the_model_predicts_now(tech, groups):
    path = results_file(tech, groups)
    rows, samples = holdout.read_rows(path), load_samples().of(*groups)
    text = holdout.table_text(samples, rows, load_technology(tech))
    assert path.read_text(encoding="utf-8") == text


@GROUPS
@pytest.mark.parametrize("tech", [tech for tech in PACKAGED if tech != "generic"])
def test_records_of_energies_hold_what_the_model_predicts_now(tech, groups):
    path = energies.energy_file(tech, groups)
    rows, samples = energies.read_rows(path), load_samples().of(*groups)
    text = energies.table_text(samples, rows, load_technology(tech))
    assert path.read_text(encoding="utf-8") == text


@GROUPS
@pytest.mark.parametrize("family", FAMILIES)
def test_records_of_fpgas_hold_what_the_model_predicts_now(family, groups):
    path = results_file(family, groups)
    rows, samples = holdout.read_rows(path), load_samples().of(*groups)
    text = fpga_holdout.table_text(samples, rows, load_fpga(family))
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("predict_again", "tech", "suffix"),
    [
        (holdout.predict_again, "asap7", ""),
        (energies.predict_again, "asap7", "_energy"),
        (fpga_holdout.predict_again, "ecp5", ""),
    ],
    ids=["cells", "energies", "fpga"],
)
def test_predictions_are_made_anew(predict_again, tech, suffix, tmp_path, monkeypatch):
    """In both files, and in no other column."""
    names = [f"{folder}/{tech}{suffix}.csv" for folder in ("training", "holdout")]
    before = {name: (holdout.FOLDER / name).read_text(encoding="utf-8") for name in names}
    monkeypatch.setattr(holdout, "FOLDER", tmp_path)
    for name, text in before.items():
        table = pd.read_csv(StringIO(text), keep_default_na=False)
        wrong = {column: 1.0 for column in table if column.startswith("predicted_")}
        (tmp_path / name).parent.mkdir()
        table.assign(**wrong).to_csv(tmp_path / name, index=False)
    predict_again(tech)
    assert {name: (tmp_path / name).read_text(encoding="utf-8") for name in names} == before


def test_a_record_that_synthesis_does_not_give_is_named(tmp_path, monkeypatch):
    path = holdout.results_file("generic", holdout.HOLDOUT)
    samples = sorted(load_samples().of(*holdout.HOLDOUT), key=lambda sample: sample.cells)
    table = pd.read_csv(path, keep_default_na=False)
    here = table["name"] == samples[0].name
    table.loc[here, "synthesised_area_ge"] += 1
    monkeypatch.setattr(holdout, "FOLDER", tmp_path)
    (tmp_path / "holdout").mkdir()
    table.to_csv(holdout.results_file("generic", holdout.HOLDOUT), index=False)
    seen = []
    result = validate("generic", recompute=2, progress=lambda *done: seen.append(done))
    assert (result.recomputed, result.different) == (2, [samples[0].name])
    assert seen == [(samples[0].name, 1, 2), (samples[1].name, 2, 2)]


def test_without_files_nothing_is_begun(tmp_path, monkeypatch):
    monkeypatch.setattr(holdout, "FOLDER", tmp_path)
    monkeypatch.delenv("HWGEN_LIBERTY_PATH", raising=False)
    with pytest.raises(ConfigError, match="HWGEN_LIBERTY_PATH"):
        synthesise_samples("asap7", most_cells=0)
    assert not list(tmp_path.iterdir())


def test_without_a_record_there_is_nothing_to_judge(tmp_path, monkeypatch):
    monkeypatch.setattr(holdout, "FOLDER", tmp_path)
    with pytest.raises(ConfigError) as caught:
        validate("generic")
    assert str(caught.value) == (
        "technology generic: no hold-out core was synthesised; run "
        "`hwgen calibrate generic --holdout`"
    )
