"""Emission: of any component, into files, and under legal names."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from unittest.mock import ANY

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from hwgen.base.errors import ConfigError
from hwgen.rtl.base import Unit
from hwgen.rtl.core import Core, core_streams
from hwgen.spec.config import CoreConfig
from hwgen.spec.ports import STREAMS
from hwgen.spec.structure import Structure, structure
from hwgen.verilog.emit import emit, emit_unit
from tests.hwgen.verilog.test_printer import lint, prove_equal

CORE = CoreConfig(kind="lut", act="int4", mu=2, tables=2, ports=2, name="inner")


@dataclass(frozen=True)
class CountedSpec:
    """A core that counts its results."""

    core: Structure

    @property
    def module_name(self) -> str:
        return "counted"


class Counted(Unit[CountedSpec]):
    """A core, and beside its streams one of how many beats of results have moved."""

    summary = "A core that counts its results."

    def __init__(self, spec: CountedSpec) -> None:
        own = {"counts": Out(stream.Signature(8)), "clear": In(1)}
        super().__init__(spec, core_streams(spec.core) | own)

    def body(self) -> Module:
        m = Module()
        m.submodules.core = core = Core(self.spec.core)
        for name in STREAMS:
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(core, name))
        count = Signal(8, name="count")
        with m.If(self.clear):
            m.d.sync += count.eq(0)
        with m.Elif(self.sums.valid & self.sums.ready):
            m.d.sync += count.eq(count + 1)
        m.d.comb += [self.counts.payload.eq(count), self.counts.valid.eq(1)]
        return m


def test_a_wrapper_is_a_component_like_any_other(tmp_path):
    core = emit(CORE)
    unit = emit_unit(Counted(CountedSpec(structure(CORE))))
    assert unit.name == "counted"
    assert [stream.role for stream in unit.streams] == [
        "commands",
        "acts",
        "keys",
        "sums",
        "counts",
    ]
    counts = unit.streams[-1].to_dict()
    assert counts == {
        "direction": "output",
        "payload": "counts__payload",
        "valid": "counts__valid",
        "ready": "counts__ready",
        "layout": [{"name": "counts", "low": 0, "bits": 8, "signed": False, "shape": []}],
    }
    inner = {each.role: each.to_dict() | {"layout": ANY} for each in unit.streams[:-1]}
    assert inner == core.manifest["streams"]
    assert [m["name"] for m in unit.modules[:2]] == ["counted", "inner"]
    assert "counts: bits 0 to 7, unsigned" in unit.verilog
    # Every module of the core is the one that it has on its own.
    assert core.verilog[core.verilog.index("\nmodule inner (") :] in unit.verilog
    assert "UNUSEDSIGNAL" in lint(tmp_path, "counted", unit.verilog)  # counts__ready: not read.
    prove_equal(tmp_path, unit.verilog, unit.rtlil)


def test_the_ports_are_those_of_the_verilog():
    unit = emit_unit(Counted(CountedSpec(structure(CORE))))
    text = re.search(r"module counted \((.*?)\);", unit.verilog, re.DOTALL)[1]
    assert re.findall(r"(\w+)(?:,|\n)", text) == [port["name"] for port in unit.ports]


@dataclass(frozen=True)
class NamedSpec:
    """Nothing but a name."""

    module_name: str


class Processes(Unit[NamedSpec]):
    """A sum, a constant, and one of three values by priority."""

    summary = "Processes, and what cannot be one."
    in_processes = True

    def __init__(self) -> None:
        members = {"a": In(4), "b": In(4), "total": Out(5), "fixed": Out(3), "chosen": Out(4)}
        super().__init__(NamedSpec("processes"), members)

    def body(self) -> Module:
        m = Module()
        m.d.comb += [self.total.eq(self.a + self.b), self.fixed.eq(5)]
        with m.If(self.a[0]):
            m.d.comb += self.chosen.eq(self.b)
        with m.Elif(self.b[1]):
            m.d.comb += self.chosen.eq(self.a)
        with m.Else():
            m.d.comb += self.chosen.eq(3)
        return m


def test_a_constant_is_no_process(tmp_path):
    """Waiting for no signal, it would never run."""
    unit = emit_unit(Processes())
    assert "always @* total = {1'h0, a} + {1'h0, b};" in unit.verilog
    assert "assign fixed = 3'h5;" in unit.verilog
    assert "output [2:0] fixed" in unit.verilog
    assert "output reg [4:0] total" in unit.verilog
    prove_equal(tmp_path, unit.verilog, unit.rtlil)


def test_the_first_case_that_fits_counts(tmp_path):
    unit = emit_unit(Processes())
    for words in ("if (a[0]) begin", "else if (b[1]) begin", "else begin"):
        assert unit.verilog.count(words) == 1
    assert lint(tmp_path, "processes", unit.verilog) == ""
    swapped = unit.verilog.replace("if (a[0])", "if (b[1])", 1).replace(
        "else if (b[1])", "else if (a[0])"
    )
    with pytest.raises(AssertionError, match="equiv_status"):
        prove_equal(tmp_path, swapped, unit.rtlil)


def test_files_and_their_digests():
    core = emit(CORE)
    assert list(core.files) == ["inner.v", "lint.vlt", "manifest.json"]
    listed = json.loads(core.files["manifest.json"])["files"]
    assert listed.keys() == {"inner.v", "lint.vlt"}
    for name, digest in listed.items():
        assert hashlib.sha256(core.files[name].encode()).hexdigest() == digest
    assert "lint_off -rule DECLFILENAME" in core.files["lint.vlt"]


NAMES = {
    "std": "a name that every SystemVerilog design has already",
    "LUT6": "a primitive of AMD FPGAs",
    "Signal": "a word of VHDL",
}


@pytest.mark.parametrize(("name", "meaning"), NAMES.items(), ids=NAMES)
def test_reserved_names_are_refused(name, meaning):
    with pytest.raises(ConfigError) as error:
        emit(CORE.model_copy(update={"name": name}))
    assert str(error.value) == (
        f"name: a module should be called otherwise than {meaning}, not {name!r}; "
        "choose another name"
    )


@pytest.mark.parametrize("name", ["lut_fetch_mu2_w5", "control_d1_i14_o15_b0_t0", "fp_add_x"])
def test_names_of_inner_modules_are_refused(name):
    with pytest.raises(ConfigError, match="name: should be other than the modules inside the core"):
        emit(CORE.model_copy(update={"name": name}))
