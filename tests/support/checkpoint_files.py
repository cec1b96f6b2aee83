"""Checkpoint files written straight from the description of their bytes, and by the libraries."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors.numpy import save_file

from sim.checkpoints import Checkpoint, CheckpointError, Reading, open_checkpoint, pack_rows

# A decoder with one layer; every size is divisible by 256, for TQ1_0 and TQ2_0.
HIDDEN, FFN, HEADS, KV_HEADS, HEAD_DIM = 256, 768, 4, 2, 64
SHAPES = {
    "attn_q": (256, 256),
    "attn_k": (128, 256),
    "attn_v": (128, 256),
    "attn_output": (256, 256),
    "ffn_gate": (768, 256),
    "ffn_up": (768, 256),
    "ffn_down": (256, 768),
}
METADATA = {
    "block_count": 1,
    "embedding_length": HIDDEN,
    "feed_forward_length": FFN,
    "attention.head_count": HEADS,
    "attention.head_count_kv": KV_HEADS,
    "attention.key_length": HEAD_DIM,
}
F32, I2_S = 0, 36


def ternary(shape, seed=0):
    return np.random.default_rng(seed).integers(-1, 2, shape).astype(np.int8)


def open_partly(path, layout=None, scale=None) -> Checkpoint:
    """What there is of a checkpoint, complete or not."""
    return open_checkpoint(path, Reading(layout, scale, partial=True))


def refusal(function, *args, **kwargs) -> str:
    """The message of the one-line CheckpointError that a call must raise."""
    with pytest.raises(CheckpointError) as caught:
        function(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def write_tq(
    path: Path, kind: str, tensors: dict[str, np.ndarray], metadata=METADATA, name="llama"
) -> Path:
    """A GGUF file by the reference library, matrices quantised by ``gguf.quants``."""
    writer = gguf.GGUFWriter(path, name)
    for key, value in metadata.items():
        writer.add_uint32(f"{name}.{key}", value)
    writer.add_token_list(["<s>", "a", "ä"])
    writer.add_array("llama.rope.sizes", [1, 2, 3])
    writer.add_tensor("output_norm.weight", np.ones(HIDDEN, np.float32))
    qtype = gguf.GGMLQuantizationType[kind]
    for name, values in tensors.items():
        data = gguf.quants.quantize(values.astype(np.float32), qtype)
        writer.add_tensor(f"{name}.weight", data, raw_dtype=qtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def gguf_bytes(tensors, metadata=METADATA, version=3, suffix=".weight", name="bitnet") -> bytes:
    """A GGUF file by hand. tensors: name → (shape, type, data); metadata: integers; name: of the
    architecture."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(metadata) + 2)
    head += text("general.architecture") + struct.pack("<I", 8) + text(name)
    head += text("tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("bc")
    for key, value in metadata.items():
        head += text(f"{name}.{key}") + struct.pack("<II", 4, value)
    data = b""
    for tensor, (shape, kind, content) in tensors.items():
        head += text(tensor + suffix) + struct.pack("<I", len(shape))
        head += b"".join(struct.pack("<Q", size) for size in reversed(shape))
        head += struct.pack("<IQ", kind, len(data))
        data += content + bytes(-len(content) % 32)
    return head + bytes(-len(head) % 32) + data


def i2s_bytes(weights: np.ndarray, layout: str, scale: float) -> bytes:
    """One matrix in I2_S, weight by weight from the description of the layout."""
    codes = (weights + 1).tolist()
    rows, columns = weights.shape
    packed = [0] * (rows * columns // 4)
    for row in range(rows):
        for column in range(columns):
            if layout == "interleaved":
                byte, place = row // 4 * columns + column, row % 4
            else:
                run = {"x86": 128, "arm": 64}[layout]
                index = row * columns + column
                byte = index // run * (run // 4) + index % run % (run // 4)
                place = index % run // (run // 4)
            packed[byte] |= codes[row][column] << (6 - 2 * place)
    return bytes(packed) + struct.pack("<f", scale) + bytes(28)


def write_folder(folder: Path, tensors: dict[str, np.ndarray], config: dict | None = None) -> Path:
    """A folder with one safetensors file and config.json."""
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config or {}))
    return folder


def packed(names, shape=(8, 6), scale=0.5) -> dict[str, np.ndarray]:
    """Packed layers of random weights, seeded by their place."""
    tensors = {}
    for seed, name in enumerate(names):
        tensors[f"{name}.weight"] = pack_rows(ternary(shape, seed))
        tensors[f"{name}.weight_scale"] = np.array([scale], np.float32)
    return tensors


BITNET = {"quantization_config": {"quant_method": "bitnet", "linear_class": "autobitlinear"}}
LLAMA_SIZES = {
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "intermediate_size": FFN,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD_DIM,
    "num_hidden_layers": 1,
}
