"""A search of a space against its exhaustive front, and that it is a sweep otherwise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pymoo.indicators.hv import HV

from hwgen.base.errors import ConfigError
from hwgen.flow.sweep.plan import plan_sweep
from hwgen.flow.sweep.run import sweep
from hwgen.flow.sweep.search import Genes, search

QUESTION = """
technology: asap7
workload: {name: two layers, layers: [{name: a, in_features: 400, out_features: 300, count: 2}]}
core:
  kind: [lut, signflip]
  mu: {from: 1, to: 3}
  tables: {from: 1, to: 32}
  ports: {from: 1, to: 32}
  reuse: [1, 2, 4]
  storage: [wires, registers]
  pipeline: {fetch: [0, 1]}
objectives: [area, ns_per_token, core_energy_fj_per_token]
constraints: {area: {max: 20000}}
"""
OBJECTIVES = ["area_um2", "ns_per_token", "core_energy_fj_per_token"]


@pytest.fixture
def question(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text(QUESTION)
    return path


def test_a_search_finds_99_percent_of_the_front_with_a_tenth_of_the_points(question, tmp_path):
    """By hypervolume of logarithms, the front's own range as the unit and a tenth more as the
    reference."""
    whole = sweep(question, tmp_path / "whole")
    found = search(question, whole.tally.points // 10, tmp_path / "found")
    assert found.tally.points <= whole.tally.points / 10
    fronts = [np.log(one.front[OBJECTIVES].to_numpy(float)) for one in (whole, found)]
    low, high = fronts[0].min(axis=0), fronts[0].max(axis=0)
    volume = HV(ref_point=np.full(len(OBJECTIVES), 1.1))
    exact, reached = (volume((front - low) / (high - low)) for front in fronts)
    assert 0.99 <= reached / exact <= 1 + 1e-12


def test_rows_are_those_of_the_sweep(question, tmp_path):
    """Every point that was looked at, with the same numbers; the front is of these."""
    whole = sweep(question, tmp_path / "whole").results.set_index("point")
    found = search(question, 600, tmp_path / "found")
    rows = found.results.set_index("point")
    assert 100 < len(rows) == found.tally.feasible
    pd.testing.assert_frame_equal(
        rows.drop(columns="front"), whole.loc[rows.index].drop(columns="front"), check_like=True
    )
    values = rows[OBJECTIVES].to_numpy(float)
    beaten = [
        bool(((values <= one).all(axis=1) & (values < one).any(axis=1)).any()) for one in values
    ]
    assert rows["front"].tolist() == [not each for each in beaten]


def test_the_same_seed_gives_the_same_points(question, tmp_path):
    runs = [search(question, 300, tmp_path / str(i), seed) for i, seed in enumerate((1, 1, 2))]
    first, second, other = (set(run.results["point"]) for run in runs)
    assert first == second != other


def test_genes_stand_for_every_point_once(question):
    """Of combinations that are shapes; others stand for the nearest one."""
    space = plan_sweep(question).space
    genes = Genes(space)
    grid = np.stack(
        np.meshgrid(*(np.arange(end + 1) for end in genes.ends), indexing="ij"), axis=-1
    )
    numbers = genes.numbers(grid.reshape(-1, len(genes.ends)))
    assert set(numbers.tolist()) == set(range(space.size))
    whole = space.point(int(genes.numbers(genes.ends[None])[0]))[1]
    assert (whole.tables, whole.ports, whole.reuse) == (32, 32, 4)


def test_a_space_of_one_point_is_looked_at(tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text(
        "workload: {name: a, layers: [{name: a, in_features: 40, out_features: 30}]}\n"
        "core: {kind: lut, mu: 2, tables: 2, ports: 3}\nobjectives: [area, cycles_per_token]\n"
    )
    assert len(search(path, 10, tmp_path / "out").front) == 1


def test_a_search_without_a_feasible_point_says_why(question, tmp_path):
    question.write_text(QUESTION.replace("max: 20000", "max: 1"))
    with pytest.raises(ConfigError, match=r"none of .* points keeps to all of them"):
        search(question, 200, tmp_path / "out")
    assert not (tmp_path / "out" / "results.parquet").exists()
    with pytest.raises(ConfigError, match="--search: should be at least 1"):
        search(question, 0)


def test_the_command_searches(hwgen_cli, question):
    outcome = hwgen_cli("sweep", question, "--search", "200", "--out", "out")
    assert outcome.code == 0
    assert "report.html" in outcome.out
    outcome = hwgen_cli("sweep", question, "--seed", "1")
    assert (outcome.code, "no effect without --search" in outcome.err) == (2, True)


def test_a_search_of_more_points_than_there_are_is_exhaustive(question, tmp_path):
    whole = sweep(question, tmp_path / "whole")
    found = search(question, 10**9, tmp_path / "found")
    assert found.tally.points == whole.tally.points
    assert found.front["point"].tolist() == whole.front["point"].tolist()


def test_a_search_of_nearly_all_points_ends(tmp_path):
    path = tmp_path / "few.yaml"
    path.write_text(
        "workload: {name: a, layers: [{name: a, in_features: 40, out_features: 30}]}\n"
        "core: {kind: lut, mu: [1, 2], tables: [1, 2, 3], ports: [1, 2, 3]}\n"
        "objectives: [area, cycles_per_token]\n"
    )
    assert search(path, 17, tmp_path / "out").tally.points <= 18
