"""Tables of `hwgen estimate`."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from costmodel.cells.delay import Clock
from costmodel.cells.energy import OMITTED as ENERGY_OMITTED
from costmodel.target.cells import CellCost
from costmodel.target.fpga import FpgaCost
from hwgen.base.record import draws
from hwgen.flow.estimate import Estimate
from hwgen.spec.config import CoreConfig
from hwgen.tables.fpga import fpga_cost_tables


@draws(Estimate)
def estimate_tables(result: Estimate) -> Iterator[Table | str]:
    """Area or resources by component, clock, counts, and the layer."""
    cost, name = result.cost, str(result.core.name)
    if isinstance(cost, FpgaCost):
        yield from fpga_cost_tables(name, result.technology, cost)
    elif isinstance(cost, CellCost):
        yield from _area_tables(name, result.technology, cost)
    counts = Table(title="primitives")
    counts.add_column("primitive")
    counts.add_column("number", justify="right")
    for label, number in cost.counts.items():
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
    if not cost.corrected:
        yield "A sum of parts: no factors were fitted on whole cores here yet."
    yield f"Left out: {cost.omitted}."
    if isinstance(cost, CellCost):
        yield _energy_line(result.core, cost)


def _area_tables(core: str, technology: str, cost: CellCost) -> Iterator[Table | str]:
    area, clock = cost.area, cost.clock
    table = Table(title=f"{core}: area in {area.unit.upper()}, {technology}")
    table.add_column("component")
    table.add_column("area", justify="right")
    table.add_column("share", justify="right")
    for name, value in area.by_component.items():
        table.add_row(name, f"{value:,.0f}", f"{value / area.total:.1%}")
    table.add_row("total", f"{area.total:,.0f}", "100 %", style="bold")
    yield table
    if not isinstance(clock, Clock):
        yield f"No clock: {clock}."
    else:
        stages = Table(title=f"clock: {clock.period_ns:.3f} ns, by {clock.stage}")
        stages.add_column("stage")
        stages.add_column("longest path, ns", justify="right")
        for name, value in clock.by_stage.items():
            stages.add_row(name, f"{value:.3f}")
        yield stages


def _energy_line(core: CoreConfig, cost: CellCost) -> str:
    energy = cost.energy
    if isinstance(energy, str):
        return f"Energy: {energy}."
    return (
        f"Energy, {energy.activity} data, at full speed: {energy.fj_per_tile:,.0f} fJ per tile of "
        f"{core.tile_n} × {core.tile_m}, {energy.fj_per_mac:,.3g} fJ per "
        f"multiply-accumulate, {energy.clock_fj_per_tile / energy.fj_per_tile:.0%} of it the "
        f"clock's; leakage {energy.leakage_mw:.3g} mW; left out: {ENERGY_OMITTED}."
    )
