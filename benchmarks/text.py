"""Text from a decoder of BitNet b1.58 2B4T's shape: seconds and memory, golden products.

    python benchmarks/text.py [FOLDER]

Writes a packed checkpoint of 2,084,044,800 random ternary weights and an embedding of 128,256
tokens in bfloat16 (1.2 GB) into FOLDER, unless it is there, with a tokeniser of characters, and
lets it continue a prompt of three tokens by two.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

from sim.nets.vocabulary import TOKENISER_FILE, character_tokenizer
from sim.workload.zoo import load_model

CORE = "kind: lut\nact: int8\nmu: 4\ntables: 16\nports: 32\n"
CODES = np.array([0b00, 0b01, 0b10], np.uint8)
RUN = """\
import resource, sys, time
from hwgen import simulate
started = time.perf_counter()
run = simulate(sys.argv[1], sys.argv[2], prompt="abc", tokens=2)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
print(f"{run.tokens} tokens, {run.layers} layers: {time.perf_counter() - started:.0f} s, "
      f"{peak:.2f} GB")
"""


def write(folder: Path) -> None:
    """The checkpoint; nothing if it is there."""
    if (folder / "model.safetensors").exists():
        return
    model = load_model("bitnet-b1.58-2b-4t")
    rng = np.random.default_rng(0)
    bf16 = ml_dtypes.bfloat16
    table = rng.standard_normal((model.vocab, model.hidden), np.float32).astype(bf16)
    tensors: dict[str, np.ndarray] = {"model.embed_tokens.weight": table}
    tensors["model.norm.weight"] = np.ones(model.hidden, bf16)
    for layer in range(model.layers):
        start = f"model.layers.{layer}"
        for role, (out, inside) in model.architecture.shapes().items():
            name = f"{start}.{'self_attn' if role in 'qkvo' else 'mlp'}.{role}_proj"
            drawn = rng.integers(0, 3, (4, out // 4, inside), np.uint8)
            packed = sum((CODES[drawn[i]] << 2 * i for i in range(4)), np.uint8(0))
            tensors[f"{name}.weight"] = packed.astype(np.uint8)
            tensors[f"{name}.weight_scale"] = np.full(1, 0.02, bf16)
        gains = {"input_layernorm": model.hidden, "post_attention_layernorm": model.hidden}
        gains |= {"self_attn.attn_sub_norm": model.hidden, "mlp.ffn_sub_norm": model.ffn}
        for name, size in gains.items():
            tensors[f"{start}.{name}.weight"] = np.ones(size, bf16)
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "model_type": "bitnet",
        "hidden_size": model.hidden,
        "intermediate_size": model.ffn,
        "num_hidden_layers": model.layers,
        "num_attention_heads": model.heads,
        "num_key_value_heads": model.kv_heads,
        "head_dim": model.head_dim,
        "vocab_size": model.vocab,
        "hidden_act": "relu2",
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "tie_word_embeddings": True,
        "quantization_config": {"quant_method": "bitnet", "linear_class": "autobitlinear"},
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    letters = "".join(map(chr, range(0x4E00, 0x4E00 + 20000))) + "abc"
    character_tokenizer(letters).save(str(folder / TOKENISER_FILE))
    save_file(tensors, folder / "model.safetensors")


def main() -> None:
    """Write the checkpoint and run it in a process of its own, whose memory counts alone."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if sys.argv[1:] else Path(temporary) / "2b4t"
        started = time.perf_counter()
        write(folder)
        print(f"written in {time.perf_counter() - started:.0f} s", flush=True)
        core = Path(temporary) / "core.yaml"
        core.write_text(CORE)
        subprocess.run([sys.executable, "-c", RUN, str(folder), str(core)], check=True)


if __name__ == "__main__":
    main()
