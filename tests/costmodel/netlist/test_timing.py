"""Timing: a path by hand, a plain reference, ABC, and netlists that cannot be timed."""

import json
import re
from itertools import pairwise

import numpy as np
import pytest

from costmodel.liberty.library import parse, read_liberty, read_packed
from costmodel.netlist import timing
from costmodel.netlist.netlist import TimingError, depth, read_netlist
from costmodel.netlist.timing import Conditions, analyse
from tests.support.netlist import yosys
from tests.support.technologies import real

HEAD = """\
library (small) {
  time_unit : "1ps"; capacitive_load_unit (1, ff); nom_voltage : 1;
  lu_table_template (delay) {
    variable_1 : input_net_transition; variable_2 : total_output_net_capacitance;
    index_1 ("10, 20"); index_2 ("1, 2");
  }
  lu_table_template (check) {
    variable_1 : related_pin_transition; variable_2 : constrained_pin_transition;
    index_1 ("10, 20"); index_2 ("10, 20");
  }
"""
ARC = """timing () {{ related_pin : "{pin}"; timing_type : {kind}; timing_sense : {sense};
  cell_rise (delay) {{ values ("{0}"); }} cell_fall (delay) {{ values ("{1}"); }}
  rise_transition (delay) {{ values ("{2}"); }} fall_transition (delay) {{ values ("{3}"); }} }}
"""
INVERTING = ("10, 20, 14, 24", "8, 12, 10, 14", "10, 20, 10, 20", "6, 8, 6, 8")
CLOCKED = ("30, 40, 33, 43", "32, 44, 35, 47", "10, 20, 12, 22", "10, 12, 11, 13")
SLOW = ("15, 31, 25, 40", "9, 14, 12, 18", "8, 19, 12, 22", "7, 9, 8, 12")


def cell(name, inputs, arcs, extra="", load=1):
    pins = "".join(
        f"pin ({pin}) {{ direction : input; capacitance : {load}; }}\n" for pin in inputs
    )
    return (
        f"cell ({name}) {{ area : 1; {extra}\n{pins}"
        f"pin (Y) {{ direction : output; {''.join(arcs)} }} }}\n"
    )


def arc(pin, tables, sense="negative_unate", kind="combinational"):
    return ARC.format(*tables, pin=pin, sense=sense, kind=kind)


def flip_flop(name, edge="rising", clock="C"):
    check = f"""timing () {{ related_pin : "C"; timing_type : setup_{edge};
      rise_constraint (check) {{ values ("5, 7, 8, 10"); }}
      fall_constraint (check) {{ values ("6, 10, 9, 13"); }} }}"""
    state = f"""ff (IQ, IQN) {{ clocked_on : "{clock}"; next_state : "D"; }}
      pin (D) {{ direction : input; capacitance : 1.5; {check} }}"""
    return cell(name, "C", [arc("C", CLOCKED, "non_unate", f"{edge}_edge")], state)


def small(inverting=INVERTING):
    return parse(
        HEAD
        + cell("INV", "A", [arc("A", inverting)])
        + cell("NAND", "AB", [arc("A", inverting), arc("B", SLOW)], load=2)
        + cell("XOR", "AB", [arc(pin, SLOW, "non_unate") for pin in "AB"], load=0.5)
        + flip_flop("DFF")
        + flip_flop("DFFN", "falling", "!C")
        + cell("DFFZ", "C", [], 'ff (I, N) { clocked_on : "C"; next_state : "!I"; }')
        + cell("LATCH", "A", [], "latch (IQ, IQN) { }")
        + cell("DUMB", "A", [])
        + cell("TIE", "", [])
        + "}",
        "small.lib",
    )


CONDITIONS = Conditions(
    driving_cell="INV", input_transition_ns=0.02, clock_transition_ns=0.01, output_load_ff=2.0
)


def netlist(cells, ports="", library=None):
    """``cells``: "instance type pin=net …", a net is a name or 0; ports: "<net" in, ">net" out."""
    numbers: dict[str, int] = {}

    def bits(net):
        return ["0"] if net == "0" else [numbers.setdefault(net, len(numbers) + 2)]

    body = {}
    for line in cells:
        name, kind, *pins = line.split()
        body[name] = {
            "type": kind,
            "connections": {pin: bits(net) for pin, net in (p.split("=") for p in pins)},
        }
    directions = {"<": "input", ">": "output"}
    module = {
        "ports": {
            port[1:]: {"direction": directions[port[0]], "bits": bits(port[1:])}
            for port in ports.split()
        },
        "cells": body,
    }
    text = json.dumps({"creator": "test", "modules": {"top": module}}, indent=2)
    return read_netlist(text, "top", library or small())


