"""Every matrix of a model is found under any of its names, or the model is refused with a list."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from sim.checkpoints import Reading, open_checkpoint, read_layer
from tests.support.checkpoint_files import (
    BITNET,
    F32,
    packed,
    refusal,
    ternary,
    text,
    write_folder,
)

PARTIAL = Reading(partial=True)
HIDDEN, FFN, HEADS, KV_HEADS, HEAD_DIM, LAYERS = 12, 20, 4, 2, 4, 2
QUERIES, KEYS = HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM
SHAPES = {
    "q": (QUERIES, HIDDEN),
    "k": (KEYS, HIDDEN),
    "v": (KEYS, HIDDEN),
    "o": (HIDDEN, QUERIES),
    "gate": (FFN, HIDDEN),
    "up": (FFN, HIDDEN),
    "down": (HIDDEN, FFN),
}
SIZES = {
    "hidden_size": HIDDEN,
    "intermediate_size": FFN,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD_DIM,
    "num_hidden_layers": LAYERS,
}
LLAMA = {"model_type": "llama"} | SIZES
HF = {
    "q": "self_attn.q_proj",
    "k": "self_attn.k_proj",
    "v": "self_attn.v_proj",
    "o": "self_attn.o_proj",
    "gate": "mlp.gate_proj",
    "up": "mlp.up_proj",
    "down": "mlp.down_proj",
}
META = {
    "q": "attention.wq",
    "k": "attention.wk",
    "v": "attention.wv",
    "o": "attention.wo",
    "gate": "feed_forward.w1",
    "up": "feed_forward.w3",
    "down": "feed_forward.w2",
}
GGUF = {
    "q": "attn_q",
    "k": "attn_k",
    "v": "attn_v",
    "o": "attn_output",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}


def weights(layer, role, scale=0.5):
    """Ternary × scale of one matrix; the same in every way to store it."""
    seed = 10 * layer + list(SHAPES).index(role)
    return (ternary(SHAPES[role], seed) * scale).astype(np.float16)


def stored(names=HF, prefix="model.layers.{}."):
    return {
        f"{prefix.format(layer)}{name}.weight": weights(layer, role)
        for layer in range(LAYERS)
        for role, name in names.items()
    }


def fused(qkv, gate_up, prefix="model.layers.{}."):
    """Scales of the parts differ: each part has its own."""
    tensors = {}
    for layer in range(LAYERS):
        start = prefix.format(layer)
        parts = [
            weights(layer, role, scale) for role, scale in zip("qkv", (0.5, 1, 2), strict=True)
        ]
        tensors[f"{start}{qkv}.weight"] = np.concatenate(parts)
        parts = [weights(layer, "gate"), weights(layer, "up", 0.25)]
        tensors[f"{start}{gate_up}.weight"] = np.concatenate(parts)
        for role in ("o", "down"):
            tensors[f"{start}{HF[role]}.weight"] = weights(layer, role)
    return tensors


def found(checkpoint):
    return {(matrix.layer, matrix.role): matrix.tensor for matrix in checkpoint.matrices}


OTHERS = {
    "model.embed_tokens.weight": np.ones((7, HIDDEN), np.float16),
    "lm_head.weight": np.ones((7, HIDDEN), np.float16),
    "model.norm.weight": np.ones(HIDDEN, np.float16),
    "model.layers.0.input_layernorm.weight": np.ones(HIDDEN, np.float16),
    "model.layers.1.self_attn.q_norm.weight": np.ones(HEAD_DIM, np.float16),
    "model.layers.0.self_attn.rotary_emb.inv_freq": np.ones(2, np.float32),
}
WAYS = {
    "hugging face": (stored(), LLAMA),
    "without model": (stored(prefix="layers.{}."), LLAMA),
    "meta": (stored(META, "layers.{}."), LLAMA),
    "gguf names": (stored(GGUF, "blk.{}."), LLAMA),
    "fused": (fused("self_attn.qkv_proj", "mlp.gate_up_proj"), LLAMA | {"model_type": "phi3"}),
    "fused by meta": (fused("attention.wqkv", "feed_forward.w13"), LLAMA),
    "qwen": (stored(), LLAMA | {"model_type": "qwen3"}),
    "mistral": (stored(), LLAMA | {"model_type": "mistral"}),
    "by class": (stored(), SIZES | {"architectures": ["LlamaForCausalLM"]}),
}


@pytest.mark.parametrize(("tensors", "config"), WAYS.values(), ids=WAYS)
def test_a_model_is_the_same_under_all_of_its_names(tmp_path, tensors, config):
    checkpoint = open_checkpoint(write_folder(tmp_path, tensors | OTHERS, config))
    matrices = found(checkpoint)
    assert list(matrices) == [(layer, role) for layer in range(LAYERS) for role in SHAPES]
    for (layer, role), tensor in matrices.items():
        assert np.array_equal(tensor.weights(), np.sign(weights(layer, role)).astype(np.int8))
    assert [item.name for item in checkpoint.left_out] == [
        "lm_head.weight",
        "model.embed_tokens.weight",
    ]
    assert checkpoint.others == {"F16": 5, "F32": 1}


def test_parts_of_a_fused_matrix_have_scales_of_their_own(tmp_path):
    tensors = fused("self_attn.qkv_proj", "mlp.gate_up_proj")
    matrices = found(open_checkpoint(write_folder(tmp_path, tensors, LLAMA)))
    scales = {role: matrices[1, role].scales().values.tolist() for role in SHAPES}
    assert scales == {
        "q": [[0.5]],
        "k": [[1]],
        "v": [[2]],
        "o": [[0.5]],
        "gate": [[0.5]],
        "up": [[0.25]],
        "down": [[0.5]],
    }
    assert matrices[1, "k"].name == "model.layers.1.self_attn.qkv_proj[k]"


def test_a_fused_bias_is_cut_like_its_matrix(tmp_path):
    tensors = fused("self_attn.qkv_proj", "mlp.gate_up_proj")
    bias = np.arange(QUERIES + 2 * KEYS, dtype=np.float32)
    tensors["model.layers.1.self_attn.qkv_proj.bias"] = bias
    checkpoint = open_checkpoint(write_folder(tmp_path, tensors, LLAMA))
    biases = {
        matrix.role: read_layer(matrix).bias for matrix in checkpoint.matrices if matrix.layer == 1
    }
    assert biases["q"].tolist() == bias[:QUERIES].tolist()
    assert biases["k"].tolist() == bias[QUERIES : QUERIES + KEYS].tolist()
    assert biases["v"].tolist() == bias[QUERIES + KEYS :].tolist()
    assert biases["o"] is None


def test_scales_of_parts_and_the_number_of_shards(tmp_path):
    """Each part has two bands, as many as shards; the fused rows have no such bands."""
    tensors = fused("self_attn.qkv_proj", "mlp.gate_up_proj")
    name = "model.layers.0.self_attn.qkv_proj.weight"
    parts = [
        ternary(SHAPES[role], seed) * np.repeat(scales, SHAPES[role][0] // 2)[:, None]
        for seed, (role, scales) in enumerate({"q": (1, 2), "k": (3, 4), "v": (5, 6)}.items())
    ]
    tensors[name] = np.concatenate(parts).astype(np.float16)
    config = LLAMA | {"pretraining_model_parallel": 2}
    matrices = found(open_checkpoint(write_folder(tmp_path, tensors, config)))
    assert matrices[0, "k"].scales().values.tolist() == [[3], [4]]
    assert matrices[0, "v"].scales().values.tolist() == [[5], [6]]


def test_one_part_of_a_fused_matrix_is_not_ternary(tmp_path):
    tensors = fused("self_attn.qkv_proj", "mlp.gate_up_proj")
    tensors["model.layers.1.self_attn.qkv_proj.weight"][QUERIES, :2] = [0.25, 0.125]
    folder = write_folder(tmp_path, tensors, LLAMA)
    name = "model.layers.1.self_attn.qkv_proj[k]"
    assert f"13 are as they should be: 1 not ternary ({name}, F16: should hold" in refusal(
        open_checkpoint, folder
    )
    checkpoint = open_checkpoint(folder, PARTIAL)
    assert [(item.name, item.shape) for item in checkpoint.left_out] == [(name, (KEYS, HIDDEN))]
    assert (1, "q") in found(checkpoint)
    assert (1, "k") not in found(checkpoint)


def test_scales_and_norms_that_nobody_reads(tmp_path):
    """A wrong name must not leave a scale out, nor a norm in a GGUF file without an epsilon."""
    name = "model.layers.0.mlp.up_proj"
    tensors = stored() | {f"{name}.scale": np.ones(1, np.float32)}
    folder = write_folder(tmp_path, tensors, LLAMA)
    assert f"{name}.scale, byte " in refusal(open_checkpoint, folder)
    assert "a scale should be named weight_scale" in refusal(open_checkpoint, folder)
    file = tmp_path / "m.gguf"
    inner = IN_GGUF | {"blk.0.attn_q.norm.weight": np.ones(HIDDEN)}
    file.write_bytes(gguf(metadata(), inner))
    assert "a norm inside a linear layer should come with use_rms_norm" in refusal(
        open_checkpoint, file
    )


def test_a_fused_matrix_of_packed_rows(tmp_path):
    """Rows of a part lie in several quarters of the packed ones."""
    names = {f"model.layers.{i}.{HF[role]}": SHAPES[role] for i in range(LAYERS) for role in "o"}
    names |= {f"model.layers.{i}.mlp.down_proj": SHAPES["down"] for i in range(LAYERS)}
    tensors = {}
    for name, shape in names.items():
        tensors |= packed([name], shape)
    for layer in range(LAYERS):
        for name, roles in {
            "self_attn.qkv_proj": "qkv",
            "mlp.gate_up_proj": ("gate", "up"),
        }.items():
            rows = sum(SHAPES[role][0] for role in roles)
            tensors |= packed([f"model.layers.{layer}.{name}"], (rows, HIDDEN))
    config = LLAMA | BITNET
    matrices = found(open_checkpoint(write_folder(tmp_path, tensors, config)))
    whole = ternary((QUERIES + 2 * KEYS, HIDDEN), 0)
    assert np.array_equal(matrices[0, "q"].weights(), whole[:QUERIES])
    assert np.array_equal(matrices[0, "k"].weights(), whole[QUERIES : QUERIES + KEYS])
    assert np.array_equal(matrices[0, "v"].weights(), whole[QUERIES + KEYS :])
    assert matrices[0, "v"].scales().values.tolist() == [[0.5]]


def test_opt_has_no_gate_and_names_of_its_own(tmp_path):
    names = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "out_proj"}
    names = {role: f"self_attn.{name}" for role, name in names.items()}
    names |= {"up": "fc1", "down": "fc2"}
    config = {
        "model_type": "opt",
        "hidden_size": HIDDEN,
        "ffn_dim": FFN,
        "num_attention_heads": 3,
        "num_hidden_layers": LAYERS,
    }
    square = ("q", "k", "v", "o")
    tensors = {}
    for layer in range(LAYERS):
        for role, name in names.items():
            shape = (HIDDEN, HIDDEN) if role in square else SHAPES[role]
            start = f"model.decoder.layers.{layer}.{name}"
            tensors[f"{start}.weight"] = ternary(shape, layer).astype(np.float16)
            tensors[f"{start}.bias"] = np.ones(shape[0], np.float16)
        tensors[f"model.decoder.layers.{layer}.self_attn_layer_norm.bias"] = np.ones(HIDDEN, "f2")
    tensors["model.decoder.embed_positions.weight"] = np.ones((5, HIDDEN), np.float16)
    checkpoint = open_checkpoint(write_folder(tmp_path, tensors, config))
    assert list(found(checkpoint)) == [(layer, role) for layer in range(LAYERS) for role in names]
    assert all(matrix.bias is not None for matrix in checkpoint.matrices)
    (left,) = checkpoint.left_out
    assert left.reason == "embedding of positions"


FALCON = {
    "one key head": ({"multi_query": True}, 1),
    "as many as queries": ({"multi_query": False}, HEADS),
    "grouped": ({"new_decoder_architecture": True, "num_kv_heads": KV_HEADS}, KV_HEADS),
}


@pytest.mark.parametrize(("change", "kv_heads"), FALCON.values(), ids=FALCON)
def test_falcon_fuses_queries_keys_and_values(tmp_path, change, kv_heads):
    config = {"model_type": "falcon", "hidden_size": 16, "num_attention_heads": HEADS}
    config |= {"num_hidden_layers": 1} | change
    shapes = {
        "self_attention.query_key_value": (16 + 2 * kv_heads * 4, 16),
        "self_attention.dense": (16, 16),
        "mlp.dense_h_to_4h": (64, 16),
        "mlp.dense_4h_to_h": (16, 64),
    }
    tensors = {
        f"transformer.h.0.{name}.weight": ternary(shape).astype(np.float16)
        for name, shape in shapes.items()
    }
    checkpoint = open_checkpoint(write_folder(tmp_path, tensors, config))
    assert [matrix.role for matrix in checkpoint.matrices] == ["qkv", "o", "up", "down"]


def test_sizes_that_differ_between_layers(tmp_path):
    config = LLAMA | {"intermediate_size": [20, 28], "num_key_value_heads": [2, 1]}
    tensors = stored()
    for role, shape in {"k": (4, 12), "v": (4, 12), "gate": (28, 12), "up": (28, 12)}.items():
        tensors[f"model.layers.1.{HF[role]}.weight"] = ternary(shape).astype(np.float16)
    tensors["model.layers.1.mlp.down_proj.weight"] = ternary((12, 28)).astype(np.float16)
    folder = write_folder(tmp_path, tensors, config)
    checkpoint = open_checkpoint(folder)
    assert checkpoint.wanted.uniform is None
    assert found(checkpoint)[1, "down"].in_features == 28
    write_folder(tmp_path, tensors, LLAMA)
    assert "should have shape [12, 20] (out, in)" in refusal(open_checkpoint, folder)


def without(*names):
    return {name: values for name, values in stored().items() if name not in names}


REAL = np.linspace(-1, 1, 20 * 12, dtype=np.float16).reshape(20, 12)
INCOMPLETE = {
    "a matrix": (
        without("model.layers.1.mlp.down_proj.weight"),
        "13 are as they should be: 1 missing (layer 1: down)",
        {"layers.1.down": "missing"},
    ),
    "a layer": (
        {name: values for name, values in stored().items() if ".layers.1." not in name},
        "7 are as they should be: 7 missing (layer 1: q, k, v, o, gate, up, down)",
        {f"layers.1.{role}": "missing" for role in SHAPES},
    ),
    "one that is not ternary": (
        stored() | {"model.layers.0.mlp.up_proj.weight": REAL},
        "13 are as they should be: 1 not ternary (model.layers.0.mlp.up_proj.weight, F16: should "
        "hold -s, 0 and +s, with one s or one for each of equal bands or groups, not both ",
        {"model.layers.0.mlp.up_proj.weight": "should hold"},
    ),
    "one of another type": (
        stored() | {"model.layers.0.mlp.up_proj.weight": np.ones((20, 12), np.int64)},
        "1 not ternary (model.layers.0.mlp.up_proj.weight, I64: I64)",
        {"model.layers.0.mlp.up_proj.weight": "I64"},
    ),
    "a layer too many": (
        stored() | {"model.layers.2.mlp.up_proj.weight": weights(0, "up")},
        "14 are as they should be: 1 not expected (model.layers.2.mlp.up_proj.weight, F16: of "
        "layer 2, where there are 2)",
        {"model.layers.2.mlp.up_proj.weight": "of layer 2, where there are 2"},
    ),
    "something unknown": (
        stored() | {"prism.hadamard.signs": np.ones(12, np.float16)},
        "1 not expected (prism.hadamard.signs, F16: of unknown meaning)",
        {"prism.hadamard.signs": "of unknown meaning"},
    ),
    "a part of a layer": (
        stored() | {"model.layers.0.mlp.up_proj.lora_A": np.ones((2, 12), np.float16)},
        "1 not expected (model.layers.0.mlp.up_proj.lora_A, F16: of unknown meaning)",
        {"model.layers.0.mlp.up_proj.lora_A": "of unknown meaning"},
    ),
}


@pytest.mark.parametrize(("tensors", "message", "left"), INCOMPLETE.values(), ids=INCOMPLETE)
def test_an_incomplete_model_is_refused_or_told(tmp_path, tensors, message, left):
    folder = write_folder(tmp_path, tensors, LLAMA)
    said = refusal(open_checkpoint, folder)
    assert said.startswith(f"{folder}: should have 14 ternary matrices by {folder}/config.json, ")
    assert message in said
    assert said.endswith(
        "; use the whole ternary release, or give --partial to go on with what is there"
    )
    checkpoint = open_checkpoint(folder, PARTIAL)
    assert {item.name for item in checkpoint.left_out} == set(left)
    for item in checkpoint.left_out:
        assert item.reason.startswith(left[item.name])
        assert (item.shape is None) == (item.type is None and item.reason != "missing")
    lost = {item.name for item in checkpoint.left_out if item.reason == "missing"}
    assert len(checkpoint.matrices) == 14 - len(lost) - ("not ternary" in message)


def test_a_matrix_under_two_names(tmp_path):
    tensors = stored() | {"model.layers.0.attention.wq.weight": weights(0, "q")}
    folder = write_folder(tmp_path, tensors, LLAMA)
    assert "should be in the file once, not also as model.layers.0.attention.wq.weight" in refusal(
        open_checkpoint, folder
    )


def test_nothing_says_which_matrices_there_are(tmp_path):
    folder = write_folder(tmp_path, stored(), {"model_type": "mamba"} | SIZES)
    said = refusal(open_checkpoint, folder)
    assert said.startswith(f"{folder}/config.json: model_type: should be one of llama, mistral, ")
    assert "not 'mamba'; without that nobody can tell whether the model is complete" in said
    assert len(open_checkpoint(folder, PARTIAL).matrices) == 14
    (folder / "config.json").unlink()
    file = folder / "model.safetensors"
    assert "config.json should be beside it" in refusal(open_checkpoint, file)
    assert len(open_checkpoint(file, PARTIAL).matrices) == 14


# GGUF


def gguf(values, tensors):
    """A GGUF file by hand. values: key → int, float, text or list of ints; tensors: F32 arrays."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values))
    for key, value in values.items():
        head += text(key)
        if isinstance(value, str):
            head += struct.pack("<I", 8) + text(value)
        elif isinstance(value, list):
            head += struct.pack(f"<IIQ{len(value)}i", 9, 5, len(value), *value)
        else:
            head += struct.pack("<Ii", 5, value)
    data = b""
    for name, array in tensors.items():
        head += text(name) + struct.pack("<I", array.ndim)
        head += b"".join(struct.pack("<Q", size) for size in reversed(array.shape))
        head += struct.pack("<IQ", F32, len(data))
        content = array.astype("<f4").tobytes()
        data += content + bytes(-len(content) % 32)
    return head + bytes(-len(head) % 32) + data


