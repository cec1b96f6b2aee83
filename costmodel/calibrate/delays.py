"""Unit delays: the elements of paths, measured by synthesis and timing of small modules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from costmodel.calibrate.areas import Generated, verilog
from costmodel.cells.delay import DelayModel, UnitDelay
from costmodel.cells.paths import ELEMENTS, ElementKind
from costmodel.synth.libraries import TechnologyFiles
from costmodel.synth.yosys import tool_version
from hwgen.base.jobs import workers
from hwgen.spec.number import MAX_FIXED_BITS
from hwgen.spec.primitive import GENERATED, Family, Primitive

STAGES = (1, 2, 3, 4, 5)
CHAIN_LEVELS = 3
_UNIT = "the generated unit"
Progress = Callable[[str, int, int], None]


class Probe(NamedTuple):
    """How one kind of element is measured, and at which sizes."""

    method: str
    sizes: tuple[int, ...]
    module: Callable[[int], Primitive | str]
    """A primitive that is that element, or Verilog of a module ``top``."""
    less: Callable[[int], Primitive | str] | None = None
    """The part of the module that is not the element; its delay is subtracted."""
    share: int = 1
    """Number of elements on the module's path."""
    rises: bool = True
    """Whether a larger element is slower; one that was measured faster is then evened out."""


def unit_delays(
    library: TechnologyFiles, generated: Generated, progress: Progress | None = None
) -> DelayModel | None:
    """Delay of every kind of element at every size of its grid; None without delays in the files.

    ``generated`` as in `costmodel.calibrate.areas.calibrate`; it also makes ``fp_chain_*``: the
    reduction of four numbers, with registers in its adders and none between them.
    """
    if library.info.conditions is None:
        return None
    points = [(kind, size) for kind, probe in PROBES.items() for size in probe.sizes]
    measured: dict[str, list[float]] = {kind: [] for kind in PROBES}
    with workers() as pool:
        work = partial(_measure, library=library, generated=generated)
        for done, (point, delay) in enumerate(
            zip(points, pool.map(work, points, chunksize=2), strict=True), 1
        ):
            measured[point[0]].append(round(delay, 5))
            if progress is not None:
                progress(point[0], done, len(points))
    return DelayModel(
        tool=tool_version(),
        conditions=library.info.conditions.model_dump_json(),
        units={
            kind: UnitDelay(
                method=probe.method,
                sizes=list(probe.sizes),
                delays_ns=rising(measured[kind]) if probe.rises else measured[kind],
            )
            for kind, probe in PROBES.items()
        },
    )


def rising(delays: Sequence[float]) -> list[float]:
    """Means of the rising steps just above and just below; a rising sequence stays as it is."""
    above = np.maximum.accumulate(delays)
    below = np.minimum.accumulate(delays[::-1])[::-1]
    return [round(float(delay), 5) for delay in (above + below) / 2]


def _measure(point: tuple[str, int], library: TechnologyFiles, generated: Generated) -> float:
    kind, size = point
    probe = PROBES[kind]

    def delay(module: Primitive | str) -> float:
        if isinstance(module, str):
            text, top, language = module, "top", "verilog"
        elif module.kind in ELEMENTS and ELEMENTS[module.kind].family in GENERATED:
            text, top = generated(module)
            language = "rtlil"
        else:
            text, top, language = verilog(module)[0], "top", "verilog"
        result = library.synthesise(
            text, top, "verilog" if language == "verilog" else "rtlil", timing=True
        )
        assert result.delay_ns is not None
        return result.delay_ns

    without = delay(probe.less(size)) if probe.less is not None else 0.0
    return max(0.0, delay(probe.module(size)) - without) / probe.share


def _registers(_: int) -> str:
    return (
        "module top (input clk, input [3:0] d, output reg [3:0] o); reg [3:0] q;\n"
        "always @(posedge clk) begin q <= d; o <= q; end endmodule\n"
    )