def ps(result):
    return round(result.delay_ns * 1000, 9)


PIPE = ["f DFF C=clk D=0 Y=q", "u INV A=q Y=n", "v INV A=n Y=d", "g DFF C=clk D=d Y=o"]


def test_register_to_register_by_hand():
    result = analyse(netlist(PIPE, "<clk"), CONDITIONS)
    # Clock to q: rise 30, fall 32, both with transition 10 at a load of 1.
    # u: falls 8 after q's rise, at 38, with 6; rises 10 after q's fall, at 42, with 10.
    # v, load 1.5: rises after a transition of 6 below the table: 15 - 0.4 * 4 = 13.4, with 15;
    #   falls 10 after the rise of n, with 7.
    # Set-up: rise 5 + 2 * 0.5 = 6, at 57.4; fall 6 - 4 * 0.3 = 4.8, at 56.8.
    assert ps(result) == 57.4
    assert (result.start, result.end) == ("register", "register")
    assert [(s.instance, s.cell, s.pin, round(s.delay_ns * 1000, 9)) for s in result.path] == [
        ("f", "DFF", "Y", 30),
        ("u", "INV", "Y", 8),
        ("v", "INV", "Y", 13.4),
        ("g", "DFF", "D", 6),
    ]


@pytest.mark.parametrize(
    ("cells", "ports", "expected", "kinds"),
    [
        # Input transition 20, load 2 of the output: rises after 24, falls after 14.
        (["u INV A=a Y=y"], "<a >y", 24, ("input", "output")),
        # Load 1.5: rises after 19 with 15, set-up 6; falls after 12 with 7, set-up 4.8.
        (["u INV A=a Y=d", "g DFF C=clk D=d Y=o"], "<a <clk", 25, ("input", "register")),
        # A load of 2: rises after 40, falls after 44.
        (["f DFF C=clk D=0 Y=q"], "<clk >q", 44, ("register", "output")),
        # Two more inverters at the same net: a load of 3 beyond the table, 24 + 10.
        (["u INV A=a Y=y", "v INV A=y", "w INV A=y"], "<a >y", 44, ("input", "output")),
        (["g DFF C=clk D=a Y=o"], "<a <clk", 10, ("input", "register")),
    ],
    ids=["gate", "set_up", "clock_to_output", "load", "input_at_register"],
)
def test_ends_by_hand(cells, ports, expected, kinds):
    result = analyse(netlist(cells, ports), CONDITIONS)
    assert ps(result) == expected
    assert (result.start, result.end) == kinds
    assert sum(step.delay_ns for step in result.path) == pytest.approx(result.delay_ns)


def test_constants_do_not_arrive():
    tied = netlist(
        ["t TIE Y=t", "u NAND A=0 B=t Y=y", "v INV A=y Y=z", "w INV A=open Y=x"], ">z >x"
    )
    result = analyse(tied, CONDITIONS)
    assert (result.delay_ns, result.start, result.end, result.path) == (0, None, None, ())


def test_what_does_not_arrive_has_no_transition_either():
    sharp = CONDITIONS.model_copy(update={"input_transition_ns": 0.0})
    cells = ["t TIE Y=t", "u NAND A=t B=a Y=y", "v XOR A=y B=0 Y=z", "w XOR A=y B=0"]
    # y, load 1, by B alone: rises at 15 - 10 with 8 - 4, falls at 9 - 3 with 7 - 1.
    # z, load 2: rises after y's fall by 31 - 0.9 * 4 = 27.4.
    assert ps(analyse(netlist(cells, "<a >z"), sharp)) == 33.4


def test_falling_edge_is_as_good_as_the_rising_one():
    falling = [line.replace(" DFF ", " DFFN ") for line in PIPE]
    assert ps(analyse(netlist(falling, "<clk"), CONDITIONS)) == 57.4


def test_depth_counts_cells_between_ends():
    assert depth(netlist(PIPE, "<clk")) == 2
    assert depth(netlist(["f DFF C=clk D=0 Y=q"], "<clk >q")) == 0
    assert depth(netlist([*PIPE, "w XOR A=d B=a Y=x"], "<clk <a >x")) == 3


