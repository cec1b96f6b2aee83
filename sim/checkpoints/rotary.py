"""Rotary positions: angles of each position, as a model's files ask for them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sim.checkpoints.base import CheckpointError, brief
from sim.checkpoints.json_values import optional_value, required_value, size_value

SCALINGS = ("default", "linear", "llama3")


@dataclass(frozen=True)
class Llama3Scaling:
    """Long waves are stretched by ``factor``, short ones kept, those between mixed."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_positions: int


@dataclass(frozen=True)
class Rotary:
    """Angle of pair i of a head at position p: p · frequency i.

    theta: frequencies are theta^(-2i / head_dim), above 0.
    linear: positions are divided by it. llama3: frequencies change as Llama 3.1's, or None.
    pairs: "halves": elements i and i + head_dim / 2 are turned together; "pairs": 2i and 2i + 1.
    """

    theta: float
    linear: float = 1.0
    llama3: Llama3Scaling | None = None
    pairs: str = "halves"

    def frequencies(self, head_dim: int) -> NDArray[np.float64]:
        """(head_dim / 2,) float64, radians for each position.

        llama3: transformers' ``_compute_llama3_parameters`` (modeling_rope_utils.py), with wave
        lengths 2π / frequency against the original number of positions.
        """
        plain: NDArray[np.float64] = self.theta ** (-np.arange(0, head_dim, 2) / head_dim)
        if self.llama3 is None:
            return plain / self.linear
        how = self.llama3
        turns = how.original_positions * plain / (2 * math.pi)  # In the original positions.
        mix = (turns - how.low_freq_factor) / (how.high_freq_factor - how.low_freq_factor)
        mix = np.clip(mix, 0, 1)
        return (1 - mix) * plain / how.factor + mix * plain


def rotary_of_config(file: Path, values: dict[str, Any]) -> Rotary:
    """``rope_theta``, and ``rope_scaling`` or, in newer files, ``rope_parameters``."""
    theta = optional_value(file, values, "rope_theta", float)
    rotary = Rotary(1.0)
    for key in ("rope_scaling", "rope_parameters"):
        rope = optional_value(file, values, key, dict) or {}
        kind = rope.get("rope_type", rope.get("type", "default"))
        if kind not in SCALINGS:
            raise CheckpointError(
                f"{file}: {key}.rope_type: should be {' or '.join(map(repr, SCALINGS))}, not "
                f"{brief(kind)}; this decoder computes nothing else"
            )
        if kind == "linear":
            stretch = required_value(file, rope, "factor", float, f"{key}.")
            rotary = replace(rotary, linear=_positive(file, f"{key}.factor", stretch))
        elif kind == "llama3":
            rotary = replace(rotary, llama3=_llama3(file, rope, f"{key}."))
        if theta is None:
            theta = optional_value(file, rope, "rope_theta", float, f"{key}.")
    share = optional_value(file, values, "partial_rotary_factor", float)
    if share is not None and share != 1:
        raise CheckpointError(
            f"{file}: partial_rotary_factor: should be 1, not {share}; "
            "this decoder turns whole heads"
        )
    if theta is None or not 0 < theta < math.inf:
        raise CheckpointError(
            f"{file}: rope_theta: should be a number above 0, "
            f"not {'missing' if theta is None else brief(theta)}"
        )
    return replace(rotary, theta=float(theta))


def _llama3(file: Path, rope: dict[str, Any], prefix: str) -> Llama3Scaling:
    low, high, factor = (
        _positive(file, prefix + key, required_value(file, rope, key, float, prefix))
        for key in ("low_freq_factor", "high_freq_factor", "factor")
    )
    if not low < high:
        raise CheckpointError(
            f"{file}: {prefix}high_freq_factor: should be above low_freq_factor {low}, not {high}"
        )
    original = size_value(file, rope, "original_max_position_embeddings")
    return Llama3Scaling(factor, low, high, original)


def _positive(file: Path, key: str, value: float) -> float:
    if not 0 < value < math.inf:
        raise CheckpointError(f"{file}: {key}: should be above 0, not {brief(value)}")
    return float(value)


def rotary_of_gguf(
    file: Path, name: str, values: Mapping[str, Any], head_dim: int, pairs: str
) -> Rotary:
    """``rope.freq_base`` and ``rope.scaling`` of architecture ``name``.

    What is missing means what llama.cpp reads into it (``llama_model::load_hparams``): base 10000,
    and linear scaling by ``rope.scaling.factor``, in older files ``rope.scale_linear``, or by 1.
    """
    turned = values.get(f"{name}.rope.dimension_count", head_dim)
    if turned != head_dim:
        raise CheckpointError(
            f"{file}: {name}.rope.dimension_count: should be the {head_dim} of a head, not "
            f"{brief(turned)}; this decoder turns whole heads"
        )
    kind = values.get(f"{name}.rope.scaling.type", "linear")
    if kind not in ("none", "linear"):
        raise CheckpointError(
            f"{file}: {name}.rope.scaling.type: should be 'none' or 'linear', not {brief(kind)}; "
            "this decoder computes nothing else"
        )
    keys = (f"{name}.rope.scaling.factor", f"{name}.rope.scale_linear")
    given = [key for key in keys if key in values] if kind == "linear" else []
    linear = _number(file, given[0], values) if given else 1.0
    base = f"{name}.rope.freq_base"
    theta = _number(file, base, values) if base in values else 10000.0
    return Rotary(theta, linear, pairs=pairs)


def _number(file: Path, key: str, values: Mapping[str, Any]) -> float:
    if not isinstance(values[key], float):
        raise CheckpointError(f"{file}: {key}: should be a number, not {brief(values[key])}")
    return _positive(file, key, values[key])
