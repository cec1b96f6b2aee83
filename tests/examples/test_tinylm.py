"""The language model that is shipped: its files, its loss on held-out text, and its corpus."""

from __future__ import annotations

import importlib.util
import json
import sys

import numpy as np
import pytest

from sim.checkpoints import examine, open_checkpoint
from sim.nets.decoder import Decoder
from sim.nets.generation import generate
from sim.nets.network import golden_matmul
from tests.support import ROOT

TINYLM = ROOT / "examples" / "tinylm"
TRAINING = json.loads((TINYLM / "training.json").read_text())


@pytest.fixture(scope="module")
def decoder():
    return Decoder.load(open_checkpoint(TINYLM))


@pytest.fixture(scope="module")
def corpus():
    """The module corpus.py of the example, which needs no PyTorch."""
    spec = importlib.util.spec_from_file_location("corpus", TINYLM / "corpus.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "corpus", module)  # Dataclasses look it up.
        spec.loader.exec_module(module)
        yield module


def bits_per_character(decoder, text):
    """Mean of -log2 p(character) over all but the first, in passages of the full context."""
    ids, context = decoder.vocabulary.encode(text), decoder.config.max_positions
    bits = 0.0
    for first in range(0, len(ids) - 1, context):
        passage = ids[first : first + context + 1]
        logits = decoder.forward(passage[:-1], decoder.new_cache(), golden_matmul)
        logits -= logits.max(axis=1, keepdims=True)
        nats = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(logits)), passage[1:]]
        bits += float(nats.sum()) / np.log(2)
    return bits / (len(ids) - 1)


def test_held_out_loss_is_the_recorded_one(decoder):
    """PyTorch measured it. Where rounding to int8 meets an exact tie, the two may round apart."""
    text = (TINYLM / "heldout.txt").read_text()
    assert len(text) == TRAINING["corpus"]["excerpt_characters"]
    recorded = TRAINING["runs"]["ternary"]["excerpt_bits_per_character"]
    assert bits_per_character(decoder, text) == pytest.approx(recorded, abs=1e-5)


def test_loss_tells_the_text_from_another_order_of_its_words(decoder):
    words = (TINYLM / "heldout.txt").read_text()[:2000].split()
    shuffled = np.random.default_rng(1).permutation(words)
    in_order = bits_per_character(decoder, " ".join(words))
    assert bits_per_character(decoder, " ".join(shuffled)) > in_order + 0.3


def test_ternary_is_close_to_float():
    """Both runs took the same steps."""
    runs = TRAINING["runs"]
    ternary, full = (runs[name]["held_out_bits_per_character"] for name in ("ternary", "float"))
    assert full - 0.02 < ternary < full + 0.1
    steps = [[row[0] for row in run["step_training_held_out"]] for run in runs.values()]
    assert steps[0] == steps[1]
    assert steps[0][-1] == TRAINING["steps"]


def test_weights_are_ternary_and_of_the_promised_number():
    checkpoint = open_checkpoint(TINYLM)
    reports = [examine(tensor) for tensor in checkpoint.tensors]
    assert {report.tensor.format for report in reports} == {"packed"}
    assert {report.scales.convention for report in reports} == {"multiply"}
    weights = sum(report.weights for report in reports)
    assert 1_000_000 < weights < 2_000_000
    zeros = sum(report.zeros for report in reports) / weights
    assert zeros == pytest.approx(TRAINING["runs"]["ternary"]["zero_fraction"], abs=1e-12)
    assert 0.28 < zeros < 0.45  # 31 % if the weights were normally distributed.
    assert set(checkpoint.others) == {"BF16"}


def test_files_are_small():
    assert sum(file.stat().st_size for file in TINYLM.iterdir() if file.is_file()) < 600_000


def test_it_writes_the_same_text_every_time(decoder):
    texts = [
        "".join(generate(decoder, "And it came to pass", 40, golden_matmul, seed=seed))
        for seed in (0, 0, 1)
    ]
    assert texts[0] == texts[1] != texts[2]


VERSES = "Ge1:1 In the beginning.\nActs1:1 The former treatise, O\n1Jn1:1 That which was\n\n"


def test_held_out_book_is_not_trained_on(corpus, tmp_path):
    file = tmp_path / "verses.txt"
    file.write_text(VERSES + "Acts28:31 Preaching.\n")
    found = corpus.read_corpus(file)
    assert found.training == "In the beginning.\nThat which was\n"
    assert found.held_out == "The former treatise, O\nPreaching.\n"
    assert found.characters == "".join(sorted(set(found.training + found.held_out)))
    assert corpus.HELD_OUT in TRAINING["corpus"]["held_out"]


def test_excerpt_ends_with_a_line(corpus, monkeypatch):
    monkeypatch.setattr(corpus, "EXCERPT_CHARACTERS", 7)
    assert corpus.Corpus("", "", "ab\ncd\nefghi\n").excerpt == "ab\ncd\n"


CORPUS_FAULTS = {
    "no_verse": (
        "Genesis 1\n",
        "line 1 should be a reference and a verse, as in 'Ge1:1 In the beginning …', "
        "not 'Genesis 1'; print it with bible -f",
    ),
    "no_held_out": ("Ge1:1 In the beginning.\n", "should hold Acts and other books; print all"),
    "nothing": ("", "should hold Acts and other books; print all"),
}


@pytest.mark.parametrize(("text", "message"), CORPUS_FAULTS.values(), ids=CORPUS_FAULTS)
def test_corpus_is_refused(text, message, corpus, tmp_path):
    file = tmp_path / "verses.txt"
    file.write_text(text)
    with pytest.raises(SystemExit) as caught:
        corpus.read_corpus(file)
    assert str(caught.value) == f"train.py: {file}: {message}"


def test_corpus_without_bible_says_how_to_get_it(corpus, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match="apt install bible-kjv"):
        corpus.read_corpus(None)
