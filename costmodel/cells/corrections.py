"""Corrections: what the sum of primitives does not see, as one factor for each group of them.

Primitives are measured apart. In a whole core, synthesis shares logic between neighbours, such as
a + b and a - b of one table, and simplifies what has constants, such as the counters' comparisons.
One factor for each group, fitted on the training cores, accounts for that; it stays near 1 for a
group that is rare in the training cores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import numpy as np

from hwgen.spec.primitive import Family, Primitive
from hwgen.spec.structure import Units

GROUPS = {
    "control": "counters, comparisons, handshakes, their registers included",
    "build": "integer adders that fill tables",
    "build_rounding": "floating-point adders that fill tables",
    "rounding": "all other floating-point adders",
    "select": "multiplexers, signs and zeros of fetch",
    "product": "multipliers",
    "reduce": "integer adders of the reduction",
    "accumulate": "accumulating integer adders, first n-tile, clamps, selection of accumulators",
    "convert": "to and from fixed point, to a wider format",
    "registers": "all but those of control",
}
_OF_FAMILY = {
    Family.REGISTER: "registers",
    Family.FP_ADD: "rounding",
    Family.MULTIPLIER: "product",
    Family.FP_MUL: "product",
    Family.WIDEN: "convert",
}
RIDGE = 0.02
"""Weight of an additional equation for each group, which says that its factor is 1; the unit is a
training core that consists of that group alone."""


class Priced(Protocol):
    """A technology that gives a primitive's area."""

    def unit_area(self, primitive: Primitive) -> float: ...


def group_of(component: str, primitive: Primitive) -> str:
    """The group that a primitive of a component belongs to."""
    if component == "control":
        return "control"
    family = primitive.family
    if family is Family.FP_ADD and component == "build":
        return "build_rounding"
    return _OF_FAMILY.get(family) or group_of_rest(component)


def group_of_rest(component: str) -> str:
    """The group of what has none of its own by its family."""
    return {"fetch": "select", "tables": "registers"}.get(component, component)


def group_areas(units: Iterable[Units], technology: Priced) -> dict[str, float]:
    """Uncorrected area of a core's units, by group."""
    areas = dict.fromkeys(GROUPS, 0.0)
    for component, number, counts in units:
        for primitive, each in counts.items():
            group = group_of(component, primitive)
            areas[group] += number * each * technology.unit_area(primitive)
    return areas


def fit(areas: Sequence[Mapping[str, float]], synthesised: Sequence[float]) -> dict[str, float]:
    """Factors that make the training cores' sums equal what synthesis gave.

    Least squares of the relative error, with `RIDGE`.

    areas: uncorrected area of each core, by group. synthesised: area of each core.
    """
    names = list(GROUPS)
    relative = np.array([[core[name] for name in names] for core in areas])
    relative /= np.asarray(synthesised)[:, None]
    ridge = np.sqrt(RIDGE) * np.eye(len(names))
    left = np.concatenate([relative, ridge])
    right = np.concatenate([np.ones(len(relative)), np.diag(ridge)])
    factors = np.linalg.lstsq(left, right, rcond=None)[0]
    return {name: round(float(factor), 4) for name, factor in zip(names, factors, strict=True)}
