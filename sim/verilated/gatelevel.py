"""Mapped netlists in simulation: the same driver and streams as the RTL, and toggles of every net.

Zero-delay: a net that would glitch on its way to a new value counts once a cycle, so that energies
from these toggles leave glitches out. The clock is not counted; it toggles twice a cycle.
"""

from __future__ import annotations

import ctypes
import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwgen.base.cachedir import cache_dir
from sim.verilated import model
from sim.verilated.runner import CoreModel, Packed, Result, Work

HEADER = Path(__file__).with_name("gatelevel.h")
CELLS = "cells.v"
FLAGS = ["-DVM_TRACE=1", "-DVM_TRACE_SAIF=1"]
RUNTIME = (*model.RUNTIME, "verilated_saif_c.cpp")
LEVEL = "-O0"
SETTINGS = f"""`verilator_config
tracing_off --file "*{CELLS}"
lint_off
"""
START = 40
"""The first sample lasts 2^40 time units (gatelevel.h)."""
_NET = re.compile(r"\(n(\d+) \(T0 \d+\) \(T1 (\d+)\) \(TZ 0\) \(TX 0\) \(TB 0\) \(TC (\d+)\)\)")


@dataclass(frozen=True)
class Toggles:
    """What was seen, by the nets' numbers in the netlist's JSON.

    toggles: changes from one cycle to the next. high: cycles at 1. tiles: key beats that moved.
    """

    toggles: dict[int, int]
    high: dict[int, int]
    cycles: int
    tiles: int


class GateModel(CoreModel):
    """A core's mapped netlist, compiled.

    netlist: JSON of the flat netlist as Yosys writes it. cells: Verilog of its cells' behaviour.
    manifest: of the core. Every run starts from reset with random register contents; one at a time.
    """

    def __init__(self, netlist: str, cells: str, manifest: dict[str, Any]) -> None:
        self._cells = cells
        super().__init__(verilog(netlist, manifest["top"]), manifest)
        self._library = ctypes.CDLL(str(self.library))
        for name in ("gates_seen", "gates_tiles"):
            getattr(self._library, name).restype = ctypes.c_uint64

    def _compile(self, text: str) -> Path:
        top, ports = self.manifest["top"], model.ports_header(self.manifest)
        parts = [
            *model.VERILATE,
            *model.COMPILE,
            *FLAGS,
            LEVEL,
            SETTINGS,
            HEADER.read_text(),
            ports,
        ]
        key = model.digest(
            text, self._cells, top, model.DRIVER.read_text(), *parts, model.versions()
        )
        folder = cache_dir() / "gates"
        target = folder / f"{key}.so"
        with model.lock(folder / f"{key}.lock"):
            if not target.exists():
                with tempfile.TemporaryDirectory(prefix=f"{key}.", dir=folder) as work:
                    (Path(work) / model.PORTS).write_text(ports)
                    _build(text, self._cells, top, Path(work)).replace(target)
        return target

    def count(
        self, work: Sequence[Work] | Packed, first: int, cycles: int, seed: int = 0
    ) -> tuple[Result, Toggles]:
        """Run ``work`` as `CoreModel.run` does without stalls, and count toggles meanwhile.

        first: cycle after reset at which to begin. cycles: most cycles to count.
        ModelError also if the run ends before the first or if nothing was counted.
        """
        with tempfile.TemporaryDirectory(prefix="hwgen-gates-") as folder:
            file = Path(folder) / "toggles.saif"
            sample = self._library.gates_sample
            sample(str(file).encode(), ctypes.c_uint64(first), ctypes.c_uint64(cycles))
            result = self.run(work, seed=seed)
            seen = self._library.gates_seen()
            if not seen:
                raise model.ModelError(
                    f"{self.manifest['top']}: toggles: the run ended before cycle {first + 1}"
                )
            text = file.read_text()
        toggles, high = _read_saif(text)
        if not toggles:
            raise model.ModelError(f"{self.manifest['top']}: toggles: the SAIF file has no nets")
        return result, Toggles(toggles, high, seen, self._library.gates_tiles())


def verilog(netlist: str, top: str) -> str:
    """Verilog of a flat netlist in Yosys's JSON; net 7 is called n7, cells u0, u1, …"""
    module = json.loads(netlist)["modules"][top]
    ports, nets, body = module["ports"], set[int](), list[str]()

    def name(bit: int | str) -> str:
        if isinstance(bit, int):
            nets.add(bit)
            return f"n{bit}"
        return f"1'b{bit}"

    head = []
    for port, about in ports.items():
        head.append(f"{about['direction']} [{len(about['bits']) - 1}:0] {port}")
        for place, bit in enumerate(about["bits"]):
            pair = (name(bit), f"{port}[{place}]")
            left, right = pair if about["direction"] == "input" else reversed(pair)
            body.append(f"assign {left} = {right};")
    for number, cell in enumerate(module["cells"].values()):
        pins = [f".{pin}({name(bits[0])})" for pin, bits in cell["connections"].items() if bits]
        body.append(f"{cell['type']} u{number} ({', '.join(pins)});")
    wires = [f"wire n{net};" for net in sorted(nets)]
    return "\n".join([f"module {top} ({', '.join(head)});", *wires, *body, "endmodule", ""])


def _read_saif(text: str) -> tuple[dict[int, int], dict[int, int]]:
    toggles: dict[int, int] = {}
    high: dict[int, int] = {}
    for net, ones, changes in _NET.findall(text):
        at_start, after = divmod(int(ones), 1 << START)
        toggles[int(net)] = int(changes) - at_start
        high[int(net)] = after + at_start
    return toggles, high


def _build(text: str, cells: str, top: str, work: Path) -> Path:
    (work / "netlist.v").write_text(text)
    (work / CELLS).write_text(cells)
    (work / "gates.vlt").write_text(SETTINGS)
    options = [*model.VERILATE, "--trace-saif", "--trace-underscore", "--top-module", top]
    files = ["gates.vlt", "netlist.v", CELLS]
    model.run_tool(["verilator", *options, "-Mdir", str(work), *files], work, f"Verilator on {top}")
    flags = [flag for flag in model.COMPILE if not flag.startswith("-DVM_TRACE")] + FLAGS
    runtime = model.runtime(RUNTIME, flags)
    flags += [f"-I{model.INCLUDE}", f"-I{model.INCLUDE / 'vltstd'}", f"-I{work}"]
    # One unit, as reading Verilator's headers takes longer than what follows; -O0, as a few hundred
    # cycles run faster than an optimiser does.
    parts = [*sorted(work.glob("Vcore*.cpp")), HEADER, model.DRIVER]
    everything = work / "gates.cpp"
    everything.write_text("".join(f'#include "{path}"\n' for path in parts))
    built = work / "model.so"
    command = ["g++", LEVEL, *flags, "-shared", "-o", str(built), str(everything)]
    model.run_tool([*command, *map(str, runtime), "-lpthread"], work, f"g++ on {top}")
    return built
