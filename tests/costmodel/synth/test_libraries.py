"""Technologies with Liberty files: where they are looked for, what is avoided, adder cells."""

import fnmatch

import pytest
import yaml

from costmodel.catalog import PACKAGED, library_names
from costmodel.liberty.library import parse, read_liberty
from costmodel.synth.libraries import INFO_DIR, FullAdder, MissingFilesError, find_library
from costmodel.synth.yosys import GENERIC_LIBERTY, SynthesisError
from hwgen.base.errors import ConfigError
from tests.support.netlist import yosys
from tests.support.technologies import real

SUM = """\
module top (input clk, input signed [7:0] a, b, output reg signed [8:0] o);
  reg signed [7:0] c, d;
  always @(posedge clk) begin c <= a; d <= b; o <= c + d; end
endmodule
"""
REAL = ["asap7", "ihp-sg13g2", "sky130hd"]


pytestmark = pytest.mark.usefixtures("module_cache")


def test_generic_is_packaged(monkeypatch):
    monkeypatch.delenv("HWGEN_LIBERTY_PATH", raising=False)
    generic = find_library("generic")
    assert generic.files == (GENERIC_LIBERTY,)
    assert generic.info.conditions is None
    assert generic.gate_area() == 1


def test_first_folder_with_files_is_taken(tmp_path, monkeypatch):
    for folder, file in (("a/sky130hd", "x.txt"), ("b/asap7", "y.lib"), ("c/asap7", "z.lib")):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / file).touch()
    (tmp_path / "b/asap7/w.lib.gz").touch()
    monkeypatch.setenv("HWGEN_LIBERTY_PATH", f"{tmp_path}/a:{tmp_path}/b::{tmp_path}/c")
    assert [path.name for path in find_library("asap7").files] == ["w.lib.gz", "y.lib"]
    with pytest.raises(MissingFilesError) as error:
        find_library("sky130hd")
    looked = ", ".join(f"{tmp_path}/{folder}/sky130hd" for folder in "abc")
    source = yaml.safe_load((INFO_DIR / "sky130hd.yaml").read_text())["source"]
    assert str(error.value) == (
        f"technology sky130hd: should have Liberty files: none in {looked}; set "
        "HWGEN_LIBERTY_PATH to a folder that holds sky130hd/*.lib or sky130hd/*.lib.gz "
        f"(they come from {source})"
    )


def test_path_that_is_not_set(monkeypatch):
    monkeypatch.setenv("HWGEN_LIBERTY_PATH", "")
    message = r"should have Liberty files: HWGEN_LIBERTY_PATH is not"
    with pytest.raises(MissingFilesError, match=message):
        find_library("asap7")


def test_unknown_technology(tmp_path, monkeypatch):
    with pytest.raises(ConfigError) as error:
        find_library("asap")
    assert not isinstance(error.value, MissingFilesError)
    head = (
        "technology: should be one of generic, asap7, ihp-sg13g2, sky130hd or an FPGA family, "
        "ecp5 or xcup, not "
    )
    assert str(error.value) == f"{head}'asap'; did you mean 'asap7'?"
    monkeypatch.setenv("HWGEN_LIBERTY_PATH", f"{tmp_path}:{tmp_path}/b")
    with pytest.raises(ConfigError) as error:
        find_library("gf180")
    assert str(error.value) == (
        f"{head}'gf180'; user-defined ones are {tmp_path}/*/technology.yaml and "
        f"{tmp_path}/b/*/technology.yaml"
    )
    monkeypatch.delenv("HWGEN_LIBERTY_PATH")
    with pytest.raises(ConfigError) as error:
        find_library("gf180")
    assert str(error.value) == (
        f"{head}'gf180'; HWGEN_LIBERTY_PATH is not set, so there are no user-defined ones"
    )


def test_every_packaged_technology_has_a_description():
    assert sorted(path.stem for path in INFO_DIR.iterdir()) == sorted(PACKAGED)


OWN = """\
source: mine, two gates and a flip-flop
area_unit: um2
gate: NAND
conditions:
  driving_cell: BUF
  input_transition_ns: 0.02
  clock_transition_ns: 0.02
  output_load_ff: 4
dont_use:
  "LAZY*": slow
"""
OWN_LIBERTY = """\
library (mine) {
  time_unit : "1ns"; capacitive_load_unit (1, ff); nom_voltage : 1;
  CELLS
}
"""


