"""Predicted against synthesised area of whole cores in the generic technology.

The unit costs come from single primitives, so that every core here is one they were not fitted to.

    python benchmarks/area.py
"""

from __future__ import annotations

from costmodel.area import core_area
from costmodel.synth import synthesise
from costmodel.technology import load_technology
from hwgen.config import CoreConfig, Pipeline
from hwgen.emit import emit
from hwgen.exploration import describe
from hwgen.structure import structure

LIMITS = {"max_in_features": 8192, "max_out_features": 8192}
CORES = [
    CoreConfig(kind="lut", mu=1, tables=12, ports=6, **LIMITS),
    CoreConfig(kind="lut", mu=2, tables=8, ports=8, **LIMITS),
    CoreConfig(kind="lut", mu=3, tables=4, ports=8, reuse=2, **LIMITS),
    CoreConfig(kind="lut", mu=3, tables=4, ports=8, storage="registers", **LIMITS),
    CoreConfig(
        kind="lut", mu=4, tables=3, ports=4, builder="chain", pipeline=Pipeline(fetch=1), **LIMITS
    ),
    CoreConfig(kind="lut", act="int4", mu=2, tables=8, ports=4, table="full", **LIMITS),
    CoreConfig(kind="signflip", tables=16, ports=4, reuse=4, **LIMITS),
    CoreConfig(kind="multiplier", act="int5", tables=4, ports=6, **LIMITS),
]


def main() -> None:
    """Print one line per core and the mean absolute error."""
    technology = load_technology("generic")
    errors = []
    print(f"{'core':44} {'predicted':>10} {'synthesised':>12} {'error':>7}")
    for core in CORES:
        emitted = emit(core)
        predicted = core_area(structure(core), technology).total
        measured = synthesise(emitted.rtlil, emitted.name).area
        errors.append(predicted / measured - 1)
        print(f"{describe(core):44} {predicted:10,.0f} {measured:12,.0f} {errors[-1]:7.1%}")
    mean = sum(map(abs, errors)) / len(errors)
    print(f"mean absolute error {mean:.1%}, largest {max(map(abs, errors)):.1%}")


if __name__ == "__main__":
    main()
