"""The cores on which the cost model is fitted and judged, drawn by seed before the first fit.

There are four groups. Corrections are fitted on ``train``. Cores of ``inside`` are drawn likewise,
but never fitted. Each core of ``outside`` is beyond the training range in one respect: a group of 6
weights, an unseen width or format, a deeper reuse, a larger core. ``large`` has a few much larger
cores. The drawn list is kept in ``holdout/cores.json``. Sizes are estimated with the unit costs of
``generic`` (`estimated_cells`): if those change, drawing again gives another list, and the kept one
remains valid.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from costmodel.catalog import PACKAGE
from costmodel.cells.technology import load_technology
from hwgen.base.yamlfile import Strict
from hwgen.spec.config import CoreConfig
from hwgen.spec.structure import structure

CORES_FILE = PACKAGE / "holdout" / "cores.json"
Group = Literal["train", "inside", "outside", "large"]
SIZES = {"train": 60, "inside": 36, "outside": 15, "large": 3}
"""Cores of each group."""
LOWEST_CELLS, HIGHEST_CELLS, MOST_CELLS = 500, 50_000, 200_000
LARGE_CELLS = (80_000, 120_000, 180_000)
TOLERANCE = 0.15
"""Most relative difference between an estimated size and the size that was drawn."""

GE_PER_CELL = 2.2
"""Gate equivalents of a cell in a core, approximately."""

INTEGERS = ("int4", "int6", "int8", "int12")
FLOATS = ("fp16", "bf16", "fp8_e4m3")
UNSEEN_INTEGERS = ("int3", "int5", "int10", "int16")
UNSEEN_FLOAT = "fp8_e5m2"
FIXED_BITS = (16, 24, 32)
UNSEEN_FIXED_BITS = 40
UNSEEN_MU = 6
MOST_REUSE, UNSEEN_REUSE = 8, 16

Cells = Callable[[CoreConfig], float]
"""Estimates the cells of a core."""


def estimated_cells(core: CoreConfig) -> float:
    """Cells of a core in ``generic``, from the areas of all primitives, without corrections."""
    technology = load_technology("generic")
    counts = structure(core).total
    area = sum(number * technology.unit_area(primitive) for primitive, number in counts.items())
    return area / GE_PER_CELL


class Sample(Strict):
    """One core of the list. ``beyond`` says in which respect it is outside the training range."""

    name: str
    group: Group
    beyond: str | None = None
    cells: float = Field(gt=0, description="as estimated when it was drawn")
    core: dict[str, Any]

    @property
    def config(self) -> CoreConfig:
        return CoreConfig.model_validate({**self.core, "name": self.name})


class Samples(Strict):
    """The whole list."""

    format: Literal["hwgen.samples/1"] = "hwgen.samples/1"
    seed: int
    cores: list[Sample]

    def of(self, *groups: Group) -> list[Sample]:
        return [sample for sample in self.cores if sample.group in groups]


def load_samples(path: Path = CORES_FILE) -> Samples:
    """The list as it was drawn."""
    return Samples.model_validate_json(path.read_text(encoding="utf-8"))


def draw_samples(seed: int, cells: Cells) -> Samples:
    """A new list. Each group has its own generator and so does not depend on another's size."""
    drawn: list[Sample] = []
    beyonds = ("mu", "integer", "format", "fixed_bits", "reuse")
    for place, (group, count) in enumerate(SIZES.items()):
        rng = np.random.default_rng([seed, place])
        for i in range(count):
            beyond = beyonds[i % len(beyonds)] if group == "outside" else None
            core = _core(rng, beyond, LARGE_CELLS[i] if group == "large" else None, cells)
            name = f"{group}_{i:02d}"
            drawn.append(
                Sample.model_validate(
                    {
                        "name": name,
                        "group": group,
                        "beyond": beyond or ("size" if group == "large" else None),
                        "cells": round(cells(core)),
                        "core": core.model_dump(exclude_defaults=True),
                    }
                )
            )
    return Samples(seed=seed, cores=drawn)


