"""The best cores of a sweep made real: synthesised beside their predictions, built and verified."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from costmodel.cells.area import core_area
from costmodel.cells.delay import core_clock
from costmodel.cells.technology import load_technology
from costmodel.synth.libraries import find_library
from costmodel.synth.yosys import Synthesis
from hwgen.base.errors import ConfigError
from hwgen.base.files import write_atomically
from hwgen.base.jobs import workers
from hwgen.base.lock import alone
from hwgen.base.record import Record
from hwgen.flow.generate import generate
from hwgen.flow.sweep.results import SweepResult
from hwgen.flow.synth import synthesise_core
from hwgen.flow.verify import Verification, verify
from hwgen.spec.config import CoreConfig
from hwgen.spec.rows import core_of, text_of
from hwgen.spec.structure import structure

FILE = "validation.csv"


@dataclass(frozen=True)
class Checked(Record):
    """A core of the front, predicted and synthesised.

    Areas in the technology's unit, periods in ns; None where it has no delays.
    """

    drawn_in = "front"
    core: CoreConfig
    technology: str
    area_unit: str
    predicted_area: float
    synthesised_area: float
    predicted_ns: float | None
    synthesised_ns: float | None

    @property
    def area_error(self) -> float:
        """Prediction per synthesis, less 1."""
        return self.predicted_area / self.synthesised_area - 1

    @property
    def clock_error(self) -> float | None:
        """Likewise."""
        if self.predicted_ns is None or self.synthesised_ns is None:
            return None
        return self.predicted_ns / self.synthesised_ns - 1

    def to_dict(self) -> dict[str, Any]:
        return {
            "core": text_of(self.core),
            "config": self.core.model_dump_json(exclude_none=True, exclude_defaults=True),
            "technology": self.technology,
            "area_unit": self.area_unit,
            "predicted_area": self.predicted_area,
            "synthesised_area": self.synthesised_area,
            "area_error": self.area_error,
            "predicted_delay_ns": self.predicted_ns,
            "synthesised_delay_ns": self.synthesised_ns,
            "delay_error": self.clock_error,
        }


def spread(members: int, best: int, count: int) -> list[int]:
    """``count`` of the front's members in its order, the best one and the ends among them."""
    if count >= members:
        return list(range(members))
    places = np.linspace(0, members - 1, count).round().astype(int)
    places[np.abs(places - best).argmin()] = best
    return sorted(set(places.tolist()))


def synthesise_front(
    result: SweepResult, count: int, progress: Callable[[int, int], None] = lambda done, total: None
) -> list[Checked]:
    """Synthesise ``count`` cores spread over the front and write validation.csv beside the results.

    A synthesis that was done before is remembered. Raises ConfigError for fewer than 1 and for a
    technology without Liberty files, SynthesisError.
    """
    if count < 1:
        raise ConfigError(f"--validate: should be at least 1, not {count}")
    rows = [result.front.iloc[place] for place in spread(len(result.front), result.best, count)]
    jobs = [(str(row["technology"]), core_of(row.to_dict())) for row in rows]
    for tech in dict.fromkeys(tech for tech, _ in jobs):
        find_library(tech)
    syntheses: dict[int, Synthesis] = {}
    with workers() as pool:
        futures = {pool.submit(synthesise_core, *job): place for place, job in enumerate(jobs)}
        for done, future in enumerate(as_completed(futures), 1):
            syntheses[futures[future]] = future.result()
            progress(done, len(jobs))
    checked = [_checked(*job, syntheses[place]) for place, job in enumerate(jobs)]
    table = pd.DataFrame([one.to_dict() for one in checked])
    with alone(result.folder):
        write_atomically({result.folder / FILE: table.to_csv(index=False, lineterminator="\n")})
    return checked


def _checked(tech: str, core: CoreConfig, synthesis: Synthesis) -> Checked:
    technology, spec = load_technology(tech), structure(core)
    clock = None
    if technology.delays is not None:
        clock = core_clock(spec, technology.delays, tech).period_ns
    return Checked(
        core=core,
        technology=tech,
        area_unit=technology.area_unit,
        predicted_area=core_area(spec, technology).total,
        synthesised_area=synthesis.area,
        predicted_ns=clock,
        synthesised_ns=synthesis.delay_ns,
    )


@dataclass(frozen=True)
class Built(Record):
    """The best core's files, and how they compared with golden."""

    drawn_in = "front"
    folder: Path
    layer: str
    verification: Verification

    def to_dict(self) -> dict[str, Any]:
        return {
            "folder": str(self.folder),
            "layer": self.layer,
            "verification": self.verification.to_dict(),
        }


def emit_best(result: SweepResult, progress: Callable[[str], None] = lambda text: None) -> Built:
    """Write the best core's Verilog beside the results, and verify it on a random layer.

    The layer has three tokens and tiles of every sort: whole ones, padded ones, a block that is not
    full. Returns the folder, and what was compared.
    """
    file = result.folder / "best.yaml"
    core = core_of(result.front.iloc[result.best].to_dict())
    inputs = min(core.max_in_features, 3 * core.tile_n + 1)
    outputs = min(core.max_out_features, (core.reuse + 1) * core.tile_m + 1)
    progress("generating")
    with alone(result.folder):
        folder = generate(file, result.folder / "rtl").folder
    layer = f"3,{inputs},{outputs}"
    return Built(folder, layer, verify(file, layer=layer, progress=progress))
