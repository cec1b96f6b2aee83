"""Unit costs of an FPGA family: primitives measured by Yosys, many in one run.

A primitive is measured by the script of whole cores (`costmodel.synth.fpga`), delay target
included. Modules of one run do not see each other.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

from costmodel.calibrate.areas import (
    GRIDS,
    LINEAR_TOLERANCE,
    Generated,
    Grid,
    rising_table,
    verilog,
)
from costmodel.cells.technology import LinearArea
from costmodel.fpga.merged import MERGED
from costmodel.fpga.resources import RESOURCES, FpgaUnit, ResourceCost, residual
from costmodel.synth.fpga import HIDE, RELAX, command_of, count_cells
from costmodel.synth.stat import read_hierarchy
from costmodel.synth.yosys import cache_key, run_yosys
from hwgen.base.cachedir import cache_dir
from hwgen.base.files import write_atomically
from hwgen.base.jobs import workers
from hwgen.spec.codebook import codebook
from hwgen.spec.primitive import GENERATED, KINDS, Family, Primitive

FORMAT = "hwgen.fpga-units/1"
"""Part of cache keys; to be raised with every change of how units are measured."""
METHOD = (
    "every size a module of its own, hierarchical, no multiplier blocks, with a delay target that "
    "all meet; the script of whole cores"
)
TOP = "units"
MOST_MODULES, MOST_BITS = 48, 4000
"""Most modules of one Yosys run, and most bits of their words, unless one module has more."""
LIMIT_S = 3600.0

EXTENDED_WEIGHTS = (3, 4)
"""Weights of a group for which words of the multiplexer are measured with their own widths. With
fewer weights the widths differ by one bit at most, and whole cores agree with equal widths."""

Measured = Mapping[Primitive, tuple[float, ...]]
"""Resources of a primitive, in the order of RESOURCES."""
Progress = Callable[[str, int, int], None]
"""Called with the kind just measured, the measurements done, and their number."""

_ENTRIES = (1, 2, 4, 8, 13, 16, 26, 40, 80, 121, 242, 364)
"""Numbers of entries of half and full tables of groups of up to 6 weights, and 16."""
_HALF_ENTRIES = (1, 4, 13, 16, 40, 121, 364)
_WORDS = (1, 2, 3, 4, 5, 6, 8, 16, 64)
_MUX = "one case over a binary index, decoder shared by the bits"
_MASKED = (
    f"{_MUX} and with one output for every word, default the last, behind it a row of AND gates "
    "with one input shared"
)
_NEGATED = (
    f"{_MUX}, narrow words of small tables sign-extended, default 0, behind it a row of XOR gates "
    "with one input shared"
)
_OWN: dict[str, Grid] = {
    "fetch_mux": Grid(f"{_MUX}, default 0", "fan_in", _ENTRIES, (1, 4, 8, 16), (10, 60), (6, 20)),
    "fetch_mux_xor": Grid(
        _NEGATED,
        "fan_in",
        _HALF_ENTRIES,
        (1, 4, 12),
        (60,),
        (8, 20),
    ),
    "fetch_mux_xor_add": Grid(
        f"{_NEGATED}, and an adder with carry, less such an adder",
        "fan_in",
        (1, 4),
        (2, 5, 8, 12, 20),
        (3,),
        (10,),
    ),
    "mux": Grid(f"{_MUX}, default the last", "fan_in", (1, 2, 3, 4, 8), (1, 2, 4, 8, 16), (), ()),
    "mux_and": Grid(
        f"{_MASKED}, less such outputs alone",
        "fan_in",
        _WORDS,
        (1, 4, 16),
        (7, 12),
        (8,),
    ),
    "mux_and_add": Grid(
        f"{_MASKED}, and an adder, less an adder and such outputs alone",
        "fan_in",
        _WORDS,
        (4, 16),
        (7, 12),
        (8, 20),
    ),
    "compress": Grid(
        "the sum of all, as a tree of two-operand sums, less an adder of the result's width",
        "fan_in",
        (3, 4, 5, 8, 16, 32),
        (2, 5, 8, 12, 20),
        (6, 12),
        (10,),
    ),
    "compress_products": Grid(
        "the sum of all, as a tree of two-operand sums, less an adder of the result's width",
        "fan_in",
        (1, 2, 4, 8),
        (2, 4, 6, 8, 12),
        (3,),
        (5,),
    ),
}


def _grid(kind: str) -> Grid:
    """Where ``kind`` is measured: coarser than for cell libraries, as most are straight lines."""
    if kind in _OWN:
        return _OWN[kind]
    grid = GRIDS[kind]
    if KINDS[kind].family in (Family.TO_FIXED, Family.FROM_FIXED):
        first, *between, last = grid.widths if len(grid.widths) > 1 else grid.widths * 2
        middle = between[len(between) // 2 : len(between) // 2 + 1]
        return grid._replace(
            widths=tuple(dict.fromkeys([first, *middle, last])),
            check_widths=grid.check_widths[len(grid.check_widths) // 2 :][:1],
        )
    return grid._replace(check_sizes=grid.check_sizes[:1], check_widths=grid.check_widths[1::2])


FPGA_GRIDS: dict[str, Grid] = {kind: _grid(kind) for kind in [*GRIDS, *MERGED]}


def measure_units(
    family: str, generated: Generated, progress: Progress = lambda kind, done, total: None
) -> dict[str, FpgaUnit]:
    """Measure every kind of primitive in ``family`` and fit each of its resources separately.

    generated: RTLIL and name of the unit that the generator builds for a primitive.
    The result is the same for the same tool version. It takes minutes on all processors;
    measurements are kept in the cache folder.
    Raises ConfigError for an unknown family, SynthesisError.
    """
    points = {kind: [*_knots(kind), *_checks(kind)] for kind in FPGA_GRIDS}
    batches = _batches([primitive for wanted in points.values() for primitive in wanted])
    total = sum(map(len, batches))
    measured: dict[Primitive, tuple[float, ...]] = {}
    with workers() as pool:
        work = partial(measure, family=family, generated=generated)
        for batch, result in zip(batches, pool.map(work, batches), strict=True):
            measured |= result
            progress(batch[-1].kind, len(measured), total)
    return {
        kind: fit_unit(kind, {primitive: measured[primitive] for primitive in wanted})
        for kind, wanted in points.items()
    }


def measure(
    primitives: Sequence[Primitive], family: str, generated: Generated | None = None
) -> dict[Primitive, tuple[float, ...]]:
    """Resources of each primitive, synthesised in one run; the mean of several forms (a ± b)."""
    texts: dict[str, list[str]] = {"rtlil": [], "verilog": []}
    names: dict[Primitive, list[str]] = {}
    everything: list[str] = []
    for primitive in primitives:
        if primitive.kind not in MERGED and primitive.family in GENERATED:
            if generated is None:
                raise ValueError(f"{primitive.kind} is measured from what the generator builds")
            text, name = generated(primitive)
            texts["rtlil"].append(text)
            names[primitive] = [name]
            everything.append(name)
            continue
        forms = unit_verilog(primitive)
        names[primitive] = [f"{primitive.label}_{form}" for form in range(len(forms))]
        written = dict(zip(names[primitive], forms, strict=True))
        for number, text in enumerate(_besides(primitive)):
            written[f"{primitive.label}_beside_{number}"] = text
        for name, text in written.items():
            texts["verilog"].append(text.replace("module top ", f"module {name} ", 1))
            everything.append(name)
    top = "\n".join(f"  (* keep *) {name} i_{name} ();" for name in everything)
    texts["verilog"].append(f"module {TOP} ();\n{top}\nendmodule\n")
    counts = _synthesise("\n".join(texts["rtlil"]), "\n".join(texts["verilog"]), family)
    resources = {}
    for primitive, forms in names.items():
        total = [sum(counts[name][resource] for name in forms) for resource in RESOURCES]
        beside = [f"{primitive.label}_beside_{i}" for i in range(len(_besides(primitive)))]
        less = [sum(counts[name][resource] for name in beside) for resource in RESOURCES]
        means = (whole / len(forms) for whole in total)
        resources[primitive] = tuple(max(0.0, a - b) for a, b in zip(means, less, strict=True))
    return resources


def _besides(primitive: Primitive) -> list[str]:
    """Modules ``top`` that are measured with a primitive but do not belong to it."""
    modules: list[str] = []
    merged = MERGED.get(primitive.kind)
    if merged is None:
        return modules
    if merged.sums or merged.adder:
        modules.append(verilog(_final_adder(primitive))[0])
    if merged.selects == "mux" and primitive.fan_in > 1:
        bits = _index_bits(primitive)
        ports = f"input [{bits - 1}:0] index, output [{primitive.fan_in - 1}:0] is"
        modules.append(f"module top ({ports});\n{_decoder(primitive)}endmodule\n")
    return modules


def _index_bits(primitive: Primitive) -> int:
    return max((primitive.fan_in - 1).bit_length(), 1)


def _decoder(primitive: Primitive) -> str:
    """The write enables of words, which other logic decodes from the index of a multiplexer."""
    bits = _index_bits(primitive)
    lines = [f"  assign is[{i}] = index == {bits}'d{i};" for i in range(primitive.fan_in)]
    return "\n".join([*lines, ""])


def _final_adder(primitive: Primitive) -> Primitive:
    """The adder behind a primitive: of the two words that merged sums leave, or with a merged word
    as an operand."""
    merged = MERGED[primitive.kind]
    if merged.adder is not None:
        return Primitive(merged.adder, primitive.width + 1)
    product = 2 if merged.products else 1
    return Primitive("adder", product * primitive.width + (primitive.fan_in - 1).bit_length())


def _sum_verilog(primitive: Primitive) -> str:
    """The sum of ``fan_in`` words or products, as the generator writes its trees."""
    kind, width, fan_in = primitive
    products = MERGED[kind].products
    names = ("a", "b") if products else ("a",)
    term = 2 * width if products else width
    lines, words = [], []
    for i in range(fan_in):
        factors = [f"$signed({name}[{i * width} +: {width}])" for name in names]
        lines.append(f"wire signed [{term - 1}:0] t{i} = {' * '.join(factors)};")
        words.append((f"t{i}", 1))
    while len(words) > 1:
        pairs = list(zip(words[::2], words[1::2], strict=False))
        odd = words[-1:] if len(words) % 2 else []
        words = []
        for (left, some), (right, more) in pairs:
            bits = term + (some + more - 1).bit_length()
            name = f"{left}_{right}"[:40] + f"_{len(lines)}"
            lines.append(f"wire signed [{bits - 1}:0] {name} = {left} + {right};")
            words.append((name, some + more))
        words += odd
    ports = [f"input [{fan_in * width - 1}:0] {name}" for name in names]
    ports.append(f"output signed [{_final_adder(primitive).width - 1}:0] o")
    body = "\n".join(f"  {line}" for line in [*lines, f"assign o = {words[0][0]};"])
    return f"module top ({', '.join(ports)});\n{body}\nendmodule\n"


def unit_verilog(primitive: Primitive) -> list[str]:
    """Modules ``top`` that contain only ``primitive``, of any kind, and its `_besides`."""
    kind, width, fan_in = primitive
    merged = MERGED.get(kind)
    if merged is None:
        return verilog(primitive)
    if merged.selects is None:
        return [_sum_verilog(primitive)]
    fetch = merged.selects == "fetch_mux"
    (text,) = verilog(Primitive(merged.selects, width, fan_in))
    for i, bits in enumerate(_entry_bits(width, fan_in) if fetch else ()):
        if bits < width:
            text = text.replace(
                f"o = words[{i * width} +: {width}]",
                f"o = {{{{{width - bits}{{words[{i * width + bits - 1}]}}}}, "
                f"words[{i * width} +: {bits}]}}",
            )
    inputs, outputs, end = "input shared", f"output [{width - 1}:0] o", ""
    if not fetch and fan_in > 1:
        outputs += f", output [{fan_in - 1}:0] is"
        end = _decoder(primitive)
    result = f"word {'^' if fetch else '&'} {{{width}{{shared}}}}"
    if merged.adder is not None:
        inputs += f", input signed [{width - 1}:0] other, input c"
        outputs = outputs.replace(f"[{width - 1}:0] o", f"signed [{width}:0] o", 1)
        end += f"  wire signed [{width - 1}:0] term = {result};\n"
        if fetch:
            end += f"  wire signed [{width}:0] x = other, y = term;\n"
            end += f"  wire [{width + 1}:0] sum = {{x, 1'b1}} + {{y, c}};\n"
        result = f"sum[{width + 1}:1]" if fetch else "term + other"
    text = text.replace("(input", f"({inputs}, input", 1).replace(
        f"output reg [{width - 1}:0] o);", f"{outputs});\n  reg [{width - 1}:0] word;", 1
    )
    text = text.replace(": o = ", ": word = ")
    return [text.replace("endmodule", f"{end}  assign o = {result};\nendmodule")]


def _entry_bits(width: int, fan_in: int) -> list[int]:
    """Widths of the entries of a half table of ``fan_in`` entries, the widest of ``width`` bits.

    Their sign bits are repeated up to ``width``, so that the columns of a multiplexer differ. The
    list is empty unless such a table exists for a number of weights in EXTENDED_WEIGHTS.
    """
    for mu in EXTENDED_WEIGHTS:
        if len(entries := codebook("ternary", mu).entries) == fan_in:
            act = max(1, width - (mu - 1).bit_length())
            used = [sum(map(bool, entry)) for entry in entries]
            return [min(width, act + (number - 1).bit_length()) for number in used]
    return []


def fit_unit(kind: str, measured: Measured) -> FpgaUnit:
    """The cost of a kind from its measured sizes: a line in the width, or otherwise a table."""
    costs = {}
    for place, resource in enumerate(RESOURCES):
        costs[resource] = _fit(kind, {point: counts[place] for point, counts in measured.items()})
    return FpgaUnit(method=FPGA_GRIDS[kind].method, **costs)


def _fit(kind: str, measured: Mapping[Primitive, float]) -> ResourceCost:
    grid = FPGA_GRIDS[kind]
    if grid.by == "none" or not any(measured.values()):
        line = _line(measured)
        error = residual(line, measured)
        if error.max_relative <= LINEAR_TOLERANCE:
            return ResourceCost(count=line, residual=error)
    table = rising_table(grid, [measured[knot] for knot in _knots(kind)])
    return ResourceCost(count=table, residual=residual(table, measured))


def _line(measured: Mapping[Primitive, float]) -> LinearArea:
    """Least squares; through the origin for a single width, or where nothing was measured."""
    widths = np.array([primitive.width for primitive in measured], dtype=float)
    counts = np.array(list(measured.values()))
    if len(set(widths)) == 1 or not counts.any():
        return LinearArea(constant=0.0, per_bit=float(counts.mean() / widths[0]))
    weights = 1 / np.maximum(counts, 1)
    terms = np.stack([weights, widths * weights], axis=1)
    constant, per_bit = np.linalg.lstsq(terms, counts * weights, rcond=None)[0]
    return LinearArea(
        constant=round(float(constant), 4) + 0.0, per_bit=max(0.0, round(float(per_bit), 4))
    )


def _place(kind: str, size: int, width: int) -> Primitive:
    if kind == "multiplier":
        return Primitive(kind, 2 * size, size)
    return Primitive(kind, width, width + size if FPGA_GRIDS[kind].by == "dropped" else size)


def _knots(kind: str) -> list[Primitive]:
    grid = FPGA_GRIDS[kind]
    return [_place(kind, *place) for place in product(grid.sizes, grid.widths)]


def _checks(kind: str) -> list[Primitive]:
    grid = FPGA_GRIDS[kind]
    known = set(_knots(kind))
    places = product(grid.check_sizes, grid.check_widths)
    return [p for p in dict.fromkeys(_place(kind, *place) for place in places) if p not in known]


def _batches(primitives: Sequence[Primitive]) -> list[list[Primitive]]:
    """Primitives in order, in batches that are neither dominated by start-up nor too long."""
    batches: list[list[Primitive]] = [[]]
    bits = 0
    for primitive in primitives:
        more = primitive.width * _words(primitive)
        if len(batches[-1]) >= MOST_MODULES or (batches[-1] and bits + more > MOST_BITS):
            batches.append([])
            bits = 0
        batches[-1].append(primitive)
        bits += more
    return batches


def _words(primitive: Primitive) -> int:
    """Words that a primitive takes, or about that."""
    merged = MERGED.get(primitive.kind)
    if merged is not None and merged.sums:
        return primitive.fan_in
    if merged is not None or primitive.family is Family.SELECT:
        return max(2, primitive.fan_in)
    return 2


def _synthesise(rtlil: str, source: str, family: str) -> dict[str, dict[str, int]]:
    """Resources of every module below TOP."""
    commands = [
        *(["read_rtlil source.il"] if rtlil else []),
        "read_verilog source.v",
        f"hierarchy -check -top {TOP}",
        HIDE,
        RELAX,
        command_of(TOP, family, flatten=False),
        "tee -q -o stat.json stat -json",
    ]
    key = cache_key([FORMAT, *commands], f"{rtlil}\n{source}")
    cached = cache_dir() / "fpga" / f"{key}.json"
    if cached.exists():
        text = cached.read_text(encoding="utf-8")
    else:
        with tempfile.TemporaryDirectory(prefix="hwgen-fpga-") as name:
            folder = Path(name)
            (folder / "source.il").write_text(rtlil, encoding="utf-8")
            (folder / "source.v").write_text(source, encoding="utf-8")
            run_yosys(folder, commands, TOP, cached.with_suffix(".log"), LIMIT_S)
            text = (folder / "stat.json").read_text(encoding="utf-8")
        write_atomically({cached: text})
    hierarchy = read_hierarchy(json.loads(text), TOP)
    return {
        module: count_cells(hierarchy, module, family)._asdict() for module in hierarchy.contents
    }
