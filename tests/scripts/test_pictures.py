"""Pictures of the documentation show the data of today, and every page's picture has a record."""

from __future__ import annotations

import json
import re

import pandas as pd
import pytest

from scripts.pictures import FOLDER, RECORD, Pictures, digest, file_digest
from scripts.reference import pages

RECORDED = json.loads(RECORD.read_text())


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return Pictures(tmp_path_factory.mktemp("pictures"))


@pytest.mark.parametrize("name", RECORDED)
def test_a_picture_draws_the_data_of_today(pictures, name, monkeypatch):
    monkeypatch.delenv("HWGEN_LIBERTY_PATH", raising=False)
    assert digest(pictures.inputs[name]()) == RECORDED[name]["inputs"], "make pictures draws it"


@pytest.mark.parametrize("name", RECORDED)
def test_a_picture_is_that_of_its_record(name):
    assert file_digest(FOLDER / name) == RECORDED[name]["picture"], "make pictures draws it"


def test_every_picture_has_a_record_and_every_page_shows_recorded_ones(tmp_path):
    assert {path.name for path in FOLDER.glob("*.png")} == set(RECORDED)
    assert set(Pictures(tmp_path).inputs) == set(RECORDED)
    shown = set()
    for page in pages():
        for link in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
            target = (page.parent / link).resolve()
            assert target.parent == FOLDER, f"{page}: {link}"
            shown.add(target.name)
    assert shown == set(RECORDED)


def test_a_digest_notices_a_changed_number_and_forgives_the_last_bits():
    table = pd.DataFrame({"area": [1.0, 2.0], "kind": ["lut", "signflip"]})
    assert digest(table) == digest(table * 1)
    assert digest([0.1 + 0.2, {"a": 1}]) == digest([0.3, {"a": 1}])
    assert digest(table) != digest(table.assign(area=[1.0, 2.001]))
    assert digest(table) != digest(table[::-1])
