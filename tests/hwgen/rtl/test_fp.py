"""Floating-point units: bits against numpy and ml_dtypes, cycles, printed modules, area."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from functools import cache, partial
from typing import NamedTuple

import numpy as np
import pytest
from amaranth.hdl import Fragment
from amaranth.sim import Simulator

from costmodel.synth.yosys import synthesise
from hwgen.rtl.base import Emission
from hwgen.rtl.fp import FpAdd, FpMul, FpUnit
from hwgen.spec.fp import REGISTERS, FpAddSpec, FpMulSpec, FpSpec
from hwgen.spec.number import FLOATS, FloatFormat, float_format
from hwgen.verilog.printer import print_verilog
from hwgen.verilog.rtlil import parse
from sim.golden.fp import fp_add, fp_mul
from sim.verilated.pairs import PairUnit, pair_unit
from tests.hwgen.verilog.test_printer import lint, prove_equal

MILLION = 1_000_000
ODD = {f.name: f for f in (float_format(*w) for w in ((2, 1), (3, 2), (2, 4), (3, 3), (4, 1)))}
"""Formats with little room: products of subnormals that are not 0, exponents of few values."""


class Operation(NamedTuple):
    unit: type[FpUnit]
    spec: type[FpSpec]
    golden: Callable[[str, np.ndarray, np.ndarray], np.ndarray]


OPERATIONS = {
    "add": Operation(FpAdd, FpAddSpec, fp_add),
    "mul": Operation(FpMul, FpMulSpec, fp_mul),
}

every_operation = pytest.mark.parametrize("operation", OPERATIONS)
every_depth = pytest.mark.parametrize("registers", REGISTERS)


@cache
def emitted(operation: str, number: FloatFormat, registers: int) -> tuple[str, str, str]:
    """Name, Verilog and RTLIL of a unit."""
    made = OPERATIONS[operation]
    spec, emission = made.spec(number, registers), Emission()
    Fragment.get(made.unit(spec), emission)
    module = emission.modules[spec.module_name]
    verilog = print_verilog([(parse(module.rtlil), module.summary, module.in_processes)])
    return module.name, verilog, module.rtlil


def compiled(operation: str, number: FloatFormat, registers: int) -> PairUnit:
    name, verilog, _ = emitted(operation, number, registers)
    return pair_unit(verilog, name, registers)


def code_type(number: FloatFormat) -> type[np.unsignedinteger]:
    return np.uint8 if number.bits <= 8 else np.uint16 if number.bits <= 16 else np.uint32


def all_pairs(number: FloatFormat) -> tuple[np.ndarray, np.ndarray]:
    codes = np.arange(1 << number.bits, dtype=code_type(number))
    return np.repeat(codes, codes.size), np.tile(codes, codes.size)


def corner_pairs(number: FloatFormat, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """About ``count`` pairs: an eighth at random, the others where units go wrong."""
    rng = np.random.default_rng(seed)
    part = count // 8
    m, top = number.mantissa_bits, (1 << number.exponent_bits) - 1
    sign = 1 << (number.bits - 1)
    low = partial(rng.integers, 0, size=part)

    def code(exponent: np.ndarray | int, mantissa: np.ndarray | int) -> np.ndarray:
        return np.clip(exponent, 0, top) << m | mantissa | low(high=2) * sign

    def few_bits() -> np.ndarray:
        """Mantissas of at most two ones, or all ones above some place."""
        ones = (1 << low(high=m + 1)) | (1 << low(high=m + 1))
        return np.where(low(high=2), ones, -ones) & ((1 << m) - 1)

    anything = partial(low, high=1 << number.bits)
    mantissa = partial(low, high=1 << m)
    near = anything()
    exponents = low(high=top + 1)
    specials = np.array(
        [
            *(0, 1, (1 << m) - 1, 1 << m, number.bias << m, number.largest, number.largest + 1),
            *(number.quiet_nan, top << m | 1),
        ]
    )

    def special() -> np.ndarray:
        return rng.choice(specials, part) | low(high=2) * sign

    pairs = [
        (anything(), anything()),
        # Neighbours of opposite sign: cancellation.
        (near, (near ^ sign) + low(high=9) - 4 + (low(high=3) - 1) * (1 << m)),
        # One subnormal, or two.
        (code(0, mantissa()), code(low(high=2) * low(high=top + 1), mantissa())),
        # Ties: few ones, as far apart as the result is wide.
        (code(exponents, few_bits()), code(exponents + low(high=2 * m + 6) - m - 3, few_bits())),
        # Sums at the edge of overflow.
        (code(top - low(high=2), few_bits()), code(top - low(high=m + 3), few_bits())),
        # Products at the edges of overflow and of underflow.
        (
            code(exponents, few_bits()),
            code(
                number.bias - exponents + np.where(low(high=2), top, -m) + low(high=9) - 4,
                mantissa(),
            ),
        ),
        (special(), np.where(low(high=2), special(), anything())),
        # Equal magnitudes; 0 with 0.
        (near, near ^ low(high=2) * sign ^ low(high=2)),
    ]
    kind = code_type(number)
    a, b = (
        np.concatenate([np.asarray(pair[i]) & ((1 << number.bits) - 1) for pair in pairs]).astype(
            kind
        )
        for i in (0, 1)
    )
    order = rng.permutation(a.size)
    swap = rng.integers(0, 2, a.size, dtype=bool)
    a, b = a[order], b[order]
    return np.where(swap, b, a), np.where(swap, a, b)


def check(
    operation: str, number: FloatFormat, registers: int, a: np.ndarray, b: np.ndarray
) -> None:
    """AssertionError that names the first wrong pair."""
    found = compiled(operation, number, registers).run(a, b)
    wanted = OPERATIONS[operation].golden(number.name, a, b)
    wrong = np.flatnonzero(found != wanted)
    assert not wrong.size, (
        f"{wrong.size} of {a.size} wrong, the first one {operation} "
        f"{a[wrong[0]]:#x} {b[wrong[0]]:#x}: {found[wrong[0]]:#x}, not {wanted[wrong[0]]:#x}"
    )


# Formats


@pytest.mark.parametrize(
    ("name", "bits", "bias", "quiet_nan", "infinity", "largest"),
    [
        ("fp16", 16, 15, 0x7E00, 0x7C00, 0x7BFF),
        ("bf16", 16, 127, 0x7FC0, 0x7F80, 0x7F7F),
        ("fp8_e4m3", 8, 7, 0x7F, None, 0x7E),
        ("fp8_e5m2", 8, 15, 0x7E, 0x7C, 0x7B),
        ("fp32", 32, 127, 0x7FC00000, 0x7F800000, 0x7F7FFFFF),
    ],
)
def test_encodings_are_those_of_the_standards(name, bits, bias, quiet_nan, infinity, largest):
    f = FLOATS[name]
    assert (f.bits, f.bias, f.quiet_nan) == (bits, bias, quiet_nan)
    assert (f.infinity, f.largest) == (infinity, largest)


def test_known_widths_have_known_formats_and_others_get_a_name():
    assert all(float_format(f.exponent_bits, f.mantissa_bits) is f for f in FLOATS.values())
    assert float_format(3, 2) == FloatFormat("fp6_e3m2", 3, 2, infinities=True)
    with pytest.raises(ValueError, match=r"^fp3_e1m1: needs an exponent of 2 bits and a mantissa"):
        float_format(1, 1)


def test_names_tell_format_and_registers():
    assert FpAddSpec(FLOATS["fp16"]).module_name == "fp_add_fp16"
    assert FpMulSpec(FLOATS["fp8_e4m3"], 2).module_name == "fp_mul_fp8_e4m3_r2"
    with pytest.raises(ValueError, match=r"^registers: should be 0 … 4, not 5$"):
        FpAddSpec(FLOATS["fp16"], 5)


# The golden model against exact fractions


def value_of(number: FloatFormat, code: int) -> Fraction | None:
    """Magnitude without sign; None at or above infinity."""
    magnitude = code & ((1 << (number.bits - 1)) - 1)
    if magnitude > number.largest:
        return None
    field, mantissa = divmod(magnitude, 1 << number.mantissa_bits)
    if field:
        mantissa += 1 << number.mantissa_bits
    return mantissa * Fraction(2) ** (max(field, 1) - number.bias - number.mantissa_bits)


def round_exactly(number: FloatFormat, value: Fraction) -> int:
    """Code of a magnitude, rounded to nearest even."""
    scaled = value * Fraction(2) ** (number.bias + number.mantissa_bits - 1)  # Least subnormals.
    whole = scaled.numerator // scaled.denominator
    above = max(whole.bit_length() - number.mantissa_bits - 1, 0)
    code = (above << number.mantissa_bits) + round(scaled / (1 << above))
    if code <= number.largest:
        return code
    return number.quiet_nan if number.infinity is None else number.infinity


def exactly(operation: str, number: FloatFormat, a: int, b: int) -> int:
    """The result's code, by the rules of IEEE 754 in fractions."""
    sign = 1 << (number.bits - 1)
    signs = [code & sign for code in (a, b)]
    values = [value_of(number, code) for code in (a, b)]
    is_nan = [
        v is None and c & ~sign != number.infinity for v, c in zip(values, (a, b), strict=True)
    ]
    if any(is_nan):
        return number.quiet_nan
    negative = signs[0] ^ signs[1]
    if operation == "mul":
        if None in values:
            return number.quiet_nan if 0 in values else number.infinity | negative
        code = round_exactly(number, values[0] * values[1]) | negative
    elif None in values:
        if values == [None, None] and negative:
            return number.quiet_nan
        return number.infinity | signs[values.index(None)]
    else:
        total = sum(-v if s else v for v, s in zip(values, signs, strict=True))
        minus = signs[0] & signs[1] if total == 0 else sign * (total < 0)
        code = round_exactly(number, abs(total)) | minus
    return number.quiet_nan if code & ~sign == number.quiet_nan else code


