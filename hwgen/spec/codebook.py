"""Codebooks: the sets of weight groups a core accepts, and their keys.

A codebook is a set of vectors in {-1, 0, +1}^mu closed under negation. Entries, sum DAG, keys and
widths all derive from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

Vector = tuple[int, ...]


@dataclass(frozen=True, eq=False)  # One object per codebook: compared and hashed by identity.
class Codebook:
    """A codebook named ``name`` for groups of ``mu`` weights.

    ``entries[i]`` is the weight group whose sum a table stores at index i: one of each pair of
    opposite vectors, the one whose first non-zero weight is +1. ``has_zero`` says whether the
    all-zero group belongs to the codebook; its index is then ``len(entries)``.
    """

    name: str
    mu: int
    entries: tuple[Vector, ...]
    has_zero: bool

    @property
    def index_bits(self) -> int:
        """Bits of a key below its sign: enough for every entry and, if legal, for zero."""
        return (len(self.entries) + self.has_zero - 1).bit_length()

    @property
    def key_bits(self) -> int:
        """Width of a key, bits: the index and, as the most significant bit, the sign."""
        return self.index_bits + 1

    @property
    def zero_index(self) -> int | None:
        """Index of the all-zero group, or None where it is not legal."""
        return len(self.entries) if self.has_zero else None


@cache
def ternary(mu: int) -> Codebook:
    """All 3^mu groups of ``mu`` ternary weights.

    Entry i is the group w with ``sum over j of w[j] * 3**(mu - 1 - j) == i + 1``, so there are
    (3^mu - 1) / 2 entries.

    >>> ternary(2).entries
    ((0, 1), (1, -1), (1, 0), (1, 1))
    """
    entries = []
    for t in range(1, (3**mu - 1) // 2 + 1):
        digits, rest = [], t
        for _ in range(mu):  # Balanced ternary, least significant digit first.
            digit = (rest + 1) % 3 - 1
            digits.append(digit)
            rest = (rest - digit) // 3
        entries.append(tuple(reversed(digits)))
    return Codebook(name="ternary", mu=mu, entries=tuple(entries), has_zero=True)
