"""The interface for Python: what `import hwgen` offers.

Cores, systems and sweeps are objects that are legal by construction. Functions take them, or
whatever one can be made from: a file's path, YAML text, or a mapping.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hwgen.base.errors import ConfigError, HwgenError
from hwgen.base.yamlfile import Source, read
from hwgen.base.yamlfile import validate as validated
from hwgen.flow.calibrate.validate import Validation
from hwgen.flow.calibrate.validate import validate as _validate
from hwgen.flow.compare.file import CompareConfig
from hwgen.flow.compare.run import Comparison
from hwgen.flow.compare.run import compare as _compare
from hwgen.flow.estimate import Estimate, estimate
from hwgen.flow.generate import Generated, generate
from hwgen.flow.inspect import Inspection, inspect
from hwgen.flow.schema import schema
from hwgen.flow.simulate.run import simulate
from hwgen.flow.sweep.finalists import Built, Checked
from hwgen.flow.sweep.finalists import emit_best as _emit_best
from hwgen.flow.sweep.finalists import synthesise_front as _synthesise_front
from hwgen.flow.sweep.results import SweepResult, core_yaml
from hwgen.flow.sweep.run import check_options
from hwgen.flow.sweep.run import sweep as _sweep
from hwgen.flow.sweep.search import search as _search
from hwgen.flow.synth import synth
from hwgen.flow.technology import Technology
from hwgen.flow.verify import Verification, verify
from hwgen.space.sweep_file import SweepConfig, load_sweep
from hwgen.spec import system as systems
from hwgen.spec.config import CoreConfig, load_core
from hwgen.spec.rows import text_of
from hwgen.verilog.emit import emit

__all__ = [
    "Comparison",
    "ConfigError",
    "Core",
    "Estimate",
    "Generated",
    "HwgenError",
    "Inspection",
    "Sweep",
    "SweepResult",
    "System",
    "Technology",
    "Validation",
    "Verification",
    "compare",
    "emit_best",
    "estimate",
    "generate",
    "inspect",
    "schema",
    "simulate",
    "sweep",
    "synth",
    "synthesise_front",
    "validate",
    "verify",
]


class Core(CoreConfig):
    """One core. Axes are attributes: ``kind``, ``act``, ``mu``, ``tables``, ``ports``, …

    ``Core("lut.yaml")``, ``Core({"kind": "lut", …})`` or ``Core(kind="lut", …)``; keywords beside a
    source change its axes. ConfigError, a line for each fault, for what is not legal.

    >>> core = Core(kind="lut", mu=3, tables=16, ports=32)
    >>> core.tile_n, core.tile_m
    (48, 32)
    >>> Core(core, mu=2)
    <Core core: lut int8 µ=2 L=16 K=32 D=1>
    """

    def __init__(self, source: Source | CoreConfig | None = None, /, **axes: Any) -> None:
        content = {} if source is None else load_core(source).model_dump(exclude_unset=True)
        content = {"name": "core"} | content | axes
        validated(CoreConfig, content, "core")
        super().__init__(**content)

    def __repr__(self) -> str:
        return f"<Core {self.name}: {text_of(self)}>"

    __str__ = __repr__

    def to_dict(self) -> dict[str, Any]:
        """Every axis that the core has, with the value in effect."""
        return self.resolved()

    def to_yaml(self) -> str:
        """The text of a core file."""
        return core_yaml(self, name=self.name)

    @property
    def verilog(self) -> str:
        """The Verilog of the core, as `generate` writes it."""
        return emit(self).verilog

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest: ports, bit layouts, keys, latency."""
        return emit(self).manifest


class System(systems.System):
    """``cores`` equal cores side by side, each with a part of the outputs.

    >>> System(Core(kind="lut", mu=3, tables=16, ports=32), cores=4).weights_per_cycle
    6144
    """

    def __init__(
        self, source: Source | CoreConfig | systems.System, /, *, cores: int | None = None
    ) -> None:
        system = systems.load_system(source)
        count = system.cores if cores is None else cores
        if not 1 <= count <= systems.MOST_CORES:
            raise ConfigError(f"system: cores: should be 1 … {systems.MOST_CORES}, not {count}")
        super().__init__(system.core, count)


class Sweep(SweepConfig):
    """A space of cores, a workload, and what counts as good: a sweep file's keys.

    >>> layers = [{"name": "ffn", "in_features": 2560, "out_features": 6912}]
    >>> asked = Sweep(
    ...     workload={"name": "a layer", "layers": layers},
    ...     core={"kind": ["lut", "signflip"], "mu": [2, 3], "tables": 16, "ports": [8, 16]},
    ... )
    >>> asked.name
    'sweep'
    """

    def __init__(self, source: Source | SweepConfig | None = None, /, **keys: Any) -> None:
        content: dict[str, Any] = {"name": "sweep"}
        if isinstance(source, SweepConfig):
            content |= source.model_dump(exclude_unset=True)
        elif source is not None:
            told = read(source, "sweep")
            content |= {"name": told.name("sweep")} | told.mapping
        load_sweep(content | keys)  # ConfigError, a line for each fault.
        super().__init__(**content | keys)


def sweep(
    config: Source | SweepConfig,
    out: str | Path | None = None,
    *,
    search: int | None = None,
    seed: int = 0,
    jobs: int | None = None,
) -> SweepResult:
    """Evaluate every point of a sweep and write results, Pareto front, plots and the best core.

    out: results folder, by default ``results/<name>``. search: number of points that NSGA-II
    evaluates instead of all (``seed`` is that of the search, which takes one process). jobs:
    processes, by default one for each processor. The result has ``front``, ``results`` (tables of
    pandas) and ``best_core``. Raises ConfigError for the sweep, for an option that has no effect,
    or if no point is feasible.
    """
    check_options(search, seed, jobs)
    folder = None if out is None else Path(out)
    if search is not None:
        return _search(config, search, folder, seed)
    return _sweep(config, folder, jobs=jobs or len(os.sched_getaffinity(0)))


def synthesise_front(result: SweepResult, count: int) -> list[Checked]:
    """Synthesise ``count`` cores spread over the front of a sweep, beside their predictions."""
    return _synthesise_front(result, count)


def emit_best(result: SweepResult) -> Built:
    """Write the best core's Verilog beside a sweep's results and verify it on a random layer."""
    return _emit_best(result)


def compare(
    comparison: Source | CompareConfig,
    technologies: Sequence[str] = (),
    out: str | Path | None = None,
) -> Comparison:
    """Synthesise the cores of a comparison and set them side by side.

    technologies: by default all whose Liberty files are here. out: folder of ``comparison.csv``.
    Raises ConfigError for the comparison or a technology, SynthesisError.
    """
    return _compare(comparison, technologies, None if out is None else Path(out))


def validate(technology: str, recompute: int = 0) -> Validation:
    """Errors of the cost model on cores that it was never fitted to, by quantity and group.

    recompute: number of these cores to synthesise again, the smallest first.
    """
    return _validate(technology, recompute)
