"""A checkpoint's ternary tensors as people read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table

from hwgen.base.record import draws
from hwgen.flow.inspect import Inspection
from sim.checkpoints import LeftOut, Scales


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
    yield from left_out_lines(result.left_out)
    if result.others:
        others = ", ".join(f"{count} {name}" for name, count in result.others.most_common())
        yield f"Tensors of no ternary linear layer: {others}."


def left_out_lines(left_out: Sequence[LeftOut]) -> Iterator[str]:
    """Matrices that are not counted, by reason; at most four names each."""
    by_reason: dict[str, list[str]] = {}
    for matrix in left_out:
        type_name = "" if matrix.type is None else f" ({matrix.type})"
        by_reason.setdefault(matrix.reason, []).append(matrix.name + type_name)
    for reason, names in by_reason.items():
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        yield f"Not counted, {reason}: {', '.join(names[:4])}{more}."


def _scale_text(scales: Scales) -> str:
    """``× 0.25``, ``÷ 4``, or the range and number of several."""
    sign = "×" if scales.convention == "multiply" else "÷"
    if scales.lowest == scales.highest:
        text = f"{sign} {scales.lowest:.6g}"
    else:
        text = f"{sign} {scales.lowest:.6g} … {scales.highest:.6g}"
    return text if scales.values.size == 1 else f"{text} ({scales.values.size:,})"
