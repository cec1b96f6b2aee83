"""Lines of Verilog: none longer than people and tools like to read."""

from __future__ import annotations

import textwrap

LONGEST_LINE = 100
_DEEPER, _HIGHER = "([{", ")]}"


def wrapped(line: str) -> str:
    """A line of code over as many lines as it takes, broken at spaces outside brackets if it can.

    A word alone is never broken.
    """
    indent = len(line) - len(line.lstrip())
    lines, start = [], 0
    while len(line) - start > LONGEST_LINE - (indent + 2 if lines else 0):
        room = LONGEST_LINE - (indent + 2 if lines else 0)
        cut = _cut(line, start + (0 if lines else indent), start + room)
        if cut is None:
            break
        lines.append(line[start:cut])
        start = cut + 1
    lines.append(line[start:])
    return ("\n" + " " * (indent + 2)).join(lines)


def _cut(line: str, start: int, end: int) -> int | None:
    """The space at which to break ``line[start:]``: the least deep, then the last up to ``end``."""
    least = start + (end - start) // 2  # Rather inside brackets than after a few words.
    best, depth = None, 0
    lowest = len(line)
    first = None
    for i in range(start, len(line)):
        character = line[i]
        if character in _DEEPER:
            depth += 1
        elif character in _HIGHER:
            depth -= 1
        elif character == " " and i > start:
            if i > end:
                first = i
                break
            if i >= least and depth <= lowest:
                best, lowest = i, depth
            elif best is None:
                first = i
    return best if best is not None else first


def comment(text: str) -> list[str]:
    """Text as lines of a comment; each of its own lines begins a new one, indents are kept."""
    lines = []
    for line in text.splitlines():
        inner = " " * (len(line) - len(line.lstrip()))
        lines += textwrap.wrap(
            line,
            LONGEST_LINE,
            initial_indent="// ",
            subsequent_indent=f"// {inner}",
            drop_whitespace=True,
            break_long_words=False,
            break_on_hyphens=False,
        ) or ["//"]
    return lines
