"""Inference of a small ternary network: integer products from outside, the rest in float64.

The products are injected, so that golden and generated hardware run the same network: equal
integers give equal results, bit for bit. NaN and infinities are refused where they first appear.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim.checkpoints import (
    Checkpoint,
    CheckpointError,
    TernaryLayer,
    first_strange,
    read_layer,
    read_tensor,
)
from sim.golden import fixed as golden_fixed
from sim.golden import integers as golden
from sim.nets.quantise import activations_absmax

TEST_FILE = "test.safetensors"


class NetworkValueError(ValueError):
    """A value with which inference cannot continue: layer, token, index, and the remedy."""


Matmul = Callable[[TernaryLayer, NDArray[np.signedinteger]], NDArray[np.int64]]
"""(layer, acts (T, N) int8 or int16) -> exact products (segments, T, M) of each segment."""


def golden_matmul(layer: TernaryLayer, acts: NDArray[np.signedinteger]) -> NDArray[np.int64]:
    """The exact products of one layer, int64, from :mod:`sim.golden.integers`."""
    width = layer.in_features // layer.segments
    return np.stack(
        [
            golden.ternary_matmul(
                acts[:, first : first + width], layer.weights[:, first : first + width]
            )
            for first in range(0, layer.in_features, width)
        ]
    )


def relu(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """``max(x, 0)``, the activation ``relu``."""
    return np.maximum(x, 0)


def relu2(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """``max(x, 0)^2``, the activation ``relu2`` of BitNet b1.58 2B4T."""
    return np.square(np.maximum(x, 0))


ACTIVATIONS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "relu": relu,
    "relu2": relu2,
}


def rms_norm(x: NDArray[np.float64], eps: float) -> NDArray[np.float64]:
    """``x / sqrt(mean(x^2) + eps)`` for each token of (T, N); no learned gain."""
    result: NDArray[np.float64] = x / np.sqrt(np.mean(x * x, axis=1, keepdims=True) + eps)
    return result


@dataclass(frozen=True, eq=False)
class Network:
    """A chain of ternary linear layers with an activation function between them.

    layers: the outputs of each are the inputs of the next; at least one.
    activation: "relu" or "relu2"; none follows the last layer.
    rms_norm_eps: of the normalisation before each layer's quantiser, above 0.
    inner_norm_eps: of a norm with learned gains after it, in layers that have one.
    """

    layers: tuple[TernaryLayer, ...]
    activation: str
    rms_norm_eps: float
    inner_norm_eps: float | None = None

    @classmethod
    def load(cls, checkpoint: Checkpoint) -> Network:
        """Read a checkpoint whose config.json lists its layers.

        CheckpointError if it does not, or the layers do not form a chain.
        """
        config = checkpoint.config
        if config is None or config.layers is None:
            raise CheckpointError(
                f"{checkpoint.path}: should have a config.json that lists its layers in order, "
                "as a chain"
            )
        if config.hidden_act not in ACTIVATIONS:
            raise CheckpointError(
                f"{config.file}: hidden_act: should be {' or '.join(map(repr, ACTIVATIONS))}, "
                f"not {config.hidden_act!r}"
            )
        if config.rms_norm_eps is None:
            raise CheckpointError(f"{config.file}: rms_norm_eps: should be a number, not missing")
        layers = tuple(read_layer(matrix) for matrix in checkpoint.matrices)
        for before, after in pairwise(layers):
            if before.out_features != after.in_features:
                raise CheckpointError(
                    f"{config.file}: {after.name}: in_features should be the "
                    f"{before.out_features} outputs of {before.name}, not {after.in_features}"
                )
        quantization = config.quantization
        inner = None if quantization is None else quantization.inner_norm_eps
        return cls(layers, config.hidden_act, config.rms_norm_eps, inner)

    def infer(
        self,
        images: ArrayLike,
        matmul: Matmul,
        act_bits: int = 8,
        number: str | None = None,
        sums: str | None = None,
    ) -> NDArray[np.float64]:
        """Logits of a batch.

        Per layer: RMS normalisation, activations to ``act_bits`` integers per token, integer
        product by ``matmul``, both scales undone, activation function. With ``number``, the name
        of a floating-point format, activations are rounded to it without a scale, and ``matmul``
        takes codes and gives those of the format ``sums``.

        images: (T, N of the first layer) real numbers, finite.
        act_bits: 2 … 16.
        number: "fp16", "bf16", "fp8_e4m3" or "fp8_e5m2". sums: also "fp32"; default ``number``.
        Returns (T, M of the last layer) float64, finite. ValueError for anything else;
        NetworkValueError where a value on the way is NaN, infinite, or too large for ``number``.
        """
        x = np.asarray(images, np.float64)
        if x.ndim != 2 or not len(x) or x.shape[1] != self.layers[0].in_features:
            raise ValueError(
                f"images must be (T, {self.layers[0].in_features}), found shape {x.shape}"
            )
        check_finite("images", x, "check where they come from")
        activation = ACTIVATIONS[self.activation]
        for i, layer in enumerate(self.layers):
            if i:
                before = self.layers[i - 1].name
                with np.errstate(over="ignore"):
                    x = activation(x)
                check_squares(f"{layer.name}: inputs", x, f"check the weight_scale of {before}")
            else:
                check_squares("images", x, "scale them down")
            x = rms_norm(x, self.rms_norm_eps)
            if layer.inner_norm is not None:
                assert self.inner_norm_eps is not None
                x = rms_norm(x, self.inner_norm_eps) * layer.inner_norm
            if number is None:
                acts, act_scale = activations_absmax(x, act_bits)
            else:
                acts, act_scale = _encoded(layer.name, x, number), np.ones(len(x))
            products = matmul(layer, acts)
            check_products(layer, products, len(acts))
            values = products.astype(np.float64)
            if number is not None:
                values = golden_fixed.decode(products, sums or number)
                hint = "use a core whose sum_format has a wider range"
                legal = f"finite in {sums or number}"
                for segment in values:
                    check_finite(f"{layer.name}: outputs", segment, hint, legal)
            with np.errstate(over="ignore"):
                x = layer.outputs(values, act_scale)
            check_finite(f"{layer.name}: outputs", x, "check its weight_scale")
        return x


def check_products(layer: TernaryLayer, products: NDArray[Any], tokens: int) -> None:
    """ValueError unless a matmul gave integers of the right shape."""
    shape = (layer.segments, tokens, layer.out_features)
    if products.shape != shape or products.dtype.kind not in "iu":
        raise ValueError(
            f"{layer.name}: products must be {shape} integers, "
            f"found {products.dtype} of shape {products.shape}"
        )


def _encoded(layer: str, x: NDArray[np.float64], number: str) -> NDArray[Any]:
    """Codes of a layer's activations; NetworkValueError where one is too large for the format."""
    codes = golden_fixed.encode(x, number)
    place = first_strange(golden_fixed.decode(codes, number))
    if place is not None:
        raise NetworkValueError(
            f"{layer}: inputs{list(place)}: should be finite in {number}, "
            f"not {x[place]:.6g}; use a core whose act has a wider range"
        )
    return codes


