"""Speed of sweeps: points a second of one processor, in processor time, the best of some runs.

python benchmarks/sweep.py [CONFIG.yaml]
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from hwgen.flow.sweep.plan import SweepPlan, plan_sweep
from hwgen.flow.sweep.run import Forecast, Layout, Work, run

EXAMPLE = Path(__file__).parents[1] / "examples" / "million-points.yaml"
ROUNDS = 3


def rate(plan: SweepPlan) -> tuple[float, int, int]:
    """Points a second, all files written; points, and how many are on the front."""
    layout = Layout(plan.space)
    work = Work(plan, layout, Forecast(0, 0, 0, 0.0, 0.0, jobs=1), Path())
    seconds = np.inf
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            result = run(replace(work, folder=Path(folder)))
            seconds = min(seconds, time.process_time() - start)
    return result.tally.points / seconds, result.tally.points, len(result.front)


def main() -> None:
    plan = plan_sweep(Path(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLE)
    for keep in ("front", "all"):
        config = plan.config.model_copy(update={"keep": keep})
        speed, points, front = rate(replace(plan, config=config))
        what = f"{points:,} points, {len(config.objectives)} objectives, {front:,} on the front"
        print(f"keep {keep}: {speed:,.0f} points a second ({what})", flush=True)


if __name__ == "__main__":
    main()
