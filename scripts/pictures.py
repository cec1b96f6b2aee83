"""The pictures of the documentation: drawn by one command, each with a record of what it shows.

``python -m scripts.pictures`` draws them all into docs/pictures. A picture is current as long as
the data that it draws are those of its record: pixels may differ between machines, data may not.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from costmodel import explore
from scripts.blocks.running import run, run_json

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "pictures"
RECORD = FOLDER / "inputs.json"
SWEEP = ROOT / "examples" / "bitnet-2b4t.yaml"
SIMULATE = (
    *("simulate", "bitnet-2b4t", ROOT / "examples" / "four-cores.yaml"),
    *("--prefill", 64, "--clock-ns", 1.5, "--bandwidth", "400 GB/s"),
)
DIGITS = 6
"""Digits of a number that count: beyond them, machines may differ."""


class Pictures:
    """What each picture shows, and how to draw it. ``folder``: for results on the way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def swept(self) -> Path:
        """The results of the sweep that `make run` does."""
        run("sweep", SWEEP, "--out", self.folder / "sweep")
        return self.folder / "sweep"

    @property
    def inputs(self) -> dict[str, Callable[[], Any]]:
        """What each picture shows, as plain data, by its file's name."""
        return {
            "pareto.png": self._points,
            "report.png": lambda: [self._points(), self._table("front.parquet"), _page()],
            "cycles.png": _bars,
            "validation.png": lambda: run_json("validate"),
        }

    def _table(self, name: str) -> pd.DataFrame:
        return pd.read_parquet(self.swept / name)

    def _points(self) -> pd.DataFrame:
        return self._table("results.parquet")[
            ["kind", "mu", "area_ge", "cycles_per_token", "front"]
        ]

    def draw(self, name: str, path: Path) -> None:
        """Draw one picture; SystemExit where a program is missing."""
        drawers: dict[str, Callable[[], object]] = {
            "pareto.png": lambda: shutil.copyfile(self.swept / "pareto.png", path),
            "report.png": lambda: _photograph(self.swept / "report.html", path),
            "cycles.png": lambda: run(*SIMULATE, "--figure", path),
            "validation.png": lambda: run("validate", "--figure", path),
        }
        drawers[name]()


def _bars() -> dict[str, Any]:
    """What `hwgen simulate --figure` draws, of all that it says."""
    said = run_json(*SIMULATE)
    return {name: said[name] for name in ("model", "core", "cores", "prefill", "decode")}


def _page() -> list[str]:
    """What the page of a sweep is made of, apart from its data."""
    files = sorted(Path(explore.__file__).parent.glob("report_page.*"))
    return [path.read_text(encoding="utf-8") for path in files]


def _photograph(page: Path, path: Path) -> None:
    """The top of a page of results, in a browser."""
    program = shutil.which("chromium")
    if program is None:
        sys.exit(f"{path.name}: chromium is missing: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        # Containers have no sandbox to offer; the page is our own.
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1366, "height": 900})
        tab.goto(page.as_uri())
        tab.wait_for_timeout(1500)
        tab.screenshot(path=path)
        browser.close()


def digest(content: Any) -> str:
    """A hash of plain data and tables, whose numbers count to `DIGITS` digits."""
    text = json.dumps(_plain(content), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, pd.DataFrame):
        return {str(name): _plain(column.tolist()) for name, column in value.items()}
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return f"{value:.{DIGITS}g}"
    return value


def file_digest(path: Path) -> str:
    """A hash of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    """Draw all pictures, and write their record."""
    record = {}
    with tempfile.TemporaryDirectory() as folder:
        pictures = Pictures(Path(folder))
        for name, inputs in pictures.inputs.items():
            pictures.draw(name, FOLDER / name)
            record[name] = {"inputs": digest(inputs()), "picture": file_digest(FOLDER / name)}
            print(FOLDER.relative_to(ROOT) / name)
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
