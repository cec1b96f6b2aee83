"""The ternary layers that a model's tokens pass, and what they take on a system of cores."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from hwgen.spec.system import System
from sim.checkpoints import Checkpoint, LeftOut
from sim.workload.layers import LayerCycles, LayerShape, Plan
from sim.workload.zoo import Model

SPLIT_INPUTS = ("o", "down")
"""Roles whose inputs a model-parallel shard has a part of; of the others it has outputs."""


@dataclass(frozen=True)
class LayerKind:
    """A linear layer that a token passes ``count`` times, once in each decoder layer, say."""

    role: str
    shape: LayerShape
    count: int

    @property
    def weights(self) -> int:
        """Weights of all layers of this kind."""
        return self.count * self.shape.out_features * self.shape.in_features


@dataclass(frozen=True)
class Workload:
    """The ternary layers of a model; a token passes each once. Nothing else of it is here.

    left_out: matrices of a checkpoint that are not among them, each with the reason.
    """

    name: str
    source: str
    layers: tuple[LayerKind, ...]
    left_out: tuple[LeftOut, ...] = ()

    @property
    def weights(self) -> int:
        """Ternary weights, each used once for every token."""
        return sum(layer.weights for layer in self.layers)


def of_zoo(model: Model) -> Workload:
    """The layers of a published model. A scale for each of its shards splits inputs of o, down."""
    layers = tuple(
        LayerKind(
            matrix.role,
            LayerShape(
                matrix.out_features,
                matrix.in_features,
                model.shards if matrix.role in SPLIT_INPUTS else 1,
            ),
            matrix.count,
        )
        for matrix in model.matrices
    )
    return Workload(model.name, model.source, layers)


def of_checkpoint(checkpoint: Checkpoint) -> Workload:
    """The ternary matrices of a checkpoint, those of equal role and shape together.

    Reads the scales, which for unpacked matrices takes reading them whole. CheckpointError for
    those that cannot be applied.
    """
    counts: Counter[tuple[str, LayerShape]] = Counter()
    for matrix in checkpoint.matrices:
        tensor = matrix.tensor
        segments = tensor.scales().coarsest().values.shape[1]
        counts[matrix.role, LayerShape(tensor.out_features, tensor.in_features, segments)] += 1
    layers = tuple(LayerKind(role, shape, count) for (role, shape), count in counts.items())
    path = checkpoint.path
    return Workload(path.name, str(path), layers, checkpoint.left_out)


@dataclass(frozen=True)
class Pass:
    """Some tokens through all layers, one layer after the other: the next one begins when the
    results of the one before are there. ``rows``: each kind of layer and one of it."""

    tokens: int
    rows: tuple[tuple[LayerKind, LayerCycles], ...]

    @cached_property
    def cycles(self) -> int:
        """Cycles of all layers."""
        return sum(kind.count * one.total for kind, one in self.rows)

    @cached_property
    def tiles(self) -> int:
        """Tiles of all layers and cores."""
        return sum(kind.count * one.tiles for kind, one in self.rows)

    @property
    def utilisation(self) -> float:
        """Multiply-accumulates per those possible in these cycles."""
        return sum(kind.count * one.work for kind, one in self.rows) / self.cycles

    @property
    def stalls(self) -> int:
        """Cycles that wait for weights."""
        return sum(kind.count * one.stalls for kind, one in self.rows)

    @property
    def bandwidth_bound(self) -> bool:
        """Whether all weights take longer to arrive than the tiles take."""
        weights = sum(kind.count * one.weight_cycles for kind, one in self.rows)
        tiles = sum(kind.count * (one.total - one.stalls - one.latency) for kind, one in self.rows)
        return weights > tiles

    def bits(self, stream: str) -> int:
        """Traffic of all layers: ``weight_bits``, ``act_bits`` or ``sum_bits``."""
        return sum(kind.count * getattr(one.traffic, stream) for kind, one in self.rows)


def run_pass(
    workload: Workload, system: System, tokens: int, bits_per_cycle: Fraction | None = None
) -> Pass:
    """Cycles of ``tokens`` tokens at once: weights are read again for every one of them."""
    return Pass(
        tokens,
        tuple(
            (kind, Plan(system, kind.shape, bits_per_cycle).cycles(tokens))
            for kind in workload.layers
        ),
    )
