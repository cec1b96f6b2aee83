"""Where results that can be recomputed are kept between runs, and how files are written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def cache_dir() -> Path:
    """The user's cache folder; it may not exist yet.

    ``$HWGEN_CACHE``, or ``$XDG_CACHE_HOME/hwgen``, or ``~/.cache/hwgen``; an empty variable counts
    as unset. Everything in it can be deleted at any time.
    """
    if own := os.environ.get("HWGEN_CACHE"):
        return Path(own)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "hwgen"
    return Path.home() / ".cache" / "hwgen"


def write_atomic(path: Path, text: str) -> None:
    """Write ``text`` (UTF-8) so that a reader sees the old file or the new one, never a part.

    Creates the folder if need be. Raises OSError where that is impossible.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