def own_cell(name, area, function, inputs="A", state=""):
    """A cell whose every arc takes 0.1 ns, or 0.3 ns from a clock."""
    kind, sense, delay = "combinational", "non_unate", "0.1"
    if state:
        kind, delay = "rising_edge", "0.3"
    values = {"cell_rise": delay, "cell_fall": delay}
    values |= dict.fromkeys(("rise_transition", "fall_transition"), "0.02")
    tables = " ".join(f'{t} (scalar) {{ values ("{v}"); }}' for t, v in values.items())
    arcs = "".join(
        f"timing () {{ related_pin : {pin}; timing_type : {kind}; timing_sense : {sense}; "
        f"{tables} }}\n"
        for pin in (["C"] if state else inputs)
    )
    pins = "".join(f"pin ({pin}) {{ direction : input; capacitance : 1; }}\n" for pin in inputs)
    return (
        f"cell ({name}) {{ area : {area}; {state}\n{pins}"
        f'pin (Y) {{ direction : output; function : "{function}"; {arcs} }} }}\n'
    )


SETUP = (
    'pin (D) { direction : input; capacitance : 1; timing () { related_pin : "C"; '
    "timing_type : setup_rising; "
    'rise_constraint (scalar) { values ("0.05"); } '
    'fall_constraint (scalar) { values ("0.05"); } } }'
)
OWN_CELLS = (
    own_cell("NAND", 2, "!(A B)", "AB")
    + own_cell("INV", 1, "!A")
    + own_cell("BUF", 1.5, "A")
    + own_cell("LAZY_AND", 0.1, "A B", "AB")
)
STATE = f'ff (IQ, IQN) {{ clocked_on : "C"; next_state : "D"; }} pin (C) {{ direction : input; \
capacitance : 1; clock : true; }} {SETUP}'
REGISTER = own_cell("DFF", 10, "IQ", "", STATE)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A technology of the user's own, in two Liberty files."""
    folder = tmp_path / "mine" / "toy28"
    folder.mkdir(parents=True)
    (folder / "gates.lib").write_text(OWN_LIBERTY.replace("CELLS", OWN_CELLS))
    (folder / "registers.lib").write_text(OWN_LIBERTY.replace("CELLS", REGISTER))
    (folder / "technology.yaml").write_text(OWN)
    monkeypatch.setenv("HWGEN_LIBERTY_PATH", f"{tmp_path}/none:{tmp_path}/mine")
    return folder


def test_a_technology_of_the_users_own(own):
    """Liberty files, ten lines of YAML, and it is synthesised with and timed."""
    assert len(OWN.splitlines()) == 10
    assert library_names() == [*PACKAGED, "toy28"]
    toy = find_library("toy28")
    assert [file.name for file in toy.files] == ["gates.lib", "registers.lib"]
    assert toy.gate_area() == 2
    toy.check()
    source = (
        "module top (input clk, a, b, output reg o); reg c, d;"
        "always @(posedge clk) begin c <= a; d <= b; o <= c & d; end endmodule"
    )
    result = toy.synthesise(source, "top", "verilog", timing=True)
    assert result.cells == {"DFF": 3, "INV": 1, "NAND": 1}  # Not the cheap and lazy one.
    assert result.area == 33
    assert result.delay_ns == pytest.approx(0.3 + 0.1 + 0.1 + 0.05)
    with pytest.raises(SynthesisError, match="top: full_adders: toy28 has no adder cell"):
        toy.synthesise(source, "top", "verilog", full_adders=True)


def test_a_technology_of_the_users_own_needs_liberty_files(own):
    for file in own.glob("*.lib"):
        file.unlink()
    with pytest.raises(ConfigError) as error:
        find_library("toy28")
    assert str(error.value).startswith(
        f"technology toy28: should have Liberty files: none in {own}; set HWGEN_LIBERTY_PATH to "
    )


def test_every_fault_of_a_description_is_said_at_once(own):
    file = own / "technology.yaml"
    text = OWN.replace("gate:", "gates:").replace("um2", "mm2")
    file.write_text(text.replace("output_load_ff: 4", "output_load_ff: four"))
    with pytest.raises(ConfigError) as error:
        find_library("toy28")
    assert sorted(str(error.value).splitlines()) == [
        f"{file}: area_unit: input should be 'ge' or 'um2', not 'mm2'",
        f"{file}: conditions.output_load_ff: input should be a valid number, not 'four'",
        f"{file}: gate: is required; add it",
        f"{file}: unknown key 'gates'; did you mean 'gate'?",
    ]


