"""Primitives: the vocabulary in which a core's structure is counted and costed, as plain data."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

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

FIXED_FORMATS = ("fp16", "fp8_e4m3", "fp8_e5m2")
"""Floating-point formats whose every number fits an integer of reasonable width."""
for _format in FIXED_FORMATS:
    KINDS[f"to_fixed_{_format}"] = f"{_format} to an integer of `width` bits, exact"
    KINDS[f"from_fixed_{_format}"] = f"an integer of `width` bits rounded to {_format}"
ACT_FLOATS = ("fp16", "bf16", "fp8_e4m3", "fp8_e5m2")
"""Floating-point formats that activations may have."""
for _format in ACT_FLOATS:
    KINDS[f"fp_add_{_format}"] = f"rounding sum of two {_format} numbers of `width` bits"
    KINDS[f"fp_mul_{_format}"] = f"rounded product of two {_format} numbers of `width` bits"


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