LOOP = ["u NAND A=a B=z Y=y", "v INV A=y Y=z"]


@pytest.mark.parametrize(
    ("cells", "ports", "message"),
    [
        (LOOP, "<a", r"top: (u \(NAND\)|v \(INV\)): is in a combinational loop"),
        (
            ["l LATCH A=a Y=y"],
            "<a",
            r"top: l \(LATCH\): a latch or clock gate cannot be timed; use flip-flops",
        ),
        (
            ["l DUMB A=a Y=y"],
            "<a",
            r"top: l \(DUMB\): pin Y: has no timing arc in the Liberty file",
        ),
        (
            ["f DFFZ C=a Y=y"],
            "<a",
            r"top: f \(DFFZ\): pin Y: has no clock-to-output delay",
        ),
        (
            ["u INV A=clk Y=c", "f DFF C=c D=0 Y=q"],
            "<clk",
            r"top: f \(DFF\): clock pin C: should be driven by an input; a clock made by logic "
            r"cannot be timed",
        ),
        (
            ["f DFF C=clk D=0 Y=q", "g DFFN C=clk D=q Y=r"],
            "<clk",
            r"top: f \(DFF\) takes the rising edge of the clock, top: g \(DFFN\) the falling one; "
            r"only one edge can be timed",
        ),
    ],
    ids=["loop", "latch", "no_arc", "no_clock_arc", "made_clock", "both_edges"],
)
def test_netlist_that_cannot_be_timed(cells, ports, message):
    with pytest.raises(TimingError) as error:
        analyse(netlist(cells, ports), CONDITIONS)
    assert re.fullmatch(message, str(error.value))


def test_loop_has_no_depth_and_unknown_top_no_netlist():
    with pytest.raises(TimingError, match="combinational loop"):
        depth(netlist(LOOP, "<a"))
    with pytest.raises(TimingError) as error:
        read_netlist('{\n  "modules": {\n  }\n}', "top", small())
    assert str(error.value) == "top: is no module of the netlist"


def random_cells(rng, number=60):
    """Gates over earlier nets, with registers among them."""
    nets, cells = ["a", "b", "c"], []
    for index in range(number):
        kind = rng.choice(["INV", "NAND", "XOR", "DFF"], p=[0.3, 0.3, 0.3, 0.1])
        one, other = rng.choice(nets[-12:], 2)
        pins = {"INV": f"A={one}", "DFF": f"C=clk D={one}"}.get(kind, f"A={one} B={other}")
        cells.append(f"i{index} {kind} {pins} Y=n{index}")
        nets.append(f"n{index}")
    return cells, f"<a <b <c <clk >{nets[-1]} >{nets[-2]}"


def plain(cells, ports, library, conditions):
    """The same analysis, a cell at a time in order, in dictionaries."""

    def look_up(table, first, second):
        def place(axis, at):
            low = next((i for i, x in enumerate(axis[1:-1]) if at < x), len(axis) - 2)
            return low, (at - axis[low]) / (axis[low + 1] - axis[low])

        (r, x), (c, y) = place(table.first, first), place(table.second, second)
        v = table.values
        ends = [v[i][c] + (v[i][c + 1] - v[i][c]) * y for i in (r, r + 1)]
        return ends[0] + (ends[1] - ends[0]) * x

    rows = []
    for line in cells:
        _, kind, *pins = line.split()
        rows.append((library.cells[kind], dict(pin.split("=") for pin in pins)))
    outputs = [port[1:] for port in ports.split() if port[0] == ">"]
    load = dict.fromkeys(outputs, conditions.output_load_ff)
    for kind, pins in rows:
        for pin, net in pins.items():
            if kind.pins[pin].direction == "input":
                load[net] = load.get(net, 0.0) + kind.pins[pin].capacitance_ff
    start = (0.0, conditions.input_transition_ns)
    state = {port[1:]: {"r": start, "f": start} for port in ports.split() if port[0] == "<"}
    for kind, pins in rows:
        found = {"r": [], "f": []}
        for arc_ in kind.pins["Y"].arcs:
            source = state.get(pins[arc_.related])
            pairs = {"negative_unate": ["rf", "fr"], "non_unate": ["rr", "rf", "fr", "ff"]}
            for before, after in pairs[arc_.sense]:
                late, slew = source[before]
                if kind.storage:
                    late, slew = 0.0, conditions.clock_transition_ns
                charge = load.get(pins["Y"], 0.0)
                delay, edge = (
                    (arc_.cell_rise, arc_.rise_transition)
                    if after == "r"
                    else (arc_.cell_fall, arc_.fall_transition)
                )
                found[after].append(
                    (late + look_up(delay, slew, charge), look_up(edge, slew, charge))
                )
        state[pins["Y"]] = {
            edge: (max(x for x, _ in all_), max(x for _, x in all_)) for edge, all_ in found.items()
        }
    ends = [state[net][edge][0] for net in outputs for edge in "rf"]
    for kind, pins in rows:
        for check in kind.pins["D"].constraints if kind.storage else ():
            for edge, table in (("r", check.rise), ("f", check.fall)):
                late, slew = state[pins["D"]][edge]
                ends.append(late + look_up(table, conditions.clock_transition_ns, slew))
    return max(ends)