@every_operation
@pytest.mark.parametrize("name", FLOATS)
def test_golden_is_the_exact_value_rounded_once(name, operation):
    number = FLOATS[name]
    a, b = corner_pairs(number, 8000, seed=5)
    found = OPERATIONS[operation].golden(name, a, b)
    pairs = zip(a.tolist(), b.tolist(), strict=True)
    assert found.tolist() == [exactly(operation, number, *pair) for pair in pairs]


def test_golden_rounds_tiny_products_of_bf16_once():
    # (1 + 2^-7)^2 * 2^-134, just above half of the least subnormal; float32 would lose the rest.
    code = 0x1E01
    assert value_of(FLOATS["bf16"], code) == Fraction(129, 128) * Fraction(2) ** -67
    a = np.uint16([code])
    assert fp_mul("bf16", a, a).tolist() == [exactly("mul", FLOATS["bf16"], code, code)] == [1]


def test_golden_takes_codes_of_the_right_type_only():
    with pytest.raises(ValueError, match=r"^codes must be uint16, not uint8$"):
        fp_add("fp16", np.uint8([0]), np.uint16([0]))


# Bits


@every_depth
@every_operation
@pytest.mark.verilator
@pytest.mark.parametrize("name", ["fp8_e4m3", "fp8_e5m2"])
def test_fp8_exhaustively(name, operation, registers):
    check(operation, FLOATS[name], registers, *all_pairs(FLOATS[name]))


