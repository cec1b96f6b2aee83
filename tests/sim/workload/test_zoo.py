"""The model zoo: every shape as published, totals as the names say."""

from __future__ import annotations

import math
import re

import pytest

from hwgen.base.errors import ConfigError
from sim.checkpoints.architecture import Architecture
from sim.checkpoints.families import layer_and_roles
from sim.workload.zoo import FOLDER, load_model, model_names

# (out, in) of q; k and v; o; gate and up; down; layers; (rows of the embedding, tied or not).
# Sources: microsoft/BitNet gpu/model.py and preset_kernels, the models' config.json.
PUBLISHED = {
    "bitnet-b1.58-2b-4t": (
        (2560, 2560), (640, 2560), (2560, 2560), (6912, 2560), (2560, 6912), 30, (128256, True),
    ),
    "bitnet-b1.58-0.7b": (
        (1536, 1536), (1536, 1536), (1536, 1536), (4096, 1536), (1536, 4096), 24, (32002, True),
    ),
    "bitnet-b1.58-1.3b": (
        (2048, 2048), (2048, 2048), (2048, 2048), (5460, 2048), (2048, 5460), 24, (32002, True),
    ),
    "bitnet-b1.58-3b": (
        (3200, 3200), (3200, 3200), (3200, 3200), (8640, 3200), (3200, 8640), 26, (32002, True),
    ),
    "falcon3-1.58-1b": (
        (2048, 2048), (1024, 2048), (2048, 2048), (8192, 2048), (2048, 8192), 18, (131072, False),
    ),
    "falcon3-1.58-3b": (
        (3072, 3072), (1024, 3072), (3072, 3072), (9216, 3072), (3072, 9216), 22, (131072, False),
    ),
    "falcon3-1.58-7b": (
        (3072, 3072), (1024, 3072), (3072, 3072), (23040, 3072), (3072, 23040), 28, (131072, False),
    ),
    "falcon3-1.58-10b": (
        (3072, 3072), (1024, 3072), (3072, 3072), (23040, 3072), (3072, 23040), 40, (131072, False),
    ),
    "llama3-8b-1.58": (
        (4096, 4096), (1024, 4096), (4096, 4096), (14336, 4096), (4096, 14336), 32, (128256, False),
    ),
}  # fmt: skip
# hidden, FFN, heads, layers, shards: Spectra (arXiv 2407.12327), table 3.
TRILM = {
    "99m": (512, 1280, 8, 16, 1),
    "190m": (768, 2048, 12, 16, 1),
    "390m": (1024, 2560, 16, 24, 1),
    "560m": (1280, 3072, 20, 24, 1),
    "830m": (1536, 4096, 24, 24, 1),
    "1.1b": (1792, 5120, 28, 24, 2),
    "1.5b": (2048, 6144, 32, 24, 2),
    "2.4b": (2304, 7680, 36, 30, 3),
    "3.9b": (3072, 9216, 24, 30, 6),
}
# Parameters that Hugging Face counts in the files of TriLM, to three digits.
COUNTED = {"trilm-99m": 99.8e6, "trilm-390m": 392e6, "trilm-3.9b": 3.99e9}


def test_the_zoo_is_complete():
    assert set(model_names()) == {*PUBLISHED, *(f"trilm-{size}" for size in TRILM)}
    assert len(list(FOLDER.iterdir())) == len(model_names())


@pytest.mark.parametrize("name", PUBLISHED)
def test_shapes(name):
    model = load_model(name)
    q, kv, o, gate_up, down, layers, embedding = PUBLISHED[name]
    wanted = {"q": q, "k": kv, "v": kv, "o": o, "gate": gate_up, "up": gate_up, "down": down}
    assert {m.role: (m.out_features, m.in_features) for m in model.matrices} == wanted
    assert {m.count for m in model.matrices} == {model.layers} == {layers}
    assert (model.vocab, model.tied) == embedding


@pytest.mark.parametrize("size", TRILM)
def test_trilm(size):
    model = load_model(f"trilm-{size}")
    hidden, ffn, heads, layers, shards = TRILM[size]
    square = (hidden, hidden)
    wanted = dict.fromkeys("qkvo", square) | {
        "gate": (ffn, hidden), "up": (ffn, hidden), "down": (hidden, ffn),
    }  # fmt: skip
    assert {m.role: (m.out_features, m.in_features) for m in model.matrices} == wanted
    assert (model.heads, model.kv_heads, model.layers, model.shards) == (
        heads, heads, layers, shards,
    )  # fmt: skip
    assert hidden % shards == ffn % shards == heads % shards == 0


