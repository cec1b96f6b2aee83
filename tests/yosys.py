"""Yosys for tests: commands on files of one folder, in a process of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

WORKER = """\
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.stdin.read().splitlines():
    print("@", command, flush=True)
    libyosys.run_pass(command, design)
"""
LIMIT_S = 300


class YosysError(Exception):
    """A command failed: `<command>: <what Yosys said>`."""


def yosys(folder: Path, commands: Iterable[str]) -> None:
    """Run ``commands`` in ``folder``; YosysError names the one that failed."""
    done = subprocess.run(
        [sys.executable, "-c", WORKER],
        cwd=folder,
        input="\n".join(commands),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    if done.returncode:
        command = re.findall(r"^@ (.*)$", done.stdout, re.MULTILINE)[-1]
        said = re.findall(r"^(?:.*: )?ERROR: (.*)$", done.stdout + done.stderr, re.MULTILINE)
        raise YosysError(f"{command}: {said[-1] if said else done.stderr[-500:]}")


def cells(folder: Path, verilog: str, *passes: str) -> dict[str, Counter[str]]:
    """Cells of every module of ``verilog`` by type, children by their module's name.

    passes: commands between reading and counting.
    """
    (folder / "core.v").write_text(verilog)
    count = "tee -q -o stat.json stat -json"
    yosys(folder, ["read_verilog core.v", "hierarchy -check", "proc", *passes, count])
    modules = json.loads((folder / "stat.json").read_text())["modules"]
    return {
        name.removeprefix("\\"): Counter(
            {kind.removeprefix("\\"): n for kind, n in module["num_cells_by_type"].items()}
        )
        for name, module in modules.items()
    }


def instances(modules: dict[str, Counter[str]], top: str) -> Counter[str]:
    """How often each module stands in the design below ``top``, itself once."""
    counts: Counter[str] = Counter()

    def add(name: str, times: int) -> None:
        counts[name] += times
        for kind, number in modules[name].items():
            if kind in modules:
                add(kind, times * number)

    add(top, 1)
    return counts
