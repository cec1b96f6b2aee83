"""Files that the commands write, and those that come with the project."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from costmodel.explore.plots import label_of
from hwgen.space.sweep_file import QUANTITIES
from hwgen.spec.config import CoreConfig
from scripts.blocks.running import refusal, run, run_json
from scripts.blocks.table import code, table
from sim.workload.zoo import FOLDER, load_model

ROOT = Path(__file__).parents[2]
MANIFEST = {
    "format": "version of this file's meaning",
    "top": "name of the top module",
    "config": "every key of the core's file with the value in effect; keys that do not apply are "
    "absent",
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
    "streams": "every stream by its role: `commands`, `acts`, `keys`, `sums`",
    "latency": "cycles of a run beyond its tiles",
    "accumulator_latency": "R of the cycle formula",
    "cycles": "the cycle formula",
    "schedule": "loop order and index formulas",
    "schedule.order": "the loop nest, outermost first",
    "schedule.input": "index of an input of an activation beat; `tile_n` is `tile.n`",
    "schedule.output": "index of the output of a port in a tile of a block",
    "tile": "`n` and `m`: inputs and outputs of a tile",
    "keys": "what a key means",
    "keys.bits": "width of a key; for kind `multiplier` that of a weight",
    "keys.codebook": "name of the set of weight groups",
    "keys.mu": "weights in a group",
    "keys.sign": "bit of the sign, and its meaning",
    "keys.zero_index": "index of the zero group; null where the codebook has none",
    "keys.entries": "index and weights of every entry, a list",
    "modules": "every module, the top first, a list: `name`, `instances` in the whole core, "
    "`summary`",
    "files": "SHA-256 of the Verilog file",
    "tools": "versions of hwgen and Amaranth",
}
"""Keys of manifest.json; a test says when one is missing here."""
WHOLE = ("streams", "config", "tile", "keys.sign", "keys.entries", "modules", "files", "tools")
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
    with TemporaryDirectory() as folder:
        core = Path(folder) / "core.yaml"
        core.write_text("kind: lut\nmu: 2\ntables: 2\nports: 2\n")
        run("generate", core, "--out", folder)
        content = json.loads((Path(folder) / "manifest.json").read_text())
    yield from table(("key", "meaning"), ((code(key), MANIFEST[key]) for key in _keys(content)))


def _keys(content: dict[str, Any], prefix: str = "") -> Iterator[str]:
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
    with TemporaryDirectory() as folder:
        names = _tiny_sweep(Path(folder))["files"]
    yield from table(("file", "holds"), ((code(name), SWEEP_FILES[name]) for name in names))


def _tiny_sweep(folder: Path) -> Any:
    """What a small sweep with every quantity prints; its results are in ``folder / out``."""
    path = folder / "tiny.yaml"
    path.write_text(SWEEP)
    return run_json("sweep", path, "--out", folder / "out")


def quantities() -> Iterator[str]:
    """What sweeps compute of a point, and what it needs."""
    with TemporaryDirectory() as folder:
        rows = [_quantity(name, Path(folder) / "sweep.yaml") for name in QUANTITIES]
    yield from table(("quantity", "meaning", "needs", "better is"), rows)


def _quantity(name: str, path: Path) -> tuple[str, str, str, str]:
    """A row: what a quantity needs is found by asking for it without that."""

    def refused(**given: Any) -> str:
        layers = [{"name": "a", "in_features": 8, "out_features": 8}]
        content = {
            "workload": {"name": "tiny", "layers": layers},
            "core": {"kind": "lut", "tables": [1, 2], "ports": 2},
            **given,
        }
        path.write_text(json.dumps(content))
        return refusal("sweep", path, "--dry-run")

    more = "is better" in refused(objectives=["area", name])
    other = "area" if name == "cycles_per_token" else "cycles_per_token"
    objectives = [other, {"maximise": name} if more else name]
    priced = {stream: {"fj_per_bit": 1} for stream in ("acts", "keys", "sums")}
    memory = bool(refused(technology="asap7", objectives=objectives))
    given = {"memory": priced} if memory else {}
    assert not refused(technology="asap7", objectives=objectives, **given)
    needs = "a clock" if refused(technology="generic", objectives=objectives, **given) else ""
    needs += " and energies" if re.search("energy|power", name) else ""
    needs += ", and priced memory" if memory else ""
    label = "area of all cores, in the technology's unit" if name == "area" else label_of(name)
    return code(name), label, needs, "more" if more else ""


def columns() -> Iterator[str]:
    """Columns of a sweep's front, in order, but those that are keys of a core's file."""
    with TemporaryDirectory() as folder:
        _tiny_sweep(Path(folder))
        found = pd.read_parquet(Path(folder) / "out" / "front.parquet")
    own = {*CoreConfig.model_fields, "technology"}
    rows = (
        (code(name), _column(name))
        for name in found.columns
        if name not in own and not name.startswith("pipeline_")
    )
    yield from table(("column", "meaning"), rows)


def _column(name: str) -> str:
    if found := re.fullmatch(r"area_(\w+)_(?:ge|um2)", name):
        return f"area of the component `{found[1]}`"
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
