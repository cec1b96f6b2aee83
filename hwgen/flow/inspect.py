"""hwgen inspect: the ternary matrices of a checkpoint, read whole and checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hwgen.base.errors import ConfigError
from hwgen.base.record import Record
from hwgen.flow.checkpoint import ModelSource, reading
from sim.checkpoints import (
    CheckpointError,
    LeftOut,
    TensorReport,
    examine,
)

Count = Callable[[int, int], None]


@dataclass(frozen=True)
class Inspection(Record):
    """What a checkpoint holds.

    left_out: matrices that are not counted as linear layers, each with the reason.
    others: tensors of no ternary linear layer, by type.
    """

    drawn_in = "inspect"
    path: Path
    reports: tuple[TensorReport, ...]
    left_out: tuple[LeftOut, ...]
    others: Counter[str]
    warnings: tuple[str, ...]

    @property
    def weights(self) -> int:
        """Ternary weights in all."""
        return sum(report.weights for report in self.reports)

    @property
    def zeros(self) -> int:
        """How many of them are 0."""
        return sum(report.zeros for report in self.reports)

    def to_dict(self) -> dict[str, Any]:
        return {
            "checkpoint": str(self.path),
            "tensors": [
                {
                    "name": report.tensor.name,
                    "format": report.tensor.format,
                    "out_features": report.tensor.out_features,
                    "in_features": report.tensor.in_features,
                    "scales": report.scales.values.size,
                    "lowest_scale": report.scales.lowest,
                    "highest_scale": report.scales.highest,
                    "scale_convention": report.scales.convention,
                    "zero_fraction": report.zero_fraction,
                }
                for report in self.reports
            ],
            "weights": self.weights,
            "zero_fraction": self.zeros / self.weights,
            "left_out": [asdict(matrix) for matrix in self.left_out],
            "others": dict(self.others),
            "warnings": list(self.warnings),
        }


def inspect(
    model: str | Path,
    i2s_layout: str | None = None,
    scale: str | None = None,
    quantise: str | None = None,
    partial: bool = False,
    progress: Count = lambda done, total: None,
) -> Inspection:
    """Read a checkpoint whole, some rows at a time; ConfigError for what is wrong with it.

    i2s_layout: "x86", "arm" or "interleaved", for I2_S tensors, whose file does not record it.
    scale: "multiply" or "divide", how scales apply where no file says it.
    quantise: "absmean" makes master weights ternary.
    partial: go on with what there is of an incomplete model.
    """
    source = ModelSource.find(model, reading(i2s_layout, scale, quantise, partial))
    path, layout, checkpoint = source.path, source.how.i2s_layout, source.checkpoint()
    try:
        reports: list[TensorReport] = []
        for tensor in checkpoint.tensors:
            progress(len(reports), len(checkpoint.tensors))
            reports.append(examine(tensor))
        fit = checkpoint.layout_fit()
    except CheckpointError as error:
        raise ConfigError(str(error)) from None
    warnings = []
    if fit is not None and layout is not None and (better := fit.better(layout)):
        warnings.append(
            f"{path}: the weights fit I2_S layout {better!r} better than {layout!r} "
            f"(scores: {fit.text()}); is --i2s-layout right?"
        )
    elif layout is not None and (fit is None or fit.best is None):
        warnings.append(
            f"{path}: the weights do not tell whether I2_S layout {layout!r} is right"
            + (f" (scores: {fit.text()})" if fit is not None else "")
        )
    warnings += [
        f"{report.tensor.file}: {report.tensor.stored}: all of its weights are 0; is it as it was "
        "released?"
        for report in reports
        if report.zeros == report.weights
    ]
    return Inspection(path, tuple(reports), checkpoint.left_out, checkpoint.others, tuple(warnings))
