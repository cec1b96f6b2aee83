"""FPGA families: LUTs, flip-flops and carry cells of a core by Yosys, clock by nextpnr.

Counts are those of the mapped netlist, before a vendor's tool packs it: two small LUTs that would
share one of Xilinx' LUT6_2 count as two. ``costmodel/families/`` says what one cell occupies; a
cell that is not there is an error.
"""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field

from costmodel.catalog import Device, family_names, load_family
from costmodel.synth.stat import Hierarchy, read_hierarchy
from costmodel.synth.yosys import SynthesisError, cache_key, read_cached, run_yosys, tool_version
from hwgen.base.cachedir import cache_dir
from hwgen.base.errors import ConfigError
from hwgen.base.files import write_atomically
from hwgen.base.yamlfile import Strict

FORMAT = "hwgen.fpga/1"
"""Part of cache keys; to be raised with every change of what is counted."""


class Cell(NamedTuple):
    """What the cells of a netlist occupy; `costmodel.catalog.Occupied` is the same for one cell."""

    lut: int = 0
    ff: int = 0
    carry: int = 0
    lutram: int = 0
    dsp: int = 0


HIDE = r"rename -hide w:*\[*"
"""Hides wires with brackets in their names: they are aliases, which ABC9 would take for bits."""

RELAX = "scratchpad -set abc9.D 100000"
"""A delay target, ps, that every path meets: 100 ns."""

TARGET_MHZ = 100.0
RING = "_ring"
"""Ending of the module that puts registers at the ports of a core."""
_PORT = re.compile(
    r"^ +wire +(?:width +(\d+) +)?(?:signed +)?(input|output) +\d+ +(?:signed +)?\\(\S+)$",
    re.MULTILINE,
)
NEXTPNR_WORKER = """\
import importlib, sys
package = importlib.import_module(sys.argv[1])
run = getattr(package, "run_" + sys.argv[1].removeprefix("yowasp_"))
sys.exit(run(sys.argv[2:]))
"""
"""Python that runs a nextpnr of YoWASP: the name of its module, then the arguments of the tool."""


class FpgaModule(Strict):
    """One module of a hierarchical synthesis; counts of one instance with all it contains."""

    name: Annotated[str, Field(description="module")]
    instances: Annotated[int, Field(ge=1, description="how often it occurs in the whole design")]
    lut: Annotated[int, Field(ge=0)]
    ff: Annotated[int, Field(ge=0)]
    carry: Annotated[int, Field(ge=0)]


class FpgaSynthesis(Strict):
    """Result of one synthesis for an FPGA family."""

    top: Annotated[str, Field(description="top module")]
    family: Annotated[str, Field(description="FPGA family")]
    lut: Annotated[int, Field(ge=0, description="LUTs of the family, memory included")]
    ff: Annotated[int, Field(ge=0, description="flip-flops")]
    carry: Annotated[int, Field(ge=0, description="carry cells of the family")]
    lutram: Annotated[
        int, Field(ge=0, description="LUTs among lut that are memory or shift registers")
    ]
    dsp: Annotated[int, Field(ge=0, description="multiplier blocks; 0, as no script allows them")]
    cells: Annotated[dict[str, int], Field(description="cell type to number, sorted by name")]
    modules: Annotated[
        tuple[FpgaModule, ...],
        Field(description="every module, sorted by name; only the top one if flattened"),
    ]
    script: Annotated[str, Field(description="the Yosys command")]
    tool: Annotated[str, Field(description="tool and version")]


class Placement(Strict):
    """Place and route of one core with several seeds; their spread shows how uncertain one is."""

    top: Annotated[str, Field(description="top module")]
    device: Annotated[str, Field(description="device")]
    fmax_mhz: Annotated[dict[int, float], Field(description="seed to highest clock, MHz")]
    utilization: Annotated[
        dict[str, int],
        Field(description="kind of site to number used, registers at the ports included"),
    ]
    port_ff: Annotated[int, Field(ge=0, description="flip-flops put at the ports, among them")]
    tool: Annotated[str, Field(description="tools and versions")]


