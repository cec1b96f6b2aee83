"""Power: a netlist by hand, expressions, units and faults of Liberty files."""

import json

import numpy as np
import pytest

from costmodel.liberty.expression import truth, variables
from costmodel.liberty.library import LibertyError, read_liberty
from costmodel.liberty.power_tables import read_power
from costmodel.netlist.netlist import read_netlist
from costmodel.netlist.power import Activity, power
from costmodel.netlist.timing import Conditions

HEAD = """\
library (toy) {
  time_unit : "1ns"; voltage_unit : "1V"; leakage_power_unit : "1nW";
  capacitive_load_unit (1, pf); nom_voltage : 2;
  lu_table_template (delay) {
    variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1 ("0.01, 0.02"); index_2 ("0.001, 0.003");
  }
  lu_table_template (check) {
    variable_1 : related_pin_transition; variable_2 : constrained_pin_transition;
    index_1 ("0.01, 0.02"); index_2 ("0.01, 0.02");
  }
  power_lut_template (energy) {
    variable_1 : input_transition_time; variable_2 : total_output_net_capacitance;
    index_1 ("0.01, 0.02"); index_2 ("0.001, 0.003");
  }
  power_lut_template (passive) { variable_1 : input_transition_time; index_1 ("0.01, 0.02"); }
"""
DELAYS = "".join(
    f'{name} (delay) {{ values ("0.01, 0.01, 0.01, 0.01"); }}'
    for name in ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
)


def pair(template, rise, fall):
    tables = {"rise_power": rise, "fall_power": fall}
    return " ".join(f'{name} ({template}) {{ values ("{v}"); }}' for name, v in tables.items())


def passive(rise, fall, when=""):
    when = f'when : "{when}";' if when else ""
    tables = pair("passive", f"{rise}, {rise}", f"{fall}, {fall}")
    return f"internal_power () {{ {when} {tables} }}"


# An energy of 0.004 is 4 fJ: pF times V². The load moves the rising one from 4 to 6 fJ.
INVERTER = f"""
cell (INV) {{ area : 1; cell_leakage_power : 3;
  pg_pin (VDD) {{ pg_type : primary_power; }} pg_pin (VSS) {{ pg_type : primary_ground; }}
  pin (A) {{ direction : input; capacitance : 0.002; }}
  pin (Y) {{ direction : output; function : "!A";
    timing () {{ related_pin : "A"; timing_sense : negative_unate; {DELAYS} }}
    internal_power () {{ related_pin : "A"; related_pg_pin : VDD;
      {pair("energy", "0.004, 0.006, 0.004, 0.006", "0.002, 0.002, 0.002, 0.002")} }}
    internal_power () {{ related_pin : "A"; related_pg_pin : VSS;
      {pair("energy", "1, 1, 1, 1", "1, 1, 1, 1")} }}
  }} }}
"""
FLIP_FLOP = f"""
cell (DFF) {{ area : 4;
  leakage_power () {{ when : "Q"; value : 2; }} leakage_power () {{ when : "!Q"; value : 4; }}
  ff (IQ, IQN) {{ clocked_on : "C"; next_state : "D"; }}
  pin (C) {{ direction : input; clock : true; capacitance : 0.001;
    {passive(0.010, 0.010, "D & !Q")} {passive(0.006, 0.006, "!D * Q")}
    {passive(0.100, 0.100, "D Q")} {passive(0.100, 0.100, "(!D)&(!Q)")} }}
  pin (D) {{ direction : input; capacitance : 0.0015; {passive(0.001, 0.0)}
    timing () {{ related_pin : "C"; timing_type : setup_rising;
      rise_constraint (check) {{ values ("0, 0, 0, 0"); }}
      fall_constraint (check) {{ values ("0, 0, 0, 0"); }} }} }}
  pin (Q) {{ direction : output; function : "IQ";
    timing () {{ related_pin : "C"; timing_type : rising_edge; {DELAYS} }}
    internal_power () {{ related_pin : "C";
      power (energy) {{ values ("0.004, 0.004, 0.004, 0.004"); }} }}
  }} }}
"""
CONDITIONS = Conditions(
    driving_cell="INV", input_transition_ns=0.01, clock_transition_ns=0.01, output_load_ff=7.0
)
CYCLES = 10


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HWGEN_CACHE", str(tmp_path / "cache"))


def library(tmp_path, head=HEAD, cells=INVERTER + FLIP_FLOP):
    path = tmp_path / "toy.lib"
    path.write_text(head + cells + "}\n")
    return [path]


