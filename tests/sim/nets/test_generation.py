"""Drawing characters from a decoder: which, how repeatable, and every refusal."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from sim.nets.generation import choose, generate
from sim.nets.network import golden_matmul
from sim.nets.vocabulary import PromptError
from tests.support.decoder_models import BITNET, CHARACTERS, load_decoder, random_model


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    return load_decoder(random_model(BITNET).write(tmp_path_factory.mktemp("model")))


def test_greedy_text_is_the_most_probable_character_each_time(decoder):
    text = "ab"
    for _ in range(8):
        ids = decoder.vocabulary.encode(text)
        logits = decoder.forward(ids, decoder.new_cache(), golden_matmul)[-1]
        text += CHARACTERS[int(np.argmax(logits))]
    greedy = generate(decoder, "ab", 8, golden_matmul, temperature=0)
    assert "ab" + "".join(greedy) == text


def test_drawn_text_follows_seed_and_temperature(decoder):
    rng, text = np.random.default_rng(5), "ab"
    for _ in range(8):
        ids = decoder.vocabulary.encode(text)
        logits = decoder.forward(ids, decoder.new_cache(), golden_matmul)[-1]
        weights = np.exp((logits - logits.max()) / 3.0)
        text += CHARACTERS[
            int(np.flatnonzero(np.cumsum(weights) > rng.random() * weights.sum())[0])
        ]
    drawn = generate(decoder, "ab", 8, golden_matmul, seed=5, temperature=3.0)
    assert "ab" + "".join(drawn) == text


def test_same_seed_same_text_other_seed_other_text(decoder):
    texts = [
        "".join(generate(decoder, "a", 11, golden_matmul, seed=seed, temperature=5.0))
        for seed in (1, 1, 2)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_the_prompt_is_one_pass_and_every_other_token_another(decoder):
    tokens, names = [], []

    def record(name, acts, products):
        tokens.append(len(acts))
        names.append(name)

    text = list(generate(decoder, "cab", 4, golden_matmul, record=record))
    assert [len(character) for character in text] == [1] * 4
    assert tokens == [3] * 14 + [1] * 14 * 3
    assert names == names[:14] * 4


def test_characters_come_one_by_one(decoder):
    passes = []

    def counting(layer, acts):
        passes.append(layer.name)
        return golden_matmul(layer, acts)

    text = generate(decoder, "cab", 5, counting)
    assert not passes
    assert len("".join(islice(text, 2))) == 2
    assert len(passes) == 2 * 14


CHOICES = {
    "first": (0.0, 1),  # The probability of 0 is none.
    "below_a_border": (0.4999, 1),
    "at_a_border": (0.5, 2),
    "last": (1 - 2**-53, 2),  # That of 3 is none, too.
}


@pytest.mark.parametrize(("u", "wanted"), CHOICES.values(), ids=CHOICES)
def test_choice(u, wanted):
    assert choose(np.array([-1e5, 1.0, 1.0, -1e5]), 0.8, u) == wanted


def test_highest_number_draws_the_last_token():
    for seed in range(200):
        logits = np.random.default_rng(seed).normal(size=seed + 2)
        assert choose(logits, 0.8, 1 - 2**-53) == len(logits) - 1


def test_choice_follows_the_probabilities():
    logits = np.log([0.1, 0.2, 0.3, 0.4])
    drawn = [choose(logits, 1.0, u) for u in (np.arange(1000) + 0.5) / 1000]
    assert np.bincount(drawn).tolist() == [100, 200, 300, 400]


def test_temperature_sharpens():
    logits = np.log([0.1, 0.2, 0.3, 0.4])
    drawn = [choose(logits, 0.5, u) for u in (np.arange(3000) + 0.5) / 3000]
    assert np.bincount(drawn).tolist() == [100, 400, 900, 1600]  # The squares, of 30.


def test_least_temperature_is_greedy():
    assert choose(np.array([1.0, 3.0, 2.0]), 5e-324, 0.999) == 1


def test_greedy_takes_the_first_of_equals():
    assert choose(np.array([1.0, 3.0, 3.0]), 0, 0.9) == 1


REFUSED = {
    "character": (
        {"prompt": "ab\tc"},
        "prompt[2]: should be text that tokenizer.json has tokens for, not '\\t'; "
        "leave it out or replace it",
    ),
    "empty": ({"prompt": ""}, "the prompt should have at least one character, not none"),
    "tokens": ({"tokens": 0}, "tokens should be at least 1, not 0"),
    "seed": ({"seed": -1}, "seed should be at least 0, not -1"),
    "cold": ({"temperature": -0.5}, "temperature should be at least 0 and finite, not -0.5"),
    "nan": (
        {"temperature": float("nan")},
        "temperature should be at least 0 and finite, not nan",
    ),
    "hot": (
        {"temperature": float("inf")},
        "temperature should be at least 0 and finite, not inf",
    ),
    "long": (
        {"prompt": "abcabc", "tokens": 8},
        "the sequence should have at most the 12 tokens of max_position_embeddings, not 13; "
        "give a shorter prompt or ask for fewer tokens",
    ),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_refused_before_the_first_pass(change, message, decoder):
    arguments = {"prompt": "ab", "tokens": 3} | change
    with pytest.raises(PromptError) as caught:
        generate(decoder, **arguments, matmul=golden_matmul)
    assert str(caught.value) == message


def test_a_token_that_ends_the_text(decoder):
    """It is the last one; without it the same text goes on."""
    whole = "".join(generate(decoder, "ab", 8, golden_matmul, seed=5, temperature=3.0))
    end = decoder.vocabulary.encode(whole[3])[0]
    stopping = replace(decoder, vocabulary=replace(decoder.vocabulary, stops=frozenset({end})))
    text = "".join(generate(stopping, "ab", 8, golden_matmul, seed=5, temperature=3.0))
    assert text == whole[: whole.index(whole[3]) + 1]
    assert len(text) < len(whole)


def test_all_positions_can_be_used(decoder):
    assert len(list(generate(decoder, "abcabc", 7, golden_matmul))) == 7


def test_a_model_without_characters_is_refused(tmp_path):
    decoder = load_decoder(random_model(BITNET).write(tmp_path, characters=None))
    with pytest.raises(PromptError) as caught:
        generate(decoder, "a", 1, golden_matmul)
    assert str(caught.value) == (
        "the model should have a tokenizer.json beside its weights, or a vocabulary in its GGUF "
        "file, which names its tokens"
    )
