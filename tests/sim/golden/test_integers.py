"""Golden references against hand-computed cases and slow references in Python's own integers."""

from __future__ import annotations

import ast
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

from sim.golden import codebooks
from sim.golden import integers as golden

SHAPES = {  # T, M, N
    "smallest": (1, 1, 1),
    "one_token": (1, 5, 7),
    "one_output": (3, 1, 8),
    "nothing_a_power_of_two": (3, 5, 11),
}


def slow_matmul(acts, weights):
    return [
        [sum(int(a) * int(w) for a, w in zip(x, y, strict=True)) for y in weights] for x in acts
    ]


def slow_accumulate(acts, weights, tile_n, acc_bits, overflow):
    half = 1 << (acc_bits - 1)
    out = []
    for x in acts.tolist():
        row = []
        for y in weights.tolist():
            acc = 0
            for start in range(0, len(x), tile_n):
                tile = slice(start, start + tile_n)
                acc += sum(a * w for a, w in zip(x[tile], y[tile], strict=True))
                if overflow == "wrap":
                    acc = (acc + half) % (2 * half) - half
                else:
                    acc = max(-half, min(half - 1, acc))
            row.append(acc)
        out.append(row)
    return out


def slow_key(group):
    mu = len(group)
    t = sum(w * 3 ** (mu - 1 - j) for j, w in enumerate(group))
    entries = (3**mu - 1) // 2
    index_bits = 0
    while 1 << index_bits < entries + 1:
        index_bits += 1
    index = entries if t == 0 else abs(t) - 1
    return index + (1 << index_bits if t < 0 else 0)


def refused(function, *args):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
        function(*args)
    return str(caught.value)


@pytest.mark.parametrize(("T", "M", "N"), SHAPES.values(), ids=SHAPES)
def test_matmul_is_the_sum_of_products(T, M, N):
    rng = np.random.default_rng(1)
    acts = rng.integers(-32768, 32768, (T, N))
    weights = rng.integers(-32768, 32768, (M, N))
    got = golden.matmul(acts, weights)
    assert got.dtype == np.int64
    assert got.tolist() == slow_matmul(acts, weights)


@pytest.mark.parametrize(("T", "M", "N"), SHAPES.values(), ids=SHAPES)
def test_ternary_matmul_is_the_sum_of_products(T, M, N):
    rng = np.random.default_rng(2)
    acts = rng.integers(-128, 128, (T, N)).astype(np.int8)
    weights = rng.integers(-1, 2, (M, N)).astype(np.int8)
    got = golden.ternary_matmul(acts, weights)
    assert got.dtype == np.int64
    assert got.tolist() == slow_matmul(acts, weights)


def test_narrow_types_do_not_wrap():
    lowest = np.full((1, 300), -128, np.int8)
    assert golden.ternary_matmul(lowest, np.full((1, 300), -1, np.int8)).tolist() == [[38400]]


def test_sums_beyond_float64_are_exact():
    lowest = np.full((1, (1 << 23) + 1), -32768, np.int16)
    lowest[0, -1] = 1
    assert golden.matmul(lowest, lowest).tolist() == [[(1 << 53) + 1]]


MATMUL_FAULTS = {
    "vector": ([1, 2], [[1, 0]], "acts must be (T, N), found shape (2,)"),
    "three_axes": ([[1]], [[[1]]], "weights must be (M, N), found shape (1, 1, 1)"),
    "no_token": (np.zeros((0, 2), int), [[1, 0]], "acts must not be empty, found shape (0, 2)"),
    "float": ([[1.0]], [[1]], "acts must be integers, found float64"),
    "bool": ([[1]], [[True]], "weights must be integers, found bool"),
    "lengths": (
        [[1, 2, 3]],
        [[1, 0]],
        "acts and weights must have the same number of inputs N, found 3 and 2",
    ),
    "seventeen_bits": (
        [[0, 1], [32768, 2]],
        [[1, 0]],
        "acts must be -32768 … 32767; found 32768 at (1, 0)",
    ),
}


@pytest.mark.parametrize(("acts", "weights", "message"), MATMUL_FAULTS.values(), ids=MATMUL_FAULTS)
def test_matmul_refuses(acts, weights, message):
    assert refused(golden.matmul, acts, weights) == message
    assert refused(golden.ternary_matmul, acts, weights) == message


def test_matmul_refuses_wide_weights():
    message = "weights must be -32768 … 32767; found -32769 at (0, 1)"
    assert refused(golden.matmul, [[1, 2]], [[0, -32769]]) == message


