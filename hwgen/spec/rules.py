"""What is legal between the fields of a core; a fault is a line without the file's name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from hwgen.spec.axes import AXES, BY_NAME, Value, with_defaults
from hwgen.spec.codebook import CODEBOOKS
from hwgen.spec.derived import DerivedFields
from hwgen.spec.fields import MAX_SIZE
from hwgen.spec.number import FLOATS, MAX_FIXED_BITS, FloatFormat

MAX_TABLE_PORTS = 1 << 24
SIZE_RANGE = f"should be 1 … {MAX_SIZE}"


def in_size_range(size: Any) -> Any:
    """Whether a size, or each of an array, is what a file may say."""
    return (size >= 1) & (size <= MAX_SIZE)


class Sizes(NamedTuple):
    """Tables, ports and reuse: integers, or integer arrays that broadcast against each other."""

    tables: Any = 1
    ports: Any = 1
    reuse: Any = 1


Number = Callable[[DerivedFields, Sizes], Any]


class SizeRule(NamedTuple):
    """``small`` is at most ``large``, for the fields of a core and any sizes instead of its own.

    reason: the rule without numbers of the core. A fault says after it both numbers, ``small`` as
    the limit, or only ``small``, and then ``remedy``.
    """

    reason: str
    small: Number
    large: Number
    remedy: str = ""
    small_is_limit: bool = True

    def holds(self, core: DerivedFields, sizes: Sizes) -> Any:
        """Truth, or an array of it."""
        return self.small(core, sizes) <= self.large(core, sizes)

    def fault(self, core: DerivedFields) -> str:
        """What is said of a core that breaks the rule."""
        sizes = sizes_of(core)
        small, large = self.small(core, sizes), self.large(core, sizes)
        numbers = f" = {small}, not {large}" if self.small_is_limit else f", not {small}"
        return f"{self.reason}{numbers}{self.remedy}"


SIZE_RULES = (
    SizeRule(
        f"tables × ports × (entries + 1): should be at most {MAX_TABLE_PORTS}",
        lambda core, sizes: sizes.tables * sizes.ports * (len(core.book.entries) + 1),
        lambda core, sizes: MAX_TABLE_PORTS,
        "; make mu, tables or ports smaller",
        small_is_limit=False,
    ),
    SizeRule(
        "max_in_features: should be at least tables × mu",
        lambda core, sizes: sizes.tables * core.mu,
        lambda core, sizes: core.max_in_features,
    ),
    SizeRule(
        "max_out_features: should be at least ports",
        lambda core, sizes: sizes.ports,
        lambda core, sizes: core.max_out_features,
    ),
)
"""All rules in which tables, ports or reuse occur."""
SIZE_RULES_WITHOUT_ENTRIES = SIZE_RULES[1:]
"""Those that hold for a group size that the codebook does not have."""


def sizes_of(core: DerivedFields) -> Sizes:
    """A core's own."""
    return Sizes(core.tables, core.ports, core.reuse)


def reason_of(fault: str) -> str:
    """A fault without the values that broke the rule, so that reasons can be counted."""
    return fault.split(", not ")[0].split(" = ")[0]


def faults(core: DerivedFields) -> Iterator[str]:
    """Everything that is wrong between the fields of a core, a line for each fault."""
    of_numbers, others = misplaced_axes(core)
    yield from of_numbers
    yield from number_faults(core)
    yield from others
    rule = CODEBOOKS[core.codebook_name]
    known = core.mu in rule.sizes
    if not known and core.kind == "lut":
        yield f"mu: should be {rule.sizes_text} for codebook {core.codebook_name}, not {core.mu}"
    yield from size_faults(core, SIZE_RULES if known else SIZE_RULES_WITHOUT_ENTRIES)
    if known:
        yield from accumulator_faults(core)


