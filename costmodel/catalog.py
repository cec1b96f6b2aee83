"""Names of all technologies, and what an FPGA family is, without what reads or synthesises them.

Predicting and judging start here, so that neither imports synthesis.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from hwgen.base.errors import ConfigError
from hwgen.base.yamlfile import Strict, load

PACKAGE = Path(__file__).parent
"""Folder of the packaged data: unit costs, descriptions of libraries and families, records."""
VARIABLE = "HWGEN_LIBERTY_PATH"
OWN_FILE = "technology.yaml"
"""What makes a folder with Liberty files a user-defined technology."""
PACKAGED = ("generic", "asap7", "ihp-sg13g2", "sky130hd")
"""Cell technologies whose description comes with this package; only generic brings its files."""
FAMILIES = tuple(sorted(file.stem for file in (PACKAGE / "families").glob("*.yaml")))
"""FPGA families, one file each."""
TAKEN = (*PACKAGED, *FAMILIES)
"""Names that a user-defined technology cannot have."""


class Occupied(Strict):
    """What one cell of a mapped netlist occupies."""

    lut: Annotated[int, Field(ge=0, description="look-up tables, memory included")] = 0
    ff: Annotated[int, Field(ge=0, description="flip-flops")] = 0
    carry: Annotated[int, Field(ge=0, description="carry cells")] = 0
    lutram: Annotated[int, Field(ge=0, description="look-up tables used as memory")] = 0
    dsp: Annotated[int, Field(ge=0, description="multiplier blocks")] = 0


class Device(Strict):
    """Where nextpnr places a core: the largest device, which takes every core that fits any."""

    size: Annotated[str, Field(description="nextpnr's option for the device")]
    package: Annotated[str, Field(description="nextpnr's name of the package")]
    speed_grade: Annotated[str, Field(description="nextpnr's speed grade")]


class Family(Strict):
    """One FPGA family: how Yosys maps to it, and what each of its cells occupies."""

    format: Annotated[
        Literal["hwgen.family/1"], Field(description="version of this file's meaning")
    ] = "hwgen.family/1"
    source: Annotated[str, Field(description="what the cells are taken from")]
    synth: Annotated[str, Field(description="Yosys' command, without the options below")]
    flatten: Annotated[str, Field(description="option that flattens; empty: it is the default")]
    keep_hierarchy: Annotated[str, Field(description="option that does not flatten; empty: none")]
    lut_inputs: Annotated[int, Field(ge=2, description="inputs of the largest look-up table")]
    carry_cells: Annotated[str, Field(description="what a carry cell is, in words")]
    device: Annotated[
        Device | None, Field(description="null: no open tool places and routes the family")
    ] = None
    cells: Annotated[
        dict[str, Occupied],
        Field(description="every cell that is counted; a cell that is not here is an error"),
    ]


@cache
def load_family(name: str) -> Family:
    """One FPGA family; ConfigError for an unknown name."""
    if name not in FAMILIES:
        raise ConfigError(f"family: should be {' or '.join(FAMILIES)}, not {name!r}")
    return load(Family, PACKAGE / "families" / f"{name}.yaml")


def library_names() -> list[str]:
    """Names of all cell technologies: the packaged ones, then user-defined ones, sorted."""
    own = {
        file.parent.name
        for folder in library_folders()
        if folder.is_dir()
        for file in folder.glob(f"*/{OWN_FILE}")
    }
    return [*PACKAGED, *sorted(own.difference(TAKEN))]


def own_folder(name: str) -> Path | None:
    """Folder that describes a user-defined technology; None for a packaged or unknown one."""
    if name in TAKEN:
        return None
    places = (folder / name for folder in library_folders())
    return next((place for place in places if (place / OWN_FILE).is_file()), None)


def library_folders() -> list[Path]:
    """The folders that HWGEN_LIBERTY_PATH names."""
    return [Path(part) for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]
