"""An exploration as one interactive page: report.html, which needs no network and no server.

The page is `report_page.html` with `report_page.css`, `report_page.js`, plotly.js and the points as
JSON put into it. Plotly, because its plots are known to most readers (zoom, pan, save as picture),
because it draws 100,000 points by WebGL without stutter, and because its Python package brings the
whole library as one file under the MIT licence: nothing is copied into this repository, and
versions are pinned where all others are.

What comes from outside (names, reasons, values) reaches the page as JSON in which no ``<`` is left
and is written by the script as text, never as HTML. A content security policy in the page forbids
every request.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

from costmodel.explore.plots import COLOURS, label_of, series_of, unit_of
from costmodel.explore.sensitivity import sensitivity
from hwgen.spec.axes import BY_COLUMN, BY_NAME

MOST_BACKGROUND = 20_000
"""Points drawn beside the front; more are thinned."""


@dataclass(frozen=True)
class Objective:
    """A column of the results that is to be small, or large."""

    column: str
    maximise: bool = False


@dataclass(frozen=True)
class Accuracy:
    """How wrong the model was for a quantity on cores that it was never fitted to.

    error: mean absolute error, relative, of ``cores`` cores. note: on what, for people.
    """

    error: float
    cores: int
    note: str


@dataclass(frozen=True)
class Report:
    """What the page shows.

    results: a row per kept point: numbers and words, ``front`` (bool), and, where there are
    several, ``technology``. core_files: of such rows what the YAML files of their cores say, a
    column per key, such as ``pipeline.fetch``; None is left out of the file. axes: columns of
    ``results`` that were explored. best: positions of rows to ring, one per technology. dropped:
    combinations left out, by reason. accuracy: by technology and column; a column without has no
    error bars.
    """

    title: str
    question: str
    results: pd.DataFrame
    core_files: Callable[[pd.DataFrame], pd.DataFrame]
    objectives: Sequence[Objective]
    axes: Sequence[str]
    best: Sequence[int]
    dropped: Mapping[str, int]
    accuracy: Mapping[str, Mapping[str, Accuracy]] = field(default_factory=dict)
    kept: int | None = None
    """Points that were kept, where ``results`` holds the front and a sample of them."""
    combinations: int | None = None
    """Of the axes; by default what was kept and what was dropped."""
    fair: pd.DataFrame | None = None
    """A sample of all kept points alike, for sensitivities, where ``results`` has more of the
    front than of the others."""


def page(report: Report, most_background: int = MOST_BACKGROUND) -> str:
    """The page as HTML; the same text for the same report and version of Plotly."""
    # Takes 0.1 s to import, which only pages need.
    from plotly.offline import get_plotlyjs

    parts = {
        "title": html.escape(report.title),
        "style": _resource("report_page.css"),
        "plotly": get_plotlyjs(),
        "script": _resource("report_page.js"),
        "data": script_json(content(report, most_background)),
    }
    # One pass: what is put in is not searched for further places.
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _resource("report_page.html"))


def script_json(value: object) -> str:
    """JSON that cannot end the script element that it stands in, nor start another."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).replace(
        "<", "\\u003c"
    )


def content(report: Report, most_background: int = MOST_BACKGROUND) -> dict[str, Any]:
    """Everything that the page's script reads, as JSON has it."""
    results = report.results.reset_index(drop=True)
    rows = shown_rows(results["front"].to_numpy(bool), report.best, most_background)
    shown = results.iloc[rows]
    named = {str(name): shown[name] for name in results if name != "front"}
    if {"kind", "mu"} <= set(results):
        named = {"series": series_of(shown)} | named
    technologies = technologies_of(results)
    kept = report.kept or len(results)
    places = {int(row): place for place, row in enumerate(rows)}
    return {
        "title": report.title,
        "question": report.question,
        "combinations": report.combinations or kept + sum(report.dropped.values()),
        "kept": kept,
        "sampled": len(results if report.fair is None else report.fair),
        "dropped": [[reason, count] for reason, count in report.dropped.items()],
        "rows": len(rows),
        "front": np.flatnonzero(shown["front"]).tolist(),
        "best": [places[row] for row in report.best],
        "objectives": [[o.column, o.maximise] for o in report.objectives],
        "axes": [axis for axis in report.axes if results[axis].nunique(dropna=False) > 1],
        "fixed": {a: _plain(results[a].iloc[0]) for a in report.axes if results[a].nunique() == 1},
        "columns": {
            name: {
                "label": "kind and µ" if name == "series" else label_of(name),
                "unit": unit_of(name),
                **axis_facts(name),
                "number": _is_number(values),
                **encode(values),
            }
            for name, values in named.items()
        },
        "cores": {str(key): encode(values) for key, values in report.core_files(shown).items()},
        "breakdowns": breakdowns(results),
        "technologies": technologies,
        "sensitivity": {
            technology: {objective: dict(shares[objective]) for objective in shares}
            for technology, shares in sensitivities(report).items()
        },
        "accuracy": {
            technology: {
                column: [errors.error, errors.cores, errors.note]
                for column, errors in columns.items()
            }
            for technology, columns in report.accuracy.items()
        },
        "colours": list(COLOURS),
    }


