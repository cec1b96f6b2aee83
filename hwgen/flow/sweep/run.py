"""hwgen sweep: every point of a space, what it costs and how long it takes, and the Pareto front.

Parts of the space are evaluated by all processors
(`hwgen.flow.sweep.part_files`), then merged in order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from costmodel.explore.pareto import ParetoFront
from hwgen.base.errors import ConfigError, HwgenError
from hwgen.base.jobs import Pool, ending
from hwgen.base.lock import alone
from hwgen.base.yamlfile import Source
from hwgen.flow.sweep.evaluate import BLOCK, Evaluator, Tally, limits
from hwgen.flow.sweep.merge import DRAWN, best_row, compete, merge, objective_columns
from hwgen.flow.sweep.part_files import AGAIN, Layout, PartFiles, ResultsWriter, evaluate
from hwgen.flow.sweep.plan import SweepPlan, plan_sweep
from hwgen.flow.sweep.results import SweepResult
from hwgen.space.sweep_file import SweepConfig
from hwgen.spec.rows import text_of

Progress = Callable[[int, int], None]
PATIENCE = 4.0
"""Seconds of work, expected, for which other processes are not worth their start."""
QUEUE = 16
"""Parts given to the processes at once."""
PROCESS_MB, BYTES_A_POINT = 260, 700
"""Of memory: of a process, and of a point in its block."""


@dataclass(frozen=True)
class Forecast:
    """What a sweep will take; seconds from a sample of its blocks, memory from their size."""

    combinations: int
    points: int
    """combinations of shapes that are legal; some sizes may still not be"""
    shapes: int
    seconds: float
    memory_mb: float
    jobs: int


@dataclass(frozen=True)
class Work:
    """A sweep that is ready to run."""

    plan: SweepPlan
    layout: Layout
    forecast: Forecast
    folder: Path


def check_options(search: int | None, seed: int, jobs: int | None) -> None:
    """ConfigError for an option that would have no effect: a search takes one process, and nothing
    but a search is random."""
    if search is None and seed:
        raise ConfigError("--seed: has no effect without --search; leave it out")
    if search is not None and jobs is not None:
        raise ConfigError("--jobs: has no effect with --search; leave it out")


def prepare(config: Source | SweepConfig, out: Path | None = None, jobs: int = 1) -> Work:
    """Check the whole plan and look at a sample of it; nothing is written.

    jobs: processes, at most; more than one import the caller's main module, as `multiprocessing`
    says.
    """
    plan = plan_sweep(config)
    layout = Layout(plan.space)
    space = plan.space
    seconds = _expected_seconds(plan, layout)
    jobs = min(jobs, layout.parts) if seconds > PATIENCE else 1
    largest = min(BLOCK, -(-space.grid // len(layout.boxes)))
    memory = (jobs + (jobs > 1)) * PROCESS_MB + jobs * largest * BYTES_A_POINT / 1e6
    forecast = Forecast(
        space.combinations, space.size, len(space.shapes), seconds / jobs, memory, jobs
    )
    folder = out or Path("results") / str(plan.config.name)
    return Work(plan, layout, forecast, folder)


def sweep(
    config: Source | SweepConfig,
    out: Path | None = None,
    progress: Progress = lambda done, total: None,
    jobs: int = 1,
) -> SweepResult:
    """Evaluate every point of a sweep file and write results, front, plots and the best core.

    ``out`` defaults to results/<name>. Results appear at once, or none; until then parts of them
    are in the folder ``parts`` beside them, from where the same sweep goes on.
    """
    return run(prepare(config, out, jobs), progress)


def run(work: Work, progress: Progress = lambda done, total: None) -> SweepResult:
    """Do what was prepared; HwgenError where another process does it in the same folder."""
    try:
        with alone(work.folder):
            return _run(work, progress)
    finally:
        _remove_if_empty(work.folder)


def _run(work: Work, progress: Progress) -> SweepResult:
    started = time.perf_counter()
    parts = PartFiles(work.folder / "parts", work.plan, work.layout)
    here = parts.open()
    tally, fresh = Tally(), 0
    front = ParetoFront(len(work.plan.config.objectives))
    for part, new in _all_parts(work, parts, here, progress):
        one = parts.tally(part)
        tally.add(one)
        fresh += one.points if new else 0
        compete(front, work.plan, parts.read(part, objective_columns(work.plan)))
    if not tally.feasible:
        parts.remove()
        raise ConfigError(why_none(work.plan, tally))
    tables = (parts.read(part) for part in range(parts.layout.parts))
    every = max(1, work.plan.space.size // DRAWN)
    result = finish(work.plan, work.folder, tables, front, tally, started, fresh, every)
    parts.remove()
    return result


def finish(
    plan: SweepPlan,
    folder: Path,
    tables: Iterable[pa.Table],
    front: ParetoFront,
    tally: Tally,
    started: float,
    fresh: int,
    every: int,
) -> SweepResult:
    """Write the results of points that were evaluated; ``tables`` and ``every`` as `merge` takes
    them, ``fresh`` points since ``started``, of `time.perf_counter`."""
    from hwgen.flow.sweep.results import write_results

    for left in folder.glob(".results.parquet.*"):  # By a sweep that was killed while it joined.
        left.unlink()
    writer = ResultsWriter(folder / "results.parquet")
    try:
        merged, sample, kept = merge(plan, tables, np.sort(front.ids), writer, every)
        writer.finish()
        seconds = time.perf_counter() - started
        result = SweepResult(
            plan=plan,
            folder=folder,
            tally=tally,
            front=merged,
            best=best_row(plan, merged),
            sample=sample,
            kept=kept,
            seconds=seconds,
            points_per_second=fresh / seconds,
        )
        write_results(result, writer)
    except BaseException:
        writer.drop()
        raise
    return result


def _all_parts(
    work: Work, parts: PartFiles, here: list[int], progress: Progress
) -> Iterator[tuple[int, bool]]:
    """Every part once it is on disk, and whether it was made now."""
    total, done = work.plan.space.combinations, work.plan.space.dropped.total()
    missing = sorted({*range(work.layout.parts)} - {*here})
    made = _make(work, parts, missing) if missing else iter(())
    for new, group in ((False, here), (True, made)):
        for part in group:
            done += work.layout.points(part)
            yield part, new
            progress(done, total)


class _Worker:
    """What a process needs to make parts; its own front drops most points early."""

    def __init__(self, plan: SweepPlan, layout: Layout, folder: Path) -> None:
        self.layout = layout
        self.parts = PartFiles(folder, plan, layout)
        self.evaluator = Evaluator(plan)

    def make(self, part: int) -> int:
        self.parts.write(part, *evaluate(self.evaluator, self.layout, part))
        return part


_worker: _Worker | None = None


def _start(plan: SweepPlan, layout: Layout, folder: Path) -> None:
    global _worker
    _worker = _Worker(plan, layout, folder)


def _make_one(part: int) -> int:
    assert _worker is not None
    return _worker.make(part)


def _make(work: Work, parts: PartFiles, missing: list[int]) -> Iterator[int]:
    """Make the parts, in any order; the pool is gone when this ends, however it does."""
    if work.forecast.jobs == 1:
        worker = _Worker(work.plan, work.layout, parts.folder)
        yield from map(worker.make, missing)
        return
    arguments = (work.plan, work.layout, parts.folder)
    pool = Pool(work.forecast.jobs, _start, arguments, start="spawn")
    try:
        with ending(pool):
            waiting = iter(missing)
            running = {pool.submit(_make_one, part) for part in islice(waiting, QUEUE)}
            while running:
                ready, running = wait(running, return_when=FIRST_COMPLETED)
                running |= {pool.submit(_make_one, part) for part in islice(waiting, len(ready))}
                for future in ready:
                    yield future.result()
    except BrokenProcessPool:
        raise HwgenError(
            f"{parts.folder}: a process of the sweep was killed, by hand or for want of memory; "
            f"the parts so far are kept: {AGAIN}, with fewer --jobs if memory was short"
        ) from None


def _expected_seconds(plan: SweepPlan, layout: Layout) -> float:
    """Of one process, from up to three blocks, evaluated and forgotten."""
    if layout.blocks > 3:  # What every process does once is not to be multiplied.
        Evaluator(plan).block(0, layout.boxes[0], Tally())
    evaluator, spent, timed = Evaluator(plan), 0.0, 0
    for block in sorted({layout.blocks // 7, layout.blocks // 2, layout.blocks * 6 // 7}):
        start = time.perf_counter()
        place, box = divmod(block, len(layout.boxes))
        evaluator.block(place, layout.boxes[box], Tally())
        spent, timed = spent + time.perf_counter() - start, timed + 1
        if spent > 1:
            break
    return spent / timed * layout.blocks


def why_none(plan: SweepPlan, tally: Tally) -> str:
    """Why no point is feasible: what each constraint excludes, and what comes nearest."""
    name = plan.config.name
    if not tally.points:
        reasons = tally.dropped + plan.space.dropped
        lines = [f"{name}: core: no combination is a legal core that where lets pass"]
        return "\n".join([*lines, *(f"{name}: {why} ({n:,})" for why, n in reasons.items())])
    lines = [f"{name}: constraints: none of {tally.points:,} points keeps to all of them"]
    bounds = {limit.name: limit for limit in limits(plan)}
    for limit in bounds.values():
        count = tally.excluded[limit.name]
        lines.append(
            f"{name}: {limit.text}: {count:,} of {tally.points:,} points do not keep to it"
        )
    assert tally.nearest is not None
    _, core, cores = plan.space.point(tally.nearest[1])
    many = f"{cores} × " if cores > 1 else ""
    values = Evaluator(plan).one(tally.nearest[1])
    misses = [
        f"{limit.name} {values.quantity(limit.quantity).item():,.6g}"
        for limit in bounds.values()
        if limit.miss(values.quantity(limit.quantity)) > 0
    ]
    lines.append(f"{name}: nearest: {many}{text_of(core)}, with {', '.join(misses)}")
    return "\n".join(lines)


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
        folder.parent.rmdir()
    except OSError:
        pass
