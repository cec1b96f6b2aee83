"""The comparison's record: numbers of the cores that are generated today."""

from __future__ import annotations

import json

import pandas as pd

from hwgen.flow.compare.file import load_comparison
from scripts.blocks.compared import RECORD, SOURCE, TABLE
from scripts.comparison import cores


def test_the_compared_cores_are_those_that_were_synthesised():
    assert cores() == json.loads(RECORD.read_text(encoding="utf-8")), "make comparison does it"


def test_every_core_is_there_in_every_technology():
    config, _ = load_comparison(SOURCE)
    rows = pd.read_csv(TABLE)
    assert set(rows["technology"]) == {"generic", *config.clock_ns}
    for _, found in rows.groupby("technology"):
        assert found["core"].tolist() == list(config.cores)
