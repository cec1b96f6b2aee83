"""Our decoders and vocabularies against programs that this project did not make.

    make against

Small random models of every family that transformers has go through transformers in float64 and
through ours, quantisation of activations apart: printed is the largest difference of a logit, which
is that of norms, angles and softmax in float32 there. A vocabulary that SentencePiece trains goes
through SentencePiece and, by way of a GGUF file, through ours: printed is how many texts differ.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import sentencepiece
import torch
import transformers
from safetensors.torch import save_file

from sim.checkpoints import TernaryLayer, open_checkpoint
from sim.checkpoints.gguf.header import read_header
from sim.nets import decoder as decoders
from sim.nets.gguf_vocabulary import gguf_vocabulary

CORPUS = Path(__file__).parents[1] / "examples" / "tinylm" / "heldout.txt"
TOLERANCE = 1e-6
"""Of the largest logit: 8 units in the last place of float32, in which transformers norms."""
TOKENS = [3, 0, 6, 1, 1, 5, 2, 30, 17, 9]
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 31,
    "max_position_embeddings": 64,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 24,
    "rope_theta": 10000.0,
}
LINEAR = {"rope_type": "linear", "factor": 2.5, "rope_theta": 500.0}
WIDE = {"hidden_size": 24, "head_dim": 8}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", WIDE),
    "llama with biases": ("Llama", {"attention_bias": True, "mlp_bias": True}),
    "llama, llama3 scaling": ("Llama", {"rope_parameters": LLAMA3}),
    "llama, linear scaling": ("Llama", {"rope_parameters": LINEAR}),
    "qwen2": ("Qwen2", {}),
    "qwen3": ("Qwen3", WIDE),
    "bitnet": ("BitNet", {"hidden_act": "relu2"}),
    "bitnet, tied": ("BitNet", {"hidden_act": "relu2", "tie_word_embeddings": True}),
}


def exact(layer: TernaryLayer, acts: np.ndarray) -> np.ndarray:
    """Products of activations that were not rounded."""
    return (acts @ layer.weights.T.astype(float))[None]


def difference(name: str, changes: dict[str, Any], folder: Path) -> float:
    """The largest difference of a logit, as a share of the largest logit."""
    config = getattr(transformers, f"{name}Config")(**SIZES | changes)
    model = getattr(transformers, f"{name}ForCausalLM")(config).eval().double()
    rng = np.random.default_rng(1)
    with torch.no_grad():
        for stored, parameter in model.named_parameters():
            shape = tuple(parameter.shape)
            if "_proj.weight" in stored:
                drawn = rng.integers(-1, 2, shape) * 0.25
            elif "embed" in stored or "lm_head" in stored:
                drawn = rng.normal(size=shape)
            else:
                drawn = rng.uniform(0.5, 1.5, shape)
            parameter.copy_(torch.tensor(drawn))
        wanted = model(torch.tensor([TOKENS])).logits[0].numpy()
    tensors = {stored: values.clone().contiguous() for stored, values in model.state_dict().items()}
    if config.tie_word_embeddings:
        del tensors["lm_head.weight"]
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config.to_dict(), default=str))
    decoder = decoders.Decoder.load(open_checkpoint(folder))
    found = decoder.forward(TOKENS, decoder.new_cache(), exact)
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def differing_texts(folder: Path) -> tuple[int, int]:
    """Texts that are cut otherwise, of how many."""
    text = CORPUS.read_text()
    sentencepiece.SentencePieceTrainer.train(
        input=str(CORPUS),
        model_prefix=str(folder / "m"),
        vocab_size=800,
        model_type="bpe",
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "m.model"))
    ids = range(pieces.get_piece_size())
    kinds = [
        2 if pieces.is_unknown(i) else 3 if pieces.is_control(i) else 6 if pieces.is_byte(i) else 1
        for i in ids
    ]
    writer = gguf.GGUFWriter(folder / "m.gguf", "llama")
    writer.add_tokenizer_model("llama")
    writer.add_token_list([pieces.id_to_piece(i) for i in ids])
    writer.add_token_scores([pieces.get_score(i) for i in ids])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(pieces.bos_id())
    writer.add_unk_token_id(pieces.unk_id())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    tokenizer, _ = gguf_vocabulary(read_header(folder / "m.gguf"))
    drawn = random.Random(1)
    texts = ["naïve café 🙂", "  two  spaces", "x", "don't  ", "Ünïcödé 漢字"]
    for _ in range(3000):
        start = drawn.randrange(len(text) - 60)
        texts.append(text[start : start + drawn.randrange(1, 60)].replace("\n", " "))
    wrong = sum(
        [pieces.bos_id(), *pieces.encode(one)] != tokenizer.encode(one).ids for one in texts
    )
    return wrong, len(texts)


def main() -> None:
    """Print all comparisons; exit code 1 where one is not equal."""
    torch.set_default_dtype(torch.float64)
    transformers.logging.set_verbosity_error()
    # What is compared is everything but the rounding of activations.
    decoders.activations_absmax = lambda x: (x, np.ones(len(x)))
    decoders.check_products = lambda *_: None
    worst = 0.0
    for title, (name, changes) in MODELS.items():
        with tempfile.TemporaryDirectory() as folder:
            share = difference(name, changes, Path(folder))
        worst = max(worst, share)
        print(f"{title}: logits differ by {share:.1e} of the largest at most")
    with tempfile.TemporaryDirectory() as folder:
        wrong, count = differing_texts(Path(folder))
    print(f"SentencePiece: {wrong} of {count:,} texts differ")
    sys.exit(worst > TOLERANCE or wrong > 0)


if __name__ == "__main__":
    main()
