"""Ternary types of ggml: blocks of weights of one row with their float16 scale.

The decoders of ``gguf.quants`` give trit × scale and take every byte; here trits and scales come
apart, and what no encoder writes is an error. Scales multiply.

TQ2_0, 66 bytes for 256 weights: 2 × 32 bytes, then the scale. Bits [2n+1 : 2n] of byte m of a half
are weight m + 32n of its 128, as code w + 1; code 3 means nothing.

TQ1_0, 54 bytes for 256: 48 bytes of five trits, 4 of four, then the scale. A byte holds the digits
(w + 1) t0 t1 … of a number to the base 3 (t0 first, five digits, a missing one 0) as ceil(number ×
256 / 243); 13 bytes mean nothing. Trit n of byte m is weight m + 32n for m < 32, of bytes 32 … 47
weight 160 + (m - 32) + 16n, of bytes 48 … 51 weight 240 + (m - 48) + 4n.

Q2_0, 18 bytes for 64: the scale, then bits [2n+1 : 2n] of byte m are weight 4m + n, as code w + 1.
Code 3 is weight +2, which is not ternary. PrismML's llama.cpp has the same with 128 weights in 34
bytes, of the same type number in its first releases and as PQ2_0 later.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sim.checkpoints.base import ILLEGAL, Scales, TernaryTensor, two_bits
from sim.checkpoints.gguf.outer_scale import OuterScale

SCALE_BYTES = 2


@dataclass(frozen=True)
class BlockTensor(TernaryTensor):
    """A matrix of blocks. outer: multiplies all of their scales."""

    outer: OuterScale | None = None

    @property
    def block(self) -> int:
        """Weights of a block."""
        return 256

    @property
    @abstractmethod
    def weight_bytes(self) -> int:
        """Bytes of a block, its scale apart."""

    @property
    def scale_at(self) -> int:
        """Where in a block its scale is."""
        return self.weight_bytes

    @property
    def block_bytes(self) -> int:
        """Bytes of a block: weights and scale."""
        return self.weight_bytes + SCALE_BYTES

    def _blocks(self, first: int, last: int) -> NDArray[np.uint8]:
        """Rows first … last - 1 as (rows · N / block, bytes), mapped."""
        per_row = self.in_features // self.block * self.block_bytes
        start, count = self.offset + first * per_row, (last - first) * per_row
        mapped = np.memmap(self.file, np.uint8, "r", start, (count,))
        return mapped.reshape(-1, self.block_bytes)

    def _packed(self, first: int, last: int) -> NDArray[np.uint8]:
        """Rows first … last - 1 without their scales."""
        blocks = self._blocks(first, last)
        return blocks[:, SCALE_BYTES:] if self.scale_at == 0 else blocks[:, : self.weight_bytes]

    def scales(self) -> Scales:
        at = self.scale_at
        stored = self._blocks(0, self.out_features)[:, at : at + SCALE_BYTES]
        values = np.ascontiguousarray(stored).view("<f2").astype(np.float64)
        per_row = self.in_features // self.block

        def place(row: int, column: int) -> tuple[str, int]:
            block = row * per_row + column
            name = f"{self.stored}, block {column} of row {row}"
            return name, self.offset + block * self.block_bytes + at

        own = self.check_scales(values.reshape(self.out_features, per_row), "multiply", place)
        outer = self.outer.value() if self.outer else 1
        return Scales(own.values * outer, "multiply")

    def _block_byte(self, row: int, column: int, byte: int) -> int:
        block = row * (self.in_features // self.block) + column // self.block
        start = SCALE_BYTES if self.scale_at == 0 else 0
        return self.offset + block * self.block_bytes + start + byte


@dataclass(frozen=True)
class Tq2Tensor(BlockTensor):
    """A matrix of TQ2_0 blocks."""

    @property
    def format(self) -> str:
        return "TQ2_0"

    @property
    def weight_bytes(self) -> int:
        return 64

    def _unpack(self, first: int, last: int) -> NDArray[np.int8]:
        packed = self._packed(first, last).reshape(-1, 2, 32)
        weights = np.stack([two_bits(packed, field) for field in range(4)], axis=2)
        return weights.reshape(last - first, self.in_features)

    def _byte(self, row: int, column: int) -> int:
        place = column % self.block
        return self._block_byte(row, column, place // 128 * 32 + place % 32)


@dataclass(frozen=True)
class Q2Tensor(BlockTensor):
    """A matrix of Q2_0 blocks of 64 or 128 weights."""

    of_128: bool = False

    @property
    def format(self) -> str:
        return f"Q2_0, blocks of {self.block}"

    @property
    def block(self) -> int:
        return 128 if self.of_128 else 64

    @property
    def weight_bytes(self) -> int:
        return self.block // 4

    @property
    def scale_at(self) -> int:
        return 0

    def _unpack(self, first: int, last: int) -> NDArray[np.int8]:
        packed = self._packed(first, last)
        weights = np.stack([two_bits(packed, field) for field in range(4)], axis=2)
        return weights.reshape(last - first, self.in_features)

    def _byte(self, row: int, column: int) -> int:
        return self._block_byte(row, column, column % self.block // 4)

    def _illegal(self, row: int, column: int) -> str:
        return f"should be ternary, not +2 times its scale at row {row}, column {column}"


@dataclass(frozen=True)
class Tq1Tensor(BlockTensor):
    """A matrix of TQ1_0 blocks."""

    @property
    def format(self) -> str:
        return "TQ1_0"

    @property
    def weight_bytes(self) -> int:
        return 52

    def _unpack(self, first: int, last: int) -> NDArray[np.int8]:
        packed = self._packed(first, last)
        weights = np.empty((len(packed), self.block), np.int8)
        for (start, stop), table, at in zip(_RUNS, _TABLES, (0, 160, 240), strict=True):
            trits = table[:, packed[:, start:stop]]  # (trits, blocks, bytes)
            weights[:, at : at + len(table) * (stop - start)] = trits.swapaxes(0, 1).reshape(
                len(packed), -1
            )
        return weights.reshape(last - first, self.in_features)

    def _byte(self, row: int, column: int) -> int:
        place = column % self.block
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
