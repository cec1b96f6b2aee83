"""Speed of emission, of the batch runner, and of cocotb on the same core.

    make bench

Prints medians; other machines are slower or noisier, so that ratios travel better than times.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
from cocotb_speed import measure

from hwgen.spec.config import CoreConfig
from hwgen.verilog.emit import emit
from sim.golden import integers as golden
from sim.verilated.runner import CoreModel, Work

REPEATS = 7


def emission() -> None:
    """Time and size of a core of 1,024 fetch ports, and of one twice as wide."""
    for ports in (64, 128):
        config = CoreConfig(kind="lut", mu=3, tables=16, ports=ports, name="core")
        started = time.perf_counter()
        emitted = emit(config)
        seconds = time.perf_counter() - started
        modules = emitted.manifest["modules"]
        print(
            f"emission int8 µ=3 L=16 K={ports}: {seconds:.2f} s, "
            f"{len(emitted.verilog) / 1e3:.0f} kB, {len(modules)} modules, "
            f"{sum(module['instances'] for module in modules)} instances"
        )


def batch() -> None:
    """The layer (T, N, M) = (1, 2560, 6912) on int8 µ=4 L=16 K=32."""
    config = CoreConfig(kind="lut", mu=4, tables=16, ports=32, name="core")
    emitted = emit(config)
    model = CoreModel(emitted.verilog, emitted.manifest)
    rng = np.random.default_rng(0)
    acts = rng.integers(-128, 128, (1, 2560), np.int16)
    weights = rng.integers(-1, 1, (6912, 2560), np.int8, endpoint=True)
    expected = golden.matmul(acts, weights)
    run, copy, pack = [], [], []
    for repeat in range(REPEATS):
        result = model.run([Work(acts, weights)], seed=repeat)
        assert np.array_equal(result.outputs[0], expected)
        run.append(result.run_seconds)
        copy.append(result.copy_seconds / result.run_seconds)
        pack.append(result.pack_seconds)
    seconds = statistics.median(run)
    print(
        f"batch runner int8 µ=4 L=16 K=32, 1 × 2560 → 6912: {seconds:.3f} s for {result.cycles:,} "
        f"cycles, {result.cycles / seconds:,.0f} cycles per second; copying "
        f"{statistics.median(copy):.1%} of it; keys packed in {statistics.median(pack):.3f} s "
        f"(first time {pack[0]:.3f} s)"
    )


def main() -> None:
    """Print everything."""
    emission()
    batch()
    print(measure())


if __name__ == "__main__":
    main()
