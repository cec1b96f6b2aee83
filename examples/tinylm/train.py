"""Train the example language model by the rules of BitNet b1.58, or with float weights.

    python examples/tinylm/train.py            train, measure, write the files beside this one
    python examples/tinylm/train.py --float    the same network and steps with float weights and
                                               activations; only its losses are kept

In every forward pass the weights of the linear layers are ternary (absmean of each matrix) and
their inputs int8 (absmax of each token). Gradients pass both quantisers unchanged and move latent
float weights, with Adam. Text comes from corpus.py, the network from torch_model.py.

An interrupted run goes on from its last state in build/tinylm/; --restart begins anew. Random
choices follow SEED, but sums depend on the machine and the number of threads in their last bits, so
that another machine trains other weights, as good as these.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import math
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from corpus import HELD_OUT, Corpus, read_corpus
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional
from torch_model import Sizes, TinyLM

from sim.checkpoints import MODEL_FILE, pack_rows
from sim.nets.quantise import weights_absmean
from sim.nets.vocabulary import TOKENISER_FILE, character_tokenizer

FOLDER = Path(__file__).parent
STATES = FOLDER.parents[1] / "build" / "tinylm"
RECORD = "training.json"

SEED = 1611
STEPS = 3000
WARMUP = 50
BATCH = 8  # sequences of Sizes.context characters per step
STEP = 4e-3  # of Adam, after WARMUP steps; it falls slowly, and fast to 0 from step 2520 on
SLOW_FALL, FAST_FALL = 3600, 1600  # steps from all of STEP to 0, at either pace
BETAS = (0.9, 0.95)
STEPS_PER_LINE = 50
STEPS_PER_STATE = 250  # also held-out loss, on the first WATCHED characters
WATCHED = 16_000


def write_atomically(file: Path, write: Callable[[Path], object]) -> None:
    """``write`` a file beside it, then put it in place, so that no half file is ever seen."""
    part = file.with_name(file.name + ".part")
    write(part)
    part.replace(file)


def encode(text: str, characters: str) -> Tensor:
    """Indices of the characters, (T,) int64."""
    index = {character: i for i, character in enumerate(characters)}
    return torch.tensor([index[character] for character in text])


def batch(ids: Tensor, context: int, step: int) -> tuple[Tensor, Tensor]:
    """Random passages (B, context) of a step and the characters that follow each of theirs."""
    starts = np.random.default_rng((SEED, step)).integers(0, len(ids) - context, BATCH)
    passages = torch.stack([ids[start : start + context + 1] for start in starts])
    return passages[:, :-1], passages[:, 1:]


@torch.no_grad()
def bits_per_character(model: TinyLM, ids: Tensor) -> float:
    """Mean of -log2 p over all characters but the first, in passages of the full context.

    Passage i predicts characters i·context + 1 … (i + 1)·context from those of them before.
    """
    context, nats = model.sizes.context, 0.0
    for start in range(0, len(ids) - 1, context):
        passage = ids[start : start + context + 1]
        logits = model(passage[None, :-1])[0]
        nats += float(functional.cross_entropy(logits, passage[1:], reduction="sum"))
    return nats / (len(ids) - 1) / math.log(2)


def run_settings(corpus: Corpus) -> dict[str, object]:
    """What a run must have in common with one that it goes on with."""
    return {
        "seed": SEED,
        "steps": STEPS,
        "batch": BATCH,
        "step": STEP,
        "sizes": asdict(Sizes(len(corpus.characters))),
        "text": hashlib.sha256(corpus.training.encode()).hexdigest(),
    }


def train(corpus: Corpus, name: str, restart: bool) -> tuple[TinyLM, list[list[float]]]:
    """The trained network, and [step, training loss, held-out loss] in bits per character.

    The training loss is the mean since the line before.
    """
    torch.manual_seed(SEED)
    model = TinyLM(Sizes(len(corpus.characters)), quantised=name == "ternary")
    optimiser = torch.optim.Adam(model.parameters(), betas=BETAS)
    curve: list[list[float]] = []
    first, file, settings = 0, STATES / f"{name}.pt", run_settings(corpus)
    state = torch.load(file, weights_only=True) if file.exists() and not restart else {}
    if state and state["settings"] != settings:
        print(
            f"{name}: {file} is of other settings or another text: beginning anew", file=sys.stderr
        )
    elif state:
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        curve, first = state["curve"], state["step"]
        print(f"{name}: going on after step {first}, from {file}", file=sys.stderr)
    training = encode(corpus.training, corpus.characters)
    watched = encode(corpus.held_out[:WATCHED], corpus.characters)
    losses: list[float] = []
    for step in range(first, STEPS):
        inputs, wanted = batch(training, model.sizes.context, step)
        rate = STEP * min((step + 1) / WARMUP, 1 - step / SLOW_FALL, (STEPS - step) / FAST_FALL)
        optimiser.param_groups[0]["lr"] = rate
        optimiser.zero_grad()
        loss = functional.cross_entropy(model(inputs).flatten(0, 1), wanted.flatten())
        loss.backward()
        optimiser.step()
        losses.append(loss.item() / math.log(2))
        done = step + 1
        if done % STEPS_PER_LINE == 0:
            recent = np.mean(losses[-STEPS_PER_LINE:])
            print(f"{name}: step {done}/{STEPS}: {recent:.4f} bits per character", file=sys.stderr)
        if done % STEPS_PER_STATE == 0 or done == STEPS:
            curve.append([done, float(np.mean(losses)), bits_per_character(model, watched)])
            print(f"{name}: step {done}: held out {curve[-1][2]:.4f}", file=sys.stderr)
            losses = []
            STATES.mkdir(parents=True, exist_ok=True)
            state = {
                "settings": settings,
                "model": model.state_dict(),
                "optimiser": optimiser.state_dict(),
                "curve": curve,
                "step": done,
            }
            write_atomically(file, lambda part, state=state: torch.save(state, part))
    return model, curve


def round_off(model: TinyLM) -> dict[str, Tensor]:
    """Give the network the values that are stored, in float64; the tensors to store.

    Norms and embedding become bfloat16; of a quantised network, weights become ternary integers
    and a float32 scale.
    """
    model.double()
    layers = model.bit_linears()
    stored: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        layer = layers.get(name.removesuffix(".weight"))
        if layer is None:
            stored[f"model.{name}"] = parameter.data.bfloat16()
            parameter.data = parameter.data.bfloat16().double()
        elif layer.ternary:
            ternary, inverse = weights_absmean(parameter.detach().numpy())
            scale = torch.tensor([1 / inverse], dtype=torch.float32)
            stored[f"model.{name}"] = torch.from_numpy(pack_rows(ternary))
            stored[f"model.{name}_scale"] = scale
            parameter.data = torch.from_numpy(ternary).double() * scale.double()
            layer.ternary = False  # They are what they should be; do not quantise them again.
    return stored


def hugging_face_config(sizes: Sizes) -> dict[str, object]:
    """The content of config.json."""
    return {
        "architectures": ["BitNetForCausalLM"],
        "model_type": "bitnet",
        "vocab_size": sizes.vocab,
        "hidden_size": sizes.hidden,
        "intermediate_size": sizes.ffn,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "num_key_value_heads": sizes.kv_heads,
        "head_dim": sizes.head_dim,
        "hidden_act": "relu2",
        "max_position_embeddings": sizes.context,
        "rms_norm_eps": sizes.rms_norm_eps,
        "rope_theta": sizes.rope_theta,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "quantization_config": {
            "quant_method": "bitnet",
            "linear_class": "autobitlinear",
            "quantization_mode": "offline",
        },
    }


def write_json(file: Path, content: object) -> None:
    text = json.dumps(content, indent=2) + "\n"
    write_atomically(file, lambda part: part.write_text(text))


def record(corpus: Corpus, name: str, run: dict[str, object]) -> None:
    """Put the results of one run into training.json; those of the other one stay."""
    file = FOLDER / RECORD
    STATES.mkdir(parents=True, exist_ok=True)
    with (STATES / "lock").open("w") as lock:  # Both runs may end at the same time.
        fcntl.flock(lock, fcntl.LOCK_EX)
        _record(file, corpus, name, run)


def _record(file: Path, corpus: Corpus, name: str, run: dict[str, object]) -> None:
    runs = json.loads(file.read_text())["runs"] if file.exists() else {}
    runs[name] = run
    content = {
        "corpus": {
            "text": "King James Bible, Debian package bible-kjv-text",
            "training_characters": len(corpus.training),
            "training_sha256": hashlib.sha256(corpus.training.encode()).hexdigest(),
            "held_out": f"the book {HELD_OUT}",
            "held_out_characters": len(corpus.held_out),
            "excerpt_characters": len(corpus.excerpt),
        },
        "seed": SEED,
        "steps": STEPS,
        "characters_per_step": BATCH * Sizes(0).context,
        "runs": dict(sorted(runs.items())),
    }
    write_json(file, content)


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the tinylm example.")
    parser.add_argument("--float", action="store_true", help="float weights and activations")
    parser.add_argument("--corpus", type=Path, metavar="FILE", help="output of bible -f")
    parser.add_argument("--restart", action="store_true", help="forget an interrupted run")
    parser.add_argument(
        "--threads", type=int, default=1, help="at most the idle processors; 1 by default"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)  # Of the float network's gradients: half as slow again.
    corpus = read_corpus(arguments.corpus)
    name = "float" if arguments.float else "ternary"
    model, curve = train(corpus, name, arguments.restart)
    stored = round_off(model)
    excerpt = bits_per_character(model, encode(corpus.excerpt, corpus.characters))
    held_out = bits_per_character(model, encode(corpus.held_out, corpus.characters))
    if name == "ternary":
        write_json(FOLDER / "config.json", hugging_face_config(model.sizes))
        tokenizer = character_tokenizer(corpus.characters)
        write_atomically(FOLDER / TOKENISER_FILE, lambda part: tokenizer.save(str(part)))
        write_atomically(
            FOLDER / "heldout.txt", lambda part: part.write_text(corpus.excerpt, newline="\n")
        )
        write_atomically(FOLDER / MODEL_FILE, lambda part: part.write_bytes(save(stored)))
    run: dict[str, object] = {
        "held_out_bits_per_character": held_out,
        "excerpt_bits_per_character": excerpt,
        "step_training_held_out": [[step, round(a, 4), round(b, 4)] for step, a, b in curve],
    }
    if name == "ternary":
        weights = torch.cat([layer.weight.flatten() for layer in model.bit_linears().values()])
        run["weights"] = weights.numel()
        run["zero_fraction"] = int((weights == 0).sum()) / weights.numel()
    record(corpus, name, run)
    print(f"{name}: held out {held_out:.4f} bits per character", file=sys.stderr)
    print(FOLDER / (MODEL_FILE if name == "ternary" else RECORD))


if __name__ == "__main__":
    main()
