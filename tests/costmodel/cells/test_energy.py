"""The energy model: by hand, properties, errors, and recorded hold-out cores measured again."""

from __future__ import annotations

import io
import json
from collections import Counter
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from costmodel.calibrate.file import as_yaml
from costmodel.cells.energy import (
    busy_area,
    clock_bits,
    core_energy,
    fit_rates,
    unit_energy,
)
from costmodel.cells.energy_data import ACTIVITIES, GROUPS, EnergyModel, energy_group
from costmodel.cells.technology import UncalibratedError, load_technology
from costmodel.judge import energy_records
from costmodel.judge.energy_records import EnergyRecord, left_out, with_energies
from costmodel.judge.records import HOLDOUT, TRAINING
from costmodel.synth.libraries import find_library
from costmodel.target.cells import CellTarget
from hwgen.base.errors import ConfigError
from hwgen.cli import app
from hwgen.flow.calibrate.energy import simulate_samples
from hwgen.spec.config import CoreConfig
from hwgen.spec.primitive import Primitive
from hwgen.spec.structure import structure

MEASURED = ("asap7", "ihp-sg13g2", "sky130hd")
MOST_ERROR = 0.15
"""Mean over hold-out cores that is promised for the energy of a tile."""


def core(**changes):
    base = {"kind": "lut", "tables": 4, "ports": 4, "reuse": 2} | changes
    if base["kind"] == "lut":
        base = {"mu": 2} | base
    return structure(CoreConfig.model_validate(base))


@pytest.fixture(params=MEASURED)
def technology(request):
    return load_technology(request.param)


def test_core_by_hand():
    """Sum over primitives of area × rate × events, and of bits × clock, written out once more."""
    tech, spec = load_technology("asap7"), core(reuse=4, pipeline={"fetch": 1})
    rates, clock = tech.energy.fj_per_um2["digits"], tech.energy.clock_fj_per_bit
    expected = bits = 0.0
    for component, units, counts in spec.units:
        for primitive, each in counts.items():
            number = units * each
            area = number * tech.unit_area(primitive)
            if component in ("build", "tables"):
                area /= 4
            if component == "accumulate" and primitive.kind == "register_enable":
                plain = number * tech.unit_area(Primitive("register", primitive.width))
                area = plain / 4 + (area - plain)
            expected += area * rates[energy_group(component, primitive)]
            bits += number * primitive.width * primitive.kind.startswith("register")
    found = core_energy(spec, tech, "digits")
    assert found.fj_per_tile == pytest.approx(expected + bits * clock)
    assert found.clock_fj_per_tile == pytest.approx(bits * clock)
    assert sum(found.by_component.values()) == pytest.approx(found.fj_per_tile)
    assert found.fj_per_mac == pytest.approx(found.fj_per_tile / (8 * 4))
    assert found.activity == "digits"


@pytest.mark.parametrize("activity", ACTIVITIES)
@pytest.mark.parametrize("axis", ["tables", "ports"])
@pytest.mark.parametrize("kind", ["lut", "signflip", "multiplier"])
def test_a_larger_core_never_takes_less_energy_or_leaks_less(technology, activity, axis, kind):
    specs = [core(kind=kind, **{axis: size}) for size in range(1, 40)]
    found = [core_energy(spec, technology, activity) for spec in specs]
    assert all(a.fj_per_tile < b.fj_per_tile for a, b in pairwise(found))
    assert all(a.leakage_mw < b.leakage_mw for a, b in pairwise(found))


def test_reuse_shares_the_build_and_its_registers(technology):
    specs = [core(reuse=reuse, mu=4, storage="registers") for reuse in (1, 2, 4, 8, 16)]
    found = [core_energy(spec, technology) for spec in specs]
    built = [energy.by_component["build"] for energy in found]
    assert built == pytest.approx([built[0] / reuse for reuse in (1, 2, 4, 8, 16)])
    held = [energy.by_component["tables"] for energy in found]
    assert held == sorted(held, reverse=True)
    assert held[-1] > held[0] / 16  # The clock goes on.


