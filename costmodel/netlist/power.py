"""Energy and leakage of a mapped, flat netlist from its nets' toggles and its Liberty files.

Switching: ½·C·V² a toggle, C the input pins at the net and the stated load at outputs, no wires.
Internal: the tables at the load of the net and the transition of the pin, rising and falling edges
in equal parts. An output's toggles are shared out among its groups in proportion to (toggles of the
related pin) × P(when), equally where that is 0 everywhere. At an input every toggle counts each
group P(when) times. P(when) takes the pins as independent, each high as often as was seen; only a
flip-flop's data and output differ exactly as often as the output toggles. Transitions and loads are
those of ``costmodel.netlist.timing``. Leakage is the mean over a cell's states.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from costmodel.liberty.expression import truth, variables
from costmodel.liberty.library import Table
from costmodel.liberty.parser import LibertyError
from costmodel.liberty.power_tables import PowerCell, PowerGroup, PowerLibrary, read_power
from costmodel.netlist.netlist import Group, Ints, Netlist, clock_pins
from costmodel.netlist.timing import Conditions, Floats, Surroundings, Tables, surroundings


class Activity(NamedTuple):
    """What simulation saw, by net.

    toggles: of a clock net 2 a cycle. high: share of the time at 1.
    """

    toggles: Floats
    high: Floats
    cycles: int


class Energy(NamedTuple):
    """fJ over the whole time that the activity covers."""

    switching_fj: float
    """of all nets but the clock's"""
    combinational_fj: float
    """inside cells without storage"""
    sequential_fj: float
    """inside flip-flops, but for their clock pins"""
    clock_fj: float
    """the clock net, and inside flip-flops at their clock pins"""

    @property
    def total_fj(self) -> float:
        return sum(self)


@dataclass(frozen=True)
class Power:
    """Power of one netlist.

    instances: of each cell type the fJ of each instance: inside it, at its outputs, and of a
        flip-flop its clock pin's share of the clock net. What is missing to the total are inputs.
    """

    energy: Energy
    leakage_nw: float
    cycles: int
    instances: Mapping[str, Floats]

    def by_component(self, netlist: Netlist, component: Callable[[str], str]) -> dict[str, float]:
        """fJ by component of the instances' names; "inputs" is what drives input pins."""
        parts: dict[str, float] = {}
        for group in netlist.groups:
            for name, energy in zip(group.names, self.instances[group.type], strict=True):
                part = component(name)
                parts[part] = parts.get(part, 0.0) + float(energy)
        return parts | {"inputs": self.energy.total_fj - sum(parts.values())}


def power(
    netlist: Netlist, activity: Activity, conditions: Conditions, liberty: Sequence[Path]
) -> Power:
    """Energy and leakage of a netlist; see the module for the rules.

    Raises LibertyError for a cell without leakage or power data and for unknown units, TimingError
    as ``timing.surroundings`` does.
    """
    library = read_power(liberty, [group.type for group in netlist.groups])
    return _Sum(netlist, activity, surroundings(netlist, conditions), library, conditions).run()


