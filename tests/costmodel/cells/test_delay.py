"""Paths of stages and their delays: by hand, by kind, by fit, and against the recorded cores."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from costmodel.calibrate.delays import PROBES, _measure
from costmodel.catalog import PACKAGED
from costmodel.cells import delay
from costmodel.cells.delay import DelayModel, NoDelaysError, UnitDelay, core_clock, path_delay
from costmodel.cells.paths import ELEMENTS, Element, Path, paths
from costmodel.cells.technology import load_technology
from costmodel.fit.interpolate import along
from costmodel.judge.cell_records import corrected
from costmodel.judge.samples import load_samples
from costmodel.synth.libraries import find_library
from hwgen.base.errors import ConfigError
from hwgen.flow.calibrate.units import generated
from hwgen.spec.config import CoreConfig
from hwgen.spec.structure import structure

TIMED = tuple(name for name in PACKAGED if name != "generic")


def units(**delays):
    """A model of elements that cost the same at every size, but adders: 0.1 ns a bit."""
    flat = dict.fromkeys((*ELEMENTS, *PROBES), 1.0) | delays
    table = {
        kind: UnitDelay(method="by hand", sizes=[0], delays_ns=[value])
        for kind, value in flat.items()
    }
    table["adder"] = UnitDelay(method="by hand", sizes=[0, 100], delays_ns=[0.0, 10.0])
    return DelayModel(tool="none", conditions="", units=table)


def core(**fields):
    return structure(CoreConfig(**{"kind": "lut", "tables": 4, "ports": 2} | fields))


def stages(spec):
    return [path.stage for path in paths(spec)]


def test_wires_without_registers_are_one_stage():
    spec = core(mu=2)
    assert stages(spec) == ["build+fetch+reduce+accumulate", "accumulate", "control"]
    (data, _, _) = paths(spec)
    width = spec.accumulate.adder_bits
    assert data.sinks == 2
    assert dict(data.elements) == {
        Element("sum_fanout", 2): 1,
        Element("adder_before", 0): 3,  # One of the table, two of the reduction.
        Element("adder", width): 1,  # The accumulator's, whose carry is the last one.
        Element("fetch_mux", 4): 1,
        Element("gate", 0): 1,
        Element("mux", 2): 1,
        Element("register", 0): 1,
    }


def test_period_of_one_core_by_hand():
    """Twelve flat elements of 1 ns but three before the last adder, and that adder's bits."""
    spec = core(mu=2, max_in_features=4000)
    assert spec.accumulate.adder_bits == 20
    clock = core_clock(spec, units(adder_before=0.25, fanout=0.5), "hand")
    # sum_fanout, fetch_mux, gate, mux, register; three adders before; 20 bits; two ports.
    assert clock.by_stage["build+fetch+reduce+accumulate"] == pytest.approx(5 + 0.75 + 2.0 + 0.5)
    assert clock.stage == "control"  # Flat gates of 1 ns are slow.
    assert clock.period_ns == max(clock.by_stage.values())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"mu": 2, "reuse": 2, "pipeline": {"fetch": 1, "reduce": 1}},
            ["build+fetch", "reduce", "reduce", "accumulate", "accumulate", "control"],
        ),
        (
            {"mu": 3, "storage": "registers", "pipeline": {"build": 1}},
            ["build", "build", "fetch+reduce+accumulate", "accumulate", "control"],
        ),
        (
            {"mu": 1, "act": "fp16", "arith": "fixed", "tables": 1},
            ["convert+fetch+accumulate", "convert", "accumulate", "control"],
        ),
    ],
    ids=["registers_behind_fetch_and_levels", "registered_table", "fixed"],
)
def test_registers_cut_paths(fields, expected):
    assert stages(core(**fields)) == expected


def test_registers_in_rounding_adders_cut_there():
    spec = core(act="fp16", arith="float", tables=2, pipeline={"fp_add": 2})
    half = Element("fp_chain_fp16", 3)
    heads = [path for path in paths(spec) if path.halves]
    assert [dict(path.halves) for path in heads] == [
        {half: 1},  # Fetch, and the head of the first adder.
        {half: 2},  # Its tail, and the head of the accumulator's.
        {half: 1},  # That one's tail.
        {half: 1},  # From the accumulator into the adder,
        {half: 1},  # and back.
    ]
    inner = Path("reduce", ((Element("fp_add_fp16", 3), 1),))
    assert inner in paths(spec)
    model = units(fp_chain_fp16=5.0, register=1.0)
    assert path_delay(Path("reduce", (), ((half, 2),)), model, "hand") == 4.0


def test_a_product_ends_in_an_adder_whose_carry_overlaps():
    spec = structure(CoreConfig(kind="multiplier", act="int8", tables=2, ports=1))
    (data, *_) = paths(spec)
    assert data.ripples == ((Element("multiplier", 8), Element("adder", 16)),)
    assert dict(data.elements)[Element("adder", spec.accumulate.adder_bits)] == 1
    alone = Path("fetch", (), ripples=data.ripples)
    assert path_delay(alone, units(multiplier=3.0), "hand") == pytest.approx(3.0 - 1.6)
    assert path_delay(alone, units(multiplier=1.0), "hand") == 0.0  # Never below nothing.


