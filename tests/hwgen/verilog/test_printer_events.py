"""Emitted Verilog in a simulator that goes by events: right, and usable for large tables."""

from __future__ import annotations

import resource
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hwgen.spec.config import CoreConfig
from hwgen.spec.ports import STREAMS, SUMS
from hwgen.verilog.emit import Emitted
from sim.bench.harness import Core
from sim.verilated.runner import Work
from tests.support.cases import CASES
from tests.support.emitted import emitted as emitted_once
from tests.support.layers import random_work

pytestmark = pytest.mark.skipif(
    shutil.which("iverilog") is None, reason="iverilog is missing; apt-get install iverilog"
)
CHOSEN = (
    "lut_mu3_registers_d1",
    "lut_saturate_d3",
    "lut_mu4_chain_wires_reduce2",
    "lut_mu5_full_registers_d2",
    "lut_fp16_float_d1_r3",
    "lut_bf16_aligned_d2",
    "multiplier_wrap_d5_pipelined",
)
IDLE = 50


def bench(emitted: Emitted, beats: dict[str, list[int]], results: int, folder: Path) -> str:
    """Verilog that offers all beats without a pause and prints every result."""
    widths = {port["name"]: port["width"] for port in emitted.manifest["ports"]}
    declared, ports, body = [], [".clk(clk)", ".rst(rst)"], []
    for role in STREAMS:
        stream = emitted.manifest["streams"][role]
        payload, valid, ready = (stream[signal] for signal in ("payload", "valid", "ready"))
        ports += [f".{port}({port})" for port in (payload, valid, ready)]
        width = widths[payload]
        if role == SUMS:
            declared.append(f"wire [{width - 1}:0] {payload}; wire {valid}; wire {ready} = ~rst;")
            body.append(f'if ({valid} & {ready}) begin $display("%h", {payload});')
            body.append("taken = taken + 1; end")
            continue
        words = beats[role]
        lines = "\n".join(f"{word:x}" for word in words)
        (folder / f"{role}.hex").write_text(f"{lines}\n0\n")
        declared += [
            f"reg [{width - 1}:0] {role} [0:{len(words)}]; integer at_{role} = 0;",
            f'initial $readmemh("{role}.hex", {role});',
            f"wire [{width - 1}:0] {payload} = {role}[at_{role}]; wire {ready};",
            f"wire {valid} = ~rst & (at_{role} < {len(words)});",
        ]
        body.append(f"if ({valid} & {ready}) at_{role} <= at_{role} + 1;")
    return "\n".join(
        [
            "module bench; reg clk = 0, rst = 1; integer taken = 0, idle = 0;",
            *declared,
            f"{emitted.name} core ({', '.join(ports)});",
            "always #1 clk = ~clk;",
            "initial #5 rst = 0;",
            "always @(posedge clk) if (!rst) begin",
            *body,
            f"if (taken >= {results}) idle = idle + 1; if (idle > {IDLE}) $finish;",
            "end",
            "endmodule",
        ]
    )


def simulate(emitted: Emitted, work: list[Work], folder: Path) -> list[int]:
    """The result beats of ``work``, as Icarus computes them."""
    core = Core(emitted.manifest)
    due = sum(map(core.result_beats, work))
    (folder / "bench.v").write_text(bench(emitted, core.beats(work), due, folder))
    (folder / "core.v").write_text(emitted.verilog)
    for command in (
        ["iverilog", "-g2005", "-s", "bench", "-o", "bench", "bench.v", "core.v"],
        ["vvp", "-n", "bench"],
    ):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "finish" not in line]
    assert len(lines) == due
    return [int(line, 16) for line in lines]


@pytest.mark.parametrize("name", CHOSEN)
def test_icarus_computes_what_golden_says(name, tmp_path):
    emitted = emitted_once(CASES[name])
    core = Core(emitted.manifest)
    work = random_work(CASES[name], np.random.default_rng(1))[:3]
    got = simulate(emitted, work, tmp_path)
    at = 0
    for piece in work:
        end = at + core.result_beats(piece)
        assert core.outputs(got[at:end], piece) == core.expected(piece)
        at = end
    assert at > 0


def children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def test_a_table_of_364_entries_takes_milliseconds_a_cycle(tmp_path):
    """Hundreds, when every sum stood in a continuous assignment."""
    emitted = emitted_once(CoreConfig(kind="lut", mu=6, tables=2, ports=2))
    rng = np.random.default_rng(0)
    weights = rng.integers(-1, 1, (8, 600), endpoint=True)
    work = [Work(rng.integers(-128, 128, (1, 600)), weights)]
    started = children_seconds()
    beats = len(simulate(emitted, work, tmp_path)) * 50
    per_cycle_ms = (children_seconds() - started) / beats * 1e3
    assert per_cycle_ms < 20
