"""Where results that can be recomputed are kept between runs."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path


def cache_dir() -> Path:
    """The user's cache folder; it may not exist yet.

    ``$HWGEN_CACHE``, or ``$XDG_CACHE_HOME/hwgen``, or ``~/.cache/hwgen``; an empty variable counts
    as unset. Where the last two cannot be written, as in some containers, ``hwgen-<user id>`` in
    the folder of temporary files. Everything in it can be deleted at any time.
    """
    if own := os.environ.get("HWGEN_CACHE"):
        return Path(own).absolute()
    return _first_writable(os.environ.get("XDG_CACHE_HOME"), os.environ.get("HOME"))


def for_other_tools() -> None:
    """Let libraries keep their caches in ours where they could not keep them at home."""
    folder = cache_dir()
    if not os.environ.get("HWGEN_CACHE") and folder.parent == Path(tempfile.gettempdir()):
        os.environ.setdefault("MPLCONFIGDIR", str(folder / "matplotlib"))
        os.environ.setdefault("NUMBA_CACHE_DIR", str(folder / "numba"))


@cache
def _first_writable(base: str | None, home: str | None) -> Path:
    """``home`` is what `Path.home` goes by; both are arguments since they may change in tests."""
    try:
        folder = Path(base) / "hwgen" if base else Path.home() / ".cache" / "hwgen"
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):  # RuntimeError: nobody knows the user's home.
        return Path(tempfile.gettempdir()) / f"hwgen-{os.getuid()}"
