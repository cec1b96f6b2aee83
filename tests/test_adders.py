"""Adders of the emitted Verilog, as Yosys reads it: as many as the structure promises."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from hwgen.codebook import ternary
from hwgen.config import CoreConfig
from hwgen.dag import BUILDERS, sum_dag
from hwgen.emit import emit
from tests.cases import CASES
from tests.yosys import cells, instances

ADDERS = ("$add", "$sub")


def totals(folder: Path, verilog: str, top: str, *passes: str) -> dict[str, Counter[str]]:
    """Cells by type of all instances of each module together."""
    modules = cells(folder, verilog, *passes)
    return {
        name: Counter({kind: times * number for kind, number in modules[name].items()})
        for name, times in instances(modules, top).items()
    }


def count(modules: dict[str, Counter[str]], part: str, kinds: tuple[str, ...] = ADDERS) -> int:
    """Cells of ``kinds`` in the modules whose name has ``part`` in it."""
    return sum(found[kind] for name, found in modules.items() if part in name for kind in kinds)


@pytest.mark.parametrize("table", ["half", "full"])
@pytest.mark.parametrize("mu", range(1, 6))
@pytest.mark.parametrize("builder", BUILDERS)
def test_table_has_the_adders_of_its_dag(builder, mu, table, tmp_path):
    config = CoreConfig(
        kind="lut", act="int3", mu=mu, tables=1, ports=1, table=table, builder=builder
    )
    verilog, dag = emit(config).verilog, sum_dag(ternary(mu), builder, table == "half")
    assert count(totals(tmp_path, verilog, "core"), "build") == len(dag.sums)
    assert count(totals(tmp_path, verilog, "core", "opt_merge"), "build") == dag.shared_sums()


@pytest.mark.parametrize("name", CASES)
def test_core_has_the_adders_of_its_structure(name, tmp_path):
    config = CASES[name]
    modules = totals(tmp_path, emit(config).verilog, "core")
    half = config.half_table or config.kind == "multiplier"
    sums = len(sum_dag(config.book, config.builder_name, half).sums)
    found: Counter[str] = Counter()
    for module, by_kind in modules.items():
        part = module.removeprefix("lut_").split("_")[0]
        found[part] += sum(by_kind[kind] for kind in ADDERS)
    assert found == Counter(  # And so 0 everywhere else, fetch ports among it.
        build=config.tables * sums,
        reduce=config.ports * (config.tables - 1),
        accumulate=config.ports,
        control=found["control"],
    )
    products = config.tables * config.ports if config.kind == "multiplier" else 0
    assert count(modules, "", ("$mul",)) == count(modules, "product", ("$mul",)) == products


def test_one_adder_too_many_is_counted(tmp_path):
    config = CASES["lut_mu3_registers_d1"]
    verilog = emit(config).verilog
    assert verilog.count("assign sum_ppp = ") == 1
    more = verilog.replace("assign sum_ppp = ", "assign sum_ppp = 10'h1 + ")
    before, after = (count(totals(tmp_path, v, "core"), "build") for v in (verilog, more))
    assert after == before + config.tables
