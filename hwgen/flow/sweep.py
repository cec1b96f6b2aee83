"""hwgen sweep: every core of a space, its cost and its cycles, and the Pareto front."""

from __future__ import annotations

import io
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from costmodel.area import OMITTED, core_area
from costmodel.paper import PaperModelError, paper_area
from costmodel.pareto import pareto_mask
from costmodel.plots import pareto_figure, picture
from costmodel.predictor import Prediction, Predictor
from costmodel.technology import Technology, load_technology
from hwgen.config import ConfigError, CoreConfig
from hwgen.exploration import Space, SweepConfig, Workload, describe, load_sweep
from hwgen.files import write_atomically
from hwgen.flow.report import question, report_files
from hwgen.structure import COMPONENTS, structure
from sim.cycles import Run, in_tiles, out_tiles, total_cycles, traffic

Progress = Callable[[int, int], None]
AXES = (
    "kind",
    "act",
    "arith",
    "fixed_bits",
    "sum_format",
    "mu",
    "tables",
    "ports",
    "reuse",
    "table",
    "storage",
    "builder",
    "pipeline_build",
    "pipeline_fetch",
    "pipeline_reduce",
    "pipeline_fp_add",
    "pipeline_fp_mul",
    "max_in_features",
    "max_out_features",
)


@dataclass(frozen=True)
class Sweep:
    """An exploration's results and where they lie. ``best`` is a row of ``results``."""

    config: SweepConfig
    results: pd.DataFrame
    best: int
    dropped: dict[str, int]
    folder: Path
    area_column: str

    @property
    def front(self) -> pd.DataFrame:
        """The Pareto front, sorted by its objectives."""
        columns = [_column(name, self.area_column) for name in self.config.objectives]
        return self.results[self.results["front"]].sort_values([*columns, *AXES])


def sweep(
    config_path: Path, out: Path | None = None, progress: Progress = lambda done, total: None
) -> Sweep:
    """Evaluate every core of a sweep file and write results, front, plots and the best core.

    ``out`` defaults to results/<name>. All files appear at once, or none.
    """
    started = time.time()
    config = load_sweep(config_path)
    technology = load_technology(config.technology)
    _check_objectives(config, technology)
    space = Space(config)
    predictor = Predictor(technology, config.activity)
    rows = []
    cores = []
    for core in space.cores():
        try:
            rows.append(evaluate(core, config.workload, predictor, config.model))
            cores.append(core)
        except PaperModelError as error:
            space.dropped[str(error)] += 1
        progress(len(rows) + space.dropped.total(), space.size)
    progress(space.size, space.size)
    if not rows:
        where = f"{config_path}: core: no combination is a legal core"
        reasons = (f"{where}: {reason} ({count})" for reason, count in space.dropped.items())
        raise ConfigError("\n".join(reasons))
    results = pd.DataFrame(rows)
    area = f"area_{technology.area_unit}"
    objectives = [_column(name, area) for name in config.objectives]
    results["front"] = pareto_mask(results[objectives].to_numpy(float))
    first, second = objectives[:2]
    product = (results[first] * results[second]).where(results["front"], np.inf)
    best = int(product.to_numpy().argmin())
    folder = out or Path("results") / str(config.name)
    result = Sweep(config, results, best, dict(space.dropped), folder, area)
    _write(result, cores[best], technology, time.time() - started)
    return result


def _check_objectives(config: SweepConfig, technology: Technology) -> None:
    """ConfigError for objectives that the technology has no numbers for."""
    lacking = {
        "clock_ns": technology.delays,
        "ns_per_token": technology.delays,
        "core_energy_fj_per_token": technology.energy and technology.delays,
    }
    for name in config.objectives:
        if name in lacking and lacking[name] is None:
            raise ConfigError(
                f"objectives: {name}: {technology.name} has no delays or energies; take a "
                "technology that has, such as asap7, or leave it out"
            )


