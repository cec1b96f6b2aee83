"""Sizes in config.json: which matrices a decoder has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.checkpoints.architecture import MAX_LAYERS, Wanted, decoder_layers
from sim.checkpoints.base import CheckpointError, brief
from sim.checkpoints.families import FAMILIES, Family, family_of_model_type
from sim.checkpoints.json_values import optional_value, size_value

_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")


def wanted_matrices(file: Path, values: dict[str, Any]) -> Wanted | str:
    """Which matrices the model has; else, why that is not known."""
    name = values.get("model_type")
    if name is None:
        classes = optional_value(file, values, "architectures", list) or [""]
        name = str(classes[0]).removesuffix("ForCausalLM").lower()
    family = family_of_model_type(name) if isinstance(name, str) else None
    if family is None:
        known = ", ".join(kind for one in FAMILIES for kind in one.model_types)
        return (
            f"{file}: model_type: should be one of {known}, not {brief(values.get('model_type'))}"
        )
    for key in _EXPERTS:
        if values.get(key):
            raise CheckpointError(
                f"{file}: {key}: should be missing or 0, not {brief(values[key])}; "
                "use a model without experts"
            )
    sizes = _Sizes(file, values, family)
    layers = sizes.whole("layers")
    if layers > MAX_LAYERS:
        raise CheckpointError(f"{file}: should have at most {MAX_LAYERS} layers, not {layers}")
    return Wanted(
        file,
        str(file),
        family,
        decoder_layers(family, sizes.whole("hidden"), layers, sizes.of_layer),
    )


@dataclass(frozen=True)
class _Sizes:
    """The sizes in config.json, under the keys of a family."""

    file: Path
    values: dict[str, Any]
    family: Family

    def key(self, size: str) -> str:
        keys = self.family.size_keys(size)
        return next((key for key in keys if self.values.get(key) is not None), keys[0])

    def whole(self, size: str) -> int:
        """A size that must be there, for the whole model."""
        result: int = size_value(self.file, self.values, self.key(size))
        return result

    def of_layer(self, size: str, layer: int) -> int | None:
        """A size of one decoder layer: of all, or an entry of a list."""
        key = self.key(size)
        if self.family.name == "falcon":
            if size == "ffn" and self.values.get(key) is None:
                return 4 * self.whole("hidden")
            if size == "kv_heads" and not self.values.get("new_decoder_architecture"):
                return 1 if self.values.get("multi_query", True) else None
        entries = self.values.get(key)
        if isinstance(entries, list):
            if layer >= len(entries):
                raise CheckpointError(
                    f"{self.file}: {key}: should have a size for every decoder layer, "
                    f"not {len(entries)} sizes"
                )
            result: int = size_value(
                self.file, {f"{key}[{layer}]": entries[layer]}, f"{key}[{layer}]"
            )
            return result
        if size in ("kv_heads", "head_dim"):
            found: int | None = size_value(self.file, self.values, key, None)
            return found
        return self.whole(size)
