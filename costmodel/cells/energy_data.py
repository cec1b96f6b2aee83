"""Energies of one technology as calibrated data, and the groups of primitives that they are for."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from costmodel.cells import corrections
from costmodel.fit.residual import Residual
from hwgen.base.yamlfile import Strict
from hwgen.spec.primitive import Primitive

ActivityClass = Literal["random", "digits"]
ACTIVITIES: tuple[ActivityClass, ...] = ("random", "digits")
"""Data that stream through a core: random ones, or those of a trained network."""

GROUPS = {name: text for name, text in corrections.GROUPS.items() if name != "registers"} | {
    "table_registers": "registers that hold tables or activations, and those of their build",
    "tile_registers": "registers of fetch and reduction, which load with every tile",
    "accumulators": "accumulators and output registers",
}
"""The groups of `costmodel.cells.corrections`, with registers divided by how often they load."""
_REGISTERS = {
    "fetch": "tile_registers",
    "reduce": "tile_registers",
    "accumulate": "accumulators",
}


def energy_group(component: str, primitive: Primitive) -> str:
    """The group that a primitive of a component belongs to."""
    group = corrections.group_of(component, primitive)
    return _REGISTERS.get(component, "table_registers") if group == "registers" else group


class EnergyModel(Strict):
    """Energies of a technology; a group that is in no training core is missing."""

    method: Annotated[str, Field(description="how they were measured, one sentence")]
    tool: Annotated[str, Field(description="tools and versions")]
    clock_fj_per_bit: Annotated[
        float, Field(gt=0, description="of one flip-flop for one cycle: its clock pin and net")
    ]
    fj_per_um2: Annotated[
        dict[ActivityClass, dict[str, float]],
        Field(description="of data, in one event, by activity class and group of primitives"),
    ]
    leakage_nw_per_um2: Annotated[dict[str, float], Field(description="by group")]
    energy_residual: Annotated[
        dict[ActivityClass, Residual],
        Field(description="of energy per tile, each training core left out of the fit for it"),
    ]
    leakage_residual: Annotated[Residual, Field(description="of leakage, likewise")]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        tables: dict[str, dict[str, float]] = {"leakage_nw_per_um2": self.leakage_nw_per_um2}
        tables |= {f"fj_per_um2.{name}": table for name, table in self.fj_per_um2.items()}
        for name, table in tables.items():
            if unknown := sorted(table.keys() - GROUPS.keys()):
                raise ValueError(f"{name}: {unknown[0]!r} is no group; known: {', '.join(GROUPS)}")
            if not table or min(table.values()) < 0:
                raise ValueError(f"{name}: should be at least 0 for each group")
        if self.fj_per_um2.keys() != self.energy_residual.keys():
            raise ValueError("energy_residual: should have the classes of fj_per_um2")
        return self
