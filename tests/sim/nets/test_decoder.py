"""A decoder against plain loops, its cache against one long prefill, and every refusal."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from sim.checkpoints import CheckpointError, TernaryLayer
from sim.checkpoints.decoder_config import HIDDEN_ACTS
from sim.nets.decoder import ACTIVATIONS, silu
from sim.nets.network import NetworkValueError, golden_matmul
from sim.nets.vocabulary import PromptError, character_tokenizer
from tests.support import decoder_models
from tests.support.decoder_models import (
    BITNET,
    CASES,
    LLAMA,
    PlainLoops,
    load_decoder,
    random_model,
)

IDS = [3, 0, 6, 1, 1, 5, 2, 4, 0, 3, 6]


class Recorder:
    """What ``record`` is given."""

    def __init__(self):
        self.calls = []

    def __call__(self, name, acts, products):
        assert acts.dtype == np.int8
        assert products.dtype == np.int64
        (only,) = products  # One segment.
        self.calls.append((name, acts.copy(), only.copy()))

    def by_token(self):
        """Every layer's acts and products, its tokens one after the other: {name: (T, N + M)}."""
        rows: dict[str, list] = {}
        for name, acts, products in self.calls:
            rows.setdefault(name, []).append(np.hstack((acts, products)))
        return {name: np.concatenate(parts) for name, parts in rows.items()}


def run(decoder, chunks, matmul=golden_matmul):
    """Logits of IDS in passes of so many tokens, and what was recorded."""
    cache, recorder, rows, first = decoder.new_cache(), Recorder(), [], 0
    for size in chunks:
        rows.append(decoder.forward(IDS[first : first + size], cache, matmul, recorder))
        first += size
        assert cache.length == first
    assert first == len(IDS)
    return np.concatenate(rows), recorder


@pytest.mark.parametrize("config", CASES.values(), ids=CASES)
def test_forward_equals_plain_loops(config, tmp_path):
    model = random_model(config)
    plain = PlainLoops(model)
    wanted = plain.logits(IDS)
    logits, recorder = run(load_decoder(model.write(tmp_path)), [len(IDS)])
    assert logits.dtype == np.float64
    assert logits == pytest.approx(np.array(wanted), rel=1e-9, abs=1e-9)
    by_token = recorder.by_token()
    assert len(recorder.calls) == len(by_token) == 14
    for name, rows in by_token.items():  # Every activation and product is the same integer.
        assert rows.tolist() == [acts + sums for layer, acts, sums in plain.calls if layer == name]
    order = list(dict.fromkeys(name for name, _, _ in plain.calls))
    assert [name for name, _, _ in recorder.calls] == order


@pytest.mark.parametrize("chunks", [[1] * 11, [4, 1, 6], [10, 1]], ids=["each", "mixed", "last"])
@pytest.mark.parametrize("config", CASES.values(), ids=CASES)
def test_decoding_from_the_cache_equals_one_prefill_exactly(config, chunks, tmp_path):
    decoder = load_decoder(random_model(config).write(tmp_path))
    whole, recorded = run(decoder, [len(IDS)])
    logits, recorder = run(decoder, chunks)
    assert np.array_equal(whole, logits)
    for name, rows in recorded.by_token().items():
        assert np.array_equal(rows, recorder.by_token()[name])


def test_later_tokens_do_not_change_earlier_ones(tmp_path):
    decoder = load_decoder(random_model(BITNET).write(tmp_path))
    first = decoder.forward(IDS[:5], decoder.new_cache(), golden_matmul)
    assert np.array_equal(first, run(decoder, [len(IDS)])[0][:5])


def test_order_of_tokens_matters(tmp_path):
    decoder = load_decoder(random_model(BITNET).write(tmp_path))
    one = decoder.forward([0, 1, 2], decoder.new_cache(), golden_matmul)
    other = decoder.forward([1, 0, 2], decoder.new_cache(), golden_matmul)
    assert not np.allclose(one[2], other[2])


