"""Codebooks: entries in the documented order, and the widths of their keys."""

from __future__ import annotations

import copy
import itertools
import pickle

import pytest

from hwgen.spec.codebook import CODEBOOKS, CodebookRule, codebook

BOOKS = [(name, mu) for name, rule in CODEBOOKS.items() for mu in rule.sizes if mu < 7]
every_book = pytest.mark.parametrize(("name", "mu"), BOOKS)
KEY_BITS = {1: 2, 2: 4, 3: 5, 4: 7, 5: 8, 6: 10, 7: 12, 8: 13}


@pytest.mark.parametrize(("mu", "bits"), KEY_BITS.items(), ids=map("mu{}".format, KEY_BITS))
def test_key_is_a_sign_above_the_index(mu, bits):
    book = codebook("ternary", mu)
    assert (book.key_bits, book.index_bits) == (bits, bits - 1)
    assert book.zero_index == len(book.entries) == (3**mu - 1) // 2
    assert book.zero_index < 1 << book.index_bits  # Even the last index fits.
    assert book.zero_index >= 1 << (book.index_bits - 1)  # One bit less would not do.


@pytest.mark.parametrize("mu", range(1, 9))
def test_entry_i_is_the_group_worth_i_plus_1(mu):
    worth = [
        sum(w * 3 ** (mu - 1 - j) for j, w in enumerate(entry))
        for entry in codebook("ternary", mu).entries
    ]
    assert worth == list(range(1, len(worth) + 1))


@pytest.mark.parametrize("mu", range(1, 7))
def test_entries_their_negatives_and_zero_are_all_groups(mu):
    entries = codebook("ternary", mu).entries
    negatives = [tuple(-w for w in entry) for entry in entries]
    groups = [*entries, *negatives, (0,) * mu]
    assert sorted(groups) == sorted(itertools.product((-1, 0, 1), repeat=mu))


def test_mu3_by_hand():
    assert codebook("ternary", 3).entries == (
        (0, 0, 1),
        (0, 1, -1),
        (0, 1, 0),
        (0, 1, 1),
        (1, -1, -1),
        (1, -1, 0),
        (1, -1, 1),
        (1, 0, -1),
        (1, 0, 0),
        (1, 0, 1),
        (1, 1, -1),
        (1, 1, 0),
        (1, 1, 1),
    )


def test_a_book_without_zero_has_no_index_for_it():
    book = codebook("ternary", 1)
    without = type(book)("signs", 1, book.entries, has_zero=False)
    assert (without.index_bits, without.key_bits, without.zero_index) == (0, 1, None)


def test_sherry34_by_hand():
    book = codebook("sherry34", 4)
    worth = [27 * a + 9 * b + 3 * c + d for a, b, c, d in book.entries]
    assert worth == [5, 7, 11, 13, 15, 17, 19, 21, 23, 25, 29, 31, 33, 35, 37, 39]
    assert book.entries[0] == (0, 1, -1, -1)
    assert (book.index_bits, book.key_bits, book.zero_index) == (4, 5, None)
    assert book.most_non_zeros == 3
    assert [book.most_among(places) for places in range(5)] == [0, 1, 2, 3, 3]
    assert not book.holds_all


@every_book
def test_a_codebook_is_closed_under_negation(name, mu):
    rule = CODEBOOKS[name]
    book = codebook(name, mu)
    legal = {group for group in itertools.product((-1, 0, 1), repeat=mu) if rule.legal(group)}
    negatives = {tuple(-w for w in group) for group in legal}
    assert negatives == legal
    halves = {*book.entries, *(tuple(-w for w in entry) for entry in book.entries)}
    assert halves | ({(0,) * mu} if book.has_zero else set()) == legal
    assert book.holds_all == (len(legal) == 3**mu)


@every_book
def test_entries_rise_and_begin_with_plus_1(name, mu):
    entries = codebook(name, mu).entries
    assert list(entries) == sorted(entries)  # As t does: -1, 0, +1 are digits.
    assert all(next(w for w in entry if w) == 1 for entry in entries)


@every_book
def test_copies_are_the_same_object(name, mu):
    book = codebook(name, mu)
    assert pickle.loads(pickle.dumps(book)) is copy.deepcopy(book) is book


def test_names_of_units():
    assert codebook("ternary", 3).slug == "mu3"
    assert codebook("sherry34", 4).slug == "sherry34_mu4"


def test_only_a_codebook_that_lacks_groups_demands_something():
    assert codebook("ternary", 4).demand is None
    assert codebook("sherry34", 4).demand == (
        "Codebook sherry34 (exactly one zero) needs a network that was trained for it."
    )


def test_a_rule_that_is_not_closed_under_negation_is_refused(monkeypatch):
    rule = CodebookRule((2,), "no -1 first", lambda group: group[0] >= 0)
    monkeypatch.setitem(CODEBOOKS, "open", rule)
    with pytest.raises(ValueError, match=r"^codebook open: holds \(1, -1\) but not its negative$"):
        codebook("open", 2)


def test_a_size_that_a_codebook_does_not_have():
    with pytest.raises(ValueError, match=r"^codebook sherry34: has no groups of 3 weights$"):
        codebook("sherry34", 3)
