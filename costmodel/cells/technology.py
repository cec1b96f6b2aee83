"""Technologies: what one primitive costs, as calibrated data read from ``tech/<name>.yaml``."""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from costmodel.catalog import FAMILIES, PACKAGE, library_names, own_folder
from costmodel.cells.corrections import GROUPS
from costmodel.cells.delay import DelayModel
from costmodel.cells.energy_data import EnergyModel
from costmodel.fit.interpolate import between, locate
from costmodel.fit.residual import Residual
from hwgen.base.errors import ConfigError, HwgenError
from hwgen.base.yamlfile import Strict, load
from hwgen.spec.primitive import KINDS, Primitive

TECH_DIR = PACKAGE / "tech"
OWN_COSTS = "unit-costs.yaml"
"""Name of the file with the unit costs of a technology of the user's own."""

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

    Beyond the last size the slope of the last two goes on; below the first it is constant. Up to
    the last size and width, area never falls with either.
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
    residual: Annotated[Residual, Field(description="of the training cores' areas, after the fit")]

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
    """Unit costs of one technology."""

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


def costs_file(name: str) -> Path:
    """Where the unit costs of a technology are kept: those of the user's own beside its files."""
    own = own_folder(name)
    return TECH_DIR / f"{name}.yaml" if own is None else own / OWN_COSTS


def technologies() -> list[str]:
    """Names that ``load_technology`` accepts, sorted; FPGA families are none of them."""
    packaged = {path.stem for path in TECH_DIR.glob("*.yaml")} - {*FAMILIES}
    own = {name for name in library_names() if costs_file(name).exists()}
    return sorted(packaged | own)


def load_technology(name: str) -> Technology:
    """The unit costs of a technology; ConfigError for an unknown name or a faulty file."""
    known = technologies()
    if name in FAMILIES:
        raise ConfigError(
            f"technology: should be one with areas, not {name!r}, an FPGA family; estimate, synth, "
            "calibrate and validate know it"
        )
    if name not in known and name in library_names():
        raise ConfigError(
            f"technology {name}: has no unit costs yet; run `hwgen calibrate {name}` first"
        )
    if name not in known:
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
        raise ConfigError(f"technology: should be a calibrated one, not {name!r}; {hint}")
    path = costs_file(name)
    return _load(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=32)
def _load(path: Path, changed_ns: int) -> Technology:
    return load(Technology, path)
