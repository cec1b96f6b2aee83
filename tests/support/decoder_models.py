"""Small random decoders as files, and what they compute, in plain loops of their own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import cos, exp, sin, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from sim.checkpoints import pack_rows

LAYERS, HIDDEN, FFN, HEAD_DIM, VOCAB = 2, 12, 20, 4, 7  # 4 heads: 16 queries, not hidden_size
CHARACTERS = "\n abcé?"
BITNET: dict[str, Any] = {
    "model_type": "bitnet",
    "vocab_size": VOCAB,
    "hidden_size": HIDDEN,
    "intermediate_size": FFN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": HEAD_DIM,
    "hidden_act": "relu2",
    "rms_norm_eps": 1e-5,
    "rope_theta": 100.0,
    "tie_word_embeddings": True,
    "max_position_embeddings": 12,
    "quantization_config": {"quant_method": "bitnet", "linear_class": "autobitlinear"},
}
LLAMA = BITNET | {
    "model_type": "llama",
    "hidden_act": "silu",
    "num_key_value_heads": 4,
    "tie_word_embeddings": False,
    "quantization_config": {"quant_method": "bitnet", "linear_class": "bitlinear"},
}
CASES: dict[str, dict[str, Any]] = {
    "bitnet": BITNET,
    "llama": LLAMA,
    "bitnet_one_kv_head_untied_silu": BITNET
    | {"num_key_value_heads": 1, "tie_word_embeddings": False, "hidden_act": "silu"},
    "llama_rope_parameters": {k: v for k, v in LLAMA.items() if k != "rope_theta"}
    | {"rope_parameters": {"rope_type": "default", "rope_theta": 37.5}, "rms_norm_eps": 0.01},
}


@dataclass(frozen=True)
class Model:
    """ternary: name -> (M, N) int8; scales: the number stored for each; real: all other tensors."""

    config: dict[str, Any]
    ternary: dict[str, np.ndarray]
    scales: dict[str, float]
    real: dict[str, np.ndarray]

    def tensors(self) -> dict[str, np.ndarray]:
        packed = {f"{name}.weight": pack_rows(w) for name, w in self.ternary.items()}
        stored = {f"{k}.weight_scale": np.array([s], np.float32) for k, s in self.scales.items()}
        return packed | stored | self.real

    def write(self, folder: Path, characters: str | None = CHARACTERS) -> Path:
        folder.mkdir(exist_ok=True)
        save_file(self.tensors(), folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(self.config))
        if characters is not None:
            (folder / "characters.json").write_text(json.dumps({"characters": characters}))
        return folder


def random_model(config: dict[str, Any], seed: int = 1) -> Model:
    """Scales are powers of two, so that their inverses are exact."""
    rng = np.random.default_rng(seed)
    queries, keys = 4 * HEAD_DIM, config["num_key_value_heads"] * HEAD_DIM
    shapes = {
        "self_attn.q_proj": (queries, HIDDEN),
        "self_attn.k_proj": (keys, HIDDEN),
        "self_attn.v_proj": (keys, HIDDEN),
        "self_attn.o_proj": (HIDDEN, queries),
        "mlp.gate_proj": (FFN, HIDDEN),
        "mlp.up_proj": (FFN, HIDDEN),
        "mlp.down_proj": (HIDDEN, FFN),
    }
    norms = {"input_layernorm": HIDDEN, "post_attention_layernorm": HIDDEN}
    if config["model_type"] == "bitnet":
        norms |= {"self_attn.attn_sub_norm": queries, "mlp.ffn_sub_norm": FFN}
    divide = config["quantization_config"]["linear_class"] == "bitlinear"
    ternary, scales, real = {}, {}, {}
    for i in range(LAYERS):
        for name, shape in shapes.items():
            ternary[f"model.layers.{i}.{name}"] = rng.integers(-1, 2, shape).astype(np.int8)
            scale = 2.0 ** -int(rng.integers(0, 4))
            scales[f"model.layers.{i}.{name}"] = 1 / scale if divide else scale
        for name, size in norms.items():
            real[f"model.layers.{i}.{name}.weight"] = rng.uniform(0.5, 2, size).astype(np.float32)
    real["model.norm.weight"] = rng.uniform(0.5, 2, HIDDEN).astype(np.float32)
    for name in (
        ("model.embed_tokens",)
        if config["tie_word_embeddings"]
        else (
            "model.embed_tokens",
            "lm_head",
        )
    ):
        real[f"{name}.weight"] = rng.normal(size=(VOCAB, HIDDEN)).astype(np.float32)
    return Model(config, ternary, scales, real)


class PlainLoops:
    """The logits of a whole sequence, number by number, from the description of the model."""

    def __init__(self, model: Model) -> None:
        self.model, self.config = model, model.config
        self.real = {name: values.tolist() for name, values in model.real.items()}
        self.calls: list[tuple[str, list[int], list[int]]] = []

    def logits(self, ids: list[int]) -> list[list[float]]:
        keys: dict[tuple[int, int], list[list[float]]] = {}
        values: dict[tuple[int, int], list[list[float]]] = {}
        head = "model.embed_tokens" if self.config["tie_word_embeddings"] else "lm_head"
        rows = []
        for position, token in enumerate(ids):
            x = list(self.real["model.embed_tokens.weight"][token])
            for i in range(LAYERS):
                layer = f"model.layers.{i}"
                n = self.norm(x, f"{layer}.input_layernorm")
                x = add(x, self.attention(i, n, position, keys, values))
                n = self.norm(x, f"{layer}.post_attention_layernorm")
                x = add(x, self.mlp(f"{layer}.mlp", n))
            x = self.norm(x, "model.norm")
            rows.append([dot(x, row) for row in self.real[f"{head}.weight"]])
        return rows

    def attention(self, i, x, position, keys, values):
        name = f"model.layers.{i}.self_attn"
        q, k, v = (self.linear(f"{name}.{role}_proj", x) for role in "qkv")
        kv_heads = self.config["num_key_value_heads"]
        for head in range(kv_heads):
            part = slice(head * HEAD_DIM, (head + 1) * HEAD_DIM)
            keys.setdefault((i, head), []).append(self.rotate(k[part], position))
            values.setdefault((i, head), []).append(v[part])
        mixed = []
        for head in range(4):
            query = self.rotate(q[head * HEAD_DIM : (head + 1) * HEAD_DIM], position)
            shared = (i, head * kv_heads // 4)
            weights = [exp(dot(query, key) / sqrt(HEAD_DIM)) for key in keys[shared]]
            for j in range(HEAD_DIM):
                column = [value[j] for value in values[shared]]
                mixed.append(dot(weights, column) / sum(weights))
        return self.linear(f"{name}.o_proj", self.sub_norm(mixed, f"{name}.attn_sub_norm"))

    def mlp(self, name, x):
        gate, up = self.linear(f"{name}.gate_proj", x), self.linear(f"{name}.up_proj", x)
        if self.config["hidden_act"] == "relu2":
            act = [g * g if g > 0 else 0.0 for g in gate]
        else:
            act = [g / (1 + exp(-g)) for g in gate]
        inner = [a * u for a, u in zip(act, up, strict=True)]
        return self.linear(f"{name}.down_proj", self.sub_norm(inner, f"{name}.ffn_sub_norm"))

    def linear(self, name, x):
        largest = max(abs(value) for value in x)
        acts = [round(value * (127 / largest)) for value in x]
        products = [dot(acts, row) for row in self.model.ternary[name].tolist()]
        self.calls.append((name, acts, products))
        scale = self.model.scales[name]
        if self.config["quantization_config"]["linear_class"] == "bitlinear":
            scale = 1 / scale
        return [product * scale * largest / 127 for product in products]

    def rotate(self, head, position):
        rope = self.config.get("rope_parameters", self.config)["rope_theta"]
        half, turned = HEAD_DIM // 2, [0.0] * HEAD_DIM
        for j in range(half):
            angle = position / rope ** (2 * j / HEAD_DIM)
            turned[j] = head[j] * cos(angle) - head[j + half] * sin(angle)
            turned[j + half] = head[j + half] * cos(angle) + head[j] * sin(angle)
        return turned

    def norm(self, x, name):
        rms = sqrt(sum(value * value for value in x) / len(x) + self.config["rms_norm_eps"])
        gains = self.real[f"{name}.weight"]
        return [value / rms * gain for value, gain in zip(x, gains, strict=True)]

    def sub_norm(self, x, name):
        return self.norm(x, name) if self.config["model_type"] == "bitnet" else x


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def add(a, b):
    return [x + y for x, y in zip(a, b, strict=True)]