@pytest.mark.parametrize("stray", [-2, 2])
def test_ternary_matmul_refuses_other_weights(stray):
    message = f"weights must be -1, 0 or +1; found {stray} at (1, 0)"
    assert refused(golden.ternary_matmul, [[1, 2]], [[0, 1], [stray, 0]]) == message


@pytest.mark.parametrize("overflow", ["wrap", "saturate"])
@pytest.mark.parametrize("acc_bits", [2, 7, 8, 63, 64])
@pytest.mark.parametrize("tile_n", [1, 3, 4, 11, 50])
def test_accumulate_matches_a_slow_accumulator(tile_n, acc_bits, overflow):
    rng = np.random.default_rng(3)
    acts, weights = rng.integers(-8, 8, (4, 11)), rng.integers(-1, 2, (5, 11))
    got = golden.accumulate(acts, weights, tile_n, acc_bits, overflow)
    assert got.dtype == np.int64
    assert got.tolist() == slow_accumulate(acts, weights, tile_n, acc_bits, overflow)


ACCUMULATE = {  # tile_n, overflow, result of 7 + 7 - 7 - 7 in 4 bits
    "saturate_each_input": (1, "saturate", -7),
    "saturate_pairs": (2, "saturate", -7),
    "saturate_three_then_one": (3, "saturate", 0),
    "saturate_one_tile": (4, "saturate", 0),
    "wrap_each_input": (1, "wrap", 0),
    "wrap_one_tile": (9, "wrap", 0),
}


@pytest.mark.parametrize(("tile_n", "overflow", "wanted"), ACCUMULATE.values(), ids=ACCUMULATE)
def test_accumulate_by_hand(tile_n, overflow, wanted):
    got = golden.accumulate([[7, 7, -7, -7]], [[1, 1, 1, 1]], tile_n, 4, overflow)
    assert got.tolist() == [[wanted]]


def test_the_first_tile_saturates_too():
    assert golden.accumulate([[9, -1]], [[1, 1]], 1, 4, "saturate").tolist() == [[6]]


def test_wrap_is_twos_complement():
    assert golden.accumulate([[8], [7], [-9]], [[1]], 1, 4, "wrap").ravel().tolist() == [-8, 7, 7]


ACCUMULATE_FAULTS = {
    "no_tile": (0, 8, "wrap", "tile_n must be at least 1, found 0"),
    "one_bit": (1, 1, "wrap", "acc_bits must be 2 … 64, found 1"),
    "too_wide": (1, 65, "saturate", "acc_bits must be 2 … 64, found 65"),
    "overflow": (1, 8, "clip", "overflow must be 'wrap' or 'saturate', found 'clip'"),
}


@pytest.mark.parametrize(
    ("tile_n", "acc_bits", "overflow", "message"), ACCUMULATE_FAULTS.values(), ids=ACCUMULATE_FAULTS
)
def test_accumulate_refuses(tile_n, acc_bits, overflow, message):
    args = ([[1]], [[1]], tile_n, acc_bits, overflow)
    assert refused(golden.accumulate, *args) == message


def test_keys_of_two_weights_by_hand():
    groups = [[0, 1], [1, -1], [1, 0], [1, 1], [0, 0], [0, -1], [-1, 1], [-1, 0], [-1, -1]]
    assert golden.keys_from_weights(groups, 2).ravel().tolist() == [0, 1, 2, 3, 4, 8, 9, 10, 11]


@pytest.mark.parametrize("mu", range(1, 9))
def test_every_group_has_its_own_key_and_comes_back(mu):
    groups = np.array(list(itertools.product((-1, 0, 1), repeat=mu)), np.int8)
    keys = golden.keys_from_weights(groups, mu)
    assert keys.dtype == np.uint16
    assert keys.ravel().tolist() == [slow_key(group) for group in groups.tolist()]
    assert len(np.unique(keys)) == 3**mu
    back = golden.weights_from_keys(keys, mu, mu)
    assert back.dtype == np.int8
    assert np.array_equal(back, groups)


@pytest.mark.parametrize("mu", range(1, 9))
def test_rows_are_padded_with_zeros(mu):
    weights = np.random.default_rng(4).integers(-1, 2, (3, 2 * mu + 1))
    keys = golden.keys_from_weights(weights, mu)
    padded = np.pad(weights, ((0, 0), (0, mu - 1)))
    assert keys.tolist() == [
        [slow_key(row[i : i + mu]) for i in range(0, 3 * mu, mu)] for row in padded.tolist()
    ]
    assert np.array_equal(golden.weights_from_keys(keys, mu, 2 * mu + 1), weights)


