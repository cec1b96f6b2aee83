"""The errors of predictions as the README shows them: Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from costmodel.judge.errors import Errors
from costmodel.judge.judgement import Judgement, shown
from hwgen.flow.calibrate.validate import Validation

WORST_OF = ("area", "delay", "lut", "fmax_mhz")
"""Quantities of which the worst cores are listed."""


def validation_markdown(results: Iterable[Validation]) -> Iterator[str]:
    """Lines: a table with a row for each prediction, then the worst cores of each technology.

    A cell is: number of cores: mean, largest absolute error. The rank correlation is that of all
    groups together.
    """
    results = list(results)
    yield "| technology | prediction | inside the training range | outside it | rank correlation |"
    yield "| --- | --- | --- | --- | --- |"
    for result in results:
        name = f"`{result.technology}`"
        for judgement in result.judgements:
            yield f"| {' | '.join((name, *_cells(judgement)))} |"
            name = ""
    yield ""
    yield "The worst cores of each:"
    yield ""
    for result in results:
        worst = (
            f"{shown(judgement)}: {_worst(judgement.errors[-1])}"
            for judgement in result.judgements
            if judgement.model == "hwgen" and judgement.quantity in WORST_OF
        )
        yield f"- `{result.technology}`: {'; '.join(worst)}"


def _cells(judgement: Judgement) -> Iterator[str]:
    yield shown(judgement) + (", by the paper's unit costs" if judgement.model == "paper" else "")
    groups = {errors.group: errors for errors in judgement.errors}
    yield _errors(groups["inside"]) if "inside" in groups else ""
    beyond = [_errors(groups["outside"])] if "outside" in groups else []
    if "large" in groups:
        beyond.append(f"large {_errors(groups['large'])}")
    yield "; ".join(beyond)
    rank = judgement.errors[-1].spearman
    yield "" if rank is None else f"{rank:.3f}"


def _errors(errors: Errors) -> str:
    return f"{errors.cores}: {100 * errors.mean:.1f} %, {100 * errors.largest:.0f} %"


def _worst(errors: Errors) -> str:
    return ", ".join(f"{name} {100 * error:+.0f} %" for name, error in errors.worst)
