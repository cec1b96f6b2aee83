"""The one place where the name of a technology chooses between cells and FPGA families."""

from __future__ import annotations

from costmodel.catalog import family_names, library_names, unknown_technology
from costmodel.target.base import Target
from costmodel.target.cells import CellTarget
from costmodel.target.fpga import FpgaTarget


def find_target(name: str) -> Target:
    """A technology by its name; ConfigError, with all names, for an unknown one."""
    if name in family_names():
        return FpgaTarget(name)
    if name in library_names():
        return CellTarget(name)
    raise unknown_technology(name)


def all_targets() -> list[Target]:
    """Every technology: cells in the order of `costmodel.catalog.library_names`, then families."""
    return [*map(CellTarget, library_names()), *map(FpgaTarget, family_names())]


def recorded_targets() -> list[Target]:
    """Technologies with a recorded hold-out: cells by name, then families by name."""
    cells = [CellTarget(name) for name in sorted(library_names())]
    families = [FpgaTarget(name) for name in family_names()]
    return [target for target in (*cells, *families) if target.recorded]
