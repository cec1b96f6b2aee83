"""The linear layers of a decoder of the LLaMA family: which there are, and their shapes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sim.checkpoints.base import CheckpointError, TernaryTensor

ROLES = ("q", "k", "v", "o", "gate", "up", "down")
_NAMES = {f"{role}_proj": role for role in ROLES} | {
    "attn_q": "q",
    "attn_k": "k",
    "attn_v": "v",
    "attn_output": "o",
    "ffn_gate": "gate",
    "ffn_up": "up",
    "ffn_down": "down",
}
_PLACE = re.compile(r"(?:.*\.)?(?:layers|blk)\.([0-9]{1,9})\.(?:.*\.)?([a-z_]+)")


@dataclass(frozen=True)
class Architecture:
    """Sizes of a decoder: all at least 1.

    hidden, ffn: width of the residual stream and of the feed-forward network.
    heads, kv_heads, head_dim: of queries, of keys and values, and the width of each.
    layers: decoder layers, each with one matrix of every role.
    """

    hidden: int
    ffn: int
    heads: int
    kv_heads: int
    head_dim: int
    layers: int

    def shapes(self) -> dict[str, tuple[int, int]]:
        """(out_features, in_features) of every role, in order of evaluation."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return {
            "q": (queries, self.hidden),
            "k": (keys, self.hidden),
            "v": (keys, self.hidden),
            "o": (self.hidden, queries),
            "gate": (self.ffn, self.hidden),
            "up": (self.ffn, self.hidden),
            "down": (self.hidden, self.ffn),
        }

    def check(self, tensors: Iterable[TernaryTensor], source: str) -> None:
        """CheckpointError for a projection whose shape or layer is not of this architecture.

        Tensors with other names are left alone: the sizes say nothing about them.
        source: where the sizes come from, for the message.
        """
        shapes = self.shapes()
        for tensor in tensors:
            place = layer_and_role(tensor.name)
            if place is None:
                continue
            layer, role = place
            where = f"{tensor.file}: {tensor.stored}, byte {tensor.offset}"
            if layer >= self.layers:
                raise CheckpointError(
                    f"{where}: should be in one of the {self.layers} layers that {source} gives, "
                    f"not in layer {layer}; the two do not belong together"
                )
            found = (tensor.out_features, tensor.in_features)
            if found != shapes[role]:
                raise CheckpointError(
                    f"{where}: should have shape {list(shapes[role])} (out, in) by {source}, "
                    f"not {list(found)}; the two do not belong together"
                )


def layer_and_role(name: str) -> tuple[int, str] | None:
    """The decoder layer and role of a matrix by its name; None for other names.

    >>> layer_and_role("model.layers.3.self_attn.o_proj"), layer_and_role("blk.0.ffn_down")
    ((3, 'o'), (0, 'down'))
    """
    place = _PLACE.fullmatch(name)
    if place is None or place[2] not in _NAMES:
        return None
    return int(place[1]), _NAMES[place[2]]
