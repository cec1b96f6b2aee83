"""Golden products of layers whose every addition rounds, in the order that a core documents.

Codes in, codes out. Within a group of µ weights: the entry of the group or of its negative, the one
whose first non-zero weight is +1, then the sign bit of the key. An entry of one activation is that
activation. With two or more non-zeros the builder decides:

- minimal: (its first ⌈k/2⌉ non-zeros) ± (the rest), each part cut like that again; of codebooks
  other than ternary, what `sim.golden.codebooks` says is cut;
- naive: from the first non-zero to the last;
- chain: the first two activations, then ± the rest, which is summed from its last activation
  forwards, first minus inner sum being inner sum minus first where the first weight is -1.

A zero group gives +0. Over the tables: level by level, 2i + (2i + 1), an odd one passes. Over the
n-tiles: in order, in the accumulator's format, the first one added to -0, which changes nothing but
that every NaN is the canonical one. Every addition rounds to nearest even (`sim.golden.fp`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sim.golden import codebooks
from sim.golden.fp import convert, fp_add, fp_mul
from sim.golden.integers import keys_from_weights

Codes = NDArray[Any]
Signed = tuple[Codes, int]
WIDTHS = {"fp16": 16, "bf16": 16, "fp8_e4m3": 8, "fp8_e5m2": 8, "fp32": 32}


def code_type(number: str) -> type[np.unsignedinteger[Any]]:
    """The unsigned integer that holds a code of ``number``."""
    kinds: dict[int, type[np.unsignedinteger[Any]]] = {8: np.uint8, 16: np.uint16, 32: np.uint32}
    return kinds[WIDTHS[number]]


def matmul(
    acts: ArrayLike,
    weights: ArrayLike,
    number: str,
    *,
    tables: int,
    mu: int,
    builder: str,
    codebook: str = "ternary",
    product: bool = False,
    sums: str | None = None,
) -> NDArray[np.int64]:
    """Codes of the rounded products of a layer.

    acts: (T, N) codes of ``number``.
    weights: (M, N) integers -1, 0, +1; with ``product`` codes of ``number``.
    tables, mu: of the core; an n-tile holds tables · mu inputs. builder: as above. codebook: of
        `sim.golden.codebooks`.
    sums: format of the accumulators and of what is returned; default ``number``.
    Returns (T, M) int64 codes; every NaN is the canonical one.
    """
    kind = code_type(number)
    codes = np.asarray(acts).astype(kind)
    if product:
        terms = fp_mul(
            number, *np.broadcast_arrays(codes[:, None, :], np.asarray(weights).astype(kind)[None])
        )
    else:
        terms = _terms(codes, np.asarray(weights), number, mu, builder, codebook)
    tokens, outs, groups = terms.shape
    tiles = -(-groups // tables)
    padded = np.zeros((tokens, outs, tiles * tables), kind)
    padded[:, :, :groups] = terms
    level = [padded.reshape(tokens, outs, tiles, tables)[..., i] for i in range(tables)]
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [fp_add(number, left, right) for left, right in pairs] + odd
    sums = sums or number
    addends = level[0] if sums == number else convert(level[0], number, sums)
    total = np.full((tokens, outs), 1 << (WIDTHS[sums] - 1), code_type(sums))
    for tile in range(tiles):
        total = fp_add(sums, total, addends[..., tile])
    return total.astype(np.int64)


def _terms(
    codes: Codes, weights: NDArray[Any], number: str, mu: int, builder: str, codebook: str
) -> Codes:
    """(T, M, G): what each port fetches from each table."""
    keys = keys_from_weights(weights, mu, codebook)
    book = codebooks.book(codebook, mu)
    entries, index_bits = len(book.entries), book.index_bits
    tokens, groups = len(codes), keys.shape[1]
    padded = np.zeros((tokens, groups * mu), codes.dtype)
    padded[:, : codes.shape[1]] = codes
    group = padded.reshape(tokens, groups, mu)
    table = np.zeros((tokens, groups, entries + 1), codes.dtype)
    order = _Order(number, [group[..., j] for j in range(mu)], book.rule.first)
    for place, entry in enumerate(book.entries.tolist()):
        table[..., place] = order.by[builder](tuple(entry))
    index, negative = keys & ((1 << index_bits) - 1), (keys >> index_bits) == 1
    fetched = table[:, np.arange(groups)[None, :], index]
    sign = codes.dtype.type(1 << (WIDTHS[number] - 1))
    return np.where(negative & (index < entries), fetched ^ sign, fetched)


class _Order:
    """Entries of one set of groups; ``acts[j]`` holds the codes of activation j of every group.

    first: non-zeros in the first half of an entry (`sim.golden.codebooks.Rule`).
    """

    def __init__(
        self, number: str, acts: list[Codes], first: Callable[[Sequence[int]], int]
    ) -> None:
        self.number, self.acts, self.first = number, acts, first
        self.sign = code_type(number)(1 << (WIDTHS[number] - 1))
        self.by: dict[str, Callable[[tuple[int, ...]], Codes]] = {
            "minimal": self.minimal,
            "naive": self.naive,
            "chain": self.chain,
        }

    def add(self, left: Codes, right: Codes, sign: int) -> Codes:
        """left + sign · right."""
        return fp_add(self.number, left, right if sign > 0 else right ^ self.sign)

    def minimal(self, vector: tuple[int, ...]) -> Codes:
        places = [j for j, weight in enumerate(vector) if weight]
        if len(places) == 1:
            return self.acts[places[0]]
        half = self.first(places)
        sign = vector[places[half]]
        left = tuple(w if j < places[half] else 0 for j, w in enumerate(vector))
        right = tuple(w * sign if j >= places[half] else 0 for j, w in enumerate(vector))
        return self.add(self.minimal(left), self.minimal(right), sign)

    def naive(self, vector: tuple[int, ...]) -> Codes:
        first, *others = [j for j, weight in enumerate(vector) if weight]
        total = self.acts[first]
        for j in others:
            total = self.add(total, self.acts[j], vector[j])
        return total

    def chain(self, vector: tuple[int, ...]) -> Codes:
        inner = self._inner(vector, 2)
        first, second = (*vector, 0)[:2]
        if first and second:
            prefix = self.add(self.acts[0], self.acts[1], second)
        elif first or second:
            prefix = self.acts[0 if first else 1]
        else:
            assert inner is not None
            return inner[0]
        return prefix if inner is None else self.add(prefix, *inner)

    def _inner(self, vector: tuple[int, ...], place: int) -> Signed | None:
        """The sum from ``place`` on and its sign; None where all weights are zero."""
        if place >= len(vector):
            return None
        rest, weight = self._inner(vector, place + 1), vector[place]
        if not weight:
            return rest
        if rest is None:
            return self.acts[place], weight
        value, sign = rest
        if weight < 0 < sign:
            return self.add(value, self.acts[place], -1), 1
        return self.add(self.acts[place], value, weight * sign), weight
