"""What the top of an emitted file says: the streams, the order of beats, and words in names."""

from __future__ import annotations

import re
from math import prod

from hwgen.spec.ports import CLOCK, RESET
from hwgen.spec.structure import Structure
from hwgen.spec.units import FetchSpec
from hwgen.verilog.streams import Field, Stream

STREAM_RULES = (
    f"One clock, {CLOCK}, and one synchronous reset, {RESET}, active high. A beat of a stream "
    "moves on a rising edge of the clock where valid and ready are both 1. valid does not wait for "
    "ready; once it is 1, it stays with its payload until the beat moves. Any stream may stall at "
    "any time."
)
NAMES = {
    r"1'h1\}\s+\+\s": "{a, 1'h1} + {b, carry} is a + b + carry in one adder: the lowest bits carry "
    "into the next ones. The lowest bit of the result is not used.",
    r"\bunused_": "unused_x: bits of a result, below x, that nothing reads.",
    r"\bentries_entry_\d": "entries_entry_4: entry 4 of a table.",
    r"\bsum_[pmz]+\b": "sum_pmz: a sum of activations, a letter for each, that of activation 0 "
    "first: p adds it, m subtracts it, z leaves it out.",
    r"_mu\d": "_mu3: 3 activations share one table.",
    r"_k\d": "_k4: 4 fetch ports on a table, one for each output of a tile.",
    r"_(control|accumulate)\w*_d\d|\bcontrol_d\d": "_d3: blocks of 3 tiles of outputs; every port "
    "has 3 accumulators.",
    r"_reach\d": "_reach256: every term lies in -256 to 256.",
    r"_w\d+_to\d": "_w7_to11: words of 7 bits are added to accumulators of 11 bits.",
    r"\bcontrol_d": "control_..._i8_o9_b1_t2: counters of 8 bits for n-tiles and of 9 bits for "
    "tiles of outputs; 1 register stage from acts to the fetch, 2 from there to the accumulators.",
    r"\bcontrol_\w+_a\d": "control_..._a1: 1 register stage in the adder that accumulates.",
    r"\b(table|lut_build)_\w+_add\d": "_add1: 1 register stage in every adder of a table.",
    r"_mul\d": "_mul1: 1 register stage in every multiplier.",
    r"\b(lut_build|hold|table|group|reduce|port)_\w+_r\d": "_r2 in the name of a table or a "
    "reduction: registers after level 2 of its adders; level 0 is what comes in.",
    r"\b(lut_fetch|product)_\w+_r\b": "_r, _fetch_r in the name of a module: registers after the "
    "fetch.",
    r"\bfp_(add|mul)_\w+_r\d": "fp_..._r2: 2 register stages inside.",
    r"\b[a-z]\w*_r\d?\b": "x_r, x_r1: the register that holds signal x, of register stage 1 where "
    "it is one of several.",
    r"\b(first|last|last_in|index|tile_valid|build_valid)_\d": "build_valid_0, tile_valid_0, "
    "index_0: what goes along with a table, or with a tile after the fetch, at register stage 0.",
}
"""What is explained wherever the pattern occurs in the Verilog."""


def streams_text(streams: tuple[Stream, ...]) -> str:
    """Every stream, its ports and the bits of its payload."""
    if not streams:
        return ""
    parts = [STREAM_RULES]
    for stream in streams:
        ports = ", ".join(stream.ports.values())
        fields = "\n".join(f"  {_field(field)}" for field in stream.layout)
        parts.append(f"Stream {stream.role}, {stream.direction}: {ports}\n{fields}")
    return "\n".join(parts)


def _field(field: Field) -> str:
    """The place of a field and of its elements."""
    bits = field.bits * prod(field.shape)
    high = field.low + bits - 1
    where = f"bit {field.low}" if bits == 1 else f"bits {field.low} to {high}"
    kind = field.format or ("signed" if field.signed else "unsigned")
    if not field.shape:
        return f"{field.name}: {where}" + (f", {kind}" if bits > 1 else "")
    indices = [f"p{i}" for i in range(len(field.shape))]
    place = indices[0]
    for index, size in zip(indices[1:], field.shape[1:], strict=True):
        place = f"({place}*{size} + {index})"
    array = "".join(f"[{size}]" for size in field.shape)
    element = "".join(f"[{index}]" for index in indices)
    start = f"{field.low} + " if field.low else ""
    return (
        f"{field.name}{array}: {where}, {kind}, {field.bits} bits each; element {element} from bit "
        f"{start}{place}*{field.bits} up"
    )


def core_text(spec: Structure) -> str:
    """The order of a core's beats, and what its keys and flags mean."""
    c = spec.config
    n, m, d = c.tile_n, c.tile_m, c.reuse
    loops = [
        "for each token,",
        f"for each block b of {d} tiles of outputs (the last one has those left)," if d > 1 else "",
        "for each n-tile i from 0 to in_tiles - 1:" if d > 1 else "",
        "" if d > 1 else "for each tile b of outputs, for each n-tile i from 0 to in_tiles - 1:",
        f"  one beat of acts: [0][j] is input i*{n} + j, and 0 beyond the last input",
        "  for each tile d of the block:" if d > 1 else "",
    ]
    output, indent = (f"(b*{d} + d)*{m} + k", "    ") if d > 1 else (f"b*{m} + k", "  ")
    loops += [
        f"{indent}one beat of keys: [k][l] is the key of table l for output {output}",
        f"{indent}and where i is in_tiles - 1 one beat of sums: [0][k] is output {output}",
    ]
    lines = [
        f"A command begins a run. in_tiles is the number of inputs divided by {n}, out_tiles that "
        f"of outputs divided by {m}, both rounded up. The next command is taken while a run "
        "drains. Order of a run's beats:",
        *(f"  {loop}" for loop in loops if loop),
        "last is 1 in the last beat of sums of a token.",
    ]
    return "\n".join([*lines, *_keys(spec), *_numbers(spec)])


def _keys(spec: Structure) -> list[str]:
    c = spec.config
    if not isinstance(spec.fetch, FetchSpec):
        return [f"Key: the weight of input i*{c.tile_n} + l, in the format of an activation."]
    book, mu = c.book, c.mu
    first = f"i*{c.tile_n} + l" + (f"*{mu}" if mu > 1 else "")
    group = f"weights of inputs {first} + (0 to {mu - 1})" if mu > 1 else f"weight of input {first}"
    return [
        f"Key: stands for the {group}. Bit {book.index_bits} is the sign, the bits below are the "
        "index: that of a table's entry, which the sign negates; the manifest lists the entries. "
        f"Index {book.zero_index}: all weights are 0, whatever the sign."
    ]


def _numbers(spec: Structure) -> list[str]:
    c = spec.config
    lines = []
    if c.arith == "fixed":
        lines.append("Outputs are exact sums, rounded once, to nearest even.")
    if c.exponent_bits:
        lines.append(
            "exponent is the highest exponent field among the token's activations, at least 1, in "
            "every beat of the token. error is 1 in all its sums, which are NaN, if an activation "
            "is above it, infinite or NaN, or if its beats differ in exponent."
        )
    return lines


def names_text(verilog: str) -> str:
    """What the names and forms mean that occur in ``verilog``."""
    found = [text for pattern, text in NAMES.items() if re.search(pattern, verilog)]
    return "\n".join(["In names:", *(f"  {text}" for text in found)]) if found else ""
