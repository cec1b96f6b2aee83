"""hwgen synth: one core really synthesised, by component and as a whole, beside its estimate."""

from __future__ import annotations

from costmodel.synth.libraries import find_library
from costmodel.synth.yosys import Synthesis
from costmodel.target.choice import find_target
from costmodel.target.report import Report, Say
from hwgen.base.errors import ConfigError
from hwgen.base.yamlfile import Source
from hwgen.spec.config import CoreConfig, load_core
from hwgen.verilog.emit import emit


def synth(
    core: Source | CoreConfig,
    technology: str = "generic",
    clock_ns: float | None = None,
    progress: Say = lambda text: None,
) -> Report:
    """Synthesise the core in ``core`` twice: module by module, and flattened.

    technology: one whose Liberty files are here, or an FPGA family.
    clock_ns: period to compare the delay with; ConfigError where there are no delays.
    Takes seconds for small cores, minutes for large ones; results are kept in the cache folder.
    Raises ConfigError for the core or the technology, SynthesisError, TimingError.
    """
    config, target = load_core(core), find_target(technology)
    if clock_ns is not None and not 0 < clock_ns < float("inf"):
        raise ConfigError(f"--clock-ns: should be above 0, not {clock_ns:g}")
    if clock_ns is not None and not target.times_synthesis:
        raise ConfigError(
            f"--clock-ns: should go with a technology with delays, not {technology}; leave it out"
        )
    target.check()
    progress("generating")
    emitted = emit(config)
    return target.report(config, emitted.rtlil, emitted.name, clock_ns, progress)


def synthesise_core(tech: str, config: CoreConfig) -> Synthesis:
    """A core in cells by the one definition of synthesised area, with delay if there are any."""
    library = find_library(tech)
    emitted = emit(config)
    timing = library.info.conditions is not None
    return library.synthesise(emitted.rtlil, emitted.name, depth=True, timing=timing)
