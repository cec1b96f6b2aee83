"""Where results that can be recomputed are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """The user's cache folder; it may not exist yet.

    ``$HWGEN_CACHE``, or ``$XDG_CACHE_HOME/hwgen``, or ``~/.cache/hwgen``; an empty variable counts
    as unset. Everything in it can be deleted at any time.
    """
    if own := os.environ.get("HWGEN_CACHE"):
        return Path(own).absolute()
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "hwgen"
    return Path.home() / ".cache" / "hwgen"
