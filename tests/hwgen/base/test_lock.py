"""One process at a time in a folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from hwgen.base.errors import HwgenError
from hwgen.base.lock import FILE, alone

HOLD = """\
import sys, time
from pathlib import Path
from hwgen.base.lock import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds tmp_path / "out"."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_second_one_says_who_holds_it(tmp_path, holder):
    folder = tmp_path / "out"
    with pytest.raises(HwgenError) as caught, alone(folder):
        raise AssertionError("two at once")
    said = str(caught.value)
    assert said.startswith(f"{folder}: in use by process {holder.pid}, -c {folder}")
    assert said.endswith("; wait until it has ended, or give another folder")


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_a_lock_goes_with_its_process(tmp_path, holder, sign):
    os.kill(holder.pid, sign)
    holder.wait()
    with alone(tmp_path / "out"):
        assert (tmp_path / "out" / FILE).read_text().startswith(f"process {os.getpid()}, ")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_holder_may_take_it_again(tmp_path):
    with alone(tmp_path):
        with alone(tmp_path):
            pass
        assert (tmp_path / FILE).exists()
    assert not (tmp_path / FILE).exists()


def test_a_file_that_was_removed_while_waiting_is_no_lock(tmp_path, monkeypatch):
    """The last holder removes the file between this one's opening and locking it."""
    import fcntl

    real, turns = fcntl.flock, []

    def late(stream, how):
        turns.append(stream)
        if len(turns) == 1:
            (tmp_path / FILE).unlink()
        return real(stream, how)

    monkeypatch.setattr("hwgen.base.lock.fcntl.flock", late)
    with alone(tmp_path):
        assert len(turns) == 2
        assert (tmp_path / FILE).exists()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(HwgenError, match="file/out: cannot be written: "),
        alone(tmp_path / "file" / "out"),
    ):
        pass
