"""cocotb benches of a whole generated core: the handshakes, and every sum against golden.

``$HWGEN_MANIFEST`` names the core's manifest. All benches share one simulation, so that each one
starts from what the one before left behind; registers hold random contents at first. Randomness
comes from the seed alone: one generator per bench, split by stream.
"""

from __future__ import annotations

import faulthandler
import os
from typing import Any

import cocotb
import numpy as np

from hwgen.spec.number import FloatFormat
from hwgen.spec.schedule import Run
from sim.bench.harness import INPUTS, PATIENCE, STALLS, TERNARY, Core, begin
from sim.bench.run import CLOCK_NS, LIMIT_S, MANIFEST
from sim.golden import fixed as golden_fixed
from sim.verilated.runner import Stalls, Work
from sim.workload.stimulus import nearest_weights

MANY_CYCLES = 2_000

if LIMIT_S in os.environ:  # A simulator stuck at one instant never reaches a simulated timeout.
    faulthandler.dump_traceback_later(float(os.environ[LIMIT_S]), exit=True)

claim = cocotb.test(timeout_time=100_000 * CLOCK_NS, timeout_unit="ns")


def claim_of_floats(bench: Any) -> Any:
    """A claim where activations are floating-point; no other core can be given such values."""
    manifest = os.environ.get(MANIFEST)
    floating = manifest is not None and Core.read(manifest).config.float_number is not None
    return claim(bench) if floating else bench


@claim
async def random_register_contents(dut: Any) -> None:
    """One cycle of reset is enough, whatever the registers held; this bench is the first to run."""
    bench = await begin(dut)
    await bench.play(bench.some_work(2))


@claim
@cocotb.parametrize(stalls=list(STALLS))
async def random_stalls(dut: Any, stalls: Any) -> None:
    """Every sum comes back once and in order, however often the streams stall."""
    bench = await begin(dut)
    await bench.play(bench.some_work(8), STALLS[stalls])


@claim
async def smallest_run(dut: Any) -> None:
    """A run of one token, one input and one output is right, also twice in a row."""
    bench = await begin(dut)
    await bench.play([bench.work(1, 1, 1), bench.work(1, 1, 1)])


@claim
async def largest_run(dut: Any) -> None:
    """A layer of as many inputs and outputs as the core allows is right."""
    bench = await begin(dut)
    config = bench.core.config
    await bench.play([bench.work(2, config.max_in_features, config.max_out_features)])