def test_heads_wider_than_the_stream():
    """As in some models of the Qwen family: 4 heads of 24 in a stream of 64."""
    sizes = Architecture(hidden=64, ffn=160, heads=4, kv_heads=2, head_dim=24, layers=1)
    assert sizes.shapes() == {
        "q": (96, 64),
        "k": (48, 64),
        "v": (48, 64),
        "o": (64, 96),
        "gate": (160, 64),
        "up": (160, 64),
        "down": (64, 160),
    }


NAMES = {
    "model.layers.12.self_attn.o_proj": (12, ("o",)),
    "layers.0.mlp.gate_proj": (0, ("gate",)),
    "blk.7.ffn_down": (7, ("down",)),
    "blk.7.attn_output": (7, ("o",)),
    "model.layers.3.self_attn.qkv_proj": (3, ("q", "k", "v")),
    "layers.3.feed_forward.w13": (3, ("gate", "up")),
    "model.decoder.layers.1.self_attn.out_proj": (1, ("o",)),
    "model.decoder.layers.1.fc2": (1, ("down",)),
    "blk.7.attn_q_norm": None,
    "blk.7.ffn_down.scale": None,
    "layers.0": None,
    "lm_head": None,
    "o_proj": None,
}


@pytest.mark.parametrize(("name", "place"), NAMES.items(), ids=NAMES)
def test_roles_by_name(name, place):
    assert layer_and_roles(name) == place


def test_weights_of_2b4t():
    """30 layers of 2 · 2560² + 2 · 640 · 2560 + 3 · 6912 · 2560."""
    model = load_model("bitnet-b1.58-2b-4t")
    assert model.ternary_weights == 30 * 69_468_160 == 2_084_044_800
    assert model.other_weights == 128256 * 2560


@pytest.mark.parametrize("name", model_names())
def test_totals_are_what_the_names_say(name):
    """All weights or the ternary ones are within 12 % of the number in the name."""
    model = load_model(name)
    number, unit = re.search(r"(\d+(?:\.\d+)?)([mb])(?=$|-)", name.replace("-1.58", "")).groups()
    said = float(number) * {"m": 1e6, "b": 1e9}[unit]
    totals = (model.ternary_weights, model.ternary_weights + model.other_weights)
    assert min(abs(total / said - 1) for total in totals) < 0.12 + 0.02 * (name[-2:] == "1b")
    assert model.parameters.value == pytest.approx(COUNTED.get(name, said))


@pytest.mark.parametrize("name", COUNTED)
def test_totals_are_what_was_counted(name):
    """To the three digits given; norms, 2 · layers + 1 vectors, are left out."""
    model = load_model(name)
    total = model.ternary_weights + model.other_weights + (2 * model.layers + 1) * model.hidden
    digits = 2 - math.floor(math.log10(COUNTED[name]))
    assert round(total, digits) == round(COUNTED[name], digits)


def test_models_say_where_they_come_from():
    for name in model_names():
        model = load_model(name)
        assert len(model.source) > 20
        assert model.parameters.source


OTHER_NAMES = {
    "microsoft/bitnet-b1.58-2B-4T": "BitNet b1.58 2B4T",
    "MICROSOFT/BITNET-B1.58-2B-4T-BF16": "BitNet b1.58 2B4T",
    "bitnet-2B4T": "BitNet b1.58 2B4T",
    "Bitnet-B1.58-3b": "BitNet b1.58 3B (1bitLLM)",
    "1bitLLM/bitnet_b1_58-3B": "BitNet b1.58 3B (1bitLLM)",
    "tiiuae/Falcon3-7B-Base-1.58bit": "Falcon3-7B-1.58bit",
    "Falcon3-7B-Instruct-1.58bit": "Falcon3-7B-1.58bit",
    "HF1BitLLM/Llama3-8B-1.58-100B-tokens": "Llama3-8B-1.58-100B-tokens",
    "trilm 99m": "TriLM 99M",
}


@pytest.mark.parametrize(("name", "model"), OTHER_NAMES.items(), ids=OTHER_NAMES)
def test_a_model_by_any_of_its_names(name, model):
    assert load_model(name).name == model


def test_no_two_models_share_a_name():
    names = []
    for file in model_names():
        model = load_model(file)
        owned = [repository.split("/")[1] for repository in model.repositories]
        assert all(repository.count("/") == 1 for repository in model.repositories)
        names += {n.casefold() for n in (file, model.name, *model.aliases, *owned)}
    assert len(names) == len(set(names))


def test_a_mistyped_model():
    with pytest.raises(ConfigError, match=r"; did you mean 'bitnet-b1\.58-2b-4t'\?"):
        load_model("microsoft/bitnet-b1.58-2B4T")


def test_an_unknown_model():
    with pytest.raises(ConfigError) as caught:
        load_model("gpt")
    assert str(caught.value) == (
        f"model: should be a checkpoint or one of {', '.join(model_names())}, not 'gpt'"
    )
