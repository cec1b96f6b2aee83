"""Sweeps: stopped and gone on with, whatever the processes; broken parts; no feasible point."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from costmodel.explore.pareto import pareto_mask
from costmodel.explore.report import Objective, Report, sensitivities
from hwgen.base.errors import ConfigError, HwgenError
from hwgen.flow.sweep import part_files as parts_module
from hwgen.flow.sweep import run as sweep_module
from hwgen.flow.sweep.merge import sampled
from hwgen.flow.sweep.part_files import Layout, PartError, PartFiles
from hwgen.flow.sweep.plan import plan_sweep
from hwgen.flow.sweep.run import prepare, run, sweep
from hwgen.spec.rows import core_of
from tests.support import ROOT

FILES = ("results.parquet", "front.parquet", "pareto.csv", "pareto.png", "pareto.svg", "best.yaml")
QUESTION = {
    "technology": "asap7",
    "workload": {
        "name": "one",
        "prefill": 4,
        "decode": 2,
        "layers": [{"name": "l", "in_features": 256, "out_features": 192, "count": 3}],
    },
    "core": {
        "kind": ["lut", "signflip"],
        "mu": [1, 2, 3],
        "tables": {"from": 1, "to": 12},
        "ports": {"from": 1, "to": 24},
        "reuse": [1, 2, 4],
    },
    "system": {"cores": [1, 2]},
    "constraints": {"area": {"max": 3000}, "clock_ns": {"max": 0.9}},
    "objectives": ["area", {"maximise": "tokens_per_second"}, "core_energy_fj_per_token"],
}


@pytest.fixture
def ask_for(tmp_path, monkeypatch):
    """A sweep file in an empty folder; parts of it are small."""
    monkeypatch.setattr(parts_module, "MOST_BLOCKS", 1)
    monkeypatch.chdir(tmp_path)

    def write(**changes):
        file = tmp_path / "question.yaml"
        file.write_text(yaml.safe_dump(QUESTION | changes))
        return file

    return write


def contents(folder):
    return {name: (Path(folder) / name).read_bytes() for name in FILES}


def test_the_front_is_that_of_all_feasible_points(ask_for):
    result = sweep(ask_for(keep="all"), Path("all"))
    rows = result.results
    feasible = (rows["area_um2"] <= 3000) & (rows["clock_ns"] <= 0.9)
    assert (rows["feasible"] == feasible).all()
    assert 0 < feasible.sum() == result.tally.feasible < len(rows) == result.tally.points
    assert result.tally.excluded == {
        "area": (rows["area_um2"] > 3000).sum(),
        "clock_ns": (rows["clock_ns"] > 0.9).sum(),
    }
    kept = rows[feasible]
    values = kept[["area_um2", "tokens_per_second", "core_energy_fj_per_token"]].to_numpy()
    front = kept["point"][pareto_mask(values * [1, -1, 1])]
    assert rows["point"][rows["front"]].tolist() == front.tolist()
    table = pd.read_parquet("all/front.parquet")
    assert sorted(table["point"]) == front.tolist()
    parts = [name for name in table if name.startswith("area_") and name != "area_um2"]
    assert table[parts].sum(axis=1).to_numpy() == pytest.approx(table["area_um2"].to_numpy())


def test_what_is_kept(ask_for):
    every = sweep(ask_for(keep="all"), Path("all")).results
    feasible = sweep(ask_for(), Path("feasible")).results
    front = sweep(ask_for(keep="front"), Path("front")).results
    expected = every[every["feasible"]].drop(columns="feasible").reset_index(drop=True)
    pd.testing.assert_frame_equal(feasible, expected)
    pd.testing.assert_frame_equal(front, expected[expected["front"]].reset_index(drop=True))
    assert contents("all")["front.parquet"] != contents("front")["results.parquet"]
    assert contents("all")["pareto.csv"] == contents("front")["pareto.csv"]


def test_a_row_is_a_core_file_again(ask_for):
    result = sweep(ask_for(), Path("out"))
    for row in result.front.to_dict("records"):
        assert core_of(row) == result.plan.space.point(row["point"])[1]


def test_processes_do_not_matter(ask_for, monkeypatch):
    sweep(ask_for(), Path("one"), jobs=1)
    monkeypatch.setattr(sweep_module, "PATIENCE", 0.0)
    monkeypatch.setattr(sweep_module, "QUEUE", 2)
    work = prepare(ask_for(), Path("two"), jobs=2)
    assert work.forecast.jobs == 2 < work.layout.parts
    run(work)
    assert contents("one") == contents("two")


KILLED = """
import sys, time
from pathlib import Path
import hwgen.flow.sweep.part_files as parts
parts.MOST_BLOCKS = 1
from hwgen.flow.sweep.run import sweep
sweep(Path("question.yaml"), Path("killed"), lambda done, total: time.sleep(0.5), jobs=1)
"""


def test_a_killed_sweep_goes_on_to_the_same_files(ask_for):
    file = ask_for()
    sweep(file, Path("whole"))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", KILLED], env=environment)
    made = Path("killed/parts/part-000001.parquet")
    deadline = time.monotonic() + 120
    while not made.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    work = prepare(file, Path("killed"))
    assert not (Path("killed") / "results.parquet").exists()
    here = [p.stat().st_mtime_ns for p in sorted(Path("killed/parts").glob("part-*"))]
    assert 2 <= len(here) < work.layout.parts
    made_now = []
    original = sweep_module._Worker.make
    sweep_module._Worker.make = lambda self, part: made_now.append(part) or original(self, part)
    try:
        run(work)
    finally:
        sweep_module._Worker.make = original
    assert len(made_now) == work.layout.parts - len(here)
    assert contents("killed") == contents("whole")
    assert not Path("killed/parts").exists()


def stop_after(count):
    """A progress that stops the sweep."""
    calls = []

    def progress(done, total):
        calls.append(done)
        if len(calls) == count:
            raise KeyboardInterrupt

    return progress


def test_a_broken_part_is_made_again(ask_for):
    file = ask_for()
    sweep(file, Path("whole"))
    with pytest.raises(KeyboardInterrupt):
        sweep(file, Path("out"), stop_after(3))
    part = Path("out/parts/part-000001.parquet")
    part.write_bytes(part.read_bytes()[:-20])
    sweep(file, Path("out"))
    assert contents("out") == contents("whole")


def test_a_part_with_a_wrong_bit_is_named_and_made_again(ask_for):
    file = ask_for()
    sweep(file, Path("whole"))
    with pytest.raises(KeyboardInterrupt):
        sweep(file, Path("out"), stop_after(3))
    part = Path("out/parts/part-000000.parquet")
    table = pq.ParquetFile(part)
    column = table.metadata.row_group(0).column(table.schema_arrow.get_field_index("area_um2"))
    # Digits of an area: nothing but the checksum can tell.
    place = column.data_page_offset + column.total_compressed_size // 2
    data = bytearray(part.read_bytes())
    data[place] ^= 4
    part.write_bytes(data)
    with pytest.raises(HwgenError) as error:
        sweep(file, Path("out"))
    assert str(error.value).startswith("out/parts/part-000000.parquet: is damaged (")
    assert str(error.value).endswith("and was removed; run the same command again to go on")
    sweep(file, Path("out"))
    assert contents("out") == contents("whole")


def test_no_wrong_bit_of_a_number_is_read(ask_for):
    work = prepare(ask_for(), Path("out"))
    with pytest.raises(KeyboardInterrupt):
        run(work, stop_after(1))
    parts = PartFiles(Path("out/parts"), work.plan, work.layout)
    path = parts.path(0)
    good, table = path.read_bytes(), pq.ParquetFile(path)
    column = table.metadata.row_group(0).column(table.schema_arrow.get_field_index("area_um2"))
    start, size = column.data_page_offset, column.total_compressed_size
    for place in range(start + size // 8, start + size, size // 29):
        path.write_bytes(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
        with pytest.raises(PartError):
            parts.read(0)
    path.write_bytes(good)
    assert parts.read(0)["area_um2"].to_numpy().min() > 0


def test_parts_of_another_question_are_not_taken(ask_for):
    with pytest.raises(KeyboardInterrupt):
        sweep(ask_for(), Path("out"), stop_after(3))
    other = QUESTION["core"] | {"act": "int7"}
    sweep(ask_for(core=other), Path("fresh"))
    sweep(ask_for(core=other), Path("out"))
    assert contents("out") == contents("fresh")


def test_a_full_disk_is_one_line_and_leaves_the_parts(ask_for, monkeypatch):
    file = ask_for()
    original = parts_module.pq.write_table

    def full(table, path, **options):
        if "part-000002" in str(path):
            raise OSError(28, "No space left on device")
        original(table, path, **options)

    monkeypatch.setattr(parts_module.pq, "write_table", full)
    with pytest.raises(PartError) as error:
        sweep(file, Path("out"))
    assert str(error.value) == (
        "out/parts/part-000002.parquet: cannot be written: No space left on device; the parts "
        "before it are kept: make room and run the same command again to go on"
    )
    assert [path.name for path in sorted(Path("out/parts").glob("part-*"))] == [
        "part-000000.parquet",
        "part-000001.parquet",
    ]
    monkeypatch.undo()


def test_a_killed_process_is_one_line(ask_for, monkeypatch):
    monkeypatch.setattr(sweep_module, "PATIENCE", 0.0)
    work = prepare(ask_for(), Path("out"), jobs=2)
    monkeypatch.setattr(sweep_module, "_make_one", _die)
    with pytest.raises(HwgenError, match=r"^out/parts: a process of the sweep was killed, by hand"):
        run(work)


def _die(part):
    os.kill(os.getpid(), signal.SIGKILL)


def test_no_feasible_point_says_why_and_what_comes_nearest(ask_for):
    file = ask_for(constraints={"area": {"max": 100}, "tokens_per_second": {"min": 1e9}})
    with pytest.raises(ConfigError) as error:
        sweep(file, Path("out"))
    rows = sweep(ask_for(constraints={}), Path("all")).results
    misses = pd.concat(
        [rows["area_um2"] / 100 - 1, 1 - rows["tokens_per_second"] / 1e9], axis=1
    ).max(axis=1)
    nearest = rows.loc[misses.idxmin()]
    slow = (rows["tokens_per_second"] < 1e9).sum()
    large = (rows["area_um2"] > 100).sum()
    total = f"{len(rows):,}"
    lines = str(error.value).splitlines()
    assert lines[:3] == [
        f"question: constraints: none of {total} points keeps to all of them",
        f"question: area at most 100: {large:,} of {total} points do not keep to it",
        f"question: tokens_per_second at least 1e+09: {slow:,} of {total} points do not keep to it",
    ]
    assert lines[3].startswith(f"question: nearest: {nearest['kind']} int8 µ={nearest['mu']} L=")
    assert f"area {nearest['area_um2']:,.6g}" in lines[3]
    assert not Path("out").exists()


def test_what_a_sweep_will_take_is_known_before(ask_for):
    work = prepare(ask_for())
    grid = 12 * 24 * 3 * 2
    assert (work.forecast.shapes, work.forecast.points) == (4, 4 * grid)
    assert work.forecast.combinations == 6 * grid
    assert 0 < work.forecast.seconds < 60
    assert not Path("results").exists()


def test_parts_are_all_points_in_order(ask_for, monkeypatch):
    question = plan_sweep(ask_for())
    monkeypatch.setattr(parts_module, "boxes", lambda sizes: original(sizes, 100))
    from hwgen.flow.sweep.evaluate import boxes as original

    layout = Layout(question.space)
    assert sum(map(layout.points, range(layout.parts))) == question.space.size
    manifest = PartFiles(Path("out"), question, layout).manifest
    assert json.loads(json.dumps(manifest)) == manifest


def test_a_sample_has_every_value_of_every_axis():
    """Numbers of points count the axes: every n-th of them would have one value of some."""
    points = np.arange(1 << 20)
    for every in (2, 8, 100):
        chosen = points[sampled(points, every).to_numpy(zero_copy_only=False)]
        # Of a binomial distribution, five standard deviations.
        share = len(points) / every
        assert abs(len(chosen) - share) < 5 * share**0.5
        for axis in (2, 3, 8, 100):
            counts = np.bincount(chosen % axis, minlength=axis)
            assert abs(counts - share / axis).max() < 5 * (share / axis) ** 0.5
    assert sampled(points, 1).to_numpy(zero_copy_only=False).all()


def test_sensitivities_are_of_all_points_alike(tmp_path):
    """Of a page with the whole front and a sample of the others only the sample counts."""
    rng = np.random.default_rng(2)
    fair = pd.DataFrame({"mu": rng.integers(1, 4, 2000), "front": False})
    fair["area_um2"] = fair["mu"] * np.exp(rng.normal(0, 0.1, 2000))
    front = pd.DataFrame({"mu": 1, "front": True, "area_um2": np.exp(rng.normal(0, 2, 5000))})
    both = pd.concat([fair, front], ignore_index=True)

    def share(results, fair):
        report = Report(
            "", "", results, lambda rows: rows, [Objective("area_um2")], ["mu"], [0], {}
        )
        (found,) = sensitivities(replace(report, fair=fair)).values()
        return float(found.loc["mu", "area_um2"])

    assert share(both, fair) == share(fair, None)
    assert share(both, None) != pytest.approx(share(fair, None), abs=0.1)
