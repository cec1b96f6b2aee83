"""Small random cores of every kind and axis, legal and by seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import ValidationError

from hwgen.spec.config import CoreConfig
from hwgen.spec.number import FLOATS, FORMATS
from hwgen.spec.primitive import ACT_FLOATS


def draw_cores(seed: int, count: int) -> list[CoreConfig]:
    """``count`` cores called core_0, core_1, …, each with every axis drawn anew.

    Sizes are small, so that all of them can be emitted and read by tools in seconds, and the most
    features and the reuse such that counters of few bits, and single blocks, are among them.
    """
    rng = np.random.default_rng(seed)
    cores: list[CoreConfig] = []
    while len(cores) < count:
        try:
            cores.append(CoreConfig.model_validate(_axes(rng) | {"name": f"core_{len(cores)}"}))
        except ValidationError:  # This combination is not legal.
            continue
    return cores


def _pick(rng: np.random.Generator, values: Sequence[Any]) -> Any:
    return values[int(rng.integers(len(values)))]


def _axes(rng: np.random.Generator) -> dict[str, Any]:
    kind = _pick(rng, ("lut", "lut", "signflip", "multiplier"))
    tables, ports = int(rng.integers(1, 7)), int(rng.integers(1, 5))
    mu = int(rng.integers(1, 5)) if kind == "lut" else 1
    axes: dict[str, Any] = {
        "kind": kind,
        "tables": tables,
        "ports": ports,
        "mu": mu,
        "reuse": _pick(rng, (1, 1, 2, 3, 4, 5, 7, 8)),
        "max_in_features": tables * mu * _pick(rng, (1, 2, 3, 5, 700)),
        "max_out_features": ports * _pick(rng, (1, 2, 3, 4, 7, 700)),
    }
    pipeline = {name: int(rng.integers(0, 3)) for name in ("build", "reduce", "fp_add", "fp_mul")}
    pipeline["fetch"] = int(rng.integers(0, 2))
    if kind == "lut":
        axes["table"] = _pick(rng, ("half", "full"))
        axes["storage"] = _pick(rng, ("wires", "registers"))
        axes["builder"] = _pick(rng, ("minimal", "chain", "naive"))
    if kind != "lut" or axes["storage"] == "wires":
        pipeline["build"] = 0
    if rng.random() < 0.5:
        axes["act"] = _pick(rng, list(FORMATS))
        if rng.random() < 0.3:
            axes["acc_bits"] = int(rng.integers(4, 30))
            axes["acc_overflow"] = _pick(rng, ("wrap", "saturate", None))
    else:
        axes["act"] = _pick(rng, ACT_FLOATS)
        axes["arith"] = "float" if kind == "multiplier" else _pick(rng, ("float", "fixed"))
        if axes["arith"] == "fixed":
            axes["fixed_bits"] = _pick(rng, (None, 5, 12, 18, 24))
        wider = [f.name for f in FLOATS.values() if f.holds(FLOATS[axes["act"]])]
        axes["sum_format"] = _pick(rng, (None, *wider))
    if axes.get("arith") != "float":
        pipeline["fp_add"] = 0
    if axes.get("arith") != "float" or kind != "multiplier":
        pipeline["fp_mul"] = 0
    return axes | {"pipeline": pipeline}
