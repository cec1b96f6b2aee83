"""Pipelines of rounding sums, their reduction and accumulation, as plain data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from hwgen.spec.number import FloatFormat


class RegisterStage(NamedTuple):
    """One register stage of a tree of adders: after ``level``, or inside its adders.

    ``inner`` is 0 after the level, else it counts the registers inside the level's adders from 1.
    """

    level: int
    inner: int


def pipeline_stages(
    levels: int, registers: int, cuts: tuple[int, ...]
) -> tuple[RegisterStage, ...]:
    """All stages of a tree of ``levels`` levels whose adders have ``registers`` registers each."""
    stages = []
    for level in range(levels + 1):
        if level:
            stages += [RegisterStage(level, inner) for inner in range(1, registers + 1)]
        if level in cuts:
            stages.append(RegisterStage(level, 0))
    return tuple(stages)


@dataclass(frozen=True)
class FloatReduceSpec:
    """The rounding reduction of one port: level by level, 2i + (2i + 1), an odd one passes.

    ``cuts`` are the levels after which registers stand; ``registers`` stand in every adder.
    """

    number: FloatFormat
    terms: int
    cuts: tuple[int, ...]
    registers: int = 0

    @property
    def module_name(self) -> str:
        adders = f"_add{self.registers}" if self.registers else ""
        cuts = "".join(f"_r{cut}" for cut in self.cuts)
        return f"reduce_{self.terms}x{self.number.name}{adders}{cuts}"

    @property
    def term_bits(self) -> int:
        return self.number.bits

    @property
    def word_bits(self) -> int:
        return self.number.bits

    @property
    def carry(self) -> bool:
        return False

    @cached_property
    def widths(self) -> tuple[int, ...]:
        """Words of each level, the terms first."""
        widths = [self.terms]
        while widths[-1] > 1:
            widths.append((widths[-1] + 1) // 2)
        return tuple(widths)

    @cached_property
    def stages(self) -> tuple[RegisterStage, ...]:
        """Register stages in order, the first one nearest to the terms."""
        return pipeline_stages(len(self.widths) - 1, self.registers, self.cuts)

    @property
    def register_stages(self) -> int:
        """Register stages."""
        return len(self.stages)

    def stage_words(self, stage: RegisterStage) -> int:
        """Words that a stage registers, apart from what its adders do inside: an odd one."""
        return self.widths[stage.level - 1] % 2 if stage.inner else self.widths[stage.level]


@dataclass(frozen=True)
class WidenSpec:
    """A number of one format in another one that holds all its numbers."""

    source: FloatFormat
    target: FloatFormat

    @property
    def is_wires(self) -> bool:
        """Whether zeros at the end of the mantissa do it: equal exponents and special values."""
        return (
            self.source.exponent_bits == self.target.exponent_bits
            and self.source.infinities == self.target.infinities
        )

    @property
    def module_name(self) -> str:
        return f"fp_widen_{self.source.name}_{self.target.name}"


@dataclass(frozen=True)
class FloatAccumulateSpec:
    """The rounding accumulators of one port, of the format ``number``, and their one adder.

    Totals come in the format ``term``. ``registers`` stand in the adder.
    """

    number: FloatFormat
    reuse: int
    term: FloatFormat
    registers: int = 0

    @property
    def module_name(self) -> str:
        term = f"_from_{self.term.name}" if self.widen else ""
        adder = f"_add{self.registers}" if self.registers else ""
        return f"accumulate_d{self.reuse}_{self.number.name}{term}{adder}"

    @property
    def widen(self) -> WidenSpec | None:
        """What turns a total into the accumulator's format, where they differ."""
        return None if self.term == self.number else WidenSpec(self.term, self.number)

    @property
    def register_stages(self) -> int:
        """Register stages between reading an accumulator and writing it."""
        return self.registers

    @property
    def word_bits(self) -> int:
        return self.term.bits

    @property
    def sum_bits(self) -> int:
        return self.number.bits

    @property
    def carry(self) -> bool:
        return False

    @property
    def index_bits(self) -> int:
        return (self.reuse - 1).bit_length()
