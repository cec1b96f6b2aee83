"""hwgen sweep --search: a space too large to enumerate, searched by NSGA-II.

pymoo evaluates a generation at a time, so that its points go through the same arrays as a sweep's,
and its genetic operators are those of the field (Deb et al., IEEE Trans. Evol. Comp. 6, 2002);
optuna asks for one point after the other. What it evaluates goes to an exact front, so that nothing
good is forgotten; generations only decide where to look.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgen.base.errors import ConfigError, HwgenError
from hwgen.base.lock import alone
from hwgen.base.yamlfile import Source
from hwgen.flow.sweep.evaluate import Evaluator, Kept, Tally
from hwgen.flow.sweep.part_files import table_of
from hwgen.flow.sweep.plan import SweepPlan, plan_sweep
from hwgen.flow.sweep.results import SweepResult
from hwgen.flow.sweep.run import finish, sweep, why_none
from hwgen.space.space import Space
from hwgen.space.sweep_file import SweepConfig

Ints = NDArray[np.int64]
POPULATION = 200
"""Points of a generation, at most; a tenth of all evaluations where these are few."""
IDLE = 50
"""Generations without a new point after which the search ends."""
REMEMBERED = 4096
"""Shapes whose prices are kept."""
ILLEGAL = 1e6
"""What a combination that is no core misses its constraints by: more than any point does."""


def search(
    config: Source | SweepConfig,
    evaluations: int,
    out: Path | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SweepResult:
    """Look for the front of a sweep file with so many evaluations, and write what was found.

    Files and columns as of `hwgen.flow.sweep.run.sweep`, of the points that were looked at; of a
    space that has no more points than that, of all. The same seed gives the same results. Raises
    ConfigError if no point looked at is feasible.
    """
    if evaluations < 1:
        raise ConfigError(f"--search: should be at least 1 evaluation, not {evaluations}")
    started = time.perf_counter()
    plan = plan_sweep(config)
    if evaluations >= plan.space.size:
        return sweep(config, out, progress)
    problem = SearchProblem(plan)
    _evolve(problem, evaluations, seed, progress)
    if not problem.tally.feasible:
        raise ConfigError(why_none(plan, problem.tally))
    tables = [table_of(problem.evaluator, problem.kept())]
    folder = out or Path("results") / str(plan.config.name)
    looked = problem.tally.points
    with alone(folder):
        return finish(
            plan, folder, tables, problem.evaluator.front, problem.tally, started, looked, every=1
        )


class Genes:
    """Points as rows of small integers, one for each axis that has several values.

    Axes of shapes first, then those of the grid. A combination of the former that is no shape
    stands for the shape that agrees with it in most of them, the first of equals.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        columns = [shape.columns for shape in space.shapes]
        varied = [name for name in columns[0] if len({one[name] for one in columns}) > 1]
        self.codes = np.empty((len(columns), len(varied)), np.int64)
        for axis, name in enumerate(varied):
            _, codes = np.unique([str(one[name]) for one in columns], return_inverse=True)
            if not isinstance(columns[0][name], str):
                _, codes = np.unique([one[name] for one in columns], return_inverse=True)
            self.codes[:, axis] = codes
        self.places = {tuple(row): place for place, row in enumerate(self.codes.tolist())}
        self.grid = [axis for axis, size in enumerate(space.sizes) if size > 1]
        ends = [
            *(self.codes.max(axis=0, initial=0)),
            *(space.sizes[axis] - 1 for axis in self.grid),
        ]
        self.ends = np.array(ends, np.int64)
        """The largest value of each gene; the least is 0."""

    def numbers(self, genes: Ints) -> Ints:
        """Of the points that rows of genes stand for."""
        shaped = self.codes.shape[1]
        places = np.array([self._place(row) for row in genes[:, :shaped]], np.int64)
        at = np.zeros((len(self.space.sizes), len(genes)), np.int64)
        at[self.grid] = genes[:, shaped:].T
        return places * self.space.grid + np.ravel_multi_index(tuple(at), self.space.sizes)

    def _place(self, row: Ints) -> int:
        place = self.places.get(tuple(row.tolist()))
        if place is None:
            place = int((self.codes != row).sum(axis=1).argmin())
        return place


