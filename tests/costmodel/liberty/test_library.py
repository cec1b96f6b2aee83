"""Liberty: units, templates, worst of several arcs, leakage, cache, and faults explained."""

import gzip

import pytest

from costmodel.liberty import library as liberty
from costmodel.liberty.library import parse, read_liberty
from costmodel.liberty.parser import LibertyError
from hwgen.base.cachedir import cache_dir

HEAD = """\
library (small) {
  time_unit : "10ps"; capacitive_load_unit (1, pf); leakage_power_unit : "1pW"; nom_voltage : 1.1;
  lu_table_template (slew_load) {
    variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1 ("1, 2"); index_2 ("0.001, 0.002, 0.004");
  }
  lu_table_template (load_slew) {
    variable_1 : "total_output_net_capacitance"; variable_2 : "input_net_transition";
    index_1 ("0.001, 0.002, 0.004"); index_2 ("1, 2");
  }
  lu_table_template (check) {
    variable_1 : constrained_pin_transition; variable_2 : related_pin_transition;
    index_1 ("1, 2"); index_2 ("3, 4");
  }
"""
ARC = """\
timing () {{ related_pin : "A"; when : "{when}"; timing_sense : {sense};
  cell_rise ({template}) {{ values ({values}); }} rise_transition (scalar) {{ values ("3"); }} }}
"""
ROWS = '"1, 2, 3", \\\n "4, 5, 6"'


def library(*cells):
    return HEAD + "\n".join(cells) + "}\n"


def cell(body, name="G"):
    return f"cell ({name}) {{ area : 2.5; {body} }}"


def gate(*arcs, pin="capacitance : 0.002;"):
    return cell(
        f"pin (A) {{ direction : input; {pin} }}\n"
        f'pin (Y) {{ direction : output; function : "!A"; {" ".join(arcs)} }}'
    )


def arc(values=ROWS, when="B", sense="negative_unate", template="slew_load"):
    return ARC.format(values=values, when=when, sense=sense, template=template)


def only_arc(text):
    (found,) = parse(text, "small.lib").cells["G"].pins["Y"].arcs
    return found


pytestmark = pytest.mark.usefixtures("own_cache")


def test_units_become_ns_and_ff():
    found = parse(library(gate(arc())), "small.lib")
    pin = found.cells["G"].pins["Y"]
    assert (found.name, found.voltage_v, found.cells["G"].area) == ("small", 1.1, 2.5)
    assert found.cells["G"].pins["A"].capacitance_ff == 2.0
    assert pin.function == "!A"
    (only,) = pin.arcs
    assert (only.related, only.sense, only.kind) == ("A", "negative_unate", "combinational")
    assert only.cell_rise.first == (0.01, 0.02)
    assert only.cell_rise.second == (1.0, 2.0, 4.0)
    assert only.cell_rise.values == ((0.01, 0.02, 0.03), (0.04, 0.05, 0.06))
    assert only.cell_fall is None


def test_axes_in_the_other_order_are_turned():
    turned = only_arc(library(gate(arc('"1, 4", "2, 5", "3, 6"', template="load_slew"))))
    assert turned == only_arc(library(gate(arc())))


def test_scalar_is_one_point():
    table = only_arc(library(gate(arc()))).rise_transition
    assert (table.first, table.second, table.values) == ((0.0,), (0.0,), ((0.03,),))


def test_arcs_of_other_states_are_the_worst_entry_by_entry():
    other = arc('"9, 0, 3", "0, 5, 7"', when="!B")
    assert only_arc(library(gate(arc(), other))).cell_rise.values == (
        (0.09, 0.02, 0.03),
        (0.04, 0.05, 0.07),
    )


def test_arcs_of_other_senses_stay_apart():
    text = library(gate(arc(), arc(when="!B", sense="positive_unate")))
    senses = [found.sense for found in parse(text, "small.lib").cells["G"].pins["Y"].arcs]
    assert senses == ["negative_unate", "positive_unate"]


def test_capacitance_is_the_mean_of_both_edges():
    pin = "capacitance : 9; rise_capacitance : 0.001; fall_capacitance : 0.002;"
    found = parse(library(gate(arc(), pin=pin)), "small.lib")
    assert found.cells["G"].pins["A"].capacitance_ff == 1.5


