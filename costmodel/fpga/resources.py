"""Resources that a core takes of an FPGA: structural counts times unit costs, for each resource.

Every resource is predicted separately, from unit costs and, where whole cores showed the need, one
factor for each group of primitives (`costmodel.cells.corrections`). The primitives are those that
are left once synthesis has merged what it can (`costmodel.fpga.merged`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from costmodel.catalog import load_costs, load_family
from costmodel.cells.corrections import GROUPS
from costmodel.cells.technology import Corrections, LinearArea, TableArea, UncalibratedError
from costmodel.fit.residual import Residual
from costmodel.fpga.clock import FpgaDelays
from costmodel.fpga.merged import MERGED, shared_counts, shared_group
from hwgen.base.yamlfile import Strict
from hwgen.spec.primitive import KINDS, Primitive
from hwgen.spec.structure import Structure

RESOURCES = ("lut", "ff", "carry", "lutram")
"""As `costmodel.catalog.Family` counts them."""


class ResourceCost(Strict):
    """Number of one resource that a primitive takes."""

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


class FpgaTechnology(Strict):
    """Unit costs of one FPGA family."""

    title: ClassVar[str] = "Unit costs of FPGA family"
    format: Literal["hwgen.fpga-technology/1"] = "hwgen.fpga-technology/1"
    name: Annotated[str, Field(description="family")]
    tool: Annotated[str, Field(description="synthesis tool and version")]
    method: Annotated[str, Field(description="how units were measured")]
    corrections: Annotated[
        dict[str, Corrections],
        Field(
            description="resource to its factors; a resource that is right without them has none"
        ),
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
    def _known_resources(cls, value: dict[str, Corrections]) -> dict[str, Corrections]:
        if unknown := sorted(value.keys() - set(RESOURCES)):
            raise ValueError(f"{unknown[0]!r} is no resource; known: {', '.join(RESOURCES)}")
        return value

    def unit(self, primitive: Primitive, resource: str) -> float:
        """Number of ``resource`` that one primitive takes; at least 0.

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
        fitted = self.corrections.get(resource)
        return 1.0 if fitted is None else fitted.factors[group]


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
    """Uncorrected number of one resource, by group of primitives."""
    sums = dict.fromkeys(GROUPS, 0.0)
    for component, counts in shared_counts(structure).items():
        for primitive, number in counts.items():
            group = shared_group(component, primitive)
            sums[group] += number * technology.unit(primitive, resource)
    return sums


def residual(form: LinearArea | TableArea, measured: Mapping[Primitive, float]) -> Residual:
    """|fitted - measured| / measured, or / 1 where fewer than one cell was measured."""
    return Residual.of(
        (form.area(point) - count) / max(count, 1) for point, count in measured.items()
    )


def load_fpga(family: str) -> FpgaTechnology:
    """The unit costs of an FPGA family.

    ConfigError for an unknown name, without unit costs, or for a faulty file.
    """
    load_family(family)
    return load_costs(FpgaTechnology, family)
