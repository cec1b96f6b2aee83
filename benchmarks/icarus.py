"""Speed of Icarus Verilog, which goes by events, on cores of larger and larger tables.

    python benchmarks/icarus.py

A tile and new activations in every cycle. Prints processor time per cycle, and its ratio to µ = 4.
"""

from __future__ import annotations

import resource
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hwgen.spec.config import CoreConfig
from hwgen.spec.ports import ACTS, COMMANDS, KEYS, SUMS
from hwgen.verilog.emit import emit

TABLES, PORTS = 4, 4
CYCLES = 400
CORES: dict[str, dict[str, Any]] = {
    "int8, wires": {},
    "int8, registers": {"storage": "registers"},
    "int8, full tables": {"table": "full"},
    "fp16, fixed": {"act": "fp16", "arith": "fixed"},
}


def bench(manifest: dict[str, Any]) -> str:
    """Verilog that gives a core new random beats in every cycle."""
    widths = {port["name"]: port["width"] for port in manifest["ports"]}
    streams = manifest["streams"]
    size = {role: widths[stream["payload"]] for role, stream in streams.items()}
    tied = {COMMANDS: f"{{{size[COMMANDS]}{{1'b1}}}}", ACTS: "acts", KEYS: "keys"}
    ports = [".clk(clk)", ".rst(rst)"]
    for role, value in tied.items():
        ports += [f".{streams[role]['payload']}({value})", f".{streams[role]['valid']}(1'b1)"]
    ports += [f".{streams[SUMS]['payload']}(sums)", f".{streams[SUMS]['ready']}(1'b1)"]

    def draw(role: str) -> str:
        words = -(-size[role] // 32)
        return f"{role} = {{{', '.join(['$random'] * words)}}};"

    return "\n".join(
        [
            "module bench;",
            "reg clk = 0, rst = 1; integer n, cycles;",
            f"reg [{size[ACTS] - 1}:0] acts; reg [{size[KEYS] - 1}:0] keys;",
            f"wire [{size[SUMS] - 1}:0] sums;",
            f"{manifest['top']} core ({', '.join(ports)});",
            "initial begin",
            'if (!$value$plusargs("cycles=%d", cycles)) $finish;',
            "for (n = 0; n < cycles; n = n + 1) begin",
            draw(ACTS),
            draw(KEYS),
            "if (n == 2) rst = 0;",
            "#1 clk = 1; #1 clk = 0;",
            "end",
            "$finish; end endmodule",
        ]
    )


def seconds(command: list[str], folder: Path) -> float:
    """Processor time of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def per_cycle_ms(config: CoreConfig) -> float:
    """Processor time of one cycle, without that of starting."""
    emitted = emit(config)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "core.v").write_text(emitted.verilog)
        (folder / "bench.v").write_text(bench(emitted.manifest))
        compile_it = ["iverilog", "-g2005", "-s", "bench", "-o", "bench", "bench.v", "core.v"]
        subprocess.run(compile_it, cwd=folder, check=True)
        few, many = (
            seconds(["vvp", "-n", "bench", f"+cycles={cycles}"], folder)
            for cycles in (3, CYCLES + 3)
        )
    return (many - few) / CYCLES * 1e3


def main() -> None:
    """Print a line for each kind of core."""
    print(f"Icarus, L={TABLES}, K={PORTS}: ms per cycle (ratio to µ=4)")
    for name, axes in CORES.items():
        found = {
            mu: per_cycle_ms(
                CoreConfig(kind="lut", mu=mu, tables=TABLES, ports=PORTS, name="core", **axes)
            )
            for mu in (2, 3, 4, 5, 6)
        }
        cells = ", ".join(f"µ={mu} {ms:.2f} ({ms / found[4]:.1f})" for mu, ms in found.items())
        print(f"{name}: {cells}", flush=True)


if __name__ == "__main__":
    main()
