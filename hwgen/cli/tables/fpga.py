"""Results of FPGA families as people read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.table import Table

from costmodel.fpga.resources import RESOURCES
from hwgen.flow.estimate.fpga import FpgaEstimate
from hwgen.flow.synth.fpga import FpgaReport

NAMES = {"lut": "LUT", "ff": "FF", "carry": "carry", "lutram": "LUTRAM"}


def fpga_estimate_table(result: FpgaEstimate) -> Iterator[Table | str]:
    """Resources by component, and the clock."""
    table = Table(title=f"{result.core.name}: expected in {result.technology}")
    table.add_column("component")
    for resource in RESOURCES:
        table.add_column(NAMES[resource], justify="right", no_wrap=True)

    def cells(counts: Mapping[str, float]) -> list[str]:
        return [f"{counts[resource]:,.0f}" for resource in RESOURCES]

    for name, part in result.resources.by_component.items():
        table.add_row(name, *cells(part))
    table.add_section()
    table.add_row("total", *cells(result.resources.total), style="bold")
    yield table
    if isinstance(result.fmax, str):
        yield f"No clock: {result.fmax}."
    else:
        yield f"Fmax: {result.fmax.mhz:.1f} MHz, limited by {result.fmax.stage}."


def fpga_synth_table(result: FpgaReport) -> Table:
    """By component, as a whole, and beside them what was expected."""
    table = Table(title=f"{result.core.name}: synthesised for {result.technology}")
    table.add_column("component")
    expected = result.estimate is not None
    columns = ("lut", "ff", "carry")
    for resource in columns:
        table.add_column(NAMES[resource], justify="right", no_wrap=True)
        if expected:
            table.add_column("expected", justify="right", no_wrap=True)

    def cells(name: str, found: object, estimate: Mapping[str, float] | None) -> list[str]:
        texts = [name]
        for resource in columns:
            texts.append(f"{getattr(found, resource):,}")
            if expected:
                texts.append("" if estimate is None else f"{estimate[resource]:,.0f}")
        return texts

    for name, part in result.parts.items():
        table.add_row(*cells(name, part, part.estimate))
    table.add_section()
    table.add_row(*cells("sum", result.apart, None))
    table.add_row(*cells("total", result.flat, result.estimate), style="bold")
    return table
