"""A sweep's results with their page, made once for all tests of reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from hwgen.flow.sweep.results import SweepResult
from hwgen.flow.sweep.run import sweep
from tests.costmodel.explore.test_report import EVIL, SWEEP, Elements


class Made(NamedTuple):
    sweep: SweepResult
    path: Path
    text: str
    elements: Elements


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Made:
    """A sweep of cores of all kinds and numbers, with a name that tries to break the page."""
    folder = tmp_path_factory.mktemp("report")
    config = folder / "small.yaml"
    config.write_text(SWEEP.replace("NAME", json.dumps(EVIL)))
    found = sweep(config, folder / "out")
    path = folder / "out" / "report.html"
    text = path.read_text()
    return Made(found, path, text, Elements(text))