def test_waiting_for_accumulators_costs_clock_only():
    tech = load_technology("asap7")
    adds = {"act": "fp16", "arith": "float", "sum_format": "fp16", "pipeline": {"fp_add": 2}}
    waits, full = core(**adds, reuse=1), core(**adds, reuse=3)
    assert (waits.schedule.slots_per_tile, full.schedule.slots_per_tile) == (3, 1)
    one, three = core_energy(waits, tech, cycles=1), core_energy(waits, tech)
    assert three.clock_fj_per_tile == pytest.approx(3 * one.clock_fj_per_tile)
    extra = three.fj_per_tile - one.fj_per_tile
    assert extra == pytest.approx(2 * one.clock_fj_per_tile)


def test_registers_in_adders_see_the_clock():
    tech = load_technology("asap7")
    assert clock_bits(Primitive("fp_add_fp16", 16, 1), tech) == 0
    bits = [clock_bits(Primitive("fp_add_fp16", 16, stages), tech) for stages in (2, 3)]
    assert 16 < bits[0] < bits[1] < 200
    assert clock_bits(Primitive("adder", 12), tech) == 0
    assert clock_bits(Primitive("register_reset", 12), tech) == 12


def test_what_works_at_every_tile_and_at_every_block():
    tech = load_technology("sky130hd")
    adder = Primitive("adder", 9)
    area = tech.unit_area(adder)
    assert busy_area("build", adder, tech) == (0, area)
    assert busy_area("reduce", adder, tech) == (area, 0)
    assert busy_area("convert", Primitive("to_fixed_fp16", 41), tech)[0] == 0
    assert busy_area("convert", Primitive("from_fixed_fp16_fp16", 50), tech)[1] == 0
    assert busy_area("reduce", Primitive("register_enable", 20), tech)[1] == 0
    register = Primitive("register_enable", 20)
    at_tile, at_block = busy_area("accumulate", register, tech)
    assert at_tile + at_block == tech.unit_area(register)
    assert 0.2 < at_tile / (at_tile + at_block) < 0.6  # The multiplexer of the enable.


def test_groups_are_those_of_the_counts():
    """Every group is reached, and nothing but groups."""
    kinds = [
        core(pipeline={"fetch": 1}),
        core(kind="multiplier"),
        core(act="fp16", arith="float", sum_format="fp32"),
        core(act="fp16", arith="fixed"),
    ]
    found = {
        energy_group(component, primitive)
        for spec in kinds
        for component, _, counts in spec.units
        for primitive in counts
    }
    assert found == GROUPS.keys()


def test_what_is_unknown_is_an_error():
    generic, asap7 = load_technology("generic"), load_technology("asap7")
    with pytest.raises(UncalibratedError) as error:
        core_energy(core(), generic)
    assert str(error.value) == (
        "generic: has no energies, as its cells have none; take a technology whose Liberty files "
        "have power tables"
    )
    bare = asap7.model_copy(update={"energy": None})
    with pytest.raises(UncalibratedError) as error:
        core_energy(core(), bare)
    assert str(error.value) == "asap7: has no energies; run `hwgen calibrate asap7 --energy`"
    rates = {name: dict(table) for name, table in asap7.energy.fj_per_um2.items()}
    del rates["random"]["select"]
    less = asap7.model_copy(
        update={"energy": asap7.energy.model_copy(update={"fj_per_um2": rates})}
    )
    with pytest.raises(UncalibratedError, match="asap7: select: has no energy, as no training"):
        core_energy(core(), less)
    assert core_energy(core(), less, "digits").fj_per_tile > 0
    with pytest.raises(UncalibratedError, match="asap7: has no energies for 'noise' data"):
        unit_energy("fetch", Counter({Primitive("xor_row", 8): 1}), asap7, "noise")


def test_data_is_checked():
    content = load_technology("asap7").energy.model_dump()
    content["leakage_nw_per_um2"]["control"] = -1.0
    with pytest.raises(ValueError, match="leakage_nw_per_um2: should be at least 0"):
        EnergyModel.model_validate(content)
    content["leakage_nw_per_um2"] = {"other": 1.0}
    with pytest.raises(ValueError, match="leakage_nw_per_um2: 'other' is no group"):
        EnergyModel.model_validate(content)


