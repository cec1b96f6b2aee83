"""Adders of the emitted Verilog, as Yosys reads it: as many as the structure promises."""

from __future__ import annotations

import pytest

from hwgen.spec.codebook import codebook
from hwgen.spec.config import CoreConfig
from hwgen.spec.sums import BUILDERS, sum_dag
from tests.support.cases import CASES
from tests.support.emitted import emitted
from tests.support.netlist import Netlist, read

ADDERS = ("$add", "$sub")


def count(netlist: Netlist, part: str = "", kinds: tuple[str, ...] = ADDERS) -> int:
    """Cells of ``kinds`` in all instances of the modules whose name has ``part`` in it."""
    return sum(number for (kind, _), number in netlist.cells(part).items() if kind in kinds)


@pytest.mark.parametrize("table", ["half", "full"])
@pytest.mark.parametrize("mu", range(1, 6))
@pytest.mark.parametrize("builder", BUILDERS)
def test_table_has_the_adders_of_its_dag(builder, mu, table, tmp_path):
    config = CoreConfig(
        kind="lut", act="int3", mu=mu, tables=1, ports=1, table=table, builder=builder
    )
    verilog, dag = (
        emitted(config).verilog,
        sum_dag(codebook("ternary", mu), builder, table == "half"),
    )
    assert count(read(verilog, "core", tmp_path), "build") == len(dag.sums)
    merged = read(verilog, "core", tmp_path, ("proc", "opt_merge"))
    assert count(merged, "build") == dag.distinct_sums


@pytest.mark.parametrize("name", CASES)
def test_core_has_the_adders_of_its_structure(name, tmp_path):
    config = CASES[name]
    if config.arith == "float":
        pytest.skip("rounding adders are modules of their own, counted by test_structure.py")
    netlist = read(emitted(config).verilog, "core", tmp_path)
    half = config.half_table or config.kind == "multiplier"
    sums = len(sum_dag(config.book, config.builder_name, half).sums)
    assert count(netlist, "_build_") == config.tables * sums
    assert count(netlist, "reduce_") == config.ports * (config.tables - 1)
    assert count(netlist, "accumulate_") == config.ports
    assert count(netlist, "fetch") == 0
    counted = sum(
        count(netlist, part) for part in ("_build_", "reduce_", "accumulate_", "control_")
    )
    counted += count(netlist, "_fixed_")  # Conversions are primitives of their own.
    counted += config.exponent_bits > 0  # The limit that the outputs' conversions share.
    assert count(netlist) == counted  # None anywhere else.
    products = config.tables * config.ports if config.kind == "multiplier" else 0
    assert count(netlist, kinds=("$mul",)) == count(netlist, "product", ("$mul",)) == products


def test_one_adder_too_many_is_counted(tmp_path):
    config = CASES["lut_mu3_registers_d1"]
    verilog = emitted(config).verilog
    assert verilog.count("always @* sum_ppp = ") == 1
    more = verilog.replace("always @* sum_ppp = ", "assign sum_ppp = 10'h1 + ")
    before, after = (count(read(v, "core", tmp_path), "build") for v in (verilog, more))
    assert after == before + config.tables
