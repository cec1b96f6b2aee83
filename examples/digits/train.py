"""Train the network `digits` on scikit-learn's handwritten digits, by the rules of BitNet b1.58.

    python examples/digits/train.py              train, test, write the packaged checkpoint
    python examples/digits/train.py --validate   train on part of the training set, score the rest

The network is 64 -> 256 -> 128 -> 10 with ReLU in between. In every forward pass the weights are
ternary (absmean), the activations int8 (absmax of each image), normalised by their root mean square
without a learned gain (arXiv 2402.17764). Gradients pass both quantisers unchanged (straight
through) and move latent float weights, with Adam and a linearly falling step.

The settings below were chosen with --validate; the test images take no part in training or in
that choice. They are scored at the end, by the integer golden inference.

The images are those of the UCI data set "Optical Recognition of Handwritten Digits" (E. Alpaydin
and C. Kaynak, 1998, CC BY 4.0): 1797 of 8 x 8 pixels, 0 … 16; 360 of them go to test.safetensors.

Runs are repeatable to the byte: what enters a matrix product is an integer or a multiple of
GRID, so that sums are exact whatever order the BLAS of a machine adds in.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from sklearn.datasets import load_digits

from sim.checkpoints import MODEL_FILE, open_checkpoint, pack_rows
from sim.nets.network import TEST_FILE, Network, accuracy, golden_matmul, read_test_set
from sim.nets.packaged import CHECKPOINTS
from sim.nets.quantise import activations_absmax, weights_absmean

FOLDER = CHECKPOINTS["digits"]
SHAPES = ((256, 64), (128, 256), (10, 128))  # (outputs, inputs) of each layer
RMS_NORM_EPS = 1e-5
GRID = 2.0**-36  # of gradients; products stay far below 2^53 grid steps

SEED = 2402
EPOCHS = 120
EPOCHS_PER_LINE = 20
BATCH = 64
STEP = 2e-3  # of Adam, falling linearly to 0
BETA1, BETA2, ADAM_EPS = 0.9, 0.999, 1e-8

Floats = NDArray[np.float64]


@dataclass
class Latent:
    """Float weights (M, N) of one layer and the two moments Adam keeps of their gradient."""

    weights: Floats
    mean: Floats
    square: Floats


@dataclass(frozen=True)
class Saved:
    """What the backward pass needs of one layer's forward pass over T images.

    ternary (M, N) int8; gain: float value of one weight step; normed (T, N): input after the RMS
    normalisation; rms (T, 1); acts (T, N) int8 and act_scale (T, 1); outputs (T, M).
    """

    ternary: NDArray[np.int8]
    gain: float
    normed: Floats
    rms: Floats
    acts: NDArray[np.signedinteger]
    act_scale: Floats
    outputs: Floats


def split(labels: NDArray[np.integer], seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices of four fifths and of one fifth of the images, every digit in both alike."""
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    held_out = np.arange(len(order)) % 5 == 0
    return order[~held_out], order[held_out]


def forward(x: Floats, layers: list[Latent]) -> list[Saved]:
    """One pass of (T, 64) images as the quantised network computes it."""
    saved: list[Saved] = []
    for layer in layers:
        if saved:
            x = np.maximum(saved[-1].outputs, 0)
        rms = np.sqrt(np.mean(x * x, axis=1, keepdims=True) + RMS_NORM_EPS)
        normed = x / rms
        acts, scale = activations_absmax(normed)
        ternary, weight_scale = weights_absmean(layer.weights)
        products = acts.astype(np.float64) @ ternary.T.astype(np.float64)
        gain, act_scale = 1 / weight_scale, scale[:, None]
        outputs = products * (gain / act_scale)
        saved.append(Saved(ternary, gain, normed, rms, acts, act_scale, outputs))
    return saved


def backward(saved: list[Saved], grad: Floats) -> list[Floats]:
    """Gradients (M, N) of every layer's latent weights, from that of the logits (T, 10)."""
    grads: list[Floats] = []
    for i, layer in reversed(list(enumerate(saved))):
        grads.append(on_grid(grad / layer.act_scale).T @ layer.acts.astype(np.float64))
        if i:
            back = on_grid(grad * layer.gain) @ layer.ternary.astype(np.float64)
            along = np.mean(back * layer.normed, axis=1, keepdims=True)
            grad = (back - layer.normed * along) / layer.rms * (saved[i - 1].outputs > 0)
    return grads[::-1]


def on_grid(x: Floats) -> Floats:
    """The nearest multiples of GRID."""
    return np.round(x / GRID) * GRID


