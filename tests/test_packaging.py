"""The packages work on their own, without the project around them, as from a wheel."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

PACKAGES = ("hwgen", "costmodel", "sim")
FILES = [path for name in PACKAGES for path in sorted((ROOT / name).rglob("*.py"))]
ALONE = """
import pathlib, sys
from costmodel.target.choice import all_targets
from costmodel.judge.samples import load_samples
from hwgen.flow.calibrate import gates
from hwgen.flow.estimate import estimate
from hwgen.spec.config import CoreConfig
from sim.workload.zoo import load_model, model_names

here = pathlib.Path(gates.__file__).parents[3]
assert here == pathlib.Path(sys.argv[1]), here
for target in all_targets():
    assert target.calibrated and target.recorded, target.name
    estimate(pathlib.Path("core.yaml"), target.name).to_dict()
assert load_samples().cores
assert all(load_model(name).ternary_weights for name in model_names())
assert gates.digits_work(CoreConfig(kind="lut", mu=2, tables=4, ports=4)).weights.any()
"""


def ups(node: ast.expr) -> int | None:
    """Folders that ``Path(__file__)…`` goes up; None for another expression."""
    if isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute):
            inner = ups(node.func.value)
            return None if inner is None else inner + (node.func.attr == "with_name")
        names = [arg.id for arg in node.args if isinstance(arg, ast.Name)]
        return 0 if names == ["__file__"] else None
    if isinstance(node, ast.Attribute):
        inner = ups(node.value)
        return None if inner is None else inner + (node.attr == "parent")
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        inner = ups(node.value)
        return None if inner is None else inner + int(node.slice.value) + 1
    return None


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_no_module_looks_outside_its_package(path):
    depth = len(path.relative_to(ROOT).parts) - 1  # To the package, not out of it.
    found = [ups(node) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))]
    assert max((number for number in found if number is not None), default=0) <= depth


def test_the_ways_up_are_counted():
    for text, number in (
        ("Path(__file__)", 0),
        ("Path(__file__).parent", 1),
        ("Path(__file__).parents[3]", 4),
        ("Path(__file__).parent.parent", 2),
        ("Path(__file__).with_name('x')", 1),
        ("Path(other).parent", None),
    ):
        assert ups(ast.parse(text, mode="eval").body) == number


def test_the_packages_work_alone(tmp_path):
    """Copied to an empty folder they find all their data, and change none of it."""
    for name in PACKAGES:
        skip = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / "site" / name, ignore=skip)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "site").rglob("*.*")}
    (tmp_path / "core.yaml").write_text("{kind: lut, mu: 2, tables: 2, ports: 2}\n")
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "HWGEN_LIBERTY_PATH", "HWGEN_DATA")
    }
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(tmp_path / "site")],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(tmp_path / "site"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "site").rglob("*.*")} == before
    assert not Path(tmp_path / "examples").exists()
