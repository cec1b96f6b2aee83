"""Run cocotb benches on generated cores: built once, each run in a process of its own."""

from __future__ import annotations

import importlib.metadata
import json
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from cocotb_tools import config as cocotb_config
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

from hwgen.base.cachedir import cache_dir
from hwgen.base.errors import HwgenError
from sim.verilated import model

BENCHES = "sim.bench.core"
MANIFEST = "HWGEN_MANIFEST"
LIMIT_S = "HWGEN_LIMIT_S"
CLOCK_NS = 2
# Only the top's ports are visible: with every signal public, nothing could be optimised.
VERILATE = [
    *("--cc", "--vpi", "--public-depth", "1", "--prefix", "Vtop", "-O3"),
    *("--x-initial", "unique", "--no-timing", "--timescale", "1ns/1ps"),
]
VPI = ("verilated_vpi.cpp",)
VPI_LEVEL = "-O0"
"""A bench spends its time in Python: optimising this takes 8 s more and gains nothing."""


class BenchError(HwgenError):
    """Benches failed, or did not run."""


@dataclass(frozen=True)
class BenchResult:
    """One bench that passed: simulated nanoseconds, and the seconds that it took."""

    name: str
    simulated_ns: float
    seconds: float


def run_benches(
    verilog: str,
    manifest: dict[str, Any],
    folder: Path,
    *,
    seed: int,
    benches: Sequence[str] = (),
    limit_s: float = 120,
) -> list[BenchResult]:
    """Run the benches of sim.bench.core on a core, in a simulator process of their own.

    verilog, manifest: as `hwgen generate` writes them.
    folder: where manifest, log and results of this run go; one for each run.
    seed: of all stimulus and of the registers' contents at start.
    benches: names to run; default: all.
    limit_s: wall-clock seconds after which the simulator ends itself.

    BenchError unless at least one bench ran and all passed.
    """
    top = manifest["top"]
    executable = build(verilog, top)
    folder.mkdir(parents=True, exist_ok=True)
    manifest_file = folder / "manifest.json"
    manifest_file.write_text(json.dumps(manifest))
    results, log = folder / "results.xml", folder / "bench.log"
    # Under pytest the runner raises or exits where benches failed: the results tell more.
    with suppress(RuntimeError, SystemExit):
        get_runner("verilator").test(
            BENCHES,
            hdl_toplevel=top,
            hdl_toplevel_lang="verilog",
            build_dir=executable.parent,
            test_dir=folder,
            results_xml=str(results.resolve()),
            log_file=log,
            seed=seed,
            test_filter=rf"\.({'|'.join(benches)})(/|$)" if benches else None,
            plusargs=["+verilator+rand+reset+2", f"+verilator+seed+{seed % (2**31 - 2) + 1}"],
            extra_env={MANIFEST: str(manifest_file.resolve()), LIMIT_S: str(limit_s)},
        )
    where = f"{top}: seed {seed}"
    if not results.exists():
        raise BenchError(f"{where}: no results (limit {limit_s} s):\n{_last_words(log)}")
    ran, failed = get_results(results)
    cases = ElementTree.parse(results).getroot().findall("testsuite/testcase")
    if not ran or any(case.find("skipped") is not None for case in cases):
        raise BenchError(f"{where}: {ran} benches ran, some were skipped or none was found")
    if failed:
        faults = (f"  {case.get('name')}: {_fault(case)}" for case in cases if _fault(case))
        raise BenchError(f"{where}: {failed} of {ran} benches failed:\n" + "\n".join(faults))
    return [_result(case) for case in cases]


def build(verilog: str, top: str) -> Path:
    """The simulator of a core for cocotb: an executable in a folder of its own.

    Cached by a hash of everything that goes into it; safe when several processes build the same
    one.
    """
    versions = f"{model.versions()} cocotb {importlib.metadata.version('cocotb')}"
    libs = Path(cocotb_config.libs_dir)
    key = model.digest(
        verilog, top, model.NO_INLINE, *VERILATE, *model.COMPILE, VPI_LEVEL, versions, str(libs)
    )
    parent = cache_dir() / "cocotb"
    target = parent / key / top
    if target.exists():
        return target
    with model.lock(parent / f"{key}.lock"):
        if not target.exists():  # Another process may have built it meanwhile.
            with tempfile.TemporaryDirectory(prefix=f"{key}.", dir=parent) as work:
                built = _build(verilog, top, Path(work), libs)
                target.parent.mkdir(exist_ok=True)
                built.replace(target)
    return target


def _build(verilog: str, top: str, work: Path, libs: Path) -> Path:
    source, config = work / f"{top}.v", work / "model.vlt"
    source.write_text(verilog)
    config.write_text(model.NO_INLINE)
    verilate = ["verilator", *VERILATE, "--top-module", top, "-Mdir", str(work)]
    model.run_tool([*verilate, str(config), str(source)], work, f"Verilator on {top}")
    main = Path(cocotb_config.share_dir) / "lib" / "verilator" / "verilator.cpp"
    objects = model.compile_model(work, "Vtop", [main], top)
    objects += [*model.runtime(), *model.runtime(VPI, level=VPI_LEVEL)]
    link = [f"-Wl,-rpath,{libs}", f"-L{libs}", "-lcocotbvpi_verilator", "-lpthread"]
    model.run_tool(
        ["g++", "-rdynamic", "-o", str(work / top), *map(str, objects), *link],
        work,
        f"linking {top}",
    )
    return work / top


def _last_words(log: Path) -> str:
    """The innermost frames where the limit struck, else the end of the log."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else ["the log is missing"]
    starts = (at for at, line in enumerate(lines) if line.startswith("Timeout ("))
    start = next(starts, max(0, len(lines) - 30))
    return "\n".join(lines[start : start + 30])


def _fault(case: ElementTree.Element) -> str:
    """Why a bench failed, on one line; empty where it passed."""
    for kind in ("failure", "error"):
        if (found := case.find(kind)) is not None:
            lines = (found.get("message") or found.text or "failed").strip().splitlines()
            return f"{found.get('type')}: {lines[0][:300]}"
    return ""


def _result(case: ElementTree.Element) -> BenchResult:
    facts = {fact.get("name"): fact.get("value") for fact in case.iter("property")}
    duration = float(facts["sim_time_duration"] or 0)
    assert facts["sim_time_unit"] == "ns"
    return BenchResult(case.get("name", ""), duration, float(case.get("time", 0)))
