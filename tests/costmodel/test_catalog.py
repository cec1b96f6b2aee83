"""Names of technologies, families as files, and whose calibrated data are read."""

from __future__ import annotations

import pytest

from costmodel import catalog
from costmodel.catalog import (
    PACKAGE,
    costs_destination,
    costs_file,
    data_destination,
    data_file,
    family_names,
    load_family,
)
from costmodel.cells.technology import load_technology
from hwgen.base.errors import ConfigError


def test_the_users_file_is_read_in_preference(own_data):
    place = "tech/generic.yaml"
    assert data_file(place) == costs_file("generic") == PACKAGE / place
    assert data_destination(place) == costs_destination("generic") == own_data / place
    before = load_technology("generic")
    text = (PACKAGE / place).read_text(encoding="utf-8").replace("tool: pyosys", "tool: my pyosys")
    (own_data / "tech").mkdir(parents=True)
    (own_data / place).write_text(text, encoding="utf-8")
    assert costs_file("generic") == own_data / place
    assert load_technology("generic").tool == f"my {before.tool}"
    (own_data / place).unlink()
    assert load_technology("generic") == before


def test_a_checkout_reads_and_writes_its_own(monkeypatch):
    monkeypatch.delenv("HWGEN_DATA", raising=False)
    assert costs_file("ecp5") == costs_destination("ecp5") == PACKAGE / "tech" / "ecp5.yaml"


def test_a_family_is_a_file(own_data):
    assert family_names() == ["ecp5", "xcup"]
    (own_data / "families").mkdir(parents=True)
    text = (PACKAGE / "families" / "ecp5.yaml").read_text(encoding="utf-8")
    path = own_data / "families" / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    assert family_names() == ["ecp5", "mine", "xcup"]
    assert load_family("mine") == load_family("ecp5")
    path.write_text(text.replace("lut_inputs: 4", "lut_inputs: 1"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"mine\.yaml: lut_inputs: .* greater than or equal to 2"):
        load_family("mine")


@pytest.mark.parametrize("family", family_names())
def test_a_familys_commands_map_without_multiplier_blocks(family):
    record = load_family(family)
    assert record.flat.split()[0] == record.hierarchical.split()[0]
    assert "-nodsp" in record.flat.split()
    assert "-nodsp" in record.hierarchical.split()
    assert "-top" not in f"{record.flat} {record.hierarchical}"


def test_an_unknown_name_lists_all(monkeypatch, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "technology.yaml").touch()
    monkeypatch.setenv("HWGEN_LIBERTY_PATH", str(tmp_path))
    legal = (
        "technology: should be one of generic, asap7, ihp-sg13g2, sky130hd, mine or an FPGA "
        "family, ecp5 or xcup, not "
    )
    for name, hint in (
        ("minr", "did you mean 'mine'?"),
        ("ecp", "did you mean 'ecp5'?"),
        ("tsmc", f"user-defined ones are {tmp_path}/*/technology.yaml"),
    ):
        assert str(catalog.unknown_technology(name)) == f"{legal}{name!r}; {hint}"
