"""Results of commands: frozen data that become plain data, and draw themselves in a notebook."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any, ClassVar

from rich.console import Console

Drawer = Callable[[Any], Iterable[Any]]
WIDTH = 120
"""Columns of a drawing in a notebook."""
_DRAWERS: dict[type, Drawer] = {}
_STYLE = "white-space: pre; overflow-x: auto; line-height: normal; font-family: monospace"


class Record(ABC):
    """A result: `to_dict` for scripts, `drawing` for people.

    ``drawn_in``: the module of ``hwgen.tables`` that draws it, imported when it is first drawn, so
    that results need no tables to exist.
    """

    drawn_in: ClassVar[str]

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """Plain data, as ``--json`` prints them: names carry units, None is not applicable."""

    def drawing(self) -> list[Any]:
        """Tables and lines for a `rich` console."""
        import_module(f"hwgen.tables.{self.drawn_in}")
        kind = next(kind for kind in type(self).__mro__ if kind in _DRAWERS)
        return list(_DRAWERS[kind](self))

    def _repr_html_(self) -> str:
        """The drawing in a notebook."""
        console = Console(record=True, file=io.StringIO(), width=WIDTH, highlight=False)
        for item in self.drawing():
            console.print(item, markup=False)
        return console.export_html(
            inline_styles=True, code_format=f'<div style="{_STYLE}">{{code}}</div>'
        )


def draws(kind: type) -> Callable[[Drawer], Drawer]:
    """Makes a function draw results of a kind: it yields tables and lines."""

    def register(drawer: Drawer) -> Drawer:
        _DRAWERS[kind] = drawer
        return drawer

    return register
