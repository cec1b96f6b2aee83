"""Clock period of a core: the longest of its stages, each the sum of its elements' unit delays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated, Any, Self

import numpy as np
from pydantic import Field, model_validator

from costmodel.cells.paths import ELEMENTS, Element, IntsT, Path, paths
from costmodel.fit.interpolate import along, between, locate
from costmodel.fit.residual import Residual
from hwgen.base.errors import HwgenError
from hwgen.base.yamlfile import Strict
from hwgen.spec.primitive import Family
from hwgen.spec.structure import Structure

OMITTED = "clock period without wires, clock tree, skew and uncertainty"
GROUPS = {
    "register": "clock to output, and set-up",
    "add": "integer adders",
    "select": "multiplexers, comparisons, rows of gates",
    "fanout": "buffers of signals with many sinks",
    "product": "multipliers",
    "rounding": "floating-point adders",
    "convert": "to and from fixed point, to a wider format, clamps",
    "control": "all elements of the control's path",
}
_OF_FAMILY = {
    Family.REGISTER: "register",
    Family.ADDER: "add",
    Family.SELECT: "select",
    Family.ROW: "select",
    Family.EQUAL: "select",
    Family.CLAMP: "convert",
    Family.MULTIPLIER: "product",
    Family.FP_ADD: "rounding",
    Family.FP_MUL: "product",
    Family.TO_FIXED: "convert",
    Family.FROM_FIXED: "convert",
    Family.WIDEN: "convert",
}
RIDGE = 0.02
"""Weight of an additional equation for each group, which says that its factor is 1, as in
`costmodel.cells.corrections`."""
ROUNDS = 30


class UnitDelay(Strict):
    """Delays of one kind of element: linear between the measured sizes, with the last slope beyond
    the last one."""

    method: Annotated[str, Field(description="how it was measured")]
    sizes: Annotated[list[int], Field(min_length=1, description="rising")]
    delays_ns: Annotated[list[float], Field(description="one for each size")]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if any(a >= b for a, b in pairwise(self.sizes)):
            raise ValueError(f"sizes: should rise, not {self.sizes}")
        if len(self.delays_ns) != len(self.sizes):
            raise ValueError("delays_ns: should be one for each size")
        return self

    def delay_ns(self, size: Any) -> Any:
        """Delay at an integer size, or at each of an array of sizes."""
        if isinstance(size, np.ndarray):
            return along(self.sizes, self.delays_ns, size)
        low, share = locate(self.sizes, size)
        return between(self.delays_ns[low : low + 2], share)


class DelayModel(Strict):
    """Unit delays of a technology and the corrections fitted on its training cores."""

    tool: Annotated[str, Field(description="synthesis tool and version")]
    conditions: Annotated[str, Field(description="what surrounds the netlist, as for whole cores")]
    units: Annotated[dict[str, UnitDelay], Field(description="kind of element to its delays")]
    factors: Annotated[
        dict[str, float] | None, Field(description="group of elements to its factor; null: no fit")
    ] = None
    residual: Annotated[
        Residual | None, Field(description="of the training cores' periods, after the fit")
    ] = None

    def factor(self, group: str) -> float:
        """Correction of a group of elements; 1 where none was fitted."""
        return 1.0 if self.factors is None else self.factors[group]


class NoDelaysError(HwgenError):
    """A technology, or one kind of element in it, has no delays; an unknown delay is never 0."""


@dataclass(frozen=True)
class Clock:
    """Least clock period of a core, ns. ``stage`` names the components on its longest path."""

    period_ns: float
    stage: str
    by_stage: Mapping[str, float]


def group_of(stage: str, kind: str) -> str:
    """The group that an element on a stage's path belongs to."""
    if stage == "control":
        return "control"
    family = ELEMENTS[kind].family
    return "fanout" if family is None else _OF_FAMILY[family]


