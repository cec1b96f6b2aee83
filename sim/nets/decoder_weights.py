"""The weights of a decoder, from a checkpoint in the names of Hugging Face or of GGUF."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from sim.checkpoints import (
    Checkpoint,
    CheckpointError,
    NotTernaryError,
    TernaryLayer,
    read_layer,
)
from sim.checkpoints.decoder_config import DecoderConfig
from sim.checkpoints.families import is_side
from sim.checkpoints.layer import read_vector
from sim.checkpoints.matrices import Entry
from sim.checkpoints.storage import Stored
from sim.nets.table import Floats, RealRows, Table, TernaryRows

REAL_DTYPES = ("BF16", "F16", "F32", "F64")
_LAYER = re.compile(r"(?:.*\.)?(?:layers|blk)\.([0-9]{1,9})\.(.+)")
_NORMS = {
    "input_norm": ("input_layernorm", "attn_norm"),
    "post_attention_norm": ("post_attention_layernorm", "ffn_norm"),
    "attn_sub_norm": ("attn_sub_norm", "inner_attn_ln"),
    "ffn_sub_norm": ("ffn_sub_norm", "ffn_layernorm"),
    "q_norm": ("q_norm", "attn_q_norm"),
    "k_norm": ("k_norm", "attn_k_norm"),
}
"""Last parts of the names of a decoder layer's norms."""
_OPTIONAL = ("attn_sub_norm", "ffn_sub_norm", "q_norm", "k_norm")
_FINAL = ("norm", "output_norm")
_EMBEDDING = ("embed_tokens", "token_embd")
_HEAD = ("lm_head", "output")


@dataclass(frozen=True, eq=False)
class DecoderLayer:
    """Ternary layers by role ("q" … "down"), and the gains of the norms, float64.

    attn_sub_norm, ffn_sub_norm: None in a decoder without them; so q_norm, k_norm, of each head.
    """

    linear: dict[str, TernaryLayer]
    input_norm: Floats
    post_attention_norm: Floats
    attn_sub_norm: Floats | None
    ffn_sub_norm: Floats | None
    q_norm: Floats | None = None
    k_norm: Floats | None = None


@dataclass(frozen=True, eq=False)
class DecoderWeights:
    """embedding, head: (vocab, hidden), the same where they are tied.

    norm: (hidden,) gains of the norm before the head.
    rotary_factors: (head_dim / 2,), what rotary frequencies are divided by, or None.
    """

    layers: tuple[DecoderLayer, ...]
    embedding: Table
    norm: Floats
    head: Table
    rotary_factors: Floats | None = None


