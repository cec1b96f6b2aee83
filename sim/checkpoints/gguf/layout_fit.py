"""Which I2_S layout the weights fit: a statistic, since the file does not say.

All three layouts permute the same legal codes, and the share of zeros is the same in each. Between
``x86`` and ``arm`` even each column of weights stays whole: columns only change places within 128
of them, the same in all rows. What a wrong layout destroys is the agreement *between* matrices:

- A feed-forward neuron is a row of gate and up and a column of down.
- A channel of the residual stream is a row of o and down and a column of q, k, v, gate and up.

Rows that are weak have many zeros, as one scale serves the whole matrix, and training makes a
neuron or channel that matters little weak on both sides. So over all neurons (channels) the zeros
per row on one side correlate with the zeros per column on the other, if both are in the right
order. ``x86`` and ``arm`` differ in the columns but not in the rows; ``interleaved`` mixes rows by
four and quarters of columns. With r the correlation over n neurons (channels), n·r² has mean 1 and
variance 2 where the two have nothing to do with each other, whatever the sign of a true relation.
Over P pairs, the score is (Σ n·r² - P) / √(2P): about 0 … 3 by chance, hundreds for the right
layout of a model with such structure. Weights without it (random ones) give no verdict.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sim.checkpoints.base import CheckpointError
from sim.checkpoints.families import layer_and_roles
from sim.checkpoints.gguf.i2s import LAYOUTS, I2sLayout, I2sTensor

MARGIN = 10.0
"""Margin by which a score must exceed another to be evidence."""
MAX_LAYERS = 4
"""Decoder layers that are looked at, spread evenly."""
_SIDES = ((("gate", "up"), ("down",)), (("o", "down"), ("q", "k", "v", "gate", "up")))


@dataclass(frozen=True)
class LayoutFit:
    """Scores of the layouts that the shapes allow; ``pairs``: correlations in each."""

    scores: dict[I2sLayout, float]
    pairs: int

    @property
    def best(self) -> I2sLayout | None:
        """The layout that fits better than every other; None where that cannot be told."""
        first = max(self.scores, key=self.scores.__getitem__)
        others = (score for layout, score in self.scores.items() if layout != first)
        return first if self.scores[first] > max((0.0, *others)) + MARGIN else None

    def better(self, layout: I2sLayout) -> I2sLayout | None:
        """The layout that fits better than this one; None where there is none."""
        first = max(self.scores, key=self.scores.__getitem__)
        own = max(0.0, self.scores.get(layout, 0.0))
        return first if first != layout and self.scores[first] > own + MARGIN else None

    def text(self) -> str:
        """The scores, best first."""
        ordered = sorted(self.scores.items(), key=lambda item: -item[1])
        return ", ".join(f"{layout} {score:.1f}" for layout, score in ordered)


def layout_fit(tensors: Iterable[I2sTensor]) -> LayoutFit | None:
    """Scores of the layouts on some decoder layers; None if no pair of matrices is there."""
    layers: dict[int, dict[str, I2sTensor]] = {}
    for tensor in tensors:
        place = layer_and_roles(tensor.name)
        if place is not None and len(place[1]) == 1:
            layers.setdefault(place[0], {})[place[1][0]] = tensor
    chosen = [layers[number] for number in _spread(sorted(layers))]
    scores: dict[I2sLayout, float] = {}
    pairs = 0
    for layout in LAYOUTS:
        try:
            found = [value for layer in chosen for value in _agreements(layer, layout)]
        except CheckpointError:
            continue  # Impossible with these shapes; illegal codes are found when reading.
        if found:
            pairs = len(found)
            scores[layout] = (sum(found) - pairs) / (2 * pairs) ** 0.5
    return LayoutFit(scores, pairs) if scores else None


def _spread(numbers: list[int]) -> list[int]:
    """At most ``MAX_LAYERS`` of them, the first and the last included."""
    if len(numbers) <= MAX_LAYERS:
        return numbers
    return [numbers[i * (len(numbers) - 1) // (MAX_LAYERS - 1)] for i in range(MAX_LAYERS)]


def _agreements(layer: dict[str, I2sTensor], layout: I2sLayout) -> list[float]:
    """n·r² of the neurons and of the residual stream of one decoder layer."""
    profiles = {role: _profiles(replace(tensor, layout=layout)) for role, tensor in layer.items()}
    found = []
    for producers, consumers in _SIDES:
        rows = [profiles[role][0] for role in producers if role in profiles]
        columns = [profiles[role][1] for role in consumers if role in profiles]
        if rows and columns:
            # Each matrix counts alike, however many weights it has.
            found.append(_agreement(np.sum(rows, axis=0), np.sum(columns, axis=0)))
    return found


def _profiles(tensor: I2sTensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Share of zeros of every row and of every column."""
    rows = np.empty(tensor.out_features)
    columns = np.zeros(tensor.in_features)
    first = 0
    for block in tensor.rows():
        zeros = block == 0
        rows[first : first + len(block)] = np.count_nonzero(zeros, axis=1)
        columns += np.count_nonzero(zeros, axis=0)
        first += len(block)
    return rows / tensor.in_features, columns / tensor.out_features


def _agreement(rows: NDArray[np.float64], columns: NDArray[np.float64]) -> float:
    """n·r²; 0 where one side does not vary."""
    x, y = rows - rows.mean(), columns - columns.mean()
    spread = float(x @ x) * float(y @ y)
    return len(x) * float(x @ y) ** 2 / spread if spread > 0 else 0.0
