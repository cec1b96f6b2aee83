"""Internal energies of cells from Liberty files, fJ per transition.

Units come from the header: an entry of a power table is in capacitive_load_unit × voltage_unit²,
an axis in time_unit or capacitive_load_unit. Groups of a ground pin are left out: they count the
charge that a supply has delivered a second time as it leaves (asap7 has a group for each of VDD and
VSS, of equal sums over a cycle; tools that add both, OpenSTA among them, find twice the energy).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np

from costmodel.liberty.library import Table, numbers, read_packed, unit
from costmodel.liberty.parser import Group, LibertyError, after_group, tree

TRANSITION, LOAD = "input_transition_time", "total_output_net_capacitance"
_CELL = re.compile(r'\bcell\s*\(\s*"?(\w+)"?\s*\)\s*\{')
_SKIPPED = re.compile(r"timing|leakage_power|normalized_driver_waveform|receiver_.*|output_curr.*")
_DATA = re.compile(r"\(?\s*(!?)\s*(\w+)\s*\)?")


class PowerGroup(NamedTuple):
    """Energy of a transition of the pin that holds it; None: no such edge in the file."""

    related: str | None
    when: str | None
    rise: Table | None
    fall: Table | None


class PowerCell(NamedTuple):
    """One cell. ``follows``: outputs that take a data pin's value (True: inverted) at the clock."""

    pins: dict[str, tuple[PowerGroup, ...]]
    follows: dict[str, tuple[str, bool]]


class PowerLibrary(NamedTuple):
    """The cells that were asked for, and the supply voltage."""

    voltage_v: float
    cells: dict[str, PowerCell]


def read_power(paths: Sequence[Path], cells: Iterable[str]) -> PowerLibrary:
    """Power data of ``cells`` from the Liberty files of one technology, plain or ``.gz``.

    Raises LibertyError for a file that cannot be read, a missing cell, unit or voltage, files of
    different voltages, and faults in tables.
    """
    found: dict[str, PowerCell] = {}
    voltages: dict[float, str] = {}
    wanted = sorted(set(cells))
    for path in paths:
        file = _open(path, path.stat().st_mtime_ns if path.exists() else 0)
        voltages[file.voltage_v] = path.name
        found |= {name: file.cell(name) for name in wanted if name in file.spans}
    if len(voltages) != 1:
        raise LibertyError(f"{', '.join(voltages.values())}: nom_voltage: should be the same")
    if missing := [name for name in wanted if name not in found]:
        raise LibertyError(f"cell {missing[0]}: is in none of the Liberty files")
    return PowerLibrary(next(iter(voltages)), found)


@lru_cache(maxsize=16)
def _open(path: Path, changed_ns: int) -> _File:
    return _File(path.name, read_packed(path).decode("utf-8", "replace"))


class _File:
    """One file: its header is read at once, its cells when they are asked for."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = name, text
        self.spans = {found[1]: found.start() for found in _CELL.finditer(text)}
        first = min(self.spans.values(), default=len(text))
        top = tree(text[:first] + ("}" if self.spans else ""), name)
        ns = unit(top.attributes.get("time_unit"), f"{name}: time_unit", "s", 1e-9)
        load = " ".join(top.lists.get("capacitive_load_unit", [])) or None
        ff = unit(load, f"{name}: capacitive_load_unit", "f", 1e-15)
        volt = unit(top.attributes.get("voltage_unit"), f"{name}: voltage_unit", "v", 1.0)
        self.scales = {TRANSITION: ns, LOAD: ff}
        self.fj = ff * volt**2
        stated = top.attributes.get("nom_voltage", "missing")
        try:
            self.voltage_v = float(stated) * volt
        except ValueError:
            raise LibertyError(f"{name}: nom_voltage: should be a number, not {stated}") from None
        self.templates = {group.arguments[0]: group for group in top.all("power_lut_template")}
        self._cells: dict[str, PowerCell] = {}

    def cell(self, name: str) -> PowerCell:
        if name not in self._cells:
            start = self.spans[name]
            end = after_group(self.text, self.text.index("{", start) + 1, self.name)
            group = tree(self.text[start:end], self.name, _SKIPPED)
            self._cells[name] = self._cell(group, f"{self.name}: cell {name}")
        return self._cells[name]

    def _cell(self, cell: Group, where: str) -> PowerCell:
        grounds = {
            pin.arguments[0]
            for pin in cell.all("pg_pin")
            if pin.attributes.get("pg_type", "").endswith("ground")
        }
        pins: dict[str, tuple[PowerGroup, ...]] = {}
        for pin in cell.all("pin"):
            groups = tuple(
                made
                for power in pin.all("internal_power")
                if power.attributes.get("related_pg_pin") not in grounds
                for made in self._groups(power, f"{where}: pin {pin.arguments[0]}")
            )
            pins |= dict.fromkeys(pin.arguments, groups)
        return PowerCell(pins, _follows(cell))

    def _groups(self, power: Group, where: str) -> list[PowerGroup]:
        both = self._table(power, "power", where)
        rise = self._table(power, "rise_power", where) or both
        fall = self._table(power, "fall_power", where) or both
        if rise is None and fall is None:
            raise LibertyError(f"{where}: internal_power: has no table")
        related: list[str | None] = [*power.attributes.get("related_pin", "").split()]
        when = power.attributes.get("when")
        return [PowerGroup(pin, when, rise, fall) for pin in related or [None]]

    def _table(self, power: Group, name: str, where: str) -> Table | None:
        found = next(power.all(name), None)
        if found is None:
            return None
        where = f"{where}: {name}"
        axes: dict[str, tuple[float, ...]] = {}
        if found.arguments and found.arguments[0] != "scalar":
            template = self.templates.get(found.arguments[0])
            if template is None:
                raise LibertyError(f"{where}: {found.arguments[0]}: no such power_lut_template")
            while variable := template.attributes.get(f"variable_{len(axes) + 1}"):
                index = f"index_{len(axes) + 1}"
                points = found.lists.get(index) or template.lists.get(index)
                if variable not in self.scales or not points:
                    raise LibertyError(f"{where}: {variable}: should be {TRANSITION} or {LOAD}")
                axes[variable] = numbers(points, self.scales[variable], where)
        values = np.array(numbers(found.lists.get("values", []), self.fj, where))
        shape = [len(points) for points in axes.values()]
        if values.size != prod(shape):
            raise LibertyError(f"{where}: should hold {prod(shape)} values, not {values.size}")
        values = values.reshape(shape)
        if list(axes) == [LOAD, TRANSITION]:
            values = values.T
        first, second = axes.get(TRANSITION, (0.0,)), axes.get(LOAD, (0.0,))
        rows = values.reshape(len(first), len(second)).tolist()
        return Table(first=first, second=second, values=tuple(map(tuple, rows)))


def _follows(cell: Group) -> dict[str, tuple[str, bool]]:
    """Outputs of a flip-flop whose next state is one pin."""
    state = next(cell.all("ff"), None)
    data = _DATA.fullmatch(state.attributes.get("next_state", "")) if state else None
    if state is None or data is None:
        return {}
    follows: dict[str, tuple[str, bool]] = {}
    for pin in cell.all("pin"):
        output = _DATA.fullmatch(pin.attributes.get("function", ""))
        if output is not None and output[2] in state.arguments:
            inverted = bool(data[1]) ^ bool(output[1]) ^ (output[2] == state.arguments[1])
            follows |= dict.fromkeys(pin.arguments, (data[2], inverted))
    return follows
