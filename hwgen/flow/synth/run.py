"""hwgen synth: one core really synthesised, by component and as a whole, beside its estimate."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path

from costmodel.catalog import FAMILIES, library_names
from costmodel.synth.libraries import find_library
from hwgen.base.errors import ConfigError
from hwgen.flow.synth.cells import CellReport, synthesise_cells
from hwgen.flow.synth.components import (
    Progress,
)
from hwgen.flow.synth.fpga import FpgaReport, synthesise_family
from hwgen.spec.config import load_core


def synth(
    core: Path,
    technology: str,
    clock_ns: float | None = None,
    progress: Progress = lambda text: None,
) -> CellReport | FpgaReport:
    """Synthesise the core in ``core`` twice: module by module, and flattened.

    technology: one with Liberty files, or an FPGA family.
    clock_ns: period to compare the delay with; ConfigError where there are no delays.
    Seconds for small cores, minutes for large ones; results are kept in the cache folder.
    Raises ConfigError for the core or the technology, SynthesisError, TimingError.
    """
    config = load_core(core)
    known = [*library_names(), *FAMILIES]
    if technology not in known:
        close = get_close_matches(technology, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
        raise ConfigError(f"technology: should be a known one, not {technology!r}; {hint}")
    if clock_ns is not None and not 0 < clock_ns < float("inf"):
        raise ConfigError(f"--clock-ns: should be above 0, not {clock_ns:g}")
    library = None if technology in FAMILIES else find_library(technology)
    if clock_ns is not None and (library is None or library.info.conditions is None):
        raise ConfigError(
            f"--clock-ns: should go with a technology with delays, not {technology}; leave it out"
        )
    if library is None:
        return synthesise_family(config, technology, progress)
    library.check()
    return synthesise_cells(config, library, clock_ns, progress)
