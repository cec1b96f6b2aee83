"""Resources of FPGA families: by hand, by property, and against the synthesis they predict."""

from __future__ import annotations

import pandas as pd
import pytest

from costmodel.calibrate.fpga import FPGA_GRIDS, fit_unit, measure, unit_verilog
from costmodel.catalog import FAMILIES
from costmodel.cells.corrections import GROUPS
from costmodel.cells.technology import (
    LinearArea,
    TableArea,
    UncalibratedError,
    load_technology,
    technologies,
)
from costmodel.fit.residual import Residual
from costmodel.fpga import resources as fpgacost
from costmodel.fpga.merged import MERGED, shared_counts
from costmodel.fpga.resources import (
    RESOURCES,
    FpgaCorrections,
    FpgaTechnology,
    FpgaUnit,
    ResourceCost,
    group_resources,
    load_fpga,
    predict,
)
from costmodel.judge.cell_records import TRAINING, results_file
from costmodel.judge.fpga_records import corrected
from hwgen.base.errors import ConfigError
from hwgen.flow.calibrate.fpga import as_yaml
from hwgen.spec.config import CoreConfig
from hwgen.spec.primitive import KINDS, Primitive
from hwgen.spec.structure import structure
from tests.support.cases import CASES

EXACT = Residual(max_relative=0, mean_relative=0, points=1)
CHEAP = [
    Primitive("adder", 14),
    Primitive("adder_carry", 12),
    Primitive("mux_and", 16, 3),
    Primitive("mux_and_add", 16, 2),
    Primitive("fetch_mux", 8, 13),
    Primitive("fetch_mux_xor", 4, 4),
    Primitive("fetch_mux_xor_add", 8, 4),
    Primitive("equal", 8),
    Primitive("register_enable_reset", 5),
]


def per_bit(lut=0.0, ff=0.0, carry=0.0):
    costs = {"lut": lut, "ff": ff, "carry": carry, "lutram": 0.0}
    return FpgaUnit(
        method="by hand",
        **{
            name: ResourceCost(residual=EXACT, count=LinearArea(constant=0, per_bit=cost))
            for name, cost in costs.items()
        },
    )


def toy(**units):
    return FpgaTechnology(name="ecp5", tool="none", method="by hand", units=units)


def legal(kind, width, size):
    if kind == "multiplier":
        return Primitive(kind, 2 * size, size)
    if kind == "clamp":
        return Primitive(kind, width, width + size)
    sized = "mux" in kind or kind.startswith(("fp_add", "fp_mul", "compress"))
    return Primitive(kind, width, size if sized else 0)


@pytest.fixture(params=FAMILIES)
def family(request):
    return load_fpga(request.param)


def test_a_core_by_hand():
    """Two activations of 8 bits, one port: what each component has, times what one bit costs."""
    core = CoreConfig(kind="signflip", tables=2, ports=1, max_in_features=16, name="core")
    spec = structure(core)
    simple = {kind: per_bit() for kind in KINDS}
    costs = simple | {
        "fetch_mux_xor": per_bit(lut=2),
        "adder_carry": per_bit(lut=1, carry=0.5),
        "fetch_mux_xor_add": per_bit(lut=1),
        "mux_and_add": per_bit(lut=3),
        "register_enable": per_bit(ff=1),
    }
    result = predict(spec, toy(**costs))
    assert result.by_component["fetch"] == {"lut": 8 * (2 + 1), "ff": 0, "carry": 0, "lutram": 0}
    assert result.by_component["reduce"] == {"lut": 9, "ff": 0, "carry": 4.5, "lutram": 0}
    width = core.sum_bits
    assert result.by_component["accumulate"] == {
        "lut": width + 3 * width,
        "ff": width,
        "carry": width / 2,
        "lutram": 0,
    }
    for name in RESOURCES:
        total = sum(part[name] for part in result.by_component.values())
        assert result.total[name] == pytest.approx(total)


def counts_of(component, **core):
    axes = {"kind": "lut", "act": "int4", "max_in_features": 64, "max_out_features": 64}
    return shared_counts(structure(CoreConfig.model_validate(axes | core)))[component]


