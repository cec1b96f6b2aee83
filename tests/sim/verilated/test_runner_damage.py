"""Damaged cores: the batch runner against golden notices every one, by the sign written here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from hwgen.spec.config import CoreConfig
from hwgen.spec.number import FLOATS, FloatFormat
from hwgen.spec.structure import structure
from hwgen.verilog.emit import emit
from sim.golden.fixed import token_exponents
from sim.verilated.beats import pack_fields, unpack_fields
from sim.verilated.model import ModelError
from sim.verilated.runner import CoreModel, Packed, Stalls, Work
from sim.workload.cycles import total_cycles
from tests.support.cases import CASES
from tests.support.layers import expected, random_work, runs

pytestmark = pytest.mark.verilator

STALLS = Stalls(commands=30, acts=30, keys=30, sums=60)
SIGNS = {"stuck": "stuck: ", "count": "input beats not taken", "last": "last should be "}
"""What the runner says of a broken protocol; `count` is of results and of inputs taken."""


class Round(NamedTuple):
    """Beats that a core is given, and for each layer what should come out: outputs, error flags."""

    name: str
    beats: Packed
    wanted: list[tuple[NDArray, NDArray]]
    stalls: Stalls = Stalls()


def noticed(name: str, verilog: str) -> str | None:
    """The first sign of a fault in ``verilog``, printed for the case ``name``; None without any.

    Queued layers with and without stalls: a broken protocol, wrong outputs, wrong cycles. Then what
    a sound user would not send: signs of zero groups, which shall not matter, and tokens whose
    exponents differ, which are flagged.
    """
    config, manifest = CASES[name], emit(CASES[name]).manifest
    model = CoreModel(verilog, manifest)  # Damage that does not compile proves nothing.
    work = random_work(config, np.random.default_rng(1))
    if config.float_number is not None:
        work += strange_work(config, config.float_number, np.random.default_rng(2))
    for turn in _rounds(config, model, work):
        try:
            result = model.run(turn.beats, turn.stalls, seed=1)
        except ModelError as error:
            return next(sign for sign, said in SIGNS.items() if said in str(error)) + turn.name
        for wanted, got, errors in zip(turn.wanted, result.outputs, result.errors, strict=True):
            if not np.array_equal(got, wanted[0]):
                return f"outputs{turn.name}"
            if not np.array_equal(errors, wanted[1]):
                return f"errors{turn.name}"
        if not turn.name and result.cycles != total_cycles(structure(config), runs(work)):
            return "cycles"
    return None


def _rounds(config: CoreConfig, model: CoreModel, work: list[Work]) -> Iterator[Round]:
    wanted = [(expected(config, piece), unfit(config, piece)) for piece in work]
    packed = model.pack(work)
    yield Round("", packed, wanted)
    yield Round(" under stalls", packed, wanted, STALLS)
    if config.kind != "multiplier":
        yield Round(" with signs of zero groups", signed_zero_groups(config, packed), wanted)
    if config.exponent_bits and config.sum_number is not None:
        flagged = np.ones(len(work[-1].acts), np.bool_)
        outputs = np.full_like(wanted[-1][0], config.sum_number.quiet_nan)
        beats_of_work = differing_exponents(model, work[-1])
        yield Round(" where exponents differ", beats_of_work, [(outputs, flagged)])


def strange_work(config: CoreConfig, number: FloatFormat, rng: np.random.Generator) -> list[Work]:
    """Short sums, so that single additions show.

    Zeros of both signs alone; any finite numbers; subnormals and the next; numbers close to each
    other, whose sums are often ties; pairs that cancel; an infinity or NaN in every other token.
    """
    sign, step = 1 << (number.bits - 1), 1 << number.mantissa_bits
    one = number.bias * step
    shape, outs = (24, 12), 9
    signs = sign * rng.integers(0, 2, shape)
    zeros = signs.copy()
    zeros[0], zeros[1] = 0, sign
    any_codes = signs | rng.integers(0, number.largest, shape, endpoint=True)
    small = signs | rng.integers(0, 3 * step, shape)
    near = signs | rng.integers(one, one + 4 * step, shape)
    pairs = any_codes.copy()
    pairs[:, 1::2] = pairs[:, ::2] ^ sign
    spoilt = near.copy()
    infinity = number.infinity or number.quiet_nan
    specials = [infinity, infinity | sign, number.quiet_nan, number.quiet_nan | sign]
    spoilt[1::2][np.diag_indices(shape[1])] = np.resize(specials, shape[1])
    spoilt[-1, :2] = specials[:2]
    weights = rng.integers(-1, 1, (outs, shape[1]), endpoint=True) * rng.integers(
        0, 2, (outs, shape[1])
    )
    weights[0], weights[1] = 1, -1
    if config.kind == "multiplier":
        codes = rng.integers(one - step, one + step, weights.shape)
        weights = np.where(weights, codes | sign * (weights < 0), 0)
    layers = (zeros, any_codes, small, near, pairs, spoilt)
    if not config.exponent_bits:
        return [Work(acts, weights) for acts in layers]
    work = [Work(acts, weights, token_exponents(acts, config.act)) for acts in layers]
    too_low = token_exponents(near, config.act) - np.arange(len(near)) % 2
    return [*work, Work(near, weights, too_low)]


def unfit(config: CoreConfig, work: Work) -> NDArray[np.bool_]:
    """Tokens of an aligned core that have an infinity, NaN, or too low an exponent."""
    if work.exponents is None:
        return np.zeros(len(work.acts), np.bool_)
    number = FLOATS[config.act]
    magnitudes = work.acts & ((1 << (number.bits - 1)) - 1)
    above = magnitudes >> number.mantissa_bits > work.exponents[:, None]
    return np.any(above | (magnitudes > number.largest), axis=1)


def signed_zero_groups(config: CoreConfig, packed: Packed) -> Packed:
    """The same beats, but that the key of each group of zeros says that it is negative."""
    bits, count = config.weight_bits, config.tables * config.ports
    keys = unpack_fields(packed.keys, bits, count) & ((1 << bits) - 1)
    zero = (3**config.mu - 1) // 2
    keys[keys == zero] |= 1 << (bits - 1)
    return replace(packed, keys=pack_fields(keys, bits))


def differing_exponents(model: CoreModel, work: Work) -> Packed:
    """Every other beat with an exponent higher by 1; of two n-tiles, the second."""
    assert work.exponents is not None
    one, other = model.pack([work]), model.pack([replace(work, exponents=work.exponents + 1)])
    assert len(one.acts) % (2 * len(work.acts)) == 0
    second = np.arange(len(one.acts)) % 2 == 1
    return replace(one, acts=np.where(second[:, None], other.acts, one.acts))


class Damage(NamedTuple):
    """``old`` stands exactly once in the Verilog of ``case``; with ``new``, ``sign`` is noticed."""

    case: str
    old: str
    new: str
    sign: str


PLAIN = "lut_mu2_wires_d1"
PIPED = "lut_mu3_wires_d2_fetch1"
REGISTERED = "lut_saturate_d3"
FLOAT = "lut_fp16_float_d2"
FLIP = "signflip_bf16_float_d3"
PRODUCT = "multiplier_fp8_e5m2_float"
NO_INFINITY = "lut_fp8_e4m3_float_chain_full_pipelined"
FIXED = "lut_fp16_fixed"
STAGED = "lut_fp8_e5m2_fixed_pipelined"
ALIGNED = "lut_bf16_aligned_d2"
WAITING = "lut_fp16_float_d1_r3"
WIDE = "lut_fp8_e5m2_float_full_d2_r2_to_bf16"
SOUND = [PLAIN, PIPED, REGISTERED, FLOAT, FLIP, PRODUCT, NO_INFINITY, FIXED, STAGED]
SOUND += [ALIGNED, WAITING, WIDE]
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
    "keys_never_ready": Damage(PLAIN, "keys_ready = (", "keys_ready = 1'h0 & (", "stuck"),
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
    # The rounding adder.
    "no_sticky_bit": Damage(FLOAT, "{aligned_1, fallen_1}", "{aligned_1, 1'h0}", "outputs"),
    "guard_bits_ignored": Damage(FLOAT, "rest = |normal_1[2:0]", "rest = normal_1[2]", "outputs"),
    "ties_up": Damage(
        FLOAT, "up = normal_1[3] & (normal_1[4] | rest)", "up = normal_1[3]", "outputs"
    ),
    "ties_down": Damage(
        FLOAT, "up = normal_1[3] & (normal_1[4] | rest)", "up = normal_1[3] & rest", "outputs"
    ),
    "towards_zero": Damage(
        FLOAT, "up = normal_1[3] & (normal_1[4] | rest)", "up = 1'h0", "outputs"
    ),
    "difference_of_equals_keeps_its_sign": Damage(
        FLOAT, "greater[15] & (~(subtract & empty))", "greater[15]", "outputs"
    ),
    "negative_zeros_add_to_a_positive_one": Damage(
        FLOAT, "greater[15] & (~(subtract & empty))", "greater[15] & (~empty)", "outputs"
    ),
    "subtracts_instead_of_adding": Damage(
        FLOAT, "subtract = a[15] ^ b[15]", "subtract = ~(a[15] ^ b[15])", "outputs"
    ),
    "operands_not_ordered": Damage(FLOAT, "swap = a[14:0] < b[14:0]", "swap = 1'h0", "outputs"),
    "distance_to_a_subnormal_off_by_one": Damage(
        FLOAT, "alike = lesser_normal | ~greater_normal", "alike = 1'h1", "outputs"
    ),
    "far_operand_not_dropped": Damage(FLOAT, "near = ~far", "near = 1'h1", "outputs"),
    "exponent_off_by_one": Damage(
        FLOAT,
        "exponent_left = {greater[14:11], lowest}",
        "exponent_left = {greater[14:11], ~lowest}",
        "outputs",
    ),
    "exponent_of_subnormals_not_0": Damage(FLOAT, "& {5{high_1}}", "& {5{1'h1}}", "outputs"),
    "subnormals_shifted_too_far": Damage(FLOAT, "& (below_2 | lowest)", "& 1'h1", "outputs"),
    "overflow_not_to_infinity": Damage(FLOAT, "|{special, highest}", "special", "outputs"),
    "infinity_less_infinity_is_infinite": Damage(
        FLOAT, "(|greater[9:0]) | opposite", "|greater[9:0]", "outputs"
    ),
    "nan_becomes_infinite": Damage(FLOAT, "quiet = kept[9] | nan", "quiet = kept[9]", "outputs"),
    "nan_has_a_sign": Damage(
        FLOAT, "sign_out = sign_of_sum & ~nan", "sign_out = sign_of_sum", "outputs"
    ),
    "overflow_without_infinities_not_nan": Damage(
        NO_INFINITY, "over = |{nan, rounded[7], highest}", "over = nan", "outputs"
    ),
    # The rounding multiplier.
    "product_without_its_sign": Damage(PRODUCT, "sign = a[7] ^ b[7]", "sign = a[7]", "outputs"),
    "product_row_missing": Damage(PRODUCT, "& {3{b[1]}}", "& {3{1'h0}}", "outputs"),
    "product_of_another_bias": Damage(PRODUCT, "+ 7'h74", "+ 7'h75", "outputs"),
    "product_without_sticky_bit": Damage(
        PRODUCT, "(normal_1[1] | fallen_1)", "normal_1[1]", "outputs"
    ),
    "product_overflow_wraps": Damage(
        PRODUCT, "|{special, rounded[7], highest}", "|{special, highest}", "outputs"
    ),
    "infinity_times_zero_is_infinite": Damage(
        PRODUCT, "(a_rest | (~(b_normal | b_rest)))", "a_rest", "outputs"
    ),
    # Tables and reduction of floating-point numbers.
    "sign_of_a_key_ignored": Damage(
        FLOAT, "entry[15] ^ (key[3] & nonzero)", "entry[15]", "outputs"
    ),
    "zero_group_keeps_its_sign": Damage(
        FLOAT, "(key[3] & nonzero)", "key[3]", "outputs with signs of zero groups"
    ),
    "zero_group_is_negative": Damage(FLOAT, "entry = 16'h0;", "entry = 16'h8000;", "outputs"),
    "sum_without_inverted_sign": Damage(
        FLOAT, "sign_sum_pm = ~entries_entry_0[15]", "sign_sum_pm = entries_entry_0[15]", "outputs"
    ),
    "weight_of_a_signflip_ignored": Damage(
        FLIP, "sign = entry[15] ^ (key[1] & nonzero)", "sign = entry[15] ^ 1'h0", "outputs"
    ),
    "reduced_in_another_order": Damage(
        FLOAT,
        """.b(terms[31:16]),
    .o(add_level1_0_o)
  );
  fp_add_fp16 add_level2_0 (
    .a(add_level1_0_o),
    .b(terms[47:32]),""",
        """.b(terms[47:32]),
    .o(add_level1_0_o)
  );
  fp_add_fp16 add_level2_0 (
    .a(add_level1_0_o),
    .b(terms[31:16]),""",
        "outputs",
    ),
    "odd_term_added_first": Damage(
        FLIP,
        """.b(add_level1_1_o),
    .o(add_level2_0_o)
  );
  fp_add_bf16 add_level3_0 (
    .a(add_level2_0_o),
    .b(terms[79:64]),""",
        """.b(terms[79:64]),
    .o(add_level2_0_o)
  );
  fp_add_bf16 add_level3_0 (
    .a(add_level2_0_o),
    .b(add_level1_1_o),""",
        "outputs",
    ),
    # Rounding accumulators.
    "first_n_tile_added_to_an_old_value": Damage(FLOAT, "keep = ~first", "keep = 1'h1", "outputs"),
    "first_n_tile_added_to_a_positive_zero": Damage(
        FLOAT,
        "{old[15] | first, start_magnitude}",
        "{old[15] & ~first, start_magnitude}",
        "outputs",
    ),
    "first_n_tile_negated": Damage(
        FLOAT, "{old[15] | first, start_magnitude}", "{1'h1, start_magnitude}", "outputs"
    ),
    "second_rounding_accumulator_written_with_the_first": Damage(
        FLOAT, "if (write[1]) acc_1", "if (write[0]) acc_1", "outputs"
    ),
    "rounding_accumulators_swapped": Damage(
        FLOAT, "old = index ? acc_1 : acc_0", "old = index ? acc_0 : acc_1", "outputs"
    ),
    "sum_not_held": Damage(
        FLOAT, "if (finish) sum <= ", "if (1'h1) sum <= ", "outputs under stalls"
    ),
    # Adders with registers, and sums in a wider format.
    "next_n_tile_too_early": Damage(WAITING, "wait_left <= 2'h2", "wait_left <= 2'h1", "outputs"),
    "next_n_tile_too_late": Damage(WAITING, "wait_left <= 2'h2", "wait_left <= 2'h3", "cycles"),
    "waits_while_a_result_does": Damage(
        WAITING, "else if (step & waits)", "else if (waits)", "outputs under stalls"
    ),
    "odd_term_a_stage_early": Damage(
        WAITING,
        "level1_odd_2_0_r <= level1_odd_1_0_r",
        "level1_odd_2_0_r <= terms[47:32]",
        "outputs",
    ),
    "accumulator_written_a_stage_early": Damage(
        WIDE,
        "{stays & (index_3 == 1'h1), stays & (index_3 == 1'h0)}",
        "{stays & (index == 1'h1), stays & (index == 1'h0)}",
        "outputs",
    ),
    "widened_with_another_bias": Damage(WIDE, "+ 8'h70) -", "+ 8'h71) -", "outputs"),
    "widened_subnormals_keep_their_exponent": Damage(
        WIDE, "- {6'h0, moves_2, moves_1}", "- {6'h0, 2'h0}", "outputs"
    ),
    "widened_zero_is_not_zero": Damage(WIDE, "field & {8{moved_1[2]}}", "field", "outputs"),
    "widened_infinity_is_finite": Damage(WIDE, "| {8{special}}", "| 8'h0", "outputs"),
    # To fixed point.
    "subnormal_of_the_wrong_weight": Damage(
        FIXED, "shift = normal ? lowered : 5'h0", "shift = lowered", "outputs"
    ),
    "leading_one_of_subnormals": Damage(
        FIXED, "{1'h0, normal, act[9:0]};", "{1'h0, 1'h1, act[9:0]};", "outputs"
    ),
    "exponent_not_lowered": Damage(
        FIXED, "lowered = act[14:10] - 5'h1", "lowered = act[14:10]", "outputs"
    ),
    "negated_without_carry": Damage(
        FIXED, "fixed = flipped + {40'h0, signed_up}", "fixed = flipped", "outputs"
    ),
    "special_not_flagged": Damage(
        FIXED, "special = &act[14:10]", "special = act[14] & ~act[14]", "outputs"
    ),
    "largest_flagged": Damage(FIXED, "special = &act[14:10]", "special = &act[14:11]", "outputs"),
    "special_of_one_activation_lost": Damage(
        FIXED, "to_fixed_5_special, to_fixed_4_special,", "to_fixed_4_special,", "outputs"
    ),
    "special_forgotten_by_the_next_n_tile": Damage(
        FIXED, "build_special_0 | (special_so_far & ~first)", "build_special_0", "outputs"
    ),
    "special_kept_for_the_next_token": Damage(
        FIXED, "(special_so_far & ~first)", "special_so_far", "outputs"
    ),
    "special_of_the_next_table": Damage(
        FIXED, "if (build_load) build_special_0", "if (1'h1) build_special_0", "outputs"
    ),
    "special_a_stage_early": Damage(
        STAGED, "special_1 <= special_0;", "special_1 <= build_special_2;", "outputs"
    ),
    # From fixed point.
    "ties_away_from_zero": Damage(
        FIXED, "& ((|shifted_1[61:0]) | shifted_1[63])", "& 1'h1", "outputs"
    ),
    "low_bits_ignored_by_rounding": Damage(
        FIXED, "(|shifted_1[61:0])", "(|shifted_1[61:60])", "outputs"
    ),
    "cut_off_instead_of_rounded": Damage(
        FIXED, "shifted_1[73:63], round_up}", "shifted_1[73:63], 1'h0}", "outputs"
    ),
    "overflow_not_noticed": Damage(
        FIXED, "overflows = code > 17'h7bff", "overflows = 1'h0", "outputs"
    ),
    "overflow_to_the_largest": Damage(
        FIXED, "overflows ? 15'h7c00", "overflows ? 15'h7bff", "outputs"
    ),
    "largest_overflows": Damage(FIXED, "code > 17'h7bff", "code > 17'h7bfe", "outputs"),
    "negative_result_off_by_one": Damage(
        FIXED, "flipped + {56'h0, fixed[56]}", "flipped + 57'h0", "outputs"
    ),
    "ties_towards_zero": Damage(
        FIXED, "((|shifted_1[61:0]) | shifted_1[63])", "(|shifted_1[61:0])", "outputs"
    ),
    "result_without_its_sign": Damage(FIXED, "{fixed[56], limited}", "{1'h0, limited}", "outputs"),
    "steps_of_the_exponent_swapped": Damage(
        FIXED, "~shift_2, ~shift_1,\n", "~shift_1, ~shift_2,\n", "outputs"
    ),
    "special_gives_infinity": Damage(FIXED, "special ? 16'h7e00", "special ? 16'h7c00", "outputs"),
    "special_of_the_result_dropped": Damage(
        FIXED, "sums_special <= special", "sums_special <= 1'h0", "outputs"
    ),
    # Fixed point aligned to the exponents of tokens.
    "cut_off_instead_of_aligned_to_nearest": Damage(
        ALIGNED, "signed_up = kept[0] ^ act[15]", "signed_up = act[15]", "outputs"
    ),
    "small_activation_not_dropped": Damage(
        ALIGNED, "near = ~(|distance[7:5])", "near = distance[5] | ~distance[5]", "outputs"
    ),
    "exponent_too_low_not_flagged": Damage(
        ALIGNED, "special = distance[8] | (&act[14:7])", "special = &act[14:7]", "outputs"
    ),
    "exponents_that_differ_not_flagged": Damage(
        ALIGNED,
        "(special_so_far | exponent_differs)",
        "special_so_far",
        "outputs where exponents differ",
    ),
    "exponent_of_the_token_before": Damage(
        ALIGNED, "sums_exponent <= build_exponent_0", "sums_exponent <= exponent_so_far", "outputs"
    ),
    "result_of_twice_the_size": Damage(ALIGNED, "+ 9'h10;", "+ 9'h11;", "outputs"),
    "subnormal_result_shifted_too_far": Damage(
        ALIGNED, "& (below_2 | limit[0])", "& 1'h1", "outputs"
    ),
    "error_flag_dropped": Damage(
        ALIGNED, "{control_sums_special, control_sums_last,", "{1'h0, control_sums_last,", "errors"
    ),
}


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_noticed_without_damage(name):
    assert noticed(name, emit(CASES[name]).verilog) is None


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_noticed(damage):
    verilog = emit(CASES[damage.case]).verilog
    assert len(re.findall(re.escape(damage.old), verilog)) == 1
    assert noticed(damage.case, verilog.replace(damage.old, damage.new)) == damage.sign
