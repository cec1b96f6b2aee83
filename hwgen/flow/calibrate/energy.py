"""hwgen calibrate --energy: training and hold-out cores in cells, simulated; the model fitted.

A core whose lines are recorded (`costmodel.judge.energy_records`) is not simulated again. The model
is fitted on the training cores alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from costmodel.calibrate.file import as_yaml
from costmodel.catalog import costs_destination
from costmodel.cells.energy_data import ACTIVITIES
from costmodel.cells.technology import load_technology
from costmodel.judge.energy_records import EnergyRecord, with_energies
from costmodel.judge.records import HOLDOUT, TRAINING, Columns
from costmodel.judge.samples import Group, Sample
from costmodel.synth.libraries import find_library
from costmodel.synth.yosys import tool_version
from hwgen.base.errors import ConfigError
from hwgen.base.files import write_atomically
from hwgen.flow.calibrate.gates import gates, measure
from hwgen.flow.calibrate.samples import Progress, work_through
from sim.verilated.model import verilator_version

MOST_CELLS = 8_000
"""Cores of up to this size, by their estimate, are simulated unless another size is given."""


def calibrate_energy(
    tech: str,
    most_cells: int | None = None,
    progress: Progress = lambda name, done, total: None,
) -> tuple[Path, Path, Path]:
    """Simulate training cores, fit the energies of ``tech``, simulate hold-out cores.

    most_cells: larger cores, by their estimate, are left out; default `MOST_CELLS`.
    Returns the technology's file and the two records. Resumes where it stopped if interrupted.
    Raises ConfigError for a technology without cells, files, delays or unit costs, SynthesisError,
    GateError if a netlist computes wrongly.
    """
    library = find_library(tech)
    if library.info.conditions is None:
        raise ConfigError(f"technology {tech}: has no energies, as its cells have none")
    load_technology(tech)
    training = simulate_samples(tech, TRAINING, most_cells or MOST_CELLS, progress)
    path = costs_destination(tech)
    write_atomically({path: as_yaml(with_energies(load_technology(tech)))})
    record = EnergyRecord(tech, TRAINING)
    record.write(record.rows())
    return path, training, simulate_samples(tech, HOLDOUT, most_cells or MOST_CELLS, progress)


def simulate_samples(
    tech: str,
    groups: Sequence[Group],
    most_cells: float,
    progress: Progress = lambda name, done, total: None,
) -> Path:
    """Map and simulate every core of ``groups`` that has no lines yet, the small ones first.

    Every core that is done is written at once.
    """
    record = EnergyRecord(tech, groups)
    rows = record.rows()
    waiting = [s for s in record.samples if s.name not in rows and s.cells <= most_cells]

    def keep(sample: Sample, columns: dict[str, Columns]) -> None:
        rows[sample.name] = columns
        record.write(rows)

    work_through(waiting, partial(simulate, tech), keep, progress)
    record.write(rows)
    return record.path


def simulate(tech: str, sample: Sample) -> dict[str, Columns]:
    """What is recorded of a core, by activity class; energies are per tile."""
    core = gates(sample.config, find_library(tech))
    tool = f"{tool_version()}, verilator {verilator_version()}"
    columns: dict[str, Columns] = {}
    for data in ACTIVITIES:
        measured = measure(core, data)
        energy, tiles = measured.power.energy, measured.tiles
        columns[data] = {
            "synthesised_energy_fj": round(energy.total_fj / tiles, 4),
            "synthesised_switching_fj": round(energy.switching_fj / tiles, 4),
            "synthesised_combinational_fj": round(energy.combinational_fj / tiles, 4),
            "synthesised_sequential_fj": round(energy.sequential_fj / tiles, 4),
            "synthesised_clock_fj": round(energy.clock_fj / tiles, 4),
            "synthesised_leakage_nw": round(measured.power.leakage_nw, 4),
            "cycles": measured.power.cycles,
            "tiles": tiles,
            "cells": sum(len(group.names) for group in core.mapped.netlist.groups),
            "tool": tool,
        }
    return columns
