"""Synthesis: areas by hand, hierarchy, cache, and failures that explain themselves."""

import gzip
import re

import pytest

from costmodel.synth import yosys as synth
from costmodel.synth.yosys import GENERIC_LIBERTY, SynthesisError, synthesise
from hwgen.base.cachedir import cache_dir
from hwgen.base.files import write_atomically

AND = "module top (input a, b, output o); assign o = a & b; endmodule\n"
REGISTER = """\
module top (input clk, en, rst, input [9:0] d, output reg [9:0] q);
  always @(posedge clk) {}
endmodule
"""
HIERARCHY = """\
module leaf (input clk, input [3:0] a, b, output reg [3:0] o);
  always @(posedge clk) o <= a + b;
endmodule
module pair (input clk, input [3:0] a, b, c, output [3:0] o);
  wire [3:0] t;
  leaf first (clk, a, b, t);
  leaf second (clk, t, c, o);
endmodule
module top (input clk, input [3:0] a, b, c, output [3:0] o, p);
  pair both (clk, a, b, c, o);
  leaf third (clk, a & b, c, p);
endmodule
"""


pytestmark = pytest.mark.usefixtures("own_cache")


def run(source, **options):
    return synthesise(source, "top", language="verilog", **options)


def logs():
    return list((cache_dir() / "synth").glob("*.log"))


def test_generic_areas_are_the_stated_transistor_counts():
    cells = re.findall(
        r"/\* (\d+) transistors:[^/]*\*/\s*cell \((\w+)\) \{\s*area : ([\d.]+);",
        GENERIC_LIBERTY.read_text(encoding="utf-8"),
    )
    assert len(cells) == GENERIC_LIBERTY.read_text(encoding="utf-8").count("cell (")
    assert {name: float(area) * 4 for _, name, area in cells} == {
        name: int(transistors) for transistors, name, _ in cells
    }


def test_gate_by_hand():
    result = run(AND)
    assert (result.area, result.sequential_area, result.cells) == (1.5, 0, {"AND2": 1})
    assert result.tool == synth.tool_version()


@pytest.mark.parametrize(
    ("body", "cells"),
    [
        ("q <= d;", {"DFF": 10}),
        ("if (en) q <= d;", {"DFFE": 10}),
        ("if (rst) q <= 0; else q <= d;", {"DFF": 10, "INV": 10, "NOR2": 10}),
    ],
    ids=["plain", "enable", "reset"],
)
def test_registers_by_hand(body, cells):
    assert run(REGISTER.format(body)).cells == cells


def test_rtlil_source():
    source = """\
module \\top
  wire width 1 input 1 \\a
  wire width 1 output 2 \\o
  cell $not $1
    parameter \\A_SIGNED 0
    parameter \\A_WIDTH 1
    parameter \\Y_WIDTH 1
    connect \\A \\a
    connect \\Y \\o
  end
end
"""
    assert synthesise(source, "top").cells == {"INV": 1}


def test_hierarchy_adds_up():
    result = run(HIERARCHY, flatten=False)
    instances = {module.name: module.instances for module in result.modules}
    assert instances == {"leaf": 3, "pair": 1, "top": 1}
    assert result.cells["DFF"] == 12
    assert result.sequential_area == 12 * 6
    assert result.area == sum(module.own_area * module.instances for module in result.modules)
    pair = next(module for module in result.modules if module.name == "pair")
    assert pair.own_area == 0


def test_same_job_twice_is_the_same_netlist():
    assert run(HIERARCHY, use_cache=False) == run(HIERARCHY, use_cache=False)


def test_depth_by_hand():
    assert run(AND).depth is None
    assert run(AND, depth=True).depth == 1
    assert run(REGISTER.format("if (rst) q <= 0; else q <= d;"), depth=True).depth == 2
    assert run("module top (input a, output o); assign o = a; endmodule", depth=True).depth == 0


def test_depth_is_that_of_the_whole_design():
    apart = run(HIERARCHY, flatten=False, depth=True)
    assert [module.name for module in apart.modules] == ["leaf", "pair", "top"]
    assert apart.depth == run(HIERARCHY.replace("a & b", "a"), flatten=False, depth=True).depth + 1


