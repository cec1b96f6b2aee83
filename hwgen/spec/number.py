"""Number formats, as plain data."""

from __future__ import annotations

from dataclasses import dataclass

INTEGER_BITS = range(2, 17)
MAX_FIXED_BITS = 128
"""Widest fixed-point activation, bits."""


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


def term_range(number: IntFormat, products: bool) -> Interval:
    """Range of an activation times -1, 0 or +1, or with ``products`` times another of its format;
    both ends are reached."""
    acts = Interval(number.lowest, number.highest)
    if products:
        corners = [a * w for a in (acts.low, acts.high) for w in (acts.low, acts.high)]
        return Interval(min(corners), max(corners))
    return acts.union(-acts).union(Interval(0, 0))


@dataclass(frozen=True)
class FloatFormat:
    """A binary floating-point format: sign (highest bit), biased exponent, stored mantissa.

    Exponent field 0 holds zeros and subnormals: (-1)^s * 2^(1 - bias) * (mantissa / 2^m). Any other
    one holds normal numbers, (-1)^s * 2^(exponent - bias) * (1 + mantissa / 2^m), but for codes at
    the top. With ``infinities`` (IEEE 754-2019, section 3.4) the highest exponent is infinity where
    the mantissa is 0 and NaN elsewhere. Without (OCP OFP8 revision 1.0, E4M3) only the code of all
    ones is NaN: the highest exponent holds normal numbers, and what overflows becomes NaN.
    """

    name: str
    exponent_bits: int
    mantissa_bits: int
    infinities: bool = True

    def __post_init__(self) -> None:
        if self.exponent_bits < 2 or self.mantissa_bits < 1:
            raise ValueError(
                f"{self.name}: needs an exponent of 2 bits and a mantissa of 1 bit at least"
            )

    @property
    def bits(self) -> int:
        return 1 + self.exponent_bits + self.mantissa_bits

    def holds(self, other: FloatFormat) -> bool:
        """Whether every number of ``other``, infinities included, is one of this format."""
        wider = self.exponent_bits > other.exponent_bits
        alike = self.exponent_bits == other.exponent_bits and self.infinities == other.infinities
        room = self.mantissa_bits >= other.mantissa_bits
        return room and (alike or (wider and self.infinities >= other.infinities))

    @property
    def fixed_bits(self) -> int:
        """Signed bits of an integer that holds any finite number in units of the least subnormal.

        The largest is (2^m + mantissa) · 2^(exponent - 1) of them: 41 bits for fp16, 33 for
        fp8_e5m2, 19 for fp8_e4m3.
        """
        exponent, mantissa = divmod(self.largest, 1 << self.mantissa_bits)
        return (((1 << self.mantissa_bits) + mantissa) << (exponent - 1)).bit_length() + 1

    @property
    def bias(self) -> int:
        """What is subtracted from the exponent field: 2^(exponent_bits - 1) - 1."""
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def highest_field(self) -> int:
        """Exponent field of the largest finite number."""
        return self.largest >> self.mantissa_bits

    @property
    def _top(self) -> int:
        """Code of the highest exponent, mantissa 0."""
        return ((1 << self.exponent_bits) - 1) << self.mantissa_bits

    @property
    def quiet_nan(self) -> int:
        """Code of the canonical NaN: positive; only the top mantissa bit set, or all if need be."""
        if self.infinities:
            return self._top | 1 << (self.mantissa_bits - 1)
        return self._top | ((1 << self.mantissa_bits) - 1)

    @property
    def infinity(self) -> int | None:
        """Code of positive infinity; None for a format without."""
        return self._top if self.infinities else None

    @property
    def largest(self) -> int:
        """Code of the largest finite number."""
        return (self._top if self.infinities else self.quiet_nan) - 1


FLOATS = {
    f.name: f
    for f in (
        FloatFormat("fp16", 5, 10),
        FloatFormat("bf16", 8, 7),
        FloatFormat("fp8_e4m3", 4, 3, infinities=False),
        FloatFormat("fp8_e5m2", 5, 2),
        FloatFormat("fp32", 8, 23),
    )
}
"""Floating-point formats by the name used in YAML.

| name | sign, exponent, mantissa | least subnormal | largest | source |
| --- | --- | --- | --- | --- |
| fp16 | 1, 5, 10 | 2^-24 | 65504 | IEEE 754-2019 binary16 |
| bf16 | 1, 8, 7 | 2^-133 | 3.39e38 | the upper half of binary32 |
| fp8_e4m3 | 1, 4, 3 | 2^-9 | 448 | OCP OFP8 revision 1.0: no infinities, NaN is S.1111.111 |
| fp8_e5m2 | 1, 5, 2 | 2^-16 | 57344 | OCP OFP8 revision 1.0: as IEEE 754 |
| fp32 | 1, 8, 23 | 2^-149 | 3.40e38 | IEEE 754-2019 binary32 |
"""


def float_format(exponent_bits: int, mantissa_bits: int) -> FloatFormat:
    """The format of these widths in `FLOATS`, or else one after IEEE 754, for exploration."""
    for known in FLOATS.values():
        if (known.exponent_bits, known.mantissa_bits) == (exponent_bits, mantissa_bits):
            return known
    bits = 1 + exponent_bits + mantissa_bits
    return FloatFormat(f"fp{bits}_e{exponent_bits}m{mantissa_bits}", exponent_bits, mantissa_bits)