def test_both_scale_conventions_give_the_same_logits(tmp_path):
    multiply = random_model(BITNET)
    divide = replace(
        multiply,
        config=BITNET | {"quantization_config": LLAMA["quantization_config"]},
        scales={name: 1 / scale for name, scale in multiply.scales.items()},
    )
    logits = [
        run(load_decoder(model.write(tmp_path / name)), [len(IDS)])[0]
        for name, model in {"multiply": multiply, "divide": divide}.items()
    ]
    assert np.array_equal(*logits)
    swapped = replace(multiply, scales=divide.scales)
    other = run(load_decoder(swapped.write(tmp_path / "swapped")), [len(IDS)])[0]
    assert not np.allclose(other, logits[0])


def test_matmul_is_given_the_layer_with_its_weights_and_scale(tmp_path):
    model = random_model(BITNET)
    seen = {}

    def keep(layer, acts):
        assert isinstance(layer, TernaryLayer)
        seen[layer.name] = layer
        return golden_matmul(layer, acts)

    run(load_decoder(model.write(tmp_path)), [len(IDS)], keep)
    assert seen.keys() == model.ternary.keys()
    for name, layer in seen.items():
        assert np.array_equal(layer.weights, model.ternary[name])
        assert layer.scales.values.tolist() == [[model.scales[name]]]
        assert layer.scales.convention == "multiply"


@pytest.mark.parametrize("name", random_model(BITNET).ternary)
def test_one_wrong_product_shows(name, tmp_path):
    def off_by_one(layer, acts):
        products = golden_matmul(layer, acts)
        if layer.name == name:
            products[0, 5] += 1  # Not the first token's: it sees itself only, whatever its query.
        return products

    decoder = load_decoder(random_model(BITNET).write(tmp_path))
    right, recorder = run(decoder, [len(IDS)])
    wrong, recorded = run(decoder, [len(IDS)], off_by_one)
    assert not np.array_equal(right, wrong)
    assert not np.array_equal(recorder.by_token()[name], recorded.by_token()[name])


def test_a_pass_that_fails_leaves_the_cache_as_it_was(tmp_path):
    decoder = load_decoder(random_model(BITNET).write(tmp_path))

    def broken(layer, acts):
        if layer.name == "model.layers.1.mlp.up_proj":
            raise RuntimeError("stuck")
        return golden_matmul(layer, acts)

    cache = decoder.new_cache()
    first = decoder.forward(IDS[:3], cache, golden_matmul)
    with pytest.raises(RuntimeError, match="stuck"):
        decoder.forward([6, 6, 6, 6], cache, broken)
    assert cache.length == 3
    rest = decoder.forward(IDS[3:], cache, golden_matmul)
    assert np.array_equal(np.concatenate((first, rest)), run(decoder, [len(IDS)])[0])


def test_sequences_do_not_share_a_cache(tmp_path):
    decoder = load_decoder(random_model(BITNET).write(tmp_path))
    caches = decoder.new_cache(), decoder.new_cache()
    decoder.forward([6, 5, 4], caches[0], golden_matmul)
    assert caches[1].length == 0
    assert np.array_equal(
        decoder.forward(IDS, caches[1], golden_matmul), run(decoder, [len(IDS)])[0]
    )


def test_a_tied_head_that_is_stored_too_is_not_used(tmp_path):
    model = random_model(BITNET)
    real = model.real | {"lm_head.weight": np.zeros((7, 12), np.float32)}
    twice = replace(model, real=real).write(tmp_path / "twice")
    once = model.write(tmp_path / "once")
    assert np.array_equal(*(run(load_decoder(folder), [11])[0] for folder in (once, twice)))


def test_characters_and_positions_are_optional(tmp_path):
    config = {k: v for k, v in BITNET.items() if k not in ("max_position_embeddings",)}
    decoder = load_decoder(random_model(config).write(tmp_path, characters=None))
    assert decoder.vocabulary is None
    assert decoder.config.max_positions is None
    assert len(decoder.forward(IDS * 2, decoder.new_cache(), golden_matmul)) == 22


def test_every_legal_activation_is_computed():
    assert tuple(ACTIVATIONS) == HIDDEN_ACTS


