"""One core in the cells of an FPGA family, beside the estimate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from costmodel.catalog import load_family
from costmodel.cells.technology import UncalibratedError
from costmodel.fpga.resources import RESOURCES, load_fpga, predict
from costmodel.synth.fpga import FpgaSynthesis, synthesise_fpga
from hwgen.flow.synth.components import (
    BUILD,
    BY_MODULE,
    PARTS,
    Progress,
    emit_core,
    modules,
    most_frequent,
)
from hwgen.spec.config import CoreConfig
from hwgen.spec.structure import structure


@dataclass(frozen=True)
class FpgaPart:
    """One component of the hierarchical run; ``estimate`` is None without unit costs."""

    lut: int
    ff: int
    carry: int
    estimate: Mapping[str, float] | None = None


@dataclass(frozen=True)
class FpgaReport:
    """One core in the cells of an FPGA family; ``flat`` and ``apart`` as in ``CellReport``.

    estimate: of the whole core by resource, None without unit costs, and ``why`` then says why.
    """

    core: CoreConfig
    technology: str
    parts: dict[str, FpgaPart]
    flat: FpgaSynthesis
    apart: FpgaSynthesis
    estimate: Mapping[str, float] | None
    why: str

    @property
    def histogram(self) -> dict[str, int]:
        """The most frequent cells of the flattened core, first the most frequent one."""
        return most_frequent(self.flat.cells)

    @property
    def note(self) -> str:
        """What the columns count."""
        family = load_family(self.technology)
        return (
            f"LUTs of up to {family.lut_inputs} inputs, products made of them, too; "
            f"carry: {family.carry_cells}; "
            f"components: {self.apart.script}; total: {self.flat.script}"
            + (f"; {self.why}" if self.why else "")
        )

    def as_json(self) -> dict[str, Any]:
        counts = ("lut", "ff", "carry", "lutram", "dsp")
        return {
            "core": self.core.name,
            "technology": self.technology,
            **{name: getattr(self.flat, name) for name in counts},
            **_estimated(self.estimate),
            "components": {
                name: {what: getattr(part, what) for what in counts[:3]} | _estimated(part.estimate)
                for name, part in self.parts.items()
            },
            "components_total": {what: getattr(self.apart, what) for what in counts[:3]},
            "cells": sum(self.flat.cells.values()),
            "most_frequent_cells": self.histogram,
            "notes": [BY_MODULE, self.note],
            "tool": self.flat.tool,
        }


def synthesise_family(config: CoreConfig, family: str, progress: Progress) -> FpgaReport:
    spec, emitted = structure(config), emit_core(config, progress)
    progress(f"{family}: synthesising module by module (1 of 2)")
    apart = synthesise_fpga(emitted.rtlil, emitted.name, family, flatten=False)
    progress(f"{family}: synthesising the core as a whole (2 of 2)")
    flat = synthesise_fpga(emitted.rtlil, emitted.name, family)
    found = {module.name: module for module in apart.modules}
    counts = {
        name: [
            sum(
                getattr(found[module], what) * found[module].instances
                for module in names
                if module in found
            )
            for what in ("lut", "ff", "carry")
        ]
        for name, names in modules(spec).items()
    }
    whole = (apart.lut, apart.ff, apart.carry)
    for index, number in enumerate(whole):
        counts["convert"][index] += number - sum(part[index] for part in counts.values())
    estimate, why = None, ""
    by_part: dict[str, Mapping[str, float]] = {}
    try:
        found_costs = predict(spec, load_fpga(family))
        estimate, by_part = found_costs.total, dict(found_costs.by_component)
        held = by_part.pop("tables")
        by_part[BUILD] = {name: held[name] + n for name, n in by_part.pop("build").items()}
    except UncalibratedError as error:
        why = str(error)
    parts = {
        name: FpgaPart(lut, ff, carry, by_part.get(name))
        for name, (lut, ff, carry) in ((name, counts[name]) for name in PARTS)
        if lut or ff or carry or any(by_part.get(name, {}).values())
    }
    return FpgaReport(config, family, parts, flat, apart, estimate, why)


def _estimated(estimate: Mapping[str, float] | None) -> dict[str, float | None]:
    """Expected resources as JSON names them."""
    return {f"estimated_{name}": None if estimate is None else estimate[name] for name in RESOURCES}
