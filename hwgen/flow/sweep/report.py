"""A sweep's results as a page: joins points, the files of their cores and the model's errors."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import pandas as pd
import yaml
from matplotlib.figure import Figure

from costmodel.explore.plots import breakdown_figure, label_of, picture, sensitivity_figure
from costmodel.explore.report import (
    Accuracy,
    Objective,
    Report,
    breakdowns,
    page,
    sensitivities,
    technologies_of,
)
from costmodel.target.choice import all_targets
from hwgen.base.yamlfile import Strict
from hwgen.flow.sweep.cores import axes_in, core_files

JUDGED = {
    "area": (r"area_(ge|um2)", "area"),
    "delay": (r"(.*_)?[nm]s(_.*)?|.*per_second.*", "clock period"),
    "fmax_mhz": (r"(.*_)?[nm]s(_.*)?|.*per_second.*|.*mhz.*", "highest clock"),
    "energy": (r"core_energy_fj.*", "energy per tile"),
    "lut": (r"luts?", "look-up tables"),
    "ff": (r"ffs?", "flip-flops"),
    "carry": (r"carry", "carry cells"),
}
"""Quantities of a hold-out: the columns that are as wrong as they were, and their name."""


def report_files(
    folder: Path,
    results: pd.DataFrame,
    objectives: Sequence[str | Objective],
    *,
    title: str,
    question: str,
    best: int | Sequence[int],
    dropped: Mapping[str, int],
    kept: int | None = None,
    combinations: int | None = None,
    more_axes: Sequence[str] = (),
    given: Collection[str] = (),
    technology: str | None = None,
    activity: str = "random",
    model: str = "hwgen",
    fair: pd.DataFrame | None = None,
) -> dict[Path, str | bytes]:
    """report.html, and its bar charts as pictures, to be written into ``folder``.

    results: one row per kept point, columns as `hwgen.flow.sweep.run.evaluate` gives them, and
    ``front``; whatever columns it has are shown. objectives: columns, to be small unless said.
    question: the sweep's YAML. best: position of the best row, of each technology where there are
    several. dropped: combinations left out, by reason. kept: points, where ``results`` holds the
    front and a sample of them. combinations: of all axes, by default kept and dropped ones.
    more_axes: explored columns besides those of a core. given: columns that are not predicted but
    follow from a given clock, say: without error bars. technology: of all points, if ``results``
    has no such column. activity, model: what energies and areas are predicted for and by. fair: a
    sample of all kept points alike, where ``results`` has the whole front and some others.
    """
    if technology is not None and "technology" not in results:
        results = results.assign(technology=technology)
    columns = results.columns.tolist()
    report = Report(
        title=title,
        question=question,
        results=results,
        core_files=core_files,
        objectives=[o if isinstance(o, Objective) else Objective(o) for o in objectives],
        axes=[*(axis.column for axis in axes_in(results)), *more_axes],
        best=[best] if isinstance(best, int) else list(best),
        dropped=dropped,
        kept=kept,
        combinations=combinations,
        fair=fair,
        accuracy={
            name: accuracy(name, [c for c in columns if c not in given], activity, model)
            for name in technologies_of(results)
        },
    )
    pictures = {
        folder / f"{name}.{kind}": picture(figure, kind)
        for name, figure in _figures(report)
        for kind in ("png", "svg")
    }
    return {folder / "report.html": page(report), **pictures}


def of_the_clock(results: pd.DataFrame) -> list[str]:
    """Columns that follow from the clock."""
    pattern, _ = JUDGED["delay"]
    return [str(name) for name in results if re.fullmatch(pattern, str(name))]


def _figures(report: Report) -> Iterator[tuple[str, Figure]]:
    """Name and figure of each bar chart; with several technologies one of each."""
    technologies = technologies_of(report.results)

    def name(what: str, technology: str) -> str:
        return f"{what}_{technology}" if len(technologies) > 1 else what

    for technology, shares in sensitivities(report).items():
        if not shares.empty:
            yield name("sensitivity", technology), sensitivity_figure(shares, report.title)
    wholes = breakdowns(report.results)
    for place in report.best:
        core = report.results.iloc[place]
        for total, parts in wholes.items():
            values = {part: float(core[column]) for part, column in parts.items()}
            if sum(values.values()) > 0:  # Not so for NaN, of another technology's.
                title = f"Best core of {report.title}"
                figure = breakdown_figure(values, label_of(total), title)
                yield name("breakdown", str(core.get("technology", ""))), figure
                break


def question(config: Strict) -> str:
    """A sweep's file as it was asked, without comments and with ranges as their values."""
    content = config.model_dump(mode="json", exclude_unset=True)
    return yaml.safe_dump(
        content, sort_keys=False, default_flow_style=None, allow_unicode=True, width=100
    )


def accuracy(
    technology: str, columns: Sequence[str], activity: str = "random", model: str = "hwgen"
) -> dict[str, Accuracy]:
    """Of each of ``columns`` the model's mean absolute error on the recorded hold-out cores.

    Columns that no quantity of the record stands for are left out: exact ones such as cycles, and
    all of a technology without a record.
    """
    accuracies = {}
    targets = [target for target in all_targets() if target.name == technology and target.recorded]
    for judgement in chain.from_iterable(target.judgements() for target in targets):
        quantity, _, data = judgement.quantity.partition(", ")
        by = model if quantity == "area" else "hwgen"
        if quantity not in JUDGED or judgement.model != by or data not in ("", activity):
            continue
        pattern, name = JUDGED[quantity]
        groups = {errors.group: errors for errors in judgement.errors}
        everything = judgement.errors[-1]
        parts = ", ".join(
            f"{errors.cores} {_place(group)} {100 * errors.mean:.1f} %"
            for group, errors in groups.items()
            if group != "all"
        )
        note = f"{name}{f' ({data} data)' if data else ''}, {everything.cores} cores: {parts}"
        for column in columns:
            if re.fullmatch(pattern, column):
                accuracies[column] = Accuracy(everything.mean, everything.cores, note)
    return accuracies


def _place(group: str) -> str:
    """A hold-out group, for people."""
    return {"inside": "inside the fitted range", "outside": "outside it"}.get(group, group)
