"""The one door for models: of the zoo, or a checkpoint opened as the options of a command say.

Every command that takes a model comes through here, so that all of them give the same answer, and
whatever is wrong with a checkpoint is a ConfigError.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from hwgen.base.errors import ConfigError
from hwgen.spec.config import CoreConfig
from sim.checkpoints import (
    Checkpoint,
    CheckpointError,
    I2sLayout,
    Quantise,
    Reading,
    ScaleConvention,
    open_checkpoint,
)
from sim.checkpoints.architecture import Architecture
from sim.nets.decoder import Decoder
from sim.nets.network import Network, read_test_set
from sim.nets.packaged import checkpoint_path
from sim.nets.step import GetLayer, checkpoint_layers, random_layers
from sim.workload.workload import Workload, of_checkpoint, of_zoo
from sim.workload.zoo import Model, find_model, unknown_model

_Choice = TypeVar("_Choice", bound=str)


def reading(
    i2s_layout: str | None = None,
    scale: str | None = None,
    quantise: str | None = None,
    partial: bool = False,
) -> Reading:
    """How to read a checkpoint whose files do not say it; ConfigError for an illegal option."""
    return Reading(
        _legal("--i2s-layout", i2s_layout, get_args(I2sLayout)),
        _legal("--scale", scale, get_args(ScaleConvention)),
        _legal("--quantise", quantise, get_args(Quantise)),
        partial,
    )


@dataclass(frozen=True)
class ModelSource:
    """A model that a user named.

    It is one of the zoo, of which only shapes are known, or a checkpoint: its path, or the name of
    a packaged one.

    how: to read a checkpoint; no option of it is legal for the zoo.
    """

    name: str
    zoo: Model | None
    how: Reading

    @classmethod
    def find(cls, model: str | Path, how: Reading | None = None) -> ModelSource:
        """The model of that name or path; ConfigError for an unknown one or an illegal option."""
        how, name = how or Reading(), str(model)
        path = checkpoint_path(name)
        zoo = None if path.exists() else find_model(name)
        if zoo is not None:
            for option, value in (
                ("--i2s-layout", how.i2s_layout),
                ("--scale", how.scale),
                ("--quantise", how.quantise),
                ("--partial", how.partial or None),
            ):
                if value is not None:
                    raise ConfigError(f"{option}: is of checkpoints, not of {name}; leave it out")
        elif not path.exists():
            raise ConfigError(unknown_model(name))
        return cls(name, zoo, how)

    @property
    def path(self) -> Path:
        """Where the checkpoint lies; ConfigError for a model of the zoo."""
        if self.zoo is not None:
            raise ConfigError(
                f"model: should be a checkpoint, examples/tinylm say, not {self.name}, of which "
                "only shapes are known"
            )
        return checkpoint_path(self.name)

    def checkpoint(self) -> Checkpoint:
        """The checkpoint, its weights unread."""
        with _explained():
            return open_checkpoint(self.path, self.how)

    def workload(self) -> Workload:
        """The shapes of the ternary layers that a token passes."""
        if self.zoo is not None:
            return of_zoo(self.zoo)
        with _explained():
            return of_checkpoint(self.checkpoint())

    def layers(self, core: CoreConfig, seed: int) -> tuple[str, Architecture, GetLayer, str]:
        """Name, sizes and weights of all layers, and what the weights are.

        Weights of a model of the zoo are random, by ``seed``, in groups of the core's codebook.
        """
        if self.zoo is not None:
            sizes = self.zoo.architecture
            return self.zoo.name, sizes, random_layers(sizes, seed, core), f"random, seed {seed}"
        with _explained():
            architecture, layer = checkpoint_layers(self.checkpoint())
        return self.path.name, architecture, layer, self.name

    def decoder(self) -> Decoder:
        """A language model, read whole."""
        with _explained():
            return Decoder.load(self.checkpoint())

    def network(self) -> tuple[Network, NDArray[np.uint8], NDArray[np.uint8]]:
        """A chain of ternary layers, its test images (T, N) and their labels (T,)."""
        with _explained():
            return Network.load(self.checkpoint()), *read_test_set(self.path)


@contextmanager
def _explained() -> Iterator[None]:
    """Faults of checkpoints as faults of the request."""
    try:
        yield
    except CheckpointError as error:
        raise ConfigError(str(error)) from None


def _legal(option: str, value: str | None, legal: tuple[_Choice, ...]) -> _Choice | None:
    """The option's value as one of the legal ones."""
    for choice in legal:
        if value == choice:
            return choice
    if value is None:
        return None
    raise ConfigError(f"{option}: should be {' or '.join(map(repr, legal))}, not {value!r}")
