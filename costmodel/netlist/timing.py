"""Static timing of a mapped, flat netlist from the tables of its Liberty files, without wires.

Delays and transitions follow the non-linear delay model: tables over input transition and load,
bilinear between their points, with the slope of the outermost two beyond them, as common tools do.
Worst case by node (graph-based): each net has one arrival and one transition for its rising and one
for its falling edge, the latest and the slowest of all arcs. Every arc is taken to be sensitised.

Arrays: a node is ``2 * net + edge``, edge 0 rising and 1 falling; an arc of the Liberty file gives
one edge of the graph per pair of edges that its sense allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from costmodel.liberty.library import Table
from costmodel.netlist.netlist import (
    Group,
    Ints,
    Netlist,
    TimingError,
    arcs,
    clock_pins,
    join,
    levels,
)
from hwgen.base.yamlfile import Strict

FORMAT = "hwgen.timing/1"
"""Part of cache keys; to be raised with every change of the numbers."""

Floats = NDArray[np.float64]
Start = Literal["input", "register"]
End = Literal["output", "register"]

_EDGES = {
    "positive_unate": ((0, 0), (1, 1)),
    "negative_unate": ((0, 1), (1, 0)),
    "non_unate": ((0, 0), (0, 1), (1, 0), (1, 1)),
}
"""Edges at the input and the output, 0 rising and 1 falling."""


class Conditions(Strict):
    """What surrounds a netlist."""

    driving_cell: Annotated[
        str, Field(description="stands for inputs and registers while ABC buffers and sizes")
    ]
    input_transition_ns: Annotated[float, Field(ge=0, description="of every primary input")]
    clock_transition_ns: Annotated[float, Field(ge=0, description="at every clock pin")]
    output_load_ff: Annotated[float, Field(ge=0, description="at every primary output")]

    def abc_constraints(self) -> str:
        """The part that ABC's mapping knows of, as ``read_constr`` reads it; the load in fF."""
        return f"set_driving_cell {self.driving_cell}\nset_load {self.output_load_ff}\n"


class PathStep(Strict):
    """One cell on a path, from the input or register where it starts."""

    instance: Annotated[str, Field(description="cell instance in the flat netlist")]
    cell: Annotated[str, Field(description="cell type")]
    pin: Annotated[str, Field(description="output pin; on a register at the end its data pin")]
    delay_ns: Annotated[float, Field(description="added by this cell; at the end the set-up time")]


class Timing(Strict):
    """Longest path of a netlist."""

    delay_ns: Annotated[float, Field(ge=0, description="least clock period; 0: nothing to time")]
    start: Start | None
    end: End | None
    path: Annotated[tuple[PathStep, ...], Field(description="its delays add up to delay_ns")]


def analyse(netlist: Netlist, conditions: Conditions) -> Timing:
    """Least clock period and the path that sets it, ns.

    Over all endpoints the maximum of: launch (0 at inputs, clock to output at registers) + delays +
    set-up (0 at outputs). One ideal clock of one edge: no skew, no uncertainty, no clock tree.
    Recovery of asynchronous pins counts as set-up; paths through them do not count. The load of a
    net is that of the input pins at it, and the stated one at outputs; wires weigh nothing.
    Raises TimingError for a loop, for a clock that no input drives, and for clocks of both edges.
    """
    return _Analysis(netlist, conditions).run()


class Surroundings(NamedTuple):
    """What the cells of a netlist see, by net."""

    load_ff: Floats
    transition_ns: Floats


def surroundings(netlist: Netlist, conditions: Conditions) -> Surroundings:
    """Load of each net and its transition, the mean of its two edges, as ``analyse`` finds them.

    Transitions are the slowest of all arcs into the net. Raises TimingError as ``analyse`` does.
    """
    found = _Analysis(netlist, conditions)
    slews = found.slew[: 2 * netlist.nets]
    return Surroundings(found.load.astype(np.float64), (slews[::2] + slews[1::2]) / 2)


