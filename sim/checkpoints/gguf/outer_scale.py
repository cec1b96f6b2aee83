"""A second scale of a GGUF matrix: ``<layer>.scale``, which llama.cpp multiplies the product
by, or ``<layer>.weight_scale``, of which the file does not say how it applies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim.checkpoints.base import CheckpointError, scale_fault


@dataclass(frozen=True)
class OuterScale:
    """One float32 in a tensor of its own.

    offset: its first byte in the file. divides: the weights are divided by it.
    """

    file: Path
    name: str
    offset: int
    divides: bool = False

    def value(self) -> float:
        """What the weights are multiplied by; CheckpointError if it cannot be applied."""
        value = float(np.memmap(self.file, np.uint8, "r", self.offset, (4,)).view("<f4")[0])
        if fault := scale_fault(value, "divide" if self.divides else "multiply"):
            raise CheckpointError(
                f"{self.file}: {self.name}, byte {self.offset}: {fault}; "
                "check how the checkpoint was made"
            )
        return 1 / value if self.divides else value
