"""Where a user's calibrations are: of a checkout, of an installed wheel, or where they are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from hwgen.base import datadir
from hwgen.base.datadir import from_wheel, user_folder


@pytest.fixture
def variables(monkeypatch, tmp_path):
    for name in ("HWGEN_DATA", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return monkeypatch


def test_a_checkout_keeps_its_calibrations_in_itself(variables):
    assert not from_wheel()
    assert user_folder() is None
    variables.setenv("XDG_DATA_HOME", "/anywhere")
    assert user_folder() is None
    variables.setenv("HWGEN_DATA", "mine")
    assert user_folder() == Path("mine").absolute()


def test_a_wheel_keeps_them_in_the_users_folder(variables, tmp_path):
    variables.setattr(datadir, "from_wheel", lambda: True)
    assert user_folder() == tmp_path / ".local" / "share" / "hwgen"
    variables.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert user_folder() == tmp_path / "data" / "hwgen"
    variables.setenv("HWGEN_DATA", "")
    assert user_folder() == tmp_path / "data" / "hwgen"
    variables.setenv("HWGEN_DATA", str(tmp_path / "own"))
    assert user_folder() == tmp_path / "own"


def test_a_wheel_is_told_by_the_files_that_it_installed(monkeypatch):
    class Installed:
        """A distribution with one file."""

        def __init__(self, path):
            self.name, self.path = path.name, path
            self.files = [self]

        def locate(self):
            return self.path

    this = Path(datadir.__file__)
    for path, expected in ((this, True), (this.parent.parent / "datadir.py", False)):
        monkeypatch.setattr(datadir, "distribution", lambda name, path=path: Installed(path))
        assert from_wheel.__wrapped__() is expected