class Tables:
    """Tables stacked into arrays, so that any mixture of them is looked up at once.

    Axes are padded with infinity, values with 0; a single point becomes two with the same value.
    """

    def __init__(self) -> None:
        self._index: dict[int, int] = {}
        self._tables: list[Table] = []

    def add(self, table: Table) -> int:
        """Its number; the same table object has the same number."""
        if id(table) not in self._index:
            self._index[id(table)] = len(self._tables)
            self._tables.append(table)
        return self._index[id(table)]

    def close(self) -> None:
        rows = max((len(table.first) for table in self._tables), default=1)
        columns = max((len(table.second) for table in self._tables), default=1)
        number, rows, columns = len(self._tables), max(rows, 2), max(columns, 2)
        self.first = np.full((number, rows), np.inf)
        self.second = np.full((number, columns), np.inf)
        self.values = np.zeros((number, rows, columns))
        for index, table in enumerate(self._tables):
            first, second, values = table.first, table.second, np.array(table.values)
            if len(first) == 1:
                first, values = (first[0], first[0] + 1), values.repeat(2, axis=0)
            if len(second) == 1:
                second, values = (second[0], second[0] + 1), values.repeat(2, axis=1)
            self.first[index, : len(first)] = first
            self.second[index, : len(second)] = second
            self.values[index, : len(first), : len(second)] = values
        self.rows = np.isfinite(self.first).sum(axis=1)
        self.columns = np.isfinite(self.second).sum(axis=1)

    def look_up(self, table: Ints, first: Floats, second: Floats) -> Floats:
        """Values of the tables with these numbers at these points; all arrays of one length."""
        row, across = self._place(self.first, self.rows, table, first)
        column, along = self._place(self.second, self.columns, table, second)
        low = self.values[table, row, column] * (1 - along)
        low += self.values[table, row, column + 1] * along
        high = self.values[table, row + 1, column] * (1 - along)
        high += self.values[table, row + 1, column + 1] * along
        return low * (1 - across) + high * across

    @staticmethod
    def _place(axes: Floats, lengths: Ints, table: Ints, at: Floats) -> tuple[Ints, Floats]:
        points = axes[table]
        index = np.minimum((at[:, None] >= points[:, 1:]).sum(axis=1), lengths[table] - 2)
        everyone = np.arange(len(table))
        low, high = points[everyone, index], points[everyone, index + 1]
        return index, (at - low) / (high - low)


class _Row(NamedTuple):
    """What all edges of one arc, cell type and pair of edges share."""

    group: Group
    pin: str
    delay: int
    slew: int


