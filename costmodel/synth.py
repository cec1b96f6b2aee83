"""Real synthesis with Yosys and ABC: the one definition of a synthesised area.

Every job runs in a process of its own, so that a crash of the tool is an error message and not the
end of the caller.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from hwgen.cachedir import cache_dir
from hwgen.config import HwgenError, Strict
from hwgen.files import write_atomically

Language = Literal["rtlil", "verilog"]

GENERIC_LIBERTY = Path(__file__).parent / "tech" / "generic.lib"

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
"""Yosys' own script for Liberty files, but mapped for area: ``-R 1000`` relaxes the delay, which
``&nf`` otherwise holds at its minimum (area of a fetch multiplexer +2 … +30 %, adders +5 %)."""

WORKER = """\
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.stdin.read().splitlines():
    libyosys.run_pass(command, design)
"""

_HAS_FLIP_FLOP = re.compile(rb"^\s*ff\s*\(", re.MULTILINE)
_PASS = re.compile(r"^-- Running command `(.*)' --$", re.MULTILINE)
_ERROR = re.compile(r"^(?:.*: )?ERROR: (.*)$", re.MULTILINE)


class SynthesisError(HwgenError):
    """Synthesis failed; the message names the pass and the log."""


class ModuleArea(Strict):
    """One module of a hierarchical synthesis."""

    name: Annotated[str, Field(description="module")]
    instances: Annotated[int, Field(ge=1, description="how often it occurs in the whole design")]
    area: Annotated[float, Field(ge=0, description="one instance with all it contains")]
    own_area: Annotated[float, Field(ge=0, description="one instance without its submodules")]


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
    use_cache: bool = True,
    limit_s: float = 3600,
) -> Synthesis:
    """Synthesise ``top`` of ``source`` to the cells of ``liberty`` and add up their area.

    Script: ``synth -noalumacc -flatten``, ``dfflibmap``, ``abc`` for least area without a delay
    target, ``opt_clean -purge``, ``stat``. Cell area only: no wires, no clock tree, no buffers.
    The same source, Liberty contents and tool version give the same result.

    source: RTLIL or Verilog text, no file name.
    liberty: one or more files, plain or ``.gz``; the first one with flip-flops serves for them.
    flatten: False keeps the hierarchy and reports every module; its total differs from the
        flattened one, as nothing is optimised across modules.
    dont_use: patterns of cells that must not be used.
    use_cache: read and write the result in the cache folder.
    limit_s: wall-clock limit, seconds.
    Raises SynthesisError if a pass fails, a cell has no area, or the limit is reached; ValueError
    without a Liberty file.
    """
    if not liberty:
        raise ValueError("synthesise needs at least one Liberty file")
    libraries = [_read_liberty(path) for path in liberty]
    commands = _commands(top, libraries, language, flatten, dont_use)
    key = _key(commands, source, libraries)
    cached = cache_dir() / "synth" / f"{key}.json"
    if use_cache and (hit := _read_cached(cached)) is not None:
        return hit
    with tempfile.TemporaryDirectory(prefix="hwgen-synth-") as name:
        folder = Path(name)
        (folder / READERS[language][1]).write_text(source, encoding="utf-8")
        (folder / "map.abc").write_text(ABC_SCRIPT, encoding="utf-8")
        for index, content in enumerate(libraries):
            (folder / f"{index}.lib").write_bytes(content)
        _run(folder, commands, top, cache_dir() / "synth" / f"{key}.log", limit_s)
        result = _parse(json.loads((folder / "stat.json").read_text()), top)
    if use_cache:
        write_atomically({cached: result.model_dump_json()})
    return result


def _commands(
    top: str, libraries: list[bytes], language: Language, flatten: bool, dont_use: Sequence[str]
) -> list[str]:
    sequential = next((i for i, text in enumerate(libraries) if _HAS_FLIP_FLOP.search(text)), None)
    if sequential is None:
        raise SynthesisError(f"{top}: liberty: no file has a flip-flop; add the sequential cells")
    files = "".join(f" -liberty {index}.lib" for index in range(len(libraries)))
    banned = "".join(f" -dont_use {pattern}" for pattern in dont_use)
    return [
        " ".join(READERS[language]),
        f"hierarchy -check -top {top}",
        f"synth -noalumacc{' -flatten' if flatten else ''} -top {top}",
        f"dfflibmap -liberty {sequential}.lib{banned}",
        f"abc -script map.abc{files}{banned}",
        "opt_clean -purge",
        f"tee -q -o stat.json stat -json{files}",
    ]


def _run(folder: Path, commands: list[str], top: str, kept_log: Path, limit_s: float) -> None:
    """Run ``commands`` in ``folder``; on failure keep the log and say which pass it was."""
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
    modules = {name.removeprefix("\\"): body for name, body in stat["modules"].items()}
    contents: dict[str, Counter[str]] = {
        name: Counter(body["num_cells_by_type"]) for name, body in modules.items()
    }
    area = {name: float(body.get("area", 0)) for name, body in modules.items()}
    instances, cells = Counter({top: 1}), Counter[str]()
    waiting = [(top, 1)]
    while waiting:
        parent, times = waiting.pop()
        for child, number in contents[parent].items():
            if child in modules:
                instances[child] += times * number
                waiting.append((child, times * number))
            else:
                cells[child] += times * number
    inside = {
        name: sum(area[child] * n for child, n in contents[name].items() if child in modules)
        for name in modules
    }
    return Synthesis(
        top=top,
        area=area[top],
        sequential_area=float(modules[top].get("sequential_area", 0)),
        cells=dict(sorted(cells.items())),
        modules=tuple(
            ModuleArea(
                name=name,
                instances=instances[name],
                area=area[name],
                own_area=max(0.0, round(area[name] - inside[name], 6)),
            )
            for name in sorted(modules)
        ),
        tool=tool_version(),
    )


def _read_liberty(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except OSError as error:
        raise SynthesisError(f"{path}: cannot be read: {error.strerror or error}") from None


def _key(commands: list[str], source: str, libraries: list[bytes]) -> str:
    parts = [tool_version().encode(), ABC_SCRIPT.encode(), *map(str.encode, commands)]
    parts += [source.encode(), *libraries]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:32]


def _read_cached(path: Path) -> Synthesis | None:
    """The result in ``path``; None if there is none that can be read."""
    try:
        return Synthesis.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