def toggler(files):
    """A flip-flop whose inverted output is its input: changes in every cycle."""
    pins = {"C": [2], "D": [4], "Q": [3]}
    cells = {
        "f": {"type": "DFF", "connections": pins},
        "u": {"type": "INV", "connections": {"A": [3], "Y": [4]}},
    }
    module = {"ports": {"clk": {"direction": "input", "bits": [2]}}, "cells": cells}
    text = json.dumps({"creator": "test", "modules": {"top": module}}, indent=2)
    return read_netlist(text, "top", read_liberty(files))


def activity(netlist):
    toggles = {2: 2.0 * CYCLES, 3: CYCLES, 4: CYCLES}
    found = np.array([toggles[bit] for bit in netlist.bits])
    return Activity(found, np.full(len(found), 0.5), CYCLES)


def test_inverter_and_flip_flop_by_hand(tmp_path):
    files = library(tmp_path)
    netlist = toggler(files)
    found = power(netlist, activity(netlist), CONDITIONS, files)
    # Half of C·V² is 2 fJ per fF: q has 2 fF, d 1.5 fF, the clock 1 fF and 20 toggles.
    assert found.energy.switching_fj == pytest.approx(10 * 4 + 10 * 3)
    # Mean of 4 + 2·(1.5 - 1)/2 = 4.5 rising and 2 falling; nothing of the ground pin's 1000.
    assert found.energy.combinational_fj == pytest.approx(10 * 3.25)
    # Output 4, data pin the mean of 1 and 0.
    assert found.energy.sequential_fj == pytest.approx(10 * 4 + 10 * 0.5)
    # Data and output always differ, one way or the other: the mean of 10 and 6.
    assert found.energy.clock_fj == pytest.approx(20 * 8 + 20 * 2)
    assert found.energy.total_fj == pytest.approx(70 + 32.5 + 45 + 200)
    assert found.leakage_nw == pytest.approx(3 + 3)
    parts = found.by_component(netlist, lambda name: f"part {name}")
    assert parts["part u"] == pytest.approx(32.5 + 30)
    assert parts["part f"] == pytest.approx(45 + 40 + 200)
    assert parts["inputs"] == pytest.approx(0, abs=1e-9)


def test_a_register_that_holds_costs_what_its_state_says(tmp_path):
    files = library(tmp_path)
    netlist = toggler(files)
    still = activity(netlist)
    still.toggles[[netlist.bits.index(3), netlist.bits.index(4)]] = 0
    found = power(netlist, still, CONDITIONS, files)
    assert found.energy.clock_fj == pytest.approx(20 * 100 + 20 * 2)
    assert found.energy.switching_fj == found.energy.combinational_fj == 0


TIMING = "".join(
    f'timing () {{ related_pin : "{pin}"; timing_sense : negative_unate; {DELAYS} }}'
    for pin in "ABE"
)
# At pin A 1 fJ in one state of the others, 2 in another; at Y 4 fJ by A and 8 by B.
NAND = f"""
cell (ND) {{ area : 2; cell_leakage_power : 5;
  pin (A) {{ direction : input; capacitance : 0.002;
    {passive(0.001, 0.001, "B & !E")} {passive(0.002, 0.002, "!B")} }}
  pin (B) {{ direction : input; capacitance : 0.002; }}
  pin (E) {{ direction : input; capacitance : 0.002; }}
  pin (Y) {{ direction : output; function : "!(A & B & E)";
    {TIMING}
    internal_power () {{ related_pin : "A"; when : "B";
      {pair("energy", *2 * ["0.004, 0.004, 0.004, 0.004"])} }}
    internal_power () {{ related_pin : "B"; {pair("energy", *2 * ["0.008, 0.008, 0.008, 0.008"])} }}
  }} }}
"""


