"""The options of commands whose jobs may run on a cluster."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from hwgen.base.jobs import executor as jobs_executor

OPTIONS: dict[str, tuple[Any, Any]] = {
    "executor": (
        Annotated[
            str,
            typer.Option(help="what runs the jobs: local, all processors, or dask, a Dask cluster"),
        ],
        "local",
    ),
    "scheduler": (
        Annotated[
            str | None, typer.Option(help="address of the Dask scheduler, tcp://host:8786, say")
        ],
        None,
    ),
}


def on_workers(command: Callable[..., None]) -> Callable[..., None]:
    """``command`` with the options --executor and --scheduler, which hold for all it does."""

    @functools.wraps(command)
    def run(*args: Any, executor: str, scheduler: str | None, **options: Any) -> None:
        with jobs_executor(executor, scheduler):
            command(*args, **options)

    signature = inspect.signature(command, eval_str=True)
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)
        for name, (hint, default) in OPTIONS.items()
    ]
    shown = signature.replace(parameters=[*signature.parameters.values(), *added])
    run.__signature__ = shown  # type: ignore[attr-defined]
    run.__annotations__ = command.__annotations__ | {
        name: hint for name, (hint, _) in OPTIONS.items()
    }
    return run
