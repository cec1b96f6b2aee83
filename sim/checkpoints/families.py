"""Families of decoders: which linear layers each has, and what files call them.

A family is data. What its decoder layers hold follows from sizes that config.json or the metadata
of a GGUF file give under the keys named here; names of matrices are the same for all families, but
for those that one family alone uses.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

ROLES = ("q", "k", "v", "o", "gate", "up", "down")
"""Linear layers of a decoder layer of most families, in order of evaluation."""
UNGATED = ("q", "k", "v", "o", "up", "down")


@dataclass(frozen=True)
class Family:
    """A kind of decoder.

    model_types: ``model_type`` in config.json. gguf: ``general.architecture``.
    roles: linear layers of each decoder layer, in order of evaluation.
    keys: of config.json for each size; the first that is there counts.
    fused: roles of a matrix whose name means something else in other families.
    norms, biases: of every decoder layer, beside its two norms, and of the linear layers named; a
        decoder that lacks one is not whole.
    rotary: which elements of a head are turned together in GGUF files: "halves" (i and i + half)
        or "pairs" (2i and 2i + 1), for which llama.cpp's converter reorders the rows of q and k.
        Hugging Face's files always have halves.
    """

    name: str
    model_types: tuple[str, ...]
    gguf: tuple[str, ...]
    roles: tuple[str, ...] = ROLES
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    fused: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    norms: tuple[str, ...] = ()
    biases: tuple[str, ...] = ()
    rotary: str = "halves"

    def size_keys(self, size: str) -> tuple[str, ...]:
        """Keys of config.json for hidden, ffn, heads, kv_heads, head_dim or layers."""
        return self.keys.get(size, _KEYS[size])


_KEYS = {
    "hidden": ("hidden_size",),
    "ffn": ("intermediate_size",),
    "heads": ("num_attention_heads",),
    "kv_heads": ("num_key_value_heads",),
    "head_dim": ("head_dim",),
    "layers": ("num_hidden_layers",),
}

FAMILIES = (
    Family("llama", ("llama", "mistral"), ("llama",), rotary="pairs"),
    Family(
        "bitnet",
        ("bitnet",),
        ("bitnet", "bitnet-b1.58", "bitnet-25"),
        norms=("attn_sub_norm", "ffn_sub_norm"),
    ),
    Family("qwen2", ("qwen2",), ("qwen2",), biases=("q", "k", "v")),
    Family("qwen3", ("qwen3",), ("qwen3",), norms=("q_norm", "k_norm")),
    Family("phi3", ("phi3",), ("phi3",), fused={"ffn_up": ("gate", "up")}),
    Family(
        "falcon",
        ("falcon",),
        ("falcon",),
        roles=("qkv", "o", "up", "down"),
        keys={
            "ffn": ("ffn_hidden_size",),
            "heads": ("num_attention_heads", "n_head"),
            "kv_heads": ("num_kv_heads",),
            "layers": ("num_hidden_layers", "n_layer"),
        },
        # Rows of the three take turns by groups of heads: one matrix, not three of whole rows.
        fused={"query_key_value": ("qkv",), "attn_qkv": ("qkv",)},
    ),
    Family("opt", ("opt",), ("opt",), roles=UNGATED, keys={"ffn": ("ffn_dim",)}),
)

_NAMES: Mapping[str, tuple[str, ...]] = {
    # Hugging Face
    "q_proj": ("q",),
    "k_proj": ("k",),
    "v_proj": ("v",),
    "qkv_proj": ("q", "k", "v"),
    "o_proj": ("o",),
    "out_proj": ("o",),
    "dense": ("o",),
    "gate_proj": ("gate",),
    "up_proj": ("up",),
    "gate_up_proj": ("gate", "up"),
    "down_proj": ("down",),
    "fc1": ("up",),
    "fc2": ("down",),
    "dense_h_to_4h": ("up",),
    "dense_4h_to_h": ("down",),
    # Meta's names, also in BitNet's own releases
    "wq": ("q",),
    "wk": ("k",),
    "wv": ("v",),
    "wqkv": ("q", "k", "v"),
    "wo": ("o",),
    "w1": ("gate",),
    "w3": ("up",),
    "w13": ("gate", "up"),
    "w2": ("down",),
    # GGUF
    "attn_q": ("q",),
    "attn_k": ("k",),
    "attn_v": ("v",),
    "attn_qkv": ("q", "k", "v"),
    "attn_output": ("o",),
    "ffn_gate": ("gate",),
    "ffn_up": ("up",),
    "ffn_down": ("down",),
}
"""Roles of the rows of a matrix, first rows first, by the last part of its name."""

_EMBEDDINGS = ("embed_tokens", "token_embd", "wte", "word_embeddings", "tok_embeddings")
_POSITIONS = ("embed_positions", "position_embd", "wpe")
_HEADS = ("lm_head", "output", "embed_out")
_LAYER = re.compile(r"(?:.*\.)?(?:layers|blk|h)\.([0-9]{1,9})\.(?:.*\.)?(\w+)")
# Gains and constants that are no matrices: norms, and frequencies of rotation.
_SIDE = re.compile(
    r".*(?:norm|norm_[12q]|layernorm_[12]|layer_norm|ln_\w+|rotary_emb\.inv_freq|rope_freqs"
    r"|rope_factors_\w+|attn_rot_embd)(?:\.weight|\.bias)?"
)


def family_of_model_type(model_type: str) -> Family | None:
    """The family by ``model_type``; None for an unknown one."""
    return next((one for one in FAMILIES if model_type in one.model_types), None)


def family_of_gguf(architecture: str) -> Family | None:
    """The family by ``general.architecture``; None for an unknown one."""
    return next((one for one in FAMILIES if architecture in one.gguf), None)


def layer_and_roles(name: str, family: Family | None = None) -> tuple[int, tuple[str, ...]] | None:
    """The decoder layer of a matrix and the roles of its rows, by its name; None for other names.

    >>> layer_and_roles("model.layers.3.self_attn.qkv_proj"), layer_and_roles("blk.0.ffn_down")
    ((3, ('q', 'k', 'v')), (0, ('down',)))
    """
    place = _LAYER.fullmatch(name)
    if place is None:
        return None
    roles = (family.fused if family else {}).get(place[2]) or _NAMES.get(place[2])
    return None if roles is None else (int(place[1]), roles)


def other_role(name: str) -> str | None:
    """What a matrix outside the decoder layers is for, in words; None for an unknown name.

    name: without ``.weight``.
    """
    last = name.rpartition(".")[2]
    if last in _EMBEDDINGS:
        return "embedding"
    if last in _POSITIONS:
        return "embedding of positions"
    return "output head" if last in _HEADS else None


def is_side(name: str) -> bool:
    """Whether a tensor is a norm's gain or a constant of rotary positions."""
    return _SIDE.fullmatch(name) is not None
