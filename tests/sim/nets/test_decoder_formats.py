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


def write_gguf(path, model: Model, name: str, **more):
    """The model as llama.cpp's converter writes it."""
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
    for key, value in more.items():
        getattr(writer, key)(value)
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


RELU2, SILU = BITNET, BITNET | {"hidden_act": "silu"}
IN_GGUF = {
    "llama": (LLAMA, "llama"),
    "bitnet": (SILU, "bitnet"),
    "bitnet-b1.58": (RELU2, "bitnet-b1.58"),
    "qwen2": (LLAMA | {"model_type": "qwen2"}, "qwen2"),
    "qwen3": (LLAMA | {"model_type": "qwen3"}, "qwen3"),
    "tied": (SILU | {"tie_word_embeddings": True}, "bitnet"),
}


@pytest.mark.parametrize(("config", "name"), IN_GGUF.values(), ids=IN_GGUF)
def test_a_gguf_file_gives_the_logits_of_the_original(tmp_path, config, name):
    model = random_model(config | {"rms_norm_eps": float(np.float32(1e-5))})
    wanted = logits(load_decoder(model.write(tmp_path / "model")))
    decoder = load_decoder(write_gguf(tmp_path / "m.gguf", model, name))
    assert np.allclose(logits(decoder), wanted, rtol=1e-12, atol=1e-12)
    assert decoder.config.max_positions == 12


def test_linear_rope_in_gguf(tmp_path):
    eps = float(np.float32(1e-5))
    scaled = LLAMA | {"rope_scaling": {"type": "linear", "factor": 2.5}, "rms_norm_eps": eps}
    model = random_model(scaled)
    wanted = logits(load_decoder(model.write(tmp_path / "model")))
    more = {"add_rope_scaling_type": gguf.RopeScalingType.LINEAR, "add_rope_scaling_factor": 2.5}
    decoder = load_decoder(write_gguf(tmp_path / "m.gguf", model, "llama", **more))
    assert np.allclose(logits(decoder), wanted, rtol=1e-12, atol=1e-12)
    more["add_rope_scaling_type"] = gguf.RopeScalingType.YARN
    file = write_gguf(tmp_path / "yarn.gguf", model, "llama", **more)
    with pytest.raises(CheckpointError, match=r"rope.scaling.type: should be 'none' or 'linear'"):
        load_decoder(file)


def test_rotary_factors_in_gguf(tmp_path):
    """Llama 3.1's frequencies, which the converter stores as divisors."""
    eps = float(np.float32(1e-5))
    config = LLAMA | {
        "rope_theta": 1000.0,
        "rms_norm_eps": eps,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 24,
        },
    }
    model = random_model(config)
    loops = PlainLoops(model)
    plain = [1000.0 ** (-2 * j / HEAD_DIM) for j in range(HEAD_DIM // 2)]
    factors = np.array([f / loops.frequency(j) for j, f in enumerate(plain)], np.float32)
    wanted = logits(load_decoder(model.write(tmp_path / "model")))
    real = model.real | {"rope_freqs.weight": factors}
    for name, extra in (("with", real), ("without", model.real)):
        NAMES["rope_freqs"] = "rope_freqs"
        file = tmp_path / f"{name}.gguf"
        write_with_factors(file, replace(model, real=extra))
        same = np.allclose(logits(load_decoder(file)), wanted, rtol=1e-6, atol=1e-6)
        assert same == (name == "with")


def write_with_factors(path, model):
    """As `write_gguf`, ``rope_freqs`` under its own name."""
    factors = model.real.get("rope_freqs.weight")
    plain = {name: values for name, values in model.real.items() if name != "rope_freqs.weight"}
    if factors is None:
        return write_gguf(path, replace(model, real=plain), "llama")

    class Writer(gguf.GGUFWriter):
        def write_header_to_file(self, *args, **kwargs):
            self.add_tensor("rope_freqs.weight", factors)
            super().write_header_to_file(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gguf, "GGUFWriter", Writer)
        return write_gguf(path, replace(model, real=plain), "llama")


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


def test_a_ternary_embedding_and_head(tmp_path):
    """As Bonsai's: TQ2_0 like the rest; nothing is said of them but that they are looked up."""
    rng = np.random.default_rng(5)
    sizes = {"hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4}
    shapes = {"attn_q": (256, 256), "attn_k": (128, 256), "attn_v": (128, 256)}
    shapes |= {"attn_output": (256, 256), "ffn_gate": (512, 256), "ffn_up": (512, 256)}
    shapes |= {"ffn_down": (256, 512)}
    table = rng.integers(-1, 2, (300, 256)) * np.repeat(2.0 ** rng.integers(-3, 2, 300), 256)[
        :, None
    ].reshape(300, 256)
    qtype = gguf.GGMLQuantizationType.TQ2_0

    def write(path, ternary_table):
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_block_count(1)
        writer.add_embedding_length(sizes["hidden_size"])
        writer.add_feed_forward_length(sizes["intermediate_size"])
        writer.add_head_count(4)
        writer.add_head_count_kv(2)
        writer.add_layer_norm_rms_eps(1e-5)
        for name, shape in shapes.items():
            values = np.random.default_rng(len(name)).integers(-1, 2, shape).astype(np.float32)
            packed = gguf.quants.quantize(values, qtype)
            writer.add_tensor(f"blk.0.{name}.weight", packed, raw_dtype=qtype)
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.0.{name}.weight", np.ones(256, np.float32))
        writer.add_tensor("output_norm.weight", np.ones(256, np.float32))
        for name in ("token_embd", "output"):
            if ternary_table:
                packed = gguf.quants.quantize(table.astype(np.float32), qtype)
                writer.add_tensor(f"{name}.weight", packed, raw_dtype=qtype)
            else:
                writer.add_tensor(f"{name}.weight", table.astype(np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    decoders = [load_decoder(write(tmp_path / f"{t}.gguf", t)) for t in (True, False)]
    assert decoders[0].vocab_size == 300
    assert np.array_equal(*(logits(decoder, [3, 299, 7]) for decoder in decoders))


def test_large_tables_are_read_by_blocks(tmp_path, monkeypatch):
    """As the embedding of a vocabulary of 128,000 is."""
    folder = random_model(LLAMA).write(tmp_path)
    wanted = logits(load_decoder(folder))
    monkeypatch.setattr("sim.nets.decoder_weights.KEPT_NUMBERS", 0)
    monkeypatch.setattr("sim.nets.decoder_weights.BLOCK_NUMBERS", 1)
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
