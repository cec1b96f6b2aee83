"""Many cores at once: the same numbers as one at a time, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from costmodel.catalog import PACKAGED
from costmodel.cells.area import core_area
from costmodel.cells.delay import GROUPS, core_clock
from costmodel.cells.energy import core_energy
from costmodel.cells.predictor import Predictor
from costmodel.cells.technology import load_technology
from costmodel.judge.samples import load_samples
from hwgen.base.errors import ConfigError
from hwgen.flow.sweep.run import sweep
from hwgen.spec.config import CoreConfig
from hwgen.spec.structure import structure


@pytest.fixture(scope="module", params=PACKAGED)
def predictor(request):
    return Predictor(load_technology(request.param))


def test_one_core_is_what_area_and_delay_say(predictor):
    technology = predictor.technology
    for sample in load_samples().cores:
        spec, found = structure(sample.config), predictor(sample.config)
        assert found.area == core_area(spec, technology).total
        assert found.latency == spec.latency
        if technology.delays is None:
            assert found.period_ns is None
        else:
            expected = core_clock(spec, technology.delays, technology.name).period_ns
            assert found.period_ns == expected, sample.name
        if technology.energy is None:
            assert (found.fj_per_tile, found.leakage_mw) == (None, None)
        else:
            energy = core_energy(spec, technology)
            assert found.fj_per_tile == energy.fj_per_tile, sample.name
            assert found.leakage_mw == energy.leakage_mw
            assert found.clock_fj_per_cycle == energy.clock_fj_per_cycle


@pytest.mark.parametrize("slow", GROUPS)
def test_whatever_limits_the_clock(slow):
    """Each group of elements in turn so slow that stages with it are the longest."""
    technology = load_technology("asap7")
    factors = {group: 50.0 if group == slow else 1.0 for group in GROUPS}
    delays = technology.delays.model_copy(update={"factors": factors})
    predictor = Predictor(technology.model_copy(update={"delays": delays}))
    for sample in load_samples().cores:
        expected = core_clock(structure(sample.config), delays, "asap7").period_ns
        assert predictor(sample.config).period_ns == expected, sample.name


@pytest.mark.parametrize("name", ["train_05", "train_18", "train_22", "train_39", "outside_00"])
def test_arrays_are_what_single_cores_are(predictor, name):
    (sample,) = (sample for sample in load_samples().cores if sample.name == name)
    shape = predictor.shape(sample.config)
    tables, ports = np.array([1, 2, 3, 7, 64]), np.array([1, 5, 40])
    reuse = np.array([1, 2, 3, 9])
    grid = shape.predict(tables[:, None, None], ports[None, :, None], reuse[None, None, :])
    for place in np.ndindex(5, 3, 4):
        i, j, k = place
        single = shape.predict(int(tables[i]), int(ports[j]), int(reuse[k]))
        assert grid.area[place] == single.area
        assert np.broadcast_to(grid.latency, (5, 3, 4))[place] == single.latency
        if single.period_ns is not None:
            assert grid.period_ns[place] == single.period_ns
        if single.fj_per_tile is not None:
            assert grid.fj_per_tile[place] == single.fj_per_tile
            assert grid.leakage_mw[place] == single.leakage_mw
            assert grid.clock_fj_per_cycle[place] == single.clock_fj_per_cycle
    listed = shape.predict(tables[:3], ports, reuse[:3])
    assert listed.area.tolist() == [grid.area[i, i, i] for i in range(3)]


def test_what_is_not_of_the_shape_makes_another(predictor):
    one = CoreConfig(kind="lut", mu=2, tables=2, ports=3)
    same = CoreConfig(kind="lut", mu=2, tables=5, ports=1, reuse=4, name="other")
    deeper = CoreConfig(kind="lut", mu=2, tables=2, ports=3, pipeline={"fetch": 1})
    assert predictor.shape(one) is predictor.shape(same) is not predictor.shape(deeper)


QUESTION = {
    "technology": "asap7",
    "activity": "digits",
    "workload": {
        "name": "one",
        "tokens": 3,
        "layers": [{"name": "l", "in_features": 70, "out_features": 50, "count": 2}],
    },
    "core": {"kind": "lut", "mu": [1, 2], "tables": 4, "ports": [4, 8], "reuse": 2},
    "objectives": ["area", "ns_per_token", "core_energy_fj_per_token"],
}


def test_a_sweep_by_time_and_energy(tmp_path):
    file = tmp_path / "question.yaml"
    file.write_text(yaml.safe_dump(QUESTION))
    rows = sweep(file, tmp_path / "out").results
    assert len(rows) == 4
    technology = load_technology("asap7")
    for row in rows.itertuples():
        fields = {"mu": row.mu, "tables": 4, "ports": row.ports, "reuse": 2}
        limits = {"max_in_features": 70, "max_out_features": 50}
        spec = structure(CoreConfig(kind="lut", **fields, **limits))
        clock = core_clock(spec, technology.delays, "asap7").period_ns
        energy = core_energy(spec, technology, "digits")
        tiles = 2 * -(-70 // (4 * row.mu)) * -(-50 // row.ports)
        assert row.clock_ns == clock
        assert row.ns_per_token == row.cycles_per_token * clock
        # A milliwatt for a nanosecond is a picojoule.
        expected = tiles * energy.fj_per_tile + 1000 * energy.leakage_mw * row.ns_per_token
        # Of the cycles that fill and drain the core only the clock takes energy.
        expected += (row.cycles_per_token - tiles) * energy.clock_fj_per_cycle
        assert row.core_energy_fj_per_token == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("objective", ["clock_ns", "ns_per_token", "core_energy_fj_per_token"])
def test_objectives_that_a_technology_has_no_numbers_for(objective, tmp_path):
    file = tmp_path / "question.yaml"
    question = QUESTION | {"technology": "generic", "objectives": ["area", objective]}
    file.write_text(yaml.safe_dump(question))
    with pytest.raises(ConfigError) as error:
        sweep(file, tmp_path / "out")
    assert str(error.value) == (
        f"objectives: {objective}: generic has no delays or energies; take a technology that has, "
        "such as asap7, or leave it out"
    )