def group_delays(path: Path, model: DelayModel, technology: str) -> dict[str, float]:
    """Uncorrected delay of a path by group, ns; its sinks included."""
    delays = dict.fromkeys(GROUPS, 0.0)
    for element, number in path.elements:
        delays[group_of(path.stage, element.kind)] += number * _unit(element, model, technology)
    register = _unit(Element("register", 0), model, technology)
    for element, number in path.halves:
        beyond = max(0.0, _unit(element, model, technology) - register)
        delays[group_of(path.stage, element.kind)] += number * beyond / 2
    for element, adder in path.ripples:
        beyond = _unit(element, model, technology) - _unit(adder, model, technology)
        delays[group_of(path.stage, element.kind)] += max(0.0, beyond)
    if path.sinks is not None:
        fanout = _unit(Element("fanout", path.sinks), model, technology)
        delays[group_of(path.stage, "fanout")] += fanout
    return delays


def core_clock(spec: Structure, model: DelayModel | None, technology: str) -> Clock:
    """Least clock period by stage. Left out: see ``OMITTED``. NoDelaysError without unit delays."""
    if model is None:
        raise NoDelaysError(
            f"{technology}: has no unit delays, so no clock period; take a technology with delays, "
            f"or run `hwgen calibrate {technology}` if its Liberty files have delays"
        )
    by_stage: dict[str, float] = {}
    for path in paths(spec):
        delay = path_delay(path, model, technology)
        by_stage[path.stage] = max(delay, by_stage.get(path.stage, 0.0))
    stage = max(by_stage, key=by_stage.__getitem__)
    return Clock(by_stage[stage], stage, by_stage)


def path_delay(path: Path, model: DelayModel, technology: str) -> float:
    """Corrected delay of a path, ns; the fan-out to its sinks is added last."""
    delays = group_delays(replace(path, sinks=None), model, technology)
    total = 0.0
    for group, delay in delays.items():
        total += delay * model.factor(group)
    if path.sinks is None:
        return total
    result: float = total + fanout_delay(path.stage, path.sinks, model, technology)
    return result


def fanout_delay(stage: str, sinks: IntsT, model: DelayModel, technology: str) -> Any:
    """Corrected delay of the buffers to a number of sinks, ns; for an integer or an array."""
    unit = _unit_delay("fanout", model, technology)
    return unit.delay_ns(sinks) * model.factor(group_of(stage, "fanout"))


def fit(
    cores: Sequence[Sequence[Mapping[str, float]]], periods_ns: Sequence[float]
) -> dict[str, float]:
    """Factors that make the longest path of each training core as long as the synthesised one.

    Each round takes the paths that are the longest under the factors of the round before, and
    solves least squares of the relative error with `RIDGE`; the best round is kept.

    cores: uncorrected delay by group, of every path of every core. periods_ns: of each core, from
        synthesis.
    """
    names = list(GROUPS)
    paths_of = [np.array([[path[name] for name in names] for path in core]) for core in cores]
    synthesised = np.asarray(periods_ns, float)
    ridge = np.sqrt(RIDGE) * np.eye(len(names))
    factors = np.ones(len(names))
    best, least = factors, np.inf
    for _ in range(ROUNDS):
        longest = np.array([delays[(delays @ factors).argmax()] for delays in paths_of])
        error = longest @ factors / synthesised - 1
        loss = float(error @ error + RIDGE * ((factors - 1) ** 2).sum())
        if loss < least:
            best, least = factors, loss
        left = np.concatenate([longest / synthesised[:, None], ridge])
        right = np.concatenate([np.ones(len(longest)), np.diag(ridge)])
        wanted = np.linalg.lstsq(left, right, rcond=None)[0]
        factors = np.maximum(0.05, (factors + wanted) / 2)
    return {name: round(float(factor), 4) for name, factor in zip(names, best, strict=True)}


def _unit(element: Element, model: DelayModel, technology: str) -> float:
    return float(_unit_delay(element.kind, model, technology).delay_ns(element.size))


def _unit_delay(kind: str, model: DelayModel, technology: str) -> UnitDelay:
    if kind not in model.units:
        raise NoDelaysError(
            f"{technology}: {kind}: has no unit delay; run `hwgen calibrate {technology}`"
        )
    return model.units[kind]