def test_silu_of_extremes():
    assert silu(np.array([-1e4, -1.0, 0.0, 1e4])) == pytest.approx([0, -0.2689414214, 0, 1e4])


CONFIG_FAULTS = {
    "other_family": (
        {"model_type": "phi3"},
        "should be a decoder of family bitnet, llama, qwen2, qwen3, not phi3; nothing else is "
        "computed here",
    ),
    "other_model": (
        {"model_type": "gemma"},
        "model_type: should be one of llama, mistral, bitnet, qwen2, qwen3, phi3, falcon, opt, "
        "not 'gemma'; without that nobody can tell whether the model is complete: give --partial "
        "to go on with what is there",
    ),
    "window": (
        {"sliding_window": 8},
        "sliding_window: should be null, not 8; attention here sees all tokens",
    ),
    "half_turned": (
        {"partial_rotary_factor": 0.5},
        "partial_rotary_factor: should be 1, not 0.5; this decoder turns whole heads",
    ),
    "gelu": (
        {"hidden_act": "gelu"},
        "hidden_act: should be 'relu2' or 'silu', not 'gelu'; this decoder computes nothing else",
    ),
    "no_act": (
        {"hidden_act": None},
        "hidden_act: should be 'relu2' or 'silu', not None; this decoder computes nothing else",
    ),
    "no_eps": ({"rms_norm_eps": None}, "rms_norm_eps: should be a number, not missing"),
    "no_theta": ({"rope_theta": None}, "rope_theta: should be a number above 0, not missing"),
    "theta_0": ({"rope_theta": 0}, "rope_theta: should be a number above 0, not 0"),
    "theta_nan": (
        {"rope_theta": float("nan")},
        "rope_theta: should be a number above 0, not nan",
    ),
    "scaled_rope": (
        {"rope_scaling": {"type": "yarn", "factor": 2.0}},
        "rope_scaling.rope_type: should be 'default' or 'linear' or 'llama3', not 'yarn'; "
        "this decoder computes nothing else",
    ),
    "tied": (
        {"tie_word_embeddings": "yes"},
        "tie_word_embeddings: should be true or false, not 'yes'",
    ),
    "positions": (
        {"max_position_embeddings": 0},
        "max_position_embeddings: should be at least 1, not 0",
    ),
}


@pytest.mark.parametrize(("change", "message"), CONFIG_FAULTS.values(), ids=CONFIG_FAULTS)
def test_config_is_refused(change, message, tmp_path):
    folder = random_model(BITNET).write(tmp_path)
    (folder / "config.json").write_text(json.dumps(BITNET | change))
    with pytest.raises(CheckpointError) as caught:
        load_decoder(folder)
    assert str(caught.value) == f"{folder / 'config.json'}: {message}"


def test_heads_that_do_not_fit_are_refused(tmp_path, monkeypatch):
    folder = random_model(BITNET | {"num_key_value_heads": 3}).write(tmp_path / "groups")
    with pytest.raises(CheckpointError, match="should divide the 4 num_attention_heads, not be 3"):
        load_decoder(folder)
    monkeypatch.setattr(decoder_models, "HEAD_DIM", 3)
    folder = random_model(BITNET | {"head_dim": 3}).write(tmp_path / "odd")
    with pytest.raises(CheckpointError, match="should be even, for rotary positions, not 3"):
        load_decoder(folder)


@pytest.mark.parametrize("key", ["vocab_size", "hidden_size", "num_hidden_layers"])
def test_config_without_a_size_is_refused(key, tmp_path):
    folder = random_model(BITNET).write(tmp_path)
    config = {name: value for name, value in BITNET.items() if name != key}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError) as caught:
        load_decoder(folder)
    found = f"{key}: should be an integer, not missing; the file has "
    assert str(caught.value).startswith(f"{folder / 'config.json'}: {found}")


