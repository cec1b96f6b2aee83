"""Any layer on any core or system of cores: golden, cycle model and hardware agree exactly."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from hwgen.spec.config import CoreConfig
from hwgen.spec.system import System
from sim.checkpoints import Scales
from sim.golden import fixed as golden_fixed
from sim.golden import integers as golden
from sim.verilated.runner import CoreModel
from sim.workload.layers import LayerShape, Linear, Plan, run_golden, run_rtl
from tests.support.cases import CASES
from tests.support.emitted import emitted as emitted_once
from tests.support.layers import random_work

PAIRS = 30
BY_KIND = {
    kind: [config for config in CASES.values() if config.kind == kind]
    for kind in ("lut", "signflip", "multiplier")
}


def random_pair(kind: str, number: int) -> tuple[Plan, np.ndarray, Linear]:
    """A core of a kind, or several, and a layer that is often too large for it."""
    rng = np.random.default_rng([number, len(kind)])
    config = BY_KIND[kind][int(rng.integers(len(BY_KIND[kind])))]
    cores, segments = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    width = int(rng.integers(1, 40))
    if not config.book.holds_all:  # Scales change between groups.
        width += -width % config.mu
    features = segments * width
    outs = int(rng.integers(1, 60))
    wide = config.model_copy(update={"max_in_features": features, "max_out_features": outs})
    (work,) = random_work(wide, rng, [(int(rng.integers(1, 4)), features, outs)])
    values = rng.uniform(0.5, 2, (1, segments))
    scales = Scales(values, ("multiply", "divide")[number % 2])
    bits = Fraction(int(rng.integers(1, 100)), int(rng.integers(1, 4))) if number % 3 else None
    plan = Plan(System(config, cores), LayerShape(outs, features, segments), bits)
    return plan, work.acts, Linear(f"{kind}_{number}", work.weights, scales)


@pytest.mark.verilator
@pytest.mark.parametrize("number", range(PAIRS))
@pytest.mark.parametrize("kind", BY_KIND)
def test_golden_cycle_model_and_hardware_agree(kind, number):
    plan, acts, linear = random_pair(kind, number)
    emitted = emitted_once(plan.system.core)
    result = run_rtl(CoreModel(emitted.verilog, emitted.manifest), plan, acts, linear, seed=number)
    expected = run_golden(plan, acts, linear)
    for parts, wanted, got in zip(plan.parts, expected, result.products, strict=True):
        for part, one, other in zip(parts, wanted, got, strict=True):
            np.testing.assert_array_equal(other, one, err_msg=str(part))
    assert result.cycles == plan.cycles(len(acts)).total


def test_the_pairs_have_cuts_of_every_sort():
    found: Counter[str] = Counter()
    for kind in BY_KIND:
        for number in range(PAIRS):
            plan, acts, _ = random_pair(kind, number)
            cycles = plan.cycles(len(acts))
            first = plan.parts[0]
            found["cores"] += len(plan.parts) > 1
            found["idle cores"] += len(plan.parts) < plan.system.cores
            found["rows"] += len({part.rows.start for part in first}) > 1
            found["inputs"] += len({part.columns.start for part in first}) > plan.shape.segments
            found["segments"] += plan.shape.segments > 1
            found["stalls"] += cycles.stalls > 0
            found["bandwidth"] += cycles.bandwidth_bound
            found["waits"] += cycles.waits > 0
    assert len(found) == 8
    assert min(found.values()) > 0, found


@pytest.mark.parametrize("cores", [1, 2, 3, 7])
def test_real_outputs_equal_a_product_of_real_weights(cores):
    rng = np.random.default_rng(cores)
    config = CoreConfig(
        kind="lut", tables=3, ports=2, mu=2, max_in_features=16, max_out_features=10
    )
    shape = LayerShape(35, 60, 3)
    weights = rng.integers(-1, 1, (35, 60), np.int8, endpoint=True)
    acts = rng.integers(-128, 127, (4, 60), np.int8, endpoint=True)
    act_scale, bias = rng.uniform(1, 9, 4), rng.normal(size=35)
    values = rng.uniform(0.5, 2, (5, 3))  # Of five bands of 7 outputs by three of 20 inputs.
    plan = Plan(System(config, cores), shape)
    for convention in ("multiply", "divide"):
        linear = Linear("layer", weights, Scales(values, convention), bias)
        got = linear.outputs(plan, run_golden(plan, acts, linear), act_scale)
        gain = np.kron(values if convention == "multiply" else 1 / values, np.ones((7, 20)))
        exact = (acts / act_scale[:, None]) @ (weights * gain).T + bias
        sizes = np.abs(acts / act_scale[:, None]) @ np.abs(weights * gain).T + np.abs(bias)
        # At most 62 roundings of half an eps in one sum of 60 terms, 3 · segments + 2 in the other.
        assert (np.abs(got - exact) <= 40 * np.finfo(float).eps * sizes).all()


def test_real_outputs_of_floating_point_cores_are_the_values_of_their_codes():
    config = CoreConfig(kind="lut", act="fp16", arith="fixed", tables=2, ports=2)
    rng = np.random.default_rng(1)
    acts = golden_fixed.encode(rng.normal(size=(3, 10)), "fp16")
    linear = Linear("layer", rng.integers(-1, 1, (6, 10), np.int8, endpoint=True))
    plan = Plan(System(config), linear.shape)
    got = linear.outputs(plan, run_golden(plan, acts, linear), np.ones(3))
    exact = golden_fixed.decode(acts, "fp16") @ linear.weights.T.astype(float)
    np.testing.assert_array_equal(got, exact.astype(np.float16).astype(float))


def test_scales_that_do_not_divide_the_inputs_are_refused():
    with pytest.raises(ValueError, match="divisible by the 3 scales along them, not 10"):
        LayerShape(4, 10, 3)


def test_cycles_add_up_and_cores_share_work_and_bandwidth():
    config = CoreConfig(kind="lut", tables=4, ports=4, mu=2)
    shape = LayerShape(64, 80)
    alone = Plan(System(config), shape).cycles(2)
    four = Plan(System(config, 4), shape).cycles(2)
    assert alone.work == 2 * 64 * 80 / 32 == 4 * four.work
    assert (alone.padding, alone.waits, alone.stalls) == (0, 0, 0)
    assert alone.total - alone.latency == 4 * (four.total - four.latency)
    assert alone.traffic.weight_bits == four.traffic.weight_bits == 2 * 64 * 80 // 2 * 4
    assert alone.traffic.act_bits == 4 * four.traffic.act_bits  # Broadcast: sent once for all.
    assert alone.tiles == four.tiles
    # Beats of 64 bits: at 64 bits a cycle one core never waits, four take as long as one.
    limited = Plan(System(config, 4), shape, Fraction(64)).cycles(2)
    assert limited.bandwidth_bound
    assert not four.bandwidth_bound
    assert limited.weight_cycles == alone.total - alone.latency
    for one in (alone, four, limited):
        assert sum(one.parts.values()) == one.total


def test_a_layer_larger_than_the_core_takes_queued_runs():
    config = CoreConfig(kind="lut", tables=4, ports=4, mu=2, max_in_features=16, max_out_features=8)
    large = config.model_copy(update={"max_in_features": 64, "max_out_features": 32})
    shape = LayerShape(30, 50)
    cut, whole = Plan(System(config), shape), Plan(System(large), shape)
    assert [len(plan.parts[0]) for plan in (cut, whole)] == [16, 1]
    assert cut.cycles(1).total - whole.cycles(1).total == 0  # 50 inputs are 7 tiles either way.
    linear = Linear("layer", np.ones((30, 50), np.int8))
    acts = np.arange(50, dtype=np.int8)[None]
    products = run_golden(cut, acts, linear)
    np.testing.assert_array_equal(
        linear.outputs(cut, products, np.ones(1)), golden.matmul(acts, linear.weights)
    )
    assert replace(cut, shape=LayerShape(30, 48, 3)).parts[0][1].segment == 1
