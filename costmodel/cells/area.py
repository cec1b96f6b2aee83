"""Area of a core: structural counts times the unit costs of a technology."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from costmodel.cells.corrections import group_of
from costmodel.cells.technology import Technology
from hwgen.spec.primitive import Counts, Primitive
from hwgen.spec.structure import COMPONENTS, Structure

OMITTED = (
    "cell area only, without wires, clock tree or placement; memory around the core is not priced"
)


@dataclass(frozen=True)
class Area:
    """Area of one core, in ``unit``; ``by_component`` adds up to ``total``."""

    total: float
    unit: str
    by_component: Mapping[str, float]
    calibrated: bool


def unit_area(component: str, counts: Counts, technology: Technology) -> float:
    """Sum over the primitives of number × unit area × correction of their group.

    Raises UncalibratedError for an unknown one.
    """
    return sum(
        (
            number
            * technology.unit_area(primitive)
            * technology.factor(group_of(component, primitive))
            for primitive, number in counts.items()
        ),
        start=0.0,
    )


def core_area(structure: Structure, technology: Technology) -> Area:
    """Area of a whole core, by component, without what ``OMITTED`` lists."""
    parts = dict.fromkeys(COMPONENTS, 0.0)
    total = 0.0
    for component, number, counts in structure.units:
        area = number * unit_area(component, counts, technology)
        parts[component] += area
        total += area
    kinds = {primitive.kind for unit in structure.units for primitive in unit.counts}
    return Area(
        total=total,
        unit=technology.area_unit,
        by_component=parts,
        calibrated=all(technology.calibrated(kind) for kind in kinds),
    )


def labelled(counts: Counts) -> dict[str, int]:
    """Counts by label, sorted, for tables and JSON."""
    return {primitive.label: counts[primitive] for primitive in sorted(counts, key=_order)}


def _order(primitive: Primitive) -> tuple[str, int, int]:
    return primitive.kind, primitive.fan_in, primitive.width
