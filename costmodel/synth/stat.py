"""Cells and areas of a design, module by module, from ``stat -json`` of Yosys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from hwgen.base.yamlfile import Strict


class ModuleArea(Strict):
    """One module of a hierarchical synthesis."""

    name: Annotated[str, Field(description="module")]
    instances: Annotated[int, Field(ge=1, description="how often it occurs in the whole design")]
    area: Annotated[float, Field(ge=0, description="one instance with all it contains")]
    own_area: Annotated[float, Field(ge=0, description="one instance without its submodules")]


class Hierarchy(NamedTuple):
    """The modules of a design, by name."""

    top: str
    contents: Mapping[str, Counter[str]]
    """Cells and submodules of each module, by type."""
    area: Mapping[str, float]
    """Area of one instance with all it contains; 0 without Liberty files."""
    instances: Counter[str]
    """Number of times that each module occurs in the whole design."""

    @property
    def cells(self) -> Counter[str]:
        """Cells of the whole design, by type."""
        return self.cells_of(self.top)

    def cells_of(self, module: str) -> Counter[str]:
        """Cells of one instance of a module with all it contains, by type."""
        cells, waiting = Counter[str](), [(module, 1)]
        while waiting:
            parent, times = waiting.pop()
            for child, number in self.contents[parent].items():
                if child in self.contents:
                    waiting.append((child, times * number))
                else:
                    cells[child] += times * number
        return cells

    def module_areas(self) -> tuple[ModuleArea, ...]:
        """Every module, sorted by name."""
        inside = {
            name: sum(self.area[child] * n for child, n in cells.items() if child in self.contents)
            for name, cells in self.contents.items()
        }
        return tuple(
            ModuleArea(
                name=name,
                instances=self.instances[name],
                area=self.area[name],
                own_area=max(0.0, round(self.area[name] - inside[name], 6)),
            )
            for name in sorted(self.contents)
        )


def read_hierarchy(stat: Mapping[str, Any], top: str) -> Hierarchy:
    """The hierarchy below ``top`` from the content of the JSON."""
    modules = {name.removeprefix("\\"): body for name, body in stat["modules"].items()}
    contents = {name: Counter[str](body["num_cells_by_type"]) for name, body in modules.items()}
    instances, waiting = Counter({top: 1}), [(top, 1)]
    while waiting:
        parent, times = waiting.pop()
        for child, number in contents[parent].items():
            if child in modules:
                instances[child] += times * number
                waiting.append((child, times * number))
    area = {name: float(body.get("area", 0)) for name, body in modules.items()}
    return Hierarchy(top, contents, area, instances)
