"""Codebooks: entries in the documented order, and the widths of their keys."""

from __future__ import annotations

import itertools

import pytest

from hwgen.spec.codebook import codebook

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
