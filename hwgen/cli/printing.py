"""What all commands print with: results on stdout, messages and progress on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from hwgen.base.record import Record
from hwgen.cli.plain import takes_unicode

Core = Annotated[Path, typer.Argument(help="core file, YAML", metavar="CORE.yaml")]
Count = Callable[[int, int], None]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON on stdout")]
PIPED_WIDTH = 120
messages = Console(stderr=True, highlight=False, markup=False)
output = Console(
    highlight=False,
    markup=False,
    # COLUMNS counts in any case.
    width=None if sys.stdout.isatty() or os.environ.get("COLUMNS") else PIPED_WIDTH,
)


def print_json(content: Any) -> None:
    escaped = not takes_unicode(sys.stdout.encoding)
    typer.echo(json.dumps(content, indent=1, ensure_ascii=escaped))


def show(result: Record, as_json: bool, soft_wrap: bool = False) -> None:
    """Print a result as JSON, or as tables and lines; ``soft_wrap`` leaves long lines whole."""
    if as_json:
        print_json(result.to_dict())
        return
    for item in result.drawing():
        output.print(item, soft_wrap=soft_wrap)


@contextmanager
def status(first: str) -> Iterator[Any]:
    """A spinner with a changing text on stderr; a function that changes it."""
    with messages.status(f"{first} …") as status:
        yield lambda text: status.update(f"{text} …")


@contextmanager
def counted(what: str, rate: bool = False) -> Iterator[Count]:
    """A progress bar on stderr, with a rate if wanted; a function that takes done and total."""
    with staged(what, rate) as (_, count):
        yield count


@contextmanager
def staged(first: str, rate: bool = False) -> Iterator[tuple[Callable[[str], None], Count]]:
    """A progress bar on stderr: a function that changes its text, one that takes done and total."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    speed = (_Speed(),) if rate else ()
    remaining = TimeRemainingColumn()
    with Progress(*columns, *speed, remaining, console=messages, transient=True) as bar:
        task = bar.add_task(first, total=None)
        yield (
            lambda text: bar.update(task, description=text),
            lambda done, total: bar.update(task, completed=done, total=total),
        )


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s")
