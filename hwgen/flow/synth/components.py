"""Components of a core in its netlist."""

from __future__ import annotations

from collections.abc import Callable

from hwgen.spec.config import CoreConfig
from hwgen.spec.structure import Structure
from hwgen.verilog.emit import Emitted, emit

Progress = Callable[[str], None]


BUILD = "build+tables"
"""Build and tables are one module: the registers that hold a table cannot be told apart in it."""


PARTS = (BUILD, "fetch", "reduce", "accumulate", "control", "convert")
"""The components of ``hwgen.spec.structure.COMPONENTS`` as far as modules tell them apart."""


SHOWN_CELLS = 10


BY_MODULE = (
    "components: every module synthesised on its own, nothing shared or buffered across modules; "
    "total: the core as a whole, flattened"
)


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


def emit_core(config: CoreConfig, progress: Progress) -> Emitted:
    progress("generating")
    return emit(config)


def error_percent(estimate: float | None, area: float) -> float | None:
    return None if estimate is None or not area else 100 * (estimate - area) / area


def most_frequent(cells: dict[str, int]) -> dict[str, int]:
    frequent = sorted(cells.items(), key=lambda item: (-item[1], item[0]))
    return dict(frequent[:SHOWN_CELLS])
