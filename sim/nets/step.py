"""One decode step through all ternary layers of a model: the golden model, layer by layer.

A token that nobody wrote passes decoder blocks as BitNet b1.58 2B4T has them, at position 0 of an
empty cache, where attention gives every query the values of its group::

    x = x + o(norm(attention(q(n), k(n), v(n))))    n = norm(x)
    x = x + down(norm(relu2(gate(n)) * up(n)))      n = norm(x)

Weights are a checkpoint's, or random; norms have no learned gains. So each layer's input is what
the golden layers before it gave, and hardware that computes every layer right computes the step.
Only one layer's weights need to be in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgen.spec.config import CoreConfig
from hwgen.spec.system import System
from sim.checkpoints import Checkpoint, CheckpointError, Scales, read_layer
from sim.checkpoints.architecture import Architecture
from sim.checkpoints.families import ROLES
from sim.golden import fixed as golden_fixed
from sim.nets.network import relu2, rms_norm
from sim.nets.quantise import activations_absmax
from sim.workload.layers import Linear, Plan, run_golden
from sim.workload.stimulus import density, random_weights

ZERO_BYTES = 108
"""Byte values of 256 that stand for weight 0: 42.19 %, as in BitNet b1.58 2B4T (BITCOS,
arXiv 2609.16338, table I)."""
EPS = 1e-5
GetLayer = Callable[[int, str], Linear]
"""(decoder layer, role) -> its weights."""

_WEIGHT = np.repeat(
    np.array([0, 1, -1], np.int8), [ZERO_BYTES, (256 - ZERO_BYTES) // 2, (256 - ZERO_BYTES) // 2]
)


@dataclass(frozen=True, eq=False)
class Piece:
    """One layer of the step: its input in the core's type, its weights, and the golden products."""

    plan: Plan
    linear: Linear
    acts: NDArray[Any]
    expected: list[list[NDArray[np.int64]]]


def random_layers(architecture: Architecture, seed: int, core: CoreConfig) -> GetLayer:
    """Random weights in a model's shapes, the same for the same seed whatever else is drawn.

    They are as dense as BitNet's, or as the core's codebook. Outputs have a variance of about 1
    where inputs have.
    """
    shapes = architecture.shapes()
    dense = 1 - ZERO_BYTES / 256 if core.book.holds_all else density(core)

    def layer(index: int, role: str) -> Linear:
        shape = shapes[role]
        rng = np.random.default_rng([seed, index, ROLES.index(role)])
        if core.book.holds_all:
            drawn = np.frombuffer(rng.bytes(shape[0] * shape[1]), np.uint8)
            weights = _WEIGHT[drawn].reshape(shape)
        else:
            weights = random_weights(core, rng, shape)
        scale = (shape[1] * dense) ** -0.5
        return Linear(
            f"layers.{index}.{role}",
            weights,
            Scales(np.full((1, 1), scale), "multiply"),
        )

    return layer


def checkpoint_layers(checkpoint: Checkpoint) -> tuple[Architecture, GetLayer]:
    """A checkpoint's weights, each matrix read when it is asked for, and the model's sizes.

    CheckpointError unless it is a decoder with a gate, all of whose layers are alike and whole.
    """
    wanted = checkpoint.wanted
    sizes = None if isinstance(wanted, str) else wanted.uniform
    if isinstance(wanted, str) or sizes is None or sizes.roles != ROLES:
        reason = wanted if isinstance(wanted, str) else "its layers are of other kinds"
        raise CheckpointError(
            f"{checkpoint.path}: should be a decoder with {', '.join(ROLES)} in every layer, all "
            f"alike: {reason}"
        )
    matrices = {(matrix.layer, matrix.role): matrix for matrix in checkpoint.matrices}
    for index in range(sizes.layers):
        for role in ROLES:
            if (index, role) not in matrices:
                raise CheckpointError(
                    f"{checkpoint.path}: should have the projections {', '.join(ROLES)} of every "
                    f"decoder layer, not lack {role} of layer {index}; use a whole decoder"
                )
    if sizes.heads % sizes.kv_heads:
        raise CheckpointError(
            f"{checkpoint.path}: should have a whole number of query heads for each of keys, "
            f"not {sizes.heads} and {sizes.kv_heads}"
        )

    def layer(index: int, role: str) -> Linear:
        read = read_layer(matrices[index, role])
        return Linear(read.name, read.weights, read.scales, read.bias)

    return sizes, layer


def golden_step(
    architecture: Architecture,
    layer: GetLayer,
    system: System,
    seed: int,
    bits_per_cycle: Fraction | None = None,
) -> Iterator[Piece]:
    """Every layer of one decode step in order, as golden computes it.

    seed: of the token's embedding.
    """
    sizes, core = architecture, system.core

    def linear(
        index: int, role: str, x: NDArray[np.float64]
    ) -> Generator[Piece, None, NDArray[np.float64]]:
        """Yields the layer and returns its real outputs."""
        weights = layer(index, role)
        if core.kind == "multiplier" and core.float_number is not None:
            codes = golden_fixed.encode(weights.weights, core.act)
            weights = Linear(weights.name, codes, weights.scales)
        plan = Plan(system, weights.shape, bits_per_cycle)
        acts, scale = quantised(core, x)
        expected = run_golden(plan, acts, weights)
        yield Piece(plan, weights, acts, expected)
        return weights.outputs(plan, expected, scale)

    x = np.random.default_rng([seed, sizes.layers]).standard_normal((1, sizes.hidden))
    for index in range(sizes.layers):
        normed = rms_norm(x, EPS)
        yield from linear(index, "q", normed)
        yield from linear(index, "k", normed)
        values = yield from linear(index, "v", normed)
        heads = values.reshape(sizes.kv_heads, sizes.head_dim)
        mixed = np.repeat(heads, sizes.heads // sizes.kv_heads, axis=0).reshape(1, -1)
        x = x + (yield from linear(index, "o", rms_norm(mixed, EPS)))
        normed = rms_norm(x, EPS)
        gate = yield from linear(index, "gate", normed)
        up = yield from linear(index, "up", normed)
        inner = rms_norm(relu2(gate) * up, EPS)
        x = x + (yield from linear(index, "down", inner))


def quantised(core: CoreConfig, x: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Activations (T, N) in a core's type, and what each token was multiplied by (T,)."""
    if core.float_number is not None:
        return golden_fixed.encode(x, core.act), np.ones(len(x))
    return activations_absmax(x, core.number.bits)
