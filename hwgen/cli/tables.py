"""Results as people read them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import pandas as pd
from rich.table import Table

from costmodel.area import OMITTED
from costmodel.energy import OMITTED as ENERGY_OMITTED
from hwgen.cli.fpga_tables import fpga_estimate_table, fpga_synth_table
from hwgen.flow.compare import METHOD, TIMING, Comparison
from hwgen.flow.doctor import Report
from hwgen.flow.estimate import Estimate
from hwgen.flow.fpga_estimate import FpgaEstimate
from hwgen.flow.sweep import Forecast, Sweep
from hwgen.flow.synth import BY_MODULE, CellReport, FpgaReport
from hwgen.flow.validate import Validation
from hwgen.flow.verify import Verification

MEMORY = (
    "Memory around the core is not priced yet: the core alone decides; traffic is shown beside."
)
SHOWN = 16


def forecast_text(forecast: Forecast) -> str:
    """What a sweep will take."""
    seconds = max(1, round(forecast.seconds))
    time = f"{seconds} s" if seconds < 120 else f"{seconds / 60:,.0f} min"
    processes = "1 process" if forecast.jobs == 1 else f"{forecast.jobs} processes"
    return (
        f"{forecast.combinations:,} combinations, of which {forecast.points:,} to evaluate: "
        f"{forecast.shapes:,} shapes of cores in all sizes; about {time} with {processes} and "
        f"{forecast.memory_mb:,.0f} MB"
    )


def sweep_tables(result: Sweep) -> Iterator[Table | str]:
    """The front, thinned to what fits a screen, and how it came about."""
    question, front = result.question, result.front
    config, unit = question.config, question.area_column.removeprefix("area_").upper()
    step = max(1, -(-len(front) // SHOWN))
    rows = front.loc[sorted({*front.index[::step], result.best})]
    model = ", area by the paper's model" if config.model == "paper" else ""
    table = Table(title=f"Best cores for {question.title}: the Pareto front{model}")
    table.add_column("core", no_wrap=True)
    timed = {name: column for name, column in TIMED_COLUMNS.items() if name in front}
    if config.memory.priced:
        del timed["core_energy_fj_per_token"]
    names = (f"area {unit}", "cycles/token", "weight Mb", "act Mb", "used")
    for name in (*names, *(title for title, _ in timed.values())):
        table.add_column(name, justify="right", no_wrap=True)
    for index, row in rows.iterrows():
        best = index == result.best
        table.add_row(
            _core_text(row, len(question.technologies) > 1) + (" *" if best else ""),
            f"{row[question.area_column]:,.0f}",
            f"{row['cycles_per_token']:,.0f}",
            f"{row['weight_bits_per_token'] / 1e6:,.0f}",
            f"{row['act_bits_per_token'] / 1e6:,.0f}",
            f"{row['utilisation']:.0%}",
            *(f"{row[name] * scale:,.3g}" for name, (_, scale) in timed.items()),
            style="bold" if best else None,
        )
    yield table
    tally, dropped = result.tally, sum(result.dropped.values())
    first = " × ".join(each.quantity for each in config.objectives[:2])
    yield (
        f"{tally.points:,} cores evaluated in {result.seconds:,.1f} s, "
        f"{dropped:,} combinations dropped, {tally.feasible:,} cores feasible, "
        f"{len(front):,} on the front, {len(rows)} shown.\n"
        f"* best {first}; Mb: 10^6 bits that cross the cores' streams per token."
    )
    for reason, count in sorted(result.dropped.items()):
        yield f"  dropped {count:,}: {reason}"
    for name, count in tally.excluded.items():
        if count:
            yield f"  not feasible {count:,}: {name}"
    if not config.memory.priced:
        yield MEMORY


TIMED_COLUMNS = {
    "clock_ns": ("clock ns", 1.0),
    "ns_per_token": ("µs/token", 1e-3),
    "core_energy_fj_per_token": ("core µJ/token", 1e-9),
    "energy_fj_per_token": ("µJ/token", 1e-9),
}
"""Headings, and what to multiply by."""


def _core_text(row: pd.Series, technology: bool = False) -> str:
    """A core in the letters of the README's table of axes."""
    lut = row["kind"] == "lut"
    parts = [row["technology"]] if technology else []
    parts += [f"{row['cores']} ×"] if row["cores"] > 1 else []
    parts += [row["kind"]] if row["act"] == "int8" else [row["kind"], row["act"]]
    parts += [row["arith"]] if row["arith"] else []
    if lut:
        parts.append(f"µ={row['mu']}")
    parts.append(f"L={row['tables']} K={row['ports']} D={row['reuse']}")
    usual = {"table": "half", "storage": "wires", "builder": "minimal"}
    parts += [row[name] for name, value in usual.items() if lut and row[name] != value]
    depths = ("build", "fetch", "reduce", "fp_add", "fp_mul")
    parts += [f"{name}={row[key]}" for name in depths if row[key := f"pipeline_{name}"]]
    return " ".join(parts)


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


