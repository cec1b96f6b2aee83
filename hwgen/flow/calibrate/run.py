"""hwgen calibrate: unit costs of a technology, written where the cost model reads them."""

from __future__ import annotations

from pathlib import Path

from costmodel.calibrate.areas import Progress
from costmodel.calibrate.file import as_yaml
from costmodel.catalog import costs_destination
from costmodel.target.choice import find_target
from hwgen.base.files import write_atomically
from hwgen.flow.calibrate.units import generated


def calibrate(
    tech: str,
    out: Path | None = None,
    progress: Progress = lambda kind, done, total: None,
) -> Path:
    """Measure the units of ``tech``, fit what its recorded cores say, write both; returns the file.

    What whole cores say comes from the training cores that were synthesised, placed
    (`hwgen.flow.calibrate.samples`) or simulated (`hwgen.flow.calibrate.energy`), if any.

    tech: an FPGA family, ``generic``, or a technology whose Liberty files are here.
    out: file to write; the default is the cost model's own (`costmodel.catalog`).
    progress: called with the kind just measured, the measurements done, and their number.
    Takes minutes the first time, and resumes where it stopped if interrupted. Raises ConfigError
    for an unknown technology or missing files, SynthesisError if synthesis fails, HwgenError if the
    file cannot be written.
    """
    target = find_target(tech)
    text = as_yaml(target.calibrate(generated, progress))
    path = costs_destination(tech) if out is None else out
    write_atomically({path: text})
    if out is None:
        target.predict_again()
    return path
