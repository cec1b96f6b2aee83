"""The weights of a decoder, read from a checkpoint in Hugging Face's names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sim.checkpoints import CheckpointError, TernaryLayer, first_strange, list_layers, read_layer
from sim.checkpoints.decoder_config import DecoderConfig
from sim.checkpoints.storage import Tensors, open_folder

Floats = NDArray[np.float64]
REAL_DTYPES = ("BF16", "F16", "F32", "F64")


@dataclass(frozen=True, eq=False)
class DecoderLayer:
    """Ternary layers by role ("q" … "down"), and the gains of the norms, float64.

    attn_sub_norm, ffn_sub_norm: None in a decoder without them.
    """

    linear: dict[str, TernaryLayer]
    input_norm: Floats
    post_attention_norm: Floats
    attn_sub_norm: Floats | None
    ffn_sub_norm: Floats | None


@dataclass(frozen=True, eq=False)
class DecoderWeights:
    """embedding, head: (vocab, hidden) float64, the same array where they are tied.

    norm: (hidden,) gains of the norm before the head.
    """

    layers: tuple[DecoderLayer, ...]
    embedding: Floats
    norm: Floats
    head: Floats


def read_weights(folder: Path, config: DecoderConfig) -> DecoderWeights:
    """All weights; CheckpointError if one is missing, does not fit, or would go unused."""
    sizes = config.architecture
    linear = {info.name: read_layer(info) for info in list_layers(folder)}
    reader = _Reader(open_folder(folder))
    # One layer tells whether all have them.
    sub_norms = "model.layers.0.self_attn.attn_sub_norm.weight" in reader.tensors.entries
    layers = []
    for i in range(sizes.layers):
        before, attention, mlp = (f"model.layers.{i}{part}" for part in ("", ".self_attn", ".mlp"))
        names = {role: f"{attention}.{role}_proj" for role in ("q", "k", "v", "o")}
        names |= {role: f"{mlp}.{role}_proj" for role in ("gate", "up", "down")}
        queries = sizes.heads * sizes.head_dim
        layers.append(
            DecoderLayer(
                {role: reader.ternary(name, linear) for role, name in names.items()},
                reader.real(f"{before}.input_layernorm", sizes.hidden),
                reader.real(f"{before}.post_attention_layernorm", sizes.hidden),
                reader.real(f"{attention}.attn_sub_norm", queries) if sub_norms else None,
                reader.real(f"{mlp}.ffn_sub_norm", sizes.ffn) if sub_norms else None,
            )
        )
    shape = (config.vocab_size, sizes.hidden)
    embedding = reader.real("model.embed_tokens", *shape)
    head = embedding if config.tied else reader.real("lm_head", *shape)
    norm = reader.real("model.norm", sizes.hidden)
    reader.check_all_used()
    return DecoderWeights(tuple(layers), embedding, norm, head)


class _Reader:
    """The tensors of a checkpoint, and which of them have been asked for."""

    def __init__(self, tensors: Tensors) -> None:
        self.tensors = tensors
        self.used: set[str] = set()

    def ternary(self, layer: str, layers: dict[str, TernaryLayer]) -> TernaryLayer:
        """The one of that name, which must be there."""
        self.tensors.find(f"{layer}.weight").require(("U8",))
        self.used |= {f"{layer}.weight", f"{layer}.weight_scale"}
        return layers[layer]

    def real(self, layer: str, *shape: int) -> Floats:
        """``<layer>.weight`` of that shape, float64, finite."""
        stored = self.tensors.find(f"{layer}.weight").require(REAL_DTYPES, (list(shape),))
        self.used.add(stored.name)
        values = stored.values().astype(np.float64)
        if (place := first_strange(values)) is not None:
            raise CheckpointError(
                f"{stored.where}: should be finite, not {values[place]} at {list(place)}; "
                "check how the checkpoint was made"
            )
        return values

    def check_all_used(self) -> None:
        """CheckpointError for a tensor that would change the result if it were not ignored."""
        for name, stored in self.tensors.entries.items():
            # Some files keep the constants of rotation, or a tied head a second time.
            if name not in self.used and name != "lm_head.weight" and "rotary_emb" not in name:
                raise CheckpointError(
                    f"{stored.where}: should be a tensor of BitNetForCausalLM or LlamaForCausalLM "
                    "in a layer that config.json counts, which this decoder could apply; "
                    "use another model"
                )