def check_finite(what: str, x: NDArray[np.float64], hint: str, legal: str = "finite") -> None:
    """NetworkValueError at the first value that is NaN or infinite. what: whose values they are."""
    if (place := first_strange(x)) is not None:
        raise NetworkValueError(
            f"{what}{list(place)}: should be {legal}, not {x[place]:.6g}; {hint}"
        )


def check_squares(what: str, x: NDArray[np.float64], hint: str) -> None:
    """NetworkValueError for a token of (T, N) whose mean square overflows.

    To normalise it would give 0 or NaN. what: whose values they are.
    """
    with np.errstate(over="ignore"):
        power = np.mean(x * x, axis=1)
    if (token := first_strange(power)) is not None:
        largest = (*token, int(np.argmax(np.abs(x[token]))))
        raise NetworkValueError(
            f"{what}{list(largest)}: should have a finite mean square with those of its token, "
            f"not {x[largest]:.6g}; {hint}"
        )


def accuracy(logits: ArrayLike, labels: ArrayLike) -> float:
    """Share of the tokens whose largest logit, the first of equals, is their label; 0 … 1.

    logits: (T, classes) real numbers, finite.
    labels: (T,) integers, 0 … classes - 1.
    """
    scores, wanted = np.asarray(logits), np.asarray(labels)
    if scores.ndim != 2 or not scores.size or wanted.shape != scores.shape[:1]:
        raise ValueError(
            f"logits must be (T, classes) and labels (T,), found {scores.shape} and {wanted.shape}"
        )
    check_finite("logits", scores, "check the layers' outputs")
    return float(np.mean(scores.argmax(axis=1) == wanted))


def read_test_set(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images (T, N) uint8 and labels (T,) uint8 of test.safetensors; CheckpointError if unfit."""
    file = folder / TEST_FILE
    images, labels = (read_tensor(file, name, "U8") for name in ("images", "labels"))
    if images.ndim != 2 or labels.shape != images.shape[:1]:
        raise CheckpointError(
            f"{file}: images should be (T, N) and labels (T,), "
            f"not {images.shape} and {labels.shape}"
        )
    return images, labels
