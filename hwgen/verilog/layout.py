"""Lines of Verilog: none longer than people and tools like to read."""

from __future__ import annotations

import textwrap

LONGEST_LINE = 100


def wrapped(line: str) -> str:
    """A line of code over as many lines as it takes, broken at spaces, outside brackets if it can.

    A word alone is never broken.
    """
    indent = len(line) - len(line.lstrip())
    lines: list[str] = []
    start, room = 0, LONGEST_LINE
    while len(line) - start > room:
        cut = _cut(line, start + (0 if lines else indent), start + room)
        if cut is None:
            break
        lines.append(line[start:cut])
        start, room = cut + 1, LONGEST_LINE - indent - 2
    return ("\n" + " " * (indent + 2)).join([*lines, line[start:]])


def _cut(line: str, start: int, end: int) -> int | None:
    """The space at which ``line[start:]`` is broken: up to ``end``, if there is one.

    In the second half of the line it is the last one of those in the fewest brackets.
    """
    best: int | None = None
    best_rank, depth = (True, 0), 0
    for place in range(start, len(line)):
        character = line[place]
        depth += (character in "([{") - (character in ")]}")
        if character != " ":
            continue
        if place > end:
            return place if best is None else best
        early = place < (start + end) // 2
        rank = (early, 0 if early else depth)
        if rank <= best_rank or best is None:
            best, best_rank = place, rank
    return best


def comment(text: str) -> list[str]:
    """Text as a comment, each of its lines over as many as it takes, at its own indent."""
    lines = []
    for line in text.splitlines():
        indent = " " * (len(line) - len(line.lstrip()))
        lines += textwrap.wrap(
            line.strip(),
            LONGEST_LINE,
            initial_indent=f"// {indent}",
            subsequent_indent=f"// {indent}",
            break_long_words=False,
            break_on_hyphens=False,
        ) or ["//"]
    return lines
