"""The paper's unit-cost model: by hand, its coefficient, and what it does not know."""

from __future__ import annotations

import pytest
import yaml

from costmodel.cells.paper import PaperModelError, fit_gamma, paper_area, uncorrected
from costmodel.cells.technology import load_technology
from hwgen.flow.sweep.run import sweep
from hwgen.spec.config import CoreConfig
from hwgen.spec.primitive import Primitive
from hwgen.spec.structure import structure


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


def test_products_by_hand():
    """int4: 6 products of 4 rows, the first no adder; 3 reductions; 3 accumulators."""
    spec = structure(CoreConfig(kind="multiplier", act="int4", tables=2, ports=3, mu=1))
    assert (spec.reduce.word_bits, spec.accumulate.sum_bits) == (9, 23)  # 2^15 products of 64.
    found = uncorrected(spec, load_technology("generic"))
    assert found["fetch"] == pytest.approx(6 * 3 * 4 * per_bit("adder"))
    assert found["reduce"] == pytest.approx(3 * 9 * per_bit("adder"))
    expected = 3 * 23 * (per_bit("adder") + per_bit("register"))
    assert found["accumulate"] == pytest.approx(expected)


def test_rounding_adders_are_their_own_unit():
    """fp16, µ = 2, D = 2: a sum and a difference a table, and what holds the activations."""
    technology = load_technology("generic")
    config = CoreConfig(
        kind="lut", act="fp16", arith="float", mu=2, tables=3, ports=5, reuse=2, max_in_features=64
    )
    found = uncorrected(structure(config), technology)
    adder = technology.unit_area(Primitive("fp_add_fp16", 16, 1))
    assert found["build"] == pytest.approx(3 * 2 * adder)
    assert found["tables"] == pytest.approx(3 * 2 * 16 * per_bit("register"))
    assert found["fetch"] == pytest.approx(3 * 5 * 3 * 16 * per_bit("mux", 2))
    assert found["reduce"] == pytest.approx(5 * 2 * adder)
    # Two accumulators, one selected, and the output.
    held = 16 * (per_bit("mux", 2) + 3 * per_bit("register"))
    assert found["accumulate"] == pytest.approx(5 * (adder + held))


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
