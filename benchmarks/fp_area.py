"""Synthesised area of the combinational floating-point units, in gate equivalents.

Always for the generic library; for ASAP7 as well if HWGEN_LIBERTY_PATH names folders that hold
asap7/*.lib or asap7/*.lib.gz. One gate equivalent is the generic NAND2, or ASAP7's
NAND2x1_ASAP7_75t_R: smaller drive strengths are excluded there, as its cells of fractional size
are.

    python benchmarks/fp_area.py
"""

from __future__ import annotations

import gzip
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

from amaranth.hdl import Fragment

from costmodel.synth import GENERIC_LIBERTY, synthesise
from hwgen.fpspec import FpAddSpec, FpMulSpec
from hwgen.number import FLOATS
from hwgen.rtl.base import Emission
from hwgen.rtl.fp import FpAdd, FpMul

ASAP7_DONT_USE = ("*x1p*_ASAP7*", "*xp*_ASAP7*", "SDF*", "ICG*")
ASAP7_GATE = "NAND2x1_ASAP7_75t_R"


def asap7_files() -> list[Path]:
    """ASAP7's Liberty files; none if there are none."""
    folders = [Path(f) for f in os.environ.get("HWGEN_LIBERTY_PATH", "").split(os.pathsep) if f]
    return sorted(
        file
        for folder in folders
        for pattern in ("*.lib", "*.lib.gz")
        for file in (folder / "asap7").glob(pattern)
    )


def cell_area(files: Sequence[Path], cell: str) -> float:
    """The area that Liberty files state for one cell."""
    pattern = re.compile(rf"\bcell \({cell}\) \{{.*?\barea : ([\d.]+)", re.DOTALL)
    for file in files:
        content = file.read_bytes()
        text = (gzip.decompress(content) if file.suffix == ".gz" else content).decode()
        if found := pattern.search(text):
            return float(found[1])
    raise SystemExit(f"no Liberty file has the cell {cell}")


def main() -> None:
    """Print one line per unit."""
    libraries: dict[str, tuple[Sequence[Path], Sequence[str], float]] = {
        "generic": ((GENERIC_LIBERTY,), (), 1.0)
    }
    if files := asap7_files():
        libraries["asap7"] = (files, ASAP7_DONT_USE, cell_area(files, ASAP7_GATE))
    print(f"{'unit':16}" + "".join(f"{name + ', GE':>14}" for name in libraries) + f"{'s':>8}")
    for number in FLOATS.values():
        for unit in (FpAdd(FpAddSpec(number)), FpMul(FpMulSpec(number))):
            emission = Emission()
            Fragment.get(unit, emission)
            module = emission.modules[unit.spec.module_name]
            start = time.perf_counter()
            areas = [
                synthesise(module.rtlil, module.name, used, dont_use=banned).area / gate
                for used, banned, gate in libraries.values()
            ]
            seconds = time.perf_counter() - start
            print(f"{module.name:16}" + "".join(f"{a:14,.0f}" for a in areas) + f"{seconds:8.1f}")


if __name__ == "__main__":
    main()