def test_depth_does_not_change_the_area():
    assert run(HIERARCHY, depth=True).area == run(HIERARCHY).area


def test_generic_has_no_delays():
    with pytest.raises(SynthesisError) as error:
        run(AND, timing=True)
    assert str(error.value) == (
        "top: timing: generic has area and logic depth only, as its flip-flops have no delays; "
        "take a technology with delays"
    )


def test_packed_liberty_gives_the_same_area(tmp_path):
    packed = tmp_path / "generic.lib.gz"
    packed.write_bytes(gzip.compress(GENERIC_LIBERTY.read_bytes()))
    assert run(AND, liberty=[packed]).area == run(AND).area


def test_second_run_comes_from_the_cache(monkeypatch):
    first = run(AND)
    monkeypatch.setattr(synth, "WORKER", "raise SystemExit(1)")
    assert run(AND) == first
    with pytest.raises(SynthesisError):
        run(AND, use_cache=False)


def test_changed_liberty_is_not_taken_from_the_cache(tmp_path):
    run(AND)
    dear = tmp_path / "dear.lib"
    text = GENERIC_LIBERTY.read_text(encoding="utf-8")
    dear.write_text(text.replace("area : ", "area : 1"), encoding="utf-8")
    assert run(AND, liberty=[dear]).area > 10


def test_damaged_cache_is_recomputed():
    first = run(AND)
    (entry,) = (cache_dir() / "synth").glob("*.json")
    entry.write_text('{"top": "to')
    assert run(AND) == first


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "module top (input a output b); endmodule",
            "top: read_verilog source.v: syntax error, unexpected TOK_OUTPUT, "
            "expecting ')' or ',' or '='",
        ),
        (
            "module other (input a); endmodule",
            "top: hierarchy -check -top top: Module `top' not found!",
        ),
    ],
    ids=["syntax", "no_top"],
)
def test_failure_names_the_pass_and_the_log(source, message):
    with pytest.raises(SynthesisError) as error:
        run(source)
    (log,) = logs()
    assert str(error.value) == f"{message}; see {log}"
    assert error.value.__suppress_context__ or error.value.__context__ is None
    assert "read_verilog" in log.read_text()


def test_latch_is_refused_not_free():
    with pytest.raises(SynthesisError, match=r"^top: dfflibmap .* D latches are not supported"):
        run("module top (input a, e, output reg o); always @* if (e) o = a; endmodule")


def test_crash_of_the_tool_is_an_error(monkeypatch):
    monkeypatch.setattr(synth, "WORKER", "import os; os.abort()")
    with pytest.raises(SynthesisError) as error:
        run(AND)
    assert str(error.value) == f"top: start of Yosys: killed by signal 6; see {logs()[0]}"


def test_time_limit(monkeypatch):
    monkeypatch.setattr(synth, "WORKER", "import time; time.sleep(60)")
    with pytest.raises(SynthesisError) as error:
        run(AND, limit_s=0.5)
    assert str(error.value) == f"top: start of Yosys: not done after 0.5 s; see {logs()[0]}"


def test_liberty_without_flip_flops(tmp_path):
    path = tmp_path / "gates.lib"
    text = GENERIC_LIBERTY.read_text(encoding="utf-8")
    path.write_text(text.split("  /* 24 transistors")[0] + "}\n", encoding="utf-8")
    with pytest.raises(SynthesisError) as error:
        run(AND, liberty=[path])
    assert str(error.value) == "top: liberty: no file has a flip-flop; add the sequential cells"


def test_missing_liberty(tmp_path):
    with pytest.raises(SynthesisError) as error:
        run(AND, liberty=[tmp_path / "none.lib"])
    assert str(error.value) == f"{tmp_path}/none.lib: cannot be read: No such file or directory"


def test_cache_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.setenv("HWGEN_CACHE", "")
    assert cache_dir() == tmp_path / "xdg" / "hwgen"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == tmp_path / "home" / ".cache" / "hwgen"


def test_atomic_write_replaces_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "folder" / "file"
    write_atomically({path: "old"})
    write_atomically({path: "new µ"})
    assert path.read_text(encoding="utf-8") == "new µ"
    assert list(path.parent.iterdir()) == [path]
