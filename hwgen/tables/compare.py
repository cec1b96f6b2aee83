"""Tables of `hwgen compare`."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from hwgen.base.record import draws
from hwgen.flow.compare.run import METHOD, TIMING, Comparison


@draws(Comparison)
def compare_tables(result: Comparison) -> Iterator[Table | str]:
    """A table for each technology, then what others published."""
    for technology in dict.fromkeys(row.technology for row in result.rows):
        rows = [row for row in result.rows if row.technology == technology]
        table = Table(title=f"{result.config.name}: {technology}")
        table.add_column("core", no_wrap=True)
        headings = [f"area {rows[0].area_unit.upper()}", "gates/weight", "ratio per weight"]
        timed = rows[0].delay_ns is not None
        for name in (*headings, *(["delay ns"] if timed else [])):
            table.add_column(name, justify="right", no_wrap=True)
        for row in rows:
            cells = [f"{row.area:,.0f}", f"{row.gates_per_weight:,.0f}", f"{row.ratio:.2f}"]
            if row.delay_ns is not None:
                late = row.clock_ns is not None and row.delay_ns > row.clock_ns
                cells.append(f"{row.delay_ns:.3f}" + (" late" if late else ""))
            table.add_row(row.core, *cells)
        yield table
    for entry in result.config.published:
        base = entry.areas[entry.baseline]
        areas = " : ".join(f"{name} {area:g}" for name, area in entry.areas.items())
        ratios = " : ".join(f"{area / base:.2f}" for area in entry.areas.values())
        yield f"{entry.technology}, published ({entry.source}): {areas} {entry.unit}, {ratios}."
    yield f"Ratios are to {result.config.baseline}; {METHOD}."
    if any(row.delay_ns is not None for row in result.rows):
        yield f"{TIMING}."
