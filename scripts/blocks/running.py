"""Commands run in this process, as the documentation tells readers to run them."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner

from hwgen.base.errors import HwgenError
from hwgen.cli import app


def run(*arguments: object) -> str:
    """What a command prints on stdout; HwgenError if it fails."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if isinstance(done.exception, Exception):
        raise done.exception
    if done.exit_code:
        raise HwgenError(done.output)
    return done.stdout


def run_json(*arguments: object) -> Any:
    """What a command prints with --json."""
    return json.loads(run(*arguments, "--json"))


def refusal(*arguments: object) -> str:
    """Why a command fails; empty if it does not."""
    try:
        run(*arguments)
    except HwgenError as error:
        return str(error)
    return ""
