"""What hwgen sweep prints of cores that it synthesised or built."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from hwgen.base.record import draws
from hwgen.flow.sweep.finalists import FILE, Built, Checked
from hwgen.spec.rows import text_of
from hwgen.tables.verify import verify_lines

UNITS = {"um2": "µm²", "ge": "GE"}


def front_tables(checked: Sequence[Checked], built: Built | None) -> Iterator[Table | str]:
    """Predicted against synthesised, then the best core's proof; nothing of what was not asked."""
    if checked:
        yield _checked_table(checked)
        areas = [abs(one.area_error) for one in checked]
        text = f"Mean error of area {sum(areas) / len(areas):.1%}"
        clocks = [abs(one.clock_error) for one in checked if one.clock_error is not None]
        if clocks:
            text += f", of clock {sum(clocks) / len(clocks):.1%}"
        yield f"{text} ({FILE})."
    if built is not None:
        proof = "\n".join(verify_lines(built.verification))
        yield f"{built.folder}: {proof}"


@draws(Checked)
def checked_tables(checked: Checked) -> Iterator[Table | str]:
    """One core of the front, predicted and synthesised."""
    yield from front_tables([checked], None)


@draws(Built)
def built_lines(built: Built) -> Iterator[Table | str]:
    """The best core's proof."""
    yield from front_tables([], built)


def _checked_table(checked: Sequence[Checked]) -> Table:
    table = Table(title="Cores of the front, predicted and synthesised")
    table.add_column("core", no_wrap=True)
    timed = any(one.synthesised_ns is not None for one in checked)
    unit = UNITS[checked[0].area_unit]
    names = [f"predicted {unit}", "synthesised", "error"]
    names += ["predicted ns", "synthesised", "error"] if timed else []
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for one in checked:
        cells = [
            f"{one.predicted_area:,.0f}",
            f"{one.synthesised_area:,.0f}",
            f"{one.area_error:+.1%}",
        ]
        if one.clock_error is not None:
            cells += [f"{one.predicted_ns:.3f}", f"{one.synthesised_ns:.3f}"]
            cells.append(f"{one.clock_error:+.1%}")
        table.add_row(text_of(one.core), *cells)
    return table
