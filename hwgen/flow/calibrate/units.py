"""The units that calibration measures as the generator builds them."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Fragment

from costmodel.cells.paths import ELEMENTS, ElementKind
from hwgen.rtl.base import Emission, Unit
from hwgen.rtl.fixed import FromFixed, ToFixed
from hwgen.rtl.floating import FloatReduce, Widen
from hwgen.rtl.fp import FpAdd, FpMul
from hwgen.spec.fixed import FixedPoint, FromFixedSpec, ToFixedSpec
from hwgen.spec.fp import FpAddSpec, FpMulSpec
from hwgen.spec.primitive import Family, Primitive
from hwgen.spec.rounding import FloatReduceSpec, WidenSpec


def generated(primitive: Primitive) -> tuple[str, str]:
    """RTLIL and name of a floating-point unit or conversion, as the generator builds it."""
    unit = _unit(ELEMENTS[primitive.kind], primitive.width, primitive.fan_in)
    emission = Emission()
    Fragment.get(unit, emission)
    rtlil = "\n".join(module.rtlil for module in emission.modules.values())
    return rtlil, unit.spec.module_name


SUM_GROWTH = 16
"""Bits by which an aligned sum is wider than its activations where its conversion is measured."""


def _unit(kind: ElementKind, width: int, stages: int) -> Unit[Any]:
    """What the generator builds for a kind of element, from the sizes of its primitive."""
    number, target = kind.number, kind.target
    assert number is not None
    match kind.family:
        case Family.FP_ADD if kind.chain:
            return FloatReduce(FloatReduceSpec(number, 4, (), stages - 1))
        case Family.FP_ADD:
            return FpAdd(FpAddSpec(number, stages - 1))
        case Family.FP_MUL:
            return FpMul(FpMulSpec(number, stages - 1))
        case Family.TO_FIXED:
            return ToFixed(ToFixedSpec(FixedPoint(number, width if kind.aligned else None)))
    assert target is not None
    if kind.family is Family.WIDEN:
        return Widen(WidenSpec(number, target))
    point = FixedPoint(number, width - SUM_GROWTH if kind.aligned else None)
    return FromFixed(FromFixedSpec(target, width, point))