@claim
async def many_tokens(dut: Any) -> None:
    """Thousands of cycles of one run, none stalling, are right."""
    bench = await begin(dut)
    config = bench.core.config
    shape = min(1024, config.max_in_features), min(1024, config.max_out_features)
    per_token = bench.core.structure.schedule.steady_cycles(Run(1, *shape))
    await bench.play([bench.work(-(-MANY_CYCLES // per_token), *shape)])


@claim
async def padding(dut: Any) -> None:
    """Layers one input or output more or less than whole tiles and blocks are right."""
    bench = await begin(dut)
    config = bench.core.config
    sizes = [
        sorted({max(1, min(most, count * size + step)) for count in (1, 2) for step in (-1, 1)})
        for size, most in (
            (config.tile_n, config.max_in_features),
            (config.ports * config.reuse, config.max_out_features),
        )
    ]
    await bench.play([bench.work(2, n, m) for n in sizes[0] for m in sizes[1]])


@claim
async def extreme_values(dut: Any) -> None:
    """Sums of the longest dot products at either end, and of values that cancel, are right."""
    bench = await begin(dut)
    config = bench.core.config
    acts, rows = (bench.extremes(name, config.max_in_features) for name in ("acts", "weights"))
    weights = np.tile(rows, (-(-config.ports * config.reuse // len(rows)), 1))
    most = config.max_out_features
    parts = [weights[i : i + most] for i in range(0, len(weights), most)]
    await bench.play([bench.layer(acts, part) for part in parts])


@claim_of_floats
async def infinities_and_nan(dut: Any) -> None:
    """They spoil what golden says, and leave nothing behind for the next token or run."""
    bench = await begin(dut)
    core, config = bench.core, bench.core.config
    number, sums = core.number("acts"), config.sum_number
    assert isinstance(number, FloatFormat)
    assert sums is not None
    magnitudes = np.array([number.infinity or number.quiet_nan, number.quiet_nan])
    strange = bench.rng.integers(number.largest + 1, 1 << (number.bits - 1), 2)
    specials = np.concatenate([magnitudes, magnitudes | 1 << (number.bits - 1), strange])
    features = min(config.max_in_features, 3 * config.tile_n)
    tokens, outs = 2 * len(specials) + 1, min(config.max_out_features, 2 * len(specials) + 1)
    acts, clean = bench.normal("acts", (tokens, features)), bench.normal("acts", (2, features))
    weights = bench.normal("weights", (outs, features))
    weights[0] = np.where(weights[0] == 0, 1, weights[0])  # Each of them shows.
    at = bench.rng.permuted(np.arange(len(specials)) * (features - 1) // (len(specials) - 1))
    if core.number("weights") is TERNARY:
        shows = 1 + features * np.isin(np.arange(features), at)
        weights[:1] = nearest_weights(config, weights[:1], shows)
    acts[1::2][np.arange(len(specials)), at] = specials
    first, then = bench.layer(acts, weights), bench.layer(clean, weights)
    bad = np.array(core.expected(first)["sums"]) & ((1 << (sums.bits - 1)) - 1) > sums.largest
    assert bad[1::2, 0].all(), "golden: an infinity or NaN got lost"
    assert not bad[::2].any(), "golden: an infinity or NaN spread to another token"
    work = [first, then]
    if config.kind == "multiplier":  # Its weights can be as bad.
        strange_weights = weights.copy()
        strange_weights[1::2, at[0]] = specials[: len(weights[1::2])]
        work[1:1] = [bench.layer(acts, strange_weights), bench.layer(clean, strange_weights)]
    if then.exponents is not None:  # An exponent that is too low spoils its token alone.
        low = golden_fixed.token_exponents(clean, config.act) - np.arange(len(clean))
        work[1:1] = [Work(clean, weights, np.maximum(low, 1))]
    for stalls in ("none", "half"):
        await bench.play(work, STALLS[stalls])
    await bench.play_part(work, len(core.beats(work[:1])["keys"]) // 2)
    await bench.reset()
    await bench.play([then])


@claim
async def reset_in_the_middle(dut: Any) -> None:
    """After a reset in the middle of a run, nothing of it is left and a new run is right."""
    bench = await begin(dut)
    config = bench.core.config
    for _ in range(4):
        shape = min(config.max_in_features, 3 * config.tile_n), config.max_out_features
        work = [bench.work(4, *shape), bench.work(2, *shape)]
        beats_before = int(bench.rng.integers(1, len(bench.core.beats(work)["keys"]) // 2))
        await bench.play_part(work, beats_before)
        await bench.reset()
        await bench.play(bench.some_work(1))


@claim
async def valid_does_not_wait_for_ready(dut: Any) -> None:
    """The first result is offered, and stays, while nobody is ready; then all of them are right."""
    bench = await begin(dut)
    work = bench.some_work(2)
    tasks = [bench.start(name, Stalls(), bench.core.beats(work)[name]) for name in INPUTS]
    held: int | None = None
    for _ in range(PATIENCE):
        await bench.edge
        held = bench.result(held)
    assert held is not None, "no result without ready"
    for task in tasks:
        task.cancel()
    await bench.reset()
    await bench.play(work)


@claim
async def as_fast_as_promised(dut: Any) -> None:
    """Queued runs follow without a gap: each, and all, take the cycles that the formula says."""
    bench = await begin(dut)
    work = bench.some_work(5)
    moves = await bench.play(work)
    core = bench.core
    runs = [core.run(piece) for piece in work]
    tiles = [len(core.beats([piece])["keys"]) for piece in work]
    starts = [moves["keys"][sum(tiles[:i])] for i in range(len(runs))] + [moves["keys"][-1] + 1]
    for i, run in enumerate(runs):
        steady, took = core.structure.schedule.steady_cycles(run), starts[i + 1] - starts[i]
        assert took == steady, f"run {i}: {tiles[i]} tiles took {took} cycles instead of {steady}"
        if core.structure.accumulator_latency == 1:
            assert steady == tiles[i], f"run {i}: {tiles[i]} tiles are not {steady} cycles"
    due = core.structure.schedule.cycles(runs)
    taken = moves["sums"][-1] - moves["commands"][0] + 1
    assert taken == due, f"{taken} cycles instead of {due}"
