"""Tokenisers: of a folder, and of the vocabulary inside a GGUF file."""

from __future__ import annotations

import json

import gguf
import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from sim.checkpoints import CheckpointError
from sim.checkpoints.gguf.header import read_header
from sim.nets.gguf_vocabulary import WORDS, gguf_vocabulary
from sim.nets.vocabulary import Vocabulary, character_tokenizer
from tests.support import ROOT

TEXT = (ROOT / "examples" / "tinylm" / "heldout.txt").read_text()
SAMPLES = [
    "In the beginning",
    "  two  spaces, and\n\na line's end; 1234567 — naïve café",
    "Ünïcödé 漢字 🙂",
    "don't WON'T x_y\t\ttabs   ",
]


@pytest.fixture(scope="module")
def trained():
    """A byte-level tokeniser, trained by the library on English."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(TEXT.splitlines(), trainer)
    return tokenizer


def vocabulary(tokenizer):
    ids = tokenizer.get_vocab()
    return sorted(ids, key=ids.__getitem__)


def write(path, model, tokens, **more):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model(model)
    writer.add_token_list(tokens)
    for key, value in more.items():
        getattr(writer, key)(value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def merges_of(tokenizer):
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in merges]


@pytest.mark.parametrize("text", SAMPLES)
def test_byte_level_as_the_library_trained_it(tmp_path, trained, text):
    file = write(
        tmp_path / "m.gguf",
        "gpt2",
        vocabulary(trained),
        add_token_merges=merges_of(trained),
        add_tokenizer_pre="gpt-2",
    )
    tokenizer, stops = gguf_vocabulary(read_header(file))
    assert stops == frozenset()
    assert tokenizer.encode(text).ids == trained.encode(text).ids
    decoding = Vocabulary(file, tokenizer).texts()
    assert "".join(decoding.step(token) for token in tokenizer.encode(text).ids) == text


@pytest.mark.parametrize("pre", WORDS)
def test_words_of_every_kind_come_back(tmp_path, trained, pre):
    more = {"add_token_merges": merges_of(trained), "add_tokenizer_pre": pre}
    file = write(tmp_path / "m.gguf", "gpt2", vocabulary(trained), **more)
    tokenizer, _ = gguf_vocabulary(read_header(file))
    for text in SAMPLES:
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_numbers_are_cut_as_the_kind_says(tmp_path, trained):
    """Of seven digits: one by one for Qwen 2, three by three for Llama 3."""
    cuts = {"qwen2": ["1"] * 7, "llama3": ["111", "111", "1"], "gpt-2": ["1111111"]}
    for pre, parts in cuts.items():
        more = {"add_token_merges": merges_of(trained), "add_tokenizer_pre": pre}
        file = write(tmp_path / f"{pre}.gguf", "gpt2", vocabulary(trained), **more)
        tokenizer, _ = gguf_vocabulary(read_header(file))
        found = tokenizer.pre_tokenizer.pre_tokenize_str("1111111")
        assert [part for part, _ in found] == parts


PIECES = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
SCORED = {"▁": -1, "a": -2, "b": -3, "c": -4, "ab": -5, "bc": -6, "abc": -7, "▁a": -8, "▁ab": -4.5}


def test_pieces_merge_by_their_scores(tmp_path):
    """By hand: of two neighbours whose union scores highest, first."""
    tokens = PIECES + list(SCORED)
    more = {
        "add_token_scores": [0.0] * len(PIECES) + [float(score) for score in SCORED.values()],
        "add_token_types": [2, 3, 3] + [6] * 256 + [1] * len(SCORED),
        "add_bos_token_id": 1,
        "add_eos_token_id": 2,
        "add_unk_token_id": 0,
    }
    file = write(tmp_path / "m.gguf", "llama", tokens, **more)
    tokenizer, stops = gguf_vocabulary(read_header(file))
    assert stops == {2}
    assert tokenizer.encode("abc").tokens == ["<s>", "▁ab", "c"]  # ▁a (-8) after ab (-5).
    assert tokenizer.encode("c ab").tokens == ["<s>", "▁", "c", "▁ab"]
    assert tokenizer.encode("cé").tokens == ["<s>", "▁", "c", "<0xC3>", "<0xA9>"]
    decoding = Vocabulary(file, tokenizer, stops).texts()
    ids = tokenizer.encode("c abé").ids
    assert "".join(decoding.step(token) for token in ids).strip() == "c abé"


def test_control_tokens_are_no_text(tmp_path, trained):
    tokens = [*vocabulary(trained), "<|begin|>", "<|end|>"]
    size = len(tokens)
    more = {
        "add_token_merges": merges_of(trained),
        "add_tokenizer_pre": "llama-bpe",
        "add_token_types": [1] * (size - 2) + [3, 3],
        "add_bos_token_id": size - 2,
        "add_eos_token_id": size - 1,
    }
    file = write(tmp_path / "m.gguf", "gpt2", tokens, **more)
    tokenizer, stops = gguf_vocabulary(read_header(file))
    assert stops == {size - 1}
    ids = tokenizer.encode("God").ids
    assert ids[0] == size - 2
    assert tokenizer.decode([*ids, size - 1]) == "God"
    more["add_add_bos_token"] = False
    file = write(tmp_path / "n.gguf", "gpt2", tokens, **more)
    assert gguf_vocabulary(read_header(file))[0].encode("God").ids == ids[1:]


FAULTS = {
    "model": ("bert", {}, "tokenizer.ggml.model: should be 'gpt2' or 'llama', not 'bert'"),
    "no merges": (
        "gpt2",
        {"add_tokenizer_pre": "qwen2"},
        "tokenizer.ggml.merges: should be texts, not missing",
    ),
    "no pre": (
        "gpt2",
        {"add_token_merges": []},
        "tokenizer.ggml.pre: should be one of llama3, llama-v3, llama-bpe, falcon3, falcon_e, "
        "qwen2, gpt-2, gpt2, not missing; put the model's tokenizer.json beside the file",
    ),
    "pre": ("gpt2", {"add_tokenizer_pre": "poro"}, "tokenizer.ggml.pre: should be one of llama3, "),
    "merge": (
        "gpt2",
        {"add_token_merges": ["a z"], "add_tokenizer_pre": "qwen2"},
        "tokenizer.ggml.merges: should be of two tokens into a third, not 'a z'",
    ),
    "scores": (
        "llama",
        {"add_token_scores": [1.0]},
        "tokenizer.ggml.scores: should be 2, one for each token, not 1",
    ),
    "no scores": ("llama", {}, "tokenizer.ggml.scores: should be numbers, not missing"),
    "end": (
        "llama",
        {"add_token_scores": [1.0, 2.0], "add_eos_token_id": 7},
        "tokenizer.ggml.eos_token_id: should be one of 2 token ids, not 7",
    ),
}


@pytest.mark.parametrize(("model", "more", "message"), FAULTS.values(), ids=FAULTS)
def test_vocabularies_that_cannot_be_used(tmp_path, model, more, message):
    file = write(tmp_path / "m.gguf", model, ["a", "b"], **more)
    with pytest.raises(CheckpointError) as caught:
        gguf_vocabulary(read_header(file))
    assert str(caught.value).startswith(f"{file}: {message}")


def test_a_character_in_several_tokens_comes_with_the_last(tmp_path, trained):
    file = tmp_path / "tokenizer.json"
    trained.save(str(file))
    ids = trained.encode("🙂!").ids
    decoding = Vocabulary(file, Tokenizer.from_file(str(file))).texts()
    steps = [decoding.step(token) for token in ids]
    assert "".join(steps) == "🙂!"
    assert steps[0] == ""


def test_the_example_has_a_tokeniser_of_characters():
    tokenizer = Tokenizer.from_file(str(ROOT / "examples" / "tinylm" / "tokenizer.json"))
    ids = tokenizer.get_vocab()
    characters = "".join(sorted(ids, key=ids.__getitem__))
    assert tokenizer.to_str() == character_tokenizer(characters).to_str()
    assert np.array_equal(tokenizer.encode("And he").ids, [characters.index(c) for c in "And he"])
