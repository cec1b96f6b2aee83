"""Golden codebooks: keys by hand, what pads a row, refusals; and the generator's table agrees."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hwgen.spec.codebook import CODEBOOKS, codebook
from sim.golden import codebooks
from sim.golden import integers as golden
from sim.golden.codebooks import GroupError

BOOKS = [(name, mu) for name, rule in codebooks.RULES.items() for mu in rule.sizes if mu < 7]
every_book = pytest.mark.parametrize(("name", "mu"), BOOKS)


def sherry_key(group):
    """By the definition: rank of |t| among the legal ones above 0, behind the sign."""
    worth = sorted(
        t
        for w in itertools.product((-1, 0, 1), repeat=4)
        if w.count(0) == 1 and (t := sum(x * 3 ** (3 - j) for j, x in enumerate(w))) > 0
    )
    t = sum(x * 3 ** (3 - j) for j, x in enumerate(group))
    return worth.index(abs(t)) + 16 * (t < 0)


def test_keys_of_sherry34():
    groups = [w for w in itertools.product((-1, 0, 1), repeat=4) if w.count(0) == 1]
    keys = golden.keys_from_weights(groups, 4, "sherry34")
    assert keys.ravel().tolist() == [sherry_key(group) for group in groups]
    assert sorted(keys.ravel().tolist()) == list(range(32))
    back = golden.weights_from_keys(keys, 4, 4, "sherry34")
    assert back.tolist() == [list(group) for group in groups]


@every_book
def test_the_generator_has_the_same_entries_in_the_same_order(name, mu):
    ours, theirs = codebooks.book(name, mu), codebook(name, mu)
    assert ours.entries.tolist() == [list(entry) for entry in theirs.entries]
    assert (ours.index_bits, ours.zero) == (theirs.index_bits, theirs.has_zero)
    assert CODEBOOKS.keys() == codebooks.RULES.keys()
    assert [*CODEBOOKS[name].sizes] == [*codebooks.RULES[name].sizes]


@every_book
def test_keys_and_back(name, mu):
    rng = np.random.default_rng(mu)
    groups = codebooks.book(name, mu).groups
    weights = groups[rng.integers(0, len(groups), (7, 5))].reshape(7, -1)
    for missing in range(mu):
        some = weights[:, : weights.shape[1] - missing]
        keys = golden.keys_from_weights(some, mu, name)
        assert keys.shape == (7, 5)
        back = golden.weights_from_keys(keys, mu, some.shape[1], name)
        assert np.array_equal(back, some)


@pytest.mark.parametrize(
    ("given", "group"),
    [
        ([1], [1, 0, 1, 1]),
        ([0], [0, 1, 1, 1]),
        ([1, 0], [1, 0, 1, 1]),
        ([1, -1], [1, -1, 0, 1]),
        ([1, 0, -1], [1, 0, -1, 1]),
        ([-1, 1, -1], [-1, 1, -1, 0]),
    ],
)
def test_a_group_of_less_is_completed(given, group):
    """By zeros where that is legal, else by the first legal weights in the order 0, 1, -1."""
    key = golden.keys_from_weights([given], 4, "sherry34")
    assert golden.weights_from_keys(key, 4, 4, "sherry34").tolist() == [group]


REFUSED = {
    "two_zeros": ([[1, 1, 0, 1, 1, 0, 0, 1]], "[1, 0, 0, 1] at row 0, column 4"),
    "none": ([[1, 1, 0, 1], [1, 1, -1, 1]], "[1, 1, -1, 1] at row 1, column 0"),
    "third_row": ([[0, 1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1]], "[0, 0, 1, 1] at row 2, column 0"),
    "two_zeros_at_the_end": ([[1, 1, 0, 1, 0, 0]], "[0, 0] at row 0, column 4"),
    "no_completion": ([[1, 1, 0, 1, 0, 1, 0]], "[0, 1, 0] at row 0, column 4"),
}


@pytest.mark.parametrize(("weights", "found"), REFUSED.values(), ids=REFUSED)
def test_groups_that_the_codebook_does_not_have(weights, found):
    with pytest.raises(GroupError) as caught:
        golden.keys_from_weights(weights, 4, "sherry34")
    rule = "weights must be groups of 4 of codebook sherry34 (exactly one zero)"
    hint = "a core with codebook ternary takes any weights"
    assert str(caught.value) == f"{rule}; found {found}; {hint}"


def test_a_fault_within_a_layer_counts_from_its_start():
    with pytest.raises(GroupError) as caught:
        golden.keys_from_weights([[1, 1, 1, 1]], 4, "sherry34")
    error = caught.value.within("q", 10, 20)
    assert str(error).startswith("q: weights must be groups of 4")
    assert "found [1, 1, 1, 1] at row 10, column 20;" in str(error)


@pytest.mark.parametrize(
    ("name", "mu", "message"),
    [
        ("trits", 4, f"codebook must be one of {', '.join(codebooks.RULES)}, found 'trits'"),
        ("sherry34", 3, "mu must be 4 for codebook sherry34, found 3"),
        ("ternary", 9, "mu must be 1 … 8, found 9"),
    ],
)
def test_codebooks_that_are_not_there(name, mu, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the whole message is compared)
        golden.keys_from_weights([[1]], mu, name)
    assert str(caught.value) == message


def test_padding():
    assert [codebooks.book("ternary", mu).padding for mu in (1, 2, 3)] == [1, 4, 13]
    assert codebooks.book("sherry34", 4).padding == 0
