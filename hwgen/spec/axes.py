"""Axes of a core: all that commands know of them beside the machine itself.

Files, sweeps, rows of results, manifests, texts and plots read this table. A new axis is a field of
`hwgen.spec.fields.CoreFields` and a row here; what it means is the structure's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from hwgen.spec.codebook import DEFAULT, codebook
from hwgen.spec.number import FLOATS, FORMATS, MAX_FIXED_BITS, term_range
from hwgen.spec.primitive import ACT_FLOATS

Value = int | str
Values = Mapping[str, Value | None]
"""Values of axes by their dotted names; None or left out: nothing is said."""


@dataclass(frozen=True)
class Condition:
    """An axis belongs to cores whose axis ``axis`` is one of ``words``.

    fault: what is said where it is not; ``{value}`` is the axis' own, others are those of the core.
    """

    axis: str
    words: tuple[str, ...]
    fault: str


@dataclass(frozen=True)
class Axis:
    """One axis.

    name: of the field, dotted for a setting of a group. type: of its values. letter: in formulas.
    label, unit: of its numbers, for plots. default: the value in effect where a file says nothing;
    where that depends on other axes, ``implied`` tells it from their values, or None where a file
    has to say one. conditions: all of
    them hold for cores that have the axis; ``elsewhere`` is the value in effect at others, None if
    they have none. zero_is_none: 0 asks for nothing, which every core may say and no file needs to.
    size: cores that differ only in sizes have one shape.

    swept: what a sweep takes where its file says nothing, if not the default. of_workload: that is
    what the workload's layers need.

    text: part of a core's short description, shown where the value is not the one that goes without
    saying, or ``always``. tag: part of its name; if ``always``, of cores without the axis, too.
    Both are without the axis if empty.
    """

    name: str
    type: type[Value]
    letter: str = ""
    label: str = ""
    unit: str = ""
    default: Value | None = None
    implied: Callable[[Values], Value | None] | None = None
    conditions: tuple[Condition, ...] = ()
    elsewhere: Value | None = None
    zero_is_none: bool = False
    size: bool = False
    swept: Value | None = None
    of_workload: bool = False
    text: str = ""
    always: bool = False
    tag: str = ""

    @cached_property
    def path(self) -> tuple[str, ...]:
        """The field, and the setting within it for a group."""
        return tuple(self.name.split("."))

    @cached_property
    def column(self) -> str:
        """The axis in a row of results."""
        return self.name.replace(".", "_")

    @property
    def blank(self) -> Value:
        """What stands in a row where a core has no value of the axis."""
        return "" if self.type is str else 0

    def broken(self, values: Values) -> Condition | None:
        """The first condition that does not hold; one on an axis that is not there does."""
        for condition in self.conditions:
            if condition.axis in values and values[condition.axis] not in condition.words:
                return condition
        return None

    def usual(self, values: Values) -> Value | None:
        """The value that goes without saying at a core with these values."""
        return self.default if self.implied is None else self.implied(values)


def _exact_acc_bits(values: Values) -> int:
    """Signed bits that hold every sum of ``max_in_features`` terms of integer activations."""
    number, longest, mu = FORMATS[str(values["act"])], values["max_in_features"], values["mu"]
    assert isinstance(longest, int)
    assert isinstance(mu, int)
    book = codebook(str(values.get("codebook") or DEFAULT), mu)
    return term_range(number, values["kind"] == "multiplier").times(book.most_in(longest)).bits


def _exact_fixed_bits(values: Values) -> int | None:
    """Width of the fixed point that holds every activation, where one may be that wide."""
    exact = FLOATS[str(values["act"])].fixed_bits
    return exact if exact <= MAX_FIXED_BITS else None


def _act_as_sum_format(values: Values) -> str | None:
    """The activations' format, but where the sum of a few of them would overflow in it."""
    act = str(values["act"])
    return None if values["arith"] == "float" and FLOATS[act].bits <= 8 else act


LUT = Condition(
    "kind",
    ("lut",),
    "belongs to kind lut, a {kind} core has no tables; remove it, not {value!r}",
)
INTEGERS = Condition(
    "act", tuple(FORMATS), "belongs to integer activations, not to {act}; remove it"
)
FLOATING = Condition(
    "act", ACT_FLOATS, "belongs to floating-point activations, not to {act}; remove it"
)
FIXED = Condition("arith", ("fixed",), "belongs to arith: fixed; remove it")
BUILDING = Condition("kind", ("lut",), "a {kind} core builds nothing; should be 0, not {value}")
REGISTERS = Condition(
    "storage",
    ("registers",),
    "tables on wires have no registers to cut; should be 0 (or storage: registers), not {value}",
)
ROUNDING = Condition("arith", ("float",), "belongs to arith: float; should be 0, not {value}")
_MULTIPLYING = "belongs to multiplier cores with arith: float; should be 0, not {value}"
MULTIPLYING = (
    Condition("arith", ("float",), _MULTIPLYING),
    Condition("kind", ("multiplier",), _MULTIPLYING),
)

