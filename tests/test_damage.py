"""Damaged cores: the batch runner against golden notices every one, by the sign written here."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import pytest

from hwgen.emit import emit
from hwgen.structure import structure
from sim.cycles import total_cycles
from sim.model import ModelError
from sim.runner import CoreModel, Stalls
from tests.cases import CASES
from tests.layers import expected, random_work, runs

pytestmark = pytest.mark.verilator

STALLS = Stalls(commands=30, acts=30, keys=30, sums=60)
SIGNS = {"stuck": "stuck: ", "count": "input beats not taken", "last": "last should be "}
"""What the runner says of a broken protocol; `count` is of results and of inputs taken."""


def noticed(name: str, verilog: str) -> str | None:
    """The first sign of a fault in ``verilog``, printed for the case ``name``; None without any.

    Queued layers with and without stalls: a broken protocol, wrong outputs, wrong cycles.
    """
    config, manifest = CASES[name], emit(CASES[name]).manifest
    model = CoreModel(verilog, manifest)  # Damage that does not compile proves nothing.
    work = random_work(config, np.random.default_rng(1))
    for when, stalls in (("", Stalls()), (" under stalls", STALLS)):
        try:
            result = model.run(work, stalls, seed=1)
        except ModelError as error:
            return next(sign for sign, said in SIGNS.items() if said in str(error)) + when
        for piece, got in zip(work, result.outputs, strict=True):
            if not np.array_equal(got, expected(config, piece)):
                return f"outputs{when}"
        if not when and result.cycles != total_cycles(structure(config), runs(work)):
            return "cycles"
    return None


class Damage(NamedTuple):
    """``old`` stands exactly once in the Verilog of ``case``; with ``new``, ``sign`` is noticed."""

    case: str
    old: str
    new: str
    sign: str


PLAIN = "lut_mu2_wires_d1"
PIPED = "lut_mu3_wires_d2_fetch1"
REGISTERED = "lut_saturate_d3"
DAMAGES = {
    # Tables.
    "sum_with_minus": Damage(
        PLAIN,
        "entries_entry_3 = {acts[3], acts[3:0]} + ",
        "entries_entry_3 = {acts[3], acts[3:0]} - ",
        "outputs",
    ),
    "sum_without_its_sign": Damage(
        PLAIN,
        "entries_entry_3 = {acts[3], acts[3:0]} + ",
        "entries_entry_3 = {1'h0, acts[3:0]} + ",
        "outputs",
    ),
    "entries_of_two_keys_swapped": Damage(
        PLAIN,
        "3'h1: entry = entries[8:4];\n      3'h2: entry = {entries[12], entries[12:9]};",
        "3'h2: entry = entries[8:4];\n      3'h1: entry = {entries[12], entries[12:9]};",
        "outputs",
    ),
    "zero_is_not_zero": Damage(PLAIN, "entry = 5'h0;", "entry = 5'h1;", "outputs"),
    "wrong_sign": Damage(PLAIN, "entry ^ {5{key[3]}}", "entry ^ {5{~key[3]}}", "outputs"),
    "key_bits_swapped": Damage(
        PLAIN, "case (key[2:0])", "case ({key[2], key[0], key[1]})", "outputs"
    ),
    "keys_of_two_ports_swapped": Damage(
        PLAIN,
        ".keys({keys__payload[15:12], keys__payload[3:0]})",
        ".keys({keys__payload[3:0], keys__payload[15:12]})",
        "outputs",
    ),
    "table_loads_while_in_use": Damage(
        REGISTERED, "build_load = acts_ready & acts_valid", "build_load = acts_valid", "outputs"
    ),
    "fetch_register_always_loads": Damage(
        PIPED,
        "always @(posedge clk) if (load) begin\n    term ",
        "always @(posedge clk) if (1'h1) begin\n    term ",
        "outputs under stalls",
    ),
    # Reduction and accumulation.
    "carry_dropped": Damage(PIPED, "terms[39:30], carries[2]}", "terms[39:30], 1'h0}", "outputs"),
    "carry_left_over_dropped": Damage(PLAIN, ".carry(reduce_carry),", ".carry(1'h0),", "outputs"),
    "sum_narrowed_by_a_bit": Damage(
        PIPED,
        "{level1_0[10], level1_0, 1'h1}",
        "{{2{level1_0[9]}}, level1_0[9:0], 1'h1}",
        "outputs",
    ),
    "accumulator_never_cleared": Damage(PLAIN, "keep = ~first;", "keep = 1'h1;", "outputs"),
    "write_enable_tied_to_1": Damage(
        PLAIN, "if (write) sum <= ", "if (1'h1) sum <= ", "outputs under stalls"
    ),
    "second_accumulator_written_with_the_first": Damage(
        REGISTERED, "if (write[1]) acc_1", "if (write[0]) acc_1", "outputs"
    ),
    "accumulators_read_in_the_wrong_order": Damage(
        REGISTERED,
        "2'h0: old = acc_0;\n      2'h1: old = acc_1;",
        "2'h1: old = acc_0;\n      2'h0: old = acc_1;",
        "outputs",
    ),
    "saturates_at_the_other_end": Damage(
        REGISTERED, "positive = ~updated[12]", "positive = updated[12]", "outputs"
    ),
    "wraps_instead_of_saturating": Damage(
        REGISTERED, "clamped = overflows ?", "clamped = 1'h0 ?", "outputs"
    ),
    # Loops.
    "one_n_tile_too_many": Damage(
        PLAIN, "last_in_tile = next_in_tile ==", "last_in_tile = in_tile ==", "stuck"
    ),
    "one_token_too_few": Damage(
        PLAIN, "(tokens_after == 16'h0)", "(tokens_after <= 16'h1)", "stuck"
    ),
    "one_block_too_many": Damage(
        REGISTERED, "last_block = tiles_left <= ", "last_block = tiles_left < ", "last"
    ),
    "last_block_always_full": Damage(
        REGISTERED, "| ({11'h0, next_index} == tiles_left)", "| 1'h0", "count"
    ),
    "last_dropped": Damage(PLAIN, "sums_last <= ends_token", "sums_last <= 1'h0", "last"),
    "last_of_a_block_for_that_of_a_token": Damage(
        PLAIN, "sums_last <= ends_token", "sums_last <= ends_block", "last"
    ),
    # Handshakes and reset.
    "keys_never_ready": Damage(PLAIN, "keys_ready = (running", "keys_ready = (1'h0", "stuck"),
    "acts_always_ready": Damage(
        PIPED, "acts_ready = leaves_table |", "acts_ready = 1'h1 |", "stuck"
    ),
    "keys_taken_without_a_table": Damage(
        REGISTERED,
        "(running & build_valid_0)",
        "(running | build_valid_0)",
        "count under stalls",
    ),
    "sums_always_valid": Damage(PLAIN, "sums_valid <= finishes", "sums_valid <= 1'h1", "count"),
    "sums_valid_for_every_n_tile": Damage(
        PLAIN, "sums_valid <= finishes", "sums_valid <= write", "count"
    ),
    "sums_never_valid": Damage(PLAIN, "sums_valid <= finishes", "sums_valid <= 1'h0", "stuck"),
    "result_overwritten_while_it_waits": Damage(
        PLAIN, "step = sums_ready | ~sums_valid", "step = 1'h1", "stuck under stalls"
    ),
    "run_never_ends": Damage(
        PLAIN, "command_ready = ends_run | ~running", "command_ready = ~running", "count"
    ),
    "next_tile_waits_for_each_result": Damage(
        PLAIN, "(running & acts_valid) & step", "(running & acts_valid) & ~sums_valid", "cycles"
    ),
    "running_after_reset": Damage(PLAIN, "running <= 1'h0", "running <= 1'h1", "stuck"),
    "valid_after_reset": Damage(PLAIN, "sums_valid <= 1'h0", "sums_valid <= 1'h1", "count"),
    "n_tile_not_reset": Damage(
        PLAIN, "in_tile <= 13'h0;\n    else", "in_tile <= in_tile;\n    else", "stuck"
    ),
}


@pytest.mark.parametrize("name", [PLAIN, PIPED, REGISTERED])
def test_nothing_is_noticed_without_damage(name):
    assert noticed(name, emit(CASES[name]).verilog) is None


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_noticed(damage):
    verilog = emit(CASES[damage.case]).verilog
    assert len(re.findall(re.escape(damage.old), verilog)) == 1
    assert noticed(damage.case, verilog.replace(damage.old, damage.new)) == damage.sign
