"""Small random decoders as files, and what they compute, in plain loops of their own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import cos, exp, pi, sin, sqrt
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from sim.checkpoints import open_checkpoint, pack_rows
from sim.nets.decoder import Decoder
from sim.nets.vocabulary import character_tokenizer

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
    "llama_linear_rope": LLAMA | {"rope_scaling": {"type": "linear", "factor": 2.5}},
    "llama3_rope": LLAMA
    | {
        "rope_theta": 1000.0,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 24,
        },
    },
    "qwen2_biases": LLAMA | {"model_type": "qwen2"},
    "qwen3_head_norms": LLAMA | {"model_type": "qwen3"},
    "bitnet_inner_norms": BITNET
    | {"quantization_config": BITNET["quantization_config"] | {"use_rms_norm": True}},
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
            character_tokenizer(characters).save(str(folder / "tokenizer.json"))
        return folder


def load_decoder(folder: Path) -> Decoder:
    """The decoder in a folder."""
    return Decoder.load(open_checkpoint(folder))


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
    if config["model_type"] == "qwen3":
        norms |= {"self_attn.q_norm": HEAD_DIM, "self_attn.k_norm": HEAD_DIM}
    if config["quantization_config"].get("use_rms_norm"):
        norms |= {f"{name}.rms_norm": shape[1] for name, shape in shapes.items()}
    divide = config["quantization_config"]["linear_class"] == "bitlinear"
    ternary, scales, real = {}, {}, {}
    for i in range(LAYERS):
        for name, shape in shapes.items():
            ternary[f"model.layers.{i}.{name}"] = rng.integers(-1, 2, shape).astype(np.int8)
            scale = 2.0 ** -int(rng.integers(0, 4))
            scales[f"model.layers.{i}.{name}"] = 1 / scale if divide else scale
        for name, size in norms.items():
            real[f"model.layers.{i}.{name}.weight"] = rng.uniform(0.5, 2, size).astype(np.float32)
        for name in ("q", "k", "v") if config["model_type"] == "qwen2" else ():
            bias = rng.normal(size=shapes[f"self_attn.{name}_proj"][0]).astype(np.float32)
            real[f"model.layers.{i}.self_attn.{name}_proj.bias"] = bias
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
        if self.config["model_type"] == "qwen3":
            q, k = self.head_norms(q, f"{name}.q_norm"), self.head_norms(k, f"{name}.k_norm")
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

    def head_norms(self, x, name):
        heads = [x[i : i + HEAD_DIM] for i in range(0, len(x), HEAD_DIM)]
        return [value for head in heads for value in self.norm(head, name)]

    def linear(self, name, x):
        if self.config["quantization_config"].get("use_rms_norm"):
            x = self.norm(x, f"{name}.rms_norm", 1e-6)
        largest = max(abs(value) for value in x)
        acts = [round(value * (127 / largest)) for value in x]
        products = [dot(acts, row) for row in self.model.ternary[name].tolist()]
        self.calls.append((name, acts, products))
        scale = self.model.scales[name]
        if self.config["quantization_config"]["linear_class"] == "bitlinear":
            scale = 1 / scale
        bias = self.real.get(f"{name}.bias", [0.0] * len(products))
        outputs = [product * scale * largest / 127 for product in products]
        return [output + b for output, b in zip(outputs, bias, strict=True)]

    def rotate(self, head, position):
        half, turned = HEAD_DIM // 2, [0.0] * HEAD_DIM
        for j in range(half):
            angle = position * self.frequency(j)
            turned[j] = head[j] * cos(angle) - head[j + half] * sin(angle)
            turned[j + half] = head[j + half] * cos(angle) + head[j] * sin(angle)
        return turned

    def frequency(self, j):
        plain = 1 / self.config.get("rope_parameters", self.config)["rope_theta"] ** (
            2 * j / HEAD_DIM
        )
        scaling = self.config.get("rope_scaling") or {}
        if scaling.get("type") == "linear":
            return plain / scaling["factor"]
        if scaling.get("rope_type") != "llama3":
            return plain
        length, original = 2 * pi / plain, scaling["original_max_position_embeddings"]
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        if length < original / high:
            return plain
        if length > original / low:
            return plain / scaling["factor"]
        smooth = (original / length - low) / (high - low)
        return (1 - smooth) * plain / scaling["factor"] + smooth * plain

    def norm(self, x, name, eps=None):
        eps = self.config["rms_norm_eps"] if eps is None else eps
        rms = sqrt(sum(value * value for value in x) / len(x) + eps)
        gains = self.real[f"{name}.weight"]
        return [value / rms * gain for value, gain in zip(x, gains, strict=True)]

    def sub_norm(self, x, name):
        return self.norm(x, name) if self.config["model_type"] == "bitnet" else x


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def add(a, b):
    return [x + y for x, y in zip(a, b, strict=True)]