AXES = (
    Axis("kind", str, text="{}", always=True, tag="{}"),
    Axis(
        "act",
        str,
        label="activation format",
        default="int8",
        text="{}",
        always=True,
        tag="{}",
    ),
    Axis(
        "arith",
        str,
        label="arithmetic",
        conditions=(FLOATING,),
        swept="fixed",
        text="{}",
        always=True,
    ),
    Axis(
        "fixed_bits",
        int,
        label="fixed-point width, bits",
        unit="bits",
        implied=_exact_fixed_bits,
        conditions=(FLOATING, FIXED),
        text="{} bits",
    ),
    Axis(
        "sum_format",
        str,
        label="output format",
        implied=_act_as_sum_format,
        conditions=(FLOATING,),
        text="to {}",
    ),
    Axis("codebook", str, default=DEFAULT, conditions=(LUT,), text="{}", tag="{}"),
    Axis(
        "mu",
        int,
        letter="µ",
        label="activations per table µ",
        default=1,
        conditions=(LUT,),
        elsewhere=1,
        text="µ={}",
        always=True,
        tag="mu{}",
    ),
    Axis("tables", int, "L", "tables L", size=True, text="L={}", always=True, tag="l{}"),
    Axis("ports", int, "K", "ports K", size=True, text="K={}", always=True, tag="k{}"),
    Axis("reuse", int, "D", "reuse D", default=1, size=True, text="D={}", always=True, tag="d{}"),
    Axis("table", str, default="half", conditions=(LUT,), text="{}"),
    Axis("storage", str, default="wires", conditions=(LUT,), text="{}"),
    Axis("builder", str, default="minimal", conditions=(LUT,), text="{}"),
    Axis(
        "pipeline.build",
        int,
        default=0,
        conditions=(BUILDING, REGISTERS),
        elsewhere=0,
        zero_is_none=True,
        text="build={}",
    ),
    Axis("pipeline.fetch", int, default=0, zero_is_none=True, text="fetch={}"),
    Axis("pipeline.reduce", int, default=0, zero_is_none=True, text="reduce={}"),
    Axis(
        "pipeline.fp_add",
        int,
        default=0,
        conditions=(ROUNDING,),
        elsewhere=0,
        zero_is_none=True,
        text="fp_add={}",
    ),
    Axis(
        "pipeline.fp_mul",
        int,
        default=0,
        conditions=MULTIPLYING,
        elsewhere=0,
        zero_is_none=True,
        text="fp_mul={}",
    ),
    Axis(
        "acc_bits",
        int,
        label="accumulator width, bits",
        unit="bits",
        implied=_exact_acc_bits,
        conditions=(INTEGERS,),
        text="acc={}",
    ),
    Axis("acc_overflow", str, conditions=(INTEGERS,), text="{}"),
    Axis("max_in_features", int, default=32768, of_workload=True),
    Axis("max_out_features", int, default=32768, of_workload=True),
)
"""Every axis, in the order of a core's file."""
BY_NAME = {axis.name: axis for axis in AXES}
BY_COLUMN = {axis.column: axis for axis in AXES}
SIZES = tuple(axis.name for axis in AXES if axis.size)
NO_AXES = {
    "format": "the version of a file's meaning",
    "name": "of the top module, the same core whatever it is",
}
"""Fields of a core that are not axes, and what they are."""


def with_defaults(said: Values) -> dict[str, Value | None]:
    """Every axis, with its default where nothing is said; None where that depends on others."""
    return {
        axis.name: axis.default if said.get(axis.name) is None else said[axis.name] for axis in AXES
    }


def in_effect(said: Values) -> dict[str, Value]:
    """The values of all axes that a core has, of which a file says those in ``said``."""
    known = with_defaults(said)
    values: dict[str, Value] = {}
    for axis in AXES:
        value = known[axis.name]
        if axis.broken(known) is not None:
            value = axis.elsewhere
        elif value is None:
            value = axis.usual(known)
        if value is not None:
            values[axis.name] = value
    return values


def worth_saying(values: Values) -> dict[str, Value]:
    """What a file says so that these values are in effect; the inverse of `in_effect`.

    Left out are values of axes that the core does not have, and those that follow from others, of
    which some may not be said: a fixed point of full width is the exact one.
    """
    said: dict[str, Value] = {}
    for name, value in values.items():
        axis = BY_NAME[name]
        if value is None or value == "" or axis.broken(values) is not None:
            continue
        if axis.zero_is_none and value == 0:
            continue
        if axis.implied is not None and value == axis.implied(values):
            continue
        said[name] = value
    return said


def nested(values: Values) -> dict[str, object]:
    """A file's mapping, groups within it, from dotted names."""
    content: dict[str, object] = {}
    groups: dict[str, dict[str, Value | None]] = {}
    for name, value in values.items():
        head, _, tail = name.partition(".")
        if tail:
            if head not in groups:
                groups[head] = {}
                content[head] = groups[head]
            groups[head][tail] = value
        else:
            content[name] = value
    return content


def dotted(content: Mapping[str, object]) -> dict[str, Value | None]:
    """Dotted names from a file's mapping; the inverse of `nested`. Other keys are left out."""
    values: dict[str, Value | None] = {}
    for axis in AXES:
        head, _, tail = axis.name.partition(".")
        place: object = content.get(head)
        if tail:
            place = place.get(tail) if isinstance(place, Mapping) else None
        if place is not None:
            assert isinstance(place, Value)
            values[axis.name] = place
    return values
