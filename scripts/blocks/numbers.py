"""Number formats, and what else of a core is best said in numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import ValidationError

from hwgen.spec.config import CoreConfig
from hwgen.spec.number import FLOATS, FloatFormat
from hwgen.spec.structure import structure
from scripts.blocks.running import run, run_json
from scripts.blocks.table import code, table

MOST_MU = 6


def float_formats() -> Iterator[str]:
    """Fields, ends and special codes of every floating-point format."""
    rows = (
        (
            code(name),
            f"1, {f.exponent_bits}, {f.mantissa_bits}",
            f.bias,
            f"2^{1 - f.bias - f.mantissa_bits}",
            _largest(f),
            "none" if f.infinity is None else f"`{f.infinity:#0{2 + f.bits // 4}x}`",
            f"`{f.quiet_nan:#0{2 + f.bits // 4}x}`",
        )
        for name, f in FLOATS.items()
    )
    head = ("format", "sign, e, m", "bias", "least subnormal", "largest", "infinity", "NaN")
    yield from table(head, rows)


def _largest(f: FloatFormat) -> str:
    exponent, mantissa = divmod(f.largest, 1 << f.mantissa_bits)
    value = (1 + Fraction(mantissa, 1 << f.mantissa_bits)) * Fraction(2) ** (exponent - f.bias)
    return f"{int(value):,}" if value < 10**6 else f"{float(value):.2e}"


def _legal(**fields: object) -> bool:
    try:
        CoreConfig.model_validate({"kind": "signflip", "tables": 1, "ports": 1, **fields})
    except ValidationError:
        return False
    return True


def float_limits() -> Iterator[str]:
    """Legal settings of every floating-point activation, as the configuration accepts them."""
    rows = []
    for act in (name for name in FLOATS if _legal(act=name, arith="float", sum_format=name)):
        widths = [bits for bits in range(200) if _legal(act=act, arith="fixed", fixed_bits=bits)]
        exact = _legal(act=act, arith="fixed")
        usual = {} if exact else {"fixed_bits": widths[0]}
        sums = [f for f in FLOATS if _legal(act=act, arith="fixed", sum_format=f, **usual)]
        rows.append(
            (
                act,
                ", ".join(sums),
                f"{widths[0]} … {widths[-1]}",
                f"{FLOATS[act].fixed_bits} bits" if exact else "no: it is required",
            )
        )
    yield from table(("`act`", "`sum_format`: one of", "`fixed_bits`", "exact without it"), rows)


def table_levels() -> Iterator[str]:
    """Levels of adders of a table, by builder and µ."""
    rows = []
    for full in (False, True):
        for builder in ("minimal", "chain", "naive"):
            core = {"kind": "lut", "tables": 1, "ports": 1, "builder": builder}
            core |= {"table": "full"} if full else {}
            levels = [
                structure(CoreConfig.model_validate(core | {"mu": mu})).build.dag.levels
                for mu in range(1, MOST_MU + 1)
            ]
            where = "full, of integers" if full else "half, or of floating-point numbers"
            rows.append((code(builder), where, *levels))
    mus = [f"µ = {mu}" for mu in range(1, MOST_MU + 1)]
    yield from table(("`builder`", "tables", *mus), rows)


def short_block() -> Iterator[str]:
    """A layer whose last block is shorter than R, and what it takes."""
    with TemporaryDirectory() as folder:
        core = Path(folder) / "core.yaml"
        core.write_text("\n".join(SHORT) + "\n")
        cycles = run_json("estimate", core, "--layer", "1,60,5")["cycles"]
        run("generate", core, "--out", folder)
        latency = json.loads((Path(folder) / "manifest.json").read_text())["latency"]
    yield (
        f"A core with {', '.join(code(line) for line in SHORT)} has a latency of {latency} cycles. "
        f"The layer T, N, M = 1, 60, 5 takes {cycles} cycles on it, not the {12 * 5 + latency} "
        "that one cycle per tile would take."
    )


SHORT = (
    "kind: signflip",
    "act: fp16",
    "arith: float",
    "tables: 5",
    "ports: 1",
    "reuse: 4",
    "pipeline: {fp_add: 2}",
)
"""A core with R = 3."""
