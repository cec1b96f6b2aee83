"""Real synthesis with Yosys and ABC: the one definition of a synthesised area.

Every job runs in a separate process, so that a crash of the tool becomes an error message and does
not end the caller.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import Field, ValidationError

from costmodel.catalog import PACKAGE
from costmodel.liberty.library import Library, read_liberty, read_packed
from costmodel.liberty.parser import LibertyError
from costmodel.netlist.netlist import Netlist, read_netlist
from costmodel.netlist.netlist import depth as logic_depth
from costmodel.netlist.timing import FORMAT, Conditions, End, PathStep, Start, analyse
from costmodel.synth.stat import ModuleArea, read_hierarchy
from hwgen.base.cachedir import cache_dir
from hwgen.base.errors import HwgenError
from hwgen.base.files import write_atomically
from hwgen.base.yamlfile import Strict

Language = Literal["rtlil", "verilog"]

GENERIC_LIBERTY = PACKAGE / "tech" / "generic.lib"

READERS: Mapping[Language, tuple[str, str]] = {
    "rtlil": ("read_rtlil", "source.il"),
    "verilog": ("read_verilog", "source.v"),
}
"""Command and file name for each source language."""

ABC_SCRIPT = """\
strash
&get -n
&fraig -x
&put
scorr
dc2
dretime
strash
&get -n
&dch -f
&nf -R 1000
&put
"""
"""Yosys' own script for Liberty files, but mapped for area. ``-R 1000`` relaxes the delay, which
``&nf`` otherwise keeps at its minimum; that costs 2 … 30 % of the area of a fetch multiplexer and
5 % of that of adders."""

MAX_FANOUT = 16
"""Most sinks of a net after ABC. Between 8 and 32, area changes by 3 % and delay by 5 % (a small
table core, three libraries)."""

ABC_BUFFERS = f"""\
buffer -p -N {MAX_FANOUT}
topo
dnsize
"""
"""Commands under ``conditions``: they insert inverters and buffers where a net has too many sinks,
then make every cell as small as possible without losing more than 1 ns. There is no delay target:
the script is the same for every design, and area and delay come from one netlist. Compared with
none of these commands, a core of 7000 cells has 2.4 … 2.6 % more area and 22 … 51 % less delay, one
of 90,000 cells 3.9 … 4.5 % and 77 … 87 %."""

WORKER = """\
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.stdin.read().splitlines():
    libyosys.run_pass(command, design)
