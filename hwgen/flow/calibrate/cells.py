"""Calibrate: unit costs of a technology from synthesis, written where the cost model reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from amaranth.hdl import Fragment

from costmodel.calibrate.areas import calibrate as measure_technology
from costmodel.calibrate.delays import unit_delays
from costmodel.cells.paths import ELEMENTS, ElementKind
from costmodel.cells.technology import Technology, costs_file
from costmodel.judge import cell_records, energy_records
from costmodel.judge.cell_records import corrected
from costmodel.judge.energy_records import with_energies
from costmodel.synth.libraries import find_library
from hwgen.base.files import write_atomically
from hwgen.base.yamlfile import Strict
from hwgen.rtl.base import Emission, Unit
from hwgen.rtl.fixed import FromFixed, ToFixed
from hwgen.rtl.floating import FloatReduce, Widen
from hwgen.rtl.fp import FpAdd, FpMul
from hwgen.spec.fixed import FixedPoint, FromFixedSpec, ToFixedSpec
from hwgen.spec.fp import FpAddSpec, FpMulSpec
from hwgen.spec.primitive import Family, Primitive
from hwgen.spec.rounding import FloatReduceSpec, WidenSpec


def calibrate(
    tech: str,
    out: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Path:
    """Measure the units of ``tech``, fit corrections, write both as YAML; returns the file.

    Corrections come from the training cores that were synthesised
    (`hwgen.flow.calibrate.cell_samples`), energies from those that were simulated
    (`costmodel.judge.energy_records`), if any.

    tech: ``generic``, whose Liberty file comes with the package, or one whose files are found.
    out: file to write; default: the cost model's own, ``costmodel/tech/<tech>.yaml``, or
        ``unit-costs.yaml`` beside the Liberty files of a technology of the user's own.
    progress: called with the kind just measured, the measurements done, and their number.
    Minutes the first time; goes on where it stopped if interrupted. Raises ConfigError for an
    unknown technology or missing files, SynthesisError if synthesis fails, HwgenError if the file
    cannot be written.
    """
    library = find_library(tech)
    result = measure_technology(library, generated, progress)
    delays = unit_delays(library, generated, progress)
    result = with_energies(corrected(result.model_copy(update={"delays": delays})))
    path = costs_file(tech) if out is None else out
    write_atomically({path: as_yaml(result)})
    if out is None:
        cell_records.predict_again(tech)
        energy_records.predict_again(tech)
    return path


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


def as_yaml(technology: Technology) -> str:
    """``technology`` as the text of its file; the same technology gives the same text."""
    what = f"Unit areas and delays of technology {technology.name}"
    return commented(what, technology.name, technology)


def commented(what: str, name: str, model: Strict) -> str:
    """A calibrated model as YAML, with what it is and how to make it again above it."""
    head = f"# {what}, from synthesis; do not edit.\n# To make it again: hwgen calibrate {name}\n"
    content = {
        key: value for key, value in model.model_dump(mode="json").items() if value is not None
    }
    return head + yaml.dump(content, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=96)


class Dumper(yaml.SafeDumper):
    """Rows of numbers on one line, everything else in blocks."""


def _represent_list(dumper: yaml.SafeDumper, values: list[object]) -> yaml.Node:
    flow = all(isinstance(value, int | float) for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=flow)


Dumper.add_representer(list, _represent_list)
