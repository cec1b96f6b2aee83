"""Terminals, encodings, signals and homes of other people."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import ROOT


def hwgen(*arguments, cwd, **environment):
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "hwgen", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        encoding="latin-1",
    )


@pytest.fixture
def core(tmp_path):
    (tmp_path / "core.yaml").write_text("kind: lut\nmu: 2\ntables: 3\nports: 2\n")
    return "core.yaml"


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp437"])
def test_output_that_is_not_unicode_is_readable(tmp_path, core, encoding):
    done = hwgen("estimate", core, cwd=tmp_path, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "?" not in done.stdout
    done = hwgen("simulate", "digits", core, cwd=tmp_path, PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert "?" not in done.stdout
    assert "in -> out" in done.stdout


def test_json_is_json_in_every_encoding(tmp_path, core):
    outputs = [
        json.loads(
            hwgen(
                "estimate", core, "--json", cwd=tmp_path, PYTHONIOENCODING=encoding
            ).stdout.encode("latin-1")
        )
        for encoding in ("ascii", "utf-8")
    ]
    assert outputs[0] == outputs[1]


def test_errors_are_readable_in_ascii(tmp_path):
    (tmp_path / "core.yaml").write_text("kind: lut\nmu: 99\n", encoding="utf-8")
    done = hwgen("estimate", "core.yaml", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert done.stderr.startswith("hwgen: error: core.yaml: mu")
    assert "?" not in done.stderr


def test_a_pipe_is_as_wide_as_columns_says(tmp_path):
    (tmp_path / "sweep.yaml").write_text((ROOT / "examples" / "bitnet-2b4t.yaml").read_text())
    widths = []
    for columns in ("60", "220"):
        done = hwgen("sweep", "sweep.yaml", cwd=tmp_path, COLUMNS=columns)
        assert done.returncode == 0, done.stderr
        text = done.stdout.encode("latin-1").decode()
        widths.append(max(len(line) for line in text.splitlines() if "│" in line))
    assert widths[0] <= 60 < widths[1] <= 220


@pytest.mark.verilator
def test_a_foreign_verilator_does_not_matter(tmp_path, core):
    other = tmp_path / "verilator"
    (other / "include").mkdir(parents=True)
    done = hwgen(
        *("verify", core, "--layer", "2,12,4"),
        cwd=tmp_path,
        VERILATOR_ROOT=str(other),
        VERILATOR_BIN="nothing",
        HWGEN_CACHE=str(tmp_path / "cache"),
    )
    assert done.returncode == 0, done.stderr


def children(pid: int) -> set[int]:
    """Processes that a process has started and that run."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.add(int(stat.parent.name))
    return found


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def begun(tmp_path, *arguments, workers):
    """A command whose workers run."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hwgen", *map(str, arguments)],
        cwd=tmp_path,
        env=os.environ | {"HWGEN_CACHE": str(tmp_path / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until(lambda: process.poll() is not None or len(children(process.pid)) >= workers)
    assert process.poll() is None, process.communicate()
    return process


SWEEP = """\
name: long
workload: {model: bitnet-b1.58-2b-4t}
core:
  kind: [lut, signflip]
  mu: {from: 1, to: 5}
  tables: {from: 1, to: 256}
  ports: {from: 1, to: 256}
  reuse: {from: 1, to: 256}
objectives: [area, cycles_per_token]
keep: front
"""
"""100 million points: half a minute of two fast processors, of which a second is used."""


def handles(pid: int, number: int) -> bool:
    """Whether a process has a handler of its own for a signal, as the command has for SIGTERM."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def until(condition) -> None:
    """Wait for something that comes, for a minute at most."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


ENDS = {
    "interrupt": (signal.SIGINT, 130),
    "terminate": (signal.SIGTERM, 143),
    "kill": (signal.SIGKILL, -signal.SIGKILL),
}
LONG = {
    "a sweep": ("sweep", "sweep.yaml", "--jobs", "2"),
    "synthesis": ("validate", "generic", "--recompute", "54"),
}


@pytest.mark.parametrize("arguments", LONG.values(), ids=LONG)
@pytest.mark.parametrize(("sign", "code"), ENDS.values(), ids=ENDS)
def test_workers_end_with_the_command(tmp_path, arguments, sign, code):
    """Both kinds of pools, stopped in the middle of their work."""
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    process = begun(tmp_path, *arguments, workers=2)
    there = children(process.pid)
    os.kill(process.pid, sign)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    # A worker that is still starting when its parent is killed says so; nobody can help it.
    assert sign == signal.SIGKILL or "Traceback" not in err
    if sign == signal.SIGINT:
        assert err.strip().splitlines()[-1] == "hwgen: interrupted"
    until(lambda: not [pid for pid in there if alive(pid)])
    if arguments[0] == "sweep" and sign != signal.SIGKILL:
        assert not (tmp_path / "results" / "long" / ".lock").exists()


@pytest.mark.parametrize("after", [0, 0.02, 0.1, 0.3, 0.6, 1.0])
def test_an_interrupt_at_any_moment_is_one_line(tmp_path, core, after):
    """From the first line of ours that runs: during imports, in the work, while it prints."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hwgen", "simulate", "bitnet-2b4t", core],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: handles(process.pid, signal.SIGTERM))
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode in (0, 130)  # 0: it was done before.
    assert "Traceback" not in err
    assert after > 0.02 or process.returncode == 130
    if process.returncode == 130:
        assert err.strip() == "hwgen: interrupted"


def test_two_sweeps_in_one_folder(tmp_path):
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    process = begun(tmp_path, "sweep", "sweep.yaml", "--jobs", "2", workers=2)
    second = hwgen("sweep", "sweep.yaml", "--jobs", "1", cwd=tmp_path)
    process.terminate()
    process.communicate(timeout=30)
    assert second.returncode == 1
    assert f"in use by process {process.pid}, " in second.stderr


HOMES = {
    "missing": lambda folder: str(folder / "nobody"),
    "a file": lambda folder: str(shutil.copy(__file__, folder / "home")),
    "of nobody": lambda folder: "/proc/self",
}


@pytest.mark.parametrize("home", HOMES.values(), ids=HOMES)
def test_a_home_that_cannot_be_written(tmp_path, core, home):
    (tmp_path / "tmp").mkdir()
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("HWGEN_CACHE", "XDG_CACHE_HOME", "XDG_DATA_HOME", "MPLCONFIGDIR")
    }
    environment |= {"HOME": home(tmp_path), "TMPDIR": str(tmp_path / "tmp")}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "hwgen", "simulate", "digits", core),
            *("--tech", "asap7", "--figure", "cycles.png"),
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == ""
    assert (tmp_path / "cycles.png").exists()


def test_a_full_disk_names_the_path(tmp_path, monkeypatch, hwgen_cli):
    import errno

    real = os.fdopen

    def full(handle, mode="r", *args, **kwargs):
        stream = real(handle, mode, *args, **kwargs)
        if mode == "wb":
            stream.close()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return stream

    monkeypatch.setattr("hwgen.base.files.os.fdopen", full)
    outcome = hwgen_cli("generate", "core.yaml")
    assert outcome.code == 1
    assert outcome.err.strip().splitlines()[-1].startswith("hwgen: error: rtl_out/core/")
    assert outcome.err.strip().endswith("cannot be written: No space left on device")
