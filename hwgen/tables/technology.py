"""Table of a technology's factors."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from hwgen.base.record import draws
from hwgen.flow.technology import Technology


@draws(Technology)
def technology_tables(technology: Technology) -> Iterator[Table | str]:
    """Factors by group, and what was measured."""
    table = Table(title=f"{technology.name}: factors of groups")
    table.add_column("group")
    table.add_column("factor", justify="right")
    for group, factor in technology.factors.items():
        table.add_row(group, f"{factor:.3f}")
    yield table
    yield f"Unit areas in {technology.unit}: {', '.join(technology.to_dict()['kinds'])}."
