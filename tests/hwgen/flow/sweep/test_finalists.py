"""Cores of a sweep's front made real: synthesised beside their predictions, built and verified."""

from __future__ import annotations

import json

import pandas as pd
import pytest

import hwgen.flow.sweep.finalists as flow
from costmodel.cells.area import core_area
from costmodel.cells.technology import load_technology
from hwgen.base.errors import ConfigError
from hwgen.flow.sweep.finalists import emit_best, spread, synthesise_front
from hwgen.flow.sweep.run import sweep
from hwgen.flow.synth import synthesise_core
from hwgen.spec.config import load_core
from hwgen.spec.structure import structure

QUESTION = """
workload: {name: small, layers: [{name: a, in_features: 40, out_features: 20}]}
core: {kind: [lut, signflip], mu: [1, 2], tables: [1, 2, 4], ports: [1, 2], reuse: [1, 2]}
objectives: [area, cycles_per_token]
"""


@pytest.fixture
def result(tmp_path):
    (tmp_path / "small.yaml").write_text(QUESTION)
    return sweep(tmp_path / "small.yaml", tmp_path / "out")


def test_the_chosen_are_spread_and_have_the_best_and_the_ends():
    assert spread(10, 4, 3) == [0, 4, 9]
    assert spread(100, 99, 4) == [0, 33, 66, 99]
    assert spread(100, 2, 1) == [2]
    assert spread(3, 1, 8) == [0, 1, 2]
    for members in range(1, 30):
        for best in range(members):
            for count in range(1, members + 1):
                chosen = spread(members, best, count)
                assert best in chosen
                assert chosen == sorted(set(chosen))
                assert 1 <= len(chosen) <= count


def test_synthesis_stands_beside_the_prediction(result):
    checked = synthesise_front(result, 3)
    assert 2 <= len(checked) <= 3
    for one in checked:
        found = synthesise_core("generic", one.core)
        assert one.synthesised_area == found.area
        predicted = core_area(structure(one.core), load_technology("generic")).total
        assert one.predicted_area == predicted
        assert one.area_error == predicted / found.area - 1
        assert one.clock_error is None
    table = pd.read_csv(result.folder / "validation.csv")
    assert table["synthesised_area"].tolist() == [one.synthesised_area for one in checked]
    best = load_core(result.folder / "best.yaml").model_copy(update={"name": None})
    assert structure(best).total in [structure(one.core).total for one in checked]


@pytest.mark.verilator
def test_the_best_core_is_built_and_verified(result):
    built = emit_best(result)
    assert built.verification.match
    assert built.verification.outputs > 0
    assert list(built.folder.glob("*.v"))
    assert json.loads(json.dumps(built.to_dict()))["verification"]["match"]


@pytest.mark.verilator
def test_a_wrong_best_core_is_noticed(result, damaged_emit):
    import hwgen.flow.verify as verifying

    damaged_emit(verifying)
    assert not emit_best(result).verification.match


def test_what_cannot_be_synthesised_is_refused(result, monkeypatch):
    with pytest.raises(ConfigError, match="--validate: should be at least 1, not 0"):
        synthesise_front(result, 0)

    def missing(tech):
        raise ConfigError(f"technology {tech}: no files")

    monkeypatch.setattr(flow, "find_library", missing)
    with pytest.raises(ConfigError, match="generic: no files"):
        synthesise_front(result, 1)
    assert not (result.folder / "validation.csv").exists()


@pytest.mark.verilator
def test_the_command_prints_both(hwgen_cli, tmp_path):
    (tmp_path / "small.yaml").write_text(QUESTION)
    outcome = hwgen_cli("sweep", "small.yaml", "--validate", "2", "--emit", "best")
    assert outcome.code == 0
    assert "Mean error of area" in outcome.out
    assert "0 differ" in outcome.out
    outcome = hwgen_cli("sweep", "small.yaml", "--validate", "2", "--emit", "best", "--json")
    content = json.loads(outcome.out)
    assert content["emitted"]["verification"]["match"]
    assert len(content["validated"]) == 2
    outcome = hwgen_cli("sweep", "small.yaml", "--emit", "all")
    assert (outcome.code, "--emit: should be best, not 'all'" in outcome.err) == (2, True)
