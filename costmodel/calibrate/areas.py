"""Calibration: unit areas of the primitives, measured by synthesis of small modules."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np

from costmodel.cells.technology import (
    Axis,
    LinearArea,
    SourceFile,
    TableArea,
    Technology,
    UnitCost,
)
from costmodel.fit.residual import Residual
from costmodel.synth.libraries import TechnologyFiles
from costmodel.synth.yosys import tool_version
from hwgen.base.jobs import workers
from hwgen.spec.number import MAX_FIXED_BITS, FloatFormat
from hwgen.spec.primitive import GENERATED, KINDS, Family, Kind, Primitive

LINEAR_TOLERANCE = 0.03
"""A line in the width is kept if it is within this of every measured size; otherwise a table."""

Progress = Callable[[str, int, int], None]
"""Called with the kind just measured, the measurements done, and their number."""


class Grid(NamedTuple):
    """Sizes at which one kind is measured.

    ``sizes`` × ``widths`` are fitted; ``check_sizes`` × ``check_widths`` are measured to find the
    error at other sizes. Sizes are those of the axis ``by``; a multiplier's width follows from its
    size.
    """

    method: str
    by: Axis
    sizes: tuple[int, ...]
    widths: tuple[int, ...]
    check_sizes: tuple[int, ...]
    check_widths: tuple[int, ...]


_ADDER = Grid(
    "a + b and a - b, the mean of both; operands one bit narrower than the result, sign-extended",
    "none",
    (0,),
    (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48),
    (0,),
    (5, 7, 10, 14, 20, 28, 40, 64),
)


def _row(method: str) -> Grid:
    return Grid(method, "none", (0,), (1, 2, 3, 4, 8, 16, 32), (0,), (6, 12, 24, 48))


GRIDS: dict[str, Grid] = {
    "fetch_mux": Grid(
        "one case over a binary index with a default of 0, decoder shared by the bits",
        "fan_in",
        (1, 2, 3, 4, 5, 6, 7, 8, 10, 13, 16, 20, 26, 32, 40, 52, 64, 90, 121, 180, 256, 364),
        (1, 2, 3, 4, 8, 20),
        (1, 4, 9, 11, 13, 14, 24, 36, 40, 48, 100, 121, 150, 300, 364, 512),
        (6, 10, 16),
    ),
    "mux": Grid(
        "one case over a binary index with the last word as default, decoder shared by the bits",
        "fan_in",
        (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 15, 16, 20, 24, 28, 32, 40, 48, 56, 64, 128),
        (1, 2, 3, 4, 8, 32),
        (2, 4, 11, 13, 18, 22, 30, 33, 36, 63, 256),
        (6, 10, 20),
    ),
    "adder": _ADDER,
    "adder_carry": _ADDER._replace(
        method="{a,1} + {b,c} without its lowest bit; operands one bit narrower than the result, "
        "sign-extended"
    ),
    "negate": _ADDER._replace(
        method="0 - a; operand one bit narrower than the result",
        widths=_ADDER.widths[2:],  # Below 3 bits there is nothing but wires.
    ),
    "multiplier": Grid(
        "signed a * b as Yosys maps it without Booth recoding",
        "fan_in",
        tuple(range(2, 17)),
        (0,),
        (),
        (),
    ),
    "clamp": Grid(
        "signed saturation: comparison of the dropped bits with the sign, and a multiplexer",
        "dropped",
        (1, 2, 3, 4, 8, 16, 32),
        (2, 4, 8, 16, 32, 64),
        (5, 12, 24),
        (6, 12, 24),
    ),
    "equal": _row("equality of two words, neither of them constant"),
    "gate": _row("a row of AND gates"),
    "xor_row": _row("a row of XOR gates with one input shared"),
    "and_row": _row("a row of AND gates with one input shared"),
    "register": _row("flip-flops without enable and reset"),
    "register_enable": _row("flip-flops with one enable, with the logic it needs"),
    "register_reset": _row("flip-flops with one synchronous reset, with the logic it needs"),
    "register_enable_reset": _row(
        "flip-flops with enable and synchronous reset, with the logic they need; reset wins"
    ),
}
STAGES = (1, 2, 3, 4, 5)
ALIGNED_WIDTHS = (9, 12, 16, 20, 24, 28, 32, 40, 48, 64, 80, 96, 128)
_TO = "the generated unit: shift, rounding where aligned, and negation"
_FROM = "the generated unit: normalising shift and one rounding"


def _aligned_widths(number: FloatFormat) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Widths of aligned activations to fit, and to check: each other one of the legal widths."""
    lowest, highest = number.mantissa_bits + 2, min(number.fixed_bits - 1, MAX_FIXED_BITS)
    inside = {width for width in ALIGNED_WIDTHS if lowest < width < highest}
    widths = tuple(sorted({lowest, *inside, highest}))
    checked = widths[1:-1:2]
    return tuple(width for width in widths if width not in checked), checked


