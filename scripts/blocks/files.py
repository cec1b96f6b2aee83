"""Files that the commands write, and those that come with the project."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from costmodel.explore.plots import label_of
from hwgen.flow.sweep.cores import core_keys
from hwgen.flow.sweep.results import FILES
from hwgen.flow.sweep.run import sweep
from hwgen.space.sweep_file import ENERGIES, MORE_IS_BETTER, QUANTITIES, TIMED
from hwgen.spec.config import CoreConfig
from hwgen.spec.structure import COMPONENTS
from hwgen.verilog.emit import emit
from scripts.blocks.table import code, table
from sim.workload.zoo import FOLDER, load_model

ROOT = Path(__file__).parents[2]
MANIFEST = {
    "format": "version of this file's meaning",
    "top": "name of the top module",
    "config": "every key of the core's file, defaults included; `null` is the core's default",
    "ports": "every port of the top module, a list",
    "ports[].name": "as in the Verilog",
    "ports[].direction": "`input` or `output`",
    "ports[].width": "bits",
    "ports[].layout": "of payloads: their fields, a list",
    "ports[].layout[].name": "field",
    "ports[].layout[].low": "lowest bit of the field in the port",
    "ports[].layout[].bits": "width of one element",
    "ports[].layout[].signed": "whether elements are two's complement",
    "ports[].layout[].shape": "elements by axis, the last one fastest; `[]`: one element. Element "
    "0 is lowest",
    "ports[].layout[].format": "of activations and sums: `int<width>` or the name of a "
    "floating-point format",
    "latency": "cycles of a run beyond its tiles",
    "accumulator_latency": "R of the cycle formula",
    "cycles": "the cycle formula",
    "tile": "`n` and `m`: inputs and outputs of a tile",
    "keys": "what a key means",
    "keys.bits": "width of a key; for kind `multiplier` that of a weight",
    "keys.codebook": "name of the set of weight groups",
    "keys.mu": "weights in a group",
    "keys.sign": "bit of the sign, and its meaning",
    "keys.zero_index": "index of the zero group",
    "keys.entries": "index and weights of every entry, a list",
    "modules": "every module, the top first, a list: `name`, `instances` in the whole core, "
    "`summary`",
    "files": "SHA-256 of the Verilog file",
    "tools": "versions of hwgen and Amaranth",
}
"""Keys of manifest.json; a test says when one is missing here."""
WHOLE = ("config", "tile", "keys.sign", "keys.entries", "modules", "files", "tools")
"""Keys whose insides need no row."""
SWEEP_FILES = {
    "results.parquet": "every kept point",
    "front.parquet": "the Pareto front, with areas by component",
    "pareto.csv": "the same as text",
    "pareto.png": "picture of the first two objectives",
    "pareto.svg": "the same as vectors",
    "best.yaml": "the core of the front with the least product of the first two objectives",
    "run.json": "how it came about: command, commit, time, versions, what was dropped and why",
    "report.html": "a page to explore, which works without a network",
}
SWEEP = """
technology: asap7
workload: {name: tiny, layers: [{name: a, in_features: 8, out_features: 8}]}
core: {kind: lut, tables: [1, 2], ports: 2}
memory: {acts: {fj_per_bit: 1}, keys: {fj_per_bit: 1}, sums: {fj_per_bit: 1}}
objectives: [area, latency_ms, energy_fj_per_token]
"""


def manifest() -> Iterator[str]:
    """A row for each key of manifest.json; KeyError for one without an explanation."""
    core = CoreConfig(kind="lut", mu=2, tables=2, ports=2, name="core")
    rows = [(code(key), MANIFEST[key]) for key in _keys(emit(core).manifest, "")]
    yield from table(("key", "meaning"), rows)


def _keys(content: dict[str, Any], prefix: str) -> Iterator[str]:
    for key, value in content.items():
        path = f"{prefix}{key}"
        yield path
        if path in WHOLE:
            continue
        if isinstance(value, dict):
            yield from _keys(value, f"{path}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            merged = {key: inner for one in value for key, inner in one.items()}
            yield from _keys(merged, f"{path}[].")


def sweep_files() -> Iterator[str]:
    """Files of a sweep's folder; KeyError for one without an explanation."""
    yield from table(("file", "holds"), ((code(name), SWEEP_FILES[name]) for name in FILES))


def quantities() -> Iterator[str]:
    """What sweeps compute of a point, and what it needs."""
    rows = []
    for name in QUANTITIES:
        needs = "a clock" if name in TIMED else "a clock and energies" if name in ENERGIES else ""
        if name == "energy_fj_per_token":
            needs += ", and priced memory"
        better = "more" if name in MORE_IS_BETTER else ""
        label = "area of all cores, in the technology's unit" if name == "area" else label_of(name)
        rows.append((code(name), label, needs, better))
    yield from table(("quantity", "meaning", "needs", "better is"), rows)


def columns() -> Iterator[str]:
    """Columns of a sweep's front, in order, but those that are keys of a core's file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.yaml"
        path.write_text(SWEEP)
        sweep(path, Path(folder) / "out")
        found = pd.read_parquet(Path(folder) / "out" / "front.parquet")
    own = {*core_keys(found).values(), "technology"}
    rows = ((code(name), _column(name)) for name in found.columns if name not in own)
    yield from table(("column", "meaning"), rows)


def _column(name: str) -> str:
    for component in COMPONENTS:
        if name.startswith(f"area_{component}_"):
            return f"area of the component `{component}`"
    return COLUMNS.get(name) or label_of(name)


COLUMNS = {
    "point": "number of the point in the space",
    "cores": "cores side by side",
    "least_clock_ns": "least clock period of the core, ns",
    "leakage_mw": "leakage of all cores, mW",
}


def models() -> Iterator[str]:
    """Models of the zoo, smallest first."""
    loaded = {path.stem: load_model(path.stem) for path in FOLDER.glob("*.yaml")}
    ordered = sorted(loaded.items(), key=lambda item: item[1].ternary_weights)
    rows = (
        (code(name, *model.aliases), model.name, model.layers, f"{model.ternary_weights:,}")
        for name, model in ordered
    )
    yield from table(("name", "model", "layers", "ternary weights"), rows)


def examples() -> Iterator[str]:
    """Example files with the first sentence of their comments."""
    rows = []
    for path in sorted((ROOT / "examples").glob("*.yaml")):
        lines = path.read_text(encoding="utf-8").splitlines()
        comment = " ".join(line[2:] for line in takewhile(lambda line: line[:2] == "# ", lines))
        sentence = re.match(r".*?[.?](?= |$)", comment)
        rows.append((f"`examples/{path.name}`", sentence[0] if sentence else comment))
    yield from table(("file", "question or core"), rows)


MANY = {"test": "the test suite and `make lint`"}
"""Extras of too many packages to list their reasons."""


def extras() -> Iterator[str]:
    """Optional dependencies, with the reasons that pyproject.toml gives."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    reasons = {
        line.split('"')[1]: line.partition("# ")[2].strip()
        for line in text.splitlines()
        if line.startswith('    "') and "# " in line
    }
    extra = tomllib.loads(text)["project"]["optional-dependencies"]
    rows = (
        (code(name), MANY.get(name) or "; ".join(reasons[one] for one in ones))
        for name, ones in extra.items()
    )
    yield from table(("extra", "for"), rows)
