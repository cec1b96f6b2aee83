"""The command line: results on stdout, one-line errors on stderr, exit codes, whole files."""

from __future__ import annotations

import json
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

import hwgen.cli
from hwgen.base.errors import ConfigError
from hwgen.cli import app
from hwgen.flow.compare.file import CompareConfig
from hwgen.flow.verify import Verification
from hwgen.spec.config import CoreConfig
from hwgen.tables.verify import verify_text
from sim.checkpoints import pack_rows
from sim.nets.packaged import CHECKPOINTS
from tests.conftest import CORE

DIGITS = CHECKPOINTS["digits"]


def test_generate_writes_all_files_and_prints_the_folder(hwgen_cli):
    outcome = hwgen_cli("generate", "core.yaml")
    assert (outcome.code, outcome.out) == (0, "rtl_out/core\n")
    assert sorted(path.name for path in Path("rtl_out/core").iterdir()) == [
        "core.v",
        "lint.vlt",
        "manifest.json",
    ]
    manifest = json.loads(Path("rtl_out/core/manifest.json").read_text())
    assert manifest["top"] == "core"
    assert manifest["keys"]["zero_index"] == 4


def test_estimate_json(hwgen_cli):
    outcome = hwgen_cli("estimate", "core.yaml", "--tech", "generic", "--layer", "2,20,7", "--json")
    content = json.loads(outcome.out)
    assert outcome.code == 0
    assert content["area_unit"] == "ge"
    assert content["area"] == pytest.approx(sum(content["area_by_component"].values()))
    assert content["counts"]["fetch_mux_4_w9"] == 6
    assert content["cycles"] == 2 * 4 * 4 + 2  # T · ⌈20/6⌉ · ⌈7/2⌉ and the latency


@pytest.mark.verilator
def test_a_codebook_from_file_to_verilog(hwgen_cli):
    """13 inputs: three groups and one weight of a fourth."""
    Path("core.yaml").write_text("kind: lut\ncodebook: sherry34\nmu: 4\ntables: 2\nports: 2\n")
    outcome = hwgen_cli("verify", "core.yaml", "--layer", "3,13,7", "--json")
    assert (outcome.code, json.loads(outcome.out)["match"]) == (0, True)
    assert hwgen_cli("generate", "core.yaml").code == 0
    keys = json.loads(Path("rtl_out/core/manifest.json").read_text())["keys"]
    assert (keys["codebook"], keys["mu"], keys["bits"], keys["zero_index"]) == (
        "sherry34",
        4,
        5,
        None,
    )
    assert keys["sign"]["meaning"] == "1: the group is the negative of the entry"
    assert len(keys["entries"]) == 16
    outcome = hwgen_cli("verify", "core.yaml", "--model", DIGITS)
    assert (outcome.code, outcome.err) == (
        2,
        f"hwgen: error: --model {DIGITS}: layers.0: weights must be groups of 4 of codebook "
        "sherry34 (exactly one zero); found [0, 0, 1, 1] at row 0, column 0; a core with "
        "codebook ternary takes any weights\n",
    )


@pytest.mark.verilator
def test_verify_random_json(hwgen_cli):
    outcome = hwgen_cli("verify", "core.yaml", "--layer", "3,20,7", "--seed", "4", "--json")
    content = json.loads(outcome.out)
    assert outcome.code == 0
    assert content["match"] is True
    assert (content["outputs"], content["mismatches"]) == (21, 0)
    assert content["cycles"] == content["cycles_predicted"] == 3 * 4 * 4 + 2
    assert {"build_seconds", "run_seconds"} < content.keys()
    assert "accuracy" not in content


@pytest.mark.verilator
def test_verify_with_stalls_says_that_its_prediction_is_without(hwgen_cli):
    layer = ("verify", "core.yaml", "--layer", "3,20,7")
    outcome = hwgen_cli(*layer, "--stall", "50")
    assert outcome.code == 0
    said = re.search(r"0 differ; (\d+) cycles, with stalls; 50 predicted without", outcome.out)
    assert int(said[1]) > 50


def test_the_prediction_stands_beside_the_cycles():
    result = Verification(outputs=6, cycles=1234, cycles_predicted=1234, run_seconds=1.0)
    assert verify_text(result).splitlines()[0] == (
        "match: 6 outputs of 0 layer compared, 0 differ; 1,234 cycles, 1,234 predicted"
    )


