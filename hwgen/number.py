"""Number formats of activations, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

INTEGER_BITS = range(2, 17)


@dataclass(frozen=True)
class IntFormat:
    """A two's-complement (``signed``) or plain binary integer of ``bits`` bits."""

    bits: int
    signed: bool = True

    @property
    def name(self) -> str:
        return f"{'' if self.signed else 'u'}int{self.bits}"

    @property
    def lowest(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1


FORMATS = {f.name: f for f in (IntFormat(bits) for bits in INTEGER_BITS)}
"""Every format an activation may have, by the name used in YAML."""


@dataclass(frozen=True)
class Interval:
    """The values an integer signal can take, both ends included."""

    low: int
    high: int

    def __add__(self, other: Interval) -> Interval:
        return Interval(self.low + other.low, self.high + other.high)

    def __sub__(self, other: Interval) -> Interval:
        return Interval(self.low - other.high, self.high - other.low)

    def __neg__(self) -> Interval:
        return Interval(-self.high, -self.low)

    def union(self, other: Interval) -> Interval:
        return Interval(min(self.low, other.low), max(self.high, other.high))

    def times(self, factor: int) -> Interval:
        return Interval(self.low * factor, self.high * factor)

    @property
    def bits(self) -> int:
        """Width of the narrowest two's-complement word that holds both ends, bits."""
        return (
            max((~self.low if self.low < 0 else self.low).bit_length(), self.high.bit_length()) + 1
        )
