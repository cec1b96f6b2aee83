"""Every technology answers every question of the one interface, or says why it cannot."""

from __future__ import annotations

import pickle

import pytest
import yaml
from typer.testing import CliRunner

from costmodel.catalog import PACKAGE, PACKAGED, family_names
from costmodel.cells.delay import NoDelaysError
from costmodel.cells.technology import UncalibratedError
from costmodel.judge.records import HOLDOUT
from costmodel.target.cells import CellTarget
from costmodel.target.choice import all_targets, find_target, recorded_targets
from costmodel.target.fpga import FpgaTarget
from hwgen.base.errors import ConfigError, HwgenError
from hwgen.cli import app
from hwgen.spec.config import CoreConfig
from hwgen.spec.structure import structure

CORE = CoreConfig(kind="lut", mu=2, tables=2, ports=2, name="core")
NAMES = (*PACKAGED, *family_names())


@pytest.mark.parametrize("name", NAMES)
def test_a_name_chooses_the_kind(name):
    target = find_target(name)
    assert type(target) is (FpgaTarget if name in family_names() else CellTarget)
    assert target.name == name
    assert type(pickle.loads(pickle.dumps(target))) is type(target)


def test_all_technologies_are_listed(monkeypatch):
    monkeypatch.delenv("HWGEN_LIBERTY_PATH", raising=False)
    assert [target.name for target in all_targets()] == list(NAMES)
    recorded = [target.name for target in recorded_targets()]
    assert recorded == [*sorted(PACKAGED), *family_names()]


@pytest.mark.parametrize("name", NAMES)
def test_every_technology_predicts_or_says_why_not(name):
    target, spec = find_target(name), structure(CORE)
    cost = target.cost(spec, "random")
    for ask, answer, refusal in (
        (lambda: target.clock(spec), cost.clock, NoDelaysError),
        (lambda: target.energy(spec, "random"), cost.energy, UncalibratedError),
    ):
        if isinstance(answer, str):
            assert answer.startswith(f"{name}: ")
            with pytest.raises(refusal) as error:
                ask()
            assert str(error.value) == answer
        else:
            assert ask() == answer
    assert cost.resources_json().keys() & {"area", "lut"}
    assert cost.corrected
    assert target.judgements()[0].cores["name"].str.match("inside|outside|large").all()


def test_a_technology_without_unit_costs_synthesises_but_predicts_nothing(own_data, tmp_path):
    """A family that is one more file; then it waits for its calibration."""
    (own_data / "families").mkdir(parents=True)
    text = (PACKAGE / "families" / "ecp5.yaml").read_text(encoding="utf-8")
    (own_data / "families" / "mine.yaml").write_text(text, encoding="utf-8")
    target = find_target("mine")
    assert not target.calibrated
    assert not target.recorded
    assert target.record(HOLDOUT).destination == own_data / "holdout" / "mine.csv"
    core = tmp_path / "core.yaml"
    core.write_text(yaml.safe_dump({"kind": "signflip", "tables": 2, "ports": 1}))

    def run(command, tech):
        return CliRunner().invoke(app, [command, str(core), "--tech", tech, "--json"])

    mine, ecp5 = (yaml.safe_load(run("synth", tech).stdout) for tech in ("mine", "ecp5"))
    assert (mine["lut"], mine["ff"], mine["carry"]) == (ecp5["lut"], ecp5["ff"], ecp5["carry"])
    assert mine["estimated_lut"] is None
    assert mine["notes"][-1].endswith("no unit costs yet: hwgen calibrate mine")
    error = run("estimate", "mine").exception
    assert isinstance(error, ConfigError)
    assert str(error) == "technology mine: has no unit costs yet; run `hwgen calibrate mine` first"


def test_unknown_names_are_refused():
    with pytest.raises(ConfigError, match=r"not 'ice40'; "):
        find_target("ice40")
    assert issubclass(ConfigError, HwgenError)
