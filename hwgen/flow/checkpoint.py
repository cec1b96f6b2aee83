"""A checkpoint opened as the options of a command say."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar, get_args

from hwgen.base.errors import ConfigError
from sim.checkpoints import (
    Checkpoint,
    I2sLayout,
    ScaleConvention,
    open_checkpoint,
)

_Choice = TypeVar("_Choice", bound=str)


def open_chosen(path: Path, i2s_layout: str | None, scale: str | None) -> Checkpoint:
    """Open a checkpoint as the options say; ConfigError for an illegal one, CheckpointError."""
    layout = legal_choice("--i2s-layout", i2s_layout, get_args(I2sLayout))
    return open_checkpoint(path, layout, legal_choice("--scale", scale, get_args(ScaleConvention)))


def legal_choice(option: str, value: str | None, legal: tuple[_Choice, ...]) -> _Choice | None:
    """The option's value as one of the legal ones."""
    for choice in legal:
        if value == choice:
            return choice
    if value is None:
        return None
    raise ConfigError(f"{option}: should be {' or '.join(map(repr, legal))}, not {value!r}")