def metadata(name="llama", **changes):
    values = {
        "block_count": LAYERS,
        "embedding_length": HIDDEN,
        "feed_forward_length": FFN,
        "attention.head_count": HEADS,
        "attention.head_count_kv": KV_HEADS,
        "attention.key_length": HEAD_DIM,
    }
    values |= {key.replace("__", "."): value for key, value in changes.items()}
    return {"general.architecture": name} | {f"{name}.{k}": v for k, v in values.items()}


IN_GGUF = stored(GGUF, "blk.{}.") | {"token_embd.weight": np.ones((7, HIDDEN), np.float32)}


def test_a_gguf_file(tmp_path):
    file = tmp_path / "m.gguf"
    file.write_bytes(gguf(metadata(), IN_GGUF))
    checkpoint = open_checkpoint(file)
    assert list(found(checkpoint)) == [(layer, role) for layer in range(LAYERS) for role in SHAPES]
    for (layer, role), tensor in found(checkpoint).items():
        assert np.array_equal(tensor.weights(), np.sign(weights(layer, role)).astype(np.int8))
    file.write_bytes(gguf(metadata(expert_count=4), IN_GGUF))
    assert "llama.expert_count: should be missing or 0, not 4" in refusal(open_checkpoint, file)
    file.write_bytes(gguf(metadata("mamba"), IN_GGUF))
    assert "general.architecture: should be one of llama, bitnet," in refusal(open_checkpoint, file)