def _tree(_: int) -> str:
    """Eight numbers of eight bits, three levels of adders."""
    terms = [f"a[{8 * i} +: 8]" for i in range(8)]
    lines = [f"wire signed [7:0] w0_{i} = {term};" for i, term in enumerate(terms)]
    for level in range(1, CHAIN_LEVELS + 1):
        for i in range(8 >> level):
            left, right = f"w{level - 1}_{2 * i}", f"w{level - 1}_{2 * i + 1}"
            lines.append(f"wire signed [{7 + level}:0] w{level}_{i} = {left} + {right};")
    body = "\n".join(lines)
    return (
        f"module top (input [63:0] a, output [10:0] o);\n{body}\n"
        f"assign o = w{CHAIN_LEVELS}_0;\nendmodule\n"
    )


def _shared_sum(users: int) -> str:
    """A sum of eight bits, and ``users`` adders that take it."""
    outputs = ", ".join(f"output signed [8:0] o{i}" for i in range(users))
    sums = " ".join(f"assign o{i} = s + $signed(c[{8 * i} +: 8]);" for i in range(users))
    return (
        f"module top (input signed [6:0] a, b, input [{8 * users - 1}:0] c, {outputs});\n"
        f"wire signed [7:0] s = a + b; {sums}\nendmodule\n"
    )


def _probes() -> dict[str, Probe]:
    probes = {
        "register": Probe("two flip-flops in a row", (0,), _registers),
        "adder": Probe(
            "a + b, operands one bit narrower than the result",
            (4, 8, 16, 32, 48),
            lambda n: Primitive("adder", n),
        ),
        "adder_before": Probe(
            "a tree of three levels of adders, less its last one, for each of the others",
            (0,),
            _tree,
            lambda _: Primitive("adder", 8 + CHAIN_LEVELS),
            CHAIN_LEVELS - 1,
        ),
        "fetch_mux": Probe(
            "one case over a binary index, words of 10 bits",
            (1, 2, 4, 8, 13, 26, 40, 80, 121, 242, 364),
            lambda n: Primitive("fetch_mux", 10, n),
        ),
        "mux": Probe(
            "one case over a binary index, words of 24 bits",
            (2, 3, 4, 8, 16, 64),
            lambda n: Primitive("mux", 24, n),
        ),
        "gate": Probe(
            "16 XOR gates with one shared input", (0,), lambda _: Primitive("xor_row", 16)
        ),
        "equal": Probe("equality of two words", (4, 8, 16), lambda n: Primitive("equal", n)),
        "fanout": Probe(
            "AND gates with one input shared, less one such gate",
            (1, 2, 4, 8, 16, 64, 256, 1024, 4096, 16384),
            lambda n: Primitive("and_row", n),
            lambda _: Primitive("and_row", 1),
        ),
        "sum_fanout": Probe(
            "a + b taken by so many adders, less the same with one",
            (1, 2, 4, 8, 16, 32, 64, 128),
            _shared_sum,
            lambda _: _shared_sum(1),
        ),
        "clamp": Probe(
            "signed saturation of a word 4 bits wider",
            (8, 16, 32),
            lambda n: Primitive("clamp", n, n + 4),
        ),
        "multiplier": Probe(
            "signed a * b", (2, 4, 6, 8, 12, 16), lambda n: Primitive("multiplier", 2 * n, n)
        ),
    }
    return probes | {
        name: _generated_probe(name, kind)
        for name, kind in ELEMENTS.items()
        if kind.family in GENERATED
    }


def _generated_probe(name: str, kind: ElementKind) -> Probe:
    """Of a unit that the generator builds."""
    number = kind.number
    assert number is not None
    if kind.family in (Family.FP_ADD, Family.FP_MUL):
        bits, stages = number.bits, STAGES[1:] if kind.chain else STAGES
        return Probe(_UNIT, stages, lambda n: Primitive(name, bits, n), rises=False)
    if kind.family is Family.WIDEN:
        assert kind.target is not None
        widths: tuple[int, ...] = (kind.target.bits,)
    elif kind.aligned:
        lowest, highest = number.mantissa_bits + 2, min(number.fixed_bits - 1, MAX_FIXED_BITS)
        widths = tuple(sorted({lowest, min(lowest + 16, highest), highest}))
        if kind.family is Family.FROM_FIXED:
            widths = tuple(16 + width for width in widths)
    elif kind.family is Family.FROM_FIXED:
        widths = (number.fixed_bits + 1, number.fixed_bits + 21)
    else:
        widths = (number.fixed_bits,)
    return Probe(_UNIT, widths, lambda width: Primitive(name, width))


PROBES = _probes()
