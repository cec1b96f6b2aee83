"""Many cores at once: the same numbers as one at a time, to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from costmodel.area import core_area
from costmodel.delay import core_clock
from costmodel.energy import core_energy
from costmodel.libraries import PACKAGED
from costmodel.predictor import Predictor
from costmodel.sampling import load_samples
from costmodel.technology import load_technology
from hwgen.config import CoreConfig
from hwgen.structure import structure


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
    listed = shape.predict(tables[:3], ports, reuse[:3])
    assert listed.area.tolist() == [grid.area[i, i, i] for i in range(3)]


def test_what_is_not_of_the_shape_makes_another(predictor):
    one = CoreConfig(kind="lut", mu=2, tables=2, ports=3)
    same = CoreConfig(kind="lut", mu=2, tables=5, ports=1, reuse=4, name="other")
    deeper = CoreConfig(kind="lut", mu=2, tables=2, ports=3, pipeline={"fetch": 1})
    assert predictor.shape(one) is predictor.shape(same) is not predictor.shape(deeper)
