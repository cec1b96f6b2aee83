"""Sum DAGs: adder counts, depth, and the sums themselves."""

from __future__ import annotations

import numpy as np
import pytest

from hwgen.spec.codebook import codebook
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
POINTS = [(builder, mu) for builder in BUILDERS for mu in range(1, 7)]
IDS = [f"{builder}_mu{mu}" for builder, mu in POINTS]

every_dag = pytest.mark.parametrize(("builder", "mu"), POINTS, ids=IDS)
every_table = pytest.mark.parametrize("half", [True, False], ids=["half", "full"])


@every_dag
def test_adders_and_depth_of_a_half_table(builder, mu):
    dag = sum_dag(codebook("ternary", mu), builder)
    assert len(dag.sums) == ADDERS[builder][mu - 1]
    assert dag.levels == DEPTH[builder][mu - 1]


@pytest.mark.parametrize("mu", range(1, 9))
def test_minimal_builder_needs_one_adder_per_entry_that_is_no_activation(mu):
    entries = len(codebook("ternary", mu).entries)
    assert len(sum_dag(codebook("ternary", mu), "minimal").sums) == entries - mu
    assert len(sum_dag(codebook("ternary", mu), "minimal", half=False).sums) == 2 * entries - mu


@every_dag
def test_a_full_table_has_one_more_adder_per_entry(builder, mu):
    half, full = (sum_dag(codebook("ternary", mu), builder, half) for half in (True, False))
    assert full.sums[: len(half.sums)] == half.sums
    assert len(full.sums) - len(half.sums) == len(codebook("ternary", mu).entries)
    assert full.levels <= half.levels + 1


@every_table
@every_dag
def test_outputs_are_the_dot_products_of_the_entries(builder, mu, half):
    book = codebook("ternary", mu)
    dag = sum_dag(book, builder, half)
    acts = np.random.default_rng(mu).integers(-(1 << 15), 1 << 15, size=(mu, 20))
    values = evaluate(dag, acts)
    entries = np.array(book.entries)
    wanted = entries if half else np.concatenate([entries, -entries])
    assert np.array_equal(np.stack([values[output] for output in dag.outputs]), wanted @ acts)


@every_table
@every_dag
def test_vectors_and_depths_say_what_the_sums_are(builder, mu, half):
    dag = sum_dag(codebook("ternary", mu), builder, half)
    weights = evaluate(dag, np.eye(mu, dtype=int))
    assert [dag.vector(r) for r in range(len(weights))] == [tuple(w) for w in weights]
    for position, add in enumerate(dag.sums):
        operands = [r for r in (add.left, add.right) if r is not None]
        assert max(operands) < mu + position
        assert dag.depth[mu + position] == 1 + max(dag.depth[r] for r in operands)
    assert dag.depth[:mu] == (0,) * mu


@every_table
@every_dag
def test_no_sum_is_dead(builder, mu, half):
    dag = sum_dag(codebook("ternary", mu), builder, half)
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


@pytest.mark.parametrize("mu", range(1, 7))
def test_a_minimal_table_shares_all_there_is_to_share(mu):
    dag = sum_dag(codebook("ternary", mu), "minimal")
    assert dag.distinct_sums == len(dag.sums)


def evaluate(dag: SumDag, acts: np.ndarray) -> list[np.ndarray]:
    """The value of every reference for activations (mu, …)."""
    values = list(acts)
    for add in dag.sums:
        left = 0 if add.left is None else values[add.left]
        values.append(left - values[add.right] if add.subtract else left + values[add.right])
    return values
