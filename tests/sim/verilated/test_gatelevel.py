"""Netlists in library cells: outputs against golden, toggles against the stimulus, damage seen."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from costmodel.synth.libraries import find_library
from costmodel.target.report import BUILD, component
from hwgen.base.errors import ConfigError
from hwgen.flow.calibrate.gates import GateError, activity_of, gates, measure, random_work
from hwgen.spec.config import CoreConfig
from sim.verilated.gatelevel import GateModel, verilog
from sim.verilated.model import ModelError

TECHNOLOGY = "ihp-sg13g2"
CORES = {
    "lut": {"kind": "lut", "act": "int4", "mu": 2, "tables": 2, "ports": 2, "reuse": 2},
    "signflip": {"kind": "signflip", "act": "int3", "tables": 3, "ports": 1},
    "multiplier": {"kind": "multiplier", "act": "int3", "tables": 1, "ports": 2, "reuse": 2},
    "floating": {"kind": "lut", "mu": 1, "tables": 1, "ports": 1, "act": "fp8_e5m2"}
    | {"arith": "float", "sum_format": "fp8_e5m2", "pipeline": {"fp_add": 1}},
}
pytestmark = pytest.mark.verilator


@pytest.fixture(scope="module")
def library():
    try:
        return find_library(TECHNOLOGY)
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def made(library):
    """Compiled cores by name, each made once."""
    compiled = {}

    def make(name):
        if name not in compiled:
            sizes = {"max_in_features": 256, "max_out_features": 256}
            compiled[name] = gates(CoreConfig(**CORES[name], **sizes, name=name), library)
        return compiled[name]

    return make


@pytest.mark.parametrize("name", CORES)
def test_outputs_equal_golden_and_energy_is_of_the_right_size(made, name):
    """`measure` compares every output and raises for one that differs."""
    core = made(name)
    found = measure(core, "random")
    energy = found.power.energy
    assert min(energy) > 0
    assert sum(energy) == energy.total_fj
    assert found.power.cycles > 200
    # R = 2 with fp_add = 1: in the first three of four n-tiles a tile takes two cycles.
    slots = found.power.cycles / found.tiles
    assert slots == pytest.approx(1.75 if name == "floating" else 1, abs=0.03)
    # Every flip-flop's clock pin, at least: a few fJ to a few hundred in 130 nm.
    groups = core.mapped.netlist.groups
    flip_flops = sum(len(group.names) for group in groups if group.cell.storage)
    assert 20 < found.clock_fj_per_cycle / flip_flops < 200


def test_toggles_of_the_keys_are_those_of_the_stimulus(made):
    core = made("lut")
    work = random_work(core.config)
    packed = core.model.pack([work])
    first, cycles = 20, 100
    _, toggles = core.model.count(packed, first, cycles)
    assert toggles.cycles == toggles.tiles == cycles
    ports = json.loads(core.mapped.json)["modules"]["lut"]["ports"]
    nets = ports[core.emitted.manifest["streams"]["keys"]["payload"]]["bits"]
    found = [toggles.toggles[net] for net in nets], [toggles.high[net] for net in nets]
    keys = np.unpackbits(packed.keys, axis=1, bitorder="little")[:, : len(nets)]
    keys = np.tile(keys, (work.acts.shape[0], 1)).astype(int)  # Once a token.
    expected = []
    for start in range(first + 1):  # The key of the first sample is one of the first few.
        part = keys[start : start + cycles + 1]
        changes = np.abs(np.diff(part, axis=0)).sum(axis=0).tolist()
        expected.append((changes, part[:-1].sum(axis=0).tolist()))
    assert expected.count(found) == 1


def test_the_clock_toggles_twice_a_cycle(made):
    core = made("signflip")
    _, toggles = core.model.count([random_work(core.config)], 20, 50)
    activity = activity_of(core.mapped.netlist, toggles)
    clock = json.loads(core.mapped.json)["modules"]["signflip"]["ports"]["clk"]["bits"][0]
    place = core.mapped.netlist.bits.index(clock)
    assert activity.toggles[place] == 100
    assert activity.high[place] == 0.5
    assert np.delete(activity.toggles, place).max() <= 50


def test_the_netlist_is_the_one_that_synthesis_reports(made, library):
    core = made("signflip")
    report = library.synthesise(core.emitted.rtlil, core.emitted.name)
    cells = {group.type: len(group.names) for group in core.mapped.netlist.groups}
    assert cells == report.cells
    area = sum(len(group.names) * group.cell.area for group in core.mapped.netlist.groups)
    assert area == pytest.approx(report.area)


def test_a_damaged_netlist_is_noticed(made):
    core = made("signflip")
    content = json.loads(core.mapped.json)
    acts = core.emitted.manifest["streams"]["acts"]["payload"]
    bits = content["modules"]["signflip"]["ports"][acts]["bits"]
    bits[0], bits[1] = bits[1], bits[0]
    damaged = GateModel(json.dumps(content), core.mapped.cells, core.emitted.manifest)
    with pytest.raises(GateError, match=r"signflip: \d+ of \d+ outputs of the netlist in ihp"):
        measure(replace(core, model=damaged), "random")


def test_a_window_after_the_end_is_an_error(made):
    core = made("signflip")
    with pytest.raises(ModelError, match="signflip: toggles: the run ended before cycle 1000001"):
        core.model.count([random_work(core.config)], 1_000_000, 50)


def test_netlist_as_verilog():
    module = {
        "ports": {
            "a": {"direction": "input", "bits": [2, 3]},
            "y": {"direction": "output", "bits": [4, "1"]},
        },
        "cells": {"x": {"type": "NAND", "connections": {"A": [2], "B": ["0"], "Y": [4], "Z": []}}},
    }
    assert verilog(json.dumps({"modules": {"top": module}}), "top").splitlines() == [
        "module top (input [1:0] a, output [1:0] y);",
        "wire n2;",
        "wire n3;",
        "wire n4;",
        "assign n2 = a[0];",
        "assign n3 = a[1];",
        "assign y[0] = n4;",
        "assign y[1] = 1'b1;",
        "NAND u0 (.A(n2), .B(1'b0), .Y(n4));",
        "endmodule",
    ]


def test_energy_by_component_of_a_netlist_mapped_module_by_module(made, library):
    core = gates(made("lut").config, library, flatten=False)
    found = measure(core, "random").power
    parts = found.by_component(core.mapped.netlist, component)
    assert parts.keys() == {BUILD, "fetch", "reduce", "accumulate", "control", "inputs"}
    assert sum(parts.values()) == pytest.approx(found.energy.total_fj)
    assert min(parts.values()) > 0
    assert parts["accumulate"] == max(parts.values())  # Most flip-flops and the widest adders.
    flat = measure(made("lut"), "random").power.energy.total_fj
    assert found.energy.total_fj == pytest.approx(flat, rel=0.15)
