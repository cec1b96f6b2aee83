"""A technology assembled here: Liberty files, ten lines of YAML, one command, and it predicts."""

from __future__ import annotations

import json

import pytest
import yaml
from typer.testing import CliRunner

from costmodel.calibrate import areas as calibrate
from costmodel.calibrate import delays as calibrate_delay
from costmodel.calibrate.areas import GRIDS
from costmodel.calibrate.delays import PROBES
from costmodel.catalog import costs_file
from costmodel.cells.technology import load_technology, technologies
from costmodel.judge.records import TRAINING
from costmodel.target.choice import find_target
from hwgen.base.errors import ConfigError
from hwgen.cli import app
from tests.costmodel.synth.test_libraries import OWN, OWN_CELLS, OWN_LIBERTY, REGISTER

CORE = {"kind": "lut", "act": "int4", "mu": 2, "tables": 2, "ports": 2, "max_in_features": 64}
KINDS = ("adder", "adder_carry", "fetch_mux", "mux", "equal", "gate", "xor_row", "and_row")
ELEMENTS = ("register", "adder", "adder_before", "fetch_mux", "mux", "gate", "equal")


@pytest.fixture
def toy28(tmp_path, monkeypatch):
    """Its folder; of the grids only what one small core needs, so that this takes seconds."""
    folder = tmp_path / "mine" / "toy28"
    folder.mkdir(parents=True)
    (folder / "gates.lib").write_text(OWN_LIBERTY.replace("CELLS", OWN_CELLS))
    (folder / "registers.lib").write_text(OWN_LIBERTY.replace("CELLS", REGISTER))
    (folder / "technology.yaml").write_text(OWN)
    monkeypatch.setenv("HWGEN_LIBERTY_PATH", str(tmp_path / "mine"))
    kinds = (*KINDS, "register_enable", "register_enable_reset")
    small = {
        kind: GRIDS[kind]._replace(
            sizes=(2, 4) if "mux" in kind else (0,),
            widths=(4, 10),
            check_sizes=(),
            check_widths=(),
        )
        for kind in kinds
    }
    monkeypatch.setattr(calibrate, "GRIDS", small)
    probes = {kind: PROBES[kind]._replace(sizes=PROBES[kind].sizes[:3]) for kind in ELEMENTS}
    for kind in ("fanout", "sum_fanout"):
        probes[kind] = PROBES[kind]._replace(sizes=(1, 16))
    monkeypatch.setattr(calibrate_delay, "PROBES", probes)
    return folder


def run(*arguments):
    return CliRunner().invoke(app, list(map(str, arguments)))


@pytest.mark.usefixtures("own_cache")
def test_one_command_and_it_predicts(toy28, tmp_path):
    core = tmp_path / "core.yaml"
    core.write_text(yaml.safe_dump(CORE))
    before = run("estimate", core, "--tech", "toy28")
    assert isinstance(before.exception, ConfigError)
    assert str(before.exception) == (
        "technology toy28: has no unit costs yet; run `hwgen calibrate toy28` first"
    )
    done = run("calibrate", "toy28")
    assert done.exit_code == 0, done.exception
    assert done.stdout.strip() == str(toy28 / "unit-costs.yaml") == str(costs_file("toy28"))
    assert "toy28" in technologies()
    estimated = json.loads(run("estimate", core, "--tech", "toy28", "--json").stdout)
    found = json.loads(run("synth", core, "--tech", "toy28", "--json").stdout)
    assert (estimated["area_unit"], estimated["corrected"]) == ("um2", False)
    # No factors: a sum of parts is larger than the whole, by a third at most in other technologies.
    assert 0.9 < estimated["area"] / found["area_um2"] < 1.4
    assert found["estimated_area_um2"] == estimated["area"]
    assert found["estimated_delay_ns"] == estimated["clock_ns"]
    assert 0.6 < estimated["clock_ns"] / found["delay_ns"] < 1.7
    record = find_target("toy28").record(TRAINING)
    assert record.path == record.destination == toy28 / "training.csv"
    assert load_technology("toy28") is load_technology("toy28")
    (toy28 / "technology.yaml").unlink()
    assert "toy28" not in technologies()
