"""I2_S of BitNet's fork of llama.cpp: 2-bit codes in one of three layouts, one scale per matrix.

n = M·N weights as codes w + 1 (code 3 means nothing), four to a byte, first one highest; then one
float32 scale, which multiplies, and room up to n / 4 + 32 bytes. The file does not say which layout
it is; that depends on the machine and build that wrote it (src/ggml-bitnet-mad.cpp,
``quantize_i2_s``), so it has to be given:

- ``x86`` (with ACT_PARALLEL, the default): 128 weights in reading order become 32 bytes; byte p
  holds weights p, 32 + p, 64 + p, 96 + p.
- ``arm`` (NEON): 64 weights become 16 bytes; byte p holds p, 16 + p, 32 + p, 48 + p.
- ``interleaved`` (x86 without ACT_PARALLEL): four rows at a time; byte c holds their column c.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sim.checkpoints.base import CheckpointError, Scales, TernaryTensor, scale_fault, two_bits
from sim.checkpoints.gguf.outer_scale import OuterScale

I2sLayout = Literal["x86", "arm", "interleaved"]
LAYOUTS: tuple[I2sLayout, ...] = get_args(I2sLayout)
CODES_PER_BYTE = 4
TAIL_BYTES = 32
_RUN = {"x86": 128, "arm": 64}


@dataclass(frozen=True)
class I2sTensor(TernaryTensor):
    """An I2_S matrix, read in one of the layouts. outer: multiplies its scale."""

    layout: I2sLayout
    outer: OuterScale | None = None

    @property
    def format(self) -> str:
        return f"I2_S {self.layout}"

    def __post_init__(self) -> None:
        count = self.out_features * self.in_features
        if self.layout == "interleaved":
            fault = self.out_features % 4 and f"a multiple of 4 rows, not {self.out_features}"
        else:
            run = _RUN[self.layout]
            fault = count % run and f"a multiple of {run} weights, not {count}"
        if fault:
            raise CheckpointError(
                f"{self.file}: {self.stored}, byte {self.offset}: I2_S in layout {self.layout} "
                f"should have {fault}; give another layout"
            )

    def scales(self) -> Scales:
        at = self.offset + self.out_features * self.in_features // CODES_PER_BYTE
        value = float(np.memmap(self.file, np.uint8, "r", at, (4,)).view("<f4")[0])
        if fault := scale_fault(value, "multiply"):
            raise CheckpointError(
                f"{self.file}: {self.stored}, byte {at}: scale {fault}; "
                "check how the checkpoint was made"
            )
        value *= self.outer.value() if self.outer else 1
        return Scales(np.full((1, 1), value), "multiply")

    def _unpack(self, first: int, last: int) -> NDArray[np.int8]:
        """Interleaved rows come in fours: ``first`` is divisible by 4, and so is M."""
        start, stop = first * self.in_features, last * self.in_features
        if self.layout == "interleaved":
            packed = self._bytes(start, stop).reshape(-1, self.in_features)
            rows = np.stack([two_bits(packed, 3 - i) for i in range(CODES_PER_BYTE)], axis=1)
            return rows.reshape(last - first, self.in_features)
        run = _RUN[self.layout]  # A run may hold the end of one row and the start of the next.
        begin = start // run * run
        packed = self._bytes(begin, -(-stop // run) * run).reshape(-1, run // CODES_PER_BYTE)
        weights = np.stack([two_bits(packed, 3 - i) for i in range(CODES_PER_BYTE)], axis=1)
        flat = weights.reshape(-1)[start - begin : stop - begin]
        return flat.reshape(last - first, self.in_features)

    def _bytes(self, start: int, stop: int) -> NDArray[np.uint8]:
        """The bytes of weights start … stop - 1, mapped."""
        size = (stop - start) // CODES_PER_BYTE
        return np.memmap(self.file, np.uint8, "r", self.offset + start // CODES_PER_BYTE, (size,))

    def _byte(self, row: int, column: int) -> int:
        if self.layout == "interleaved":
            return self.offset + row // 4 * self.in_features + column
        run = _RUN[self.layout]
        block, place = divmod(row * self.in_features + column, run)
        stride = run // CODES_PER_BYTE
        return self.offset + block * stride + place % stride


def i2s_bytes(out_features: int, in_features: int) -> int:
    """Room that a matrix takes."""
    return out_features * in_features // CODES_PER_BYTE + TAIL_BYTES
