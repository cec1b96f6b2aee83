"""Markdown tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Lines of a table."""
    yield _line(head)
    yield _line(["---"] * len(head))
    for row in rows:
        yield _line([str(cell) for cell in row])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(text: str) -> str:
    """A cell's text: bars are escaped, and angle brackets outside code."""
    parts = text.replace("|", "\\|").split("`")
    parts[::2] = [part.replace("<", "&lt;") for part in parts[::2]]
    return "`".join(parts)


def code(*words: object) -> str:
    """Words in code font, separated by commas."""
    return ", ".join(f"`{word}`" for word in words)
