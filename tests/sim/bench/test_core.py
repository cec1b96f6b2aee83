"""The protocol of generated cores under cocotb, and proof that its benches notice faults."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from hwgen.spec.config import CoreConfig, Pipeline
from sim.bench.run import BenchError, run_benches
from tests.support.emitted import emitted

pytestmark = pytest.mark.verilator

CASES: dict[str, CoreConfig] = {
    "lut_smallest": CoreConfig(
        kind="lut", act="int2", tables=1, ports=1, max_in_features=1, max_out_features=1
    ),
    "lut_mu3_d3": CoreConfig(
        kind="lut", mu=3, tables=2, ports=3, reuse=3, max_in_features=40, max_out_features=29
    ),
    "lut_mu4_registers_d5_deep": CoreConfig(
        kind="lut",
        act="int5",
        mu=4,
        tables=3,
        ports=2,
        reuse=5,
        storage="registers",
        pipeline=Pipeline(build=1, fetch=1, reduce=1),
        max_in_features=50,
        max_out_features=24,
    ),
    "lut_mu2_full_chain_saturate_d2": CoreConfig(
        kind="lut",
        act="int2",
        mu=2,
        tables=4,
        ports=3,
        reuse=2,
        table="full",
        builder="chain",
        pipeline=Pipeline(fetch=1, reduce=2),
        acc_bits=5,
        acc_overflow="saturate",
        max_in_features=64,
        max_out_features=20,
    ),
    "lut_mu3_full_naive_registers_wrap": CoreConfig(
        kind="lut",
        act="int16",
        mu=3,
        tables=3,
        ports=1,
        table="full",
        storage="registers",
        builder="naive",
        pipeline=Pipeline(build=2),
        acc_bits=20,
        acc_overflow="wrap",
        max_in_features=100,
        max_out_features=7,
    ),
    "lut_mu3_chain_registers_d4": CoreConfig(
        kind="lut",
        mu=3,
        tables=1,
        ports=2,
        reuse=4,
        storage="registers",
        builder="chain",
        pipeline=Pipeline(build=1, fetch=1),
        max_in_features=32,
        max_out_features=17,
    ),
    "lut_sherry34_registers_d3": CoreConfig(
        kind="lut",
        act="int4",
        codebook="sherry34",
        mu=4,
        tables=3,
        ports=2,
        reuse=3,
        storage="registers",
        pipeline=Pipeline(build=1, fetch=1),
        max_in_features=50,
        max_out_features=20,
    ),
    "lut_sherry34_fp8_e5m2_float_full_d2": CoreConfig(
        kind="lut",
        act="fp8_e5m2",
        arith="float",
        sum_format="fp8_e5m2",
        codebook="sherry34",
        mu=4,
        tables=2,
        ports=2,
        reuse=2,
        table="full",
        max_in_features=34,
        max_out_features=11,
    ),
    "signflip_d3": CoreConfig(
        kind="signflip",
        act="int5",
        tables=3,
        ports=2,
        reuse=3,
        pipeline=Pipeline(reduce=1),
        max_in_features=32,
        max_out_features=23,
    ),
    "multiplier_saturate_d2": CoreConfig(
        kind="multiplier",
        tables=4,
        ports=3,
        reuse=2,
        pipeline=Pipeline(fetch=1, reduce=1),
        acc_bits=16,
        acc_overflow="saturate",
        max_in_features=33,
        max_out_features=16,
    ),
    "lut_fp16_fixed_d2": CoreConfig(
        kind="lut",
        act="fp16",
        arith="fixed",
        mu=2,
        tables=2,
        ports=2,
        reuse=2,
        max_in_features=22,
        max_out_features=9,
    ),
    "signflip_fp8_e4m3_fixed": CoreConfig(
        kind="signflip",
        act="fp8_e4m3",
        arith="fixed",
        tables=3,
        ports=2,
        pipeline=Pipeline(fetch=1, reduce=1),
        max_in_features=20,
        max_out_features=9,
    ),
    "lut_fp8_e5m2_float_registers_d3": CoreConfig(
        kind="lut",
        act="fp8_e5m2",
        arith="float",
        sum_format="fp8_e5m2",
        mu=3,
        tables=2,
        ports=2,
        reuse=3,
        table="full",
        storage="registers",
        builder="chain",
        pipeline=Pipeline(build=1, fetch=1, reduce=1),
        max_in_features=32,
        max_out_features=13,
    ),
    "lut_bf16_aligned": CoreConfig(
        kind="lut",
        act="bf16",
        arith="fixed",
        fixed_bits=16,
        sum_format="fp32",
        mu=2,
        tables=2,
        ports=2,
        pipeline=Pipeline(fetch=1),
        max_in_features=15,
        max_out_features=7,
    ),
    "lut_fp8_e5m2_float_d2_r3": CoreConfig(
        kind="lut",
        act="fp8_e5m2",
        arith="float",
        sum_format="fp16",
        mu=2,
        tables=3,
        ports=2,
        reuse=2,
        pipeline=Pipeline(fp_add=2),
        max_in_features=25,
        max_out_features=9,
    ),
    "signflip_bf16_float": CoreConfig(
        kind="signflip",
        act="bf16",
        arith="float",
        tables=3,
        ports=2,
        max_in_features=20,
        max_out_features=9,
    ),
    "multiplier_fp8_e4m3_float_d2": CoreConfig(
        kind="multiplier",
        act="fp8_e4m3",
        arith="float",
        sum_format="fp8_e4m3",
        tables=2,
        ports=2,
        reuse=2,
        max_in_features=11,
        max_out_features=9,
    ),
}

BENCHES = 16
"""Benches with their parameters: none may get lost. Floating-point cores have one more."""


class Fault(NamedTuple):
    """``pattern`` stands once in the text of ``case``; with ``replacement``, benches say so."""

    pattern: str
    replacement: str
    message: str
    case: str = "lut_mu3_d3"


FIXED = "lut_fp16_fixed_d2"
ALIGNED = "lut_bf16_aligned"
WAITING = "lut_fp8_e5m2_float_d2_r3"
FLOAT = "lut_fp8_e5m2_float_registers_d3"
FAULTS = {
    "keys_never_taken": Fault(
        r"keys_ready = .*;",
        "keys_ready = 1'h0;",
        rf"{BENCHES} of {BENCHES} benches failed:\n  .*: AssertionError: stuck: 0 of",
    ),
    "accumulator_not_cleared": Fault(
        r"keep = ~first;", "keep = 1'h1;", r"smallest_run: .* run [01]: "
    ),
    "results_do_not_wait": Fault(
        r"step = .*;",
        "step = 1'h1;",
        r"random_stalls/stalls=sums: AssertionError: sums: (valid|payload) .* before ready",
    ),
    "valid_waits_for_ready": Fault(
        r"(?s)(output sums__valid\n\);)(.*)\.sums_valid\(sums__valid\)",
        r"\1\n  wire held;\n  assign sums__valid = held & sums__ready;\2.sums_valid(held)",
        r"valid_does_not_wait_for_ready: AssertionError: no result without ready",
    ),
    "always_last": Fault(r"sums_last <= .*;", "sums_last <= 1'h1;", r"largest_run: .* run 0: "),
    "counter_without_reset": Fault(
        r"if \(rst\)\n\s+in_tile <= .*;\n\s+else if",
        "if",
        r"random_register_contents: AssertionError: (?s:.*)reset_in_the_middle: AssertionError: ",
    ),
    "slower_than_promised": Fault(
        r"keys_ready = (.*);",
        r"keys_ready = \1 & ~sums_valid;",
        rf" 1 of {BENCHES} benches failed:\n  as_fast_as_promised: ",
    ),
    # Fixed point: the conversions, and the flag that goes along.
    "special_not_flagged": Fault(
        r"sums_special <= special;",
        "sums_special <= 1'h0;",
        rf" 1 of {BENCHES + 1} benches failed:\n  infinities_and_nan: AssertionError: run 0: ",
        FIXED,
    ),
    "special_stays_for_the_next_token": Fault(
        r"\(special_so_far & ~first\)",
        "special_so_far",
        r"benches failed:(?s:.*)\n  infinities_and_nan: AssertionError: run 0: ",
        FIXED,
    ),
    "never_rounded_up": Fault(
        r"round_up = .*;", "round_up = 1'h0;", r"random_stalls/.* run \d: ", FIXED
    ),
    "exponent_of_the_next_token": Fault(
        r"sums_exponent <= exponent_0;",
        "sums_exponent <= acts_exponent;",
        r"random_stalls/.* run \d: ",
        ALIGNED,
    ),
    # Rounding arithmetic.
    "sticky_bit_dropped": Fault(r"rest = .*;", "rest = 1'h0;", r"random_stalls/.* run \d: ", FLOAT),
    "nan_for_infinity": Fault(
        r"nan = (.*) & no_infinity;",
        r"nan = \1;",
        r"infinities_and_nan: AssertionError: run 0: ",
        FLOAT,
    ),
    "next_n_tile_too_early": Fault(
        r"waits = .*;", "waits = 1'h0;", r"largest_run: AssertionError: run 0: ", WAITING
    ),
    "next_n_tile_too_late": Fault(
        r"2'h1: wait_slots = 2'h2;",
        "2'h1: wait_slots = 2'h3;",
        rf" 1 of {BENCHES + 1} benches failed:\n  as_fast_as_promised: ",
        WAITING,
    ),
    "difference_of_equals_negative": Fault(
        r"sign_of_sum = .*;",
        "sign_of_sum = greater[7];",
        r"extreme_values: AssertionError: run 0: ",
        FLOAT,
    ),
}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("config", CASES.values(), ids=CASES)
def test_core_keeps_to_its_protocol(config: CoreConfig, seed: int, tmp_path: Path) -> None:
    core = emitted(config)
    passed = run_benches(core.verilog, core.manifest, tmp_path, seed=seed)
    assert passed[0].name == "random_register_contents"  # Nothing has run before it.
    assert len(passed) == BENCHES + (config.float_number is not None)


@pytest.mark.parametrize("seed", range(3, 7))
def test_one_cycle_of_reset_is_enough(seed: int, tmp_path: Path) -> None:
    core = emitted(CASES["lut_mu4_registers_d5_deep"])
    run_benches(
        core.verilog, core.manifest, tmp_path, seed=seed, benches=["random_register_contents"]
    )


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_benches_notice_a_fault(fault: Fault, tmp_path: Path) -> None:
    core = emitted(CASES[fault.case])
    broken, places = re.subn(fault.pattern, fault.replacement, core.verilog)
    assert places == 1
    with pytest.raises(BenchError, match=fault.message):
        run_benches(broken, core.manifest, tmp_path, seed=1)


def test_a_run_without_benches_fails(tmp_path: Path) -> None:
    core = emitted(CASES["lut_mu3_d3"])
    with pytest.raises(BenchError, match="seed 3: 0 benches ran"):
        run_benches(core.verilog, core.manifest, tmp_path, seed=3, benches=["no_such_bench"])


def test_a_simulator_that_hangs_is_ended(tmp_path: Path) -> None:
    core = emitted(CASES["lut_mu3_d3"])
    with pytest.raises(BenchError, match=r"seed 3: no results \(limit 0.01 s\):\nTimeout"):
        run_benches(core.verilog, core.manifest, tmp_path, seed=3, limit_s=0.01)
