"""Sum DAGs: adder counts, depth, and the sums themselves."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from hwgen.spec.codebook import Codebook, Vector, codebook
from hwgen.spec.fewest_sums import fewest_sums
from hwgen.spec.sums import BUILDERS, Sum, SumDag, reachable, sum_dag

ADDERS = {
    "minimal": [0, 2, 10, 36, 116, 358],
    "chain": [0, 2, 10, 38, 134, 434],
    "naive": [0, 2, 14, 68, 284, 1094],
}
DEPTH = {
    "minimal": [0, 1, 2, 2, 3, 3],
    "chain": [0, 1, 2, 2, 3, 4],
    "naive": [0, 1, 2, 3, 4, 5],
}
SHERRY = {"minimal": (20, 2), "chain": (22, 2), "naive": (32, 2)}
"""Adders and depth."""
BOOKS = [codebook("ternary", mu) for mu in range(1, 7)] + [codebook("sherry34", 4)]
POINTS = [(builder, book) for builder in BUILDERS for book in BOOKS]
IDS = [f"{builder}_{book.slug}" for builder, book in POINTS]

every_dag = pytest.mark.parametrize(("builder", "book"), POINTS, ids=IDS)
every_table = pytest.mark.parametrize("half", [True, False], ids=["half", "full"])


@every_dag
def test_adders_and_depth_of_a_half_table(builder, book):
    dag = sum_dag(book, builder)
    expected = ADDERS[builder][book.mu - 1], DEPTH[builder][book.mu - 1]
    assert (len(dag.sums), dag.levels) == (expected if book.holds_all else SHERRY[builder])


@pytest.mark.parametrize("mu", range(1, 9))
def test_minimal_builder_needs_one_adder_per_entry_that_is_no_activation(mu):
    entries = len(codebook("ternary", mu).entries)
    assert len(sum_dag(codebook("ternary", mu), "minimal").sums) == entries - mu
    assert len(sum_dag(codebook("ternary", mu), "minimal", half=False).sums) == 2 * entries - mu


@every_dag
def test_a_full_table_has_one_more_adder_per_entry(builder, book):
    half, full = (sum_dag(book, builder, half) for half in (True, False))
    assert full.sums[: len(half.sums)] == half.sums
    assert len(full.sums) - len(half.sums) == len(book.entries)
    assert full.levels <= half.levels + 1


@every_table
@every_dag
def test_outputs_are_the_dot_products_of_the_entries(builder, book, half):
    dag = sum_dag(book, builder, half)
    acts = np.random.default_rng(book.mu).integers(-(1 << 15), 1 << 15, size=(book.mu, 20))
    values = evaluate(dag, acts)
    entries = np.array(book.entries)
    wanted = entries if half else np.concatenate([entries, -entries])
    assert np.array_equal(np.stack([values[output] for output in dag.outputs]), wanted @ acts)


@every_table
@every_dag
def test_vectors_and_depths_say_what_the_sums_are(builder, book, half):
    mu, dag = book.mu, sum_dag(book, builder, half)
    weights = evaluate(dag, np.eye(mu, dtype=int))
    assert [dag.vector(r) for r in range(len(weights))] == [tuple(w) for w in weights]
    for position, add in enumerate(dag.sums):
        operands = [r for r in (add.left, add.right) if r is not None]
        assert max(operands) < mu + position
        assert dag.depth[mu + position] == 1 + max(dag.depth[r] for r in operands)
    assert dag.depth[:mu] == (0,) * mu


@every_table
@every_dag
def test_no_sum_is_dead(builder, book, half):
    dag = sum_dag(book, builder, half)
    assert sorted(reachable(dag)) == list(range(len(dag.sums)))


def test_a_dead_sum_would_show():
    used, dead = Sum(0, 1, False, (1, 1)), Sum(0, 1, True, (1, -1))
    dag = SumDag(2, (used, dead), (2,), (0, 0, 1, 1))
    assert list(reachable(dag)) == [0]


def test_equal_sums_are_shared_whatever_the_order_of_plus():
    sums = (
        Sum(0, 1, False, (1, 1)),
        Sum(1, 0, False, (1, 1)),
        Sum(0, 1, True, (1, -1)),
        Sum(1, 0, True, (-1, 1)),
        Sum(2, 0, False, (2, 1)),
        Sum(0, 3, False, (2, 1)),
        Sum(None, 0, True, (-1, 0)),
    )
    dag = SumDag(2, sums, (2,), (0, 0, 1, 1, 1, 1, 2, 2, 1))
    assert dag.distinct_sums == 5  # a+b, a-b, b-a, (a+b)+a, -a


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.slug)
def test_a_minimal_table_shares_all_there_is_to_share(book):
    dag = sum_dag(book, "minimal")
    assert dag.distinct_sums == len(dag.sums)


def book_of(*entries: Vector) -> Codebook:
    """A codebook of these entries and their negatives."""
    return Codebook("some", len(entries[0]), tuple(sorted(entries)), has_zero=False)


SIGNS = [(1, *signs) for signs in product((-1, 1), repeat=3)]
LEAST = {
    "pairs": (book_of(*SIGNS), 12),  # a0 ± a1, a2 ± a3, and eight entries.
    "one": (book_of((1, 1, 1, 1)), 3),
    "a_half_is_an_entry": (book_of((1, 1, 1, 1), (0, 1, 0, 1)), 3),
    "no_neighbours": (book_of((1, 0, 1, 0), (0, 1, 0, 1)), 2),
}
"""Codebooks and the fewest adders, by hand."""


@pytest.mark.parametrize(("book", "adders"), LEAST.values(), ids=LEAST)
def test_the_fewest_adders_by_hand(book, adders):
    assert fewest_sums(book) == adders


@pytest.mark.parametrize("book", [*BOOKS, LEAST["pairs"][0], LEAST["one"][0]])
def test_the_builder_minimal_reaches_the_bound(book):
    assert len(sum_dag(book, "minimal").sums) == fewest_sums(book)


@pytest.mark.parametrize("seed", range(40))
def test_the_bound_holds_for_codebooks_at_random(seed):
    rng = np.random.default_rng(seed)
    every = codebook("ternary", 4).entries
    chosen = rng.choice(len(every), int(rng.integers(1, 9)), replace=False)
    book = book_of(*(every[i] for i in chosen))
    dags = {name: sum_dag(book, name) for name in BUILDERS}
    assert all(sorted(reachable(dag)) == list(range(len(dag.sums))) for dag in dags.values())
    assert fewest_sums(book) <= min(len(dag.sums) for dag in dags.values())
    assert len(dags["minimal"].sums) <= len(dags["naive"].sums)


def test_adders_that_cancel_could_be_one_less():
    """Three differences and sums, from which all entries of sherry34 follow one by one."""
    wanted = codebook("sherry34", 4).entries
    there = {(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)}
    there |= {(0, 1, -1, 0), (0, 1, 1, 0), (0, 0, 1, -1)}
    while not there.issuperset(wanted):
        pairs = [(a, b) for a in there for b in there]
        sums = {
            tuple(x + s * y for x, y in zip(a, b, strict=True)) for a, b in pairs for s in (1, -1)
        }
        found = (sums & {*wanted}) - there
        assert found
        there |= found
    assert len(there) - 4 == fewest_sums(codebook("sherry34", 4)) - 1


def evaluate(dag: SumDag, acts: np.ndarray) -> list[np.ndarray]:
    """The value of every reference for activations (mu, …)."""
    values = list(acts)
    for add in dag.sums:
        left = 0 if add.left is None else values[add.left]
        values.append(left - values[add.right] if add.subtract else left + values[add.right])
    return values