@pytest.mark.parametrize("seed", range(20))
def test_random_netlists_against_a_plain_reference(seed):
    library = small()
    cells, ports = random_cells(np.random.default_rng(seed))
    result = analyse(netlist(cells, ports), CONDITIONS)
    assert result.delay_ns == pytest.approx(plain(cells, ports, library, CONDITIONS), abs=1e-12)
    assert sum(step.delay_ns for step in result.path) == pytest.approx(result.delay_ns)


@pytest.mark.parametrize("seed", range(5))
def test_slower_cell_never_makes_it_faster(seed):
    cells, ports = random_cells(np.random.default_rng(seed))
    slower = [
        tuple(", ".join(str(float(x) * f) for x in row.split(",")) for row in INVERTING)
        for f in (1, 1.1, 2, 10)
    ]
    delays = [
        analyse(netlist(cells, ports, small(inverting)), CONDITIONS).delay_ns
        for inverting in slower
    ]
    assert all(a <= b for a, b in pairwise(delays))
    assert delays[0] < delays[-1]


MULTIPLIER = "module top (input signed [7:0] a, b, output [15:0] o); assign o = a * b; endmodule\n"


@pytest.mark.parametrize("name", ["asap7", "ihp-sg13g2", "sky130hd"])
def test_agrees_with_abc(name, tmp_path):
    """Within 4 %: ABC merges the arcs of both senses of an XOR, which we keep apart.

    On such a multiplier its number lies between ours and ours with those arcs merged.
    """
    technology = real(name)
    files = []
    for index, path in enumerate(technology.files):
        files.append(f"-liberty {index}.lib")
        (tmp_path / f"{index}.lib").write_bytes(read_packed(path))
    banned = " ".join(f"-dont_use {pattern}" for pattern in technology.info.dont_use)
    (tmp_path / "top.v").write_text(MULTIPLIER)
    (tmp_path / "map.abc").write_text("strash\ndch\nmap\nbuffer -N 16\ntopo\ndnsize\nstime -p\n")
    (tmp_path / "load").write_text("set_load 10\n")
    commands = [
        "read_verilog top.v",
        "synth -flatten -top top",
        f"abc -script map.abc -constr load {' '.join(files)} {banned}",
        "opt_clean -purge",
        "write_json netlist.json",
    ]
    log = yosys(commands, tmp_path)
    abc = float(re.findall(r"Delay = *([\d.]+) ps", log)[-1]) / 1000
    library = read_liberty(technology.files)
    mapped = read_netlist((tmp_path / "netlist.json").read_text(), "top", library)
    around = Conditions(  # ABC's inputs without a driving cell: ideal edges.
        driving_cell="none", input_transition_ns=0, clock_transition_ns=0, output_load_ff=10
    )
    assert analyse(mapped, around).delay_ns == pytest.approx(abc, rel=0.04)


def test_tables_of_other_sizes_are_looked_up_together():
    tables = timing.Tables()
    points = timing.Table(first=(1.0, 2.0, 4.0), second=(0.0,), values=((1.0,), (3.0,), (5.0,)))
    scalar = timing.Table(first=(0.0,), second=(0.0,), values=((7.0,),))
    assert [tables.add(points), tables.add(scalar), tables.add(points)] == [0, 1, 0]
    tables.close()
    found = tables.look_up(
        np.array([0, 0, 0, 1]), np.array([1.5, 6.0, 0.0, 9.0]), np.array([0.0, 3.0, 1.0, 9.0])
    )
    assert found.tolist() == [2.0, 7.0, -1.0, 7.0]