def test_the_sign_of_a_zero_group_is_ignored():
    assert golden.weights_from_keys([[0b1100]], 2, 2).tolist() == [[0, 0]]


def test_padding_may_be_any_legal_group():
    assert golden.weights_from_keys([[0, 3]], 2, 3).tolist() == [[0, 1, 1]]


KEY_FAULTS = {
    "index": (
        [[4, 0], [0, 13]],
        2,
        4,
        "keys must have an index of 0 … 4 for mu=2; found 5 at (1, 1)",
    ),
    "too_wide": ([[16]], 2, 2, "keys must be 0 … 15; found 16 at (0, 0)"),
    "negative": ([[-1]], 2, 2, "keys must be 0 … 15; found -1 at (0, 0)"),
    "groups": ([[0]], 2, 3, "3 inputs in groups of 2 need 2 keys per row, found 1"),
    "no_input": ([[0]], 2, 0, "in_features must be at least 1, found 0"),
    "mu_0": ([[0]], 0, 1, "mu must be 1 … 8, found 0"),
    "mu_9": ([[0]], 9, 1, "mu must be 1 … 8, found 9"),
    "vector": ([0], 1, 1, "keys must be (M, groups), found shape (1,)"),
    "float": ([[0.0]], 1, 1, "keys must be integers, found float64"),
}


@pytest.mark.parametrize(("keys", "mu", "N", "message"), KEY_FAULTS.values(), ids=KEY_FAULTS)
def test_weights_from_keys_refuses(keys, mu, N, message):
    assert refused(golden.weights_from_keys, keys, mu, N) == message


def test_keys_from_weights_refuses():
    assert refused(golden.keys_from_weights, [[0]], 9) == "mu must be 1 … 8, found 9"
    message = "weights must be -1, 0 or +1; found 3 at (0, 1)"
    assert refused(golden.keys_from_weights, [[0, 3]], 2) == message


TRITS = {
    "lowest": ([-1, -1, -1, -1, -1], [0]),
    "highest": ([1, 1, 1, 1, 1], [242]),
    "first_is_least": ([1, -1, -1, -1, -1], [2]),
    "last_is_most": ([-1, -1, -1, -1, 1], [162]),
    "padded_with_zero": ([-1], [120]),
    "two_bytes": ([0, 0, 0, 0, 0, 1], [121, 122]),
}


@pytest.mark.parametrize(("weights", "packed"), TRITS.values(), ids=TRITS)
def test_trits_by_hand(weights, packed):
    assert golden.pack_trits(weights).tolist() == packed
    assert golden.unpack_trits(packed, len(weights)).tolist() == weights


@pytest.mark.parametrize("shape", [(1,), (5,), (7, 3), (243, 5)])
@pytest.mark.parametrize("dtype", [np.int8, np.int64])
def test_trits_come_back(shape, dtype):
    weights = np.random.default_rng(5).integers(-1, 2, shape).astype(dtype)
    packed = golden.pack_trits(weights)
    assert packed.dtype == np.uint8
    back = golden.unpack_trits(packed, weights.size)
    assert back.dtype == np.int8
    assert np.array_equal(back.reshape(shape), weights)


TRIT_FAULTS = {
    "byte": ([0, 243], 10, "packed must be 0 … 242; found 243 at (1,)"),
    "short": ([0], 6, "6 weights at 5 per byte need shape (2,), found (1,)"),
    "long": ([0, 0], 5, "5 weights at 5 per byte need shape (1,), found (2,)"),
    "none": ([0], 0, "count must be at least 1, found 0"),
    "float": ([0.0], 5, "packed must be integers, found float64"),
}


@pytest.mark.parametrize(("packed", "count", "message"), TRIT_FAULTS.values(), ids=TRIT_FAULTS)
def test_unpack_trits_refuses(packed, count, message):
    assert refused(golden.unpack_trits, packed, count) == message


def test_pack_trits_refuses():
    message = "weights must be -1, 0 or +1; found -2 at (1,)"
    assert refused(golden.pack_trits, [1, -2]) == message
    assert refused(golden.pack_trits, [0.5]) == "weights must be integers, found float64"
    assert (
        refused(golden.pack_trits, np.zeros(0, int))
        == "weights must not be empty, found shape (0,)"
    )


@pytest.mark.parametrize("module", [golden, codebooks], ids=["integers", "codebooks"])
def test_golden_imports_numpy_and_golden_only(module):
    found = set()
    for node in ast.walk(ast.parse(Path(module.__file__).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    assert {name.partition(".")[0] for name in found - {"sim.golden"}} <= {
        "numpy",
        *sys.stdlib_module_names,
    }