def synthesise_fpga(
    rtlil: str,
    top: str,
    family: str,
    flatten: bool = True,
    *,
    use_cache: bool = True,
    limit_s: float = 3600,
) -> FpgaSynthesis:
    """Map ``top`` to the cells of an FPGA family and count them.

    The script is Yosys' own for the family, with the options that its file gives: no pads and no
    clock buffer, as a core has neither, and products of LUTs, so that kinds of cores compare in one
    currency. As in cells, there is one delay target that every path meets, so that all logic is
    mapped for few LUTs. By default ABC9 spends many more LUTs on the longest paths, and a
    comparison of two cores would depend on how many such paths they have. (``place_and_route`` maps
    for delay.)

    family: ConfigError for an unknown one.
    flatten: False keeps the hierarchy and reports every module.
    use_cache, limit_s: see ``costmodel.synth.yosys.synthesise``; the same source and tool version
        give the same result.
    Raises SynthesisError if a pass fails, the limit is reached, or the family lacks a cell.
    """
    command = command_of(top, family, flatten)
    cached = cache_dir() / "fpga" / f"{cache_key([FORMAT, HIDE, RELAX, command], rtlil)}.json"
    if use_cache and (hit := read_cached(FpgaSynthesis, cached)) is not None:
        return hit
    with tempfile.TemporaryDirectory(prefix="hwgen-fpga-") as name:
        _map(Path(name), rtlil, top, [RELAX, command], limit_s)
        hierarchy = read_hierarchy(json.loads((Path(name) / "stat.json").read_text()), top)
    total = count_cells(hierarchy, top, family)
    result = FpgaSynthesis(
        top=top,
        family=family,
        **total._asdict(),
        cells=dict(sorted(_cells(hierarchy, top).items())),
        modules=tuple(
            FpgaModule(
                name=module,
                instances=hierarchy.instances[module],
                lut=count.lut,
                ff=count.ff,
                carry=count.carry,
            )
            for module in sorted(hierarchy.contents)
            for count in [count_cells(hierarchy, module, family)]
        ),
        script=command,
        tool=tool_version(),
    )
    if use_cache:
        write_atomically({cached: result.model_dump_json()})
    return result


def place_and_route(
    rtlil: str,
    top: str,
    seeds: Sequence[int] = (1, 2, 3),
    family: str = "ecp5",
    *,
    use_cache: bool = True,
    limit_s: float = 3600,
) -> Placement:
    """Synthesise ``top`` as ``synthesise_fpga`` does, place and route it, once for each seed.

    Out of context: no pads, and the clock is an ordinary net. As paths from and to ports would not
    be timed, every port gets a register. Delays are nextpnr's, not a vendor's sign-off.

    Raises ConfigError for a family that nextpnr cannot place, if nextpnr is not installed, or
    without a seed; SynthesisError if a pass fails, the core does not fit, or ``limit_s`` per run is
    reached.
    """
    device = load_family(family).device
    if device is None:
        placed = [name for name in family_names() if load_family(name).device is not None]
        raise ConfigError(f"place_and_route: should be {' or '.join(placed)}, not {family!r}")
    if not seeds:
        raise ConfigError("place_and_route: should have at least one seed")
    command = command_of(f"{top}{RING}", family)
    options = [*device.options.split(), "--freq", f"{TARGET_MHZ:g}"]
    options += ["--timing-allow-fail", "--json", "netlist.json"]
    tool = f"{device.tool} {nextpnr_version(device)}"
    key = cache_key([FORMAT, HIDE, command, tool, *options, str(list(seeds))], rtlil)
    cached = cache_dir() / "fpga" / f"{key}.json"
    if use_cache and (hit := read_cached(Placement, cached)) is not None:
        return hit
    ring, port_ff = _ring(rtlil, top)
    fmax: dict[int, float] = {}
    utilization: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="hwgen-fpga-") as name:
        folder = Path(name)
        _map(folder, rtlil, f"{top}{RING}", [command], limit_s, ring)
        for seed in seeds:
            _run_nextpnr(folder, top, device.tool, [*options, "--seed", str(seed)], limit_s)
            fmax[seed], utilization = _read_report(folder, top, device.tool)
    result = Placement(
        top=top,
        device=f"{family} {device.name}",
        fmax_mhz=fmax,
        utilization=utilization,
        port_ff=port_ff,
        tool=f"{tool_version()}, {tool}",
    )
    if use_cache:
        write_atomically({cached: result.model_dump_json()})
    return result


def nextpnr_version(device: Device) -> str:
    """Version of the place and route tool; ConfigError if it is not installed."""
    try:
        return importlib.metadata.version(device.tool)
    except importlib.metadata.PackageNotFoundError:
        raise ConfigError(
            f"place_and_route: needs {device.tool}; pip install {device.tool}"
        ) from None