def test_sizes_by_layer_in_gguf(tmp_path):
    file = tmp_path / "m.gguf"
    by_layer = {"attention__head_count_kv": [2, 1], "feed_forward_length": [FFN, 28]}
    tensors = dict(IN_GGUF)
    for name, shape in {"attn_k": (4, 12), "attn_v": (4, 12), "ffn_down": (12, 28)}.items():
        tensors[f"blk.1.{name}.weight"] = ternary(shape)
    for name in ("ffn_gate", "ffn_up"):
        tensors[f"blk.1.{name}.weight"] = ternary((28, 12))
    file.write_bytes(gguf(metadata(**by_layer), tensors))
    assert found(open_checkpoint(file))[1, "k"].out_features == 4
    file.write_bytes(gguf(metadata(attention__head_count_kv=[2]), tensors))
    assert "attention.head_count_kv: should be an integer of at least 1, not [2]" in refusal(
        open_checkpoint, file
    )


def test_phi3_in_gguf_fuses_gate_and_up(tmp_path):
    tensors = {}
    for layer in range(LAYERS):
        start = f"blk.{layer}."
        tensors[f"{start}attn_qkv.weight"] = np.concatenate([weights(layer, r) for r in "qkv"])
        tensors[f"{start}ffn_up.weight"] = np.concatenate(
            [weights(layer, r) for r in ("gate", "up")]
        )
        tensors[f"{start}attn_output.weight"] = weights(layer, "o")
        tensors[f"{start}ffn_down.weight"] = weights(layer, "down")
    file = tmp_path / "m.gguf"
    file.write_bytes(gguf(metadata("phi3"), tensors))
    for (layer, role), tensor in found(open_checkpoint(file)).items():
        assert np.array_equal(tensor.weights(), np.sign(weights(layer, role)).astype(np.int8))