def test_selected_words_are_negated_and_masked_on_the_way():
    fetch = counts_of("fetch", mu=2, tables=2, ports=3)
    assert fetch == {Primitive("fetch_mux_xor", 5, 4): 3, Primitive("fetch_mux_xor_add", 5, 4): 3}
    odd = counts_of("fetch", mu=2, tables=3, ports=2)  # The third word passes the first adder.
    assert odd == {Primitive("fetch_mux_xor", 5, 4): 4, Primitive("fetch_mux_xor_add", 5, 4): 2}
    held = counts_of("fetch", mu=2, tables=2, ports=3, pipeline={"fetch": 1})
    assert held[Primitive("fetch_mux_xor", 5, 4)] == 6
    large = counts_of("fetch", mu=3, tables=2, ports=3)
    assert large == {Primitive("fetch_mux_xor", 6, 13): 6}
    full = counts_of("fetch", mu=2, tables=2, ports=3, table="full")
    assert {(p.kind, p.fan_in): n for p, n in full.items()} == {("fetch_mux", 8): 6}
    one = counts_of("accumulate", tables=2, ports=3)
    assert [(p.kind, p.fan_in, n) for p, n in one.items() if "mux" in p.kind] == [
        ("mux_and_add", 1, 3)
    ]
    several = counts_of("accumulate", tables=2, ports=3, reuse=5)
    assert [(p.fan_in, n) for p, n in several.items() if p.kind == "mux_and_add"] == [(5, 3)]
    assert not any(p.kind in ("mux", "and_row") for p in several)
    rounding = {"kind": "signflip", "act": "fp16", "arith": "float", "sum_format": "fp16"}
    floating = counts_of("accumulate", tables=2, ports=3, reuse=5, mu=1, **rounding)
    assert floating[Primitive("mux_and", 16, 5)] == 3


def test_sums_of_sums_are_merged_up_to_the_next_register():
    full = {"mu": 1, "tables": 5, "ports": 2, "table": "full"}
    assert counts_of("reduce", **full) == {Primitive("compress", 5, 6): 2}
    cut = counts_of("reduce", **full, pipeline={"reduce": 2})
    assert {(p.kind, p.fan_in): n for p, n in cut.items() if "register" not in p.kind} == {
        ("compress", 4): 2,
        ("adder", 0): 2,
        ("compress", 3): 2,  # Two words and the accumulator.
    }
    pairs = counts_of("reduce", **full, pipeline={"reduce": 1})
    assert sum(n for p, n in pairs.items() if p.kind == "adder") == 2 * 4
    assert not any(p.kind == "compress" for p in pairs)
    half = counts_of("reduce", mu=1, tables=5, ports=2)
    assert {p.kind for p in half} == {"adder_carry"}


def test_products_are_merged_into_their_sum_unless_held():
    products = {"kind": "multiplier", "tables": 3, "ports": 2}
    assert counts_of("fetch", **products) == {}
    assert counts_of("reduce", **products) == {
        Primitive("compress_products", 4, 3): 2,
        Primitive("compress", 9, 3): 2,
    }
    held = counts_of("fetch", **products, pipeline={"fetch": 1})
    assert held[Primitive("multiplier", 8, 4)] == 6


def test_equal_sums_and_registers_are_counted_once():
    naive = {"mu": 3, "tables": 2, "ports": 1, "builder": "naive"}
    assert sum(counts_of("build", **naive).values()) == 2 * 10  # 14 as written.
    held = {"storage": "registers", "pipeline": {"build": 1}}
    bits = [
        sum(p.width * n for p, n in counts_of("build", **naive | held | change).items())
        for change in ({}, {"builder": "minimal"})
    ]
    assert bits[0] >= bits[1]