def test_a_description_without_conditions_is_not_taken_for_one_without_delays(own):
    lines = OWN.splitlines(keepends=True)
    (own / "technology.yaml").write_text("".join(lines[:3] + lines[8:]))
    with pytest.raises(ConfigError, match=r"technology.yaml: conditions: is required; add it$"):
        find_library("toy28")


def test_a_description_that_does_not_fit_the_files(own):
    adder = "full_adder: {cell: INV, inputs: [A, B, C], total: Y, carry: K, inverted: false}\n"
    text = OWN.replace("BUF", "BUFF").replace("NAND", "NANDS").replace("LAZY", "IDLE")
    (own / "technology.yaml").write_text(text + adder)
    with pytest.raises(ConfigError) as error:
        find_library("toy28").check()
    head = "technology toy28: "
    assert str(error.value).splitlines() == [
        f"{head}gate: should be a cell of the Liberty files, not 'NANDS'",
        f"{head}conditions.driving_cell: should be a cell of the Liberty files, not 'BUFF'",
        *(f"{head}full_adder: INV should have the pin '{pin}'; it has A, Y" for pin in "BCK"),
        f"{head}dont_use: 'IDLE*' should match a cell of the Liberty files; correct or remove it",
    ]


def test_a_packaged_name_cannot_be_taken(own):
    own.rename(own.parent / "asap7")
    assert library_names() == list(PACKAGED)
    with pytest.raises(ConfigError) as error:
        find_library("asap7")
    assert str(error.value) == (
        "technology asap7: is described by this package, so "
        f"{own.parent}/asap7/technology.yaml has no effect; rename that folder"
    )


def test_the_name_of_an_fpga_family_cannot_be_taken(own):
    own.rename(own.parent / "ecp5")
    assert library_names() == list(PACKAGED)
    with pytest.raises(ConfigError, match="should be one with Liberty files, not 'ecp5', an FPGA"):
        find_library("ecp5")


def allowed(technology, cells):
    patterns = technology.info.dont_use
    return {n: c for n, c in cells.items() if not any(fnmatch.fnmatchcase(n, p) for p in patterns)}


@pytest.mark.parametrize("name", REAL)
def test_what_is_left_can_be_timed(name):
    """Neither latches, three-state outputs nor constants; every pattern means something."""
    technology = real(name)
    technology.check()
    cells = read_liberty(technology.files).cells
    left = allowed(technology, cells)
    for cell in left.values():
        outputs = [pin for pin in cell.pins.values() if pin.direction == "output"]
        assert cell.storage in (None, "ff")
        assert not any(pin.three_state for pin in outputs)
        assert cell.storage or all(pin.arcs for pin in outputs)
    assert technology.info.conditions.driving_cell in left


@pytest.mark.parametrize("name", REAL)
def test_conditions_are_those_of_the_driving_cell(name):
    """Load: four of its inputs; transition: at that load, from itself, the slower edge."""
    technology = real(name)
    conditions = technology.info.conditions
    cell = read_liberty(technology.files).cell(conditions.driving_cell)
    (load,) = [p.capacitance_ff for p in cell.pins.values() if p.direction == "input"]
    assert conditions.output_load_ff == pytest.approx(4 * load, rel=0.01)
    (arc,) = [arc for pin in cell.pins.values() for arc in pin.arcs]
    slowest = arc.rise_transition
    column = max(i for i, x in enumerate(slowest.second) if x <= conditions.output_load_ff)
    low, high = slowest.values[0][column], slowest.values[1][column + 1]
    assert low <= conditions.input_transition_ns == conditions.clock_transition_ns <= high


@pytest.mark.parametrize("name", REAL)
def test_synthesis_with_timing(name):
    technology = real(name)
    result = technology.synthesise(SUM, "top", "verilog", timing=True)
    assert allowed(technology, result.cells) == result.cells
    assert sum(count for cell, count in result.cells.items() if "df" in cell.lower()) == 25
    assert (result.path_start, result.path_end) == ("register", "register")
    assert result.depth >= len(result.critical_path) - 2 >= 8
    assert sum(s.delay_ns for s in result.critical_path) == pytest.approx(result.delay_ns)
    assert result.full_adders == (technology.info.full_adder is not None)


FANOUT = """\
module leaf (input clk, input [3:0] a, output reg [3:0] o);
  always @(posedge clk) o <= a + 4'd3;
endmodule
module top (input clk, s, input [59:0] a, output reg [59:0] o, output [3:0] p);
  reg select;
  always @(posedge clk) begin select <= s; o <= select ? a : o ^ {a[0], a[59:1]}; end
  leaf inner (clk, o[3:0] ^ o[7:4], p);
endmodule
"""