def misplaced_axes(core: DerivedFields) -> tuple[list[str], list[str]]:
    """Axes that a core says and does not have, those for the same reason in one line.

    First those that its numbers do not have, which explain other faults of numbers.
    """
    values = core.axis_values()
    known = with_defaults(values)
    names: dict[tuple[bool, str], list[str]] = {}
    for axis in AXES:
        value = values[axis.name]
        if not axis.conditions or value is None or value == axis.elsewhere:
            continue
        condition = axis.broken(known)
        if condition is not None and core.says(axis):
            fault = condition.fault.format(value=value, **known)
            of_numbers = condition.axis in ("act", "arith")
            names.setdefault((of_numbers, fault), []).append(axis.name)
    lines: tuple[list[str], list[str]] = [], []
    for (of_numbers, fault), axes in names.items():
        if len(axes) > 1:
            fault = fault.replace("belongs", "belong").replace("remove it", "remove them")
        lines[0 if of_numbers else 1].append(f"{', '.join(axes)}: {fault}")
    return lines


def size_faults(core: DerivedFields, rules: tuple[SizeRule, ...] = SIZE_RULES) -> Iterator[str]:
    """Rules of `SIZE_RULES` that a core's own sizes break."""
    sizes = sizes_of(core)
    for rule in rules:
        if not rule.holds(core, sizes):
            yield rule.fault(core)


def number_faults(core: DerivedFields) -> Iterator[str]:
    """Faults of floating-point activations, which become what additions take and give."""
    number = core.float_number
    if number is None:
        return
    if core.sum_format is None and _usual(core, "sum_format") is None:
        yield (
            f"sum_format: is required for arith: float on {core.act}, in which the sum of a "
            "few activations overflows; add sum_format: fp16, say, for the accumulators "
            f"(tables and the reduction tree stay {core.act}: they can overflow within a tile)"
        )
    if core.sum_number is not None and not core.sum_number.holds(number):
        formats = ", ".join(f.name for f in FLOATS.values() if f.holds(number))
        yield (
            f"sum_format: should hold every number of {core.act} ({formats}), "
            f"not {core.sum_format!r}"
        )
    if core.arith is None:
        yield f"arith: is required for {core.act} activations; add arith: float or fixed"
    if core.arith == "fixed":
        yield from fixed_faults(core, number)
    if core.kind == "multiplier" and core.arith == "fixed":
        yield (
            "kind: a multiplier's weights have the activations' type, whose products are "
            "too wide for fixed point; should be lut or signflip, not 'multiplier'"
        )


def fixed_faults(core: DerivedFields, number: FloatFormat) -> Iterator[str]:
    """Faults of the fixed point that activations of the format ``number`` become."""
    exact, bits = number.fixed_bits, core.fixed_bits
    if bits is None:
        if _usual(core, "fixed_bits") is None:
            yield (
                f"fixed_bits: is required: {exact} bits would hold every {core.act} exactly, "
                f"at most {MAX_FIXED_BITS} are possible; add fixed_bits: 24, say, which "
                "aligns every token to the exponent that comes with it"
            )
    elif bits > MAX_FIXED_BITS:
        yield f"fixed_bits: should be at most {MAX_FIXED_BITS}, not {bits}"
    elif bits < number.mantissa_bits + 2:
        yield (
            f"fixed_bits: should hold sign and significand of {core.act}, at least "
            f"{number.mantissa_bits + 2} bits, not {bits}"
        )
    elif bits >= exact:
        yield f"fixed_bits: {exact} bits hold every {core.act} exactly; remove it, not {bits}"


def _usual(core: DerivedFields, name: str) -> Value | None:
    """What an axis is where a file does not say it; None if it has to."""
    return BY_NAME[name].usual(core.axis_values())


def accumulator_faults(core: DerivedFields) -> Iterator[str]:
    """Faults of integer accumulators."""
    exact = core.exact_acc_bits
    if core.float_number is not None:
        return
    if core.acc_bits is None:
        if core.acc_overflow is not None:
            yield (
                "acc_overflow: the default accumulator is exact and never overflows; remove it "
                "or give acc_bits"
            )
    elif core.acc_bits < core.term_bits:
        yield (
            f"acc_bits: should hold at least one fetched term, {core.term_bits} bits, "
            f"not {core.acc_bits}"
        )
    elif core.acc_bits < exact and core.acc_overflow is None:
        yield (
            f"acc_bits: {core.acc_bits} bits can overflow (exact is {exact}); "
            "say acc_overflow: wrap or saturate"
        )
    elif core.acc_bits >= exact and core.acc_overflow is not None:
        yield f"acc_overflow: {core.acc_bits} bits never overflow (exact is {exact}); remove it"
