"""Reduction and accumulation of floating-point sums, as plain data; see `hwgen.structure`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from hwgen.number import FloatFormat


@dataclass(frozen=True)
class FloatReduceSpec:
    """The rounding reduction of one port: level by level, 2i + (2i + 1), an odd one passes.

    ``cuts`` are the levels after which registers stand.
    """

    number: FloatFormat
    terms: int
    cuts: tuple[int, ...]

    @property
    def module_name(self) -> str:
        cuts = "".join(f"_r{cut}" for cut in self.cuts)
        return f"reduce_{self.terms}x{self.number.name}{cuts}"

    @property
    def term_bits(self) -> int:
        return self.number.bits

    @property
    def word_bits(self) -> int:
        return self.number.bits

    @property
    def carry(self) -> bool:
        return False

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Words of each level, the terms first."""
        widths = [self.terms]
        while widths[-1] > 1:
            widths.append((widths[-1] + 1) // 2)
        return tuple(widths)


@dataclass(frozen=True)
class FloatAccumulateSpec:
    """The rounding accumulators of one port; the first n-tile is loaded, not added to 0."""

    number: FloatFormat
    reuse: int

    @property
    def module_name(self) -> str:
        return f"accumulate_d{self.reuse}_{self.number.name}"

    @property
    def word_bits(self) -> int:
        return self.number.bits

    @property
    def sum_bits(self) -> int:
        return self.number.bits

    @property
    def carry(self) -> bool:
        return False

    @property
    def index_bits(self) -> int:
        return (self.reuse - 1).bit_length()
