"""Jobs on this machine's processors and on a real Dask cluster, one of whose workers is killed."""

from __future__ import annotations

import csv
import os
import signal
import time
from pathlib import Path

import pytest

from costmodel.judge.samples import load_samples
from hwgen.base.errors import ConfigError, HwgenError
from hwgen.base.jobs import executor, workers
from hwgen.flow.calibrate.samples import measure_samples
from tests.support import ROOT

distributed = pytest.importorskip("distributed", reason="pip install 'hwgen[cluster]'")


def pid_of(number: int) -> tuple[int, int]:
    return number, os.getpid()


def dies(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture
def cluster(monkeypatch, tmp_path):
    """Three worker processes, on loopback."""
    monkeypatch.setenv("HWGEN_CACHE", str(tmp_path / "cache"))
    with distributed.LocalCluster(
        n_workers=3, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None
    ) as made:
        made.wait_for_workers(3)
        yield made


def test_local_jobs_run_in_other_processes():
    with workers() as pool:
        found = list(pool.map(pid_of, range(4)))
    assert [number for number, _ in found] == [0, 1, 2, 3]
    assert os.getpid() not in {pid for _, pid in found}


def test_a_killed_local_worker_is_an_error_that_says_how_to_go_on():
    with pytest.raises(HwgenError, match="finished work is kept, run again"), workers() as pool:
        list(pool.map(dies, range(2)))


def test_jobs_of_a_cluster_run_in_its_processes(cluster):
    theirs = {worker.pid for worker in cluster.workers.values()}
    with executor("dask", cluster.scheduler_address), workers() as pool:
        found = dict(pool.map(pid_of, range(6)))
    assert sorted(found) == list(range(6))
    assert set(found.values()) <= theirs


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_synthesis_survives_the_death_of_a_worker(cluster, no_records):
    """The same records as of local workers, each core once, in the order of the list."""
    small = sorted(load_samples().of("train"), key=lambda sample: sample.cells)[:6]
    most = small[-1].cells
    killed: list[int] = []

    def progress(name: str, done: int, total: int) -> None:
        if done == 1:
            victim = next(iter(cluster.workers.values()))
            killed.append(victim.pid)
            os.kill(victim.pid, signal.SIGKILL)

    with executor("dask", cluster.scheduler_address):
        measure_samples("generic", ("train",), most, progress)
    found = rows(no_records / "training" / "generic.csv")
    assert killed
    recorded = rows(ROOT / "costmodel" / "training" / "generic.csv")
    names = [sample.name for sample in load_samples().of("train") if sample.cells <= most]
    assert [row["name"] for row in found] == names
    wanted = {row["name"]: row["synthesised_area_ge"] for row in recorded}
    assert [row["synthesised_area_ge"] for row in found] == [wanted[name] for name in names]


def test_a_job_that_kills_every_worker_is_an_error(cluster):
    with (
        executor("dask", cluster.scheduler_address),
        pytest.raises(HwgenError, match="worker after worker died"),
        workers() as pool,
    ):
        list(pool.map(dies, [1]))


def test_what_is_no_cluster_is_refused(monkeypatch):
    with pytest.raises(ConfigError, match="--executor: should be local or dask, not 'slurm'"):
        executor("slurm", None).__enter__()
    for kind, address in (("dask", None), ("local", "tcp://127.0.0.1:1")):
        with pytest.raises(ConfigError, match="address with --executor dask"):
            executor(kind, address).__enter__()
    monkeypatch.setattr("hwgen.base.jobs.CONNECT", "1s")
    started = time.monotonic()
    with (
        executor("dask", "tcp://127.0.0.1:1"),
        pytest.raises(HwgenError, match="no Dask scheduler answers"),
        workers(),
    ):
        pass
    assert time.monotonic() - started < 60
