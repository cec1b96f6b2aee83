"""Inference between injected integer products, and the digits example end to end."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from math import sqrt

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from sim.checkpoints import (
    CheckpointError,
    Scales,
    TernaryLayer,
    open_checkpoint,
    pack_rows,
)
from sim.golden import integers as golden
from sim.nets.network import (
    Network,
    NetworkValueError,
    accuracy,
    golden_matmul,
    read_test_set,
)
from sim.nets.packaged import CHECKPOINTS

DIGITS = CHECKPOINTS["digits"]


def layer(name, weights, scale=1.0, convention="multiply"):
    return TernaryLayer(name, np.array(weights, np.int8), Scales(np.array([[scale]]), convention))


def network(activation="relu", eps=1e-15):
    first = layer("first", [[0, 1], [1, 0], [-1, 0]], 0.5)
    second = layer("second", [[0, 1, 0], [1, -1, 1]], 4.0, "divide")
    return Network((first, second), activation, eps)


class Recorder:
    """Golden products that remember what they were asked for."""

    def __init__(self):
        self.calls = []

    def __call__(self, layer, acts):
        self.calls.append((layer.name, acts.dtype, acts.tolist()))
        return golden_matmul(layer, acts)


# The image (3, 4) becomes (95, 127) and the products 127, 95, -95: the last is cut off by either
# activation. Its own absmax scales it back to 127, 95, 0, or their squares to 127, 71, 0.
HAND = {"relu": [127, 95, 0], "relu2": [127, 71, 0]}


@pytest.mark.parametrize(("activation", "acts"), HAND.items(), ids=HAND)
def test_two_layers_by_hand(activation, acts):
    matmul = Recorder()
    logits = network(activation).infer([[3, 4]], matmul)
    assert matmul.calls == [
        ("first", np.int8, [[95, 127]]),
        ("second", np.int8, [acts]),
    ]
    hidden = [127, 95, 0] if activation == "relu" else [127**2, 95**2, 0]
    absmax = hidden[0] / sqrt(sum(h * h for h in hidden) / 3)
    products = [acts[1], acts[0] - acts[1]]
    wanted = [p * absmax / 127 / 4.0 for p in products]
    assert logits.dtype == np.float64
    assert logits[0] == pytest.approx(wanted, rel=1e-12)


def test_a_single_layer_undoes_its_scales_and_has_no_activation():
    single = Network((layer("only", [[1, 1], [-1, 0]], 0.5),), "relu", 1e-15)
    rms = sqrt((4**2 + 2**2) / 2)
    # acts 127, round(63.5) = 64; products 191, -127; act scale 127 / (4 / rms).
    wanted = [191 * 0.5 * 4 / rms / 127, -127 * 0.5 * 4 / rms / 127]
    assert single.infer([[4, 2]], golden_matmul)[0] == pytest.approx(wanted, rel=1e-12)


def test_eps_keeps_an_empty_image_at_zero():
    assert network().infer([[0, 0]], golden_matmul).tolist() == [[0, 0]]


def test_eps_damps_a_faint_image():
    single = Network((layer("only", [[1]]),), "relu", 0.75)
    assert single.infer([[0.5]], golden_matmul)[0] == pytest.approx([0.5], rel=1e-12)  # sqrt(1)


def test_activation_width_is_passed_on():
    matmul = Recorder()
    network().infer([[3, 4]], matmul, act_bits=12)
    assert matmul.calls[0] == ("first", np.int16, [[1535, 2047]])  # 1535.25


def test_images_do_not_influence_each_other():
    images = np.random.default_rng(1).integers(0, 17, (9, 2))
    together = network().infer(images, golden_matmul)
    alone = [network().infer(images[i : i + 1], golden_matmul)[0] for i in range(9)]
    assert np.array_equal(together, alone)


def test_one_wrong_product_shows():
    def off_by_one(layer, acts):
        return golden_matmul(layer, acts) + (layer.name == "second")

    images = [[3, 4]]
    assert (network().infer(images, off_by_one) > network().infer(images, golden_matmul)).all()


IMAGE_FAULTS = {
    "vector": ([3, 4], "images must be (T, 2), found shape (2,)"),
    "width": ([[3, 4, 5]], "images must be (T, 2), found shape (1, 3)"),
    "none": (np.zeros((0, 2)), "images must be (T, 2), found shape (0, 2)"),
    "nan": (
        [[1.0, np.nan]],
        "images[0, 1]: should be finite, not nan; check where they come from",
    ),
    "infinite": (
        [[1.0, 2.0], [-np.inf, np.nan]],
        "images[1, 0]: should be finite, not -inf; check where they come from",
    ),
    "huge": (
        [[1.0, -1e200]],
        "images[0, 1]: should have a finite mean square with those of its token, not -1e+200; "
        "scale them down",
    ),
}


@pytest.mark.parametrize(("images", "message"), IMAGE_FAULTS.values(), ids=IMAGE_FAULTS)
def test_infer_refuses(images, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
        network().infer(images, golden_matmul)
    assert str(caught.value) == message


def codes(*values):
    """A matmul that gives these codes for the first layer, and 0 for the second."""
    return lambda layer, acts: np.array([[values if layer.name == "first" else (0, 0)]])


E4M3, E5M2 = "fp8_e4m3", "fp8_e5m2"
SCALED = "check the weight_scale of first"
VALUE_FAULTS = {  # scale of the first layer, activation, matmul and format, message
    "outputs_overflow": (
        1.7e308,
        "relu",
        (golden_matmul,),
        "first: outputs[0, 0]: should be finite, not inf; check its weight_scale",
    ),
    "inputs_cannot_be_squared": (
        1e200,
        "relu",
        (golden_matmul,),
        "second: inputs[0, 0]: should have a finite mean square with those of its token, "
        f"not 1.13137e+200; {SCALED}",
    ),
    "activation_overflows": (
        1e200,
        "relu2",
        (golden_matmul,),
        "second: inputs[0, 0]: should have a finite mean square with those of its token, "
        f"not inf; {SCALED}",
    ),
    "nan_from_a_core": (
        1.0,
        "relu",
        (codes(0, 0x7E, 0xFF), 8, E4M3),
        "first: outputs[0, 2]: should be finite in fp8_e4m3, not nan; "
        "use a core whose sum_format has a wider range",
    ),
    "infinity_from_a_core": (
        1.0,
        "relu",
        (codes(0xFC, 0x7C, 0), 8, E5M2),
        "first: outputs[0, 0]: should be finite in fp8_e5m2, not -inf; "
        "use a core whose sum_format has a wider range",
    ),
}


@pytest.mark.parametrize(
    ("scale", "activation", "how", "message"), VALUE_FAULTS.values(), ids=VALUE_FAULTS
)
def test_infer_says_where_a_value_got_lost(scale, activation, how, message):
    layers = (layer("first", [[0, 1], [1, 0], [-1, 0]], scale), network().layers[1])
    with pytest.raises(NetworkValueError) as caught:
        Network(layers, activation, 1e-15).infer([[3, 4]], *how)
    assert str(caught.value) == message


def test_activations_that_a_format_cannot_hold():
    """One bright pixel among 2^18: normalised it is 512, where fp8_e4m3 ends at 448."""
    wide = Network((layer("wide", np.ones((1, 1 << 18))),), "relu", 1e-15)
    images = np.zeros((2, 1 << 18))
    images[0], images[1, 77] = 1, 1
    matmul = lambda layer, acts: np.zeros((1, 2, 1), np.int64)  # noqa: E731
    assert wide.infer(images, matmul, number="fp16").tolist() == [[0], [0]]
    with pytest.raises(NetworkValueError) as caught:
        wide.infer(images, matmul, number=E4M3)
    assert str(caught.value) == (
        "wide: inputs[1, 77]: should be finite in fp8_e4m3, not 512; "
        "use a core whose act has a wider range"
    )


SCALE_FAULTS = {
    "nan": (np.nan, "multiply", "should be finite and above 0, not nan"),
    "negative": (-0.5, "divide", "should be finite and above 0, not -0.5"),
    "without_inverse": (1e-310, "divide", "should be large enough to divide by, not 1e-310"),
}


@pytest.mark.parametrize(
    ("scale", "convention", "message"), SCALE_FAULTS.values(), ids=SCALE_FAULTS
)
def test_a_layer_refuses_scales(scale, convention, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
        layer("only", [[1]], scale, convention)
    assert str(caught.value) == f"only: scale: {message}"


PRODUCT_FAULTS = {
    "float": (np.zeros((1, 1, 3)), "found float64 of shape (1, 1, 3)"),
    "padded": (np.zeros((1, 1, 4), np.int64), "found int64 of shape (1, 1, 4)"),
}


@pytest.mark.parametrize(("products", "found"), PRODUCT_FAULTS.values(), ids=PRODUCT_FAULTS)
def test_infer_refuses_products(products, found):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
        network().infer([[3, 4]], lambda layer, acts: products)
    assert str(caught.value) == f"first: products must be (1, 1, 3) integers, {found}"


def test_accuracy():
    logits = [[1.0, 2.0], [3.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    assert accuracy(logits, [1, 0, 0, 0]) == 0.75  # The third: the first of equals.


def test_accuracy_refuses():
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
        accuracy([[1.0, 2.0]], [0, 1])
    message = "logits must be (T, classes) and labels (T,), found (1, 2) and (2,)"
    assert str(caught.value) == message
    with pytest.raises(NetworkValueError) as strange:
        accuracy([[1.0, 2.0], [0.0, np.nan]], [0, 1])
    message = "logits[1, 1]: should be finite, not nan; check the layers' outputs"
    assert str(strange.value) == message


def write(folder, sizes=((3, 2), (2, 3)), **changes):
    """A folder with one random layer for each of ``sizes``, (outputs, inputs)."""
    rng = np.random.default_rng(2)
    tensors, entries = {}, []
    for i, (rows, columns) in enumerate(sizes):
        tensors[f"layers.{i}.weight"] = pack_rows(rng.integers(0, 2, (rows, columns)))
        tensors[f"layers.{i}.weight_scale"] = np.array([0.5], np.float32)
        entries.append({"name": f"layers.{i}", "out_features": rows, "in_features": columns})
    config = {
        "hidden_act": "relu2",
        "rms_norm_eps": 1e-6,
        "layers": entries,
        "quantization_config": {"quant_method": "bitnet", "linear_class": "autobitlinear"},
    }
    (folder / "config.json").write_text(json.dumps(config | changes))
    save_file(tensors, folder / "model.safetensors")
    return folder


def test_load(tmp_path):
    loaded = Network.load(open_checkpoint(write(tmp_path)))
    assert [layer.weights.shape for layer in loaded.layers] == [(3, 2), (2, 3)]
    assert (loaded.activation, loaded.rms_norm_eps) == ("relu2", 1e-6)


def test_norms_inside_layers(tmp_path):
    """By hand: the network's norm, then the layer's with its gains and its own epsilon."""
    quantization = {"quant_method": "bitnet", "linear_class": "autobitlinear"}
    quantization |= {"use_rms_norm": True, "rms_norm_eps": 0.5}
    folder = write(tmp_path, ((3, 2),), quantization_config=quantization, rms_norm_eps=1e-9)
    tensors = load_file(folder / "model.safetensors")
    gains = np.array([3.0, -0.5], np.float32)
    save_file(tensors | {"layers.0.rms_norm.weight": gains}, folder / "model.safetensors")
    loaded = Network.load(open_checkpoint(folder))
    assert loaded.inner_norm_eps == 0.5
    (only,) = loaded.layers
    x = np.array([3.0, 4.0]) / sqrt((3**2 + 4**2) / 2)
    x = x / sqrt((x @ x) / 2 + 0.5) * gains
    scale = 127 / np.abs(x).max()
    wanted = only.weights.astype(float) @ np.round(x * scale) * 0.5 / scale
    assert loaded.infer([[3, 4]], golden_matmul)[0] == pytest.approx(wanted, rel=1e-6)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"layers\.0: should have rms_norm\.weight"):
        Network.load(open_checkpoint(folder))


LOAD_FAULTS = {
    "activation": (
        {"hidden_act": "gelu"},
        "hidden_act: should be 'relu' or 'relu2', not 'gelu'",
    ),
    "no_activation": ({"hidden_act": None}, "hidden_act: should be 'relu' or 'relu2', not None"),
    "no_eps": ({"rms_norm_eps": None}, "rms_norm_eps: should be a number, not missing"),
    "chain": (
        {"sizes": ((3, 2), (2, 4))},
        "layers.1: in_features should be the 3 outputs of layers.0, not 4",
    ),
}


@pytest.mark.parametrize(("changes", "message"), LOAD_FAULTS.values(), ids=LOAD_FAULTS)
def test_load_refuses(tmp_path, changes, message):
    write(tmp_path, **changes)
    with pytest.raises(CheckpointError) as caught:
        Network.load(open_checkpoint(tmp_path))
    assert str(caught.value) == f"{tmp_path / 'config.json'}: {message}"


def test_unfit_test_set(tmp_path):
    images, labels = np.zeros((3, 64), np.uint8), np.zeros(2, np.uint8)
    save_file({"images": images, "labels": labels}, tmp_path / "test.safetensors")
    with pytest.raises(CheckpointError) as caught:
        read_test_set(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path / 'test.safetensors'}: images should be (T, N) and labels (T,), "
        "not (3, 64) and (2,)"
    )


def test_digits_test_set_holds_every_digit_alike():
    images, labels = read_test_set(DIGITS)
    assert images.shape == (360, 64)
    assert images.max() == 16
    assert set(np.bincount(labels).tolist()) <= {34, 35, 36, 37}
    assert len(np.unique(images, axis=0)) == 360


def test_digits_shapes():
    loaded = Network.load(open_checkpoint(DIGITS))
    assert [layer.weights.shape for layer in loaded.layers] == [(256, 64), (128, 256), (10, 128)]


def test_digits_are_recognised():
    images, labels = read_test_set(DIGITS)
    logits = Network.load(open_checkpoint(DIGITS)).infer(images, golden_matmul)
    assert accuracy(logits, labels) >= 0.95


@pytest.mark.skipif(
    importlib.util.find_spec("sklearn") is None,
    reason="scikit-learn is missing: pip install 'hwgen[train]'",
)
def test_training_again_gives_the_same_bytes(tmp_path):
    shutil.copy(DIGITS / "train.py", tmp_path)
    run = subprocess.run(
        [sys.executable, "train.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout == f"{tmp_path / 'model.safetensors'}\n"
    for name in ("config.json", "model.safetensors", "test.safetensors"):
        assert (tmp_path / name).read_bytes() == (DIGITS / name).read_bytes(), name


def test_wide_accumulators_leave_the_digits_alone_and_narrow_ones_do_not():
    """The injected product is what decides: 17 bits hold every sum of 256 int8, 8 do not."""
    images, _ = read_test_set(DIGITS)
    digits = Network.load(open_checkpoint(DIGITS))
    exact = digits.infer(images, golden_matmul)

    def accumulator(acc_bits):
        return lambda layer, acts: golden.accumulate(acts, layer.weights, 8, acc_bits, "wrap")[None]

    assert np.array_equal(digits.infer(images, accumulator(17)), exact)
    assert not np.array_equal(digits.infer(images, accumulator(8)), exact)
