"""Several equal cores side by side: each has its own weight stream, all share the activations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from hwgen.base.yamlfile import Strict, read_yaml, validate
from hwgen.spec.config import CoreConfig, load_core


class SystemPlan(Strict):
    """What is put side by side."""

    core: Annotated[str, Field(min_length=1, description="core file, relative to this one")]
    cores: Annotated[int, Field(ge=1, le=4096, description="how many of it")]
    split: Annotated[
        Literal["out_features"], Field(description="each core computes a part of the outputs")
    ] = "out_features"


class SystemConfig(Strict):
    """A system file."""

    format: Annotated[
        Literal["hwgen.system/1"], Field(description="version of this file's meaning")
    ] = "hwgen.system/1"
    system: SystemPlan


@dataclass(frozen=True)
class System:
    """So many cores of one configuration; a core on its own is a system of one."""

    core: CoreConfig
    cores: int = 1

    @property
    def weights_per_cycle(self) -> int:
        """Most multiply-accumulates that all cores together do in a cycle."""
        return self.cores * self.core.tile_n * self.core.tile_m


def load_system(path: Path) -> System:
    """Read a system file, or a core file as a system of one; ConfigError for anything else."""
    content = read_yaml(path)
    if "system" not in content:
        return System(load_core(path))
    plan = validate(SystemConfig, content, str(path)).system
    return System(load_core(path.parent / plan.core), plan.cores)
