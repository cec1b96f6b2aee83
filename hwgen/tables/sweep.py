"""Tables of `hwgen sweep`."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from rich.table import Table

from hwgen.base.record import draws
from hwgen.flow.sweep.results import SweepResult
from hwgen.flow.sweep.run import Forecast
from hwgen.spec.rows import core_of, text_of

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


@draws(SweepResult)
def sweep_tables(result: SweepResult) -> Iterator[Table | str]:
    """The front, thinned to what fits a screen, and how it came about."""
    plan, front = result.plan, result.front
    config, unit = plan.config, plan.area_column.removeprefix("area_").upper()
    step = max(1, -(-len(front) // SHOWN))
    rows = front.loc[sorted({*front.index[::step], result.best})]
    model = ", area by the paper's model" if config.model == "paper" else ""
    table = Table(title=f"Best cores for {plan.title}: the Pareto front{model}")
    table.add_column("core", no_wrap=True)
    timed = {name: column for name, column in TIMED_COLUMNS.items() if name in front}
    if config.memory.priced:
        del timed["core_energy_fj_per_token"]
    names = (f"area {unit}", "cycles/token", "weight Mb", "act Mb", "used")
    for name in (*names, *(title for title, _ in timed.values())):
        table.add_column(name, justify="right", no_wrap=True)
    for index, row in rows.iterrows():
        best, text = index == result.best, _core_text(row, len(plan.technologies) > 1)
        table.add_row(
            ("* " if best else "  ") + text,
            f"{row[plan.area_column]:,.0f}",
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
    yield from result.codebook_notes


TIMED_COLUMNS = {
    "clock_ns": ("clock ns", 1.0),
    "ns_per_token": ("µs/token", 1e-3),
    "core_energy_fj_per_token": ("core µJ/token", 1e-9),
    "energy_fj_per_token": ("µJ/token", 1e-9),
}
"""Headings, and what to multiply by."""


def _core_text(row: pd.Series, technology: bool) -> str:
    """A row's core, how many of it, and in which technology if there are several."""
    parts = [row["technology"]] if technology else []
    parts += [f"{row['cores']} ×"] if row["cores"] > 1 else []
    return " ".join([*parts, text_of(core_of(row.to_dict()))])
