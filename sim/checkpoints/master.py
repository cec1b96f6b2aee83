"""Master weights, made ternary when they are read: BitNet's online mode, 1bitLLM's releases.

``clamp(round(w · s), -1, +1)`` with ``s = 1 / max(mean|w|, 1e-5)``, one s for the matrix, rounded
half to even; the weight is ternary / s ("The Era of 1-bit LLMs", arXiv 2402.17764, section 2;
``WeightQuant`` of transformers/integrations/bitnet.py). Computed in float64, where that integration
takes the mean in float32: a weight within some 10^-7 of half the mean may round the other way.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sim.checkpoints.base import BLOCK_WEIGHTS, Scales
from sim.checkpoints.real import RealTensor

Quantise = Literal["absmean"]
QUANTISERS: tuple[Quantise, ...] = get_args(Quantise)
EPS = 1e-5


@dataclass(frozen=True)
class MasterTensor(RealTensor):
    """Real weights that are quantised by their mean magnitude."""

    @property
    def format(self) -> str:
        return f"absmean of {self.values.dtype}"

    def scales(self) -> Scales:
        return Scales(np.full((1, 1), self._mean), "multiply")

    @cached_property
    def _mean(self) -> float:
        """Mean magnitude, at least `EPS`; all weights are read."""
        total = 0.0
        step = max(1, BLOCK_WEIGHTS // 8 // self.in_features)
        for first in range(0, self.out_features, step):
            block = self.real_rows(first, min(first + step, self.out_features)).astype(np.float64)
            total += float(np.abs(block).sum())
        return max(total / (self.out_features * self.in_features), EPS)

    def _unpack(self, first: int, last: int) -> NDArray[np.int8]:
        scaled = self.real_rows(first, last).astype(np.float64) * (1 / self._mean)
        return np.clip(np.round(scaled), -1, 1).astype(np.int8)
