"""What works with which technology, how good predictions are, and what costs are made of."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from costmodel.catalog import PACKAGED, family_names, load_family
from costmodel.cells.corrections import GROUPS
from hwgen.spec.primitive import GENERATED, KINDS
from scripts.blocks.running import refusal, run, run_json
from scripts.blocks.table import code, table

CORE = "kind: lut\nmu: 2\ntables: 2\nports: 2\nmax_in_features: 64\nmax_out_features: 64\n"
SWEEP = """
technology: {name}
workload: {{name: tiny, tokens: 1, layers: [{{name: a, in_features: 8, out_features: 8}}]}}
core: {{kind: lut, tables: [1, 2], ports: 2}}
"""
YES, NO = "yes", "no"


def support() -> Iterator[str]:
    """What each technology can be used for, found by trying it on a small core."""
    head = ("technology", "estimate", "clock", "energy", "sweep", "synthesis", "place and route")
    yield from table(head, ((code(name), *_tried(name)) for name in (*PACKAGED, *family_names())))


def _tried(name: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        core, sweep = Path(folder) / "core.yaml", Path(folder) / "sweep.yaml"
        core.write_text(CORE)
        sweep.write_text(SWEEP.format(name=name))
        found = run_json("estimate", core, "--tech", name)
        yield _unit(found)
        yield YES if found.get("clock_ns") or found.get("fmax_mhz") else NO
        yield YES if found.get("energy_fj_per_tile") else NO
        yield NO if refusal("sweep", sweep, "--dry-run") else YES
        missing = "should have Liberty files" in refusal("synth", core, "--tech", name)
        yield "with its Liberty files" if missing else YES
    placed = name in family_names() and load_family(name).device is not None
    yield f"nextpnr, to calibrate `{name}`" if placed else NO


def _unit(found: dict[str, Any]) -> str:
    if "area_unit" not in found:
        return "LUTs, flip-flops, carry"
    return {"um2": "µm²", "ge": "gate equivalents"}[found["area_unit"]]


def accuracy() -> Iterator[str]:
    """The table of errors, as `hwgen validate --markdown` prints it."""
    yield from run("validate", "--markdown").splitlines()


def accuracy_line() -> Iterator[str]:
    """Mean and largest errors inside the training range, over all technologies, in a sentence."""
    judged = [
        (one["quantity"], errors)
        for result in run_json("validate")
        for one in result["judgements"]
        if one["model"] == "hwgen"
        for errors in one["errors"]
        if errors["group"] == "inside"
    ]
    said = ", ".join(f"{what} within {_errors(judged, start)}" for start, what in SAID.items())
    yield (
        "On cores that no part of the model was ever fitted to, and that lie inside the training "
        f"set's range, {said} (mean error, from the best to the worst technology; in brackets the "
        "largest error of any core)."
    )


SAID = {
    "area": "areas are predicted",
    "delay": "clock periods",
    "energy": "energies",
    "lut": "look-up tables of FPGAs",
}
"""What predictions are called in that sentence, by how their quantities begin."""


def _errors(judged: list[tuple[str, dict[str, Any]]], start: str) -> str:
    found = [errors for quantity, errors in judged if quantity.startswith(start)]
    means = sorted(100 * errors["mean"] for errors in found)
    largest = max(100 * errors["largest"] for errors in found)
    return f"{means[0]:.1f} … {means[-1]:.1f} % ({largest:.0f} %)"


def groups() -> Iterator[str]:
    """Groups of primitives that share a correction of the area."""
    yield from table(("group", "primitives"), ((code(name), what) for name, what in GROUPS.items()))


def primitives() -> Iterator[str]:
    """The kinds of primitives that cores are counted in."""
    plain = [kind for kind in KINDS.values() if kind.family not in GENERATED]
    rows = ((code(kind.name), kind.meaning) for kind in plain)
    yield from table(("primitive", "meaning"), rows)