KINDS = {
    "lut": "kind: lut\nmu: 3\ntables: 6\nports: 8\n",
    "lut_full": "{kind: lut, mu: 2, tables: 8, ports: 4, table: full, reuse: 3}",
    "signflip": "kind: signflip\ntables: 16\nports: 8\npipeline: {fetch: 1, reduce: 2}\n",
    "multiplier": "kind: multiplier\ntables: 8\nports: 8\n",
    "multiplier_float": "{kind: multiplier, act: bf16, arith: float, tables: 4, ports: 4}",
    "lut_to_fp32": "{kind: lut, act: bf16, arith: float, sum_format: fp32, mu: 2, tables: 4, "
    "ports: 4}",
    "signflip_aligned": "{kind: signflip, act: bf16, arith: fixed, fixed_bits: 12, tables: 4, "
    "ports: 4}",
}
"""Cores that hold the digits network: of each kind, weights of the activations' type, exponents."""


@pytest.mark.verilator
@pytest.mark.parametrize("core", KINDS.values(), ids=KINDS)
def test_the_trained_digits_network_on_every_kind(hwgen_cli, core):
    Path("core.yaml").write_text(core)
    outcome = hwgen_cli("verify", "core.yaml", "--model", DIGITS, "--json")
    content = json.loads(outcome.out)
    assert outcome.code == 0
    assert content["match"] is True
    assert content["outputs"] == 360 * (256 + 128 + 10)
    assert content["accuracy"] >= 0.97


@pytest.mark.verilator
def test_the_digits_network_with_narrow_activations_still_matches(hwgen_cli):
    """int4 activations cost accuracy, not exactness."""
    Path("core.yaml").write_text("kind: lut\nact: int4\nmu: 2\ntables: 8\nports: 8\n")
    content = json.loads(hwgen_cli("verify", "core.yaml", "--model", DIGITS, "--json").out)
    assert content["match"] is True
    assert 0.5 < content["accuracy"] < 1


@pytest.mark.verilator
def test_verify_reports_the_first_difference(hwgen_cli, monkeypatch):
    """A wrong golden is a mismatch, seen from the other side: exit 1 and where it is."""
    from sim.golden import integers as golden

    real = golden.matmul

    def wrong(acts, weights):
        result = real(acts, weights)
        result[1, 5] += 1
        return result

    monkeypatch.setattr(golden, "matmul", wrong)
    outcome = hwgen_cli("verify", "core.yaml", "--layer", "3,20,7")
    assert outcome.code == 1
    line = outcome.err.strip().splitlines()[-1]
    assert line.startswith("hwgen: error: core.yaml: 1 of 21 outputs differ from golden; first: ")
    assert "layer random, token 1, output 5: expected " in line


def test_schema_knows_every_field(hwgen_cli):
    content = json.loads(hwgen_cli("schema").out)
    assert content["properties"].keys() == CoreConfig.model_fields.keys()
    assert json.loads(hwgen_cli("schema", "sweep").out)["title"] == "SweepConfig"
    compared = json.loads(hwgen_cli("schema", "compare").out)["properties"]
    assert compared.keys() == CompareConfig.model_fields.keys()
    keys = [key for key in CoreConfig.model_fields if key != "name"]
    assert compared["common"]["propertyNames"]["enum"] == keys
    assert compared["cores"]["additionalProperties"]["propertyNames"]["enum"] == keys


@pytest.mark.verilator
def test_doctor_passes_its_self_test(hwgen_cli):
    content = json.loads(hwgen_cli("doctor", "--json").out)
    assert content["healthy"] is True
    found = {item["name"]: item["found"] for item in content["items"]}
    assert found["verilator"]
    assert found["self-test"].startswith("passed")


SWEEP = """
workload: {name: test, layers: [{name: a, in_features: 24, out_features: 10, count: 3}]}
core: {kind: [lut, signflip], mu: [1, 2], tables: {from: 1, to: 4, times: 2}, ports: [2, 4]}
"""


