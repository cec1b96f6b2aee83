"""Rows of a sweep: the numbers of one core at a time, by functions that know of no arrays."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest
import yaml

from costmodel.cells.area import core_area
from costmodel.cells.delay import core_clock
from costmodel.cells.energy import core_energy
from costmodel.cells.paper import paper_area
from costmodel.cells.technology import load_technology
from hwgen.flow.sweep.plan import plan_sweep
from hwgen.flow.sweep.run import sweep
from hwgen.spec.rows import core_of
from hwgen.spec.structure import structure
from hwgen.spec.system import System
from sim.workload.workload import run_pass

LAYERS = {
    "name": "two",
    "layers": [
        {"name": "a", "in_features": 70, "out_features": 50, "count": 2},
        {"name": "b", "in_features": 130, "out_features": 37},
    ],
}
INTEGERS = {
    "kind": ["lut", "signflip", "multiplier"],
    "act": ["int8", "int5"],
    "mu": [1, 2, 3],
    "tables": [1, 2, 5, 8],
    "ports": [1, 4, 7],
    "reuse": [1, 2, 3],
    "table": ["half", "full"],
    "storage": ["wires", "registers"],
    "builder": ["minimal", "naive"],
    "pipeline": {"build": [0, 1], "reduce": [0, 1], "fetch": [0, 1]},
}
FLOATS = {
    "kind": ["lut", "signflip", "multiplier"],
    "act": ["fp16", "bf16", "fp8_e4m3"],
    "arith": ["float", "fixed"],
    "fixed_bits": [None, 16],
    "sum_format": [None, "fp32"],
    "mu": [1, 2],
    "tables": [1, 3, 8],
    "ports": [1, 4],
    "reuse": [1, 2, 5],
    "pipeline": {"fp_add": [0, 2], "fp_mul": [0, 1]},
}
MEMORY = {
    "acts": {"fj_per_bit": 20},
    "keys": {"fj_per_bit": 3000.5, "bits_per_cycle": 51.2},
    "sums": {"fj_per_bit": 7},
}
QUESTIONS = {
    "integers, generic": ("generic", {"core": INTEGERS}),
    "integers": ("asap7", {"core": INTEGERS, "system": {"cores": [1, 2, 3]}}),
    "floats": ("sky130hd", {"core": FLOATS, "activity": "digits"}),
    "many tokens": ("asap7", {"core": INTEGERS, "workload": {**LAYERS, "tokens": 13}}),
    "prefill and decode": (
        "asap7",
        {"core": INTEGERS, "workload": {**LAYERS, "prefill": 5, "decode": 3}},
    ),
    "limited weights": (
        "asap7",
        {
            "core": FLOATS,
            "memory": MEMORY,
            "system": {"cores": [1, 3, 8]},
            "workload": {**LAYERS, "prefill": 5, "decode": 3},
            "clock_ns": 40.0,
            "keep": "all",
        },
    ),
    "a model with shards": (
        "asap7",
        {
            "core": {"kind": "lut", "mu": 3, "tables": 16, "ports": [8, 21], "reuse": [1, 4]},
            "memory": MEMORY,
            "system": {"cores": [1, 4]},
            "workload": {"model": "trilm-3.9b", "prefill": 3, "decode": 2},
        },
    ),
    "model paper": ("generic", {"core": INTEGERS, "model": "paper"}),
}


def ask_and_sweep(tmp_path, technology, extra):
    question = {"technology": technology, "workload": LAYERS, **extra}
    file = tmp_path / "question.yaml"
    file.write_text(yaml.safe_dump(question))
    return plan_sweep(file), sweep(file, tmp_path / "out").results


@pytest.mark.parametrize(("technology", "extra"), QUESTIONS.values(), ids=QUESTIONS)
def test_rows_are_what_single_cores_are(technology, extra, tmp_path):
    question, rows = ask_and_sweep(tmp_path, technology, extra)
    assert rows["point"].is_monotonic_increasing
    rng = random.Random(1)
    picked = rng.sample(range(len(rows)), min(120, len(rows)))
    kinds = set(rows["kind"])
    for place in [*picked, *(int((rows["kind"] == kind).to_numpy().argmax()) for kind in kinds)]:
        row = rows.iloc[place].to_dict()
        shape, core, cores = question.space.point(int(row["point"]))
        assert (shape.technology, cores) == (row["technology"], row["cores"])
        assert structure(core_of(row)).units == structure(core).units
        check(row, System(core, cores), question)


def check(row, system, question):
    config, core = question.config, system.core
    technology = load_technology(row["technology"])
    spec = structure(core)
    area = (paper_area if config.model == "paper" else core_area)(spec, technology).total
    assert row[f"area_{technology.area_unit}"] == system.cores * area
    limit = config.memory.keys.bits_per_cycle
    bits = None if limit is None else Fraction(round(limit * 1000), 1000)
    passes = [
        (times, run_pass(question.workload, system, tokens, bits))
        for tokens, times in config.workload.passes
    ]
    tokens = sum(times * one.tokens for times, one in passes)
    cycles = sum(times * one.cycles for times, one in passes)
    assert row["cycles_per_token"] == cycles / tokens
    assert row["first_token_cycles"] == passes[0][1].cycles
    for stream in ("weight_bits", "act_bits", "sum_bits"):
        moved = sum(times * one.bits(stream) for times, one in passes)
        assert row[f"{stream}_per_token"] == moved / tokens
    macs = tokens * question.workload.weights
    assert row["utilisation"] == macs / (cycles * system.weights_per_cycle)
    if limit is not None:
        assert row["stalls_per_token"] == sum(n * one.stalls for n, one in passes) / tokens
    if technology.delays is None:
        assert "clock_ns" not in row
        return
    clock = core_clock(spec, technology.delays, technology.name).period_ns
    assert row["least_clock_ns"] == clock
    if config.clock_ns != "predicted":
        clock = config.clock_ns
    ns = cycles / tokens * clock
    assert (row["clock_ns"], row["ns_per_token"]) == (clock, ns)
    assert row["tokens_per_second"] == 1e9 / ns
    assert row["latency_ms"] == passes[0][1].cycles * clock * 1e-6
    assert row["bandwidth_gbs"] == row["weight_bits_per_token"] / ns / 8
    energy = core_energy(spec, technology, config.activity)
    tiles = sum(times * one.tiles for times, one in passes) / tokens
    idle = system.cores * (cycles / tokens) - tiles * spec.schedule.slots_per_tile
    fj = tiles * energy.fj_per_tile + idle * energy.clock_fj_per_cycle
    fj += system.cores * (energy.leakage_mw * ns * 1000)
    assert row["core_energy_fj_per_token"] == fj
    if config.memory.priced:
        streams = {"act": config.memory.acts, "weight": config.memory.keys}
        for name, stream in {**streams, "sum": config.memory.sums}.items():
            fj += row[f"{name}_bits_per_token"] * stream.fj_per_bit
        assert row["energy_fj_per_token"] == fj
    assert row["power_mw"] == fj / ns * 1e-3