class SearchProblem:
    """A sweep for a search: what was looked at, each point evaluated once however often it comes
    up."""

    def __init__(self, plan: SweepPlan) -> None:
        self.plan = plan
        self.evaluator = Evaluator(plan, REMEMBERED)
        self.genes = Genes(plan.space)
        self.tally = Tally()
        self._known: dict[int, tuple[NDArray[np.float64], float]] = {}

    @property
    def seen(self) -> int:
        """Points looked at, illegal ones included."""
        return len(self._known)

    def look(self, genes: Ints) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Objectives (P, C), to be minimised, and by what share points miss constraints (P,)."""
        numbers = self.genes.numbers(genes)
        new = np.unique([number for number in numbers.tolist() if number not in self._known])
        for place in np.unique(new // self.plan.space.grid).astype(int).tolist():
            self._look_at(place, new[new // self.plan.space.grid == place])
        values, misses = zip(*(self._known[number] for number in numbers.tolist()), strict=True)
        return np.array(values), np.array(misses)

    def _look_at(self, place: int, numbers: Ints) -> None:
        """New points of one shape."""
        grid = self.plan.space.grid
        alive, points = self.evaluator.some(place, numbers - place * grid, self.tally)
        nothing = np.zeros(len(self.plan.config.objectives)), ILLEGAL
        self._known |= dict.fromkeys(numbers[~alive].tolist(), nothing)
        if points is None:
            return
        legal = numbers[alive]
        values, misses = self.evaluator.judge(points, legal, self.tally)
        for number, value, miss in zip(legal.tolist(), values, misses.tolist(), strict=True):
            self._known[number] = value, max(0.0, miss)

    def kept(self) -> list[Kept]:
        """The points to keep, as a sweep keeps them, in order of number."""
        grid, keep = self.plan.space.grid, self.plan.config.keep
        known = sorted(
            number
            for number, (_, miss) in self._known.items()
            if miss == 0 or (keep == "all" and miss < ILLEGAL)
        )
        numbers, kept = np.array(known, np.int64), []
        for place in np.unique(numbers // grid).astype(int).tolist():
            here = numbers[numbers // grid == place]
            _, points = self.evaluator.some(place, here - place * grid, Tally())
            assert points is not None
            columns = points.take(np.ones(len(here), bool), here.shape).columns
            feasible = np.array([self._known[number][1] == 0 for number in here.tolist()])
            kept.append(Kept(place, here, feasible, columns))
        return kept


def _evolve(
    problem: SearchProblem, evaluations: int, seed: int, progress: Callable[[int, int], None]
) -> None:
    """Look at so many points, some of them perhaps alike."""
    try:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.problem import Problem
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling
    except ImportError:
        raise HwgenError("--search: pip install 'hwgen[search]'") from None

    ends, objectives = problem.genes.ends, len(problem.plan.config.objectives)

    class Cores(Problem):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(
                n_var=len(ends), n_obj=objectives, n_ieq_constr=1, xl=0, xu=ends, vtype=int
            )

        def _evaluate(self, x: Any, out: dict[str, Any], *_: Any, **__: Any) -> None:
            values, misses = problem.look(np.asarray(x, np.int64))
            # On a logarithmic scale neighbours on a front of many decades are as far as they look.
            out["F"] = np.sign(values) * np.log1p(np.abs(values))
            out["G"] = misses[:, None]

    size = max(4, min(POPULATION, evaluations // 10))
    algorithm = NSGA2(
        pop_size=size,
        sampling=IntegerRandomSampling(),
        crossover=SBX(prob=0.9, eta=5, vtype=float, repair=RoundingRepair()),
        mutation=PM(eta=5, vtype=float, repair=RoundingRepair()),
        eliminate_duplicates=True,
    )
    cores = Cores()
    algorithm.setup(cores, termination=("n_gen", 10**9), seed=seed, verbose=False)
    done = idle = 0
    while done < evaluations and idle < IDLE:
        before = problem.seen
        offspring = algorithm.ask()
        if offspring is None or not len(offspring):
            break
        algorithm.evaluator.eval(cores, offspring)
        algorithm.tell(infills=offspring)
        done += len(offspring)
        idle = 0 if problem.seen > before else idle + 1
        progress(min(done, evaluations), evaluations)
