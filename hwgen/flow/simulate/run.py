"""One entry to the three ways of running a model: in closed form, on the hardware, or as text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hwgen.base.errors import ConfigError
from hwgen.base.yamlfile import Source
from hwgen.flow.checkpoint import reading
from hwgen.flow.simulate.closed import Simulation
from hwgen.flow.simulate.closed import simulate as closed
from hwgen.flow.simulate.step import RtlStep, simulate_rtl
from hwgen.flow.simulate.text import TextRun, simulate_text
from hwgen.spec.config import CoreConfig
from hwgen.spec.system import System

CLOSED = ("--prefill", "--decode", "--tech", "--activity")


def simulate(
    model: str | Path,
    core: Source | CoreConfig | System,
    *,
    prefill: int = 0,
    decode: int = 1,
    bandwidth: str | None = None,
    clock_ns: float | None = None,
    technology: str | None = None,
    activity: str = "random",
    i2s_layout: str | None = None,
    scale: str | None = None,
    quantise: str | None = None,
    partial: bool = False,
    rtl: bool = False,
    prompt: str | None = None,
    tokens: int = 64,
    temperature: float = 0.8,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
    status: Callable[[str], None] = lambda _: None,
) -> Simulation | RtlStep | TextRun:
    """Run the ternary layers of a model on a core or a system of cores.

    In closed form; with ``rtl`` one decode step on the Verilated core; with ``prompt`` a language
    model writes ``tokens`` tokens, with ``rtl`` every linear layer of it on the Verilated core.
    Options that have no effect in the way chosen are a ConfigError.

    model: name of a published model, or of a packaged checkpoint, or a checkpoint's path.
    bandwidth: of all weight streams together, "25.6 GB/s" or "512 bits/cycle"; None: no limit.
    clock_ns: by default that of ``technology``; unknown without either.
    i2s_layout, scale, quantise, partial: how to read a checkpoint, as `hwgen.inspect` takes them.
    """
    of_phases = {"--prefill": prefill != 0, "--decode": decode != 1}
    of_costs = {"--tech": technology is not None, "--activity": activity != "random"}
    of_text = {"--tokens": tokens != 64, "--temperature": temperature != 0.8, "--seed": seed != 0}
    given = of_phases | of_costs | of_text
    how = reading(i2s_layout, scale, quantise, partial)
    if prompt is not None:
        _refuse("--prompt", given, ("--tokens", "--temperature", "--seed"))
        return simulate_text(
            model,
            core,
            prompt,
            tokens=tokens,
            rtl=rtl,
            seed=seed,
            temperature=temperature,
            bandwidth=bandwidth,
            clock_ns=clock_ns,
            how=how,
            status=status,
            progress=progress,
        )
    if rtl:
        _refuse("--rtl, one step of decode", given, ("--seed",))
        return simulate_rtl(
            model,
            core,
            bandwidth=bandwidth,
            clock_ns=clock_ns,
            seed=seed,
            how=how,
            progress=progress,
            status=status,
        )
    _refuse("neither --rtl nor --prompt", given, CLOSED)
    if technology is None and given["--activity"]:
        raise ConfigError("simulate: --activity has no effect without --tech; leave it out")
    return closed(
        model,
        core,
        prefill=prefill,
        decode=decode,
        bandwidth=bandwidth,
        clock_ns=clock_ns,
        tech=technology,
        activity=activity,
        how=how,
    )


def _refuse(mode: str, given: dict[str, bool], legal: tuple[str, ...]) -> None:
    """ConfigError for options that would have no effect."""
    idle = [option for option, used in given.items() if used and option not in legal]
    if idle:
        raise ConfigError(f"simulate: {', '.join(idle)} has no effect with {mode}; leave it out")