def axis_facts(column: str) -> dict[str, Any]:
    """How a column is called in a core's short name, and the words of other columns for which a
    core has it at all."""
    axis = BY_COLUMN.get(column)
    if axis is None:
        return {"symbol": column, "where": {}}
    where = {BY_NAME[c.axis].column: list(c.words) for c in axis.conditions}
    return {"symbol": axis.letter or axis.path[-1], "where": where}


def shown_rows(front: np.ndarray, kept: Sequence[int], most_background: int) -> np.ndarray:
    """Positions of the rows that the page holds, ascending: the whole front, ``kept``, and others.

    Of the others at most ``most_background``, drawn with a fixed seed: every n-th would draw some
    values of an axis and never others, as a space counts its axes through.
    """
    chosen = front.copy()
    chosen[list(kept)] = True
    others = np.flatnonzero(~chosen)
    if len(others) > most_background:
        others = np.random.default_rng(0).choice(others, most_background, replace=False)
    chosen[others] = True
    return np.flatnonzero(chosen)


def encode(values: pd.Series) -> dict[str, Any]:
    """A column as JSON, exactly: its distinct values and their places, or its values, or one.

    Repeated values, which most columns of a space have, are written once.
    """
    codes, levels = pd.factorize(values, use_na_sentinel=False)
    plain = [_plain(level) for level in levels]
    if len(plain) == 1:
        return {"constant": plain[0]}
    if 4 * len(plain) <= len(codes):
        return {"levels": plain, "codes": codes.tolist()}
    return {"values": [plain[code] for code in codes]}


def decode(column: Mapping[str, Any], rows: int) -> list[Any]:
    """What `encode` was given, as the page's script reads it."""
    if "constant" in column:
        return [column["constant"]] * rows
    if "levels" in column:
        return [column["levels"][code] for code in column["codes"]]
    return list(column["values"])


def breakdowns(results: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Columns that others are the parts of, and these by name: area_um2 is area_*_um2 together.

    Only where the parts do add up to the whole.
    """
    numbers = [str(name) for name in results if _is_number(results[name])]
    wholes = {}
    for total in numbers:
        head, _, unit = total.partition("_")
        pattern = re.compile(
            f"{re.escape(head)}_(.+)_{re.escape(unit)}" if unit else f"{head}_(.+)"
        )
        parts = {match[1]: name for name in numbers if (match := pattern.fullmatch(name))}
        if len(parts) > 1:
            known = results[[total, *parts.values()]].dropna()
            together = known[list(parts.values())].sum(axis=1)
            if len(known) and np.allclose(together, known[total], rtol=1e-6):
                wholes[total] = parts
    return wholes


def sensitivities(report: Report) -> dict[str, pd.DataFrame]:
    """Shares by axis and objective for each technology ("" without), over all kept points or a
    fair sample of them."""
    shares = {}
    points = report.results if report.fair is None else report.fair
    for technology in technologies_of(points) or [""]:
        part = points
        if technology:
            part = part[part["technology"] == technology]
        there = [o.column for o in report.objectives if part[o.column].notna().any()]
        varied = [axis for axis in report.axes if part[axis].nunique(dropna=False) > 1]
        shares[technology] = sensitivity(part, varied, there)
    return shares


def technologies_of(results: pd.DataFrame) -> list[str]:
    """Technologies of the points, in their order; none without such a column."""
    return list(dict.fromkeys(results["technology"])) if "technology" in results else []


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _plain(value: Any) -> Any:
    """A value of a frame as JSON has it; what is missing, or no finite number, is null."""
    if value is None or value is pd.NA:
        return None
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        if not np.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    return value if isinstance(value, (str, int, bool)) else str(value)


def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
