"""What the README shows to copy is legal."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from hwgen.cli import app
from hwgen.space.axes import Axes
from hwgen.space.space import Space
from hwgen.space.sweep_file import load_sweep
from hwgen.spec.config import CoreConfig
from tests.support import ROOT

README = (ROOT / "README.md").read_text()


@pytest.fixture
def sweep(tmp_path):
    (block,) = re.findall(r"```yaml\n(workload: .*?)```", README, re.DOTALL)
    path = tmp_path / "sweep.yaml"
    path.write_text(block)
    return load_sweep(path)


def test_the_sweep_to_copy_spans_what_its_comments_say(sweep):
    space = Space(sweep, 2560, 6912)
    assert space.axes["mu"] == [1, 2, 3, 4]
    assert space.axes["tables"] == [4, 8, 16, 32, 64]
    assert {core.fixed_bits for core in space.cores()} == {None, 24}
    assert list(space.dropped) == ["same core: differs only in axes that do not concern it"]


def test_the_axes_are_the_keys_of_a_core_but_those_named():
    (names,) = re.findall(r"keys of the table below but for (.*?), and each", README)
    assert set(CoreConfig.model_fields) - set(Axes.model_fields) == set(
        re.findall(r"`(\w+)`", names)
    )


def test_the_errors_are_those_of_the_records_and_the_model_now(monkeypatch):
    monkeypatch.delenv("HWGEN_LIBERTY_PATH", raising=False)  # No technology of one's own.
    done = CliRunner().invoke(app, ["validate", "--markdown"], catch_exceptions=False)
    shown = re.findall(r"<!-- hwgen validate --markdown -->\n(.*?)<!-- end -->", README, re.DOTALL)
    assert shown == [done.stdout]