def softmax(logits: Floats) -> Floats:
    """Probabilities (T, 10), rounded to GRID: exp may differ between machines in its last bit."""
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return on_grid(exponentials / exponentials.sum(axis=1, keepdims=True))


def batches(
    images: NDArray[np.uint8], labels: NDArray[np.integer], rng: np.random.Generator
) -> Iterator[tuple[Floats, Floats]]:
    """One epoch of (images (T, 64), one-hot labels (T, 10)) in random order."""
    order = rng.permutation(len(images))
    for start in range(0, len(order), BATCH):
        pick = order[start : start + BATCH]
        yield images[pick].astype(np.float64), np.eye(10)[labels[pick]]


def train(images: NDArray[np.uint8], labels: NDArray[np.integer]) -> list[Latent]:
    """The trained layers; one line of progress per EPOCHS_PER_LINE epochs on stderr."""
    rng = np.random.default_rng(SEED)
    layers = []
    for shape in SHAPES:
        weights = rng.normal(size=shape) / np.sqrt(shape[1])
        layers.append(Latent(weights, np.zeros(shape), np.zeros(shape)))
    steps = EPOCHS * -(-len(images) // BATCH)
    decay1 = decay2 = 1.0
    step = STEP
    for epoch in range(1, EPOCHS + 1):
        loss, right = 0.0, 0
        for x, wanted in batches(images, labels, rng):
            saved = forward(x, layers)
            probabilities = softmax(saved[-1].outputs)
            loss -= float(np.log(np.maximum((probabilities * wanted).sum(axis=1), GRID)).sum())
            right += int((probabilities.argmax(axis=1) == wanted.argmax(axis=1)).sum())
            decay1, decay2 = decay1 * BETA1, decay2 * BETA2
            for layer, grad in zip(layers, backward(saved, probabilities - wanted), strict=True):
                layer.mean = BETA1 * layer.mean + (1 - BETA1) * grad
                layer.square = BETA2 * layer.square + (1 - BETA2) * grad * grad
                spread = np.sqrt(layer.square / (1 - decay2)) + ADAM_EPS
                layer.weights -= step / (1 - decay1) * layer.mean / spread
            step -= STEP / steps
        if epoch % EPOCHS_PER_LINE == 0:
            print(
                f"epoch {epoch}/{EPOCHS}: training loss {loss / len(images):.4f}, "
                f"accuracy {right / len(images):.4f}",
                file=sys.stderr,
            )
    return layers


def write(folder: Path, layers: list[Latent]) -> None:
    """Write model.safetensors and config.json."""
    tensors: dict[str, np.ndarray] = {}
    entries = []
    for i, layer in enumerate(layers):
        ternary, scale = weights_absmean(layer.weights)
        tensors[f"layers.{i}.weight"] = pack_rows(ternary)
        tensors[f"layers.{i}.weight_scale"] = np.array([1 / scale], np.float32)
        rows, columns = ternary.shape
        entries.append({"name": f"layers.{i}", "in_features": columns, "out_features": rows})
    save_file(tensors, folder / MODEL_FILE)
    config = {
        "architectures": ["DigitsMLP"],
        "hidden_act": "relu",
        "rms_norm_eps": RMS_NORM_EPS,
        "layers": entries,
        "quantization_config": {
            "quant_method": "bitnet",
            "linear_class": "autobitlinear",
            "quantization_mode": "offline",
        },
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the digits example.")
    parser.add_argument(
        "--validate", action="store_true", help="hold out training images; write nothing"
    )
    validate = parser.parse_args().validate
    digits = load_digits()
    images, labels = digits.data.astype(np.uint8), digits.target.astype(np.uint8)
    training, test = split(labels, SEED)
    if validate:
        training, held_out = (training[part] for part in split(labels[training], SEED + 1))
        layers = train(images[training], labels[training])
        logits = forward(images[held_out].astype(np.float64), layers)[-1].outputs
        print(f"validation accuracy {accuracy(logits, labels[held_out]):.4f}")
        return
    write(FOLDER, train(images[training], labels[training]))
    save_file({"images": images[test], "labels": labels[test]}, FOLDER / TEST_FILE)
    test_images, test_labels = read_test_set(FOLDER)
    logits = Network.load(open_checkpoint(FOLDER)).infer(test_images, golden_matmul)
    print(f"test accuracy {accuracy(logits, test_labels):.4f}", file=sys.stderr)
    print(FOLDER / MODEL_FILE)


if __name__ == "__main__":
    main()
