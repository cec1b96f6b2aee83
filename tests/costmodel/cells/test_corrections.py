"""Corrections: groups cover every primitive, the fit finds what was put in, area uses it."""

from __future__ import annotations

import numpy as np
import pytest

from costmodel.cells import corrections
from costmodel.cells.area import core_area
from costmodel.cells.corrections import GROUPS, fit, group_areas, group_of
from costmodel.cells.technology import Corrections, Residual, load_technology
from hwgen.spec.structure import structure
from tests.support.cases import CASES


@pytest.fixture(scope="module")
def generic():
    return load_technology("generic").model_copy(update={"corrections": None})


@pytest.mark.parametrize("config", CASES.values(), ids=CASES)
def test_groups_add_up_to_the_core(generic, config):
    spec = structure(config)
    areas = group_areas(spec.units, generic)
    assert list(areas) == list(GROUPS)
    assert sum(areas.values()) == pytest.approx(core_area(spec, generic).total)


def test_every_group_is_used():
    used = {
        group_of(component, primitive)
        for config in CASES.values()
        for component, counts in structure(config).counts.items()
        for primitive in counts
    }
    assert used == set(GROUPS)


def test_factors_multiply_their_groups(generic):
    spec = structure(CASES["lut_saturate_d3"])
    factors = {name: 1 + i / 10 for i, name in enumerate(GROUPS)}
    residual = Residual(max_relative=0, mean_relative=0, points=1)
    corrected = generic.model_copy(
        update={"corrections": Corrections(factors=factors, residual=residual)}
    )
    areas = group_areas(spec.units, generic)
    expected = sum(areas[name] * factors[name] for name in GROUPS)
    assert core_area(spec, corrected).total == pytest.approx(expected)


def test_the_fit_finds_the_factors_behind_exact_data(monkeypatch):
    monkeypatch.setattr(corrections, "RIDGE", 1e-9)
    rng = np.random.default_rng(1)
    truth = dict(zip(GROUPS, rng.uniform(0.7, 1.2, len(GROUPS)), strict=True))
    areas = [dict(zip(GROUPS, rng.uniform(1, 100, len(GROUPS)), strict=True)) for _ in range(40)]
    found = fit(areas, [sum(core[name] * truth[name] for name in GROUPS) for core in areas])
    assert found == pytest.approx(truth, abs=1e-3)


def test_a_group_without_data_stays_at_one():
    areas = [{**dict.fromkeys(GROUPS, 0.0), "reduce": float(size)} for size in (10, 20, 30)]
    found = fit(areas, [8.0, 16.0, 24.0])
    assert found.pop("reduce") == pytest.approx(0.8, abs=0.01)
    assert set(found.values()) == {1.0}


def test_the_committed_corrections_say_how_well_they_fit():
    found = load_technology("generic").corrections
    assert found is not None
    assert found.residual.points >= 2 * len(GROUPS)
    assert found.residual.mean_relative < 0.05
