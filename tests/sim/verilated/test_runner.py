"""The generated Verilog, compiled, against golden: bits and cycles, with and without stalls."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import re
from fractions import Fraction

import numpy as np
import pytest

from hwgen.spec.config import CoreConfig, Pipeline
from hwgen.spec.structure import structure
from sim.verilated.model import ModelError, library
from sim.verilated.runner import CoreModel, Stalls, Work
from tests.support.cases import CASES
from tests.support.emitted import emitted as emitted_once
from tests.support.layers import expected, random_work, runs

pytestmark = pytest.mark.verilator

STALLS = {
    "none": Stalls(),
    "all": Stalls(30, 40, 40, 40),
    "acts": Stalls(acts=80),
    "keys": Stalls(keys=80),
    "sums": Stalls(sums=80),
    "commands": Stalls(commands=95),
}
# Cycles that a beat of the weight stream takes: faster and slower than the core, and in between for
# floating-point cores, which ask for a beat every other cycle, say.
RATES = [Fraction(*rate) for rate in ((2, 3), (1, 1), (7, 6), (5, 3), (19, 7), (40, 1))]


def compiled(config: CoreConfig) -> CoreModel:
    emitted = emitted_once(config)
    return CoreModel(emitted.verilog, emitted.manifest)


def check(config: CoreConfig, seed: int) -> int:
    """Queued random layers under every pattern of stalls; returns the outputs compared."""
    model = compiled(config)
    work = random_work(config, np.random.default_rng(seed))
    compared = 0
    for name, stalls in STALLS.items():
        result = model.run(work, stalls, seed=seed)
        for piece, got in zip(work, result.outputs, strict=True):
            np.testing.assert_array_equal(got, expected(config, piece), err_msg=name)
            compared += got.size
        if name == "none":
            assert result.cycles == structure(config).schedule.cycles(runs(work))
    for beat_cycles in RATES:
        result = model.run(work, seed=seed, beat_cycles=beat_cycles)
        for piece, got in zip(work, result.outputs, strict=True):
            np.testing.assert_array_equal(got, expected(config, piece))
        assert result.cycles == structure(config).schedule.cycles(runs(work), beat_cycles)
    return compared


@pytest.mark.parametrize("config", CASES.values(), ids=CASES)
def test_queued_layers_equal_golden_in_the_predicted_cycles(config):
    assert check(config, seed=1) > 0


def random_core(rng: np.random.Generator) -> CoreConfig:
    """A small core drawn from every integer axis; draws again until a combination is legal."""
    while True:
        kind = str(rng.choice(["lut", "lut", "lut", "signflip", "multiplier"]))
        storage = str(rng.choice(["wires", "registers"]))
        core = {
            "kind": kind,
            "act": f"int{rng.integers(2, 17)}",
            "tables": int(rng.integers(1, 8)),
            "ports": int(rng.integers(1, 6)),
            "reuse": int(rng.integers(1, 7)),
        }
        build = 0
        if kind == "lut":
            core |= {
                "mu": int(rng.integers(1, 6)),
                "table": str(rng.choice(["half", "full"])),
                "storage": storage,
                "builder": str(rng.choice(["minimal", "chain", "naive"])),
            }
            build = int(rng.integers(0, 4)) if storage == "registers" else 0
        fetch, reduce = (int(rng.integers(0, most)) for most in (2, 4))
        core["pipeline"] = Pipeline(build=build, fetch=fetch, reduce=reduce)
        try:
            config = CoreConfig(**core)
            if rng.random() < 0.3:
                bits = int(rng.integers(config.term_bits, config.exact_acc_bits))
                overflow = str(rng.choice(["wrap", "saturate"]))
                config = CoreConfig(**core, acc_bits=bits, acc_overflow=overflow)
        except ValueError:
            continue
        return config


def random_float_core(rng: np.random.Generator) -> CoreConfig:
    """A small core drawn from every axis of floating-point activations, as above."""
    while True:
        kind = str(rng.choice(["lut", "lut", "signflip", "multiplier"]))
        act = str(rng.choice(["fp16", "bf16", "fp8_e4m3", "fp8_e5m2"]))
        arith = str(rng.choice(["float", "float", "fixed"]))
        core: dict[str, object] = {
            "kind": kind,
            "act": act,
            "arith": arith,
            "sum_format": str(rng.choice([act, "fp16", "bf16", "fp32"])),
            "tables": int(rng.integers(1, 6)),
            "ports": int(rng.integers(1, 4)),
            "reuse": int(rng.integers(1, 7)),
        }
        build = add = mul = 0
        if kind == "lut":
            storage = str(rng.choice(["wires", "registers"]))
            core |= {
                "mu": int(rng.integers(1, 5)),
                "table": str(rng.choice(["half", "full"])),
                "storage": storage,
                "builder": str(rng.choice(["minimal", "chain", "naive"])),
            }
            build = int(rng.integers(0, 4)) if storage == "registers" else 0
        if arith == "float":
            add = int(rng.integers(0, 5))
            mul = int(rng.integers(0, 5)) if kind == "multiplier" else 0
        elif rng.random() < 0.7:
            core["fixed_bits"] = int(rng.integers(8, 40))
        fetch, reduce = (int(rng.integers(0, most)) for most in (2, 4))
        core["pipeline"] = Pipeline(build=build, fetch=fetch, reduce=reduce, fp_add=add, fp_mul=mul)
        try:
            return CoreConfig.model_validate(core)
        except ValueError:
            continue


@pytest.mark.parametrize("draw", [random_core, random_float_core])
@pytest.mark.parametrize("seed", range(6))
def test_random_cores(seed, draw):
    config = draw(np.random.default_rng([seed, 2604]))
    assert check(config, seed) > 0


@pytest.mark.long
@pytest.mark.parametrize("draw", [random_core, random_float_core])
@pytest.mark.parametrize("seed", range(100, 220))
def test_many_random_cores(seed, draw):
    config = draw(np.random.default_rng([seed, 2604]))
    assert check(config, seed) > 0


@pytest.mark.parametrize("reuse", [1, 2, 4, 5, 6])
def test_n_tiles_wait_for_an_accumulator_of_latency_5(reuse):
    """Blocks smaller than, equal to and larger than R = 5, last blocks of every size below it."""
    config = CoreConfig(
        kind="signflip",
        act="fp8_e5m2",
        arith="float",
        sum_format="fp16",
        tables=2,
        ports=1,
        reuse=reuse,
        pipeline=Pipeline(fp_add=4),
    )
    assert structure(config).accumulator_latency == 5
    model = compiled(config)
    rng = np.random.default_rng(7)
    for outs in range(1, 2 * reuse + 1):
        work = random_work(config, rng, [(2, 7, outs), (1, 2, outs), (1, 5, 1)])
        result = model.run(work)
        sizes = [min(reuse, outs - first) for first in range(0, outs, reuse)]
        by_hand = sum(2 * (3 * max(size, 5) + size) + size for size in sizes) + 2 * 5 + 1
        assert result.cycles == by_hand + structure(config).latency
        assert result.cycles == structure(config).schedule.cycles(runs(work))
        for piece, got in zip(work, result.outputs, strict=True):
            np.testing.assert_array_equal(got, expected(config, piece))
        stalled = model.run(work, STALLS["all"], seed=outs)
        for got, again in zip(result.outputs, stalled.outputs, strict=True):
            np.testing.assert_array_equal(got, again)


def test_one_model_runs_again_with_nothing_left_over():
    config = CASES["lut_mu3_wires_d2_fetch1"]
    model = compiled(config)
    work = random_work(config, np.random.default_rng(5))
    first, again = model.run(work, seed=1), model.run(work[::-1], seed=2)
    for one, other in zip(first.outputs, again.outputs[::-1], strict=True):
        np.testing.assert_array_equal(one, other)


def test_cycles_are_the_tiles_and_a_latency():
    """One tile per cycle across blocks, tokens and queued runs; counted by hand."""
    config = CASES["lut_mu3_wires_d2_fetch1"]  # n = 12, m = 3, D = 2, one tile stage.
    acts, weights = np.ones((2, 25), int), np.ones((7, 25), int)
    result = compiled(config).run([Work(acts, weights)] * 3)
    assert result.cycles == 3 * 2 * 3 * 3 + (1 + 1 + 1)


@pytest.mark.parametrize(
    ("acts", "weights", "message"),
    [
        (np.zeros((1, 4), int), np.zeros((2, 5), int), "acts (T, N) and weights (M, N) disagree"),
        (np.zeros((0, 4), int), np.zeros((2, 4), int), "empty arrays: (0, 4) and (2, 4)"),
        (np.full((1, 4), 128), np.zeros((2, 4), int), "activations should lie in -128 … 127"),
        (np.zeros((1, 4), int), np.full((2, 4), 2), "weights must be -1, 0 or +1; found 2"),
    ],
)
def test_refuses_what_hardware_cannot_be_given(acts, weights, message):
    model = compiled(CASES["lut_mu3_wires_d2_fetch1"])
    with pytest.raises(ValueError, match=re.escape(message)):
        model.run([Work(acts, weights)])


def test_a_stuck_core_is_reported():
    emitted = emitted_once(CASES["lut_mu2_wires_d1"])
    stuck = emitted.verilog.replace("running <= command_valid", "running <= 1'h0", 1)
    assert stuck != emitted.verilog
    with pytest.raises(ModelError, match="stuck: 0 of 2 result beats came"):
        CoreModel(stuck, emitted.manifest).run([Work(np.ones((1, 3), int), np.ones((3, 3), int))])


def test_a_core_that_never_stops_is_reported():
    emitted = emitted_once(CASES["lut_mu2_wires_d1"])
    endless = emitted.verilog.replace("assign step = sums_ready |", "assign step =", 1)
    assert endless != emitted.verilog
    with pytest.raises(ModelError, match="64 result beats too many"):
        CoreModel(endless, emitted.manifest).run([Work(np.ones((1, 3), int), np.ones((3, 3), int))])


SMALLEST = emitted_once(CASES["lut_smallest"])


def test_verilog_that_does_not_compile_is_reported_with_what_the_tool_said():
    with pytest.raises(ModelError, match=r"Verilator on broken failed with exit code 1: .*error"):
        library("module broken (; endmodule", SMALLEST.manifest | {"top": "broken"})


def _build(verilog: str, manifest: dict, cache: str) -> str:
    os.environ["HWGEN_CACHE"] = cache
    return str(library(verilog, manifest))


def test_two_processes_may_build_the_same_model(tmp_path):
    job = (SMALLEST.verilog, SMALLEST.manifest, str(tmp_path))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        one, other = pool.starmap(_build, [job, job])
    assert one == other
    assert ctypes.CDLL(one).core_run
    assert [path.suffix for path in (tmp_path / "models").iterdir() if path.is_file()].count(
        ".so"
    ) == 1


def test_what_a_killed_build_left_is_removed_by_the_next(own_cache):
    emitted = emitted_once(CASES["lut_smallest"])
    built = library(emitted.verilog, emitted.manifest)
    left = built.parent / f"{built.stem}.left"
    left.mkdir()
    (left / "Vcore.cpp").write_text("half")
    assert library(emitted.verilog, emitted.manifest, cache=False) == built
    assert not left.exists()
