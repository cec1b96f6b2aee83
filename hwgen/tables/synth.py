"""Tables of `hwgen synth`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from rich.table import Table

from costmodel.target.cell_report import CellReport
from costmodel.target.fpga_report import FpgaReport
from costmodel.target.report import BY_MODULE, Report
from hwgen.base.record import draws
from hwgen.tables.fpga import fpga_synth_table


@draws(Report)
def synth_tables(result: Report) -> Iterator[Table | str]:
    """Area or resources by component and as a whole, and the longest path."""
    if isinstance(result, FpgaReport):
        yield fpga_synth_table(result)
    elif isinstance(result, CellReport):
        yield _cell_table(result)
        yield from _path_lines(result)
    cells = ", ".join(f"{number:,} {cell}" for cell, number in result.histogram.items())
    yield f"{sum(result.cells.values()):,} cells, most of them: {cells}."
    yield f"{BY_MODULE}." + (f"\n{result.note}." if result.note else "")


def _cell_table(result: CellReport) -> Table:
    unit, estimated = result.unit.upper(), result.estimate is not None
    table = Table(title=f"{result.core.name}: synthesised with {result.technology}")
    table.add_column("component")
    for name in (f"area {unit}", "share", *([f"estimate {unit}", "error"] if estimated else [])):
        table.add_column(name, justify="right", no_wrap=True)

    def row(name: str, area: float, whole: float, *rest: float | None) -> list[str]:
        estimate, error = rest
        texts = [name, f"{area:,.0f}", f"{area / whole:.1%}" if whole else ""]
        if estimated:
            texts.append("" if estimate is None else f"{estimate:,.0f}")
            texts.append("" if error is None else f"{error:+.1f} %")
        return texts

    apart, flat = result.apart.area, result.flat.area
    for name, part in result.parts.items():
        table.add_row(*row(name, part.area, apart, part.estimate, part.error_percent))
    total = sum(part.area for part in result.parts.values())
    table.add_section()
    table.add_row(*row("sum", total, apart, None, None))
    whole = row("total", flat, flat, result.estimate, result.error_percent)
    table.add_row(*whole, style="bold")
    return table


def _path_lines(result: CellReport) -> Iterator[str]:
    flat = result.flat
    if flat.delay_ns is None:
        yield f"Longest path: {flat.depth} cells; {result.technology} has no delays."
        return
    slack = result.slack_ns
    late = "" if slack is None else f", slack {slack:+.3f} ns at {result.clock_ns:g} ns"
    yield (
        f"Least clock period {flat.delay_ns:.3f} ns without wires{late}: from "
        f"{flat.path_start} to {flat.path_end}; at most {flat.depth} cells on a path."
    )
    runs = [(cell, list(steps)) for cell, steps in groupby(flat.critical_path, lambda s: s.cell)]
    names = [
        f"{f'{len(steps)} × ' if len(steps) > 1 else ''}{cell} "
        f"{sum(step.delay_ns for step in steps):.3f}"
        for cell, steps in runs
    ]
    yield f"Its cells, ns: {', '.join(names)}."
    if result.clock is not None:
        error = result.clock.period_ns / flat.delay_ns - 1
        yield (
            f"Estimated: {result.clock.period_ns:.3f} ns ({error:+.1%}), by {result.clock.stage}."
        )
    stages = ", ".join(
        f"{stage.component} {stage.delay_ns:.3f} ns (cells: {stage.cells})"
        for stage in result.stages
    )
    yield f"Module by module {result.apart.delay_ns:.3f} ns: {stages}."