def evaluate(
    core: CoreConfig, workload: Workload, predictor: Predictor, model: str = "hwgen"
) -> dict[str, Any]:
    """One row of the results: the axes, area by component, cycles and traffic per token.

    With delays also clock and time, with energies also the core's energy per token, at full speed
    and with leakage. Raises PaperModelError for a core that model ``paper`` cannot predict.
    """
    technology = predictor.technology
    spec = structure(core)
    area = (paper_area if model == "paper" else core_area)(spec, technology)
    cycles = weights = acts = sums = macs = tiles = 0
    for layer in workload.layers:
        run = Run(workload.tokens, layer.in_features, layer.out_features)
        moved = traffic(spec, run)
        cycles += layer.count * total_cycles(spec, [run])
        weights += layer.count * moved.weight_bits
        acts += layer.count * moved.act_bits
        sums += layer.count * moved.sum_bits
        macs += layer.count * run.tokens * run.in_features * run.out_features
        tiles += layer.count * run.tokens * in_tiles(spec, run) * out_tiles(spec, run)
    unit = technology.area_unit
    lut = core.kind == "lut"
    return {
        "kind": core.kind,
        "act": core.act,
        "arith": core.arith or "",
        "fixed_bits": core.number.bits if core.arith == "fixed" else 0,
        "sum_format": core.sum_number.name if core.sum_number else "",
        "mu": core.mu,
        "tables": core.tables,
        "ports": core.ports,
        "reuse": core.reuse,
        "table": core.table or ("half" if lut else ""),
        "storage": core.storage or ("wires" if lut else ""),
        "builder": core.builder or ("minimal" if lut else ""),
        **{f"pipeline_{name}": depth for name, depth in core.pipeline.model_dump().items()},
        "max_in_features": core.max_in_features,
        "max_out_features": core.max_out_features,
        "technology": technology.name,
        "model": model,
        "calibrated": area.calibrated,
        "tile_n": core.tile_n,
        "tile_m": core.tile_m,
        f"area_{unit}": area.total,
        **{f"area_{name}_{unit}": area.by_component[name] for name in COMPONENTS},
        "cycles_per_token": cycles / workload.tokens,
        "weight_bits_per_token": weights / workload.tokens,
        "act_bits_per_token": acts / workload.tokens,
        "sum_bits_per_token": sums / workload.tokens,
        "utilisation": macs / (cycles * core.tile_n * core.tile_m),
        **_time_and_energy(predictor(core), cycles / workload.tokens, tiles / workload.tokens),
    }


def _time_and_energy(found: Prediction, cycles: float, tiles: float) -> dict[str, float]:
    """Of one token; what the technology has no numbers for is left out."""
    if found.period_ns is None:
        return {}
    ns = cycles * found.period_ns
    columns = {"clock_ns": found.period_ns, "ns_per_token": ns}
    if found.fj_per_tile is not None:
        leakage_fj = found.leakage_mw * ns * 1000  # 1 mW for 1 ns is 1 pJ.
        columns["core_energy_fj_per_token"] = tiles * found.fj_per_tile + leakage_fj
    return columns


def _column(objective: str, area: str) -> str:
    return area if objective == "area" else objective


def _write(result: Sweep, best: CoreConfig, technology: Technology, seconds: float) -> None:
    folder, config = result.folder, result.config
    x, y = (_column(name, result.area_column) for name in config.objectives[:2])
    title = f"{config.workload.name}: {len(result.results)} cores, {technology.name}"
    figure = pareto_figure(result.results, x, y, title, result.best)
    table = io.BytesIO()
    result.results.to_parquet(table, index=False)
    front = result.front.drop(columns="front").to_csv(index=False, lineterminator="\n")
    core = best.model_dump(exclude_none=True, exclude_defaults=True) | {"name": _core_name(best)}
    core = {"format": best.format, **core}
    comment = f"# {describe(best)}: least {x} × {y} of the front of {config.name}.\n"
    write_atomically(
        {
            folder / "results.parquet": table.getvalue(),
            folder / "pareto.csv": front,
            folder / "pareto.png": picture(figure, "png"),
            folder / "pareto.svg": picture(figure, "svg"),
            **report_files(
                folder,
                result.results,
                [_column(name, result.area_column) for name in config.objectives],
                title=title,
                question=question(config),
                best=result.best,
                dropped=result.dropped,
                activity=config.activity,
                model=config.model,
            ),
            folder / "best.yaml": comment + yaml.safe_dump(core, sort_keys=False),
            folder / "run.json": json.dumps(_run_record(result, seconds), indent=1) + "\n",
        }
    )


def _core_name(core: CoreConfig) -> str:
    parts = [core.kind, core.act, f"mu{core.mu}", f"l{core.tables}", f"k{core.ports}"]
    return "_".join([*parts, f"d{core.reuse}"])


def _run_record(result: Sweep, seconds: float) -> dict[str, Any]:
    """What varies between identical runs, and how to repeat this one."""
    packages = ("hwgen", "numpy", "pandas", "pyarrow", "pydantic")
    return {
        "command": ["hwgen", *sys.argv[1:]],
        "commit": _commit(),
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(time.time() - seconds)),
        "seconds": seconds,
        "host": platform.node(),
        "python": platform.python_version(),
        "tools": {name: version(name) for name in packages},
        "points": len(result.results),
        "front": int(result.results["front"].sum()),
        "dropped": result.dropped,
        "config": result.config.model_dump(),
        "omitted": OMITTED,
    }


def _commit() -> str | None:
    """The commit of the working copy, if this is one and git is there."""
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None
