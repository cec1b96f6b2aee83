"""Wrong requests at the command line: one line each, exit code 2, and what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

MISTAKES = {
    "no file": (
        ("generate", "absent.yaml"),
        "hwgen: error: absent.yaml: no such file",
    ),
    "unknown technology": (
        ("estimate", "core.yaml", "--tech", "generik"),
        "hwgen: error: technology: should be one of generic, asap7, ihp-sg13g2, sky130hd or an "
        "FPGA family, ecp5 or xcup, not 'generik'; did you mean 'generic'?",
    ),
    "bad layer": (
        ("verify", "core.yaml", "--layer", "1,0,3"),
        "hwgen: error: --layer: should be T,N,M with numbers of at least 1 "
        "(tokens, inputs, outputs), not '1,0,3'",
    ),
    "bad estimate layer": (
        ("estimate", "core.yaml", "--layer", "1,2"),
        "hwgen: error: --layer: should be T,N,M with numbers of at least 1 "
        "(tokens, inputs, outputs), not '1,2'",
    ),
    "nothing to verify": (
        ("verify", "core.yaml"),
        "hwgen: error: verify: should have either --layer T,N,M or --model FOLDER",
    ),
    "layer larger than the core": (
        ("verify", "core.yaml", "--layer", "1,513,3"),
        "hwgen: error: --layer: in_features should be at most the core's max_in_features 512, "
        "not 513; raise max_in_features in the core file",
    ),
    "negative seed": (
        ("verify", "core.yaml", "--layer", "1,2,3", "--seed", "-5"),
        "hwgen: error: --seed: should be 0 … 2^63 - 1, not -5",
    ),
    "layer beyond memory": (
        ("verify", "core.yaml", "--layer", "99999999999,4,1"),
        "hwgen: error: --layer: should have at most 1073741824 activations, weights and outputs "
        "each, not 399999999996; give fewer tokens",
    ),
    "unknown schema": (
        ("schema", "cores"),
        "hwgen: error: schema: should be one of core, sweep, compare, system, not 'cores'",
    ),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_one_line_and_exit_2(hwgen_cli, arguments, message):
    outcome = hwgen_cli(*arguments)
    assert (outcome.code, outcome.out, outcome.err.strip()) == (2, "", message)


SWEEP_FAULTS = {
    "no legal core": (
        "core: {kind: lut, tables: 1, ports: 1, pipeline: {build: 1}}",
        "core: no combination is a legal core: pipeline.build: tables on wires have no registers "
        "to cut; should be 0 (or storage: registers) (1)",
    ),
    "no legal core, for several reasons": (
        "core: {kind: lut, act: fp16, tables: 1, ports: 1, pipeline: {build: 1, fp_add: [1, 2]}}",
        "core: no combination is a legal core: pipeline.fp_add: belongs to arith: float; should "
        "be 0 (2)",
    ),
    "value out of range": (
        "core: {kind: lut, tables: [1, 5000], ports: 1}",
        "core: tables: input should be less than or equal to 4096, not 5000",
    ),
    "bad range": (
        "core: {kind: lut, tables: {from: 3, to: 1}, ports: 1}",
        "sweep.yaml: core.tables: to should be at least from, 3, not 1, not {'from': 3, 'to': 1}",
    ),
    "endless range": (
        "core: {kind: lut, tables: 1, ports: {from: 1, to: 99999999999999999}}",
        "sweep.yaml: core.ports: should span at most 200000 values, "
        "not {'from': 1, 'to': 99999999999999999}",
    ),
    "name that leaves the folder": (
        "core: {kind: lut, tables: 1, ports: 1}\nname: ../x",
        "sweep.yaml: name: should be letters, digits, '_', '-' and '.', not '../x'",
    ),
    "unknown axis": (
        "core: {kind: lut, tables: 1, ports: 1, port: 2}",
        "sweep.yaml: unknown key 'core.port'; did you mean 'ports'?",
    ),
    "null where there is no default": (
        "core: {kind: lut, tables: [1, null], ports: 1}",
        "sweep.yaml: core.tables: should be a list of integers, not [1, None]",
    ),
    "a word among integers and null": (
        "core: {kind: lut, tables: 1, ports: 1, fixed_bits: [null, x]}",
        "sweep.yaml: core.fixed_bits: should be a list of integers or null, not [None, 'x']",
    ),
    "repeated null": (
        "core: {kind: lut, tables: 1, ports: 1, sum_format: [null, null]}",
        "sweep.yaml: core.sum_format: should be different values, not [None, None]",
    ),
    "repeated value": (
        "core: {kind: lut, tables: [1, 1], ports: 1}",
        "sweep.yaml: core.tables: should be different values, not [1, 1]",
    ),
    "unknown objective": (
        "core: {kind: lut, tables: 1, ports: 1}\nobjectives: [area, power]",
        "sweep.yaml: objectives.1.quantity: input should be 'area', 'cycles_per_token', "
        "'first_token_cycles', 'weight_bits_per_token', 'act_bits_per_token', "
        "'sum_bits_per_token', 'utilisation', 'clock_ns', 'ns_per_token', 'tokens_per_second', "
        "'latency_ms', 'bandwidth_gbs', 'core_energy_fj_per_token', 'energy_fj_per_token' or "
        "'power_mw', not 'power'",
    ),
}


@pytest.mark.parametrize(("core", "message"), SWEEP_FAULTS.values(), ids=SWEEP_FAULTS)
def test_faults_of_a_sweep_file(hwgen_cli, core, message):
    workload = "workload: {name: w, layers: [{name: a, in_features: 8, out_features: 8}]}\n"
    Path("sweep.yaml").write_text(workload + core)
    outcome = hwgen_cli("sweep", "sweep.yaml")
    said = outcome.err.strip().removeprefix("hwgen: error: ").removeprefix("sweep.yaml: core: no")
    assert outcome.code == 2
    assert said == message.removeprefix("core: no")
    assert not Path("results").exists()


def test_every_reason_why_a_sweep_has_no_core_is_a_line(hwgen_cli):
    workload = "workload: {name: w, layers: [{name: a, in_features: 8, out_features: 8}]}\n"
    core = "core: {kind: [lut, signflip], tables: [1, 9], ports: 1, pipeline: {build: 1}}"
    Path("sweep.yaml").write_text(workload + core)
    outcome = hwgen_cli("sweep", "sweep.yaml")
    head = "hwgen: error: sweep.yaml: core: no combination is a legal core: "
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.strip().splitlines() == [
        f"{head}pipeline.build: tables on wires have no registers to cut; should be 0 (or "
        "storage: registers) (2)",
        f"{head}pipeline.build: a signflip core builds nothing; should be 0 (2)",
    ]
