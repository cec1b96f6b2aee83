"""The table of a comparison, from the records of `scripts.comparison`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from hwgen.flow.compare.file import CompareConfig, load_comparison
from scripts.blocks.table import table

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "examples" / "fp16-32x32.yaml"
TABLE = ROOT / "docs" / "explanation" / "fp16-32x32.csv"
RECORD = TABLE.with_suffix(".json")
PIPELINED = ", one clock"
"""How the labels of cores end that have registers for one clock period."""


def comparison() -> Iterator[str]:
    """Areas and ratios of every core in every technology: combinational cores, then pipelined."""
    config, _ = load_comparison(SOURCE)
    rows = pd.read_csv(TABLE)
    names = list(dict.fromkeys(rows["technology"]))
    cells = {
        (str(row["core"]), str(row["technology"])): f"{row['area']:,.0f} ({row['ratio']:.2f})"
        for _, row in rows.iterrows()
    }
    shown = [f"`{name}`" for name in names]
    plain = [label for label in config.cores if not label.endswith(PIPELINED)]
    published = config.published[0]
    yield from table(
        ("core", *shown, f"published, {published.technology}"),
        (
            (label, *(cells[label, name] for name in names), _published(config, label))
            for label in plain
        ),
    )
    clocks = ", ".join(
        f"{config.clock_ns[name]:g} ns (`{name}`)" for name in names if name in config.clock_ns
    )
    yield from ("", f"With the registers that each needs to reach one clock period, {clocks}:", "")
    yield from table(
        ("core", *shown),
        (
            (label.removesuffix(PIPELINED), *_with_delays(rows, cells, label, names))
            for label in config.cores
            if label not in plain
        ),
    )


def _with_delays(
    rows: pd.DataFrame, cells: Mapping[tuple[str, str], str], label: str, names: list[str]
) -> Iterator[str]:
    for name in names:
        (row,) = rows[(rows["core"] == label) & (rows["technology"] == name)].to_dict("records")
        delay = "" if pd.isna(row["delay_ns"]) else f", {row['delay_ns']:.2f} ns"
        yield cells[label, name] + delay


def _published(config: CompareConfig, label: str) -> str:
    """The area of a core that others published, and its ratio; empty without one."""
    published = config.published[0]
    name = published.baseline if label == config.baseline else label
    if name not in published.areas:
        return ""
    area = published.areas[name]
    return f"{area:.3f} {published.unit} ({area / published.areas[published.baseline]:.2f})"