def as_json(samples: Samples) -> str:
    """The list as text, one core a line."""
    rows = ",\n".join(json.dumps(sample.model_dump(exclude_none=True)) for sample in samples.cores)
    return f'{{"format": "{samples.format}", "seed": {samples.seed}, "cores": [\n{rows}\n]}}\n'


def _core(
    rng: np.random.Generator, beyond: str | None, size: float | None, cells: Cells
) -> CoreConfig:
    """A legal core of about ``size`` cells; by default the logarithm of the size is drawn evenly.

    Axes are drawn first, then tables and ports. If no core comes near the size, everything is drawn
    again.
    """
    low, high = math.log(LOWEST_CELLS), math.log(HIGHEST_CELLS)
    while True:
        wanted = size or math.exp(rng.uniform(low, high))
        axes = _axes(rng, beyond)
        for _ in range(40):
            shape = {"tables": _power(rng, 64), "ports": _power(rng, 128)}
            try:
                core = CoreConfig.model_validate(axes | shape)
            except ValidationError:
                continue
            if abs(cells(core) / wanted - 1) <= TOLERANCE:
                return core


def _power(rng: np.random.Generator, most: int) -> int:
    """A number of 1 … most, whose logarithm is drawn evenly."""
    return round(math.exp(rng.uniform(0, math.log(most))))


def _pick(rng: np.random.Generator, *values: Any) -> Any:
    return values[int(rng.integers(len(values)))]


def _axes(rng: np.random.Generator, beyond: str | None) -> dict[str, Any]:
    """Every axis but tables and ports."""
    kind = _pick(rng, "lut", "lut", "lut", "signflip", "multiplier")
    floating = bool(rng.random() < 0.45)
    fixed = bool(rng.random() < 0.4)
    if beyond == "mu":
        kind = "lut"
    elif beyond in ("integer", "format"):
        floating = beyond == "format"
    elif beyond == "fixed_bits":
        kind, floating, fixed = _pick(rng, "lut", "signflip"), True, True
    axes: dict[str, Any] = {"kind": kind, "max_in_features": _pick(rng, 4096, 8192, 16384)}
    axes["max_out_features"] = _pick(rng, 4096, 8192, 16384)
    axes["reuse"] = UNSEEN_REUSE if beyond == "reuse" else _pick(rng, 1, 1, 2, 3, 4, MOST_REUSE)
    pipeline = {"fetch": _pick(rng, 0, 1), "reduce": _pick(rng, 0, 1, 2, 3)}
    if floating:
        act = UNSEEN_FLOAT if beyond == "format" else _pick(rng, *FLOATS)
        arith = "fixed" if fixed and kind != "multiplier" else "float"
        axes |= {"act": act, "arith": arith}
        if arith == "float":
            pipeline["fp_add"] = _pick(rng, 0, 0, 1, 2, 3, 4)
            pipeline["fp_mul"] = _pick(rng, 0, 1, 2, 3, 4) if kind == "multiplier" else 0
            axes["sum_format"] = _pick(rng, "fp16" if act.startswith("fp8") else act, "fp32")
        elif beyond == "fixed_bits":
            axes |= {"act": "bf16", "fixed_bits": UNSEEN_FIXED_BITS}
        elif act == "bf16":
            axes["fixed_bits"] = _pick(rng, *FIXED_BITS)
    else:
        axes["act"] = _pick(rng, *(UNSEEN_INTEGERS if beyond == "integer" else INTEGERS))
    if kind == "lut":
        axes["mu"] = UNSEEN_MU if beyond == "mu" else _pick(rng, 1, 2, 2, 3, 3, 4, 4, 5)
        axes["table"] = _pick(rng, "half", "half", "full")
        axes["storage"] = _pick(rng, "wires", "registers")
        axes["builder"] = _pick(rng, "minimal", "minimal", "chain", "naive")
        if axes["storage"] == "registers":
            pipeline["build"] = _pick(rng, 0, 1, 2)
    return axes | {"pipeline": pipeline}