def _unit_grid(method: str, widths: tuple[int, ...], checks: tuple[int, ...] = ()) -> Grid:
    return Grid(method, "none", (0,), widths, (0,), checks)


def _generated_grid(kind: Kind) -> Grid:
    """Where a unit that the generator builds is measured."""
    number = kind.number
    assert number is not None
    if kind.family in (Family.FP_ADD, Family.FP_MUL):
        method = "the generated unit, its registers included"
        return Grid(method, "fan_in", STAGES, (number.bits,), (), ())
    if kind.family is Family.WIDEN:
        assert kind.target is not None
        return _unit_grid("the generated unit", (kind.target.bits,))
    back = kind.family is Family.FROM_FIXED
    method = _FROM if back else _TO
    if kind.aligned:
        fitted, checked = _aligned_widths(number)
        more = 16 if back else 0
        return _unit_grid(method, tuple(more + w for w in fitted), tuple(more + w for w in checked))
    bits = number.fixed_bits
    if not back:
        return _unit_grid(method, (bits,))
    return _unit_grid(
        method,
        tuple(bits + more for more in (1, 3, 6, 9, 12, 16, 21)),
        tuple(bits + more for more in (2, 8, 14, 18)),
    )


GRIDS |= {kind.name: _generated_grid(kind) for kind in KINDS.values() if kind.family in GENERATED}
Generated = Callable[[Primitive], tuple[str, str]]
"""RTLIL and name of the unit that the generator builds for a primitive."""