def validation_tables(result: Validation) -> Iterator[Table | str]:
    """Errors by quantity, model and group, and the worst cores."""
    table = Table(title=f"{result.technology}: predicted against synthesised, cores never fitted")
    for name in ("quantity", "model", "group"):
        table.add_column(name)
    for name in ("cores", "mean error", "largest", "rank correlation"):
        table.add_column(name, justify="right")
    for judgement in result.judgements:
        for errors in judgement.errors:
            rank = "" if errors.spearman is None else f"{errors.spearman:.4f}"
            cells = (str(errors.cores), f"{errors.mean:.1%}", f"{errors.largest:.1%}", rank)
            table.add_row(judgement.quantity, judgement.model, errors.group, *cells)
        table.add_section()
    yield table
    for judgement in result.judgements:
        worst = ", ".join(f"{name} {error:+.1%}" for name, error in judgement.errors[-1].worst)
        left = f"; {judgement.left_out} cores it cannot predict" if judgement.left_out else ""
        yield f"Worst of {judgement.quantity} by {judgement.model}: {worst}{left}."
    yield (
        f"{result.recomputed} cores synthesised again, {len(result.different)} of them differ; "
        f"{result.missing} of the list not synthesised yet."
    )


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


def synth_tables(result: CellReport | FpgaReport) -> Iterator[Table | str]:
    """By component, as a whole, and the longest path."""
    yield fpga_synth_table(result) if isinstance(result, FpgaReport) else _cell_table(result)
    if isinstance(result, CellReport):
        yield from _path_lines(result)
    cells = ", ".join(f"{number:,} {cell}" for cell, number in result.histogram.items())
    yield f"{sum(result.flat.cells.values()):,} cells, most of them: {cells}."
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


def verify_text(result: Verification) -> str:
    """One paragraph: what was compared and how it went."""
    predicted = f"{result.cycles_predicted:,} predicted"
    lines = [
        f"{'match' if result.match else 'MISMATCH'}: {result.outputs:,} outputs of "
        f"{len(result.layers)} layer{'s' if len(result.layers) > 1 else ''} compared, "
        f"{result.mismatches:,} differ; {result.cycles:,} cycles, "
        + (f"with stalls; {predicted} without" if result.stall else predicted)
    ]
    if result.accuracy is not None:
        lines.append(f"accuracy of the core's own outputs: {result.accuracy:.2%}")
    speed = result.cycles / result.run_seconds
    lines.append(
        f"built in {result.build_seconds:.1f} s, ran in {result.run_seconds:.2f} s "
        f"({speed:,.0f} cycles per second), keys packed in {result.pack_seconds:.3f} s"
    )
    return "\n".join(lines)


def mismatch_text(core: str, result: Verification) -> str:
    """What is wrong, with the first place where."""
    first = result.first_mismatch
    if first is None:
        return (
            f"{core}: took {result.cycles} cycles where the formula says {result.cycles_predicted}"
        )
    return (
        f"{core}: {result.mismatches} of {result.outputs} outputs differ from golden; first: "
        f"layer {first.layer}, token {first.token}, output {first.output}: expected "
        f"{first.expected}, got {first.got}"
    )


def doctor_table(report: Report) -> Table:
    """What is there and what is not."""
    table = Table(title="hwgen doctor")
    for name in ("what", "for", "found", "remedy"):
        table.add_column(name)
    for item in report.items:
        style = None if item.found else ("yellow" if item.optional else "red")
        found = item.found or ("missing (optional)" if item.optional else "missing")
        table.add_row(
            item.name, item.purpose, found, "" if item.found else item.remedy, style=style
        )
    return table
