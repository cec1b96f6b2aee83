"""Text for terminals and files that do not take Unicode: readable, never an error."""

from __future__ import annotations

import codecs
import sys

HANDLER = "hwgen.plain"
PLAIN = {
    "µ": "u",
    "μ": "u",
    "×": "x",
    "÷": "/",
    "·": "*",
    "−": "-",
    "–": "-",
    "—": "-",
    "…": "...",
    "→": "->",
    "±": "+-",
    "≤": "<=",
    "≥": ">=",
    "²": "^2",
    "³": "^3",
    "Σ": "sum",
    "√": "sqrt",
    "⌈": "ceil(",
    "⌉": ")",
    "⌊": "floor(",
    "⌋": ")",
    "★": "*",
    "✓": "yes",
    "│": "|",
    "─": "-",
}
"""What stands for characters that an encoding lacks; any other one becomes a question mark."""


def plain(error: UnicodeError) -> tuple[str, int]:
    """Handler of characters that cannot be encoded."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(letter, "?") for letter in error.object[error.start : error.end]), (
        error.end
    )


def allow_any_output() -> None:
    """Standard output and error take all text from now on."""
    codecs.register_error(HANDLER, plain)
    for stream in (sys.stdout, sys.stderr):
        if not takes_unicode(stream.encoding) and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=HANDLER)


def takes_unicode(encoding: str | None) -> bool:
    """Whether an encoding has all characters."""
    return (encoding or "ascii").lower().replace("-", "").startswith("utf")
