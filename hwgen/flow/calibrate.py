"""Calibrate: unit costs of a technology from synthesis, written where the cost model reads them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from amaranth.hdl import Fragment

from costmodel.calibrate import calibrate as measure_technology
from costmodel.synth import GENERIC_LIBERTY
from costmodel.technology import TECH_DIR, Technology, load_technology
from hwgen.config import ConfigError
from hwgen.files import write_atomically
from hwgen.fpspec import FpAddSpec, FpMulSpec
from hwgen.number import FLOATS
from hwgen.primitive import Primitive
from hwgen.rtl.base import Emission, Unit
from hwgen.rtl.fixed import FromFixed, ToFixed
from hwgen.rtl.fp import FpAdd, FpMul
from hwgen.spec import FromFixedSpec, ToFixedSpec


def calibrate(
    tech: str,
    out: Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Path:
    """Measure the unit areas of ``tech`` and write them as YAML; returns the file.

    tech: ``generic``, whose Liberty file comes with the package.
    out: file to write; default: the cost model's own, ``costmodel/tech/<tech>.yaml``.
    progress: called with the kind just measured, the measurements done, and their number.
    Minutes the first time; goes on where it stopped if interrupted. Raises ConfigError for another
    technology, SynthesisError if synthesis fails, HwgenError if the file cannot be written.
    """
    if tech != "generic":
        raise ConfigError(f"technology: should be generic, not {tech!r}; nothing else yet")
    result = measure_technology(tech, [GENERIC_LIBERTY], generated, "ge", progress)
    path = TECH_DIR / f"{tech}.yaml" if out is None else out
    write_atomically({path: as_yaml(result)})
    load_technology.cache_clear()
    return path


def generated(primitive: Primitive) -> tuple[str, str]:
    """RTLIL and name of a floating-point unit or conversion, as the generator builds it."""
    first, second, name = primitive.kind.split("_", 2)
    number = FLOATS[name]
    units: dict[str, Callable[[], Unit[Any]]] = {
        "to_fixed": lambda: ToFixed(ToFixedSpec(number)),
        "from_fixed": lambda: FromFixed(FromFixedSpec(number, primitive.width)),
        "fp_add": lambda: FpAdd(FpAddSpec(number, 0)),
        "fp_mul": lambda: FpMul(FpMulSpec(number, 0)),
    }
    unit = units[f"{first}_{second}"]()
    emission = Emission()
    Fragment.get(unit, emission)
    module = emission.modules[unit.spec.module_name]
    return module.rtlil, module.name


def as_yaml(technology: Technology) -> str:
    """``technology`` as the text of its file; the same technology gives the same text."""
    head = (
        f"# Unit areas of technology {technology.name}, from synthesis; do not edit.\n"
        f"# To make it again: hwgen calibrate {technology.name}\n"
    )
    content = technology.model_dump(mode="json")
    return head + yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=96)


class _Dumper(yaml.SafeDumper):
    """Rows of numbers on one line, everything else in blocks."""


def _represent_list(dumper: yaml.SafeDumper, values: list[object]) -> yaml.Node:
    flow = all(isinstance(value, int | float) for value in values)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=flow)


_Dumper.add_representer(list, _represent_list)
