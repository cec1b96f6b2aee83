"""Where calibrations go that a user makes with an installed package."""

from __future__ import annotations

import os
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

VARIABLE = "HWGEN_DATA"


@cache
def from_wheel() -> bool:
    """Whether this code was installed as a wheel, so that its folder is not the user's to change.

    A checkout is not, nor is an editable installation: the data are then part of the project.
    """
    try:
        files = distribution("hwgen").files or []
    except PackageNotFoundError:
        return False
    here = Path(__file__).resolve()
    same_name = (file for file in files if file.name == here.name)
    return any(Path(str(file.locate())).resolve() == here for file in same_name)


def user_folder() -> Path | None:
    """The folder of the user's own calibrations, which are read in preference; it may not exist.

    ``$HWGEN_DATA``; else, for an installed wheel, ``$XDG_DATA_HOME/hwgen`` or
    ``~/.local/share/hwgen``; else None, as a checkout keeps its calibrations in itself. An empty
    variable counts as unset.
    """
    if own := os.environ.get(VARIABLE):
        return Path(own).absolute()
    if not from_wheel():
        return None
    if base := os.environ.get("XDG_DATA_HOME"):
        return Path(base) / "hwgen"
    return Path.home() / ".local" / "share" / "hwgen"
