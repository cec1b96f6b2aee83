"""Who may import whom, and what never appears in the repository."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLAIN = ["config", "number", "codebook", "dag", "structure", "primitive", "exploration", "keywords"]
PLAIN += [
    "axes",
    "expressions",
    "space",
    "system",
    "fixedspec",
    "floatspec",
    "fpspec",
    "spec",
    "counts",
]


def imports(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def heads(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


@pytest.mark.parametrize("name", PLAIN)
def test_plain_data_imports_nothing_heavy(name):
    allowed = {"pydantic", "pydantic_core", "yaml", "hwgen"} | sys.stdlib_module_names
    path = ROOT / "hwgen" / f"{name}.py"
    assert heads(path) <= allowed
    inside = {found.split(".")[1] for found in imports(path) if found.startswith("hwgen.")}
    assert inside <= set(PLAIN)


@pytest.mark.parametrize("path", sorted((ROOT / "costmodel").rglob("*.py")), ids=lambda p: p.stem)
def test_costmodel_never_sees_hardware_or_simulation(path):
    assert not heads(path) & {"amaranth", "sim"}
    inside = {found.split(".")[1] for found in imports(path) if found.startswith("hwgen.")}
    assert inside <= {*PLAIN, "cachedir", "files", "jobs"}


@pytest.mark.parametrize("path", sorted((ROOT / "sim").rglob("*.py")), ids=lambda p: p.stem)
def test_sim_never_sees_hardware_or_costs(path):
    assert not heads(path) & {"amaranth", "costmodel"}
    inside = {found.split(".")[1] for found in imports(path) if found.startswith("hwgen.")}
    assert inside <= {*PLAIN, "cachedir"}


def test_golden_imports_numpy_only():
    assert heads(ROOT / "sim" / "golden.py") <= {"numpy"} | sys.stdlib_module_names


@pytest.mark.parametrize("path", sorted((ROOT / "hwgen").rglob("*.py")), ids=lambda p: p.stem)
def test_only_flow_and_cli_join_the_packages(path):
    parts = path.relative_to(ROOT).parts
    if parts[1] not in ("flow", "cli"):
        assert not heads(path) & {"costmodel", "sim"}
    assert not heads(path) & {"tests", "notebooks"}


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
    from sim.model import verilator_version

    assert verilator_version()