class _Analysis:
    """One run: the graph, its propagation level by level, and the path back from the end."""

    def __init__(self, netlist: Netlist, conditions: Conditions):
        self.netlist, self.conditions = netlist, conditions
        self.clock = 2 * netlist.nets + _check_clocks(netlist)
        self.tables = Tables()
        self._rows: list[_Row] = []
        self._build()
        self._propagate()

    def _build(self) -> None:
        """Edges sorted by level and target; the clock is a net of its own beyond the others."""
        netlist = self.netlist
        source: list[Ints] = []
        target: list[Ints] = []
        row: list[Ints] = []
        instance: list[Ints] = []
        for group in netlist.groups:
            for pin, arc in arcs(group.cell):
                starts = group.nets.get(arc.related, np.zeros(0, dtype=np.int64))
                if arc.kind != "combinational":
                    starts = np.full(len(group.names), netlist.nets)
                keep = np.flatnonzero((starts >= 0) & (group.nets[pin] >= 0))
                for before, after in _EDGES[arc.sense]:
                    delay = (arc.cell_rise, arc.cell_fall)[after]
                    slew = (arc.rise_transition, arc.fall_transition)[after]
                    begin = 2 * starts[keep] + before
                    if arc.kind != "combinational":
                        if before:
                            continue
                        begin = np.full(keep.size, self.clock)
                    if delay is None or slew is None:
                        continue
                    row.append(np.full(keep.size, len(self._rows)))
                    self._rows.append(
                        _Row(group, pin, self.tables.add(delay), self.tables.add(slew))
                    )
                    source.append(begin)
                    target.append(2 * group.nets[pin][keep] + after)
                    instance.append(keep)
        begin, end = join(source), join(target)
        level = levels(netlist, begin >> 1, end >> 1)
        order = np.lexsort((end, level[end >> 1]))
        self.source, self.target = begin[order], end[order]
        self.row, self.instance = join(row)[order], join(instance)[order]
        depths = level[self.target >> 1]
        self.bounds = np.searchsorted(depths, np.arange(1, depths.max(initial=0) + 2))

    def _propagate(self) -> None:
        netlist, conditions = self.netlist, self.conditions
        load = np.bincount(netlist.outputs, minlength=netlist.nets) * conditions.output_load_ff
        for group in netlist.groups:
            for name, pin in group.cell.pins.items():
                if pin.direction == "input":
                    nets = group.nets[name]
                    number = np.bincount(nets[nets >= 0], minlength=netlist.nets)
                    load = load + number * (pin.capacitance_ff or 0.0)
        self.load = load
        self.tables.close()
        self.arrival = np.full(2 * netlist.nets + 2, -np.inf)
        self.slew = np.zeros(2 * netlist.nets + 2)
        for edge in (0, 1):
            self.arrival[2 * netlist.inputs + edge] = 0.0
            self.slew[2 * netlist.inputs + edge] = conditions.input_transition_ns
        self.arrival[self.clock] = 0.0
        self.slew[self.clock] = conditions.clock_transition_ns
        delays = np.array([row.delay for row in self._rows], dtype=np.int64)
        slews = np.array([row.slew for row in self._rows], dtype=np.int64)
        self.delay = np.zeros(len(self.target))
        for low, high in pairwise(self.bounds):
            source, target, row = (
                array[low:high] for array in (self.source, self.target, self.row)
            )
            begin, charge = self.slew[source], load[target >> 1]
            self.delay[low:high] = self.tables.look_up(delays[row], begin, charge)
            late = self.arrival[source] + self.delay[low:high]
            slow = self.tables.look_up(slews[row], begin, charge)
            slow = np.where(np.isfinite(late), np.maximum(slow, 0.0), 0.0)
            first = np.flatnonzero(np.diff(target, prepend=-1))
            self.arrival[target[first]] = np.maximum.reduceat(late, first)
            self.slew[target[first]] = np.maximum.reduceat(slow, first)

    def run(self) -> Timing:
        """The latest of all ends."""
        best, node = -np.inf, -1
        end: End | None = None
        last: PathStep | None = None
        for edge in (0, 1):
            nodes = 2 * self.netlist.outputs + edge
            if nodes.size and (late := self.arrival[nodes].max()) > best:
                best, node, end = late, int(nodes[self.arrival[nodes].argmax()]), "output"
        for group, name, edge, table in self._checks():
            instances = np.flatnonzero(group.nets[name] >= 0)
            nodes = 2 * group.nets[name][instances] + edge
            clock = np.full(nodes.size, self.conditions.clock_transition_ns)
            tables = Tables()
            tables.add(table)
            tables.close()
            setup = tables.look_up(np.zeros(nodes.size, dtype=np.int64), clock, self.slew[nodes])
            late = self.arrival[nodes] + setup
            if nodes.size and late.max() > best:
                worst = int(late.argmax())
                best, node, end = late[worst], int(nodes[worst]), "register"
                last = PathStep(
                    instance=group.names[instances[worst]],
                    cell=group.type,
                    pin=name,
                    delay_ns=float(setup[worst]),
                )
        if not np.isfinite(best):
            return Timing(delay_ns=0.0, start=None, end=None, path=())
        start, path = self._back(node)
        return Timing(
            delay_ns=max(0.0, float(best)),
            start=start,
            end=end,
            path=(*path, last) if end == "register" and last else path,
        )

    def _checks(self) -> Iterator[tuple[Group, str, int, Table]]:
        wanted = ("setup_falling", "recovery_falling")
        if self.clock % 2 == 0:
            wanted = ("setup_rising", "recovery_rising")
        for group in self.netlist.groups:
            for name, pin in group.cell.pins.items():
                for check in pin.constraints if group.cell.storage else ():
                    for edge, table in enumerate((check.rise, check.fall)):
                        if check.kind in wanted and table is not None:
                            yield group, name, edge, table

    def _back(self, node: int) -> tuple[Start, tuple[PathStep, ...]]:
        """Where the latest arrival at ``node`` comes from, and the cells in between."""
        steps: list[PathStep] = []
        incoming = np.argsort(self.target, kind="stable")
        sorted_target = self.target[incoming]
        while True:
            low, high = np.searchsorted(sorted_target, (node, node + 1))
            if low == high or node == self.clock:
                break
            edges = incoming[low:high]
            edge = edges[(self.arrival[self.source[edges]] + self.delay[edges]).argmax()]
            row = self._rows[self.row[edge]]
            steps.append(
                PathStep(
                    instance=row.group.names[self.instance[edge]],
                    cell=row.group.type,
                    pin=row.pin,
                    delay_ns=float(self.delay[edge]),
                )
            )
            node = int(self.source[edge])
        return "register" if node == self.clock else "input", tuple(reversed(steps))


def _check_clocks(netlist: Netlist) -> int:
    """The edge of the clock, 0 rising or 1 falling; inputs must drive it at every register."""
    falling: dict[bool, str] = {}
    for group in netlist.groups:
        if not group.cell.storage:
            continue
        where = f"{netlist.top}: {group.names[0]} ({group.type})"
        pins = group.cell.pins
        clocks = clock_pins(group.cell)
        for name, pin in pins.items():
            kinds = {arc.kind for arc in pin.arcs if arc.kind != "combinational"}
            if pin.direction == "output" and not kinds:
                raise TimingError(f"{where}: pin {name}: has no clock-to-output delay")
            falling |= {kind == "falling_edge": where for kind in kinds}
            data = name in re.findall(r"\w+", group.cell.next_state or "")
            if data and pin.direction == "input" and not pin.constraints:
                raise TimingError(f"{where}: pin {name}: has no set-up time")
        for clock in clocks:
            strange = ~np.isin(group.nets[clock], netlist.inputs)
            if strange.any():
                name = group.names[int(strange.argmax())]
                raise TimingError(
                    f"{netlist.top}: {name} ({group.type}): clock pin {clock}: should be driven "
                    "by an input; a clock made by logic cannot be timed"
                )
    if len(falling) > 1:
        raise TimingError(
            f"{falling[False]} takes the rising edge of the clock, {falling[True]} the falling "
            "one; only one edge can be timed"
        )
    return int(any(falling))