def command_of(top: str, family: str, flatten: bool = True) -> str:
    """Yosys' command that maps ``top`` to the cells of a family."""
    record = load_family(family)
    return f"{record.flat if flatten else record.hierarchical} -top {top}"


def _map(
    folder: Path, rtlil: str, top: str, mapping: list[str], limit_s: float, verilog: str = ""
) -> None:
    """Leave ``stat.json`` and ``netlist.json`` in ``folder``."""
    (folder / "source.il").write_text(rtlil, encoding="utf-8")
    (folder / "source.v").write_text(verilog, encoding="utf-8")
    commands = [
        "read_rtlil source.il",
        *(["read_verilog source.v"] if verilog else []),
        f"hierarchy -check -top {top}",
        HIDE,
        *mapping,
        "tee -q -o stat.json stat -json",
        "write_json netlist.json",
    ]
    log = cache_dir() / "fpga" / f"{cache_key([FORMAT, *commands], rtlil)}.log"
    run_yosys(folder, commands, top, log, limit_s)


def _ring(rtlil: str, top: str) -> tuple[str, int]:
    """Verilog of ``top`` with a register at every port but the clock, and their number."""
    module = re.search(rf"^module \\{re.escape(top)}$(.*?)^end$", rtlil, re.MULTILINE | re.DOTALL)
    if module is None or not (ports := _PORT.findall(module[1])):
        raise SynthesisError(f"{top}: is no module with ports in the source")
    header, body, load, pins, bits = ["input clk"], [], [], [], 0
    for width, direction, name in ports:
        pins.append(f".\\{name} (" + ("clk)" if name == "clk" else f"\\{name}_ring )"))
        if name == "clk":
            continue
        size = f"[{int(width or 1) - 1}:0]"
        bits += int(width or 1)
        header.append(f"{direction} {'' if direction == 'input' else 'reg '}{size} \\{name} ")
        body.append(f"{'reg' if direction == 'input' else 'wire'} {size} \\{name}_ring ;")
        ends = (f"\\{name}_ring ", f"\\{name} ")
        target, source = ends if direction == "input" else ends[::-1]
        load.append(f"{target} <= {source};")
    return (
        f"module {top}{RING} ({', '.join(header)});\n{chr(10).join(body)}\n"
        f"always @(posedge clk) begin {' '.join(load)} end\n"
        f"\\{top} inner ({', '.join(pins)});\nendmodule\n"
    ), bits


def _cells(hierarchy: Hierarchy, module: str) -> dict[str, int]:
    """Cells of one instance, without the ``$scopeinfo`` cells that flattening leaves."""
    cells = hierarchy.cells_of(module)
    return {kind: number for kind, number in cells.items() if kind != "$scopeinfo"}


def count_cells(hierarchy: Hierarchy, module: str, family: str) -> Cell:
    """What one instance of a module occupies; SynthesisError for a cell that is not counted."""
    known, total = load_family(family).cells, Cell()
    for kind, number in _cells(hierarchy, module).items():
        if kind not in known:
            raise SynthesisError(f"{hierarchy.top}: {family}: {kind} is no cell that is counted")
        one = Cell(**known[kind].model_dump())
        total = Cell(*(a + number * b for a, b in zip(total, one, strict=True)))
    return total


def _read_report(folder: Path, top: str, tool: str) -> tuple[float, dict[str, int]]:
    """Highest clock, MHz, and number of used sites by kind."""
    report = json.loads((folder / "report.json").read_text())
    clocks = [clock["achieved"] for clock in report["fmax"].values()]
    if not clocks:
        raise SynthesisError(f"{top}: {tool}: no path between registers to time")
    sites = sorted(report["utilization"].items())
    return min(clocks), {kind: site["used"] for kind, site in sites if site["used"]}


def _run_nextpnr(folder: Path, top: str, tool: str, options: Sequence[str], limit_s: float) -> None:
    module = tool.replace("-", "_")
    try:
        done = subprocess.run(
            [sys.executable, "-c", NEXTPNR_WORKER, module, *options, "--report", "report.json"],
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SynthesisError(f"{top}: {tool}: not done after {limit_s:g} s") from None
    if done.returncode:
        errors = re.findall(r"^ERROR: (.*)$", done.stderr, re.MULTILINE)
        reason = errors[0].rstrip(".") if errors else f"stopped with exit code {done.returncode}"
        raise SynthesisError(f"{top}: {tool}: {reason}")
