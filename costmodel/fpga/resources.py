"""What a core takes of an FPGA: structural counts times unit costs, for each resource.

Every resource is predicted by itself, from unit costs and, where whole cores showed the need, one
factor for each group of primitives (`costmodel.cells.corrections`). What is priced is what is left
once synthesis has merged what it can (`costmodel.fpga.merged`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from costmodel.catalog import FAMILIES
from costmodel.cells.corrections import GROUPS, fit
from costmodel.cells.technology import TECH_DIR, LinearArea, TableArea, UncalibratedError
from costmodel.fit.residual import Residual
from costmodel.fpga.clock import FpgaDelays
from costmodel.fpga.merged import MERGED, shared_counts, shared_group
from hwgen.base.errors import ConfigError
from hwgen.base.yamlfile import Strict, load
from hwgen.spec.primitive import KINDS, Primitive
from hwgen.spec.structure import Structure

RESOURCES = ("lut", "ff", "carry", "lutram")
"""As `costmodel.catalog.Family` counts them."""


class ResourceCost(Strict):
    """How many of one resource a primitive takes."""

    residual: Annotated[Residual, Field(description="of all measured sizes; relative to 1 below 1")]
    count: Annotated[LinearArea | TableArea, Field(discriminator="form")]


class FpgaUnit(Strict):
    """Resources of one kind of primitive, in cells as `costmodel.catalog.Family` counts them."""

    method: Annotated[str, Field(description="what was synthesised")]
    lut: ResourceCost
    ff: ResourceCost
    carry: ResourceCost
    lutram: ResourceCost

    def of(self, resource: str) -> ResourceCost:
        costs = {"lut": self.lut, "ff": self.ff, "carry": self.carry, "lutram": self.lutram}
        return costs[resource]


class FpgaCorrections(Strict):
    """Factors of one resource by group of primitives, fitted on whole cores."""

    factors: Annotated[dict[str, float], Field(description="group of primitives to its factor")]
    residual: Annotated[Residual, Field(description="of the training cores, after the fit")]

    @field_validator("factors")
    @classmethod
    def _known_groups(cls, value: dict[str, float]) -> dict[str, float]:
        if set(value) != set(GROUPS) or min(value.values()) <= 0:
            raise ValueError(f"should give each of {', '.join(GROUPS)} a factor above 0")
        return value


class FpgaTechnology(Strict):
    """Unit costs of one FPGA family."""

    format: Literal["hwgen.fpga-technology/1"] = "hwgen.fpga-technology/1"
    name: Annotated[str, Field(description="family")]
    tool: Annotated[str, Field(description="synthesis tool and version")]
    method: Annotated[str, Field(description="how units were measured")]
    corrections: Annotated[
        dict[str, FpgaCorrections],
        Field(description="resource to its factors; none for one that is right without"),
    ] = Field(default_factory=dict)
    delays: Annotated[
        FpgaDelays | None, Field(description="null: no core was placed and routed")
    ] = None
    units: Annotated[dict[str, FpgaUnit], Field(description="kind of primitive to its cost")]

    @field_validator("units")
    @classmethod
    def _known_kinds(cls, value: dict[str, FpgaUnit]) -> dict[str, FpgaUnit]:
        if unknown := sorted(value.keys() - KINDS.keys() - MERGED.keys()):
            raise ValueError(f"{unknown[0]!r} is no kind of primitive")
        return value

    @field_validator("corrections")
    @classmethod
    def _known_resources(cls, value: dict[str, FpgaCorrections]) -> dict[str, FpgaCorrections]:
        if unknown := sorted(value.keys() - set(RESOURCES)):
            raise ValueError(f"{unknown[0]!r} is no resource; known: {', '.join(RESOURCES)}")
        return value

    def unit(self, primitive: Primitive, resource: str) -> float:
        """How many of ``resource`` one primitive takes; at least 0.

        Raises UncalibratedError for a kind without a cost; ValueError for a size that is not legal.
        """
        if primitive.kind not in self.units:
            raise UncalibratedError(
                f"{self.name}: {primitive.kind}: has no unit cost; "
                f"run `hwgen calibrate {self.name}`"
            )
        count = self.units[primitive.kind].of(resource).count
        sized = isinstance(count, TableArea) and count.by != "none"
        if primitive.width < 1 or primitive.fan_in < sized:
            raise ValueError(f"{primitive} has no legal size")
        return count.area(primitive)

    def factor(self, resource: str, group: str) -> float:
        """Correction of a group of primitives; 1 where none was fitted."""
        found = self.corrections.get(resource)
        return 1.0 if found is None else found.factors[group]


@dataclass(frozen=True)
class Resources:
    """Resources of one core; those of ``by_component`` add up to ``total``. Expected numbers, not
    rounded."""

    total: Mapping[str, float]
    by_component: Mapping[str, Mapping[str, float]]


def predict(structure: Structure, technology: FpgaTechnology) -> Resources:
    """Resources of a whole core by component, flattened and without multiplier blocks.

    As mapped by Yosys: a vendor's tool may pack two small LUTs into one. Raises UncalibratedError.
    """
    parts = {
        component: {
            resource: sum(
                number
                * technology.unit(primitive, resource)
                * technology.factor(resource, shared_group(component, primitive))
                for primitive, number in counts.items()
            )
            for resource in RESOURCES
        }
        for component, counts in shared_counts(structure).items()
    }
    total = {resource: sum(part[resource] for part in parts.values()) for resource in RESOURCES}
    return Resources(total, parts)


def group_resources(
    structure: Structure, technology: FpgaTechnology, resource: str
) -> dict[str, float]:
    """Uncorrected resource by group of primitives."""
    found = dict.fromkeys(GROUPS, 0.0)
    for component, counts in shared_counts(structure).items():
        for primitive, number in counts.items():
            group = shared_group(component, primitive)
            found[group] += number * technology.unit(primitive, resource)
    return found


def fit_corrections(
    technology: FpgaTechnology,
    resource: str,
    structures: Sequence[Structure],
    synthesised: Sequence[float],
) -> FpgaCorrections:
    """Factors of ``resource`` that bring the cores nearest to what synthesis gave."""
    groups = [group_resources(structure, technology, resource) for structure in structures]
    factors = fit(groups, synthesised, GROUPS)
    errors = (
        sum(core[group] * factors[group] for group in GROUPS) / found - 1
        for core, found in zip(groups, synthesised, strict=True)
    )
    return FpgaCorrections(factors=factors, residual=Residual.of(errors))


def residual(form: LinearArea | TableArea, measured: Mapping[Primitive, float]) -> Residual:
    """|fitted - measured| / measured; below one cell relative to one."""
    return Residual.of(
        (form.area(point) - count) / max(count, 1) for point, count in measured.items()
    )


def fpga_file(family: str) -> Path:
    """Where the costs of a family lie."""
    return TECH_DIR / f"{family}.yaml"


@cache
def load_fpga(family: str) -> FpgaTechnology:
    """Read ``tech/<family>.yaml``.

    Raises ConfigError for an unknown family or a faulty file, UncalibratedError without a file.
    """
    if family not in FAMILIES:
        raise ConfigError(f"family: should be {' or '.join(FAMILIES)}, not {family!r}")
    path = fpga_file(family)
    if not path.exists():
        raise UncalibratedError(f"{family}: has no unit costs; run `hwgen calibrate {family}`")
    return load(FpgaTechnology, path)
