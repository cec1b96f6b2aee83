"""The command line: parses, calls one function of `hwgen.flow`, prints.

Exit codes: 0 done, 1 the work failed, 2 the request was wrong. Results go to stdout, messages and
progress to stderr. Flows are imported when their command runs, so that --help is quick.
"""

from __future__ import annotations

import sys
import warnings
from typing import Annotated

import typer

from hwgen.base.cachedir import for_other_tools
from hwgen.base.errors import ConfigError, HwgenError
from hwgen.base.version import __version__
from hwgen.cli import commands
from hwgen.cli.plain import allow_any_output

app = typer.Typer(
    name="hwgen",
    help="Generate, cost and prove accelerator cores for ternary language models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
commands.register(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hwgen {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="print the version and exit", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; errors of users are one line each, without traceback."""
    allow_any_output()
    for_other_tools()
    # Amaranth's, of a core whose elaboration was interrupted.
    warnings.filterwarnings("ignore", message=".* created but never used")
    try:
        app()
    except ConfigError as error:
        _complain(error)
        sys.exit(2)
    except HwgenError as error:
        _complain(error)
        sys.exit(1)
    except MemoryError:
        typer.echo("hwgen: error: not enough memory; give a smaller layer or space", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        reason = error.strerror or str(error)
        named = f"{error.filename}: {reason}" if error.filename else None
        _complain(HwgenError(named or f"output cannot be written: {reason}"))
        sys.exit(1)


def _complain(error: HwgenError) -> None:
    for line in str(error).splitlines():
        typer.echo(f"hwgen: error: {line}", err=True)