def split(folder, **changes):
    """A model in three parts; the first has all metadata and no tensors."""
    names = [f"m-{i:05d}-of-00003.gguf" for i in (1, 2, 3)]
    order = list(IN_GGUF)
    parts = [{}, {n: IN_GGUF[n] for n in order[:5]}, {n: IN_GGUF[n] for n in order[5:]}]
    for number, (name, tensors) in enumerate(zip(names, parts, strict=True)):
        own = {"split.no": number, "split.count": 3, "split.tensors.count": len(IN_GGUF)}
        values = metadata(**changes) if number == 0 else {}
        (folder / name).write_bytes(gguf(values | own, tensors))
    return [folder / name for name in names]


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_split_model_from_any_of_its_parts(tmp_path, part):
    checkpoint = open_checkpoint(split(tmp_path)[part])
    assert len(checkpoint.matrices) == 14
    assert sum(t.out_features * t.in_features for t in checkpoint.tensors) == 2 * sum(
        out * inside for out, inside in SHAPES.values()
    )


def test_a_split_model_with_a_part_missing(tmp_path):
    files = split(tmp_path)
    files[1].unlink()
    assert refusal(open_checkpoint, files[2]) == (
        f"{files[2]}: should have its other parts beside it, not lack 'm-00002-of-00003.gguf'; "
        "download them, or give --partial to go on with what is there"
    )
    checkpoint = open_checkpoint(files[0], PARTIAL)
    assert sum(item.reason == "missing" for item in checkpoint.left_out) == 5
    named = files[2].rename(tmp_path / "renamed.gguf")
    assert "should be named like …-00001-of-00003.gguf" in refusal(open_checkpoint, named)


