"""hwgen simulate --rtl: a decode step of a whole model on the generated Verilog."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hwgen.base.errors import ConfigError
from hwgen.base.record import Record
from hwgen.base.yamlfile import Source
from hwgen.flow.bandwidth import parse
from hwgen.flow.checkpoint import ModelSource
from hwgen.spec.config import CoreConfig
from hwgen.spec.system import System, load_system
from hwgen.verilog.emit import emit
from sim.checkpoints import CheckpointError, Reading
from sim.golden.codebooks import GroupError
from sim.nets.step import Piece, golden_step
from sim.verilated.runner import CoreModel
from sim.workload.layers import run_rtl

Count = Callable[[int, int], None]


@dataclass(frozen=True)
class RtlStep(Record):
    """What was compared, and what came of it. Seconds are wall-clock; the memory is the process's.

    match: every output of every run equals the golden model's, and the cycles equal the formula's.
    first_mismatch: the layer with the first output that differs, or None.
    """

    drawn_in = "simulate"
    model: str
    core: str
    cores: int
    weights: str
    match: bool
    layers: int
    outputs: int
    mismatches: int
    first_mismatch: str | None
    cycles: int
    cycles_predicted: int
    ternary_weights: int
    zero_fraction: float
    build_seconds: float
    run_seconds: float
    peak_memory_mb: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def fault(self) -> str:
        """Why there is no match."""
        if self.mismatches:
            return (
                f"{self.mismatches} of {self.outputs} outputs differ from the golden model's, "
                f"the first in {self.first_mismatch}"
            )
        return f"took {self.cycles} cycles, not {self.cycles_predicted}"


def simulate_rtl(
    model: str | Path,
    core: Source | CoreConfig | System,
    *,
    bandwidth: str | None = None,
    clock_ns: float | None = None,
    seed: int = 0,
    how: Reading | None = None,
    progress: Count = lambda done, total: None,
    status: Callable[[str], None] = lambda _: None,
) -> RtlStep:
    """One decode step of ``model`` through every ternary layer, beside the golden model.

    model: of the zoo, with random weights of ``seed``, or a checkpoint. Golden goes ahead layer by
    layer; the compiled core follows on all processors, a layer each.
    """
    system = load_system(core)
    bits = None if bandwidth is None else parse(bandwidth, clock_ns)
    opened = ModelSource.find(model, how)
    name, architecture, layer, source = opened.layers(system.core, seed)
    status("generating")
    emitted = emit(system.core)
    status("compiling the Verilog")
    compiled = CoreModel(emitted.verilog, emitted.manifest)
    status("running")
    started = time.perf_counter()
    found: list[_Outcome] = []
    total = architecture.layers * len(architecture.shapes())
    pieces = golden_step(architecture, layer, system, seed, bits)
    workers = os.cpu_count() or 1
    pending: set[Future[_Outcome]] = set()
    with ThreadPoolExecutor(workers) as pool:
        try:
            while True:
                piece = next(pieces, None)
                if piece is not None:
                    pending.add(pool.submit(_run, compiled, piece, seed, len(found) + len(pending)))
                elif not pending:
                    break
                # Golden stays a layer ahead of the processors, and no more are in memory.
                if piece is None or len(pending) > workers:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    found += [future.result() for future in done]
                    progress(len(found), total)
        except (CheckpointError, GroupError) as error:
            raise ConfigError(f"{model}: {error}") from None
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def sum_of(name: str) -> int:
        return sum(getattr(one, name) for one in found)

    wrong = sorted((one.place, one.name) for one in found if one.mismatches)
    cycles, predicted = sum_of("cycles"), sum_of("predicted")
    return RtlStep(
        model=name,
        core=str(system.core.name),
        cores=system.cores,
        weights=source,
        match=not wrong and cycles == predicted,
        layers=len(found),
        outputs=sum_of("outputs"),
        mismatches=sum_of("mismatches"),
        first_mismatch=wrong[0][1] if wrong else None,
        cycles=cycles,
        cycles_predicted=predicted,
        ternary_weights=sum_of("weights"),
        zero_fraction=sum_of("zeros") / sum_of("weights"),
        build_seconds=compiled.build_seconds,
        run_seconds=time.perf_counter() - started,
        peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    )


@dataclass(frozen=True)
class _Outcome:
    """One layer on the hardware. place: in the order of the step."""

    place: int
    name: str
    outputs: int
    mismatches: int
    cycles: int
    predicted: int
    weights: int
    zeros: int


def _run(compiled: CoreModel, piece: Piece, seed: int, place: int) -> _Outcome:
    result = run_rtl(compiled, piece.plan, piece.acts, piece.linear, seed)
    pairs = [
        (got, expected)
        for by_core in zip(result.products, piece.expected, strict=True)
        for got, expected in zip(*by_core, strict=True)
    ]
    return _Outcome(
        place=place,
        name=piece.linear.name,
        outputs=sum(got.size for got, _ in pairs),
        mismatches=sum(int(np.count_nonzero(got != expected)) for got, expected in pairs),
        cycles=result.cycles,
        predicted=piece.plan.cycles(len(piece.acts)).total,
        weights=piece.linear.weights.size,
        zeros=piece.linear.weights.size - int(np.count_nonzero(piece.linear.weights)),
    )
