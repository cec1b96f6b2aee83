"""Cache folders of a test's or a module's own, so that what is tested is done, not remembered; and
the command line."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import hwgen.cli
from hwgen.verilog.emit import emit

# Emitting a core makes millions of small objects and no circles worth finding: looking for these
# every 700 objects takes a sixth of the time.
gc.set_threshold(100_000, 20, 20)


@pytest.fixture
def own_cache(tmp_path, monkeypatch) -> None:
    """An empty cache folder for one test."""
    monkeypatch.setenv("HWGEN_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def module_cache(tmp_path_factory) -> Iterator[None]:
    """One cache folder for all tests of a module: reading ASAP7 takes 3 s."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWGEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


CORE = "kind: lut\nmu: 2\ntables: 3\nports: 2\nmax_in_features: 512\nmax_out_features: 512\n"


class Outcome:
    """Exit code and what was printed."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def hwgen_cli(monkeypatch, capsys, tmp_path):
    """Runs the command line in an empty folder that holds core.yaml."""
    monkeypatch.chdir(tmp_path)
    Path("core.yaml").write_text(CORE)

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["hwgen", *map(str, arguments)])
        try:
            hwgen.cli.main()
            code = 0
        except SystemExit as stop:
            code = int(stop.code or 0)
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run


@pytest.fixture
def damaged_emit(monkeypatch):
    """Makes a module emit cores whose first addition is a subtraction."""

    def damage(module) -> None:
        def emit_wrong(config):
            sound = emit(config)
            # The first one below the comment at the top of the file.
            head, module, body = sound.verilog.partition("\nmodule ")
            wrong = head + module + body.replace(" + ", " - ", 1)
            assert wrong != sound.verilog
            return replace(sound, verilog=wrong)

        monkeypatch.setattr(module, "emit", emit_wrong)

    return damage


@pytest.fixture
def own_data(tmp_path, monkeypatch) -> Path:
    """A user's data folder, empty: what calibration writes goes there."""
    folder = tmp_path / "data"
    monkeypatch.setenv("HWGEN_DATA", str(folder))
    return folder


@pytest.fixture
def no_records(tmp_path, monkeypatch) -> Path:
    """A folder of records, empty, in the place of the package's and of the user's."""
    folder = tmp_path / "records"
    for name in ("data_file", "data_destination"):
        monkeypatch.setattr(f"costmodel.judge.records.{name}", lambda place: folder / place)
    return folder


def pytest_sessionfinish(session):
    """Workers tell how many random inputs they tried."""
    output = getattr(session.config, "workeroutput", None)
    tried = _tried()
    if output is not None and tried is not None:
        output["tried"] = dict(tried)


def pytest_testnodedown(node, error):
    """What a worker told."""
    tried = _tried()
    if tried is not None:
        tried.update(getattr(node, "workeroutput", {}).get("tried", {}))


def pytest_terminal_summary(terminalreporter):
    """Random inputs by test."""
    for name, count in sorted((_tried() or {}).items()):
        terminalreporter.write_line(f"{count:,} inputs tried: {name}")


def _tried():
    """The counts of tests with random inputs."""
    from tests.support.mutations import TRIED

    return TRIED
