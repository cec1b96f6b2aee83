"""The interface for Python: its examples, what each function takes, and what goes wrong."""

from __future__ import annotations

import doctest
import json
import subprocess
import sys
from dataclasses import FrozenInstanceError

import pandas as pd
import pytest

import hwgen
import hwgen.api
import hwgen.flow.technology
from hwgen.spec.config import CoreConfig
from hwgen.spec.structure import structure

KEYS = {"kind": "lut", "mu": 2, "tables": 3, "ports": 2, "max_in_features": 64}
TEXT = "kind: lut\nmu: 2\ntables: 3\nports: 2\nmax_in_features: 64\n"
SWEEP = {
    "workload": {"name": "l", "layers": [{"name": "a", "in_features": 64, "out_features": 48}]},
    "core": {"kind": ["lut", "signflip"], "mu": [1, 2], "tables": 3, "ports": [2, 4]},
}


@pytest.fixture(params=["path", "string path", "text", "mapping", "object", "configuration"])
def source(request, tmp_path):
    """The same core in every form."""
    file = tmp_path / "core.yaml"
    file.write_text(TEXT)
    forms = {
        "path": file,
        "string path": str(file),
        "text": TEXT,
        "mapping": KEYS,
        "object": hwgen.Core(KEYS),
        "configuration": CoreConfig.model_validate(KEYS),
    }
    return forms[request.param]


@pytest.mark.parametrize("module", [hwgen, hwgen.api, hwgen.flow.technology])
def test_examples_run(module):
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed


def test_everything_that_is_named_is_there():
    assert hwgen.__all__ == sorted(hwgen.__all__)
    for name in hwgen.__all__:
        assert getattr(hwgen, name) is not None
    assert dir(hwgen) == sorted(hwgen.__all__)
    with pytest.raises(AttributeError, match="module 'hwgen' has no attribute 'cores'"):
        _ = hwgen.cores


def test_importing_loads_nothing_heavy():
    code = "import hwgen, sys; print(sorted({'numpy', 'amaranth', 'pandas'} & {*sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_function_takes_a_core_in_every_form(source, tmp_path):
    core = hwgen.Core(source)
    assert structure(core).counts == structure(CoreConfig.model_validate(KEYS)).counts
    assert hwgen.estimate(source).cost.counts == hwgen.estimate(core).cost.counts
    generated = hwgen.generate(source, tmp_path / "rtl")
    assert (generated.folder / f"{generated.top}.v").read_text() == core.verilog
    assert generated.manifest == core.manifest
    assert hwgen.simulate("bitnet-2b4t", {**KEYS, "max_in_features": 8192}).cycles


@pytest.mark.verilator
def test_a_core_is_verified():
    result = hwgen.verify(KEYS, (2, 20, 5))
    assert result.match
    assert result.outputs == 10


def test_a_core_says_what_it_is_and_is_made_from_another():
    core = hwgen.Core(KEYS)
    assert repr(core) == "<Core core: lut int8 µ=2 L=3 K=2 D=1>"
    other = hwgen.Core(core, mu=3, name="other")
    assert (other.mu, other.tables, other.name) == (3, 3, "other")
    assert core.mu == 2
    assert hwgen.Core(core.to_yaml()) == core
    assert core.to_dict()["builder"] == "minimal"


def test_systems():
    system = hwgen.System({"system": {"core": KEYS, "cores": 3}})
    assert (system.cores, system.core.tables) == (3, 3)
    assert hwgen.System(system, cores=2).weights_per_cycle == 2 * 6 * 2
    one = hwgen.simulate("bitnet-2b4t", hwgen.Core(KEYS, max_in_features=8192)).cycles
    two = hwgen.simulate(
        "bitnet-2b4t", hwgen.System(hwgen.Core(KEYS, max_in_features=8192), cores=2)
    ).cycles
    assert two < one


def test_sweeps(tmp_path):
    space = hwgen.Sweep(SWEEP)
    assert hwgen.Sweep(space, technology="asap7").technology == ("asap7",)
    result = hwgen.sweep(space, tmp_path / "found", jobs=1)
    assert isinstance(result.front, pd.DataFrame)
    assert isinstance(result.best_core, CoreConfig)
    assert json.dumps(result.to_dict())
    assert hwgen.sweep(SWEEP, tmp_path / "again", jobs=1).front.equals(result.front)
    with pytest.raises(hwgen.ConfigError, match=r"^--seed: has no effect without --search"):
        hwgen.sweep(SWEEP, seed=1)
    with pytest.raises(hwgen.ConfigError, match=r"^--jobs: has no effect with --search"):
        hwgen.sweep(SWEEP, search=5, jobs=2)


def test_records_are_frozen_become_plain_data_and_draw_themselves():
    records = [
        hwgen.estimate(KEYS),
        hwgen.estimate(KEYS, "ecp5"),
        hwgen.synth(KEYS),
        hwgen.simulate("bitnet-2b4t", {**KEYS, "max_in_features": 8192}),
        hwgen.inspect("digits"),
        hwgen.validate("generic"),
        hwgen.Technology.load("asap7"),
    ]
    for record in records:
        json.dumps(record.to_dict())
        html = record._repr_html_()
        assert html.startswith("<div")
        assert "/div>" in html
        with pytest.raises(FrozenInstanceError):
            record.anything = 1


WRONG = {
    "a key": (lambda: hwgen.Core(kind="lut", tables=2, port=1), "core: unknown key 'port'"),
    "a value": (lambda: hwgen.Core(kind="lot", tables=2, ports=1), "core: kind: input should be"),
    "no file": (lambda: hwgen.Core("nowhere.yaml"), "nowhere.yaml: no such file"),
    "no mapping": (lambda: hwgen.Core(3), "core: should be a path, a string or a mapping, not 3"),
    "no YAML": (lambda: hwgen.Core("kind: [\n"), "core:2: is not YAML"),
    "a sweep": (lambda: hwgen.Sweep(core={"kind": "lut"}), "sweep: workload: is required"),
    "a system": (lambda: hwgen.System(KEYS, cores=0), "system: cores: should be 1 … 4096, not 0"),
    "a layer": (lambda: hwgen.verify(KEYS, (0, 1, 1)), "--layer: should be T,N,M"),
    "a technology": (lambda: hwgen.estimate(KEYS, "asap8"), "did you mean 'asap7'?"),
    "a model": (lambda: hwgen.simulate("gpt", KEYS), "model: should be a checkpoint or one of"),
    "a schema": (lambda: hwgen.schema("cores"), "schema: should be one of"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_request_is_explained(wrong):
    ask, words = WRONG[wrong]
    with pytest.raises(hwgen.ConfigError) as error:
        ask()
    assert words in str(error.value)


def test_what_was_not_measured_is_an_error():
    with pytest.raises(hwgen.HwgenError, match="has no unit cost"):
        hwgen.Technology.load("asap7").unit_area("memory", 8)
