"""The paper's unit-cost model: by hand, its coefficient, and what it does not know."""

from __future__ import annotations

import pytest
import yaml

from costmodel.paper import PaperModelError, fit_gamma, paper_area, uncorrected
from costmodel.technology import load_technology
from hwgen.config import CoreConfig
from hwgen.flow.sweep import sweep
from hwgen.primitive import Primitive
from hwgen.structure import structure


def per_bit(kind, fan_in=0):
    return load_technology("generic").unit_area(Primitive(kind, 16, fan_in)) / 16


def test_one_core_by_hand():
    """int8, µ = 2: two tables of 2 adders of 9 bits; 6 fetches; 3 reductions; 3 accumulators."""
    spec = structure(CoreConfig(kind="lut", mu=2, tables=2, ports=3, max_in_features=4000))
    adders = 2 * 2 * 9 + 3 * (10 + 20)
    muxes = 6 * 3 * 9  # Four entries.
    inverters, registers = 6 * 9, 3 * 20
    expected = (
        adders * per_bit("adder")
        + muxes * per_bit("mux", 2)
        + inverters * per_bit("xor_row")
        + registers * per_bit("register")
    )
    technology = load_technology("generic")
    assert [spec.reduce.levels[1][0].bits, spec.accumulate.sum_bits] == [10, 20]
    found = uncorrected(spec, technology)
    assert sum(found.values()) == pytest.approx(expected)
    area = paper_area(spec, technology)
    assert area.total == pytest.approx(technology.paper.gamma * expected)
    assert area.by_component["control"] == 0


def test_coefficient_is_that_of_least_squares():
    assert fit_gamma([1.0, 2.0], [2.0, 4.0]) == 2.0
    assert fit_gamma([1.0, 1.0], [1.0, 2.0]) == 1.2  # Minimum of (γ - 1)² + (γ/2 - 1)².


def test_conversions_and_missing_fits_are_errors():
    technology = load_technology("generic")
    fixed = CoreConfig(kind="lut", mu=2, act="fp16", arith="fixed", tables=1, ports=1)
    with pytest.raises(PaperModelError, match=r"^model paper: has no cost for to_fixed_fp16$"):
        uncorrected(structure(fixed), technology)
    spec = structure(CoreConfig(kind="lut", mu=2, tables=1, ports=1))
    with pytest.raises(PaperModelError, match="run `hwgen calibrate generic --training`, then"):
        paper_area(spec, technology.model_copy(update={"paper": None}))


def test_a_sweep_by_the_papers_model_drops_what_it_does_not_know(tmp_path):
    question = {
        "technology": "generic",
        "model": "paper",
        "workload": {
            "name": "one",
            "layers": [{"name": "l", "in_features": 64, "out_features": 64, "count": 1}],
        },
        "core": {"kind": "lut", "act": ["int8", "fp16"], "mu": [1, 2], "tables": 4, "ports": 4},
    }
    file = tmp_path / "paper.yaml"
    file.write_text(yaml.safe_dump(question))
    result = sweep(file, tmp_path / "out")
    assert result.dropped == {"model paper: has no cost for to_fixed_fp16": 2}
    for core, area in zip(result.results.itertuples(), result.results["area_ge"], strict=True):
        spec = structure(
            CoreConfig(
                kind="lut", mu=core.mu, tables=4, ports=4, max_in_features=64, max_out_features=64
            )
        )
        assert area == paper_area(spec, load_technology("generic")).total
