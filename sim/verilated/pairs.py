"""Compiled models of units with two operands: arrays of pairs in, arrays of results out."""

from __future__ import annotations

import ctypes
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwgen.base.cachedir import cache_dir
from sim.verilated.model import (
    COMPILE,
    INCLUDE,
    VERILATE,
    digest,
    headers,
    lock,
    run_tool,
    runtime,
    versions,
)

DRIVER = Path(__file__).with_name("pairs.cpp")
LEVEL = "-O2"

Codes = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class PairUnit:
    """A compiled unit: inputs ``a`` and ``b``, output ``o``, each of at most 32 bits.

    With ``registers`` above 0 it has ``clk`` and ``load``, one bit for each register.
    """

    library: Path
    registers: int

    def run(self, a: Codes, b: Codes, *, latency: int | None = None, seed: int = 1) -> Codes:
        """``o`` for every pair, one pair per cycle with all registers loading.

        a, b: (P,) unsigned integers of the same type, the operands' codes; no more bits than ports.
        latency: cycles from a pair to the result that is taken for its own; the unit's
            ``registers`` unless a test asks for others.
        seed: of what the registers hold at the start.
        Returns (P,) of the type of ``a``.
        """
        if a.ndim != 1 or a.shape != b.shape or a.dtype != b.dtype or a.dtype.kind != "u":
            raise ValueError(
                f"a, b: must be unsigned and of one length and type, "
                f"not {a.dtype}{a.shape} and {b.dtype}{b.shape}"
            )
        operands = [np.ascontiguousarray(x, dtype=np.uint32) for x in (a, b)]
        found = np.empty(a.shape, dtype=np.uint32)
        if a.size:
            ctypes.CDLL(str(self.library)).pairs_run(
                *(ctypes.c_void_p(x.ctypes.data) for x in (*operands, found)),
                ctypes.c_uint64(a.size),
                ctypes.c_uint64(self.registers if latency is None else latency),
                ctypes.c_uint64(seed),
            )
        return found.astype(a.dtype, copy=False)


def pair_unit(verilog: str, top: str, registers: int, *, cache: bool = True) -> PairUnit:
    """Compile the unit ``top``; cached by a hash of everything that goes into it.

    Safe when several processes build the same one. Without ``cache`` it is built anew.
    """
    compile_unit = [LEVEL, *COMPILE, f"-DREGISTERS={registers}"]
    key = digest(verilog, top, DRIVER.read_text(), *VERILATE, *compile_unit, versions())
    folder = cache_dir() / "units"
    target = folder / f"{key}.so"
    if cache and target.exists():
        return PairUnit(target, registers)
    with lock(folder / f"{key}.lock"):
        if not cache or not target.exists():  # Another process may have built it meanwhile.
            with tempfile.TemporaryDirectory(prefix=f"{key}.", dir=folder) as work:
                _build(verilog, top, compile_unit, Path(work)).replace(target)
    return PairUnit(target, registers)


def _build(verilog: str, top: str, compile_unit: list[str], work: Path) -> Path:
    source = work / f"{top}.v"
    source.write_text(verilog)
    verilate = ["verilator", *VERILATE, "--top-module", top, "-Mdir", str(work), str(source)]
    run_tool(verilate, work, f"Verilator on {top}")
    everything = work / "unit.cpp"
    parts = [*sorted(work.glob("Vcore*.cpp")), DRIVER]
    everything.write_text("".join(f'#include "{path}"\n' for path in parts))
    built = work / "unit.so"
    flags = [*compile_unit, f"-I{INCLUDE}", f"-I{INCLUDE / 'vltstd'}", f"-I{work}"]
    flags += ["-include", str(headers(LEVEL))]
    objects = map(str, runtime())
    command = ["g++", *flags, "-shared", "-o", str(built), str(everything), *objects, "-lpthread"]
    run_tool(command, work, f"g++ on {top}")
    return built
