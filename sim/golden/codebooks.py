"""Golden codebooks: which groups of weights a core accepts, their keys, and their halves, by name.

Written beside the generator's table, not from it: a fault of one is not a fault of both.

With ``t = sum over j of w[j] * 3^(mu - 1 - j)``, the entries of a codebook are its groups with t
above 0, by rising t. A key is a sign bit (t < 0) above the index of the entry that the group or its
negative is; the zero group, where it is legal, has the index after the last entry, and sign 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

ILLEGAL = 0xFFFF
"""In a table of keys: no key."""


class GroupError(ValueError):
    """Weights that are no groups of the codebook that they are for.

    fault: what should be, and what was found. row, column: of the first weight of the group.
    """

    def __init__(self, fault: str, row: int, column: int) -> None:
        where = f"at row {row}, column {column}"
        super().__init__(f"{fault} {where}; a core with codebook ternary takes any weights")
        self.fault, self.row, self.column = fault, row, column

    def within(self, name: str, row: int, column: int) -> GroupError:
        """The same fault of a layer of that name, of which the weights began there."""
        return GroupError(f"{name}: {self.fault}", self.row + row, self.column + column)


def _middle(places: Sequence[int]) -> int:
    """⌈k/2⌉ of k."""
    return (len(places) + 1) // 2


def _pair_first(places: Sequence[int]) -> int:
    """Of a zero among the last two of four, the first two make a pair; else the last two do."""
    return 2 if len(places) == 3 and places[1] == 1 else 1


class Rule(NamedTuple):
    """One codebook.

    sizes: group sizes. legal: which of some groups (V, mu) belong to it. meaning: of that.
    first: of the places of an entry's non-zeros, how many are in the first half for the builder
    minimal.
    """

    sizes: Sequence[int]
    meaning: str
    legal: Callable[[NDArray[np.int8]], NDArray[np.bool_]]
    first: Callable[[Sequence[int]], int]


RULES: dict[str, Rule] = {
    "ternary": Rule(range(1, 9), "any weights", lambda g: np.ones(len(g), np.bool_), _middle),
    "sherry34": Rule((4,), "exactly one zero", lambda g: (g == 0).sum(axis=1) == 1, _pair_first),
}


class Book(NamedTuple):
    """A codebook for groups of one size.

    groups, entries: (V, mu) and (E, mu), by rising t. zero: whether the zero group is legal. keys:
    (3^mu,) by t, a negative one counting from the end, `ILLEGAL` where there is none.
    """

    rule: Rule
    groups: NDArray[np.int8]
    entries: NDArray[np.int8]
    zero: bool
    index_bits: int
    keys: NDArray[np.uint16]

    @property
    def highest_index(self) -> int:
        """Of an entry or, where it is legal, the zero group."""
        return len(self.entries) - 1 + self.zero

    @property
    def padding(self) -> int:
        """The key of groups that fill up a tile: of zeros if legal, else of the first entry."""
        return len(self.entries) if self.zero else 0


@cache
def book(codebook: str, mu: int) -> Book:
    """The codebook of a name; ValueError for an unknown one or a size it does not have."""
    if codebook not in RULES:
        raise ValueError(f"codebook must be one of {', '.join(RULES)}, found {codebook!r}")
    rule = RULES[codebook]
    if mu not in rule.sizes:
        known = f"{rule.sizes[0]} … {rule.sizes[-1]}" if len(rule.sizes) > 1 else rule.sizes[0]
        where = "" if codebook == "ternary" else f" for codebook {codebook}"
        raise ValueError(f"mu must be {known}{where}, found {mu}")
    every = np.array(list(product((-1, 0, 1), repeat=mu)), np.int8)
    t = every @ 3 ** np.arange(mu - 1, -1, -1)
    legal = rule.legal(every)
    groups, entries = every[legal], every[legal & (t > 0)]
    zero = bool(legal[t == 0][0])
    index_bits = (len(entries) + zero - 1).bit_length()
    keys = np.full(3**mu, ILLEGAL, np.uint16)
    index = np.arange(len(entries))
    keys[t[legal & (t > 0)]] = index
    keys[-t[legal & (t > 0)]] = index | 1 << index_bits
    if zero:
        keys[0] = len(entries)
    return Book(rule, groups, entries, zero, index_bits, keys)


@cache
def completed_keys(codebook: str, mu: int, known: int) -> NDArray[np.uint16]:
    """Keys of groups of which the first ``known`` weights are given, by t of zeros behind these.

    The other weights are zeros if that is legal, else the first legal ones in the order 0, 1, -1,
    the first of them slowest.
    """
    keys, missing = book(codebook, mu).keys, mu - known
    reach = (3**known - 1) // 2
    base = np.arange(-reach, reach + 1) * 3**missing
    found = np.full(len(keys), ILLEGAL, np.uint16)
    powers = 3 ** np.arange(missing - 1, -1, -1)
    for weights in product((0, 1, -1), repeat=missing):
        lacking = base[found[base] == ILLEGAL]
        if not len(lacking):
            break
        found[lacking] = keys[lacking + int(np.dot(weights, powers))]
    return found


@cache
def groups_by_key(codebook: str, mu: int) -> NDArray[np.int8]:
    """(2^key_bits, mu) weights by key; rows of illegal keys are meaningless."""
    this = book(codebook, mu)
    table = np.zeros((2 << this.index_bits, mu), np.int8)
    table[: len(this.entries)] = this.entries
    half = 1 << this.index_bits
    table[half : half + len(this.entries)] = -this.entries
    return table


def check(weights: NDArray[Any], codebook: str, mu: int, keys: NDArray[np.uint16]) -> None:
    """GroupError, with row and column, for a group of weights (M, N) whose key is `ILLEGAL`."""
    if not (keys == ILLEGAL).any():
        return
    row, group = np.argwhere(keys == ILLEGAL)[0].tolist()
    found = weights[row, group * mu : (group + 1) * mu].tolist()
    meaning = book(codebook, mu).rule.meaning
    fault = f"weights must be groups of {mu} of codebook {codebook} ({meaning}); found {found}"
    raise GroupError(fault, row, group * mu)