@pytest.mark.parametrize("tech", TIMED)
@pytest.mark.parametrize(
    "fields",
    [
        {"mu": 2},
        {"mu": 2, "act": "fp16", "arith": "fixed"},
        {"kind": "signflip"},
        {"kind": "multiplier"},
        {"mu": 3, "act": "bf16", "arith": "fixed", "fixed_bits": 24},
    ],
    ids=["lut", "lut_fixed", "signflip", "multiplier", "lut_aligned"],
)
@pytest.mark.parametrize("register", ["fetch", "reduce"])
def test_a_register_never_makes_the_data_slower(tech, fields, register):
    """But for what the register itself costs."""
    model = load_technology(tech).delays
    shape = fields | {"tables": 8, "ports": 8}

    def data(**pipeline):
        stages = core_clock(core(**shape, pipeline=pipeline), model, tech).by_stage
        return max(delay for stage, delay in stages.items() if stage != "control")

    own = model.units["register"].delay_ns(0) * model.factor("register")
    assert data(**{register: 1}) <= data() + own


@pytest.mark.parametrize("sample", load_samples().cores, ids=lambda sample: sample.name)
def test_every_element_of_the_drawn_cores_is_measured(sample):
    found = paths(structure(sample.config))
    kinds = {
        element.kind
        for path in found
        for element, _ in (*path.elements, *path.halves, *path.ripples)
    }
    assert kinds <= PROBES.keys()
    assert sum(path.sinks is not None for path in found) == 2  # Fetch and control.


def test_fit_finds_the_factors_that_made_the_delays():
    rng = np.random.default_rng(1)
    names = list(delay.GROUPS)
    true = dict(zip(names, rng.uniform(0.7, 1.4, len(names)), strict=True))
    cores = [
        [dict(zip(names, rng.uniform(0, 1, len(names)), strict=True)) for _ in range(4)]
        for _ in range(300)
    ]
    found = [max(sum(p[n] * true[n] for n in names) for p in paths) for paths in cores]
    fitted = delay.fit(cores, found)
    assert fitted == pytest.approx(true, abs=0.02)  # The ridge draws them towards 1.


def test_arrays_of_sizes_give_the_same_delays():
    sizes = np.arange(0, 5000)
    unit = UnitDelay(method="by hand", sizes=[1, 2, 16, 300, 4096], delays_ns=[0, 0.1, 0.3, 2, 7])
    one_by_one = [unit.delay_ns(int(size)) for size in sizes]
    assert along(unit.sizes, unit.delays_ns, sizes).tolist() == one_by_one


@pytest.mark.parametrize(
    ("sizes", "delays", "message"),
    [
        ([1, 1], [0.1, 0.2], "sizes: should rise, not [1, 1]"),
        ([2, 1], [0.1, 0.2], "sizes: should rise, not [2, 1]"),
        ([1, 2], [0.1], "delays_ns: should be one for each size"),
    ],
    ids=["equal", "falling", "missing"],
)
def test_faulty_delays(sizes, delays, message):
    with pytest.raises(ValidationError) as error:
        UnitDelay(method="by hand", sizes=sizes, delays_ns=delays)
    assert message in str(error.value)


def test_without_delays_there_is_no_period():
    with pytest.raises(NoDelaysError) as error:
        core_clock(core(mu=2), None, "generic")
    assert str(error.value) == (
        "generic: has no unit delays, so no clock period; take a technology with delays, "
        "or run `hwgen calibrate generic` if its Liberty files have delays"
    )
    model = units()
    lacking = model.model_copy(update={"units": {"register": model.units["register"]}})
    with pytest.raises(NoDelaysError) as error:
        core_clock(core(mu=2), lacking, "toy")
    assert str(error.value).endswith("has no unit delay; run `hwgen calibrate toy`")


@pytest.mark.parametrize("tech", PACKAGED)
def test_committed_fits_follow_from_the_committed_training_cores(tech):
    technology = load_technology(tech)
    assert corrected(technology) == technology
    assert technology.corrections is not None
    assert (technology.delays is None) == (tech == "generic")


@pytest.mark.parametrize("tech", TIMED)
@pytest.mark.parametrize("point", [("register", 0), ("adder", 8), ("fetch_mux", 4), ("gate", 0)])
def test_committed_delays_are_what_timing_gives(tech, point, tmp_path, monkeypatch):
    monkeypatch.setenv("HWGEN_CACHE", str(tmp_path))
    try:
        library = find_library(tech)
    except ConfigError as error:
        pytest.skip(str(error))
    model = load_technology(tech).delays
    assert model.units[point[0]].delay_ns(point[1]) == round(_measure(point, library, generated), 5)


@pytest.mark.parametrize("tech", TIMED)
def test_more_tables_ports_or_bits_never_make_a_core_without_registers_faster(tech):
    model = load_technology(tech).delays

    def period(**fields):
        return core_clock(
            core(**{"mu": 2, "max_in_features": 4096} | fields), model, tech
        ).period_ns

    for name, values in (
        ("tables", (1, 2, 4, 8, 16, 32)),
        ("ports", (1, 2, 16, 64, 300)),
        ("act", ("int2", "int4", "int8", "int16")),
    ):
        found = [period(**{name: value}) for value in values]
        assert found == sorted(found), name
