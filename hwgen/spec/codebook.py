"""Codebooks: the sets of weight groups a core accepts, and their keys.

A codebook is a set of vectors in {-1, 0, +1}^mu closed under negation. Entries, sum DAG, keys and
widths all derive from it, so that a new one is one line of `CODEBOOKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from typing import NamedTuple

Vector = tuple[int, ...]


def non_zeros(vector: Vector) -> list[tuple[int, int]]:
    """(place, weight) of every weight that is not 0."""
    return [(j, weight) for j, weight in enumerate(vector) if weight]


@dataclass(frozen=True, eq=False)  # One object per name and mu: compared and hashed by identity.
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

    def __reduce__(self) -> tuple[Callable[[str, int], Codebook], tuple[str, int]]:
        """Copies, those of other processes included, are the registry's object again."""
        return codebook, (self.name, self.mu)

    @property
    def slug(self) -> str:
        """What tells units of this codebook apart, for the names of modules."""
        return f"mu{self.mu}" if self.name == DEFAULT else f"{self.name}_mu{self.mu}"

    @property
    def holds_all(self) -> bool:
        """Whether every group of ternary weights is legal."""
        result: bool = 2 * len(self.entries) + self.has_zero == 3**self.mu
        return result

    @property
    def demand(self) -> str | None:
        """What it asks of a network, as a sentence; None where every ternary one will do."""
        if self.holds_all:
            return None
        meaning = CODEBOOKS[self.name].meaning
        return f"Codebook {self.name} ({meaning}) needs a network that was trained for it."

    @cached_property
    def most_non_zeros(self) -> int:
        """Non-zero weights of a group at most."""
        return self.most_among(self.mu)

    def most_among(self, places: int) -> int:
        """Non-zero weights at most among the first ``places`` of a group."""
        return self._most_by_places[places]

    @cached_property
    def _most_by_places(self) -> tuple[int, ...]:
        return tuple(
            max(len(non_zeros(vector[:places])) for vector in self.entries)
            for places in range(self.mu + 1)
        )

    def most_in(self, features: int) -> int:
        """Non-zero weights at most among ``features`` inputs, those of a last part of a group
        included."""
        groups, rest = divmod(features, self.mu)
        return groups * self.most_non_zeros + self.most_among(rest)

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


class CodebookRule(NamedTuple):
    """What makes the codebook of a name for a group size.

    sizes: group sizes that there is a codebook for. meaning: of its groups, in words. legal:
    whether a group belongs to it; with a group, its negative does.
    """

    sizes: Sequence[int]
    meaning: str
    legal: Callable[[Vector], bool]

    @property
    def sizes_text(self) -> str:
        """The legal group sizes in words."""
        if isinstance(self.sizes, range):
            return f"{self.sizes[0]} … {self.sizes[-1]}"
        return " or ".join(map(str, self.sizes))


DEFAULT = "ternary"
"""Name of the codebook of a core that names none."""
CODEBOOKS: dict[str, CodebookRule] = {
    "ternary": CodebookRule(range(1, 9), "every group of weights", lambda group: True),
    # arXiv 2601.07892: 32 groups in keys of 5 bits, 1.25 bits a weight.
    "sherry34": CodebookRule((4,), "exactly one zero", lambda group: group.count(0) == 1),
}
"""Every codebook by the name used in YAML."""
MEANINGS = "; ".join(
    f"{name}{' (default)' * (name == DEFAULT)}: {rule.meaning}" for name, rule in CODEBOOKS.items()
)


@cache
def codebook(name: str, mu: int) -> Codebook:
    """The codebook ``name`` for groups of ``mu`` weights, a size that its rule names.

    Entries are those vectors w of the codebook whose first non-zero weight is +1, by rising
    ``t = sum over j of w[j] * 3**(mu - 1 - j)``. Of ``ternary``, entry i has t = i + 1.

    >>> codebook("ternary", 2).entries
    ((0, 1), (1, -1), (1, 0), (1, 1))
    """
    rule, zero = CODEBOOKS[name], (0,) * mu
    if mu not in rule.sizes:
        raise ValueError(f"codebook {name}: has no groups of {mu} weights")
    # Vectors in this order rise in t, and those above zero begin with +1.
    vectors = list(product((-1, 0, 1), repeat=mu))
    for vector in vectors:
        negative = tuple(-weight for weight in vector)
        if rule.legal(vector) and not rule.legal(negative):
            raise ValueError(f"codebook {name}: holds {vector} but not its negative")
    entries = tuple(v for v in vectors if v > zero and rule.legal(v))
    return Codebook(name, mu, entries, has_zero=rule.legal(zero))