@every_operation
@pytest.mark.verilator
@pytest.mark.parametrize("name", ODD)
def test_odd_formats_exhaustively(name, operation):
    number = ODD[name]
    a, b = all_pairs(number)
    pairs = zip(a.tolist(), b.tolist(), strict=True)
    wanted = [exactly(operation, number, *pair) for pair in pairs]
    for registers in (0, 4):
        assert compiled(operation, number, registers).run(a, b).tolist() == wanted


@pytest.mark.verilator
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", ["fp16", "bf16"])
def test_ten_million_sums(name, seed):
    check("add", FLOATS[name], 0, *corner_pairs(FLOATS[name], MILLION, seed))


@pytest.mark.verilator
@pytest.mark.parametrize("name", ["fp16", "bf16"])
def test_a_million_products(name):
    check("mul", FLOATS[name], 0, *corner_pairs(FLOATS[name], MILLION, seed=20))


@every_operation
@pytest.mark.verilator
def test_a_million_pairs_of_fp32(operation):
    check(operation, FLOATS["fp32"], 0, *corner_pairs(FLOATS["fp32"], MILLION, seed=21))


@every_operation
@pytest.mark.verilator
@pytest.mark.parametrize("registers", REGISTERS[1:])
@pytest.mark.parametrize("name", ["fp16", "bf16", "fp32"])
def test_registers_change_no_bit(name, registers, operation):
    check(operation, FLOATS[name], registers, *corner_pairs(FLOATS[name], MILLION // 10, seed=22))


@every_operation
@pytest.mark.long
@pytest.mark.verilator
@pytest.mark.parametrize("name", ["fp16", "bf16", "fp32"])
def test_a_hundred_million_pairs(name, operation):
    for seed in range(100, 200):
        check(operation, FLOATS[name], 0, *corner_pairs(FLOATS[name], MILLION, seed))


# Cycles


@every_depth
@every_operation
@pytest.mark.verilator
@pytest.mark.parametrize("name", ["fp16", "fp8_e4m3"])
def test_result_comes_after_as_many_cycles_as_registers(name, operation, registers):
    number = FLOATS[name]
    a, b = corner_pairs(number, 4000, seed=23)
    unit, wanted = compiled(operation, number, registers), OPERATIONS[operation].golden(name, a, b)
    for latency in range(len(REGISTERS) + 1):
        same = np.array_equal(unit.run(a, b, latency=latency)[:-8], wanted[:-8])
        assert same == (latency == registers)


@every_operation
@pytest.mark.parametrize("registers", REGISTERS[1:])
def test_each_load_bit_holds_its_register(operation, registers):
    """A register keeps its value until its own bit is set, whatever the others do."""
    made, number = OPERATIONS[operation], float_format(3, 2)
    dut = made.unit(made.spec(number, registers))
    pairs = [(0x0C, 0x0D), (0x11, 0x2E), (0x05, 0x13)]
    results = [exactly(operation, number, *pair) for pair in pairs]
    assert len(set(results)) == 3

    async def bench(ctx):
        async def step(pair: tuple[int, int], load: int) -> None:
            ctx.set(dut.a, pair[0])
            ctx.set(dut.b, pair[1])
            ctx.set(dut.load, load)
            await ctx.tick()

        for stage in range(registers):  # One pair goes down, one stage at a time.
            await step(pairs[stage > 0], 1 << stage)
        assert ctx.get(dut.o) == results[0]
        for _ in range(3):
            await step(pairs[1], 0)
            assert ctx.get(dut.o) == results[0]
        for stage in range(registers):
            assert ctx.get(dut.o) == results[0]
            await step(pairs[2 if stage == 0 else 1], 1 << stage)
        assert ctx.get(dut.o) == results[2]

    sim = Simulator(dut)
    sim.add_clock(1e-6)
    sim.add_testbench(bench)
    sim.run()


@pytest.mark.verilator
def test_pairs_must_be_of_one_type():
    unit = compiled("add", FLOATS["fp16"], 0)
    message = (
        r"^a, b: must be unsigned and of one length and type, not uint16\(1,\) and int16\(1,\)$"
    )
    with pytest.raises(ValueError, match=message):
        unit.run(np.uint16([1]), np.int16([1]))
    assert unit.run(np.uint16([]), np.uint16([])).size == 0


# Verilog


VARIANTS = [
    *((f, r) for f in ("fp16", "fp8_e4m3", "fp8_e5m2") for r in REGISTERS),
    *((f, r) for f in ("bf16", "fp32", *ODD) for r in (0, 4)),
]
every_variant = pytest.mark.parametrize(("name", "registers"), VARIANTS)


@every_operation
@every_variant
def test_verilator_warns_of_nothing(name, registers, operation, tmp_path):
    top, verilog, _ = emitted(operation, (FLOATS | ODD)[name], registers)
    assert lint(tmp_path, top, verilog) == ""
    assert "value_" not in verilog  # A name that nobody gave.


@every_operation
@pytest.mark.parametrize("registers", [0, 4])
@pytest.mark.parametrize("name", ["fp16", "fp8_e4m3", "fp8_e5m2"])
def test_verilog_equals_its_rtlil(name, registers, operation, tmp_path):
    _, verilog, rtlil = emitted(operation, FLOATS[name], registers)
    prove_equal(tmp_path, verilog, rtlil)


@pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="iverilog is missing; apt-get install iverilog"
)
@every_operation
def test_icarus_reads_it_as_verilog_2005(operation, tmp_path):
    top, verilog, _ = emitted(operation, FLOATS["fp16"], 4)
    (tmp_path / "unit.v").write_text(verilog)
    command = ["iverilog", "-g2005", "-Wall", "-t", "null", "-s", top, "unit.v"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


# The tests notice faults


DAMAGES = {
    "never_up": ("add", "assign up = ", "assign up = 1'h0 & "),
    "ties_away": ("add", "(normal_1[4] | rest)", "(1'h1 | rest)"),
    "sticky_bit_lost": ("add", "assign rest = |normal_1[2:0];", "assign rest = |normal_1[2:1];"),
    "shifted_out_lost": ("add", "assign fallen_2 = fallen_4 | ", "assign fallen_2 = "),
    "subnormal_distance": (
        "add",
        "lesser_normal | ~greater_normal",
        "lesser_normal | greater_normal",
    ),
    "limit_ignored": ("add", "(below_2 | lowest)", "1'h1"),
    "sign_of_zero": ("add", "(~(subtract & empty))", "(~(1'h0 & empty))"),
    "infinities_cancel": ("add", "assign opposite = ", "assign opposite = 1'h0 & "),
    "overflow_unseen": ("add", "assign highest = &rounded[14:10];", "assign highest = 1'h0;"),
    "negative_nan": ("add", "sign_of_sum & ~nan", "sign_of_sum"),
    "shifted_out_lost_mul": ("mul", "assign fallen_1 = fallen_2 | ", "assign fallen_1 = "),
    "infinity_times_zero": ("mul", "a_rest | (~(b_normal | b_rest))", "a_rest"),
    "exponent_of_zero": (
        "mul",
        "assign reduced = exponent_left & {6{high_1}};",
        "assign reduced = exponent_left;",
    ),
    "one_carry": ("mul", "(either_5 & row_5)", "(either_5 & {row_5[10:1], 1'h0})"),
}
"""Operation of fp16, old text, new text."""


@pytest.mark.verilator
@pytest.mark.parametrize(("operation", "old", "new"), DAMAGES.values(), ids=DAMAGES)
def test_corner_pairs_notice_faults(operation, old, new):
    number = FLOATS["fp16"]
    name, verilog, _ = emitted(operation, number, 0)
    assert verilog.count(old) == 1
    a, b = corner_pairs(number, 20_000, seed=24)
    found = pair_unit(verilog.replace(old, new), name, 0).run(a, b)
    assert not np.array_equal(found, OPERATIONS[operation].golden("fp16", a, b))


# Area


@pytest.mark.parametrize(("operation", "bar_ge"), [("add", 700), ("mul", 1380)])
def test_fp16_stays_small(operation, bar_ge):
    """Generic gate equivalents, measured ones plus 2 %: what a careless change would exceed."""
    name, _, rtlil = emitted(operation, FLOATS["fp16"], 0)
    assert synthesise(rtlil, name).area <= bar_ge
