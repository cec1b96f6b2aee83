"""Emitted Verilog as Yosys reads it: cells of each module, and how often each module stands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT = """
import sys
from pyosys import libyosys as ys
design = ys.Design()
for command in sys.argv[1].split(";"):
    ys.run_pass(command, design)
"""


def yosys(commands: list[str], cwd: Path) -> str:
    """Run Yosys commands in their own process; AssertionError with the output if one fails."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, ";".join(commands)], cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


@dataclass(frozen=True)
class Netlist:
    """Modules of a design after some passes."""

    modules: dict[str, Any]
    instances: Counter[str]

    def cells(self, name_part: str = "", without: str = r"\n") -> Counter[tuple[str, int]]:
        """(type, output width) to number, over the design, in modules with that part in the name.

        Modules in whose name the pattern ``without`` is found are left out.

        The width counts only result bits that something could read: an adder written
        ``{a,1} + {b,c}`` has one more, whose wire is called unused.
        """
        found: Counter[tuple[str, int]] = Counter()
        for name, module in self.modules.items():
            if name_part not in name or re.search(without, name):
                continue
            unused = {
                bit
                for net, value in module["netnames"].items()
                if net.startswith("unused_")
                for bit in value["bits"]
            }
            for cell in module["cells"].values():
                output = cell["connections"].get("Q") or cell["connections"].get("Y") or []
                width = len([bit for bit in output if bit not in unused])
                found[cell["type"], width] += self.instances[name]
        return found


def read(verilog: str, top: str, folder: Path, passes: tuple[str, ...] = ("proc",)) -> Netlist:
    """The design after ``hierarchy`` and ``passes``."""
    (folder / f"{top}.v").write_text(verilog)
    commands = [f"read_verilog {top}.v", f"hierarchy -check -top {top}", *passes]
    yosys([*commands, f"write_json {top}.json"], folder)
    modules = json.loads((folder / f"{top}.json").read_text())["modules"]
    instances: Counter[str] = Counter()

    def visit(name: str, times: int) -> None:
        instances[name] += times
        children = Counter(c["type"] for c in modules[name]["cells"].values())
        for child, number in children.items():
            if child in modules:
                visit(child, times * number)

    visit(top, 1)
    return Netlist(modules, instances)
