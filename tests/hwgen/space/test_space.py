"""Sweep files: which points they span, what they drop and count, and what is wrong with them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from typer.testing import CliRunner

from hwgen.base.errors import ConfigError
from hwgen.cli import app
from hwgen.flow.sweep.evaluate import DENSE
from hwgen.flow.sweep.plan import plan_sweep
from hwgen.flow.sweep.run import prepare, sweep
from hwgen.spec.config import CoreConfig
from hwgen.spec.rows import core_of
from tests.support import ROOT

LAYER = {"name": "l", "in_features": 64, "out_features": 48}
BASE = {
    "workload": {"name": "w", "layers": [LAYER]},
    "core": {"kind": "lut", "mu": 2, "tables": 4, "ports": 4},
}


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(**changes):
        core = BASE["core"] | changes.pop("core", {})
        file = tmp_path / "question.yaml"
        file.write_text(yaml.safe_dump(BASE | changes | {"core": core}))
        return file

    return write


def points(rows):
    names = ["kind", "mu", "tables", "ports", "reuse", "storage", "cores"]
    return [tuple(row) for row in rows[names].itertuples(index=False)]


def legal(kind, mu, tables, ports, reuse, storage):
    fields = {"kind": kind, "tables": tables, "ports": ports, "reuse": reuse}
    fields |= {"max_in_features": 64, "max_out_features": 48}
    if kind == "lut":
        fields |= {"mu": mu, "storage": storage}
    try:
        CoreConfig(**fields)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("few", [False, True], ids=["dense", "sparse"])
def test_points_are_the_legal_cores_that_conditions_let_pass(write, few):
    axes = {
        "kind": ["lut", "signflip"],
        "mu": [1, 3, 8],
        "tables": [1, 7, 8, 9, 64, 65],
        "ports": [1, 47, 48, 49],
        "storage": ["wires", "registers"],
    }
    where = ["tables * mu >= cores or kind == 'signflip'", "reuse != 2"]
    where += ["ports == 48 and tables < 9"] if few else []
    file = write(
        core=axes | {"reuse": "max(1, 4 * mu // (ports + 1))"},
        system={"cores": [1, 2, 3]},
        where=where,
    )
    result = sweep(file, Path("out"))
    expected = []
    for kind, mu, storage in itertools.product(axes["kind"], axes["mu"], axes["storage"]):
        if kind == "signflip" and (mu, storage) != (1, "wires"):
            continue
        for tables, ports, cores in itertools.product(axes["tables"], axes["ports"], [1, 2, 3]):
            reuse = max(1, 4 * mu // (ports + 1))
            passes = (tables * mu >= cores or kind == "signflip") and reuse != 2
            passes = passes and (not few or (ports == 48 and tables < 9))
            if passes and legal(kind, mu, tables, ports, reuse, storage):
                storage_of = storage if kind == "lut" else ""
                expected.append((kind, mu, tables, ports, reuse, storage_of, cores))
    assert points(result.results) == expected
    for row in result.results.to_dict("records"):
        _, core, cores = result.plan.space.point(row["point"])
        assert (core_of(row), row["cores"]) == (core, cores)
    share = len(expected) / result.plan.space.size
    assert share < DENSE if few else share > DENSE
    total = len(expected) + sum(result.dropped.values())
    assert total == result.plan.space.combinations == 2 * 3 * 6 * 4 * 2 * 3
    assert result.dropped["max_in_features: should be at least tables × mu"] > 0
    assert result.dropped["max_out_features: should be at least ports"] > 0
    assert result.dropped["where: reuse != 2"] > 0


def test_tables_times_ports_has_the_same_limit_as_in_a_core_file(write):
    layer = LAYER | {"in_features": 1 << 15, "out_features": 1 << 12}
    file = write(
        workload={"name": "w", "layers": [layer]},
        core={"mu": 8, "tables": [1, 2, 4096], "ports": [2555, 4096]},
    )
    result = sweep(file, Path("out"))
    fields = {"kind": "lut", "mu": 8, "max_in_features": 1 << 15, "max_out_features": 1 << 12}
    expected = 0
    for tables, ports in itertools.product([1, 2, 4096], [2555, 4096]):
        try:
            CoreConfig(**fields, tables=tables, ports=ports)
        except ValidationError:
            continue
        expected += 1
    assert len(result.results) == expected == 3
    reason = "tables × ports × (entries + 1): should be at most 16777216"
    assert result.dropped == {reason: 3}


def test_an_expression_follows_the_other_axes(write):
    file = write(core={"mu": [1, 2], "tables": [2, 3], "ports": "2 * tables * mu", "reuse": [1, 2]})
    rows = sweep(file, Path("out")).results
    assert (rows["ports"] == 2 * rows["tables"] * rows["mu"]).all()
    assert len(rows) == 8


def test_an_expression_of_a_shape(write):
    pipeline = {"reduce": "mu - 1"}
    rows = sweep(write(core={"mu": [1, 2, 3], "pipeline": pipeline}), Path("out")).results
    assert (rows["pipeline_reduce"] == rows["mu"] - 1).all()


def test_what_an_expression_makes_illegal_is_dropped(write):
    result = sweep(write(core={"tables": [1, 2, 3], "ports": "tables - 1"}), Path("out"))
    assert result.results["tables"].tolist() == [2, 3]
    assert result.dropped == {"ports: should be 1 … 4096": 1}


def test_several_technologies_are_an_axis(write):
    file = write(technology=["asap7", "sky130hd"], core={"tables": [2, 4]})
    rows = sweep(file, Path("out")).results
    assert rows["technology"].tolist() == ["asap7"] * 2 + ["sky130hd"] * 2
    one = sweep(write(technology="sky130hd", core={"tables": [2, 4]}), Path("one")).results
    assert rows["area_um2"].tolist()[2:] == one["area_um2"].tolist()


def test_cores_that_are_slower_than_the_clock_are_not_feasible(write):
    objectives = ["area", {"maximise": "tokens_per_second"}]
    changes = {"technology": "asap7", "core": {"tables": [1, 2, 4, 8, 16]}, "keep": "all"}
    rows = sweep(write(**changes, objectives=objectives), Path("free")).results
    clock = float(rows["clock_ns"].sort_values().iloc[2])
    result = sweep(write(**changes, objectives=objectives, clock_ns=clock), Path("given"))
    given = result.results
    assert given["feasible"].tolist() == (rows["clock_ns"] <= clock).tolist()
    assert (given["clock_ns"] == clock).all()
    assert result.tally.excluded == {"clock_ns given": 2}


FAULTS = {
    "a wrong expression": (
        {"core": {"ports": "2 ** tables"}},
        "core.ports: '2 ** tables' is more than axes, integers, + - * // % min max, comparisons, "
        "and, or, not, not '2 ** tables'",
    ),
    "several at once": (
        {"core": {"ports": "widht", "reuse": "tables /"}, "where": "mu"},
        "core.ports: 'widht' should be an axis: one of mu, pipeline.build, pipeline.fetch, "
        "pipeline.reduce, pipeline.fp_add, pipeline.fp_mul, max_in_features, max_out_features, "
        "fixed_bits, acc_bits, tables, ports, reuse, cores, not 'widht'\n"
        "core.reuse: should be an integer or an expression over the axes, not 'tables /'\n"
        "where: should be a condition such as 'tables * mu >= 64', not a number, not 'mu'",
    ),
    "axes in a circle": (
        {"core": {"ports": "reuse", "reuse": "ports"}},
        "core: axes should not follow from themselves: ports → reuse → ports",
    ),
    "a shape that would follow from a size": (
        {"core": {"mu": "tables"}},
        "core.mu: 'tables' should be an axis: one of mu, pipeline.build, pipeline.fetch, "
        "pipeline.reduce, pipeline.fp_add, pipeline.fp_mul, max_in_features, max_out_features, "
        "not 'tables'",
    ),
    "division by zero": (
        {"core": {"tables": [1, 2], "ports": "4 // (tables - 1)"}},
        "core.ports: 'tables - 1' can be 0 and divides, in '4 // (tables - 1)'",
    ),
    "too many": (
        {
            "core": {
                "tables": {"from": 1, "to": 4096},
                "ports": {"from": 1, "to": 4096},
                "reuse": {"from": 1, "to": 4096},
            }
        },
        "core: should span at most 10,000,000,000 combinations, and at most 200,000 without "
        "tables, ports, reuse, cores, not 68,719,476,736 and 1; give fewer values (longest axes: "
        "tables 4,096, ports 4,096, reuse 4,096, technology 1)",
    ),
    "cores out of range": (
        {"system": {"cores": [0, 5000]}},
        "system.cores: should be 1 … 4096, not 0\nsystem.cores: should be 1 … 4096, not 5000",
    ),
    "an unknown model": (
        {"workload": {"model": "bitnet-9t"}},
        None,
    ),
    "model and layers": (
        {"workload": {"name": "w", "model": "trilm-99m", "layers": [LAYER]}},
        "FILE: workload: should have either model or layers, not",
    ),
    "nothing to do": (
        {"workload": {"name": "w", "prefill": 0, "decode": 0, "layers": [LAYER]}},
        "FILE: workload: should have prefill or decode above 0, not",
    ),
    "a limit without numbers": (
        {"constraints": {"area": {}}},
        "FILE: constraints.area: should have min or max, not {}",
    ),
    "limits that cross": (
        {"constraints": {"area": {"min": 3, "max": 2}}},
        "FILE: constraints.area: min should be at most max, 2.0, not 3",
    ),
    "more is better": (
        {"objectives": ["area", "tokens_per_second"]},
        "FILE: objectives: more tokens_per_second is better; say {maximise: tokens_per_second}, "
        "not ['area', 'tokens_per_second']",
    ),
    "an objective twice": (
        {"objectives": ["area", {"maximise": "area"}]},
        "FILE: objectives: should be different quantities, not",
    ),
    "energy without prices": (
        {"technology": "asap7", "objectives": ["area", "energy_fj_per_token"]},
        "FILE: memory: is required for energy_fj_per_token, fj_per_bit of acts, keys and sums; "
        "add them, or take core_energy_fj_per_token",
    ),
    "one price": (
        {"memory": {"keys": {"fj_per_bit": 3}}},
        "FILE: memory: acts.fj_per_bit: is required where another stream has one; add it, not",
    ),
    "a limit that no formula knows": (
        {"memory": {"acts": {"bits_per_cycle": 3}}},
        "FILE: unknown key 'memory.acts.bits_per_cycle'",
    ),
    "a clock without delays": (
        {"clock_ns": 2.0},
        "clock_ns: generic has no delays or energies; take a technology that has, such as asap7, "
        "or leave it out",
    ),
    "a constraint without delays": (
        {"constraints": {"latency_ms": {"max": 3}}},
        "constraints: latency_ms: generic has no delays or energies; take a technology that has, "
        "such as asap7, or leave it out",
    ),
    "two units of area": (
        {"technology": ["generic", "asap7"]},
        "technology: areas should have one unit, not ge and um2; take a sweep for each",
    ),
    "a core too small for the layers": (
        {"core": {"max_in_features": 63}},
        "FILE: core: no combination is a legal core: max_in_features: smaller than the workload's "
        "widest layer (1)",
    ),
    "too much to count": (
        {"workload": {"name": "w", "decode": 1 << 24, "layers": [LAYER | {"count": 1 << 20}]}},
        "FILE: workload: has too many cycles to count exactly; give fewer tokens",
    ),
}


@pytest.mark.parametrize(("changes", "message"), FAULTS.values(), ids=FAULTS)
def test_faults_are_found_before_any_work(write, changes, message):
    file = write(**changes)
    with pytest.raises(ConfigError) as error:
        plan_sweep(file)
    if message is None:
        assert "bitnet-9t" in str(error.value)
    else:
        assert str(error.value).startswith(message.replace("FILE", str(file)))


def test_a_dry_run_only_says_what_it_would_take(write):
    file = write(core={"tables": [1, 2, 999], "kind": ["lut", "signflip"]})
    outcome = CliRunner().invoke(app, ["sweep", str(file), "--dry-run"])
    assert outcome.exit_code == 0
    text = "6 combinations, of which 6 to evaluate: 2 shapes of cores in all sizes; about "
    assert outcome.stdout.startswith(text)
    content = json.loads(
        CliRunner().invoke(app, ["sweep", str(file), "--dry-run", "--json"]).stdout
    )
    assert (content["combinations"], content["shapes"], content["jobs"]) == (6, 2, 1)
    assert sorted(path.name for path in file.parent.iterdir()) == ["question.yaml"]


@pytest.mark.parametrize("name", ["bitnet-2b4t", "million-points"])
def test_examples_are_questions_that_can_be_answered(name):
    work = prepare(ROOT / "examples" / f"{name}.yaml")
    assert work.forecast.points > 1000
