"""Floating-point activations as fixed-point integers, and sums of those back, as plain data.

Exact: one unit is the least subnormal of the activations' format, so that every finite number is a
whole one. Aligned: a token comes with an exponent field X that none of its activations exceeds, and
an activation's leading place at exponent X is the highest one below the sign of an integer of W
bits; one unit is 2^(X - bias - W + 2).
"""

from __future__ import annotations

from dataclasses import dataclass

from hwgen.spec.number import FloatFormat
from hwgen.spec.primitive import Family, kind_of


@dataclass(frozen=True)
class FixedPoint:
    """How activations of the format ``number`` become integers: exact, or aligned to W bits."""

    number: FloatFormat
    aligned_bits: int | None = None

    @property
    def aligned(self) -> bool:
        return self.aligned_bits is not None

    @property
    def bits(self) -> int:
        """Signed bits of one activation; 41 for exact fp16."""
        return self.number.fixed_bits if self.aligned_bits is None else self.aligned_bits

    @property
    def name(self) -> str:
        aligned = "" if self.aligned_bits is None else f"_w{self.aligned_bits}"
        return f"{self.number.name}{aligned}"


@dataclass(frozen=True)
class ToFixedSpec:
    """One activation from floating to fixed point."""

    point: FixedPoint

    @property
    def bits(self) -> int:
        return self.point.bits

    @property
    def kind(self) -> str:
        """Name of the primitive, whose size is ``bits``."""
        return kind_of(Family.TO_FIXED, self.point.number, aligned=self.point.aligned)

    @property
    def module_name(self) -> str:
        return f"to_fixed_{self.point.name}"


@dataclass(frozen=True)
class FromFixedSpec:
    """One output from fixed point of ``bits`` bits to the format ``number``, rounded once."""

    number: FloatFormat
    bits: int
    point: FixedPoint

    @property
    def kind(self) -> str:
        """Name of the primitive, whose size is ``bits``."""
        return kind_of(Family.FROM_FIXED, self.point.number, self.number, self.point.aligned)

    @property
    def top_field(self) -> int:
        """Exponent field of an output whose leading one is the highest bit of ``bits``.

        Of an aligned one that of its token is added.
        """
        source = self.point.number
        unit = 1 - source.bias - source.mantissa_bits
        if self.point.aligned_bits is not None:
            unit = 2 - source.bias - self.point.aligned_bits
        return self.bits - 1 + unit + self.number.bias

    @property
    def limit(self) -> int:
        """Places that the leading one may go left at most: to the top, or as a subnormal may."""
        most = self.bits - 1
        return most if self.point.aligned_bits is not None else min(most, self.top_field - 1)

    @property
    def limit_bits(self) -> int:
        """Width of an aligned output's limit: top_field - 1 + the token's exponent."""
        highest = (1 << self.point.number.exponent_bits) - 1 + self.top_field - 1
        return max(highest.bit_length(), self.steps)

    @property
    def steps(self) -> int:
        """Stages of the normalising shifter."""
        return self.limit.bit_length()

    @property
    def module_name(self) -> str:
        to = "" if self.number == self.point.number else f"_to_{self.number.name}"
        return f"from_fixed_w{self.bits}_{self.point.name}{to}"
