"""Cycles per second of one core through cocotb and through the batch runner, on the same work."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hwgen.spec.config import CoreConfig
from hwgen.spec.schedule import Run
from hwgen.spec.structure import structure
from hwgen.verilog.emit import emit
from sim.bench.run import CLOCK_NS, run_benches
from sim.verilated.runner import CoreModel, Work

CORE = CoreConfig(
    kind="lut", mu=4, tables=16, ports=32, max_in_features=1024, max_out_features=1024
)
SHAPE = Run(tokens=4, in_features=1024, out_features=1024)
"""As the bench ``many_tokens`` makes it for CORE: 2048 tiles."""
REPEATS = 3


@dataclass(frozen=True)
class Speed:
    """Simulated cycles per second of wall-clock time, packing and unpacking included."""

    cycles: int
    cocotb_cycles_per_s: float
    runner_cycles_per_s: float

    @property
    def ratio(self) -> float:
        return self.runner_cycles_per_s / self.cocotb_cycles_per_s


def measure(seed: int = 1) -> Speed:
    """The best of some repeats of a run of random values without stalls; builds are not counted."""
    core = emit(CORE)
    cycles = structure(CORE).schedule.cycles([SHAPE])
    with tempfile.TemporaryDirectory() as folder:
        benches = [
            run_benches(
                core.verilog,
                core.manifest,
                Path(folder) / str(repeat),
                seed=seed,
                benches=["many_tokens"],
            )[0]
            for repeat in range(REPEATS)
        ]
    cocotb = max(bench.simulated_ns / CLOCK_NS / bench.seconds for bench in benches)
    model = CoreModel(core.verilog, core.manifest)
    rng = np.random.default_rng(seed)
    work = Work(
        rng.integers(-128, 128, (SHAPE.tokens, SHAPE.in_features)),
        rng.integers(-1, 2, (SHAPE.out_features, SHAPE.in_features)),
    )
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        result = model.run([work])
        seconds.append(time.perf_counter() - started)
        assert result.cycles == cycles
    return Speed(cycles, cocotb, cycles / min(seconds))


def main() -> None:
    speed = measure()
    print(f"{speed.cycles} cycles of int8, mu 4, 16 tables, 32 ports, without stalls:")
    print(f"  cocotb        {speed.cocotb_cycles_per_s:9,.0f} cycles/s")
    print(f"  batch runner  {speed.runner_cycles_per_s:9,.0f} cycles/s")
    print(f"  ratio         {speed.ratio:9.1f}")


if __name__ == "__main__":
    main()
