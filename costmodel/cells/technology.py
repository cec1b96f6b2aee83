"""Technologies: what one primitive costs, as calibrated data read from ``tech/<name>.yaml``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from costmodel.catalog import (
    costs_file,
    family_names,
    library_names,
    load_costs,
    unknown_technology,
)
from costmodel.cells.corrections import GROUPS, fit
from costmodel.cells.delay import DelayModel
from costmodel.cells.energy_data import EnergyModel
from costmodel.fit.interpolate import between, locate
from costmodel.fit.residual import Residual
from hwgen.base.errors import ConfigError, HwgenError
from hwgen.base.yamlfile import Strict
from hwgen.spec.primitive import KINDS, Primitive

Axis = Literal["none", "fan_in", "dropped"]
"""Second size of a table: none, ``fan_in``, or ``fan_in - width`` (the bits a clamp drops)."""


class UncalibratedError(HwgenError):
    """A technology has no cost for a primitive; an unknown is never 0."""


class LinearArea(Strict):
    """``constant + per_bit · width``."""

    form: Literal["linear"] = "linear"
    constant: Annotated[float, Field(description="area that does not depend on the width")]
    per_bit: Annotated[float, Field(ge=0, description="area of one bit")]

    def area(self, primitive: Primitive) -> float:
        return max(0.0, self.constant + self.per_bit * primitive.width)


class TableArea(Strict):
    """Measured areas, linear between the measured sizes in both directions.

    Beyond the last size the area keeps the slope of the last two; below the first it is constant.
    Up to the last size and width, area never falls with either.
    """

    form: Literal["table"] = "table"
    by: Annotated[Axis, Field(description="the size that ``sizes`` measures")]
    sizes: Annotated[list[int], Field(min_length=1, description="rising; [0] where by is none")]
    widths: Annotated[
        list[int], Field(min_length=1, description="rising, bits; one: no dependence on width")
    ]
    areas: Annotated[list[list[float]], Field(description="a row per size, an entry per width")]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for field in ("sizes", "widths"):
            values = getattr(self, field)
            if any(a >= b for a, b in pairwise(values)):
                raise ValueError(f"{field}: should rise, not {values}")
        if [len(row) for row in self.areas] != [len(self.widths)] * len(self.sizes):
            raise ValueError(
                f"areas: should be {len(self.sizes)} rows of {len(self.widths)}, one row per size"
            )
        columns = [list(column) for column in zip(*self.areas, strict=True)]
        if any(a > b for line in self.areas + columns for a, b in pairwise(line)):
            raise ValueError("areas: should never fall with width or size")
        return self

    def area(self, primitive: Primitive) -> float:
        size = {
            "none": 0,
            "fan_in": primitive.fan_in,
            "dropped": primitive.fan_in - primitive.width,
        }[self.by]
        low, share = locate(self.sizes, size)
        column, across = locate(self.widths, primitive.width)
        rows = self.areas[low : low + 2]
        ends = [between(row[column : column + 2], across) for row in rows]
        return between(ends, share)


class UnitCost(Strict):
    """Area of one kind of primitive and where it comes from."""

    status: Annotated[
        Literal["calibrated", "scaled", "quoted"],
        Field(description="calibrated: from synthesis; scaled: from another technology; quoted"),
    ]
    method: Annotated[str, Field(description="how it was measured, one sentence")]
    residual: Annotated[Residual | None, Field(description="null unless calibrated")]
    area: Annotated[LinearArea | TableArea, Field(discriminator="form")]


class SourceFile(Strict):
    """A file the calibration depends on."""

    file: Annotated[str, Field(description="name without folder")]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Corrections(Strict):
    """Factors by group of primitives, fitted on whole cores (`costmodel.cells.corrections`)."""

    factors: Annotated[dict[str, float], Field(description="group of primitives to its factor")]
    residual: Annotated[Residual, Field(description="of the training cores, after the fit")]

    @classmethod
    def fitted(cls, sums: Sequence[Mapping[str, float]], synthesised: Sequence[float]) -> Self:
        """Factors that bring uncorrected sums by group, one of each core, nearest to synthesis."""
        factors = fit(sums, synthesised)
        errors = (
            sum(core[group] * factors[group] for group in GROUPS) / whole - 1
            for core, whole in zip(sums, synthesised, strict=True)
        )
        return cls(factors=factors, residual=Residual.of(errors))

    @field_validator("factors")
    @classmethod
    def _known_groups(cls, value: dict[str, float]) -> dict[str, float]:
        if set(value) != set(GROUPS) or min(value.values()) <= 0:
            raise ValueError(f"should give each of {', '.join(GROUPS)} a factor above 0")
        return value


class PaperModel(Strict):
    """The one coefficient of the model in `costmodel.cells.paper`."""

    gamma: Annotated[float, Field(gt=0, description="fitted on the training cores")]
    residual: Annotated[Residual, Field(description="of the training cores' areas, after the fit")]


class Technology(Strict):
    """Unit costs of one technology of cells."""

    title: ClassVar[str] = "Unit areas and delays of technology"
    format: Literal["hwgen.technology/1"] = "hwgen.technology/1"
    name: Annotated[str, Field(description="technology")]
    area_unit: Annotated[Literal["ge", "um2"], Field(description="ge: NAND2 equivalents")]
    tool: Annotated[str, Field(description="synthesis tool and version")]
    liberty: Annotated[list[SourceFile], Field(description="Liberty files, in order")]
    corrections: Annotated[
        Corrections | None, Field(description="null: no whole core was synthesised yet")
    ] = None
    costs: Annotated[dict[str, UnitCost], Field(description="kind of primitive to its cost")]
    paper: Annotated[
        PaperModel | None, Field(description="null: no whole core was synthesised yet")
    ] = None
    delays: Annotated[
        DelayModel | None, Field(description="null: the Liberty files have no delays")
    ] = None
    energy: Annotated[EnergyModel | None, Field(description="null: no core was simulated yet")] = (
        None
    )

    @field_validator("costs")
    @classmethod
    def _known_kinds(cls, value: dict[str, UnitCost]) -> dict[str, UnitCost]:
        if unknown := sorted(value.keys() - KINDS.keys()):
            raise ValueError(f"{unknown[0]!r} is no kind of primitive; known: {', '.join(KINDS)}")
        return value

    def cost(self, kind: str) -> UnitCost:
        """Cost of a kind with its status; raises UncalibratedError if there is none."""
        if kind not in self.costs:
            raise UncalibratedError(
                f"{self.name}: {kind}: has no unit cost; run `hwgen calibrate {self.name}`"
            )
        return self.costs[kind]

    def unit_area(self, primitive: Primitive) -> float:
        """Area of one primitive, in ``area_unit``; cell area only, without wires or placement.

        Raises UncalibratedError for a kind without a cost; ValueError for a size that is not legal.
        """
        cost = self.cost(primitive.kind)
        if primitive.width < 1 or primitive.fan_in < 0:
            raise ValueError(f"{primitive} has no legal size")
        if isinstance(cost.area, TableArea) and cost.area.by != "none" and primitive.fan_in < 1:
            raise ValueError(f"{primitive} needs a fan_in of at least 1")
        return cost.area.area(primitive)

    def factor(self, group: str) -> float:
        """Correction of a group of primitives; 1 where none was fitted."""
        return 1.0 if self.corrections is None else self.corrections.factors[group]

    def calibrated(self, kind: str) -> bool:
        """True if the cost of ``kind`` comes from synthesis in this very technology."""
        return self.cost(kind).status == "calibrated"


def technologies() -> list[str]:
    """Names that ``load_technology`` accepts, sorted; FPGA families are not among them."""
    return sorted(name for name in library_names() if costs_file(name).exists())


def load_technology(name: str) -> Technology:
    """The unit costs of a technology; ConfigError for an unknown name or a faulty file."""
    if name in family_names():
        raise ConfigError(
            f"technology: should be one with areas, not {name!r}, an FPGA family; estimate, synth, "
            "calibrate and validate know it"
        )
    if name not in library_names():
        raise unknown_technology(name)
    return load_costs(Technology, name)