NORM = "model.layers.1.mlp.ffn_sub_norm.weight"
Q_NORM = "model.layers.1.self_attn.q_norm.weight"
TENSOR_FAULTS = {
    "missing_layer": (
        {"model.layers.1.mlp.up_proj.weight": None},
        "{folder}: should have 14 ternary matrices by {folder}/config.json, but 13 are as they "
        "should be: 1 missing (layer 1: up)",
    ),
    "missing_norm": ({NORM: None}, "{folder}: layers.1.ffn_sub_norm.weight: no such tensor; "),
    "missing_embedding": (
        {"model.embed_tokens.weight": None},
        "{folder}: should have the embedding, embed_tokens or token_embd; ",
    ),
    "short_norm": (
        {NORM: np.ones(19, np.float32)},
        "should have shape [20], not [19]; the two do not belong together",
    ),
    "vocabulary": (
        {"model.embed_tokens.weight": np.ones((8, 12), np.float32)},
        "{folder}: model.embed_tokens.weight: should have shape [7, 12], not [8, 12]; ",
    ),
    "integers": (
        {NORM: np.ones(20, np.int32)},
        "should be BF16 or F16 or F32 or F64, not I32; use another release",
    ),
    "infinite": (
        {NORM: np.array([1.0] * 19 + [np.inf], np.float32)},
        "should be finite, not inf at [19]; check how the checkpoint was made",
    ),
    "unused": (
        {Q_NORM: np.ones(4, np.float32)},
        "should be a norm of a BitNet, LLaMA or Qwen decoder, in a layer that it has, which this "
        "decoder could apply; use another model",
    ),
    "unknown": (
        {"model.layers.0.self_attn.sinks": np.ones(4, np.float32)},
        "{folder}: should have 14 ternary matrices by {folder}/config.json, but 14 are as they "
        "should be: 1 not expected (model.layers.0.self_attn.sinks, F32: of unknown meaning)",
    ),
    "bias_of_the_head": (
        {"lm_head.bias": np.ones(7, np.float32)},
        "the head should have no bias, which this decoder does not apply",
    ),
}


