"""Quantisers of BitNet b1.58 against hand-computed cases and their defining properties."""

from __future__ import annotations

import numpy as np
import pytest

from sim.nets.quantise import activations_absmax, weights_absmean

WEIGHTS = {  # float weights, ternary, scale = 1 / mean
    "signs": ([[2.0, -2.0]], [[1, -1]], 0.5),
    "clamped": ([[3.0, 0.5, -0.5, 0.0]], [[1, 0, 0, 0]], 1.0),  # 0.5 * 1 rounds to even
    "above_half": ([[0.5, -0.1, -0.9]], [[1, 0, -1]], 2.0),
    "all_zero": ([[0.0, 0.0]], [[0, 0]], 1e5),
    "below_eps": ([[4e-6, -6e-6]], [[0, -1]], 1e5),
}


@pytest.mark.parametrize(("w", "ternary", "scale"), WEIGHTS.values(), ids=WEIGHTS)
def test_weights_by_hand(w, ternary, scale):
    got, got_scale = weights_absmean(w)
    assert got.dtype == np.int8
    assert got.tolist() == ternary
    assert got_scale == pytest.approx(scale, rel=1e-12)


def test_ternary_weights_minimise_the_distance_on_their_grid():
    w = np.random.default_rng(1).normal(size=(31, 17))
    ternary, scale = weights_absmean(w)
    distances = [abs(w - value / scale) for value in (-1, 0, 1)]
    assert np.array_equal(abs(w - ternary / scale), np.minimum.reduce(distances))


def test_scaling_the_weights_scales_only_the_scale():
    w = np.random.default_rng(2).normal(size=(8, 9))
    ternary, scale = weights_absmean(w)
    again, again_scale = weights_absmean(4 * w)
    assert np.array_equal(again, ternary)
    assert again_scale == scale / 4


ACTS = {  # one token, bits, integers, scale
    "int8": ([0.5, -2.0], 8, [32, -127], 63.5),  # 31.75
    "half_to_even": ([127.0, 0.5, 1.5, -0.5], 8, [127, 0, 2, 0], 1.0),
    "int2": ([0.4, -0.6, 1.0], 2, [0, -1, 1], 1.0),
    "int9": ([1.0, -1.0, 0.0], 9, [255, -255, 0], 255.0),
    "int16": ([1.0, -0.5], 16, [32767, -16384], 32767.0),  # -16383.5
    "all_zero": ([0.0, 0.0], 8, [0, 0], 127e5),
}


@pytest.mark.parametrize(("x", "bits", "integers", "scale"), ACTS.values(), ids=ACTS)
def test_activations_by_hand(x, bits, integers, scale):
    got, got_scale = activations_absmax([x], bits)
    assert got.dtype == (np.int8 if bits <= 8 else np.int16)
    assert got.tolist() == [integers]
    assert got_scale == pytest.approx([scale], rel=1e-12)


@pytest.mark.parametrize("bits", [2, 3, 8, 9, 16])
def test_every_token_uses_its_whole_range_and_is_off_by_half_a_step(bits):
    x = np.random.default_rng(3).normal(size=(20, 33)) * np.logspace(-4, 4, 20)[:, None]
    integers, scale = activations_absmax(x, bits)
    assert scale.shape == (20,)
    assert abs(integers.astype(int)).max(axis=1).tolist() == [2 ** (bits - 1) - 1] * 20
    assert (abs(integers / scale[:, None] - x) <= (0.5 + 1e-9) / scale[:, None]).all()


FAULTS = {
    "empty": (weights_absmean, (np.zeros((0, 3)),), "w must not be empty, found shape (0, 3)"),
    "nan": (weights_absmean, ([[0.0, np.nan]],), "w must be finite, found nan at (0, 1)"),
    "too_large": (
        weights_absmean,
        ([[1.5e308, -1.0, 1e308]],),
        "w must have a finite sum, found up to 1.5e+308",
    ),
    "infinite": (
        activations_absmax,
        ([[1.0], [-np.inf]],),
        "x must be finite, found -inf at (1, 0)",
    ),
    "vector": (activations_absmax, ([1.0],), "x must be (T, N), found shape (1,)"),
    "one_bit": (activations_absmax, ([[1.0]], 1), "bits must be 2 … 16, found 1"),
    "too_wide": (activations_absmax, ([[1.0]], 17), "bits must be 2 … 16, found 17"),
}


@pytest.mark.parametrize(("function", "args", "message"), FAULTS.values(), ids=FAULTS)
def test_refused(function, args, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
        function(*args)
    assert str(caught.value) == message
