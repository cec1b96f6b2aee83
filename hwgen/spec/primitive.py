"""Primitives: the vocabulary in which a core's structure is counted and costed, as plain data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

from hwgen.spec.number import FLOATS, MAX_FIXED_BITS, FloatFormat
from hwgen.spec.rounding import WidenSpec


class Family(Enum):
    """What primitives of a kind do; a family's kinds differ in details or in number formats."""

    ADDER = auto()
    NEGATE = auto()
    MULTIPLIER = auto()
    SELECT = auto()
    ROW = auto()
    EQUAL = auto()
    CLAMP = auto()
    REGISTER = auto()
    FP_ADD = auto()
    FP_MUL = auto()
    TO_FIXED = auto()
    FROM_FIXED = auto()
    WIDEN = auto()


GENERATED = frozenset(
    (Family.FP_ADD, Family.FP_MUL, Family.TO_FIXED, Family.FROM_FIXED, Family.WIDEN)
)
"""Families of units too large to be written down again where they are measured."""


class Kind(NamedTuple):
    """One kind of primitive: its name in files and labels, what it is, and its number formats.

    number: that it takes, and gives unless ``target`` is another. aligned: of fixed point, whether
    numbers are aligned to an exponent (`hwgen.spec.fixed`). enable, reset: of a register.
    """

    name: str
    family: Family
    meaning: str
    number: FloatFormat | None = None
    target: FloatFormat | None = None
    aligned: bool = False
    enable: bool = False
    reset: bool = False


ACT_FLOATS = ("fp16", "bf16", "fp8_e4m3", "fp8_e5m2")
"""Floating-point formats that activations may have."""
EXACT_FLOATS = tuple(name for name in ACT_FLOATS if FLOATS[name].fixed_bits <= MAX_FIXED_BITS)
"""Those among them whose every number fits an integer of reasonable width."""
TARGETS = {
    source: tuple(name for name, target in FLOATS.items() if target.holds(FLOATS[source]))
    for source in ACT_FLOATS
}
"""Formats that hold all numbers of an activation's."""
WIDENINGS = tuple(
    WidenSpec(FLOATS[source], FLOATS[target])
    for source, targets in TARGETS.items()
    for target in targets
    if not WidenSpec(FLOATS[source], FLOATS[target]).is_wires
)
"""Conversions to a wider format that take logic."""


def _kinds() -> tuple[Kind, ...]:
    """Every kind; this is the only place that makes their names."""
    f = Family
    kinds = [
        Kind("adder", f.ADDER, "a + b or a - b, `width` result bits"),
        Kind(
            "adder_carry",
            f.ADDER,
            "a + b + carry-in, written {a,1} + {b,c}, `width` result bits",
        ),
        Kind("negate", f.NEGATE, "0 - a, `width` result bits"),
        Kind(
            "fetch_mux",
            f.SELECT,
            "one of `fan_in` words of `width` bits by a binary index; 0 above the last",
        ),
        Kind(
            "mux",
            f.SELECT,
            "one of `fan_in` words of `width` bits by a binary index; anything above the last",
        ),
        Kind("xor_row", f.ROW, "`width` bits, each XOR one shared bit"),
        Kind("and_row", f.ROW, "`width` bits, each AND one shared bit"),
        Kind(
            "multiplier",
            f.MULTIPLIER,
            "signed a × b, `fan_in` bits each, `width` = 2·fan_in result bits",
        ),
        Kind("clamp", f.CLAMP, "signed saturation from `fan_in` bits to `width` bits"),
        Kind("equal", f.EQUAL, "equality of two words of `width` bits, or of one with a constant"),
        Kind("gate", f.ROW, "`width` two-input gates of control"),
        Kind("register", f.REGISTER, "`width` flip-flops that load every cycle"),
        Kind(
            "register_enable",
            f.REGISTER,
            "`width` flip-flops with one shared enable",
            enable=True,
        ),
        Kind(
            "register_reset",
            f.REGISTER,
            "`width` flip-flops with one shared synchronous reset",
            reset=True,
        ),
        Kind(
            "register_enable_reset",
            f.REGISTER,
            "`width` flip-flops with shared enable and synchronous reset",
            enable=True,
            reset=True,
        ),
    ]
    stages = "of `width` bits, in `fan_in` stages, with the `fan_in` - 1 registers between them"
    for name, number in FLOATS.items():
        meaning = f"rounding sum of two {name} numbers {stages}"
        kinds.append(Kind(f"fp_add_{name}", f.FP_ADD, meaning, number))
    for name in ACT_FLOATS:
        meaning = f"rounded product of two {name} numbers {stages}"
        kinds.append(Kind(f"fp_mul_{name}", f.FP_MUL, meaning, FLOATS[name]))
        kinds += _conversions(name, aligned=True)
    for name in EXACT_FLOATS:
        kinds += _conversions(name, aligned=False)
    for spec in WIDENINGS:
        source, target = spec.source, spec.target
        meaning = f"{source.name} to {target.name} of `width` bits, exact"
        name = f"fp_widen_{source.name}_{target.name}"
        kinds.append(Kind(name, f.WIDEN, meaning, source, target))
    return tuple(kinds)


def _conversions(name: str, aligned: bool) -> Iterator[Kind]:
    """To fixed point and, in each possible format, back."""
    number, how = FLOATS[name], "aligned" if aligned else "fixed"
    meaning = f"{name} to an integer of `width` bits, {'aligned' if aligned else 'exact'}"
    yield Kind(f"to_{how}_{name}", Family.TO_FIXED, meaning, number, aligned=aligned)
    for to in TARGETS[name]:
        meaning = f"an integer of `width` bits, in units of {name}, rounded to {to}"
        if aligned:
            meaning = f"an aligned integer of `width` bits, from {name}, rounded to {to}"
        target = FLOATS[to]
        yield Kind(f"from_{how}_{name}_{to}", Family.FROM_FIXED, meaning, number, target, aligned)


KINDS: dict[str, Kind] = {kind.name: kind for kind in _kinds()}
"""Every kind of primitive by its name."""
_BY_FORMAT = {
    (kind.family, kind.number, kind.target, kind.aligned): kind.name
    for kind in KINDS.values()
    if kind.number is not None
}


def kind_of(
    family: Family, number: FloatFormat, target: FloatFormat | None = None, aligned: bool = False
) -> str:
    """Name of the kind of a family for these formats."""
    return _BY_FORMAT[family, number, target, aligned]


class Primitive(NamedTuple):
    """One primitive: the name of a kind of ``KINDS`` and its size."""

    kind: str
    width: int
    fan_in: int = 0

    @property
    def family(self) -> Family:
        return KINDS[self.kind].family

    @property
    def label(self) -> str:
        """Short name for tables and JSON, such as ``adder_w10`` or ``fetch_mux_13_w10``."""
        return f"{self.kind}{f'_{self.fan_in}' if self.fan_in else ''}_w{self.width}"


Counts = Counter[Primitive]
"""How many of each primitive."""


def scaled(counts: Counts, factor: int) -> Counts:
    """``factor`` times ``counts``."""
    return Counter({primitive: number * factor for primitive, number in counts.items()})