def test_large_fan_out_is_buffered_whatever_else_is_asked():
    technology = real("ihp-sg13g2")
    plain = technology.synthesise(FANOUT, "top", "verilog")
    timed = technology.synthesise(FANOUT, "top", "verilog", timing=True)
    bare = technology._replace(info=technology.info.model_copy(update={"conditions": None}))
    assert timed.area == plain.area
    assert timed.area > bare.synthesise(FANOUT, "top", "verilog").area
    assert timed.delay_ns < 2


def test_hierarchy_is_timed_as_a_whole():
    technology = real("ihp-sg13g2")
    result = technology.synthesise(FANOUT, "top", "verilog", timing=True, flatten=False)
    assert [module.name for module in result.modules] == ["leaf", "top"]
    assert 0 < result.delay_ns < 3
    assert result.path_end == "register"


def model(adder):
    """The adder cell as a Liberty text says it, for Yosys to prove."""
    invert = "~" if adder.inverted else ""
    a, b, c = adder.inputs
    return (
        f"module {adder.cell} (input {a}, {b}, {c}, output {adder.total}, {adder.carry});\n"
        f"assign {adder.total} = {invert}({a} ^ {b} ^ {c});\n"
        f"assign {adder.carry} = {invert}(({a} & {b}) | ({c} & ({a} | {b})));\nendmodule\n"
    )


@pytest.mark.parametrize("inverted", [False, True], ids=["straight", "inverted"])
@pytest.mark.parametrize(
    "body",
    [
        "input signed [4:0] a, b, output signed [5:0] o); assign o = a + b;",
        "input signed [4:0] a, input signed [2:0] b, output signed [6:0] o); assign o = a - b;",
        "input [4:0] a, input [2:0] b, output [6:0] o); assign o = a - b;",
        "input [4:0] a, b, input c, output [5:0] o); assign o = {a, 1'b1} + {b, c};",
        "input [4:0] a, output [5:0] o); assign o = a + 5'd11;",
        "input a, b, output o); assign o = a + b;",
    ],
    ids=["signed", "signed_minus", "unsigned_minus", "carry_in", "constant", "bit"],
)
def test_adder_cells_add(body, inverted, tmp_path):
    adder = FullAdder(cell="FA", inputs=["A", "B", "C"], total="S", carry="K", inverted=inverted)
    (tmp_path / "top.v").write_text(f"module top ({body} endmodule\n")
    (tmp_path / "map.v").write_text(adder.adder_map().techmap)
    (tmp_path / "cell.v").write_text(model(adder))
    prove = [
        "read_verilog top.v",
        "hierarchy -top top",
        "design -save gold",
        "techmap -map map.v top",
        "techmap top",
        "read_verilog cell.v",
        "flatten top",
        "design -stash gate",
        "design -load gold",
        "design -copy-from gate -as mapped top",
        "miter -equiv -flatten top mapped both",
        "sat -verify -prove trigger 0 both",
    ]
    yosys(prove, tmp_path)


@pytest.mark.parametrize("name", ["asap7", "sky130hd"])
def test_adder_cells_of_the_library(name):
    technology = real(name)
    adder = technology.info.full_adder
    cell = read_liberty(technology.files).cell(adder.cell)
    functions = {pin: cell.pins[pin].function for pin in (adder.total, adder.carry)}
    a, b, c = adder.inputs
    for value in range(8):
        bits = {pin: bool(value >> i & 1) for i, pin in enumerate((a, b, c))}
        number = sum(bits.values())
        for pin, expected in ((adder.total, number % 2), (adder.carry, number // 2)):
            text = functions[pin].replace("!", " not ").replace("*", " and ").replace("+", " or ")
            text = text.replace("&", " and ").replace("|", " or ").strip()
            assert eval(text, {}, bits) == (bool(expected) != adder.inverted)
    plain = technology.synthesise(SUM, "top", "verilog", full_adders=False)
    result = technology.synthesise(SUM, "top", "verilog", timing=True)
    assert result.full_adders
    assert result.cells[adder.cell] == 7
    assert result.area < plain.area
    assert adder.cell in [step.cell for step in result.critical_path]


def test_adder_cells_where_there_are_none():
    with pytest.raises(SynthesisError) as error:
        find_library("generic").synthesise(SUM, "top", "verilog", full_adders=True)
    assert str(error.value) == "top: full_adders: generic has no adder cell"


def test_packaged_liberty_is_read_whole():
    text = GENERIC_LIBERTY.read_text(encoding="utf-8")
    assert len(parse(text, "generic.lib").cells) == text.count("cell (")
