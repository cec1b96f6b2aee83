"""Counts of the structure equal what Yosys finds in the emitted Verilog, for every case."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from costmodel.judge.samples import load_samples
from hwgen.spec.config import CoreConfig
from hwgen.spec.primitive import GENERATED, Family, Primitive
from hwgen.spec.structure import SIZE_AXES, UNIT_KINDS, UNIT_SIZES, sized, structure
from hwgen.spec.sums import BUILDERS
from tests.support import cases
from tests.support.emitted import emitted
from tests.support.netlist import read

DRAWN = sorted(load_samples().of("train"), key=lambda sample: sample.cells)[:24]
CASES = cases.CASES | {sample.name: sample.config for sample in DRAWN}
"""Every axis, and random combinations of them."""

ADDERS = ("adder", "adder_carry", "negate")
UNITS = r"(to|from)_fixed_|^fp_(add|mul|widen)_"
"""Modules that are primitives of their own."""
REGISTERS = {
    "$dff": "register",
    "$dffe": "register_enable",
    "$sdff": "register_reset",
    "$sdffe": "register_enable_reset",
    "$sdffce": "register_enable_reset",
}


@cache
def netlist_of(config, passes=("proc",)):
    core = emitted(config)
    with tempfile.TemporaryDirectory() as folder:
        return read(core.verilog, core.name, Path(folder), passes)


@pytest.mark.parametrize("config", CASES.values(), ids=CASES)
def test_adders_by_width(config):
    netlist = netlist_of(config)
    found: Counter[int] = Counter()
    for (kind, width), number in netlist.cells(without=UNITS).items():
        if kind in ("$add", "$sub"):
            found[width] += number
    expected: Counter[int] = Counter()
    for primitive, number in structure(config).total.items():
        if primitive.kind in ADDERS:
            expected[primitive.width] += number
    assert found == expected


@pytest.mark.parametrize("config", CASES.values(), ids=CASES)
def test_floating_point_units(config):
    """Adders, multipliers and conversions, as instances of their modules."""
    found: Counter[str] = Counter()
    for module in emitted(config).manifest["modules"]:
        if re.match(r"fp_|(to|from)_fixed_", module["name"]) and not wires(module["name"]):
            found[module["name"]] += module["instances"]
    expected: Counter[str] = Counter()
    for primitive, number in structure(config).total.items():
        if primitive.family in GENERATED:
            expected[unit_name(config, primitive)] += number
    assert found == expected


def wires(name: str) -> bool:
    return name in {"fp_widen_bf16_fp32", "fp_widen_fp8_e5m2_fp16"}


def unit_name(config: CoreConfig, primitive: Primitive) -> str:
    """The module of a floating-point primitive, by its kind, width and stages."""
    if primitive.family in (Family.FP_ADD, Family.FP_MUL, Family.WIDEN):
        return primitive.kind + (f"_r{primitive.fan_in - 1}" if primitive.fan_in > 1 else "")
    point = config.act + (f"_w{config.fixed_bits}" if config.fixed_bits else "")
    if primitive.family is Family.TO_FIXED:
        assert primitive.width == (config.fixed_bits or config.float_number.fixed_bits)
        return f"to_fixed_{point}"
    to = f"_to_{config.sum_format}" if config.sum_format else ""
    return f"from_fixed_w{primitive.width}_{point}{to}"


@pytest.mark.parametrize("config", CASES.values(), ids=CASES)
def test_flip_flops_by_kind(config):
    passes = ("proc", "opt_expr", "opt_dff", "opt_clean")
    netlist = netlist_of(config, passes)
    found: Counter[str] = Counter()
    for (kind, width), number in netlist.cells(without=f"{UNITS}|_fetch_").items():
        if kind in REGISTERS:
            found[REGISTERS[kind]] += width * number
        assert "dff" not in kind or kind in REGISTERS
    # The 0 of a floating-point sign flip stands right before its register: to Yosys, a reset.
    for (kind, width), number in netlist.cells(without=r"^(?!.*_fetch_)").items():
        if kind in REGISTERS:
            found["register_enable"] += width * number
    expected: Counter[str] = Counter()
    for primitive, number in structure(config).total.items():
        if primitive.family is Family.REGISTER:
            expected[primitive.kind] += primitive.width * number
    assert found == expected


@pytest.mark.parametrize("table", ["half", "full"])
@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.parametrize(
    "number",
    [{"act": "int4"}, {"act": "fp8_e4m3", "arith": "float", "sum_format": "fp16"}],
    ids=["int", "float"],
)
def test_flip_flops_of_tables_that_synthesis_merges(number, builder, table, tmp_path):
    """Bit by bit, as it does: of a number and its negative only the signs differ."""
    fields = {"mu": 3, "tables": 2, "ports": 1, "storage": "registers", "pipeline": {"build": 1}}
    config = CoreConfig(kind="lut", builder=builder, table=table, **fields, **number)
    spec = structure(config)
    passes = ("proc", "flatten", "opt", "simplemap", "opt_merge", "opt_clean")
    netlist = read(emitted(config).verilog, spec.build.module_name, tmp_path, passes)
    found = sum(number for (kind, _), number in netlist.cells().items() if "_DFF" in kind)
    expected = sum(
        each * primitive.width
        for unit in spec.units
        if unit.component in ("build", "tables")
        for primitive, each in unit.counts.items()
        if primitive.kind == "register_enable"
    )
    assert found == expected


@pytest.mark.parametrize("config", CASES.values(), ids=CASES)
def test_multiplexer_inputs(config):
    """Selected words of fetch and accumulate, counted as cases of the emitted Verilog."""
    netlist = netlist_of(config, ("proc", "opt_expr"))
    found: Counter[str] = Counter()
    for name, module in netlist.modules.items():
        for cell in module["cells"].values():
            width = int(cell["parameters"].get("WIDTH", "0"), 2)
            if cell["type"] == "$pmux" and "_fetch_" in name:
                # The default is one word more, where it is not 0.
                words = int(cell["parameters"]["S_WIDTH"], 2) + (not config.book.has_zero)
                found["fetch"] += words * width * netlist.instances[name]
            elif cell["type"] == "$mux" and "_fetch_" in name and width > 1:
                output = cell["connections"]["Y"]
                if output == module["netnames"]["entry"]["bits"]:
                    found["fetch"] += width * netlist.instances[name]
            elif name.startswith("accumulate") and cell["type"] in ("$mux", "$pmux"):
                output = cell["connections"]["Y"]
                chosen = [module["netnames"].get(net, {}).get("bits") for net in ("old", "updated")]
                if output in chosen:
                    extra = int(cell["parameters"].get("S_WIDTH", "1"), 2)
                    found["accumulate"] += (extra + 1) * width * netlist.instances[name]
    expected: Counter[str] = Counter()
    counts = structure(config).counts
    selection = "fetch_mux" if config.book.has_zero else "mux"
    for component, kind in (("fetch", selection), ("accumulate", "mux")):
        for primitive, number in counts[component].items():
            if primitive.kind == kind:
                expected[component] += primitive.fan_in * primitive.width * number
    assert found == +expected


GRID = [(1, 1, 1), (2, 3, 2), (3, 5, 1), (7, 2, 9), (16, 40, 3), (33, 1, 4)]
"""Tables, ports and reuse."""


@pytest.mark.parametrize("config", CASES.values(), ids=CASES)
def test_units_depend_on_nothing_but_their_sizes(config):
    for sizes in GRID:
        core = sized(config, *sizes)
        for kind in UNIT_KINDS:
            values = [s.value(core.config, getattr(core.config, s.axis)) for s in kind.sizes]
            alike = kind.spec_of(config, values)
            assert kind.cost(alike) == kind.cost(kind.spec(core))
            assert kind.counts(alike) == kind.counts(kind.spec(core))


def test_a_unit_names_a_size_of_each_axis_at_most_and_all_are_used():
    axes = [[size.axis for size in kind.sizes] for kind in UNIT_KINDS]
    assert all(len(set(names)) == len(names) for names in axes)
    assert {size for kind in UNIT_KINDS for size in kind.sizes} == {*UNIT_SIZES}
    assert [axis for axis in SIZE_AXES for size in UNIT_SIZES if size.axis == axis] == [
        size.axis for size in UNIT_SIZES
    ]


def test_a_size_left_out_would_show():
    (reduce,) = (kind for kind in UNIT_KINDS if kind.component == "reduce")
    config = CASES["lut_mu3_registers_d1"]
    careless = reduce._replace(sizes=())
    found = careless.cost(careless.spec_of(config, []))
    assert found != careless.cost(careless.spec(sized(config, tables=3)))


def test_a_wrong_count_is_noticed(tmp_path):
    """The comparison above can fail: one adder more in the Verilog, and the widths differ."""
    config = next(iter(CASES.values()))
    core = emitted(config)
    damaged = core.verilog.replace("~first;", "~(first + 1'h1);", 1)
    assert damaged != core.verilog
    before = netlist_of(config).cells()
    assert read(damaged, core.name, tmp_path).cells() != before