"""

_HAS_FLIP_FLOP = re.compile(rb"(?:^|[{};])\s*ff\s*\(", re.MULTILINE)
_PASS = re.compile(r"^-- Running command `(.*)' --$", re.MULTILINE)
_ERROR = re.compile(r"^(?:.*: )?ERROR: (.*)$", re.MULTILINE)


class SynthesisError(HwgenError):
    """Synthesis failed; the message names the pass and the log."""


class AdderMap(NamedTuple):
    """How to map sums to adder cells: Verilog for Yosys."""

    cells: str
    """The cells as black boxes."""
    techmap: str
    """What ``$add`` and ``$sub`` become."""


class Synthesis(Strict):
    """Result of one synthesis; areas in the unit of the Liberty files (generic: GE)."""

    top: Annotated[str, Field(description="top module")]
    area: Annotated[float, Field(ge=0, description="all cells")]
    sequential_area: Annotated[float, Field(ge=0, description="flip-flops among them")]
    cells: Annotated[dict[str, int], Field(description="cell type to number, sorted by name")]
    modules: Annotated[
        tuple[ModuleArea, ...],
        Field(description="every module, sorted by name; only the top one if flattened"),
    ]
    full_adders: Annotated[
        bool, Field(description="sums were mapped to adder cells instead of gates")
    ] = False
    depth: Annotated[
        int | None,
        Field(ge=0, description="cells on the longest path, without flip-flops; None: not asked"),
    ] = None
    delay_ns: Annotated[
        float | None, Field(ge=0, description="least clock period; None: not asked")
    ] = None
    path_start: Annotated[Start | None, Field(description="where the path of delay_ns starts")] = (
        None
    )
    path_end: Annotated[End | None, Field(description="where it ends")] = None
    critical_path: Annotated[
        tuple[PathStep, ...], Field(description="its cells; their delays add up to delay_ns")
    ] = ()
    tool: Annotated[str, Field(description="tool and version")]


@cache
def tool_version() -> str:
    """Tool and version that ``synthesise`` runs, such as ``pyosys 0.70``."""
    return f"pyosys {version('pyosys')}"


def synthesise(
    source: str,
    top: str,
    liberty: Sequence[Path] = (GENERIC_LIBERTY,),
    language: Language = "rtlil",
    flatten: bool = True,
    *,
    dont_use: Sequence[str] = (),
    conditions: Conditions | None = None,
    adders: AdderMap | None = None,
    depth: bool = False,
    timing: bool = False,
    use_cache: bool = True,
    limit_s: float = 3600,
) -> Synthesis:
    """Synthesise ``top`` of ``source`` to the cells of ``liberty`` and add up their area.

    Script: ``synth -noalumacc -flatten``, ``dfflibmap``, ``abc`` for least area without a delay
    target, ``opt_clean -purge``, ``stat``. Cell area only: no wires, no clock tree, and buffers
    only under ``conditions``. The same source, Liberty contents and tool version give the same
    result.

    source: RTLIL or Verilog text, no file name.
    liberty: one or more files, plain or ``.gz``; the first one with flip-flops serves for them.
    flatten: False keeps the hierarchy and reports every module; its total differs from the
        flattened one, as nothing is optimised across modules.
    dont_use: patterns of cells that must not be used.
    conditions: what surrounds the netlist; with them ABC buffers nets of more than MAX_FANOUT sinks
        and sizes cells (see ABC_BUFFERS), so that the area is that of a netlist of sane delays.
    adders: map sums to adder cells, which ABC does not do by itself; None: to gates.
    depth: also count the cells of the longest path.
    timing: also find the delay and the critical path of the flattened netlist, without wires (see
        ``costmodel.netlist.timing``); needs conditions, and counts ``depth``. Modules that were
        synthesised apart (``flatten=False``) are not buffered across their borders.
    use_cache: read and write the result in the cache folder.
    limit_s: wall-clock limit, seconds.
    Raises SynthesisError if a pass fails, a cell has no area, the limit is reached, or timing is
    asked of a library without delays; TimingError or LibertyError for a netlist that cannot be
    timed; ValueError without a Liberty file, or for timing without conditions.
    """
    if not liberty:
        raise ValueError("synthesise needs at least one Liberty file")
    libraries = [read_file(path) for path in liberty]
    cells = read_liberty(liberty) if depth or timing else None
    if timing and cells is not None:
        _check_delays(top, cells)
        if conditions is None:
            raise ValueError("timing needs conditions")
    steps = commands(
        top, libraries, language, flatten, dont_use, conditions, adders, cells is not None
    )
    script = ABC_SCRIPT + (ABC_BUFFERS if conditions else "")
    constraints = conditions.abc_constraints() if conditions else ""
    texts = [script, *steps, *([constraints] if conditions else []), *(adders or ())]
    if cells is not None:
        texts += [FORMAT, str(timing and conditions)]
    key = cache_key(texts, source, [library.digest for library in libraries])
    cached = cache_dir() / "synth" / f"{key}.json"
    if use_cache and (hit := read_cached(Synthesis, cached)) is not None:
        return hit
    with tempfile.TemporaryDirectory(prefix="hwgen-synth-") as name:
        folder = Path(name)
        lay_out(folder, source, language, libraries, script, constraints, adders)
        run_yosys(folder, steps, top, cache_dir() / "synth" / f"{key}.log", limit_s)
        result = _parse(json.loads((folder / "stat.json").read_text()), top)
        result = result.model_copy(update={"full_adders": adders is not None})
        if cells is not None:
            text = (folder / "netlist.json").read_text(encoding="utf-8")
            netlist = read_netlist(text, top, cells)
            text = ""
            result = _timed(result, netlist, conditions if timing else None)
    if use_cache:
        write_atomically({cached: result.model_dump_json()})
    return result


def lay_out(
    folder: Path,
    source: str,
    language: Language,
    libraries: list[LibertyFile],
    script: str,
    constraints: str,
    adders: AdderMap | None,
) -> None:
    """Write the files that the commands read."""
    (folder / READERS[language][1]).write_text(source, encoding="utf-8")
    (folder / "map.abc").write_text(script, encoding="utf-8")
    (folder / "constraints").write_text(constraints, encoding="utf-8")
    for file, text in zip(("adders.v", "techmap.v"), adders or (), strict=False):
        (folder / file).write_text(text, encoding="utf-8")
    for index, library in enumerate(libraries):
        (folder / f"{index}.lib").symlink_to(library.file)


def commands(
    top: str,
    libraries: list[LibertyFile],
    language: Language,
    flatten: bool,
    dont_use: Sequence[str],
    conditions: Conditions | None,
    adders: AdderMap | None,
    netlist: bool,
) -> list[str]:
    sequential = next((i for i, library in enumerate(libraries) if library.has_flip_flop), None)
    if sequential is None:
        raise SynthesisError(f"{top}: liberty: no file has a flip-flop; add the sequential cells")
    files = "".join(f" -liberty {index}.lib" for index in range(len(libraries)))
    banned = "".join(f" -dont_use {pattern}" for pattern in dont_use)
    synth = f"synth -noalumacc{' -flatten' if flatten else ''} -top {top}"
    mapping = ["read_verilog -lib adders.v", "techmap -map techmap.v"]
    return [
        " ".join(READERS[language]),
        f"hierarchy -check -top {top}",
        *([f"{synth} -run begin:fine", *mapping, f"{synth} -run fine:"] if adders else [synth]),
        f"dfflibmap -liberty {sequential}.lib{banned}",
        f"abc -script map.abc{' -constr constraints' if conditions else ''}{files}{banned}",
        "opt_clean -purge",
        f"tee -q -o stat.json stat -json{files}",
        *(["flatten -noscopeinfo"] if netlist and not flatten else []),
        *(["write_json netlist.json"] if netlist else []),
    ]


def _check_delays(top: str, library: Library) -> None:
    """SynthesisError if the library's flip-flops have no delays, as those of ``generic``."""
    outputs = [
        pin.arcs
        for cell in library.cells.values()
        if cell.storage == "ff"
        for pin in cell.pins.values()
        if pin.direction == "output"
    ]
    if not any(outputs):
        raise SynthesisError(
            f"{top}: timing: {library.name} has area and logic depth only, as its flip-flops have "
            "no delays; take a technology with delays"
        )


