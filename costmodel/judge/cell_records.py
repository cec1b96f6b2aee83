"""Area and delay of whole cores synthesised for a cell library, beside what the model says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from costmodel.cells import delay, paper
from costmodel.cells.area import core_area
from costmodel.cells.corrections import GROUPS, group_areas
from costmodel.cells.delay import DelayModel
from costmodel.cells.paths import paths
from costmodel.cells.technology import Corrections, PaperModel, Technology, load_technology
from costmodel.fit.residual import Residual
from costmodel.judge.judgement import Judgement, judged
from costmodel.judge.records import HOLDOUT, TRAINING, Columns, Record
from costmodel.synth.yosys import Synthesis
from hwgen.spec.structure import Structure, structure


class CellRecord(Record):
    """Areas and delays of synthesised cores."""

    kept = ("full_adders", "tool")

    @cached_property
    def costs(self) -> Technology:
        """What predicts."""
        return load_technology(self.technology)

    def lines(self, spec: Structure, row: Columns) -> Iterator[Columns]:
        """One line; the paper's model has an empty field where it has no prediction, and delays are
        empty in a technology without any."""
        costs, unit = self.costs, self.costs.area_unit
        line: Columns = {
            f"predicted_area_{unit}": core_area(spec, costs).total,
            "predicted_delay_ns": "",
            f"paper_area_{unit}": "",
        }
        if costs.delays is not None:
            clock = delay.core_clock(spec, costs.delays, costs.name)
            line["predicted_delay_ns"] = clock.period_ns
            line["predicted_stage"] = clock.stage
        with contextlib.suppress(paper.PaperModelError):
            line[f"paper_area_{unit}"] = paper.paper_area(spec, costs).total
        yield line | row


def measured(result: Synthesis, unit: str) -> Columns:
    """The columns that are kept of a synthesis; the delay is empty in a technology without any."""
    return {
        f"synthesised_area_{unit}": result.area,
        f"synthesised_sequential_area_{unit}": result.sequential_area,
        "synthesised_delay_ns": "" if result.delay_ns is None else result.delay_ns,
        "synthesised_depth": result.depth,
        "synthesised_cells": sum(result.cells.values()),
        "full_adders": result.full_adders,
        "tool": result.tool,
    }


def judgements(tech: str) -> list[Judgement]:
    """Area by each model, and delay if the technology has any, on the recorded hold-out."""
    record = CellRecord(tech, HOLDOUT)
    table, unit = record.table(record.rows()), record.costs.area_unit
    area = f"synthesised_area_{unit}"
    results = [
        judged(table, "area", unit, f"predicted_area_{unit}", area),
        judged(table, "area", unit, f"paper_area_{unit}", area, "paper"),
    ]
    if record.costs.delays is not None:
        delays = "predicted_delay_ns", "synthesised_delay_ns"
        results.append(judged(table, "delay", "ns", *delays))
    return results


def corrected(technology: Technology) -> Technology:
    """``technology`` with what is fitted on the training cores that were synthesised so far.

    These are corrections of area and of delay, and the coefficient of the paper's model; none of
    them is fitted on fewer cores than twice the number of factors.
    """
    record = CellRecord(technology.name, TRAINING)
    rows = record.rows()
    samples = [sample for sample in record.samples if sample.name in rows]
    if len(samples) < 2 * len(GROUPS):
        return technology.model_copy(update={"corrections": None, "paper": None})
    specs = [structure(sample.config) for sample in samples]
    lines = [rows[sample.name] for sample in samples]
    areas = [float(line[f"synthesised_area_{technology.area_unit}"]) for line in lines]
    sums = [group_areas(spec.units, technology) for spec in specs]
    fits: dict[str, Any] = {
        "corrections": Corrections.fitted(sums, areas),
        "paper": _paper(technology, specs, areas),
    }
    if technology.delays is not None:
        delays = [float(line["synthesised_delay_ns"]) for line in lines]
        fits["delays"] = _delay_corrections(technology, specs, delays)
    return technology.model_copy(update=fits)


def _paper(technology: Technology, specs: list[Structure], synthesised: list[float]) -> PaperModel:
    """The coefficient of the paper's model, fitted on the cores that it can predict."""
    pairs = []
    for spec, area in zip(specs, synthesised, strict=True):
        with contextlib.suppress(paper.PaperModelError):
            pairs.append((sum(paper.uncorrected(spec, technology).values()), area))
    gamma = paper.fit_gamma(*zip(*pairs, strict=True))
    return PaperModel(gamma=gamma, residual=Residual.of(gamma * a / b - 1 for a, b in pairs))


def _delay_corrections(
    technology: Technology, specs: list[Structure], synthesised: list[float]
) -> DelayModel:
    model, name = technology.delays, technology.name
    assert model is not None
    cores = [[delay.group_delays(path, model, name) for path in paths(spec)] for spec in specs]
    fitted = model.model_copy(update={"factors": delay.fit(cores, synthesised)})
    errors = (
        delay.core_clock(spec, fitted, name).period_ns / period - 1
        for spec, period in zip(specs, synthesised, strict=True)
    )
    return fitted.model_copy(update={"residual": Residual.of(errors)})
