"""What follows from a core's fields: its formats, widths and tiles."""

from __future__ import annotations

from operator import attrgetter

from hwgen.spec.axes import BY_NAME, Axis, Value
from hwgen.spec.codebook import DEFAULT, Codebook, codebook
from hwgen.spec.fields import CoreFields
from hwgen.spec.fixed import FixedPoint
from hwgen.spec.number import FLOATS, FORMATS, FloatFormat, Interval, IntFormat, term_range

_ALL = attrgetter(*BY_NAME)


class DerivedFields(CoreFields):
    """A core's fields with what follows from them."""

    def axis_values(self) -> dict[str, Value | None]:
        """Axes by dotted name, as the fields have them: None for most defaults."""
        return dict(zip(BY_NAME, _ALL(self), strict=True))

    def says(self, axis: Axis) -> bool:
        """Whether the axis was given, itself or its group."""
        return axis.path[0] in self.model_fields_set

    @property
    def float_number(self) -> FloatFormat | None:
        """Format of activations and outputs where they are floating-point, else None."""
        return FLOATS.get(self.act)

    @property
    def sum_number(self) -> FloatFormat | None:
        """Format of outputs where they are floating-point, else None."""
        return self.float_number if self.sum_format is None else FLOATS.get(self.sum_format)

    @property
    def fixed_point(self) -> FixedPoint | None:
        """What floating-point activations become where sums do not round; else None."""
        if self.float_number is None:
            return None
        return FixedPoint(self.float_number, self.fixed_bits)

    @property
    def exponent_bits(self) -> int:
        """Width of the exponent that comes with aligned activations, bits; 0 without one."""
        aligned = self.float_number is not None and self.fixed_bits is not None
        return self.float_number.exponent_bits if aligned and self.float_number else 0

    @property
    def number(self) -> IntFormat:
        """Format of one activation as tables see it: its own, or that of its fixed point."""
        if self.fixed_point is not None:
            return IntFormat(self.fixed_point.bits)
        return FORMATS[self.act]

    @property
    def table_number(self) -> IntFormat | FloatFormat:
        """What tables hold: floating-point numbers where additions round, else integers."""
        if self.arith == "float" and self.float_number is not None:
            return self.float_number
        return self.number

    @property
    def act_bits(self) -> int:
        """Width of one activation in the core's stream, bits."""
        return self.number.bits if self.float_number is None else self.float_number.bits

    @property
    def out_bits(self) -> int:
        """Width of one output in the core's stream, bits."""
        return self.sum_bits if self.sum_number is None else self.sum_number.bits

    @property
    def codebook_name(self) -> str:
        """Name of the codebook in effect."""
        return self.codebook or DEFAULT

    @property
    def book(self) -> Codebook:
        """The codebook of one table; that of single weights for the other kinds."""
        return codebook(self.codebook_name, self.mu)

    @property
    def half_table(self) -> bool:
        """True where entries are stored up to sign and negated when fetched."""
        return self.kind == "signflip" or (self.kind == "lut" and self.table != "full")

    @property
    def registered_table(self) -> bool:
        return self.storage == "registers"

    @property
    def builder_name(self) -> str:
        return self.builder or "minimal"

    @property
    def tile_n(self) -> int:
        """Inputs consumed by one tile: n = L·µ."""
        return self.tables * self.mu

    @property
    def tile_m(self) -> int:
        """Outputs served by one tile: m = K."""
        return self.ports

    @property
    def weight_bits(self) -> int:
        """Bits of the key stream per table and port and tile: a key, or one full weight."""
        return self.act_bits if self.kind == "multiplier" else self.book.key_bits

    @property
    def term(self) -> Interval:
        """Range of one activation times one weight; both ends are reached."""
        return term_range(self.number, self.kind == "multiplier")

    @property
    def term_bits(self) -> int:
        """Width of what one port fetches from one table, bits.

        With k non-zeros in an entry at most: B + ⌈log2 k⌉ for a half table, whose entries leave as
        one's complements with a carry; B + ⌊log2 k⌋ + 1 for a full one; 2·B for a product.
        """
        if self.kind == "multiplier":
            return 2 * self.number.bits
        return Interval(self.group.low, self.group.high - self.half_table).bits

    @property
    def group(self) -> Interval:
        """Range of the sum of one group: of as many terms as weights can be other than 0."""
        return self.term.times(self.book.most_non_zeros)

    @property
    def exact_acc_bits(self) -> int:
        """Signed bits that hold every sum of ``max_in_features`` inputs, terms at either end."""
        return self.term.times(self.book.most_in(self.max_in_features)).bits

    @property
    def sum_bits(self) -> int:
        """Width of one accumulator, bits."""
        return self.exact_acc_bits if self.acc_bits is None else self.acc_bits
