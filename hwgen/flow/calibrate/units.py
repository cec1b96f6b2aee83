"""The units that calibration measures as the generator builds them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from amaranth.hdl import Fragment

from hwgen.rtl.base import Emission, Unit
from hwgen.rtl.fixed import FromFixed, ToFixed
from hwgen.rtl.floating import FloatReduce, Widen
from hwgen.rtl.fp import FpAdd, FpMul
from hwgen.spec.fixed import FixedPoint, FromFixedSpec, ToFixedSpec
from hwgen.spec.fp import FpAddSpec, FpMulSpec
from hwgen.spec.number import FLOATS, FloatFormat
from hwgen.spec.primitive import ACT_FLOATS, EXACT_FLOATS, TARGETS, WIDENINGS, Primitive
from hwgen.spec.rounding import FloatReduceSpec, WidenSpec


def generated(primitive: Primitive) -> tuple[str, str]:
    """RTLIL and name of a floating-point unit or conversion, as the generator builds it."""
    unit = UNITS[primitive.kind](primitive.width, primitive.fan_in)
    emission = Emission()
    Fragment.get(unit, emission)
    rtlil = "\n".join(module.rtlil for module in emission.modules.values())
    return rtlil, unit.spec.module_name


Maker = Callable[[int, int], Unit[Any]]
"""Makes a unit from the width and the fan-in of its primitive."""
SUM_GROWTH = 16
"""Bits by which an aligned sum is wider than its activations where its conversion is measured."""


def _add(number: FloatFormat, width: int, stages: int) -> Unit[Any]:
    return FpAdd(FpAddSpec(number, stages - 1))


def _chain(number: FloatFormat, width: int, stages: int) -> Unit[Any]:
    return FloatReduce(FloatReduceSpec(number, 4, (), stages - 1))


def _mul(number: FloatFormat, width: int, stages: int) -> Unit[Any]:
    return FpMul(FpMulSpec(number, stages - 1))


def _to_fixed(number: FloatFormat, aligned: bool, width: int, _: int) -> Unit[Any]:
    return ToFixed(ToFixedSpec(FixedPoint(number, width if aligned else None)))


def _from_fixed(
    number: FloatFormat, aligned: bool, target: FloatFormat, width: int, _: int
) -> Unit[Any]:
    point = FixedPoint(number, width - SUM_GROWTH if aligned else None)
    return FromFixed(FromFixedSpec(target, width, point))


def _widen(spec: WidenSpec, width: int, _: int) -> Unit[Any]:
    return Widen(spec)


def _units() -> dict[str, Maker]:
    units: dict[str, Maker] = {f"fp_add_{f.name}": partial(_add, f) for f in FLOATS.values()}
    units |= {f"fp_chain_{f.name}": partial(_chain, f) for f in FLOATS.values()}
    for name in ACT_FLOATS:
        f = FLOATS[name]
        units[f"fp_mul_{name}"] = partial(_mul, f)
        for how in ("aligned", "fixed") if name in EXACT_FLOATS else ("aligned",):
            aligned = how == "aligned"
            units[f"to_{how}_{name}"] = partial(_to_fixed, f, aligned)
            for to in TARGETS[name]:
                units[f"from_{how}_{name}_{to}"] = partial(_from_fixed, f, aligned, FLOATS[to])
    for spec in WIDENINGS:
        units[spec.module_name] = partial(_widen, spec)
    return units


UNITS = _units()
