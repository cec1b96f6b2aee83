"""What a floating-point unit is: its format and its pipeline registers, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hwgen.spec.number import FloatFormat

REGISTERS = range(5)
"""Pipeline registers that a floating-point unit may have."""

ADD_CUTS: dict[int, tuple[int, ...]] = {0: (), 1: (3,), 2: (1, 3), 3: (1, 3, 4), 4: (1, 2, 3, 4)}
"""Registers of an adder to the steps after which they stand: 1 ordered, 2 aligned, 3 added,
4 normalised; the fifth step rounds."""

MUL_CUTS: dict[int, tuple[int, ...]] = {0: (), 1: (2,), 2: (2, 4), 3: (1, 2, 4), 4: (1, 2, 3, 4)}
"""Registers of a multiplier to the steps after which they stand: 1 half of its rows, 2 product,
3 shifted coarsely, 4 normalised; the fifth step rounds."""


@dataclass(frozen=True)
class FpSpec:
    """A unit for ``number`` with ``registers`` pipeline registers, which are its latency."""

    prefix: ClassVar[str]
    all_cuts: ClassVar[dict[int, tuple[int, ...]]]

    number: FloatFormat
    registers: int = 0

    def __post_init__(self) -> None:
        if self.registers not in REGISTERS:
            raise ValueError(f"registers: should be 0 … {REGISTERS[-1]}, not {self.registers}")

    @property
    def module_name(self) -> str:
        registers = f"_r{self.registers}" if self.registers else ""
        return f"{self.prefix}_{self.number.name}{registers}"

    @property
    def cuts(self) -> tuple[int, ...]:
        """Steps after which a register stands, in order."""
        return self.all_cuts[self.registers]


@dataclass(frozen=True)
class FpAddSpec(FpSpec):
    """One adder."""

    prefix = "fp_add"
    all_cuts = ADD_CUTS


@dataclass(frozen=True)
class FpMulSpec(FpSpec):
    """One multiplier."""

    prefix = "fp_mul"
    all_cuts = MUL_CUTS
