"""Results of FPGA families as people read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.table import Table

from costmodel.fpga.clock import Fmax
from costmodel.fpga.resources import RESOURCES
from costmodel.target.fpga import FpgaCost
from costmodel.target.fpga_report import COUNTED, FpgaReport

NAMES = {"lut": "LUT", "ff": "FF", "carry": "carry", "lutram": "LUTRAM"}


def fpga_cost_tables(core: str, technology: str, cost: FpgaCost) -> Iterator[Table | str]:
    """Resources by component, and the clock."""
    table = Table(title=f"{core}: expected in {technology}")
    table.add_column("component")
    for resource in RESOURCES:
        table.add_column(NAMES[resource], justify="right", no_wrap=True)

    def cells(counts: Mapping[str, float]) -> list[str]:
        return [f"{counts[resource]:,.0f}" for resource in RESOURCES]

    for name, part in cost.resources.by_component.items():
        table.add_row(name, *cells(part))
    table.add_section()
    table.add_row("total", *cells(cost.resources.total), style="bold")
    yield table
    if isinstance(cost.clock, Fmax):
        yield f"Fmax: {cost.clock.mhz:.1f} MHz, limited by {cost.clock.stage}."
    else:
        yield f"No clock: {cost.clock}."


def fpga_synth_table(result: FpgaReport) -> Table:
    """Resources by component and as a whole, beside the expected ones."""
    table = Table(title=f"{result.core.name}: synthesised for {result.technology}")
    table.add_column("component")
    expected = result.estimate is not None
    for resource in COUNTED:
        table.add_column(NAMES[resource], justify="right", no_wrap=True)
        if expected:
            table.add_column("expected", justify="right", no_wrap=True)

    def cells(name: str, counts: object, estimate: Mapping[str, float] | None) -> list[str]:
        texts = [name]
        for resource in COUNTED:
            texts.append(f"{getattr(counts, resource):,}")
            if expected:
                texts.append("" if estimate is None else f"{estimate[resource]:,.0f}")
        return texts

    for name, part in result.parts.items():
        table.add_row(*cells(name, part, part.estimate))
    table.add_section()
    table.add_row(*cells("sum", result.apart, None))
    table.add_row(*cells("total", result.flat, result.estimate), style="bold")
    return table