def test_fit_finds_rates_and_leaves_out():
    def sizes(**areas):
        return dict.fromkeys(GROUPS, 0.0) | areas

    cores = [sizes(build=a, select=b) for a, b in ((9, 1), (1, 9), (4, 6), (7, 3), (2, 8))]
    measured = [2.0 * c["build"] + 3.0 * c["select"] for c in cores]
    rates = fit_rates(cores, measured)
    assert rates.keys() == {"build", "select"}  # A group that no core has stays unknown.
    assert rates["build"] == pytest.approx(2, rel=0.02)
    assert rates["select"] == pytest.approx(3, rel=0.02)
    odd = np.array(measured)
    odd[0] *= 10  # Its own prediction must not know of it.
    assert left_out(cores, odd)[0] == pytest.approx(measured[0], rel=0.05)


def test_recorded_data_and_the_technology_file_agree(technology):
    """The file holds exactly what a fit on the recorded training cores gives."""
    assert as_yaml(with_energies(technology)) == as_yaml(technology)
    training = EnergyRecord(technology.name, TRAINING).rows()
    holdout = EnergyRecord(technology.name, HOLDOUT).rows()
    assert len(training) >= 15
    assert len(holdout) >= 14
    assert not training.keys() & holdout.keys()
    assert technology.energy.leakage_residual.points == len(training)


def test_hold_out_errors(technology):
    found = {part.quantity: part for part in energy_records.judgements(technology.name)}
    assert found.keys() == {"energy, random", "energy, digits", "leakage"}
    for part in found.values():
        groups = {errors.group: errors for errors in part.errors}
        assert groups.keys() >= {"inside", "outside"}
        assert groups["all"].mean <= MOST_ERROR
    judged = {judgement.quantity for judgement in CellTarget(technology.name).judgements()}
    assert judged == {"area", "delay", *found}


@pytest.mark.verilator
def test_two_recorded_cores_measured_again_and_no_others(own_data):
    """Without their rows they are simulated anew, and the file is the recorded one again."""
    tech, again = "ihp-sg13g2", {"inside_20", "inside_23"}
    try:
        find_library(tech)
    except ConfigError as error:
        pytest.skip(str(error))
    record = EnergyRecord(tech, HOLDOUT)
    before, path = record.path.read_text(), record.destination
    assert path.is_relative_to(own_data)
    path.parent.mkdir(parents=True)
    table = pd.read_csv(io.StringIO(before), keep_default_na=False, dtype=str)
    table[~table["name"].isin(again)].to_csv(path, index=False)
    seen = []
    assert simulate_samples(tech, HOLDOUT, 2000, lambda *step: seen.append(step)) == path
    assert {name for name, _, _ in seen} == again
    assert [step[1:] for step in seen] == [(1, 2), (2, 2)]
    assert path.read_text() == before


def test_estimate_shows_energy_or_why_not(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump({"kind": "lut", "mu": 2, "tables": 4, "ports": 4}))
    run = CliRunner().invoke
    found = json.loads(run(app, ["estimate", str(path), "--tech", "asap7", "--json"]).stdout)
    spec = structure(CoreConfig(kind="lut", mu=2, tables=4, ports=4))
    energy = core_energy(spec, load_technology("asap7"))
    assert found["energy_fj_per_tile"] == pytest.approx(energy.fj_per_tile)
    assert found["energy_fj_per_mac"] == pytest.approx(energy.fj_per_tile / 32)
    assert found["leakage_mw"] == pytest.approx(energy.leakage_mw)
    assert found["activity"] == "random"
    text = run(app, ["estimate", str(path), "--tech", "asap7", "--activity", "digits"]).stdout
    assert "Energy, digits data, at full speed:" in text
    generic = json.loads(run(app, ["estimate", str(path), "--json"]).stdout)
    assert generic["why_no_energy"].startswith("generic: has no energies, as its cells have none")
    assert generic["energy_fj_per_tile"] is generic["leakage_mw"] is None
    assert "Energy: generic: has no energies" in run(app, ["estimate", str(path)]).stdout
    with pytest.raises(ConfigError, match="--activity: should be random or digits, not 'noise'"):
        run(app, ["estimate", str(path), "--activity", "noise"], catch_exceptions=False)
