"""One synthesised core beside its estimate: what the reports of all technologies share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from hwgen.base.record import Record
from hwgen.spec.config import CoreConfig
from hwgen.spec.structure import Structure

Say = Callable[[str], None]
"""Is told what is being done."""
BUILD = "build+tables"
"""Build and tables are one module, in which the registers that hold a table are not told apart."""
PARTS = (BUILD, "fetch", "reduce", "accumulate", "control", "convert")
"""The components of ``hwgen.spec.structure.COMPONENTS`` as far as modules tell them apart."""
SHOWN_CELLS = 10
BY_MODULE = (
    "components: every module synthesised on its own, nothing shared or buffered across modules; "
    "total: the core as a whole, flattened"
)


@dataclass(frozen=True)
class Report(Record):
    """One core in the cells of a technology.

    note: what the numbers mean, and why there is no estimate if there is none.
    """

    drawn_in = "synth"
    core: CoreConfig
    technology: str

    @property
    @abstractmethod
    def cells(self) -> Mapping[str, int]:
        """Cells of the flattened core, by type."""

    @property
    @abstractmethod
    def note(self) -> str:
        """What the numbers mean, and why there is no estimate if there is none."""

    @property
    def histogram(self) -> dict[str, int]:
        """The most frequent cells of the flattened core, the most frequent one first."""
        frequent = sorted(self.cells.items(), key=lambda item: (-item[1], item[0]))
        return dict(frequent[:SHOWN_CELLS])

    @abstractmethod
    def to_dict(self) -> dict[str, Any]: ...


def component(instance: str) -> str:
    """Component that an instance of a hierarchical run lies in, one of PARTS.

    instance: as the flattened netlist names it, such as ``table_3.build.…`` or, where the tool made
        the last part of the name, ``$flatten\\table_3.\\build.$…``.
    """
    first, second, *_ = [*instance.removeprefix("$flatten").replace("\\", "").split("."), "", ""]
    if first.startswith("table_"):
        return BUILD if second == "build" else "fetch"
    if first.startswith("port_"):
        return "accumulate" if second == "accumulate" else "reduce"
    return "control" if first == "control" else "convert"


def modules(spec: Structure) -> dict[str, tuple[str, ...]]:
    """Modules of each of PARTS; they contain everything but wires and what converts at the top."""
    converters = (spec.to_fixed, spec.from_fixed)
    return {
        BUILD: (spec.build.module_name,),
        "fetch": (spec.fetch.module_name,),
        "reduce": (spec.reduce.module_name,),
        "accumulate": (spec.accumulate.module_name,),
        "control": (spec.control.module_name,),
        "convert": tuple(unit.module_name for unit in converters if unit is not None),
    }


def by_part(spec: Structure, by_module: Mapping[str, float], whole: float) -> dict[str, float]:
    """A quantity of each of PARTS, which add up to ``whole``.

    by_module: the quantity in all instances of each module. What stands in the top module itself,
    or in tables and ports, is added to conversions.
    """
    parts = {
        name: sum(by_module.get(module, 0) for module in names)
        for name, names in modules(spec).items()
    }
    return parts | {"convert": whole - sum(parts.values()) + parts["convert"]}


EstimateT = TypeVar("EstimateT")


def joined(
    by_component: Mapping[str, EstimateT], add: Callable[[EstimateT, EstimateT], EstimateT]
) -> dict[str, EstimateT]:
    """Estimates of components as estimates of PARTS."""
    parts = {name: value for name, value in by_component.items() if name in PARTS}
    return {BUILD: add(by_component["build"], by_component["tables"]), **parts}
