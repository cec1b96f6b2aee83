"""Where the command begins: signals end it with one line, even while modules are imported."""

from __future__ import annotations

import signal
import sys
from types import FrameType

INTERRUPTED = 128 + signal.SIGINT


def main() -> None:
    """Run the command line."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    try:
        from hwgen.cli import main as run

        run()
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            print("hwgen: interrupted", file=sys.stderr)
        raise


def _end(number: int, frame: FrameType | None) -> None:
    """Put away what was begun, and end workers; a second signal of the kind ends at once."""
    signal.signal(number, signal.SIG_DFL)
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
