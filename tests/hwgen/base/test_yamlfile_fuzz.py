"""Configuration files with anything wrong: one line for each fault, never a crash."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import strategies as st

from hwgen.base.errors import ConfigError
from hwgen.space.sweep_file import load_sweep
from hwgen.spec.config import load_core
from hwgen.spec.structure import structure
from hwgen.spec.system import load_system
from tests.support import ROOT
from tests.support.mutations import CHANGES, EDITS, changed, edited, try_many

FILES = {
    "lut.yaml": load_core,
    "fp16-32x32.yaml": load_core,
    "four-cores.yaml": load_system,
    "bitnet-2b4t.yaml": load_sweep,
}


def loaded(load, file):
    """A configuration, or a refusal that names the file."""
    try:
        found = load(file)
    except ConfigError as error:
        for line in str(error).splitlines():
            assert str(file.parent) in line
        return
    if load is load_core:
        assert structure(found).total


def check_values(tmp_path, name, long=False):
    content = yaml.safe_load((ROOT / "examples" / name).read_text())
    _copy_cores(tmp_path)
    file = tmp_path / "file.yaml"

    def check(edits):
        file.write_text(yaml.safe_dump(edited(content, edits), allow_unicode=True))
        loaded(FILES[name], file)

    try_many(f"values of {name}", EDITS, check, long)


def _copy_cores(folder):
    """The cores that systems name."""
    for example in (ROOT / "examples").glob("*.yaml"):
        (folder / example.name).write_bytes(example.read_bytes())


@pytest.mark.parametrize("name", FILES)
def test_values(tmp_path, name):
    check_values(tmp_path, name)


@pytest.mark.long
@pytest.mark.parametrize("name", FILES)
def test_more_values(tmp_path, name):
    check_values(tmp_path, name, long=True)


@pytest.mark.parametrize("name", FILES)
def test_text(tmp_path, name):
    content = (ROOT / "examples" / name).read_bytes()
    _copy_cores(tmp_path)
    file = tmp_path / "file.yaml"

    def check(changes):
        file.write_bytes(changed(content, changes, len(content)))
        loaded(FILES[name], file)

    try_many(f"text of {name}", st.lists(CHANGES, min_size=1, max_size=4), check)