def test_sweep_writes_records_front_plot_and_best_core(hwgen_cli):
    Path("small.yaml").write_text(SWEEP)
    outcome = hwgen_cli("sweep", "small.yaml", "--json")
    content = json.loads(outcome.out)
    folder = Path("results/small")
    assert (outcome.code, content["points"]) == (0, 18)
    assert content["feasible"] == 18
    assert content["points_per_second"] > 0
    assert sum(content["dropped"].values()) == 6
    results = pd.read_parquet(folder / "results.parquet")
    front = pd.read_csv(folder / "pareto.csv", keep_default_na=False)
    assert len(results) == 18
    assert len(front) == results["front"].sum() == content["front"] > 1
    assert results.notna().all(axis=None)
    row = results.query("kind == 'lut' and mu == 2 and tables == 2 and ports == 4").iloc[0]
    assert row["cycles_per_token"] == 3 * (6 * 3 + 2)
    assert row["weight_bits_per_token"] == 3 * 18 * 2 * 4 * 4
    assert (folder / "pareto.png").read_bytes().startswith(b"\x89PNG")
    assert hwgen_cli("generate", folder / "best.yaml").code == 0


def test_sweep_and_estimate_agree(hwgen_cli):
    Path("small.yaml").write_text(SWEEP)
    hwgen_cli("sweep", "small.yaml")
    best = json.loads(hwgen_cli("sweep", "small.yaml", "--json").out)["best"]
    one = json.loads(hwgen_cli("estimate", "results/small/best.yaml", "--json").out)
    assert one["area"] == best["area_ge"]
    assert one["cycles"] * 3 == best["cycles_per_token"]


def test_two_sweeps_give_the_same_bytes(hwgen_cli):
    Path("small.yaml").write_text(SWEEP)
    for folder in ("one", "two"):
        assert hwgen_cli("sweep", "small.yaml", "--out", folder).code == 0
    names = ["results.parquet", "pareto.csv", "pareto.png", "pareto.svg", "best.yaml"]
    for name in [*names, "report.html"]:
        assert (Path("one") / name).read_bytes() == (Path("two") / name).read_bytes()


FLOAT_SWEEP = """
workload: {name: test, layers: [{name: a, in_features: 24, out_features: 10}]}
core:
  kind: lut
  act: [fp16, fp8_e4m3]
  arith: [fixed, float]
  fixed_bits: [null, 12]
  sum_format: [fp32, null]
  tables: 2
  ports: 2
"""


def test_null_is_the_default_in_lists_of_a_sweep(hwgen_cli):
    Path("small.yaml").write_text(FLOAT_SWEEP)
    assert hwgen_cli("sweep", "small.yaml").code == 0
    results = pd.read_parquet("results/small/results.parquet")
    assert results[["act", "arith", "fixed_bits", "sum_format"]].to_numpy().tolist() == [
        ["fp16", "fixed", 41, "fp32"],
        ["fp16", "fixed", 41, "fp16"],
        ["fp16", "fixed", 12, "fp32"],
        ["fp16", "fixed", 12, "fp16"],
        ["fp16", "float", 0, "fp32"],
        ["fp16", "float", 0, "fp16"],
        ["fp8_e4m3", "fixed", 19, "fp32"],
        ["fp8_e4m3", "fixed", 19, "fp8_e4m3"],
        ["fp8_e4m3", "fixed", 12, "fp32"],
        ["fp8_e4m3", "fixed", 12, "fp8_e4m3"],
        ["fp8_e4m3", "float", 0, "fp32"],
    ]


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


def digits(folder: Path) -> dict[str, np.ndarray]:
    """A copy of the digits model to spoil; returns its tensors."""
    shutil.copytree(DIGITS, folder)
    return load_file(folder / "model.safetensors")


def test_an_all_zero_tensor_is_refused(hwgen_cli):
    tensors = digits(Path("model"))
    tensors["layers.1.weight"] = np.full_like(tensors["layers.1.weight"], 0b01010101)
    save_file(tensors, "model/model.safetensors")
    outcome = hwgen_cli("verify", "core.yaml", "--model", "model")
    assert outcome.code == 2
    assert "layers.1.weight" in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


def test_codes_outside_the_alphabet_are_refused(hwgen_cli):
    tensors = digits(Path("model"))
    tensors["layers.0.weight"][3, 5] = 0b11
    save_file(tensors, "model/model.safetensors")
    outcome = hwgen_cli("verify", "core.yaml", "--model", "model")
    assert outcome.code == 2
    assert "layers.0.weight" in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


