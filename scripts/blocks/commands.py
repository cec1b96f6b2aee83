"""The reference of the command line, from the signatures of the commands."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

from typer.models import ArgumentInfo, OptionInfo

from hwgen.cli import app
from scripts.blocks.table import code, table

VALUES = {int: "integer", float: "number", Path: "file or folder", str: "text"}


def commands() -> Iterator[str]:
    """A section for each command: what it does, its arguments and options, an example."""
    for command in app.registered_commands:
        assert command.callback is not None
        name = command.name or command.callback.__name__
        yield from (f"## hwgen {name}", "")
        for paragraph in (inspect.getdoc(command.callback) or "").split("\n\n"):
            yield from (" ".join(paragraph.split()), "")
        yield from ("```sh", (command.epilog or "").removeprefix("Example: "), "```", "")
        head = ("argument or option", "value", "default", "meaning")
        yield from table(head, _rows(command.callback))
        yield ""


def _rows(callback: Callable[..., None]) -> Iterator[tuple[str, str, str, str]]:
    for name, parameter in inspect.signature(callback, eval_str=True).parameters.items():
        kind, *notes = get_args(parameter.annotation)
        info = next(note for note in notes if isinstance(note, ArgumentInfo | OptionInfo))
        if isinstance(info, ArgumentInfo):
            shown = code(info.metavar or name.upper())
        else:
            shown = code(*(_given(info) or [f"--{name.replace('_', '-')}"]))
        yield shown, _value(kind, info), _default(parameter.default), info.help or ""


def _given(info: OptionInfo) -> list[str]:
    """The names of an option, where they are given; the first one stands in place of a default."""
    names = (info.default, *(info.param_decls or ()))
    return [name for name in names if isinstance(name, str) and name.startswith("-")]


def _value(kind: Any, info: ArgumentInfo | OptionInfo) -> str:
    """What a value is, in words; empty for a flag."""
    if get_origin(kind) is list:
        return f"{_value(get_args(kind)[0], info)}, once or several times"
    inner = [one for one in get_args(kind) if one is not type(None)] or [kind]
    if get_origin(inner[0]) is list:
        return _value(inner[0], info)
    word = VALUES.get(inner[0], "")
    return f"{word}, at least {info.min:g}" if info.min is not None else word


def _default(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return "required"
    return "" if value in (None, False, 0) else code(value)