@pytest.mark.parametrize(
    ("enable", "toggles", "expected"),
    [
        # P(B & !E) is 1/4 · 1/4, P(!B) 3/4; A has 6/4 of the output's cause, B 2.
        (4, {2: 6, 3: 2, 4: 0, 5: 4}, 6 * (1 / 16 + 2 * 3 / 4) + 4 * (1.5 * 4 + 2 * 8) / 3.5),
        ("1", {2: 6, 3: 2, 5: 4}, 6 * 2 * 3 / 4 + 4 * (1.5 * 4 + 2 * 8) / 3.5),
        ("0", {2: 6, 3: 2, 5: 4}, 6 * (1 / 4 + 2 * 3 / 4) + 4 * (1.5 * 4 + 2 * 8) / 3.5),
        (4, {2: 0, 3: 0, 4: 1, 5: 4}, 4 * (4 + 8) / 2),
    ],
    ids=["independent_pins", "tied_high", "tied_low", "no_cause_toggles"],
)
def test_states_and_causes_by_hand(enable, toggles, expected, tmp_path):
    files = library(tmp_path, cells=INVERTER + NAND)
    pins = {"A": [2], "B": [3], "E": [enable], "Y": [5]}
    inputs = {"a": 2, "b": 3} | ({"e": 4} if enable == 4 else {})
    ports = {name: {"direction": "input", "bits": [bit]} for name, bit in inputs.items()}
    module = {"ports": ports, "cells": {"u": {"type": "ND", "connections": pins}}}
    text = json.dumps({"creator": "test", "modules": {"top": module}}, indent=2)
    netlist = read_netlist(text, "top", read_liberty(files))
    high = {2: 0.5, 3: 0.25, 4: 0.75, 5: 0.9}
    seen = Activity(
        np.array([float(toggles[bit]) for bit in netlist.bits]),
        np.array([high[bit] for bit in netlist.bits]),
        CYCLES,
    )
    found = power(netlist, seen, CONDITIONS, files)
    assert found.energy.combinational_fj == pytest.approx(expected)
    assert found.energy.sequential_fj == found.energy.clock_fj == 0
    # Half of C·V² is 2 fJ per fF: pins of 2 fF, nothing at the output.
    inner = sum(toggles[bit] * 2 * 2 for bit in inputs.values())
    assert found.energy.switching_fj == pytest.approx(inner)
    assert found.leakage_nw == 5


def test_units_scale_everything(tmp_path):
    """The same numbers in fF and mV mean other energies: fF·mV² instead of pF·V²."""
    files = library(tmp_path, HEAD.replace("(1, pf)", "(1, ff)").replace('"1V"', '"1mV"'))
    about = read_power(files, ["INV"])
    assert about.voltage_v == 0.002
    assert about.cells["INV"].pins["Y"][0].rise.values[0][0] == pytest.approx(4e-9)
    assert about.cells["INV"].pins["Y"][0].rise.second == (0.001, 0.003)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('voltage_unit : "1V";', "", "voltage_unit: should be a unit, not None"),
        ("nom_voltage : 2;", "", "nom_voltage: should be a number, not missing"),
        ("(1, pf)", "(1, bushel)", "capacitive_load_unit: should be a unit, not '1 bushel'"),
        ("power_lut_template (energy)", "power_lut_template (other)", "no such power_lut_template"),
        ("D & !Q", "D & !QN", "'QN' should be one of its pins"),
        ("D & !Q", "D & (!Q", "a parenthesis is not closed"),
        ("cell (DFF)", "cell (DFFX)", "cell DFF: is in none of the Liberty files"),
    ],
)
def test_what_is_unknown_is_an_error(tmp_path, old, new, message):
    netlist = toggler(library(tmp_path))
    text = HEAD + INVERTER + FLIP_FLOP
    assert old in text
    broken = tmp_path / "broken"
    broken.mkdir()
    files = library(broken, text.replace(old, new), "")
    with pytest.raises(LibertyError) as error:
        power(netlist, activity(netlist), CONDITIONS, files)
    assert message in str(error.value)


def test_a_cell_without_power_data_is_an_error(tmp_path):
    start = INVERTER.index("    internal_power")
    files = library(tmp_path, cells=INVERTER[:start] + "} }" + FLIP_FLOP)
    netlist = toggler(files)
    with pytest.raises(LibertyError, match="cell INV: has no internal_power"):
        power(netlist, activity(netlist), CONDITIONS, files)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("A & !B | C", lambda a, b, c: (a and not b) or c),
        ("!(A + B) * C", lambda a, b, c: not (a or b) and c),
        ("A B' + C", lambda a, b, c: (a and not b) or c),
        ("A ^ B & C", lambda a, b, c: (a != b) and c),
        ("A (B | !C)", lambda a, b, c: a and (b or not c)),
        ("1", lambda a, b, c: True),
    ],
)
def test_expressions(text, meaning):
    rows = [meaning(bool(i & 1), bool(i & 2), bool(i & 4)) for i in range(8)]
    assert truth(text, ["A", "B", "C"]).tolist() == rows


def test_variables_in_order():
    assert variables("!B & (A + B_2)") == ("B", "A", "B_2")
    with pytest.raises(LibertyError, match="should be a Boolean expression"):
        truth("A # B", ["A", "B"])