class _Sum:
    """One run: the tables of all cells, then cell type by cell type."""

    def __init__(
        self,
        netlist: Netlist,
        activity: Activity,
        around: Surroundings,
        library: PowerLibrary,
        conditions: Conditions,
    ) -> None:
        self.netlist, self.around, self.library = netlist, around, library
        self.toggles, self.high = activity.toggles, activity.high
        self.cycles = activity.cycles
        self.clock_transition_ns = conditions.clock_transition_ns
        self.input_transition_ns = conditions.input_transition_ns
        self.tables = Tables()
        for group in netlist.groups:
            for groups in library.cells[group.type].pins.values():
                for table in (t for g in groups for t in (g.rise, g.fall) if t is not None):
                    self.tables.add(table)
        self.tables.close()

    def run(self) -> Power:
        netlist, per_ff = self.netlist, 0.5 * self.library.voltage_v**2
        clocks = np.zeros(netlist.nets, bool)
        for group in netlist.groups:
            for pin in clock_pins(group.cell):
                clocks[group.nets[pin][group.nets[pin] >= 0]] = True
        charge = per_ff * self.around.load_ff * self.toggles
        combinational = sequential = clocked = leakage = 0.0
        instances: dict[str, Floats] = {}
        for group in netlist.groups:
            if group.cell.leakage_nw is None:
                raise LibertyError(f"cell {group.type}: has no leakage")
            leakage += group.cell.leakage_nw * len(group.names)
            at_clock, inside = self._inside(group)
            total = at_clock + inside
            for pin, about in group.cell.pins.items():
                nets = group.nets[pin]
                if about.direction == "output":
                    total = total + np.where(nets >= 0, charge[nets], 0.0)
                elif pin in clock_pins(group.cell):
                    total = total + per_ff * (about.capacitance_ff or 0.0) * self.toggles[nets]
            instances[group.type] = total
            clocked += float(at_clock.sum())
            if group.cell.storage:
                sequential += float(inside.sum())
            else:
                combinational += float(inside.sum())
        energy = Energy(
            float(charge[~clocks].sum()),
            combinational,
            sequential,
            clocked + float(charge[clocks].sum()),
        )
        return Power(energy, leakage, self.cycles, instances)

    def _inside(self, group: Group) -> tuple[Floats, Floats]:
        """Internal fJ of each instance: at clock pins, and the rest."""
        cell = self.library.cells[group.type]
        if not any(cell.pins.values()) and any(
            pin.direction == "input" for pin in group.cell.pins.values()
        ):
            raise LibertyError(f"cell {group.type}: has no internal_power")
        clocks = clock_pins(group.cell)
        at_clock, inside = np.zeros(len(group.names)), np.zeros(len(group.names))
        for pin, about in group.cell.pins.items():
            nets = group.nets[pin]
            groups = cell.pins.get(pin, ())
            if not groups:
                continue
            toggles = np.where(nets >= 0, self.toggles[nets], 0.0)
            shares = [self._probability(g, cell, group) for g in groups]
            if about.direction == "output":
                weights = [
                    share * (self._of(group, g.related, self.toggles) if g.related else 1.0)
                    for share, g in zip(shares, groups, strict=True)
                ]
                whole = sum(weights)
                shares = [
                    np.where(whole > 0, weight / np.where(whole > 0, whole, 1), 1 / len(groups))
                    for weight in weights
                ]
            energy = sum(
                share * self._mean(g, pin, group) for share, g in zip(shares, groups, strict=True)
            )
            if pin in clocks:
                at_clock += toggles * energy
            else:
                inside += toggles * energy
        return at_clock, inside

    def _of(self, group: Group, pin: str, values: Floats) -> Floats:
        """Values by net at a pin of each instance; 0 where nothing switches."""
        if pin not in group.nets:
            raise LibertyError(f"cell {group.type}: {pin!r} should be one of its pins")
        nets = group.nets[pin]
        return np.where(nets >= 0, values[nets], 0.0)

    def _mean(self, power: PowerGroup, pin: str, group: Group) -> Floats:
        """Energy of a transition of each instance, mean of both edges."""
        cause = power.related or pin
        nets = group.nets[cause]
        slow = np.where(nets >= 0, self.around.transition_ns[nets], self.input_transition_ns)
        if cause in clock_pins(group.cell):
            slow = np.full(len(nets), self.clock_transition_ns)
        load = self._of(group, pin, self.around.load_ff)
        edges = [self._look_up(t, slow, load) for t in (power.rise, power.fall) if t is not None]
        return sum(edges[1:], edges[0]) / 2

    def _look_up(self, table: Table, slow: Floats, load: Floats) -> Floats:
        number = np.full(len(slow), self.tables.add(table))
        return self.tables.look_up(number, slow, load)

    def _probability(self, power: PowerGroup, cell: PowerCell, group: Group) -> Floats:
        """P(when) of each instance."""
        if power.when is None:
            return np.ones(len(group.names))
        names = variables(power.when)
        rows = np.flatnonzero(truth(power.when, names))
        bits = {name: rows >> i & 1 for i, name in enumerate(names)}
        chance = np.ones((len(group.names), len(rows)))
        paired: set[str] = set()
        for name in names:
            if name in cell.follows and cell.follows[name][0] in names and not paired:
                data, inverted = cell.follows[name]
                paired = {name, data}
                chance *= self._pair(group, name, bits[name], bits[data] ^ inverted)
        for name in sorted(set(names) - paired):
            ones = group.nets[name] == -2 if name in group.nets else False
            high = np.where(ones, 1.0, self._of(group, name, self.high))[:, None]
            chance *= np.where(bits[name] == 1, high, 1 - high)
        result: Floats = chance.sum(axis=1)
        return result

    def _pair(self, group: Group, output: str, now: Ints, then: Ints) -> Floats:
        """P(output is ``now`` and will be ``then`` after the next edge)."""
        high = self._of(group, output, self.high)[:, None]
        changes = self._of(group, output, self.toggles)[:, None] / (2 * self.cycles)
        stays = np.where(now == 1, high - changes, 1 - high - changes)
        return np.where(now == then, np.maximum(stays, 0.0), changes)