def calibrate(
    library: TechnologyFiles, generated: Generated, progress: Progress | None = None
) -> Technology:
    """Measure every kind of primitive by synthesis and fit its area.

    Combinational kinds are measured without registers, registers with their enable and reset logic,
    and everything as the generator writes it. There are two forms: ``constant + per_bit · width``
    where that is within 3 % of every measured width (rows of gates and flip-flops, comparators),
    otherwise a table of measured areas, linear between its knots. Tables are needed by adders (the
    first bits are cheaper than the rest), multipliers (a parabola is up to 6 % off), clamps, and
    multiplexers, whose area is linear in the width from 4 bits on (one decoder, and a constant for
    each bit) but not in the number of entries. Sizes above the last knot follow the last slope:
    fetch multiplexers above 364 entries, multiplexers above 128, adders above 48 bits, multipliers
    above 16 bits. Where a larger primitive measured smaller, a table takes the mean, so that area
    never falls.

    The residual of a line is over all measured widths. That of a table is over the measured sizes
    that are not knots, some of them beyond the last, and over the knots that were moved; it is 0
    for multipliers, whose table holds every legal size.

    The result is the same for the same Liberty files and tool version. Calibration takes minutes on
    all processors; measurements are kept in the cache folder, so that an interrupted one resumes
    where it stopped.
    ``generated``, a function of a module, supplies the units too large to be written here. Raises
    SynthesisError.
    """
    knots = {kind: _points(kind, grid) for kind, grid in GRIDS.items()}
    points = {
        kind: list(dict.fromkeys(knots[kind] + _checks(kind, grid))) for kind, grid in GRIDS.items()
    }
    wanted = [primitive for primitives in points.values() for primitive in primitives]
    measured: dict[Primitive, float] = {}
    with workers() as pool:
        work = partial(measure, library=library, generated=generated)
        for primitive, area in zip(wanted, pool.map(work, wanted, chunksize=4), strict=True):
            measured[primitive] = area
            if progress is not None:
                progress(primitive.kind, len(measured), len(wanted))
    costs = {
        kind: _fit(
            grid, knots[kind], {primitive: measured[primitive] for primitive in points[kind]}
        )
        for kind, grid in GRIDS.items()
    }
    return Technology(
        name=library.name,
        area_unit=library.info.area_unit,
        tool=tool_version(),
        liberty=[
            SourceFile(file=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
            for path in library.files
        ],
        costs=costs,
    )


def measure(
    primitive: Primitive, library: TechnologyFiles, generated: Generated | None = None
) -> float:
    """Synthesised area of one primitive; of several forms (a + b, a - b) the mean."""
    if primitive.family in GENERATED:
        if generated is None:
            raise ValueError(f"{primitive.kind} is measured from what the generator builds")
        rtlil, top = generated(primitive)
        return library.synthesise(rtlil, top).area
    areas = [library.synthesise(text, "top", "verilog").area for text in verilog(primitive)]
    return sum(areas) / len(areas)


def verilog(primitive: Primitive) -> list[str]:
    """Modules ``top`` that contain only ``primitive``; one for each form that it stands for.

    Raises ValueError for a kind that cannot be measured.
    """
    kind, width, fan_in = primitive
    if kind not in KINDS:
        raise ValueError(f"{kind} cannot be measured")
    if kind == "adder":
        return [_adder(width, f"assign o = a {operator} b;") for operator in "+-"]
    if kind == "adder_carry":
        return [
            _adder(
                width,
                f"wire signed [{width - 1}:0] x = a, y = b;",
                f"wire [{width}:0] sum = {{x, 1'b1}} + {{y, c}};",
                f"assign o = sum[{width}:1];",
            )
        ]
    if kind == "negate":
        return [_adder(width, "assign o = -a;")]
    if kind == "fetch_mux":
        return [_case(width, fan_in, cases=fan_in, default=f"{width}'d0")]
    if kind == "mux":
        last = f"words[{(fan_in - 1) * width} +: {width}]"
        return [_case(width, fan_in, cases=fan_in - 1, default=last)]
    if kind in ("xor_row", "and_row"):
        shared = f"a {'^' if kind == 'xor_row' else '&'} {{{width}{{s}}}}"
        ports = f"input [{width - 1}:0] a, input s, output [{width - 1}:0] o"
        return [_module(ports, f"assign o = {shared};")]
    if kind == "multiplier":
        ports = f"input signed [{fan_in - 1}:0] a, b, output signed [{width - 1}:0] o"
        return [_module(ports, "assign o = a * b;")]
    if kind == "clamp":
        return [_clamp(width, fan_in)]
    if kind == "equal":
        return [_module(f"input [{width - 1}:0] a, b, output o", "assign o = a == b;")]
    if kind == "gate":
        ports = f"input [{width - 1}:0] a, b, output [{width - 1}:0] o"
        return [_module(ports, "assign o = a & b;")]
    if primitive.family is Family.REGISTER:
        load = "if (enable) o <= d;" if KINDS[kind].enable else "o <= d;"
        if KINDS[kind].reset:
            load = f"if (rst) o <= {width}'d0; else {load}"
        ports = f"input clk, rst, enable, input [{width - 1}:0] d, output reg [{width - 1}:0] o"
        return [_module(ports, f"always @(posedge clk) {load}")]
    raise ValueError(f"{kind} cannot be measured")


def _adder(width: int, *body: str) -> str:
    operand = max(width - 1, 1)
    return _module(
        f"input signed [{operand - 1}:0] a, b, input c, output signed [{width - 1}:0] o", *body
    )


def _case(width: int, fan_in: int, cases: int, default: str) -> str:
    bits = max(cases.bit_length(), 1)
    return _module(
        f"input [{bits - 1}:0] index, input [{fan_in * width - 1}:0] words, "
        f"output reg [{width - 1}:0] o",
        "always @* case (index)",
        *(f"  {bits}'d{i}: o = words[{i * width} +: {width}];" for i in range(cases)),
        f"  default: o = {default};",
        "endcase",
    )


def _clamp(width: int, fan_in: int) -> str:
    sign = f"a[{fan_in - 1}]"
    limit = f"{{{sign}, {{{width - 1}{{~{sign}}}}}}}" if width > 1 else sign
    return _module(
        f"input signed [{fan_in - 1}:0] a, output [{width - 1}:0] o",
        f"wire fits = a[{fan_in - 1}:{width - 1}] == {{{fan_in - width + 1}{{{sign}}}}};",
        f"assign o = fits ? a[{width - 1}:0] : {limit};",
    )


def _module(ports: str, *body: str) -> str:
    return "\n".join([f"module top ({ports});", *(f"  {line}" for line in body), "endmodule", ""])


def _primitive(kind: str, grid: Grid, size: int, width: int) -> Primitive:
    if kind == "multiplier":
        return Primitive(kind, 2 * size, size)
    return Primitive(kind, width, width + size if grid.by == "dropped" else size)


def _points(kind: str, grid: Grid) -> list[Primitive]:
    return [_primitive(kind, grid, *place) for place in product(grid.sizes, grid.widths)]


def _checks(kind: str, grid: Grid) -> list[Primitive]:
    places = product(grid.check_sizes, grid.check_widths)
    return [_primitive(kind, grid, *place) for place in places]


def _fit(grid: Grid, knots: list[Primitive], measured: dict[Primitive, float]) -> UnitCost:
    if grid.by == "none":
        line = _line(measured)
        residual = _residual(line, measured)
        if residual.max_relative <= LINEAR_TOLERANCE:
            return UnitCost(status="calibrated", method=grid.method, residual=residual, area=line)
    table = rising_table(grid, [measured[knot] for knot in knots])
    by_construction = {knot for knot in knots if table.area(knot) == measured[knot]}
    compared = {point: measured[point] for point in measured if point not in by_construction}
    return UnitCost(
        status="calibrated",
        method=grid.method,
        residual=_residual(table, compared or measured),
        area=table,
    )


def _line(measured: dict[Primitive, float]) -> LinearArea:
    """Least squares of the relative error; through the origin where only one width is legal."""
    if len(measured) == 1:
        ((only, area),) = measured.items()
        return LinearArea(constant=0.0, per_bit=area / only.width)
    width = np.array([primitive.width for primitive in measured], dtype=float)
    areas = np.array(list(measured.values()))
    terms = np.stack([1 / areas, width / areas], axis=1)
    constant, per_bit = np.linalg.lstsq(terms, np.ones(len(areas)), rcond=None)[0]
    return LinearArea(constant=round(float(constant), 4) + 0.0, per_bit=round(float(per_bit), 4))


def rising_table(grid: Grid, areas: list[float]) -> TableArea:
    """The measured areas; where they fall, the mean of the rising tables just above and below."""
    above = np.array(areas).reshape(len(grid.sizes), len(grid.widths))
    below = above[::-1, ::-1]
    for axis in (0, 1):
        above = np.maximum.accumulate(above, axis=axis)
        below = np.minimum.accumulate(below, axis=axis)
    rising = (above + below[::-1, ::-1]) / 2
    return TableArea(
        by=grid.by,
        sizes=list(grid.sizes),
        widths=list(grid.widths),
        areas=[[round(float(area), 4) for area in row] for row in rising],
    )


def _residual(form: LinearArea | TableArea, measured: dict[Primitive, float]) -> Residual:
    return Residual.of((form.area(point) - area) / area for point, area in measured.items())
