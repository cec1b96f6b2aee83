"""Mapped, flat netlists as arrays: read from what Yosys writes, and ordered by logic level."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from costmodel.liberty.library import Arc, Cell, Library
from hwgen.base.errors import HwgenError

Ints = NDArray[np.int64]


class TimingError(HwgenError):
    """A netlist cannot be timed; the message names top, instance and cell."""


class Group(NamedTuple):
    """The instances of one cell type."""

    type: str
    cell: Cell
    names: list[str]
    nets: Mapping[str, Ints]
    """Pin to net of each instance, -1: constant 0 or unconnected, -2: constant 1."""


@dataclass(frozen=True)
class Netlist:
    """A flat netlist: nets are numbered from 0; ``bits`` are their numbers in the JSON."""

    top: str
    nets: int
    inputs: Ints
    outputs: Ints
    groups: Sequence[Group]
    bits: Sequence[int] = ()


def read_netlist(text: str, top: str, library: Library) -> Netlist:
    """Netlist of module ``top`` in the JSON that ``write_json`` of Yosys makes.

    Reads one cell after the other, so that a million of them fit into memory. Constants and what
    nothing drives never switch, so that nothing starts there.
    Raises TimingError for a missing or hierarchical module and for an unusable cell, LibertyError
    for a cell that is not in ``library``.
    """
    nets: dict[int, int] = {}

    def number(bits: list[Any]) -> list[int]:
        return [
            nets.setdefault(bit, len(nets)) if isinstance(bit, int) else (-2 if bit == "1" else -1)
            for bit in bits
        ]

    decoder = json.JSONDecoder()
    at = text.find(f"\n    {json.dumps(top)}: {{")
    if at < 0:
        raise TimingError(f"{top}: is no module of the netlist")
    ports_at = text.index('"ports":', at) + len('"ports":')
    ports, at = decoder.raw_decode(text, ports_at + 1)
    inputs: list[int] = []
    outputs: list[int] = []
    for port in ports.values():
        (inputs if port["direction"] == "input" else outputs).extend(number(port["bits"]))
    names: dict[str, list[str]] = {}
    bits: dict[str, list[list[int]]] = {}
    pins: dict[str, list[str]] = {}
    for name, body in _cells(text, text.index('"cells":', at) + len('"cells":'), decoder):
        kind = body["type"]
        if kind not in names:
            pins[kind] = list(_usable(library.cell(kind), f"{top}: {name} ({kind})").pins)
            names[kind], bits[kind] = [], []
        connections = body["connections"]
        names[kind].append(name)
        bits[kind].append(number([(connections.get(pin) or ["x"])[0] for pin in pins[kind]]))
    groups = []
    for kind in sorted(names):
        table = np.array(bits.pop(kind), dtype=np.int64).reshape(len(names[kind]), -1)
        columns = {pin: table[:, column] for column, pin in enumerate(pins[kind])}
        groups.append(Group(kind, library.cell(kind), names[kind], columns))
    return Netlist(
        top,
        len(nets),
        np.array([net for net in inputs if net >= 0], dtype=np.int64),
        np.array([net for net in outputs if net >= 0], dtype=np.int64),
        groups,
        list(nets),
    )


def _cells(
    text: str, at: int, decoder: json.JSONDecoder
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and body of each member of the JSON object at ``at``, one at a time."""
    at = text.index("{", at) + 1
    while True:
        while text[at] in " \n\r\t,":
            at += 1
        if text[at] == "}":
            return
        name, at = decoder.raw_decode(text, at)
        body, at = decoder.raw_decode(text, text.index("{", at))
        yield name, body


def _usable(cell: Cell, where: str) -> Cell:
    if cell.storage not in (None, "ff"):
        raise TimingError(f"{where}: a latch or clock gate cannot be timed; use flip-flops")
    for name, pin in cell.pins.items():
        if pin.three_state:
            raise TimingError(f"{where}: pin {name}: a three-state output cannot be timed")
        if pin.direction == "input" and pin.capacitance_ff is None:
            raise TimingError(f"{where}: pin {name}: has no capacitance in the Liberty file")
        logic = any(other.direction == "input" for other in cell.pins.values())
        if pin.direction == "output" and not pin.arcs and logic and cell.storage is None:
            raise TimingError(f"{where}: pin {name}: has no timing arc in the Liberty file")
    return cell


def depth(netlist: Netlist) -> int:
    """Cells on the longest path between registers, inputs and outputs; flip-flops do not count.

    Raises TimingError for a combinational loop.
    """
    source, target = [], []
    ends = [netlist.outputs]
    for group in netlist.groups:
        if group.cell.storage:
            clocks = clock_pins(group.cell)
            ends += [net for pin, net in group.nets.items() if pin not in clocks]
            continue
        for pin, arc in arcs(group.cell):
            source.append(group.nets[arc.related])
            target.append(group.nets[pin])
    begin, end = join(source), join(target)
    real = (begin >= 0) & (end >= 0)
    level = levels(netlist, begin[real], end[real])
    reached = join(ends)
    reached = reached[reached >= 0]
    return int(level[reached].max()) if reached.size else 0


def levels(netlist: Netlist, source: Ints, target: Ints) -> Ints:
    """Longest path to each net in edges, by topological order; TimingError for a loop."""
    nets = netlist.nets + 1
    waiting = np.bincount(target, minlength=nets)
    ordered = target[np.argsort(source, kind="stable")]
    place = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=nets))])
    level = np.zeros(nets, dtype=np.int64)
    front, step = np.flatnonzero(waiting == 0), 0
    while front.size:
        number = place[front + 1] - place[front]
        skipped = np.cumsum(number) - number
        leaving = np.repeat(place[front] - skipped, number) + np.arange(number.sum())
        hit, times = np.unique(ordered[leaving], return_counts=True)
        waiting[hit] -= times
        front, step = hit[waiting[hit] == 0], step + 1
        level[front] = step
    if waiting.any():
        stuck = waiting > 0
        inside = np.flatnonzero(stuck[source] & stuck[target])
        before = dict(zip(target[inside].tolist(), source[inside].tolist(), strict=True))
        net, seen = next(iter(before)), set[int]()
        while net not in seen:
            seen.add(net)
            net = before[net]
        raise TimingError(f"{netlist.top}: {_driver(netlist, net)}: is in a combinational loop")
    return level


def _driver(netlist: Netlist, net: int) -> str:
    for group in netlist.groups:
        for name, pin in group.cell.pins.items():
            if (
                pin.direction == "output"
                and (found := np.flatnonzero(group.nets[name] == net)).size
            ):
                return f"{group.names[found[0]]} ({group.type})"
    raise AssertionError("a net in a loop has a driver")


def arcs(cell: Cell) -> Iterator[tuple[str, Arc]]:
    """Arcs with their output pins; of a register those from the clock."""
    for name, pin in cell.pins.items():
        yield from (
            (name, arc) for arc in pin.arcs if (arc.kind != "combinational") == bool(cell.storage)
        )


def clock_pins(cell: Cell) -> set[str]:
    return cell.pins.keys() & re.findall(r"\w+", cell.clocked_on or "")


def join(arrays: Sequence[Ints]) -> Ints:
    return np.concatenate([*arrays, np.zeros(0, dtype=np.int64)])
