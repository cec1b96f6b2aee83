"""What a sweep leaves in its folder: tables, pictures, the best core, and how they came about."""

from __future__ import annotations

import io
import json
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from costmodel.cells.area import OMITTED
from costmodel.explore.plots import pareto_figure, picture
from costmodel.explore.report import Objective
from hwgen.base.datadir import from_wheel
from hwgen.base.files import write_atomically
from hwgen.base.record import Record
from hwgen.flow.sweep.evaluate import Tally
from hwgen.flow.sweep.part_files import ResultsWriter
from hwgen.flow.sweep.plan import SweepPlan, describe_tools
from hwgen.flow.sweep.report import of_the_clock, question, report_files
from hwgen.spec.codebook import codebook
from hwgen.spec.config import CoreConfig, load_core
from hwgen.spec.rows import core_of, name_of, text_of

FILES = (
    "results.parquet",
    "front.parquet",
    "pareto.csv",
    "pareto.png",
    "pareto.svg",
    "best.yaml",
    "run.json",
    "report.html",  # Last: what to open next.
)
FAIR = 1000
"""Points of a sample that say as much as all."""


def write_results(result: SweepResult, writer: ResultsWriter) -> None:
    """All files; ``writer`` has the results, ready to be moved to their place."""
    folder, config = result.folder, result.plan.config
    front = result.front.drop(columns="front")
    table = io.BytesIO()
    front.to_parquet(table, index=False)
    files: dict[Path, str | bytes] = {
        folder / "front.parquet": table.getvalue(),
        folder / "pareto.csv": front.to_csv(index=False, lineterminator="\n"),
        folder / "best.yaml": _best_yaml(result),
        folder / "run.json": json.dumps(_run_record(result), indent=1) + "\n",
    }
    drawn, best = result.drawn, result.drawn_best
    first, second = config.objectives[:2]
    title = f"{result.plan.title}: {result.tally.feasible:,} cores, "
    title += ", ".join(result.plan.technologies)
    figure = pareto_figure(
        drawn,
        (result.plan.column(first.quantity), first.maximise),
        (result.plan.column(second.quantity), second.maximise),
        title,
        best,
    )
    files |= {folder / f"pareto.{kind}": picture(figure, kind) for kind in ("png", "svg")}
    files |= _report(result, drawn, best, title)
    write_atomically(files)
    writer.temporary.replace(writer.path)


def _report(
    result: SweepResult, drawn: pd.DataFrame, best: int, title: str
) -> dict[Path, str | bytes]:
    """The page of the front and a sample of the other points, and its bar charts."""
    plan = result.plan
    predicted = not isinstance(plan.config.clock_ns, float | int)
    return report_files(
        result.folder,
        drawn,
        [Objective(plan.column(one.quantity), one.maximise) for one in plan.config.objectives],
        title=title,
        question=question(plan.config),
        best=best,
        dropped=result.dropped,
        kept=result.kept,
        more_axes=["cores"],
        given=() if predicted else of_the_clock(drawn),
        activity=plan.config.activity,
        model=plan.config.model,
        fair=result.sample if len(result.sample) >= FAIR else None,
    )


def core_yaml(core: CoreConfig, comment: str = "", name: str | None = None) -> str:
    """A core file's text; ``name`` defaults to one that the axes make."""
    content = core.model_dump(exclude_none=True, exclude_defaults=True)
    content |= {"name": name or name_of(core)}
    content = {"format": core.format, **content}
    return comment + yaml.safe_dump(content, sort_keys=False)


def _best_yaml(result: SweepResult) -> str:
    row = result.front.iloc[result.best]
    core = core_of(row.to_dict())
    many = f"{row['cores']} cores of " if row["cores"] > 1 else ""
    first, second = (_way(each) for each in result.plan.config.objectives[:2])
    name = result.plan.config.name
    comment = f"# {many}{text_of(core)}: {first} × {second} of the front of {name}.\n"
    return core_yaml(core, comment)


def _way(objective: Any) -> str:
    return f"{'most' if objective.maximise else 'least'} {objective.quantity}"


def _run_record(result: SweepResult) -> dict[str, Any]:
    """What varies between identical runs, and how to repeat this one."""
    plan = result.plan
    now = time.time() - result.seconds
    return {
        "command": ["hwgen", *sys.argv[1:]],
        "commit": _commit(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(now)),
        "seconds": result.seconds,
        "points_per_second": result.points_per_second,
        "host": platform.node(),
        "python": platform.python_version(),
        "tools": describe_tools(),
        "combinations": plan.space.combinations,
        "points": result.tally.points,
        "feasible": result.tally.feasible,
        "kept": result.kept,
        "front": len(result.front),
        "dropped": result.dropped,
        "excluded": dict(result.tally.excluded),
        "calibrated": {
            name: all(cost.status == "calibrated" for cost in technology.costs.values())
            for name, technology in plan.technologies.items()
        },
        "digest": plan.digest,
        "config": plan.config.model_dump(mode="json"),
        "omitted": OMITTED,
    }


def _commit() -> str | None:
    """The commit of the working copy, if this is one and git is there."""
    if from_wheel():  # A repository around it is another project's.
        return None
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None


@dataclass(frozen=True)
class SweepResult(Record):
    """An exploration's results and where they lie. ``front``: sorted by the objectives, and with
    areas by component; ``best`` is a row of it. ``sample``: of all kept points."""

    drawn_in = "sweep"
    plan: SweepPlan
    folder: Path
    tally: Tally
    front: pd.DataFrame
    best: int
    sample: pd.DataFrame
    kept: int
    seconds: float
    points_per_second: float

    @property
    def best_core(self) -> CoreConfig:
        """The best core, as in ``best.yaml``."""
        return load_core(self.folder / "best.yaml")

    @property
    def codebook_notes(self) -> list[str]:
        """What codebooks of cores on the front ask of a network."""
        pairs = self.front[["codebook", "mu"]].drop_duplicates().itertuples(index=False)
        demands = {codebook(name, int(mu)).demand for name, mu in pairs if name}
        return sorted(demand for demand in demands if demand is not None)

    def to_dict(self) -> dict[str, Any]:
        """The counts, the best point, and where the results lie."""
        return {
            "folder": str(self.folder),
            "files": list(FILES),
            "points": self.tally.points,
            "feasible": self.tally.feasible,
            "kept": self.kept,
            "front": len(self.front),
            "points_per_second": self.points_per_second,
            "seconds": self.seconds,
            "best": json.loads(self.front.loc[self.best].to_json()),
            "dropped": self.dropped,
            "excluded": dict(self.tally.excluded),
            "codebook_notes": self.codebook_notes,
        }

    @property
    def results(self) -> pd.DataFrame:
        """Every kept point; as large as the file."""
        return pd.read_parquet(self.folder / "results.parquet")

    @property
    def drawn(self) -> pd.DataFrame:
        """What pictures and the page show: a sample of the other points, then the front."""
        others = self.sample[~self.sample["front"]]
        return pd.concat([others, self.front], ignore_index=True)

    @property
    def drawn_best(self) -> int:
        """The row of `drawn` that is the best."""
        return int((~self.sample["front"]).sum()) + self.best

    @property
    def dropped(self) -> dict[str, int]:
        """Combinations that are no points, by reason."""
        return dict(self.tally.dropped + self.plan.space.dropped)
