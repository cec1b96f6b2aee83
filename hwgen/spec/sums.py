"""Sum DAGs: which adders fill a table, as plain data.

A DAG over ``mu`` activations is a list of two-operand sums. An operand is a *reference*: r < mu
is activation r, r >= mu is sum r - mu; it may be subtracted instead of added. Sums appear after
their operands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property

from hwgen.spec.codebook import Codebook, Vector, non_zeros


@dataclass(frozen=True)
class Sum:
    """One adder: ``left + right``, or ``left - right`` where ``subtract``.

    ``left`` is None for a plain negation, ``0 - right``. ``vector`` holds the weights of the sum.
    """

    left: int | None
    right: int
    subtract: bool
    vector: Vector


@dataclass(frozen=True)
class SumDag:
    """The adders of one table.

    ``outputs[i]`` refers to the sum of entry i, and, for a full table, ``outputs[E + i]`` to its
    negative. ``depth[r]`` counts the adders in series up to reference r.
    """

    mu: int
    sums: tuple[Sum, ...]
    outputs: tuple[int, ...]
    depth: tuple[int, ...] = field(compare=False)

    @property
    def levels(self) -> int:
        """Adders in series on the longest path to an output."""
        return max(self.depth[output] for output in self.outputs)

    def vector(self, reference: int) -> Vector:
        if reference < self.mu:
            return tuple(int(j == reference) for j in range(self.mu))
        return self.sums[reference - self.mu].vector

    @cached_property
    def representatives(self) -> tuple[int, ...]:
        """For each reference the first one that is structurally equal (operands of + commute).

        Synthesis merges what is equal; adders left are those of the distinct representatives.
        """
        merged: dict[tuple[int | None, int, bool], int] = {}
        representative = list(range(self.mu))
        for position, add in enumerate(self.sums):
            left = None if add.left is None else representative[add.left]
            right = representative[add.right]
            if not add.subtract and left is not None and left > right:
                left, right = right, left
            key = (left, right, add.subtract)
            representative.append(merged.setdefault(key, self.mu + position))
        return tuple(representative)

    @property
    def distinct_sums(self) -> int:
        """Adders left once equal ones are merged."""
        return len({r for r in self.representatives if r >= self.mu})


class _Builder:
    """Collects sums; a signed reference is (reference, sign)."""

    def __init__(self, mu: int) -> None:
        self.mu = mu
        self.sums: list[Sum] = []
        self.depth = [0] * mu

    def vector(self, reference: int) -> Vector:
        if reference < self.mu:
            return tuple(int(j == reference) for j in range(self.mu))
        return self.sums[reference - self.mu].vector

    def append(self, left: int | None, right: int, subtract: bool, adders: int = 1) -> int:
        """Reference of a new sum that stands ``adders`` adders, 1 or 0, after its operands."""
        base = (0,) * self.mu if left is None else self.vector(left)
        sign = -1 if subtract else 1
        vector = tuple(a + sign * b for a, b in zip(base, self.vector(right), strict=True))
        self.sums.append(Sum(left, right, subtract, vector))
        self.depth.append(adders + max(self.depth[right], 0 if left is None else self.depth[left]))
        return self.mu + len(self.sums) - 1

    def add(self, left: tuple[int, int], right: tuple[int, int]) -> tuple[int, int]:
        """One adder for the sum of two signed references; the result's sign may be -1.

        A word cannot hold -a - b in one adder, so that a + b is built, to be subtracted later.
        """
        if left[1] < 0 < right[1]:
            left, right = right, left
        return self.append(left[0], right[0], left[1] != right[1]), left[1]

    def finish(self, outputs: list[int]) -> SumDag:
        return SumDag(self.mu, tuple(self.sums), tuple(outputs), tuple(self.depth))


def _minimal(book: Codebook) -> SumDag:
    """Every entry is (its first non-zeros) ± (the rest), both already there up to sign.

    One adder per entry with two or more non-zeros, and one for each half that is no entry. Of a
    codebook with all parts of its groups (``ternary``) there is no such half, so that this is the
    fewest adders possible, at depth ⌈log2 mu⌉, which is the least possible. Of others, halves are
    chosen so that entries share them; `hwgen.spec.fewest_sums` has a lower bound.
    """
    builder = _Builder(book.mu)
    halves = _halves(book)
    known: dict[Vector, int] = {builder.vector(j): j for j in range(book.mu)}

    def build(vector: Vector) -> int:
        if vector not in known:
            split = halves[vector]
            left, right = vector[:split], vector[split:]
            subtract = non_zeros(right)[0][1] < 0
            left, right = (*left, *(0,) * len(right)), _positive((*(0,) * split, *right))
            known[vector] = builder.append(build(left), build(right), subtract)
        return known[vector]

    for vector in sorted(book.entries, key=_simplicity):
        build(vector)
    return builder.finish([known[vector] for vector in book.entries])


def _positive(vector: Vector) -> Vector:
    """The vector or its negative, whichever begins with +1."""
    return vector if non_zeros(vector)[0][1] > 0 else tuple(-weight for weight in vector)


def _simplicity(vector: Vector) -> tuple[int, Vector]:
    """Fewer non-zeros first, so that sums stand after their operands and in a stable order."""
    return len(non_zeros(vector)), vector[::-1]


def _splits(vector: Vector) -> list[tuple[int, Vector, Vector]]:
    """Place of the cut, left and right half up to sign; first the cut after ⌈k/2⌉ non-zeros of k,
    then those ever further from it."""
    places = [place for place, _ in non_zeros(vector)]
    middle = (len(places) + 1) // 2
    counts = sorted(range(1, len(places)), key=lambda count: (abs(count - middle), -count))
    found = []
    for cut in (places[count] for count in counts):
        left, right = vector[:cut], vector[cut:]
        left, right = (*left, *(0,) * len(right)), (*(0,) * cut, *right)
        found.append((cut, left, _positive(right)))
    return found


def _halves(book: Codebook) -> dict[Vector, int]:
    """Where each sum is cut in two: the entries, and sums that are added as halves of entries.

    While an entry has no cut with both halves there, the halves of one more cut are added: those
    that cost least, an adder being divided among all that could use it. Of the cuts with both
    halves there, the one of least depth, and of these the first of `_splits` is taken.
    """
    units = {tuple(int(i == j) for i in range(book.mu)) for j in range(book.mu)}
    there = units | set(book.entries)
    splits = {vector: _splits(vector) for vector in there}

    def missing(vector: Vector) -> list[list[Vector]]:
        """For each cut the halves that are not there, in a stable order."""
        return [sorted({*both} - there, key=_simplicity) for _, *both in splits[vector]]

    while lacking := [m for v in there - units if all(m := missing(v))]:
        uses = Counter(half for cuts in lacking for half in {h for cut in cuts for h in cut})

        def price(halves: list[Vector], uses: Counter[Vector] = uses) -> float:
            return sum((len(non_zeros(half)) - 1) / uses[half] for half in halves)

        choices = [cut for cuts in lacking for cut in cuts]
        cheapest = min(choices, key=lambda cut: (price(cut), [*map(_simplicity, cut)]))
        there.update(cheapest)
        splits.update((half, _splits(half)) for half in cheapest)
    depth, cuts = dict.fromkeys(units, 0), {}
    for vector in sorted(there - units, key=_simplicity):
        found = [
            (1 + max(depth[left], depth[right]), cut)
            for cut, left, right in splits[vector]
            if left in there and right in there
        ]
        depth[vector], cuts[vector] = min(found, key=lambda one: one[0])  # The first of equals.
    return cuts


def _chain(book: Codebook) -> SumDag:
    """The structure of the reference design (arXiv 2604.25183, its first builder).

    An entry is one of the prefixes a0 + a1, a0 - a1, a0, a1, 0 plus an inner sum over the
    remaining activations, built from the last activation forwards. The inner sums exist in both
    signs, each by its own adder, and below the first level once for each value of the weight in
    front of them. Additions of zero are left out, and so is what no entry of the codebook needs.
    """
    builder = _Builder(book.mu)
    mu = book.mu
    if mu == 1:
        return builder.finish([0])
    plus, minus = builder.append(0, 1, False), builder.append(0, 1, True)
    prefixes = {(1, 1): plus, (1, -1): minus, (1, 0): 0, (0, 1): 1}
    Inner = dict[Vector, tuple[int, int]]

    def extend(position: int, rest: dict[int, Inner], copies: int) -> list[Inner]:
        """Sums over activations from ``position`` on, ``copies`` times."""
        result: list[Inner] = []
        for _ in range(copies):
            table: Inner = {}
            for weight in (1, 0, -1):
                for tail, inner in [((0,) * (mu - position - 1), None), *rest[weight].items()]:
                    if weight == 0 and inner is None:
                        continue
                    vector = (weight, *tail)
                    if weight == 0 and inner is not None:
                        table[vector] = inner
                    elif inner is None:
                        table[vector] = (position, weight)
                    else:
                        table[vector] = builder.add((position, weight), inner)
            result.append(table)
        return result

    rest: dict[int, Inner] = {1: {}, 0: {}, -1: {}}
    for position in range(mu - 1, 1, -1):
        outermost = position == 2
        copies = extend(position, rest, 1 if outermost else 3)
        rest = {1: copies[0], 0: copies[-1 if outermost else 1], -1: copies[-1]}
    inner = rest[0]
    sums: dict[Vector, int] = {}
    for prefix, reference in prefixes.items():
        sums[(*prefix, *(0,) * (mu - 2))] = reference
        for tail, value in inner.items():
            sums[(*prefix, *tail)] = builder.add((reference, 1), value)[0]
    for tail, (reference, sign) in inner.items():
        if sign > 0:
            sums[(0, 0, *tail)] = reference
    return _used(builder.finish([sums[vector] for vector in book.entries]))


def _used(dag: SumDag) -> SumDag:
    """The DAG without the sums that no output depends on."""
    kept = sorted(reachable(dag))
    builder = _Builder(dag.mu)
    new = {r: r for r in range(dag.mu)}
    for position in kept:
        add = dag.sums[position]
        left = None if add.left is None else new[add.left]
        new[dag.mu + position] = builder.append(left, new[add.right], add.subtract)
    return builder.finish([new[output] for output in dag.outputs])


def _naive(book: Codebook) -> SumDag:
    """Each entry on its own, from its first non-zero to its last: no sharing at all."""
    builder = _Builder(book.mu)
    outputs = []
    for vector in book.entries:
        (reference, _), *others = non_zeros(vector)
        for j, weight in others:
            reference = builder.append(reference, j, weight < 0)
        outputs.append(reference)
    return builder.finish(outputs)


BUILDERS = {"minimal": _minimal, "chain": _chain, "naive": _naive}


def _with_negatives(book: Codebook, half: SumDag, plain: bool) -> SumDag:
    """A full table: one more adder per entry, ``0 - entry``, written as ``right - left`` or
    ``(-left) - right`` where that is one adder too, so that negatives are no deeper than needed;
    always ``0 - entry``, and no adder deeper than the entry, where ``plain``.
    """
    builder = _Builder(book.mu)
    builder.sums, builder.depth = list(half.sums), list(half.depth)
    negatives: dict[int, int] = {}

    def negate(reference: int) -> int:
        if reference not in negatives:
            add = half.sums[reference - half.mu] if reference >= half.mu else None
            if add is None or add.left is None or plain:
                negatives[reference] = builder.append(None, reference, True, adders=not plain)
            elif add.subtract:
                negatives[reference] = builder.append(add.right, add.left, True)
            elif add.left in half.outputs:
                negatives[reference] = builder.append(negate(add.left), add.right, True)
            else:
                negatives[reference] = builder.append(None, reference, True)
        return negatives[reference]

    outputs = [*half.outputs, *(negate(output) for output in half.outputs)]
    return builder.finish(outputs)


@cache
def sum_dag(book: Codebook, builder: str, half: bool = True, plain: bool = False) -> SumDag:
    """The sums of every entry of ``book`` by the named builder; with negatives unless ``half``.

    ``plain`` negatives are ``0 - entry``: for floating point, where that inverts a sign bit and
    takes no adder.
    """
    dag = BUILDERS[builder](book)
    return dag if half else _with_negatives(book, dag, plain)


def reachable(dag: SumDag) -> Iterator[int]:
    """Positions of the sums some output depends on; a DAG without waste yields all of them."""
    wanted = set(dag.outputs)
    for position in reversed(range(len(dag.sums))):
        reference = dag.mu + position
        if reference in wanted:
            add = dag.sums[position]
            wanted.update(r for r in (add.left, add.right) if r is not None)
            yield position
