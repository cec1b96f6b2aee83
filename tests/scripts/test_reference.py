"""Generated parts of the documentation: current, and noticed when they are not."""

from __future__ import annotations

import re

import pytest

from scripts.reference import BLOCK, BLOCKS, ROOT, current, main, pages

WITH_BLOCKS = [path for path in pages() if BLOCK.search(path.read_text(encoding="utf-8"))]


@pytest.fixture(autouse=True)
def _without_own_technologies(monkeypatch):
    monkeypatch.delenv("HWGEN_LIBERTY_PATH", raising=False)


@pytest.mark.parametrize("path", WITH_BLOCKS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_page_is_what_the_code_makes_of_it_now(path):
    text = path.read_text(encoding="utf-8")
    assert current(text) == text, "make reference writes it anew"


def test_every_kind_of_part_is_in_a_page():
    used = {
        found.split()[0]
        for path in WITH_BLOCKS
        for _, found, _, _ in BLOCK.findall(path.read_text(encoding="utf-8"))
    }
    assert used == set(BLOCKS)


def test_no_mark_is_left_open():
    for path in pages():
        text = path.read_text(encoding="utf-8")
        opened = re.findall("^<!-- generated: ", text, re.MULTILINE)
        assert len(opened) == len(BLOCK.findall(text)), path


def test_a_stale_table_is_noticed():
    page = "# Formats\n\n<!-- generated: float-limits -->\nold\n<!-- end -->\nafter\n"
    assert "old" not in (made := current(page))
    assert made.endswith("<!-- end -->\nafter\n")
    assert current(made) == made
    assert current(made.replace("12 … 40", "12 … 41")) == made


def test_an_unknown_part_is_an_error():
    with pytest.raises(KeyError, match="nothing"):
        current("<!-- generated: nothing -->\n<!-- end -->\n")


def test_check_names_the_stale_pages_and_changes_nothing(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("scripts.reference.ROOT", tmp_path)
    page = tmp_path / "README.md"
    page.write_text("<!-- generated: float-limits -->\n<!-- end -->\n")
    assert main(["--check"]) == 1
    assert capsys.readouterr().out == "README.md\n"
    assert "fp16" not in page.read_text()
    assert main([]) == 0
    assert "fp16" in page.read_text()
    capsys.readouterr()
    assert main(["--check"]) == 0
    assert capsys.readouterr().out == ""
