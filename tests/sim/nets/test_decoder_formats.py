"""One decoder in every format that can hold it: equal weights give equal logits."""

from __future__ import annotations

import json
from dataclasses import replace

import gguf
import numpy as np
import pytest
from safetensors.numpy import save_file

from sim.checkpoints import CheckpointError, Reading, open_checkpoint
from sim.nets.decoder import Decoder
from sim.nets.network import golden_matmul
from tests.support.decoder_models import (
    BITNET,
    CASES,
    HEAD_DIM,
    LAYERS,
    LLAMA,
    Model,
    PlainLoops,
    load_decoder,
    random_model,
)

IDS = [3, 0, 6, 1, 1, 5, 2, 4]
NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.attn_sub_norm": "attn_sub_norm",
    "mlp.ffn_sub_norm": "ffn_sub_norm",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
}


def logits(decoder, ids=IDS):
    return decoder.forward(ids, decoder.new_cache(), golden_matmul)


def real_weights(model: Model) -> dict[str, np.ndarray]:
    """Ternary × scale; scales are powers of two, so that nothing is rounded."""
    divide = model.config["quantization_config"]["linear_class"] == "bitlinear"
    return {
        name: (w * (1 / model.scales[name] if divide else model.scales[name])).astype(np.float32)
        for name, w in model.ternary.items()
    }


