"""Who may import whom, by folder; no circles; tests by path; what never appears in the project."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from fnmatch import fnmatch
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support import ROOT

PACKAGES = ("hwgen", "costmodel", "sim")
STDLIB = sys.stdlib_module_names
GROUND = ("hwgen.base", "hwgen.spec")
MAY_IMPORT: dict[str, tuple[tuple[str, ...], tuple[str, ...] | None]] = {
    # Files: modules of the project, and of others where these are limited.
    "hwgen/base/*": (("hwgen.base",), ("pydantic", "pydantic_core", "yaml", "distributed", "rich")),
    "hwgen/spec/*": (GROUND, ("pydantic", "pydantic_core")),
    "hwgen/space/*": ((*GROUND, "hwgen.space"), ("pydantic", "pydantic_core")),
    "hwgen/rtl/*": (("hwgen.spec", "hwgen.rtl"), ("amaranth",)),
    "hwgen/verilog/*": ((*GROUND, "hwgen.rtl", "hwgen.verilog"), ("amaranth",)),
    "costmodel/*": ((*GROUND, "costmodel"), None),
    "sim/golden/*": (("sim.golden",), ("numpy", "ml_dtypes")),
    "sim/*": ((*GROUND, "sim"), None),
}
"""The first pattern that a file matches counts. Only `hwgen/flow` and `hwgen/cli` join packages."""
NEVER = {"costmodel/*": "amaranth", "sim/*": "amaranth", "hwgen/flow/*": "hwgen.cli"}
FLOORS = {
    "hwgen": ("base", "spec", "rtl space", "verilog", "flow", "tables", "cli api", "__main__"),
    "hwgen/flow": (
        "bandwidth layer checkpoint technology",
        "generate verify inspect",
        "estimate synth compare",
        "simulate calibrate schema",
        "sweep",
        "doctor",
    ),
    "costmodel": (
        "catalog fit",
        "liberty",
        "netlist",
        "synth cells",
        "fpga",
        "calibrate",
        "judge",
        "target explore",
    ),
    "sim": ("golden checkpoints", "verilated", "workload", "nets", "bench"),
}
"""Folders and files from the ground up: each may import from floors below its own."""
WHOLE = ("test_architecture", "test_packaging", "test_readme", "test_notebooks")
"""Tests of the whole project."""


@cache
def modules() -> dict[str, Path]:
    """Every module of the project's packages by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in modules() else node.module)
    return frozenset(found)


def edges() -> dict[str, set[str]]:
    """What each module imports of the project."""
    return {
        name: {other for other in imports(path) if other in modules() and other != name}
        for name, path in modules().items()
    }


def within(name: str, places: tuple[str, ...]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


@pytest.mark.parametrize("name", modules())
def test_a_file_imports_what_its_folder_may(name):
    path = modules()[name]
    place = path.relative_to(ROOT).as_posix()
    rule = next((rule for glob, rule in MAY_IMPORT.items() if fnmatch(place, glob)), None)
    if rule is not None:
        inside, outside = rule
        ours = {found for found in imports(path) if found.split(".")[0] in (*PACKAGES, "tests")}
        assert {found for found in ours if not within(found, inside)} == set()
        others = {found.split(".")[0] for found in imports(path) - ours} - STDLIB
        assert outside is None or others <= set(outside)
    for glob, refused in NEVER.items():
        if fnmatch(place, glob):
            assert not any(within(found, (refused,)) for found in imports(path))
    assert not any(within(found, ("tests", "notebooks")) for found in imports(path))


def test_no_two_files_import_each_other_in_a_circle():
    try:
        list(TopologicalSorter(edges()).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def floor_of(name: str, folder: str) -> int | None:
    """The floor of a module in the picture of a folder; None if it is not there."""
    inner = name.removeprefix(folder.replace("/", ".") + ".")
    if inner == name:
        return None
    room = inner.split(".")[0]
    return next(i for i, rooms in enumerate(FLOORS[folder]) if room in rooms.split())


@pytest.mark.parametrize("folder", FLOORS)
def test_no_import_runs_upwards(folder):
    depth = folder.count("/") + 2
    upwards = []
    for name, others in edges().items():
        here = floor_of(name, folder)
        for other in others:
            there = floor_of(other, folder)
            if here is None or there is None:
                continue
            inside = name.split(".")[:depth] == other.split(".")[:depth]
            if not inside and there >= here:
                upwards.append(f"{name} -> {other}")
    assert upwards == []


def test_every_room_has_a_floor():
    for folder, floors in FLOORS.items():
        there = {p.stem for p in (ROOT / folder).iterdir() if p.suffix == ".py"} | {
            p.name for p in (ROOT / folder).iterdir() if p.is_dir() and any(p.glob("*.py"))
        }
        assert there - {"__init__"} == set(" ".join(floors).split())


def test_a_test_stands_where_its_module_does():
    """tests/a/b/test_c.py tests a/b/c.py, and test_c_x.py one aspect of it."""
    strays = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        place = path.relative_to(ROOT / "tests")
        folder, words = ROOT / place.parent, path.stem.split("_")[1:]
        heads = ["_".join(words[:end]) for end in range(1, len(words) + 1)]
        if path.stem in WHOLE and place.parent == Path():
            continue
        if not any((folder / f"{h}.py").exists() or (folder / h).is_dir() for h in heads):
            strays.append(place.as_posix())
    assert strays == []


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / line for line in done.stdout.splitlines() if (ROOT / line).is_file()]


def test_no_absolute_paths_and_no_registry_addresses():
    pattern = re.compile(r"(?<![\w.])/(?:work|home|root|tmp)/|pypi\.org|files\.pythonhosted")
    for path in tracked():
        if path.suffix in (".py", ".md", ".yaml", ".toml", ".v", ".cpp", ".sh", "") and (
            path != Path(__file__)
        ):
            assert not pattern.search(path.read_text(errors="ignore")), path


def test_verilator_is_here():
    """The suite means little without the simulator: its absence is a failure, not a skip."""
    from sim.verilated.model import verilator_version

    assert verilator_version()
