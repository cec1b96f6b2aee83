"""Results as people read them."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from costmodel.cells.area import OMITTED
from costmodel.cells.energy import OMITTED as ENERGY_OMITTED
from hwgen.cli.tables.fpga import fpga_estimate_table
from hwgen.flow.estimate.cells import Estimate
from hwgen.flow.estimate.fpga import FpgaEstimate


def estimate_tables(result: Estimate | FpgaEstimate) -> Iterator[Table | str]:
    """Area or resources by component, clock, counts, and the layer."""
    if isinstance(result, FpgaEstimate):
        yield from fpga_estimate_table(result)
        omitted = result.note
    else:
        yield from _area_tables(result)
        omitted = OMITTED
    counts = Table(title="primitives")
    counts.add_column("primitive")
    counts.add_column("number", justify="right")
    for label, number in result.counts.items():
        counts.add_row(label, f"{number:,}")
    yield counts
    layer = result.layer
    run, moved = layer.run, layer.traffic
    yield (
        f"{run.tokens} × {run.in_features} → {run.out_features}: {layer.cycles:,} cycles, "
        f"{layer.utilisation:.1%} of the multiply-accumulates used; "
        f"{moved.weight_bits:,} weight bits, {moved.act_bits:,} activation "
        f"bits, {moved.sum_bits:,} result bits"
    )
    if not result.corrected:
        yield "A sum of parts: no factors were fitted on whole cores here yet."
    yield f"Left out: {omitted}."
    if isinstance(result, Estimate):
        yield _energy_line(result)


def _area_tables(result: Estimate) -> Iterator[Table | str]:
    area = result.area
    table = Table(title=f"{result.core.name}: area in {area.unit.upper()}, {result.technology}")
    table.add_column("component")
    table.add_column("area", justify="right")
    table.add_column("share", justify="right")
    for name, value in area.by_component.items():
        table.add_row(name, f"{value:,.0f}", f"{value / area.total:.1%}")
    table.add_row("total", f"{area.total:,.0f}", "100 %", style="bold")
    yield table
    if isinstance(result.clock, str):
        yield f"No clock: {result.clock}."
    else:
        stages = Table(title=f"clock: {result.clock.period_ns:.3f} ns, by {result.clock.stage}")
        stages.add_column("stage")
        stages.add_column("longest path, ns", justify="right")
        for name, value in result.clock.by_stage.items():
            stages.add_row(name, f"{value:.3f}")
        yield stages


def _energy_line(result: Estimate) -> str:
    energy = result.energy
    if energy is None:
        return f"Energy: {result.energy_note}."
    return (
        f"Energy, {energy.activity} data, at full speed: {energy.fj_per_tile:,.0f} fJ per tile of "
        f"{result.core.tile_n} × {result.core.tile_m}, {energy.fj_per_mac:,.3g} fJ per "
        f"multiply-accumulate, {energy.clock_fj_per_tile / energy.fj_per_tile:.0%} of it the "
        f"clock's; leakage {energy.leakage_mw:.3g} mW; left out: {ENERGY_OMITTED}."
    )