@pytest.mark.parametrize(("change", "message"), TENSOR_FAULTS.values(), ids=TENSOR_FAULTS)
def test_tensors_are_refused(change, message, tmp_path):
    model = random_model(BITNET)
    ternary, real = dict(model.ternary), dict(model.real)
    scales = dict(model.scales)
    (name, values), *_ = change.items()
    layer = name.removesuffix(".weight")
    for kept in (ternary, scales):
        kept.pop(layer, None)
    real.pop(name, None)
    if values is not None:
        real[name] = values
    folder = replace(model, ternary=ternary, real=real, scales=scales).write(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        load_decoder(folder)
    text, file = str(caught.value), folder / "model.safetensors"
    if "{folder}" in message:
        assert text.startswith(message.format(folder=folder))
    else:
        assert text.startswith(f"{file}: {name}, byte ")
        assert text.endswith(f": {message}")


def test_untied_head_must_be_there(tmp_path):
    folder = random_model(BITNET | {"tie_word_embeddings": True}).write(tmp_path)
    (folder / "config.json").write_text(json.dumps(BITNET | {"tie_word_embeddings": False}))
    with pytest.raises(CheckpointError, match="should have lm_head, as config"):
        load_decoder(folder)


TOKENISER_FAULTS = {
    "text": ("abc", "should be a tokeniser of the tokenizers library: expected value at "),
    "nothing": ("{}", "should be a tokeniser of the tokenizers library: "),
    "too_many": (
        character_tokenizer("abcdefgh").to_str(),
        "should have at most the 7 tokens of the embedding, not 8; the two do not belong together",
    ),
}


@pytest.mark.parametrize(("content", "message"), TOKENISER_FAULTS.values(), ids=TOKENISER_FAULTS)
def test_tokenisers_are_refused(content, message, tmp_path):
    folder = random_model(BITNET).write(tmp_path)
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(CheckpointError) as caught:
        load_decoder(folder)
    assert str(caught.value).startswith(f"{folder / 'tokenizer.json'}: {message}")


TOKEN_FAULTS = {
    "none": ([], "token_ids must be (T,) integers, found float64 (0,)"),
    "real": ([0.5], "token_ids must be (T,) integers, found float64 (1,)"),
    "matrix": ([[1]], "token_ids must be (T,) integers, found int64 (1, 1)"),
    "scalar": (1, "token_ids must be (T,) integers, found int64 ()"),
    "high": ([0, 7], "token_ids must be 0 … 6, found 0 … 7"),
    "negative": ([-1, 2], "token_ids must be 0 … 6, found -1 … 2"),
}


@pytest.mark.parametrize(("ids", "message"), TOKEN_FAULTS.values(), ids=TOKEN_FAULTS)
def test_token_ids_are_refused(ids, message, tmp_path):
    decoder = load_decoder(random_model(BITNET).write(tmp_path))
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
        decoder.forward(ids, decoder.new_cache(), golden_matmul)
    assert str(caught.value) == message


def test_more_tokens_than_positions_are_refused(tmp_path):
    decoder = load_decoder(random_model(BITNET).write(tmp_path))
    cache = decoder.new_cache()
    decoder.forward(IDS, cache, golden_matmul)
    decoder.forward([0], cache, golden_matmul)  # The twelfth, the last one.
    with pytest.raises(PromptError) as caught:
        decoder.forward([0], cache, golden_matmul)
    assert str(caught.value) == (
        "the sequence should have at most the 12 tokens of max_position_embeddings, not 13; "
        "give a shorter prompt or ask for fewer tokens"
    )


PRODUCT_FAULTS = {
    "shape": (np.zeros((1, 1, 15), np.int64), "found int64 of shape (1, 1, 15)"),
    "tokens": (np.zeros((1, 2, 16), np.int64), "found int64 of shape (1, 2, 16)"),
    "segments": (np.zeros((2, 1, 16), np.int64), "found int64 of shape (2, 1, 16)"),
    "type": (np.zeros((1, 1, 16)), "found float64 of shape (1, 1, 16)"),
}


@pytest.mark.parametrize(("products", "found"), PRODUCT_FAULTS.values(), ids=PRODUCT_FAULTS)
def test_products_are_refused(products, found, tmp_path):
    decoder = load_decoder(random_model(BITNET).write(tmp_path))
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
        decoder.forward([0], decoder.new_cache(), lambda layer, acts: products)
    where = "model.layers.0.self_attn.q_proj"
    assert str(caught.value) == f"{where}: products must be (1, 1, 16) integers, {found}"


OVERFLOWS = {
    # Factors of the gains before q, k and v, and before gate and up.
    "scores": (1e160, 1, "model.layers.0.self_attn.attn_sub_norm: inputs[0, ", "nan"),
    "product": (1, 1e110, "model.layers.0.mlp.ffn_sub_norm: inputs[0, ", "inf"),
    "mean_square": (1, 1e60, "model.layers.0.mlp.ffn_sub_norm: inputs[0, ", "e+18"),
}


@pytest.mark.parametrize(
    ("before_q", "before_gate", "where", "found"), OVERFLOWS.values(), ids=OVERFLOWS
)
def test_overflow_is_refused_where_it_appears(before_q, before_gate, where, found, tmp_path):
    model = random_model(BITNET)
    real = {name: values.astype(np.float64) for name, values in model.real.items()}
    for name in real:
        factors = {"input_layernorm": before_q, "post_attention_layernorm": before_gate}
        real[name] *= factors.get(name.split(".")[-2], 1)
    decoder = load_decoder(replace(model, real=real).write(tmp_path))
    with pytest.raises(NetworkValueError) as caught:
        decoder.forward([3, 4], decoder.new_cache(), golden_matmul)
    text = str(caught.value)
    assert text.startswith(where)
    assert found in text
    assert text.endswith("; check the scales and gains of the layers before it")


def test_vocabulary_is_that_of_the_file(tmp_path):
    vocabulary = load_decoder(random_model(BITNET).write(tmp_path)).vocabulary
    assert vocabulary is not None
    assert vocabulary.size == 7
    assert vocabulary.encode("é\n a") == [5, 0, 1, 2]
    decoding = vocabulary.texts()
    assert [decoding.step(token) for token in (5, 0, 1, 2)] == ["é", "\n", " ", "a"]
