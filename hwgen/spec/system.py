"""Several equal cores side by side: each has its own weight stream, all share the activations."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from hwgen.base.yamlfile import Source, Strict, read, validate
from hwgen.spec.config import CoreConfig, load_core

MOST_CORES = 4096
"""Cores of a system."""


class SystemPlan(Strict):
    """What is put side by side."""

    core: Annotated[
        str | dict[str, Any],
        Field(min_length=1, description="core file, relative to this one, or the core's keys"),
    ]
    cores: Annotated[int, Field(ge=1, le=MOST_CORES, description="how many of it")]
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
    """``cores`` cores of one configuration; a core on its own is a system of one."""

    core: CoreConfig
    cores: int = 1

    @property
    def weights_per_cycle(self) -> int:
        """Most multiply-accumulates that all cores together do in a cycle."""
        return self.cores * self.core.tile_n * self.core.tile_m


def load_system(source: Source | CoreConfig | System) -> System:
    """A system, or a core as a system of one, from a file, YAML text or a mapping.

    A system is returned as it is. ConfigError for anything else.
    """
    if isinstance(source, System):
        return source
    if isinstance(source, CoreConfig):
        return System(source)
    content = read(source, "system")
    if "system" not in content.mapping:
        return System(load_core(source))
    plan = validate(SystemConfig, content.mapping, content.where).system
    if isinstance(plan.core, dict):
        return System(load_core(plan.core, f"{content.where}: system.core"), plan.cores)
    folder = Path() if content.path is None else content.path.parent
    return System(load_core(folder / plan.core), plan.cores)