@pytest.mark.parametrize("name", FAMILIES)
def test_flip_flops_are_exact_on_every_training_core(name):
    """But for registers inside rounding units: two that get the same operand share some."""
    table = pd.read_csv(results_file(name, TRAINING))
    assert len(table) >= 2 * len(GROUPS)
    inside = table["config"].map(
        lambda text: any(f'{unit}"' in text for unit in ("fp_add", "fp_mul"))
    )
    predicted, found = table["predicted_ff"].to_numpy(), table["synthesised_ff"].to_numpy()
    assert 0 < inside.sum() < len(table)
    assert predicted[~inside] == pytest.approx(found[~inside])
    assert (predicted[inside] >= found[inside] - 1e-9).all()


def test_factors_multiply_their_groups(family):
    spec = structure(CASES["lut_saturate_d3"])
    factors = {name: 1 + i / 10 for i, name in enumerate(GROUPS)}
    plain = family.model_copy(update={"corrections": {}})
    other = {"lut": FpgaCorrections(factors=factors, residual=EXACT)}
    changed = predict(spec, family.model_copy(update={"corrections": other})).total
    groups = group_resources(spec, plain, "lut")
    assert changed["lut"] == pytest.approx(sum(groups[name] * factors[name] for name in GROUPS))
    assert changed["carry"] == pytest.approx(predict(spec, plain).total["carry"])


@pytest.mark.parametrize("kind", [*KINDS, *MERGED])
def test_every_kind_is_measured_and_more_never_shrinks_it(family, kind):
    """Up to the last measured size and width, beyond which slopes go on."""
    grid = FPGA_GRIDS[kind]
    sizes = [size for size in range(1, 365) if size <= max(8, *grid.sizes)]
    widths = [width for width in (1, 2, 5, 8, 11, 15, 19, 31, 47) if width < max(grid.widths)]
    for resource in RESOURCES:
        for width in widths or [grid.widths[0]]:
            column = [family.unit(legal(kind, width, size), resource) for size in sizes]
            wider = [family.unit(legal(kind, width + 1, size), resource) for size in sizes]
            assert min(column) >= 0
            assert column == sorted(column)
            assert all(a <= b for a, b in zip(column, wider, strict=True))


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        ({"tables": 3}, {"tables": 4}),
        ({"ports": 2}, {"ports": 3}),
        ({"act": "int6"}, {"act": "int7"}),
        ({"reuse": 2}, {"reuse": 3}),
    ],
    ids=["tables", "ports", "bits", "reuse"],
)
def test_larger_cores_never_take_less(family, smaller, larger):
    core = {"kind": "lut", "mu": 3, "tables": 3, "ports": 2, "reuse": 2, "act": "int6"}
    totals = [
        predict(structure(CoreConfig(**core | change)), family).total
        for change in (smaller, larger)
    ]
    assert all(totals[0][name] <= totals[1][name] for name in RESOURCES)
    assert totals[0]["lut"] < totals[1]["lut"]


@pytest.mark.parametrize("name", FAMILIES)
def test_committed_units_are_what_synthesis_gives(name, tmp_path, monkeypatch):
    monkeypatch.setenv("HWGEN_CACHE", str(tmp_path))
    technology = load_fpga(name)
    for primitive, found in measure(CHEAP, name).items():
        for resource, count in zip(RESOURCES, found, strict=True):
            allowed = technology.units[primitive.kind].of(resource).residual.max_relative + 1e-4
            expected = technology.unit(primitive, resource)
            assert abs(expected - count) <= allowed * max(count, 1), (primitive, resource)


def test_modules_of_one_run_do_not_see_each_other(tmp_path, monkeypatch):
    monkeypatch.setenv("HWGEN_CACHE", str(tmp_path))
    adder = Primitive("adder", 10)
    alone = measure([adder], "ecp5")
    assert measure([adder, Primitive("xor_row", 7)], "ecp5")[adder] == alone[adder]
    assert alone[adder] == (10, 0, 5, 0)  # Two bits on one CCU2C, in the place of two LUTs.