def test_an_unreadable_model_is_refused(hwgen_cli):
    digits(Path("model"))
    Path("model/model.safetensors").write_bytes(b"not safetensors")
    outcome = hwgen_cli("verify", "core.yaml", "--model", "model")
    assert outcome.code == 2
    assert len(outcome.err.strip().splitlines()) == 1


def _limit_file_size() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))


def test_a_full_disk_leaves_nothing_half_written(tmp_path):
    """Files may not grow past 2 kB, as on a full disk: exit 1, one line, no file."""
    (tmp_path / "core.yaml").write_text(CORE)
    command = [str(Path(sys.executable).with_name("hwgen")), "generate", "core.yaml"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, preexec_fn=_limit_file_size
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.strip() == (
        "hwgen: error: rtl_out/core/core.v: cannot be written: File too large"
    )
    assert list((tmp_path / "rtl_out" / "core").iterdir()) == []


def test_a_missing_tool_is_named(tmp_path):
    """With an empty PATH there is no compiler."""
    (tmp_path / "core.yaml").write_text(CORE)
    done = subprocess.run(
        [sys.executable, "-m", "hwgen", "verify", "core.yaml", "--layer", "1,1,1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PATH": "", "HWGEN_CACHE": str(tmp_path / "cache"), "HOME": str(tmp_path)},
    )
    assert done.returncode == 1
    assert done.stderr.strip() == "hwgen: error: g++ is missing; apt-get install g++"


def test_an_output_folder_that_is_a_file(hwgen_cli):
    Path("taken").write_text("")
    outcome = hwgen_cli("generate", "core.yaml", "--out", "taken")
    assert outcome.code == 1
    assert outcome.err.strip() == "hwgen: error: taken/core.v: cannot be written: File exists"


SPOILT_TESTS = {
    "narrow": ("images", np.zeros((360, 63), np.uint8), "test images should be (T, 64)"),
    "labels": ("labels", np.full(360, 200, np.uint8), "labels should be below the 10 outputs"),
}


@pytest.mark.parametrize(("tensor", "value", "message"), SPOILT_TESTS.values(), ids=SPOILT_TESTS)
def test_spoilt_test_images_are_refused(hwgen_cli, tensor, value, message):
    digits(Path("model"))
    tests = load_file("model/test.safetensors") | {tensor: value}
    save_file(tests, "model/test.safetensors")
    outcome = hwgen_cli("verify", "core.yaml", "--model", "model")
    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1


STRANGE_SCALES = {"nan": float("nan"), "infinite": float("inf"), "zero": 0.0, "negative": -1.0}


@pytest.mark.parametrize("scale", STRANGE_SCALES.values(), ids=STRANGE_SCALES)
def test_strange_scales_are_refused(hwgen_cli, scale):
    tensors = digits(Path("model"))
    tensors["layers.1.weight_scale"] = np.array([scale], np.float32)
    save_file(tensors, "model/model.safetensors")
    outcome = hwgen_cli("verify", "core.yaml", "--model", "model")
    assert (outcome.code, outcome.out) == (2, "")
    assert re.fullmatch(
        r"hwgen: error: model/model\.safetensors: layers\.1\.weight_scale, byte \d+: "
        rf"should be finite and above 0, not {scale}; check how the checkpoint was packed",
        outcome.err.strip(),
    )


@pytest.mark.verilator
def test_a_scale_that_makes_outputs_infinite_is_named(hwgen_cli):
    tensors = digits(Path("model"))
    tensors["layers.0.weight_scale"] = np.array([1.7e308])
    save_file(tensors, "model/model.safetensors")
    outcome = hwgen_cli("verify", "core.yaml", "--model", "model")
    assert (outcome.code, outcome.out) == (2, "")
    assert re.fullmatch(
        r"hwgen: error: --model model: layers\.0: outputs\[0, \d+\]: should be finite, not -?inf; "
        r"check its weight_scale, 1\.7e\+308",
        outcome.err.strip().splitlines()[-1],
    )


def overflowing(folder: Path) -> None:
    """A network of one layer that adds 512 activations of 1: more than fp8_e4m3 holds."""
    folder.mkdir()
    weights = np.ones((10, 512), np.int8)
    weights[:3] = 0
    quantization = {"quant_method": "bitnet", "linear_class": "autobitlinear"}
    layer = {"name": "sum", "out_features": 10, "in_features": 512}
    config = {"hidden_act": "relu", "rms_norm_eps": 1e-9, "layers": [layer]}
    config["quantization_config"] = quantization
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {"sum.weight": pack_rows(weights), "sum.weight_scale": np.ones(1, np.float32)}
    save_file(tensors, folder / "model.safetensors")
    images = np.full((2, 512), 9, np.uint8)
    images[0, ::2] = 0  # 256 activations of √2.
    tests = {"images": images, "labels": np.zeros(2, np.uint8)}
    save_file(tests, folder / "test.safetensors")


E4M3_CORE = "{kind: signflip, act: fp8_e4m3, arith: fixed, tables: 16, ports: 4}"


@pytest.mark.verilator
def test_an_overflow_of_the_cores_format_is_named(hwgen_cli):
    overflowing(Path("model"))
    Path("core.yaml").write_text(E4M3_CORE)
    outcome = hwgen_cli("verify", "core.yaml", "--model", "model")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.strip().splitlines()[-1] == (
        "hwgen: error: --model model: sum: outputs[1, 3]: should be finite in fp8_e4m3, not nan; "
        "use a core whose sum_format has a wider range"
    )
    Path("core.yaml").write_text(
        E4M3_CORE.replace("arith: fixed", "arith: fixed, sum_format: fp16")
    )
    assert hwgen_cli("verify", "core.yaml", "--model", "model").code == 0


@pytest.mark.verilator
def test_a_wrong_core_is_a_mismatch_also_where_its_outputs_overflow(hwgen_cli, monkeypatch):
    """A golden that never overflows, as from a core that does so wrongly."""
    from sim.golden import fixed as golden_fixed

    monkeypatch.setattr(golden_fixed, "matmul", lambda *_, **__: np.zeros((2, 10), int))
    overflowing(Path("model"))
    Path("core.yaml").write_text(E4M3_CORE)
    outcome = hwgen_cli("verify", "core.yaml", "--model", "model")
    assert outcome.code == 1
    last_line = outcome.err.strip().splitlines()[-1]
    assert last_line.startswith(
        "hwgen: error: core.yaml: 14 of 20 outputs differ from golden; first: layer sum, token 0, "
        "output 3: "
    )


def test_version(hwgen_cli):
    done = hwgen_cli("--version")
    assert (done.code, done.out, done.err) == (0, f"hwgen {hwgen.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["calibrate", "generic", "--most-cells", "5"],
            "--most-cells: should go with --training, --holdout or --energy",
        ),
        (
            ["calibrate", "ecp5", "--energy"],
            "technology: should be one with Liberty files, not 'ecp5', an FPGA family; take one of "
            "generic, asap7, ihp-sg13g2, sky130hd",
        ),
        (
            ["validate", "generic", "--figure", "errors.pdf"],
            "--figure: should end in .png or .svg, not 'errors.pdf'",
        ),
        (
            ["validate", "generic", "--figure", "none/errors.png"],
            "--figure: none should be a folder; make it",
        ),
        (
            ["validate", "generic", "--markdown", "--json"],
            "--markdown: should stand without --json",
        ),
    ],
    ids=["most_cells", "energy", "figure", "folder", "markdown"],
)
def test_wrong_requests_of_calibrate_and_validate(arguments, message):
    done = CliRunner().invoke(app, arguments)
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception) == message


def test_validate_prints_json_alone(tmp_path):
    figure = tmp_path / "errors.svg"
    done = CliRunner().invoke(app, ["validate", "generic", "--json", "--figure", str(figure)])
    (found,) = json.loads(done.stdout)
    assert (found["technology"], found["recomputed"]) == ("generic", 0)
    text = figure.read_text(encoding="utf-8")
    assert text.startswith("<?xml")
    for judgement in found["judgements"]:  # The figure shows our own model alone.
        everything = judgement["errors"][-1]
        title = f"{everything['cores']} cores, mean error {everything['mean']:.1%}"
        assert (title in text) == (judgement["model"] == "hwgen")