def test_parts_of_different_models(tmp_path):
    files = split(tmp_path)
    files[1].write_bytes(files[2].read_bytes())
    assert "parts of different models lie here" in refusal(open_checkpoint, files[0])


NAMED_TYPES = {
    38: "TL1: TL1 of BitNet's llama.cpp: its order of weights belongs to kernels of the machine "
    "that made it; use the I2_S or TQ2_0 release",
    39: "TL2 of BitNet's llama.cpp or MXFP4 of ggml, which have one number",
    134: "IQ1_BN: IQ1_BN of ik_llama.cpp; convert from the original model to TQ2_0",
    135: "IQ2_BN: IQ2_BN of ik_llama.cpp; convert from the original model to TQ2_0",
    143: "PTQ1_0: PTQ1_0 of PrismML's llama.cpp; use the PQ2_0 or Q2_0 release",
    99: "type 99: type 99",
}


@pytest.mark.parametrize(("kind", "message"), NAMED_TYPES.items(), ids=map(str, NAMED_TYPES))
def test_types_that_are_known_but_not_read(tmp_path, kind, message):
    content = bytearray(gguf(metadata(), IN_GGUF))
    name = b"blk.1.ffn_up.weight"
    at = content.index(name) + len(name) + 4 + 16
    content[at : at + 4] = struct.pack("<I", kind)
    file = tmp_path / "m.gguf"
    file.write_bytes(content)
    said = refusal(open_checkpoint, file)
    assert f"1 not ternary (blk.1.ffn_up.weight, {message}" in said or message in said


def test_the_shared_door_says_the_same(tmp_path):
    """Inspection of the folder, of the file and of a shard."""
    folder = write_folder(tmp_path, stored(), LLAMA)
    texts = {
        json.dumps([matrix.tensor.name for matrix in open_checkpoint(path).matrices])
        for path in (folder, folder / "model.safetensors", Path(str(folder)))
    }
    assert len(texts) == 1
