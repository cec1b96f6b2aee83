"""Primitives: the vocabulary in which a core's structure is counted and costed, as plain data."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from hwgen.spec.number import FLOATS, MAX_FIXED_BITS
from hwgen.spec.rounding import WidenSpec

KINDS = {
    "adder": "a + b or a - b, `width` result bits",
    "adder_carry": "a + b + carry-in, written {a,1} + {b,c}, `width` result bits",
    "negate": "0 - a, `width` result bits",
    "fetch_mux": "one of `fan_in` words of `width` bits by a binary index; 0 above the last",
    "mux": "one of `fan_in` words of `width` bits by a binary index; anything above the last",
    "xor_row": "`width` bits, each XOR one shared bit",
    "and_row": "`width` bits, each AND one shared bit",
    "multiplier": "signed a × b, `fan_in` bits each, `width` = 2·fan_in result bits",
    "clamp": "signed saturation from `fan_in` bits to `width` bits",
    "equal": "equality of two words of `width` bits, or of one with a constant",
    "gate": "`width` two-input gates of control",
    "register": "`width` flip-flops that load every cycle",
    "register_enable": "`width` flip-flops with one shared enable",
    "register_reset": "`width` flip-flops with one shared synchronous reset",
    "register_enable_reset": "`width` flip-flops with shared enable and synchronous reset",
}

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

for _format in FLOATS:
    KINDS[f"fp_add_{_format}"] = (
        f"rounding sum of two {_format} numbers of `width` bits, in `fan_in` stages, with the "
        "`fan_in` - 1 registers between them"
    )
for _format in ACT_FLOATS:
    KINDS[f"fp_mul_{_format}"] = (
        f"rounded product of two {_format} numbers of `width` bits, in `fan_in` stages, with the "
        "`fan_in` - 1 registers between them"
    )
    KINDS[f"to_aligned_{_format}"] = f"{_format} to an integer of `width` bits, aligned"
    for _target in TARGETS[_format]:
        KINDS[f"from_aligned_{_format}_{_target}"] = (
            f"an aligned integer of `width` bits, from {_format}, rounded to {_target}"
        )
for _format in EXACT_FLOATS:
    KINDS[f"to_fixed_{_format}"] = f"{_format} to an integer of `width` bits, exact"
    for _target in TARGETS[_format]:
        KINDS[f"from_fixed_{_format}_{_target}"] = (
            f"an integer of `width` bits, in units of {_format}, rounded to {_target}"
        )
for _widening in WIDENINGS:
    KINDS[_widening.module_name] = (
        f"{_widening.source.name} to {_widening.target.name} of `width` bits, exact"
    )


class Primitive(NamedTuple):
    """One primitive: a kind of ``KINDS`` and its size."""

    kind: str
    width: int
    fan_in: int = 0

    @property
    def label(self) -> str:
        """Short name for tables and JSON, such as ``adder_w10`` or ``fetch_mux_13_w10``."""
        return f"{self.kind}{f'_{self.fan_in}' if self.fan_in else ''}_w{self.width}"


Counts = Counter[Primitive]
"""How many of each primitive."""


def scaled(counts: Counts, factor: int) -> Counts:
    """``factor`` times ``counts``."""
    return Counter({primitive: number * factor for primitive, number in counts.items()})