def pairwise(weights, heads):
    """Rows as llama.cpp's converter orders those of q and k for rotation of neighbours."""
    return weights.reshape(heads, 2, HEAD_DIM // 2, -1).swapaxes(1, 2).reshape(weights.shape)


def write_gguf(path, model: Model, name: str, keys=None, extra=None):
    """The model as llama.cpp's converter writes it. keys: more metadata; extra: more tensors."""
    config = model.config
    writer = gguf.GGUFWriter(path, name)
    writer.add_block_count(LAYERS)
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(4)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_key_length(HEAD_DIM)
    writer.add_context_length(12)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    for key, value in (keys or {}).items():
        write = writer.add_string if isinstance(value, str) else writer.add_float32
        write(f"{name}.{key}", value)
    for tensor, values in (extra or {}).items():
        writer.add_tensor(tensor, values)
    for stored, values in (real_weights(model) | model.real).items():
        base = stored.removesuffix(".weight")
        layer, _, part = base.removeprefix("model.layers.").partition(".")
        if base in ("model.norm", "model.embed_tokens", "lm_head"):
            short = {"model.norm": "output_norm", "lm_head": "output"}.get(base, "token_embd")
            writer.add_tensor(f"{short}.weight", values)
            continue
        part, bias = (part.removesuffix(".bias"), part.endswith(".bias"))
        if name == "llama" and part.endswith(("q_proj", "k_proj")):
            heads = 4 if part.endswith("q_proj") else config["num_key_value_heads"]
            values = pairwise(values, heads)
        kind = "bias" if bias else "weight"
        writer.add_tensor(f"blk.{layer}.{NAMES[part]}.{kind}", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


EPS = float(np.float32(1e-5))
IN_GGUF = {
    "llama": (LLAMA, "llama"),
    "bitnet-b1.58": (BITNET, "bitnet-b1.58"),
    "untied": (BITNET | {"tie_word_embeddings": False}, "bitnet-25"),
    "qwen2": (LLAMA | {"model_type": "qwen2"}, "qwen2"),
    "qwen3": (LLAMA | {"model_type": "qwen3"}, "qwen3"),
}


@pytest.mark.parametrize(("config", "name"), IN_GGUF.values(), ids=IN_GGUF)
def test_a_gguf_file_gives_the_logits_of_the_original(tmp_path, config, name):
    model = random_model(config | {"rms_norm_eps": EPS})
    wanted = logits(load_decoder(model.write(tmp_path / "model")))
    decoder = load_decoder(write_gguf(tmp_path / "m.gguf", model, name))
    assert np.allclose(logits(decoder), wanted, rtol=1e-12, atol=1e-12)
    assert decoder.config.max_positions == 12


def test_an_architecture_that_does_not_tell_the_gate(tmp_path):
    """2B4T (relu2) and 1bitLLM's models (silu) are both converted to "bitnet"."""
    file = write_gguf(tmp_path / "m.gguf", random_model(BITNET), "bitnet")
    assert len(open_checkpoint(file).matrices) == 14
    with pytest.raises(CheckpointError, match="'bitnet' does not tell whether the gate is relu2"):
        load_decoder(file)


SCALINGS = {
    "type and factor": {
        "rope.scaling.type": gguf.RopeScalingType.LINEAR.value,
        "rope.scaling.factor": 2.5,
    },
    "factor alone": {"rope.scaling.factor": 2.5},
    "older name": {"rope.scale_linear": 2.5},
}


@pytest.mark.parametrize("keys", SCALINGS.values(), ids=SCALINGS)
def test_linear_rope_in_gguf(tmp_path, keys):
    """As llama.cpp reads it: without a type it is linear."""
    scaled = CASES["llama_linear_rope"] | {"rms_norm_eps": EPS}
    model = random_model(scaled)
    wanted = logits(load_decoder(model.write(tmp_path / "model")))
    decoder = load_decoder(write_gguf(tmp_path / "m.gguf", model, "llama", keys))
    assert np.allclose(logits(decoder), wanted, rtol=1e-12, atol=1e-12)


def test_other_scaling_in_gguf_is_refused(tmp_path):
    yarn = {"rope.scaling.type": gguf.RopeScalingType.YARN.value, "rope.scaling.factor": 2.5}
    file = write_gguf(tmp_path / "m.gguf", random_model(LLAMA), "llama", yarn)
    with pytest.raises(CheckpointError, match=r"rope.scaling.type: should be 'none' or 'linear'"):
        load_decoder(file)


def test_rotary_factors_in_gguf(tmp_path):
    """Llama 3.1's frequencies, which the converter stores as divisors."""
    model = random_model(CASES["llama3_rope"] | {"rms_norm_eps": EPS})
    loops = PlainLoops(model)
    plain = [1000.0 ** (-2 * j / HEAD_DIM) for j in range(HEAD_DIM // 2)]
    factors = np.array([f / loops.frequency(j) for j, f in enumerate(plain)], np.float32)
    wanted = logits(load_decoder(model.write(tmp_path / "model")))
    for extra in ({"rope_freqs.weight": factors}, {}):
        file = write_gguf(tmp_path / f"{len(extra)}.gguf", model, "llama", extra=extra)
        # Factors are stored as float32.
        same = np.allclose(logits(load_decoder(file)), wanted, rtol=1e-6, atol=1e-6)
        assert same == bool(extra)


def test_unpacked_and_fused_weights(tmp_path):
    model = random_model(LLAMA)
    wanted = logits(load_decoder(model.write(tmp_path / "packed")))
    tensors = real_weights(model)
    for layer in range(LAYERS):
        start = f"model.layers.{layer}."
        parts = [tensors.pop(f"{start}self_attn.{role}_proj") for role in "qkv"]
        tensors[f"{start}self_attn.qkv_proj"] = np.concatenate(parts)
        parts = [tensors.pop(f"{start}mlp.{role}_proj") for role in ("gate", "up")]
        tensors[f"{start}mlp.gate_up_proj"] = np.concatenate(parts)
    folder = tmp_path / "fused"
    folder.mkdir()
    stored = {f"{name}.weight": values for name, values in tensors.items()}
    save_file(stored | model.real, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(model.config))
    assert np.array_equal(logits(load_decoder(folder)), wanted)


def test_scales_of_groups_are_added_up_by_segment(tmp_path):
    """Packed weights with a scale for each half of each row."""
    model = random_model(BITNET)
    tensors, grouped = model.tensors(), {}
    rng = np.random.default_rng(3)
    for name, weights in model.ternary.items():
        grouped[name] = 2.0 ** rng.integers(-3, 3, (len(weights), 2)).astype(np.float32)
        tensors[f"{name}.weight_scale"] = grouped[name]
    folder = model.write(tmp_path)
    save_file(tensors, folder / "model.safetensors")
    decoder = load_decoder(folder)

    class Grouped(PlainLoops):
        def linear(self, name, x):
            largest = max(abs(value) for value in x)
            acts = np.array([round(value * (127 / largest)) for value in x])
            weights = self.model.ternary[name]
            each = np.repeat(grouped[name].astype(float), weights.shape[1] // 2, axis=1)
            return ((weights * each) @ acts * largest / 127).tolist()

    wanted = Grouped(model).logits(IDS)
    assert logits(decoder) == pytest.approx(np.array(wanted), rel=1e-9, abs=1e-9)


WIDE = {  # Rows of 256, for types in blocks.
    "attn_q": (256, 256),
    "attn_k": (128, 256),
    "attn_v": (128, 256),
    "attn_output": (256, 256),
    "ffn_gate": (512, 256),
    "ffn_up": (512, 256),
    "ffn_down": (256, 512),
}


def write_wide(path, embedding, head):
    """A decoder whose embedding and head are (bytes, type): quantised by the library."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_embedding_length(256)
    writer.add_feed_forward_length(512)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    qtype = gguf.GGMLQuantizationType.TQ2_0
    for seed, (name, shape) in enumerate(WIDE.items()):
        values = np.random.default_rng(seed).integers(-1, 2, shape).astype(np.float32)
        packed = gguf.quants.quantize(values, qtype)
        writer.add_tensor(f"blk.0.{name}.weight", packed, raw_dtype=qtype)
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(256, np.float32))
    for name, (data, kind) in {"token_embd": embedding, "output": head}.items():
        writer.add_tensor(f"{name}.weight", data, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


STORED = ["TQ1_0", "TQ2_0", "Q8_0", "Q4_0", "Q5_1", "BF16", "Q4_K", "Q6_K"]


@pytest.mark.parametrize("kept", [1 << 23, 0], ids=["kept", "in blocks"])
@pytest.mark.parametrize("name", STORED)
def test_embeddings_and_heads_in_the_types_of_ggml(tmp_path, monkeypatch, name, kept):
    """As llama-quantize stores them beside TQ2_0: equal to what the library decodes, as F32."""
    monkeypatch.setattr("sim.nets.table.KEPT_NUMBERS", kept)
    monkeypatch.setattr("sim.nets.table.BLOCK_NUMBERS", 256 * 64)
    kind = gguf.GGMLQuantizationType[name]
    rng = np.random.default_rng(5)
    block, size = gguf.GGML_QUANT_SIZES[kind]
    try:
        values = rng.standard_normal((300, 256)).astype(np.float32)
        packed = gguf.quants.quantize(values, kind)
    except NotImplementedError:  # The library decodes only: any bytes, with small scales.
        packed = rng.integers(0, 256, (300, 256 // block, size), np.uint8)
        half = np.frombuffer(np.float16(0.01).tobytes(), np.uint8)
        for at in {"Q4_K": (0, 2), "Q6_K": (size - 2,)}[name]:
            packed[:, :, at : at + 2] = half
        packed = packed.reshape(300, -1)
    plain = gguf.quants.dequantize(packed, kind), gguf.GGMLQuantizationType.F32
    files = [
        write_wide(tmp_path / f"{i}.gguf", table, table)
        for i, table in enumerate(((packed, kind), plain))
    ]
    decoders = [load_decoder(file) for file in files]
    assert decoders[0].vocab_size == 300
    ids = [3, 299, 7]
    assert np.array_equal(logits(decoders[0], ids), logits(decoders[1], ids))
    assert np.array_equal(logits(decoders[0], ids[:1])[0], logits(decoders[0], ids)[0])


def test_large_tables_are_read_by_blocks(tmp_path, monkeypatch):
    """As the embedding of a vocabulary of 128,000 is."""
    folder = random_model(LLAMA).write(tmp_path)
    wanted = logits(load_decoder(folder))
    monkeypatch.setattr("sim.nets.table.KEPT_NUMBERS", 0)
    monkeypatch.setattr("sim.nets.table.BLOCK_NUMBERS", 1)
    decoder = load_decoder(folder)
    assert np.allclose(logits(decoder), wanted, rtol=1e-12)
    one = np.concatenate([logits(decoder, IDS[:1])])
    assert np.array_equal(one[0], logits(decoder)[0])


def test_a_decoder_cannot_be_partial(tmp_path):
    model = random_model(BITNET)
    ternary = dict(model.ternary)
    del ternary["model.layers.1.mlp.up_proj"]
    scales = {name: scale for name, scale in model.scales.items() if name in ternary}
    folder = replace(model, ternary=ternary, scales=scales).write(tmp_path)
    with pytest.raises(CheckpointError, match="not lack up; a decoder cannot be partial"):
        Decoder.load(open_checkpoint(folder, Reading(partial=True)))


LACKING = {
    "head norms of Qwen 3": (LLAMA | {"model_type": "qwen3"}, "self_attn.q_norm"),
    "inner norms of BitNet": (BITNET, "mlp.ffn_sub_norm"),
    "biases of Qwen 2": (LLAMA | {"model_type": "qwen2"}, "self_attn.k_proj.bias"),
}


@pytest.mark.parametrize(("config", "part"), LACKING.values(), ids=LACKING)
def test_what_a_family_has_must_be_there(tmp_path, config, part):
    """In every layer: where all lack it, none of them would tell."""
    model = random_model(config)
    real = {name: values for name, values in model.real.items() if f".{part}" not in name}
    assert len(real) == len(model.real) - LAYERS
    folder = replace(model, real=real).write(tmp_path)
    with pytest.raises(CheckpointError, match=r"no such tensor|should have a bias, by config"):
        load_decoder(folder)


def test_biases_that_config_asks_for(tmp_path):
    folder = random_model(LLAMA | {"attention_bias": True}).write(tmp_path)
    with pytest.raises(CheckpointError, match="q_proj: should have a bias, by config"):
        load_decoder(folder)