def _timed(result: Synthesis, netlist: Netlist, conditions: Conditions | None) -> Synthesis:
    update: dict[str, Any] = {"depth": logic_depth(netlist)}
    if conditions is not None:
        timing = analyse(netlist, conditions)
        update |= {
            "delay_ns": timing.delay_ns,
            "path_start": timing.start,
            "path_end": timing.end,
            "critical_path": timing.path,
        }
    return result.model_copy(update=update)


def run_yosys(folder: Path, commands: list[str], top: str, kept_log: Path, limit_s: float) -> None:
    """Run ``commands`` in ``folder``, in a separate process.

    Raises SynthesisError if a pass fails or the limit is reached; it names the pass, the top module
    and the log.
    """
    log = folder / "log"
    try:
        with log.open("wb") as file:
            status = subprocess.run(
                [sys.executable, "-c", WORKER],
                input="\n".join(commands).encode(),
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=folder,
                # Yosys caches Liberty files in the temporary folder, by name.
                env={**os.environ, "TMPDIR": str(folder)},
                timeout=limit_s,
                check=False,
            ).returncode
        reason = f"stopped with exit code {status}" if status > 0 else f"killed by signal {-status}"
    except subprocess.TimeoutExpired:
        status, reason = 1, f"not done after {limit_s:g} s"
    text = log.read_text(encoding="utf-8", errors="replace")
    if status == 0 and (unknown := re.search(r"Area for cell type (\S+) is unknown", text)):
        status, reason = 1, f"no cell of the Liberty files implements {unknown[1]}"
    if status == 0:
        return
    if errors := _ERROR.findall(text):
        reason = errors[-1].rstrip(".")
    begun = _PASS.findall(text)
    where = begun[-1] if begun else "start of Yosys"
    write_atomically({kept_log: text})
    raise SynthesisError(f"{top}: {where}: {reason}; see {kept_log}")


def _parse(stat: dict[str, Any], top: str) -> Synthesis:
    hierarchy = read_hierarchy(stat, top)
    return Synthesis(
        top=top,
        area=hierarchy.area[top],
        sequential_area=float(stat["modules"][f"\\{top}"].get("sequential_area", 0)),
        cells=dict(sorted(hierarchy.cells.items())),
        modules=hierarchy.module_areas(),
        tool=tool_version(),
    )


class LibertyFile(NamedTuple):
    """A Liberty file, unpacked in the cache folder, and facts about its text."""

    file: Path
    digest: bytes
    has_flip_flop: bool


def read_file(path: Path) -> LibertyFile:
    """A Liberty file, unpacked.

    Read once in a process, as these files are large; again if the file has changed.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise SynthesisError(f"{path}: cannot be read: {error.strerror}") from None
    file = _unpack(path, stat.st_mtime_ns, stat.st_size, cache_dir())
    if not file.file.exists():
        _unpack.cache_clear()
        file = _unpack(path, stat.st_mtime_ns, stat.st_size, cache_dir())
    return file


@lru_cache(maxsize=64)
def _unpack(path: Path, changed_ns: int, size: int, folder: Path) -> LibertyFile:
    try:
        content = read_packed(path)
    except LibertyError as error:
        raise SynthesisError(str(error)) from None
    digest = hashlib.sha256(content)
    file = folder / "liberty" / f"{digest.hexdigest()[:32]}.lib"
    if not file.exists():
        write_atomically({file: content})
    return LibertyFile(file, digest.digest(), _HAS_FLIP_FLOP.search(content) is not None)


def cache_key(texts: list[str], source: str, libraries: Sequence[bytes] = ()) -> str:
    """Name of a result in the cache, made of everything that it depends on, the tool's version too.

    libraries: SHA-256 digests of the Liberty files.
    """
    digest = hashlib.sha256()
    for text in (tool_version(), *texts, source):
        digest.update(hashlib.sha256(text.encode()).digest())
    for library in libraries:
        digest.update(library)
    return digest.hexdigest()[:32]


ResultT = TypeVar("ResultT", bound=Strict)


def read_cached(model: type[ResultT], path: Path) -> ResultT | None:
    """The result in ``path``; None if there is none that can be read."""
    try:
        return model.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
