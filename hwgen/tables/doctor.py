"""Table of `hwgen doctor`."""

from __future__ import annotations

from rich.table import Table

from hwgen.flow.doctor import Report


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
