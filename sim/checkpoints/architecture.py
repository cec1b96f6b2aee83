"""Sizes of a decoder, and the matrices that follow from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from sim.checkpoints.families import ROLES, Family

MAX_LAYERS = 10_000
"""Decoder layers; more are a damaged file."""
Place = tuple[int, str]
"""Decoder layer and role."""
Shape = tuple[int, int]
"""out_features and in_features."""


@dataclass(frozen=True)
class Architecture:
    """Sizes of a decoder: all at least 1.

    hidden, ffn: width of the residual stream and of the feed-forward network.
    heads, kv_heads, head_dim: of queries, of keys and values, and the width of each.
    layers: decoder layers, each with one matrix of every role.
    roles: of the linear layers, in order of evaluation.
    """

    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    head_dim: int
    layers: int
    roles: tuple[str, ...] = ROLES

    def shapes(self) -> dict[str, Shape]:
        """(out_features, in_features) of every role, in order of evaluation."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        shapes = {
            "q": (queries, self.hidden),
            "k": (keys, self.hidden),
            "v": (keys, self.hidden),
            "qkv": (queries + 2 * keys, self.hidden),
            "o": (self.hidden, queries),
            "gate": (self.ffn, self.hidden),
            "up": (self.ffn, self.hidden),
            "down": (self.hidden, self.ffn),
        }
        return {role: shapes[role] for role in self.roles}


@dataclass(frozen=True)
class Wanted:
    """The matrices that a decoder has, by what its files say of it.

    file, source: what gives the sizes, and how a message calls it.
    layers: sizes of each decoder layer, with ``layers`` 1; they may differ.
    """

    file: Path
    source: str
    family: Family
    layers: tuple[Architecture, ...]

    @cached_property
    def shapes(self) -> dict[Place, Shape]:
        """Shape of every matrix, in order of evaluation."""
        return {
            (index, role): shape
            for index, sizes in enumerate(self.layers)
            for role, shape in sizes.shapes().items()
        }

    @property
    def uniform(self) -> Architecture | None:
        """The sizes of all decoder layers; None where they differ."""
        first = self.layers[0]
        if any(sizes != first for sizes in self.layers):
            return None
        return replace(first, layers=len(self.layers))


def decoder_layers(
    family: Family, hidden: int, layers: int, of_layer: Callable[[str, int], int | None]
) -> tuple[Architecture, ...]:
    """Sizes of each decoder layer.

    of_layer: (ffn, heads, kv_heads or head_dim; layer) -> the size, None where none is given. Keys
        then have as many heads as queries, and heads share ``hidden``, as LLaMA's have.
    """
    found = []
    for layer in range(layers):
        ffn, heads = of_layer("ffn", layer), of_layer("heads", layer)
        assert ffn is not None
        assert heads is not None
        found.append(
            Architecture(
                hidden=hidden,
                ffn=ffn,
                heads=heads,
                kv_heads=of_layer("kv_heads", layer) or heads,
                head_dim=of_layer("head_dim", layer) or max(1, hidden // heads),
                layers=1,
                roles=family.roles,
            )
        )
    return tuple(found)
