"""A checkpoint's ternary tensors as people read them."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from hwgen.base.record import draws
from hwgen.flow.inspect import Inspection
from sim.checkpoints import Scales


@draws(Inspection)
def inspect_tables(result: Inspection) -> Iterator[Table | str]:
    """A line for every ternary tensor, and the totals."""
    table = Table(title=f"Ternary tensors of {result.path}")
    table.add_column("tensor", overflow="fold")
    table.add_column("format", no_wrap=True)
    for name in ("out × in", "scale", "zeros"):
        table.add_column(name, justify="right", no_wrap=True)
    for report in result.reports:
        tensor = report.tensor
        table.add_row(
            tensor.name,
            tensor.format,
            f"{tensor.out_features} × {tensor.in_features}",
            _scale_text(report.scales),
            f"{report.zero_fraction:.2%}",
        )
    table.add_section()
    zeros = f"{result.zeros / result.weights:.2%}"
    count = f"{len(result.reports):,} tensors"
    table.add_row(count, "", f"{result.weights:,} weights", "", zeros, style="bold")
    yield table
    if result.others:
        others = ", ".join(f"{count} {name}" for name, count in result.others.most_common())
        yield f"Tensors that are not ternary: {others}."


def _scale_text(scales: Scales) -> str:
    """``× 0.25``, ``÷ 4``, or the range and number of several."""
    sign = "×" if scales.convention == "multiply" else "÷"
    if scales.lowest == scales.highest:
        text = f"{sign} {scales.lowest:.6g}"
    else:
        text = f"{sign} {scales.lowest:.6g} … {scales.highest:.6g}"
    return text if scales.values.size == 1 else f"{text} ({scales.values.size:,})"
