"""Mapped netlists for simulation: the synthesis of ``costmodel.synth.yosys``, and the functions of
cells."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import NamedTuple

from costmodel.liberty.library import read_liberty
from costmodel.netlist.netlist import Netlist, read_netlist
from costmodel.synth import yosys as synth
from costmodel.synth.libraries import TechnologyFiles
from hwgen.base.cachedir import cache_dir
from hwgen.base.files import write_atomically

_MODULE = re.compile(r"^module (\w+)\(.*?^endmodule$", re.MULTILINE | re.DOTALL)


class Mapped(NamedTuple):
    """A core in cells."""

    json: str
    """as Yosys writes it"""
    netlist: Netlist
    cells: str
    """Verilog of the cells that occur"""


def map_core(rtlil: str, top: str, library: TechnologyFiles, *, flatten: bool = True) -> Mapped:
    """The netlist of which ``library.synthesise`` reports area and delay.

    flatten: False maps every module separately and flattens afterwards, so that the names of the
        instances show the modules; as in ``costmodel.synth.yosys.synthesise``.
    Raises SynthesisError if a pass fails, TimingError or LibertyError for an unusable cell.
    """
    text = _json(rtlil, top, library, flatten)
    netlist = read_netlist(text, top, read_liberty(library.files))
    wanted = {group.type for group in netlist.groups}
    modules = {m[1]: m[0] for m in _MODULE.finditer(_behaviour(library)) if m[1] in wanted}
    if missing := sorted(wanted - modules.keys()):
        raise synth.SynthesisError(f"{top}: cell {missing[0]}: has no functions in {library.name}")
    return Mapped(text, netlist, "\n\n".join(modules[name] for name in sorted(modules)) + "\n")


def _json(rtlil: str, top: str, library: TechnologyFiles, flatten: bool) -> str:
    """The flat netlist as Yosys writes it."""
    options = library.options(top)
    files = [synth.read_file(path) for path in options["liberty"]]
    conditions, adders = options["conditions"], options["adders"]
    steps = synth.commands(
        top, files, "rtlil", flatten, options["dont_use"], conditions, adders, netlist=True
    )
    steps = [step for step in steps if " stat " not in step]
    script = synth.ABC_SCRIPT + (synth.ABC_BUFFERS if conditions else "")
    constraints = conditions.abc_constraints() if conditions else ""
    with tempfile.TemporaryDirectory(prefix="hwgen-map-") as name:
        folder = Path(name)
        synth.lay_out(folder, rtlil, "rtlil", files, script, constraints, adders)
        log = cache_dir() / "synth" / f"{synth.cache_key(steps, rtlil)}.log"
        synth.run_yosys(folder, steps, top, log, limit_s=3600)
        return (folder / "netlist.json").read_text(encoding="utf-8")


def _behaviour(library: TechnologyFiles) -> str:
    """Verilog of all cells of a library, by ``read_liberty`` of Yosys; cached."""
    files = [synth.read_file(path) for path in library.files]
    key = synth.cache_key(["cells"], "", [file.digest for file in files])
    cached: Path = cache_dir() / "liberty" / f"{key}.v"
    if not cached.exists():
        with tempfile.TemporaryDirectory(prefix="hwgen-cells-") as name:
            folder = Path(name)
            commands = []
            for index, file in enumerate(files):
                (folder / f"{index}.lib").symlink_to(file.file)
                commands.append(f"read_liberty -ignore_miss_func {index}.lib")
            commands.append("write_verilog -noattr cells.v")
            log = cached.with_suffix(".log")
            synth.run_yosys(folder, commands, f"cells of {library.name}", log, limit_s=600)
            write_atomically({cached: (folder / "cells.v").read_text(encoding="utf-8")})
    return cached.read_text(encoding="utf-8")