def read_weights(checkpoint: Checkpoint, config: DecoderConfig) -> DecoderWeights:
    """All weights; CheckpointError if one is missing, does not fit, or would go unused."""
    sizes = config.architecture
    reader = _Reader(checkpoint)
    linear: dict[int, dict[str, TernaryLayer]] = {}
    for matrix in checkpoint.matrices:
        if matrix.layer is not None:
            linear.setdefault(matrix.layer, {})[matrix.role] = read_layer(matrix)
    widths = {
        "input_norm": sizes.hidden,
        "post_attention_norm": sizes.hidden,
        "attn_sub_norm": sizes.heads * sizes.head_dim,
        "ffn_sub_norm": sizes.ffn,
        "q_norm": sizes.head_dim,
        "k_norm": sizes.head_dim,
    }
    # Of norms that are not of the family, one layer tells whether all have them.
    kinds = [
        kind
        for kind in _NORMS
        if kind not in _OPTIONAL or kind in config.norms or reader.has(0, kind)
    ]
    layers = []
    for i in range(sizes.layers):
        gains: dict[str, Any] = dict.fromkeys(_OPTIONAL) | {
            kind: reader.gains(i, _NORMS[kind], widths[kind]) for kind in kinds
        }
        if lacking := [role for role in sizes.roles if role not in linear.get(i, {})]:
            raise CheckpointError(
                f"{checkpoint.path}: layer {i} should have all of its linear layers, not lack "
                f"{', '.join(lacking)}; a decoder cannot be partial"
            )
        for role in config.biases:
            if linear[i][role].bias is None:
                raise CheckpointError(
                    f"{checkpoint.path}: {linear[i][role].name}: should have a bias, by "
                    f"{config.source.name}; download the model again"
                )
        layers.append(DecoderLayer(linear[i], **gains))
    embedding = reader.table(_EMBEDDING)
    if embedding is None:
        raise CheckpointError(
            f"{checkpoint.path}: should have the embedding, embed_tokens or token_embd; "
            "download the model again"
        )
    head = None if config.tied else reader.table(_HEAD)
    if head is None and config.tied is False:
        raise CheckpointError(
            f"{checkpoint.path}: should have lm_head, as config.json does not tie it to the "
            "embedding; download the model again"
        )
    norm = reader.gains(None, _FINAL, sizes.hidden)
    shape = (config.vocab_size or embedding.shape[0], sizes.hidden)
    for table in (embedding, head or embedding):
        if table.shape != shape:
            raise CheckpointError(
                f"{checkpoint.path}: {table.stored.name}: should have shape {list(shape)}, not "
                f"{list(table.shape)}; the two do not belong together"
            )
    factors = None
    if (None, "rope_freqs") in reader.places:
        factors = reader.gains(None, ("rope_freqs",), sizes.head_dim // 2)
    reader.check_all_used()
    return DecoderWeights(tuple(layers), embedding, norm, head or embedding, factors)


class _Reader:
    """Tensors that are no linear layers, and which of them have been asked for."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.used: set[str] = set()
        self.places: dict[tuple[int | None, str], Entry] = {}
        for name, entry in checkpoint.entries.items():
            place = _LAYER.fullmatch(name)
            layer, rest = (int(place[1]), place[2]) if place else (None, name)
            if rest.endswith(".weight"):
                last = rest.removesuffix(".weight").rpartition(".")[2]
                self.places.setdefault((layer, last), entry)

    def has(self, layer: int, kind: str) -> bool:
        """Whether a decoder layer has a norm of that kind."""
        return any((layer, name) in self.places for name in _NORMS[kind])

    def gains(self, layer: int | None, names: tuple[str, ...], size: int) -> Floats:
        """The gains of a norm, (size,)."""
        entry = next(
            (self.places[layer, name] for name in names if (layer, name) in self.places), None
        )
        where = "" if layer is None else f"layers.{layer}."
        if entry is None:
            raise CheckpointError(
                f"{self.checkpoint.path}: {where}{names[0]}.weight: no such tensor; "
                "download the model again"
            )
        if not isinstance(entry, Stored) or entry.dtype not in REAL_DTYPES:
            raise CheckpointError(
                f"{entry.where}: should be {' or '.join(REAL_DTYPES)}, not {entry.type_name}; "
                "use another release"
            )
        if entry.shape != (size,):
            raise CheckpointError(
                f"{entry.where}: should have shape {[size]}, not {list(entry.shape)}; "
                "the two do not belong together"
            )
        self.used.add(entry.name)
        return read_vector(entry)

    def table(self, names: tuple[str, ...]) -> Table | None:
        """The embedding or the head; None if there is none."""
        entry = next(
            (self.places[None, name] for name in names if (None, name) in self.places), None
        )
        if entry is None:
            return None
        self.used.add(entry.name)
        if isinstance(entry, Stored) and entry.dtype in REAL_DTYPES:
            if len(entry.shape) != 2 or 0 in entry.shape:
                raise CheckpointError(
                    f"{entry.where}: should be a matrix, not of shape {list(entry.shape)}"
                )
            return Table(RealRows(entry))
        try:
            return Table(TernaryRows(self.checkpoint.read(entry)))
        except NotTernaryError:
            if isinstance(entry, Stored):
                raise
        from sim.checkpoints.gguf.header import GgufTensor  # These load gguf, which takes a while.
        from sim.checkpoints.gguf.quantised import QuantisedRows

        assert isinstance(entry, GgufTensor)
        return Table(QuantisedRows(entry))

    def check_all_used(self) -> None:
        """CheckpointError for a tensor that would change the result if it were not ignored."""
        for name, entry in self.checkpoint.entries.items():
            # Some files keep the constants of rotation, or a tied head a second time.
            passed = "rotary_emb" in name or name in ("lm_head.weight", "output.weight")
            if is_side(name) and name not in self.used and not passed:
                if self._inner(name):
                    continue
                raise CheckpointError(
                    f"{entry.where}: should be a norm of a BitNet, LLaMA or Qwen decoder, in a "
                    "layer that it has, which this decoder could apply; use another model"
                )
        for bias in ("lm_head.bias", "output.bias"):
            if bias in self.checkpoint.entries:
                raise CheckpointError(
                    f"{self.checkpoint.entries[bias].where}: the head should have no bias, which "
                    "this decoder does not apply"
                )

    def _inner(self, name: str) -> bool:
        """Whether it is a norm inside a linear layer, which came with that."""
        return any(
            matrix.inner_norm is not None and matrix.inner_norm.name == name
            for matrix in self.checkpoint.matrices
        )
