"""What a decoder computes beside its linear layers: from config.json or a GGUF file's metadata.

The keys of config.json are those of Hugging Face's ``BitNetConfig``, ``LlamaConfig`` and
``Qwen3Config``. What changes the result and is not done here is refused, never ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.checkpoints.architecture import Architecture, Wanted
from sim.checkpoints.base import CheckpointError, brief
from sim.checkpoints.families import Family
from sim.checkpoints.json_values import optional_value, read_object, size_value
from sim.checkpoints.opening import Checkpoint
from sim.checkpoints.rotary import Rotary, rotary_of_config, rotary_of_gguf

FAMILIES = ("bitnet", "llama", "qwen2", "qwen3")
HIDDEN_ACTS = ("relu2", "silu")
_GGUF_ACTS = {
    "bitnet-b1.58": "relu2",
    "bitnet-25": "relu2",
    "llama": "silu",
    "qwen2": "silu",
    "qwen3": "silu",
}
"""Gates by ``general.architecture``, since no key of the file gives them: what llama.cpp and its
fork for BitNet compute. For "bitnet" that is silu, but 2B4T is converted to it too, and has relu2.
"""


@dataclass(frozen=True)
class DecoderConfig:
    """What a decoder computes.

    source: the file that says so.
    architecture: its sizes; head_dim is even, and heads are a multiple of kv_heads.
    vocab_size: token ids, 0 … vocab_size - 1, or None: as the embedding has rows.
    hidden_act: "relu2" or "silu", of the gate.
    rms_norm_eps: of every norm; above 0. inner_norm_eps: of norms inside linear layers, or None.
    tied: the embedding is also the matrix of the logits; None: where there is no other.
    max_positions: tokens that a sequence may have, or None for any number.
    norms, biases: what every decoder layer has to have, as `Family` says; biases by role.
    int8: the model was trained with activations of 8 bits.
    """

    source: Path
    architecture: Architecture
    vocab_size: int | None
    hidden_act: str
    rms_norm_eps: float
    inner_norm_eps: float | None
    rotary: Rotary
    tied: bool | None
    max_positions: int | None
    norms: tuple[str, ...]
    biases: tuple[str, ...]
    int8: bool


def decoder_config(checkpoint: Checkpoint) -> DecoderConfig:
    """What the decoder of a checkpoint computes; CheckpointError if it is not known or not done."""
    wanted = checkpoint.wanted
    if isinstance(wanted, str):
        raise CheckpointError(wanted)
    source = wanted.file
    if wanted.family.name not in FAMILIES:
        raise CheckpointError(
            f"{source}: should be a decoder of family {', '.join(FAMILIES)}, not "
            f"{wanted.family.name}; nothing else is computed here"
        )
    sizes = wanted.uniform
    if sizes is None:
        raise CheckpointError(f"{source}: all decoder layers should have the same sizes")
    _check_heads(source, sizes)
    if checkpoint.header is not None:
        return _of_gguf(checkpoint, sizes, wanted.family)
    return _of_config(checkpoint, sizes, wanted)


def _of_config(checkpoint: Checkpoint, sizes: Architecture, wanted: Wanted) -> DecoderConfig:
    config = checkpoint.config
    assert config is not None
    file, values = config.file, read_object(config.file)
    _require(file, "hidden_act", config.hidden_act, HIDDEN_ACTS)
    if config.rms_norm_eps is None:
        raise CheckpointError(f"{file}: rms_norm_eps: should be a number, not missing")
    window = size_value(file, values, "sliding_window", None)
    if window is not None and values.get("use_sliding_window", True):
        raise CheckpointError(
            f"{file}: sliding_window: should be null, not {window}; attention here sees all tokens"
        )
    quantization = config.quantization
    return DecoderConfig(
        source=file,
        architecture=sizes,
        vocab_size=size_value(file, values, "vocab_size"),
        hidden_act=str(config.hidden_act),
        rms_norm_eps=config.rms_norm_eps,
        inner_norm_eps=None if quantization is None else quantization.inner_norm_eps,
        rotary=rotary_of_config(file, values),
        tied=bool(optional_value(file, values, "tie_word_embeddings", bool)),
        max_positions=size_value(file, values, "max_position_embeddings", None),
        norms=wanted.family.norms,
        biases=_biases(file, values, wanted.family),
        int8=quantization is not None,
    )


def _of_gguf(checkpoint: Checkpoint, sizes: Architecture, family: Family) -> DecoderConfig:
    header = checkpoint.header
    assert header is not None
    name = str(header.values["general.architecture"])
    if name not in _GGUF_ACTS:
        raise CheckpointError(
            f"{header.file}: general.architecture: {name!r} does not tell whether the gate is "
            "relu2 or silu, and no key of the file does; use the release with config.json"
        )
    eps = header.values.get(f"{name}.attention.layer_norm_rms_epsilon")
    if not isinstance(eps, float) or not 0 < eps < 1:
        raise CheckpointError(
            f"{header.file}: {name}.attention.layer_norm_rms_epsilon: should be above 0 and below "
            f"1, not {'missing' if eps is None else brief(eps)}"
        )
    positions = header.values.get(f"{name}.context_length")
    if header.values.get(f"{name}.attention.sliding_window"):
        raise CheckpointError(
            f"{header.file}: {name}.attention.sliding_window: should be missing or 0; "
            "attention here sees all tokens"
        )
    return DecoderConfig(
        source=header.file,
        architecture=sizes,
        vocab_size=None,
        hidden_act=_GGUF_ACTS[name],
        rms_norm_eps=eps,
        inner_norm_eps=None,
        rotary=rotary_of_gguf(header.file, name, header.values, sizes.head_dim, family.rotary),
        tied=None,
        max_positions=positions if type(positions) is int and positions > 0 else None,
        norms=family.norms,
        biases=family.biases,
        int8=family.name == "bitnet",
    )


def _biases(file: Path, values: dict[str, Any], family: Family) -> tuple[str, ...]:
    """Roles of the linear layers that must have a bias."""
    keys = {"attention_bias": ("q", "k", "v", "o"), "mlp_bias": ("gate", "up", "down")}
    asked = [
        role
        for key, roles in keys.items()
        if optional_value(file, values, key, bool)
        for role in roles
    ]
    return (*family.biases, *asked)


def _require(file: Path, key: str, found: Any, legal: tuple[str, ...]) -> None:
    if found not in legal:
        raise CheckpointError(
            f"{file}: {key}: should be {' or '.join(map(repr, legal))}, not {brief(found)}; "
            "this decoder computes nothing else"
        )


def _check_heads(file: Path, sizes: Architecture) -> None:
    if sizes.heads % sizes.kv_heads:
        raise CheckpointError(
            f"{file}: num_key_value_heads: should divide the {sizes.heads} num_attention_heads, "
            f"not be {sizes.kv_heads}"
        )
    if sizes.head_dim % 2:
        raise CheckpointError(
            f"{file}: head_dim: should be even, for rotary positions, not {sizes.head_dim}"
        )