def test_merged_kinds_are_written_as_they_say():
    (text,) = unit_verilog(Primitive("fetch_mux_xor", 4, 2))
    assert "assign o = word ^ {4{shared}};" in text
    assert "default: word = 4'd0;" in text
    assert "2'd1: word = words[4 +: 4];" in text
    (text,) = unit_verilog(Primitive("mux_and", 4, 1))
    assert "assign o = word & {4{shared}};" in text
    (text,) = unit_verilog(Primitive("mux_and_add", 4, 2))
    assert "term = word & {4{shared}};" in text
    assert "assign is[1] = index == 1'd1;" in text  # Its write enable, which is not priced here.
    assert "assign o = term + other;" in text
    (text,) = unit_verilog(Primitive("fetch_mux_xor_add", 4, 1))
    assert "term = word ^ {4{shared}};" in text
    assert "assign o = sum[5:1];" in text


def test_words_of_a_table_are_sign_extended_to_the_widest():
    """Of three weights, single ones are two bits narrower than sums of three, pairs one bit."""
    (text,) = unit_verilog(Primitive("fetch_mux_xor", 6, 13))
    assert text.count("{{2{words[") == 3
    assert text.count("{{1{words[") == 6
    assert "{1{words" not in unit_verilog(Primitive("fetch_mux_xor", 6, 4))[0]


def test_what_an_adder_takes_into_its_luts():
    """Six inputs hold a mask and a choice of two in front of a carry chain, which four do not."""
    six, four = load_fpga("xcup"), load_fpga("ecp5")
    masked, fetched = Primitive("mux_and_add", 16, 2), Primitive("fetch_mux_xor_add", 8, 1)
    assert six.unit(masked, "lut") == six.unit(fetched, "lut") == 0
    assert four.unit(masked, "lut") == 16
    assert four.unit(fetched, "lut") == 8
    extended = Primitive("fetch_mux_xor", 12, 13)
    assert six.unit(extended, "lut") > 1.1 * six.unit(extended._replace(kind="fetch_mux"), "lut")


def test_a_line_where_it_fits_and_a_table_where_not():
    rows = {Primitive("gate", width): (width, 0.0, width**2, 0.0) for width in (1, 2, 3, 4, 8, 16)}
    rows |= {Primitive("gate", width): (width, 0.0, width**2, 0.0) for width in (32, 12, 48)}
    unit = fit_unit("gate", rows)
    assert unit.lut.count == LinearArea(constant=0, per_bit=1)
    assert unit.ff.count == LinearArea(constant=0, per_bit=0)
    assert isinstance(unit.carry.count, TableArea)
    assert unit.carry.count.area(Primitive("gate", 3)) == 9
    assert unit.carry.residual.max_relative > 0


def test_the_committed_file_is_what_its_records_give(family):
    """Units as they are, corrections and delays fitted again on the committed training cores."""
    bare = family.model_copy(update={"corrections": {}, "delays": None})
    assert corrected(bare) == family
    text = fpgacost.fpga_file(family.name).read_text(encoding="utf-8")
    assert text == as_yaml(family)
    assert family.corrections["lut"].residual.points >= 2 * len(GROUPS)


def test_without_costs_the_command_is_named(tmp_path, monkeypatch):
    with pytest.raises(UncalibratedError) as error:
        toy().unit(Primitive("adder", 8), "lut")
    assert str(error.value) == "ecp5: adder: has no unit cost; run `hwgen calibrate ecp5`"
    monkeypatch.setattr(fpgacost, "TECH_DIR", tmp_path)
    load_fpga.cache_clear()
    with pytest.raises(UncalibratedError) as error:
        load_fpga("xcup")
    load_fpga.cache_clear()
    assert str(error.value) == "xcup: has no unit costs; run `hwgen calibrate xcup`"


@pytest.mark.parametrize("primitive", [Primitive("mux", 0, 2), Primitive("mux", 8)])
def test_illegal_sizes_are_refused(family, primitive):
    with pytest.raises(ValueError, match="has no legal size"):
        family.unit(primitive, "lut")


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_no_technology_with_areas(name):
    assert name not in technologies()
    with pytest.raises(ConfigError) as error:
        load_technology(name)
    assert str(error.value) == (
        f"technology: should be one with areas, not {name!r}, an FPGA family; estimate, synth, "
        "calibrate and validate know it"
    )
    with pytest.raises(ConfigError) as error:
        load_fpga("generic")
    assert str(error.value) == "family: should be xcup or ecp5, not 'generic'"
