"""TQ1_0 and TQ2_0 of ggml: blocks of 256 ternary weights of one row and their float16 scale.

The decoders of ``gguf.quants`` give trit × scale and take every byte; here trits and scales come
apart, and what no encoder writes is an error. Scales multiply.

TQ2_0, 66 bytes: 2 × 32 bytes, then the scale. Bits [2n+1 : 2n] of byte m of a half are weight
m + 32n of its 128, as code w + 1; code 3 means nothing.

TQ1_0, 54 bytes: 48 bytes of five trits, 4 of four, then the scale. A byte holds the digits (w + 1)
t0 t1 … of a number to the base 3 (t0 first, five digits, a missing one 0) as ceil(number × 256 /
243); 13 bytes mean nothing. Trit n of byte m is weight m + 32n for m < 32, of bytes 32 … 47 weight
160 + (m - 32) + 16n, of bytes 48 … 51 weight 240 + (m - 48) + 4n.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.checkpoints.base import ILLEGAL, CheckpointError, Scales, TernaryTensor, two_bits
from sim.checkpoints.gguf.outer_scale import OuterScale

BLOCK = 256
SCALE_BYTES = 2


@dataclass(frozen=True)
class BlockTensor(TernaryTensor):
    """A matrix of TQ1_0 or TQ2_0 blocks. outer: multiplies all of their scales."""

    outer: OuterScale | None = None

    @property
    def block_bytes(self) -> int:
        """Bytes of a block: 256 weights and their scale."""
        return _WEIGHT_BYTES[self.format] + SCALE_BYTES

    def _blocks(self, first: int, last: int) -> NDArray[np.uint8]:
        """Rows first … last - 1 as (rows · N / 256, bytes), mapped."""
        per_row = self.in_features // BLOCK * self.block_bytes
        start, count = self.offset + first * per_row, (last - first) * per_row
        mapped = np.memmap(self.file, np.uint8, "r", start, (count,))
        return mapped.reshape(-1, self.block_bytes)

    def scales(self) -> Scales:
        stored = self._blocks(0, self.out_features)[:, -SCALE_BYTES:]
        values = np.ascontiguousarray(stored).view("<f2").ravel()
        with np.errstate(invalid="ignore"):
            doubtful = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
        per_row = self.in_features // BLOCK
        for block in doubtful.tolist():
            row, place = divmod(block, per_row)
            weights = self._unpack(row, row + 1)[0, place * BLOCK : (place + 1) * BLOCK]
            if values[block] == 0 and not weights.any():
                continue  # Where all are 0, encoders write the scale 0.
            at = self.offset + (block + 1) * self.block_bytes - SCALE_BYTES
            raise CheckpointError(
                f"{self.file}: {self.stored}, byte {at}: scale of block {place} of row {row} "
                f"should be finite and above 0, not {values[block]}; "
                "check how the checkpoint was made"
            )
        whole = values.astype(np.float64).reshape(self.out_features, per_row)
        return Scales(whole * (self.outer.value() if self.outer else 1), "multiply")

    def _block_byte(self, row: int, column: int, byte: int) -> int:
        block = row * (self.in_features // BLOCK) + column // BLOCK
        return self.offset + block * self.block_bytes + byte


@dataclass(frozen=True)
class Tq2Tensor(BlockTensor):
    """A matrix of TQ2_0 blocks."""

    @property
    def format(self) -> str:
        return "TQ2_0"

    def _unpack(self, first: int, last: int) -> NDArray[np.int8]:
        packed = self._blocks(first, last)[:, :-SCALE_BYTES].reshape(-1, 2, 32)
        weights = np.stack([two_bits(packed, field) for field in range(4)], axis=2)
        return weights.reshape(last - first, self.in_features)

    def _byte(self, row: int, column: int) -> int:
        return self._block_byte(row, column, column % BLOCK // 128 * 32 + column % 32)


@dataclass(frozen=True)
class Tq1Tensor(BlockTensor):
    """A matrix of TQ1_0 blocks."""

    @property
    def format(self) -> str:
        return "TQ1_0"

    def _unpack(self, first: int, last: int) -> NDArray[np.int8]:
        packed = self._blocks(first, last)
        weights = np.empty((len(packed), BLOCK), np.int8)
        for (start, stop), table, at in zip(_RUNS, _TABLES, (0, 160, 240), strict=True):
            trits = table[:, packed[:, start:stop]]  # (trits, blocks, bytes)
            weights[:, at : at + len(table) * (stop - start)] = trits.swapaxes(0, 1).reshape(
                len(packed), -1
            )
        return weights.reshape(last - first, self.in_features)

    def _byte(self, row: int, column: int) -> int:
        place = column % BLOCK
        if place < 160:
            return self._block_byte(row, column, place % 32)
        if place < 240:
            return self._block_byte(row, column, 32 + (place - 160) % 16)
        return self._block_byte(row, column, 48 + (place - 240) % 4)

    def _illegal(self, row: int, column: int) -> str:
        byte = self._byte(row, column)
        value = int(np.memmap(self.file, np.uint8, "r", byte, (1,))[0])
        return f"should be the code of some trits, not {value} at row {row}, column {column}"


def _trit_table(trits: int) -> NDArray[np.int8]:
    """(trits, 256): the weights of every byte, ``ILLEGAL`` where it is not a code."""
    table = np.full((trits, 256), ILLEGAL, np.int8)
    for number in range(0, 243, 3 ** (5 - trits)):
        byte = -(-number * 256 // 243)
        table[:, byte] = [number // 3 ** (4 - n) % 3 - 1 for n in range(trits)]
    return table


_RUNS = ((0, 32), (32, 48), (48, 52))
_TABLES = (_trit_table(5), _trit_table(5), _trit_table(4))
_WEIGHT_BYTES = {"TQ1_0": 52, "TQ2_0": 64}
