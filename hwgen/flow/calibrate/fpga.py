"""Calibrate an FPGA family: unit costs from synthesis, and what whole cores correct, as YAML."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from costmodel.calibrate.fpga import METHOD, measure_units
from costmodel.catalog import FAMILIES
from costmodel.fpga.resources import FpgaTechnology, fpga_file, load_fpga
from costmodel.judge.fpga_records import corrected, predict_again
from costmodel.synth.yosys import tool_version
from hwgen.base.errors import ConfigError
from hwgen.base.files import write_atomically
from hwgen.flow.calibrate.cells import commented, generated


def calibrate(
    family: str,
    out: Path | None = None,
    progress: Callable[[str, int, int], None] = lambda kind, done, total: None,
) -> Path:
    """Measure the units of ``family``, fit what whole cores correct, write both; returns the file.

    Corrections and delays come from the training cores that were synthesised and placed
    (`hwgen.flow.calibrate.fpga_samples`), if any.

    out: file to write; default: the cost model's own, ``costmodel/tech/<family>.yaml``.
    progress: called with the kind just measured, the measurements done, and their number.
    Minutes the first time; goes on where it stopped if interrupted. Raises ConfigError for an
    unknown family, SynthesisError if synthesis fails, HwgenError if the file cannot be written.
    """
    if family not in FAMILIES:
        raise ConfigError(f"family: should be {' or '.join(FAMILIES)}, not {family!r}")
    units = measure_units(family, generated, progress)
    result = corrected(FpgaTechnology(name=family, tool=tool_version(), method=METHOD, units=units))
    path = fpga_file(family) if out is None else out
    write_atomically({path: as_yaml(result)})
    load_fpga.cache_clear()
    if out is None:
        predict_again(family)
    return path


def as_yaml(technology: FpgaTechnology) -> str:
    """``technology`` as the text of its file; the same technology gives the same text."""
    return commented(f"Unit costs of FPGA family {technology.name}", technology.name, technology)