def test_flip_flop_and_its_set_up():
    body = """ff (IQ, IQN) { clocked_on : "!C"; next_state : "D"; }
    pin (C) { direction : input; capacitance : 0.001; }
    pin (D) { direction : input; capacitance : 0.001;
      timing () { related_pin : "C"; timing_type : setup_falling;
        rise_constraint (check) { values ("1, 2", "3, 4"); } }
      timing () { related_pin : "C"; timing_type : hold_falling;
        rise_constraint (check) { values ("1, 2", "3, 4"); } } }"""
    found = parse(library(cell(body)), "small.lib").cells["G"]
    assert (found.storage, found.clocked_on, found.next_state) == ("ff", "!C", "D")
    (check,) = found.pins["D"].constraints
    assert (check.related, check.kind, check.fall) == ("C", "setup_falling", None)
    assert check.rise.first == (0.03, 0.04)  # The clock first, whatever the file's order.
    assert check.rise.second == (0.01, 0.02)
    assert check.rise.values == ((0.01, 0.03), (0.02, 0.04))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("cell_leakage_power : 3000; leakage_power () { value : 1; }", 3.0),
        ('leakage_power () { value : 2000; when : "A"; } leakage_power () { value : 4000; }', 4.0),
        (
            'leakage_power () { value : 2000; when : "A"; related_pg_pin : V; }'
            'leakage_power () { value : 4000; when : "!A"; related_pg_pin : V; }'
            "leakage_power () { value : 500; related_pg_pin : G; }",
            3.5,
        ),
        ("", None),
    ],
    ids=["stated", "unconditional", "mean_of_states_by_supply", "unknown"],
)
def test_leakage(body, expected):
    assert parse(library(cell(body)), "small.lib").cells["G"].leakage_nw == expected


def test_latch_and_clock_gate_are_marked():
    text = library(
        cell("latch (IQ, IQN) { }", "L"), cell('statetable ("C E", "IQ") { }', "I"), cell("", "N")
    )
    cells = parse(text, "small.lib").cells
    assert [cells[name].storage for name in "LIN"] == ["latch", "other", None]


def test_comments_power_tables_and_missing_semicolons_are_passed_over():
    noise = """/* cell (X) { */ internal_power () { rise_power (t) { values ("1"); } }
    dont_use : true
    """
    assert parse(library(cell(noise)), "small.lib").cells["G"].dont_use


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (library("cell (G) { }"), "small.lib: cell G: area: is missing"),
        (library("cell (G) { area : x; }"), "small.lib: cell G: area: should be a number, not 'x'"),
        (
            library(cell("pin (A) { capacitance : 1; }")),
            "small.lib: cell G: pin A: direction: should be input or output: None",
        ),
        (
            library(gate(arc(template="none"))),
            "small.lib: cell G: pin Y: cell_rise: none: no such lu_table_template",
        ),
        (
            library(gate(arc('"1, 2"'))),
            "small.lib: cell G: pin Y: cell_rise: should hold 6 values, not 2",
        ),
        (
            library(gate("timing () { }")),
            "small.lib: cell G: pin Y: related_pin: is missing",
        ),
        (
            library(gate('timing () { related_pin : "A"; cell_rise (scalar) { values ("1"); } }')),
            "small.lib: cell G: pin Y: A: has one of cell_rise and rise_transition; it takes both",
        ),
        (library(cell("bus (A) { }")), "small.lib: cell G: bus: is not supported"),
        (
            HEAD.replace('"10ps"', '"10parsec"') + "}",
            "small.lib: time_unit: should be a unit, not '10parsec'",
        ),
        ("library (a) { cell () { } }", "small.lib: cell: should have a name"),
        ("library (a) { cell (G) {", "small.lib: ends inside the group 'cell'"),
        ("library (a) {\n  area ! 1;\n}", "small.lib:2: should be a Liberty statement"),
    ],
    ids=[
        "no_area",
        "no_number",
        "no_direction",
        "no_template",
        "few_values",
        "no_related_pin",
        "no_transition",
        "bus",
        "unit",
        "no_name",
        "cut_off",
        "syntax",
    ],
)
def test_fault_names_file_cell_and_attribute(text, message):
    with pytest.raises(LibertyError) as error:
        parse(text, "small.lib")
    assert str(error.value) == message


def test_files_are_merged_and_read_from_the_cache(tmp_path, monkeypatch):
    plain, packed = tmp_path / "a.lib", tmp_path / "b.lib.gz"
    plain.write_text(library(gate(arc())))
    packed.write_bytes(gzip.compress(library(cell("", "H")).encode()))
    merged = read_liberty([plain, packed])
    assert (merged.name, list(merged.cells)) == ("small+small", ["G", "H"])
    monkeypatch.setattr(liberty, "parse", None)
    assert read_liberty([plain, packed]) == merged


def test_changed_file_and_damaged_cache_are_read_again(tmp_path):
    path = tmp_path / "a.lib"
    path.write_text(library(cell("")))
    read_liberty([path])
    (entry,) = (cache_dir() / "liberty").iterdir()
    entry.write_text("{")
    assert read_liberty([path]).cells["G"].area == 2.5
    path.write_text(library(cell("").replace("2.5", "7")))
    assert read_liberty([path]).cells["G"].area == 7


def test_cell_in_two_files_is_refused(tmp_path):
    paths = [tmp_path / "a.lib", tmp_path / "b.lib"]
    for path in paths:
        path.write_text(library(cell("")))
    with pytest.raises(LibertyError) as error:
        read_liberty(paths)
    assert str(error.value) == "b.lib: cell G: is in another of the files, too"


def test_unknown_cell():
    with pytest.raises(LibertyError) as error:
        parse(library(), "small.lib").cell("X")
    assert str(error.value) == "small: cell X: is in none of the Liberty files"
