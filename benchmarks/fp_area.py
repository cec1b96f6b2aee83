"""Synthesised area of the combinational floating-point units, in gate equivalents.

For the generic library and every other technology whose Liberty files are found (`hwgen doctor`),
each with its own NAND2 as gate and with its full-adder cells, as `hwgen compare` synthesises.

    python benchmarks/fp_area.py
"""

from __future__ import annotations

import time

from amaranth.hdl import Fragment

from costmodel.catalog import PACKAGED
from costmodel.synth.libraries import MissingFilesError, TechnologyFiles, find_library
from hwgen.rtl.base import Emission
from hwgen.rtl.fp import FpAdd, FpMul
from hwgen.spec.fp import FpAddSpec, FpMulSpec
from hwgen.spec.number import FLOATS


def found() -> list[TechnologyFiles]:
    """The packaged technologies whose files are there."""
    libraries = []
    for name in PACKAGED:
        try:
            libraries.append(find_library(name))
        except MissingFilesError:
            continue
    return libraries


def main() -> None:
    """Print one line per unit."""
    libraries = found()
    gates = [library.gate_area() for library in libraries]
    headings = "".join(f"{f'{library.name}, GE':>16}" for library in libraries)
    print(f"{'unit':16}{headings}{'s':>8}")
    for number in FLOATS.values():
        for unit in (FpAdd(FpAddSpec(number)), FpMul(FpMulSpec(number))):
            emission = Emission()
            Fragment.get(unit, emission)
            module = emission.modules[unit.spec.module_name]
            start = time.perf_counter()
            areas = [
                library.synthesise(module.rtlil, module.name).area / gate
                for library, gate in zip(libraries, gates, strict=True)
            ]
            seconds = time.perf_counter() - start
            cells = "".join(f"{area:16,.0f}" for area in areas)
            print(f"{module.name:16}{cells}{seconds:8.1f}", flush=True)


if __name__ == "__main__":
    main()
