"""The command line: results on stdout, one-line errors on stderr, exit codes, whole files."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

import hwgen.cli
from hwgen.base.errors import ConfigError
from hwgen.cli import app
from hwgen.flow.compare.file import CompareConfig
from hwgen.flow.verify import Verification
from hwgen.spec.config import CoreConfig
from hwgen.tables.verify import verify_lines
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
    assert next(verify_lines(result)) == (
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


def test_a_sweep_over_codebooks_says_what_they_demand(hwgen_cli):
    """The best core has a star whatever its length, and a name of its own."""
    Path("books.yaml").write_text(
        "workload: {name: test, layers: [{name: a, in_features: 24, out_features: 10}]}\n"
        "core: {kind: lut, codebook: [ternary, sherry34], mu: 4, tables: 2, ports: [4, 8]}\n"
    )
    outcome = hwgen_cli("sweep", "books.yaml")
    lines = outcome.out.splitlines()
    starred = [line for line in lines if "* lut" in line]
    demand = "Codebook sherry34 (exactly one zero) needs a network that was trained for it."
    assert (outcome.code, len(starred), lines.count(demand)) == (0, 1, 1)
    results = pd.read_parquet("results/books/results.parquet")
    assert results["codebook"].value_counts().to_dict() == {"ternary": 2, "sherry34": 2}
    best = Path("results/books/best.yaml").read_text()
    assert "name: lut_int8_sherry34_mu4_l2_k" in best
    content = json.loads(hwgen_cli("sweep", "books.yaml", "--json").out)
    assert content["codebook_notes"] == [demand]
    one = json.loads(hwgen_cli("estimate", "results/books/best.yaml", "--json").out)
    assert one["area"] == content["best"]["area_ge"]


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
