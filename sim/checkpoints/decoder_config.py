"""config.json of a whole decoder: what its linear layers leave open.

The keys are those of Hugging Face's ``BitNetConfig`` and ``LlamaConfig``. What changes the result
and is not done here is refused, never ignored.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.checkpoints.architecture import Architecture
from sim.checkpoints.base import CheckpointError, brief
from sim.checkpoints.config import optional_value, read_config, read_object, size_value

MODEL_TYPES = ("bitnet", "llama")
HIDDEN_ACTS = ("relu2", "silu")


@dataclass(frozen=True)
class DecoderConfig:
    """What a decoder computes.

    architecture: its sizes; head_dim is even, and heads are a multiple of kv_heads.
    vocab_size: token ids, 0 … vocab_size - 1.
    hidden_act: "relu2" or "silu", of the gate.
    rms_norm_eps: of every norm; above 0.
    rope_theta: base of the rotary frequencies; above 0.
    tied: the embedding is also the matrix of the logits.
    max_positions: tokens that a sequence may have, or None for any number.
    """

    file: Path
    architecture: Architecture
    vocab_size: int
    hidden_act: str
    rms_norm_eps: float
    rope_theta: float
    tied: bool
    max_positions: int | None


def read_decoder_config(folder: Path) -> DecoderConfig:
    """Read config.json of a folder with packed weights; CheckpointError if it does not fit."""
    config = read_config(folder)
    file, values = config.file, read_object(config.file)
    _require(file, "model_type", values.get("model_type"), MODEL_TYPES)
    _require(file, "hidden_act", config.hidden_act, HIDDEN_ACTS)
    if config.rms_norm_eps is None:
        raise CheckpointError(f"{file}: rms_norm_eps: should be a number, not missing")
    vocab_size = size_value(file, values, "vocab_size")
    if config.architecture is None:
        size_value(file, values, "hidden_size")  # Raises.
    assert config.architecture is not None
    _check_heads(file, config.architecture)
    tied = values.get("tie_word_embeddings")
    if tied is not None and not isinstance(tied, bool):
        raise CheckpointError(
            f"{file}: tie_word_embeddings: should be true or false, not {brief(tied)}"
        )
    return DecoderConfig(
        file=file,
        architecture=config.architecture,
        vocab_size=vocab_size,
        hidden_act=str(config.hidden_act),
        rms_norm_eps=config.rms_norm_eps,
        rope_theta=_rope_theta(file, values),
        tied=bool(tied),
        max_positions=size_value(file, values, "max_position_embeddings", None),
    )


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


def _rope_theta(file: Path, values: dict[str, Any]) -> float:
    """Rotary base: ``rope_theta``, in newer files in ``rope_parameters``; plain rotation only."""
    theta = optional_value(file, values, "rope_theta", float)
    for key in ("rope_scaling", "rope_parameters"):
        rope = optional_value(file, values, key, dict) or {}
        kind = rope.get("rope_type", rope.get("type", "default"))
        _require(file, f"{key}.rope_type", kind, ("default",))
        if theta is None:
            theta = optional_value(file, rope, "rope_theta", float, f"{key}.")
    if theta is None or not theta > 0:
        raise CheckpointError(
            f"{file}: rope_theta: should be a number above 0, "
            f"not {'missing' if theta is None else brief(theta)}"
        )
    return float(theta)
