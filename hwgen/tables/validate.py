"""Tables of `hwgen validate`."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from hwgen.base.record import draws
from hwgen.flow.calibrate.validate import Validation


@draws(Validation)
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
