"""Liberty files as plain data: what area, timing and leakage of a cell need, in ns, fF and nW.

Groups of one arc that differ in ``when`` only become one arc, the worst of them entry by entry.
Kept of the arcs are the combinational ones and those from a clock edge, of the constraints set-up
and recovery. Left out: asynchronous clear and preset, three-state enables, hold, internal power
(see ``costmodel.liberty.power_tables``), wire loads, receiver models, noise, buses, and slew
derates (asap7, ihp-sg13g2 and sky130hd derate by 1: a transition is taken as the table says it).
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Sequence
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import numpy as np
from pydantic import Field, ValidationError

from costmodel.liberty.parser import Group, LibertyError, tree
from hwgen.base.cachedir import cache_dir
from hwgen.base.files import write_atomically
from hwgen.base.yamlfile import Strict

FORMAT = "hwgen.liberty/1"
"""Part of the cache key; to be raised with every change of what is read."""

TRANSITION, LOAD = "input_net_transition", "total_output_net_capacitance"
RELATED, CONSTRAINED = "related_pin_transition", "constrained_pin_transition"
_UNIT = re.compile(r"([\d.]+)\s*([a-zA-Z]+)")
_ARC = re.compile(r"combinational(_rise|_fall)?|(rising|falling)_edge")
_CONSTRAINT = re.compile(r"(setup|recovery)_(rising|falling)")
_ARC_TABLES = ("cell_rise", "cell_fall", "rise_transition", "fall_transition")
_CONSTRAINT_TABLES = ("rise_constraint", "fall_constraint")
_SCALES = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "": 1.0}


class Table(Strict):
    """Values over two axes: between them bilinear, beyond them the last slope goes on."""

    first: Annotated[tuple[float, ...], Field(description="input or clock transition, ns; rising")]
    second: Annotated[
        tuple[float, ...], Field(description="load, fF, or transition of the data pin, ns; rising")
    ]
    values: Annotated[tuple[tuple[float, ...], ...], Field(description="ns, a row per ``first``")]


class Arc(Strict):
    """Delay from one input to the output pin that holds it; None: no such edge."""

    related: Annotated[str, Field(description="input pin")]
    sense: Literal["positive_unate", "negative_unate", "non_unate"]
    kind: Annotated[str, Field(description="timing_type, such as combinational or rising_edge")]
    cell_rise: Table | None
    cell_fall: Table | None
    rise_transition: Table | None
    fall_transition: Table | None


class Constraint(Strict):
    """Set-up or recovery of the input pin that holds it before a clock edge; None: no such edge."""

    related: Annotated[str, Field(description="clock pin")]
    kind: Annotated[str, Field(description="timing_type, such as setup_rising")]
    rise: Table | None
    fall: Table | None


class Pin(Strict):
    """One signal pin of a cell."""

    direction: Literal["input", "output", "inout", "internal"]
    capacitance_ff: Annotated[
        float | None, Field(description="mean of rise and fall if both are given")
    ]
    function: Annotated[str | None, Field(description="text as in the file")]
    three_state: Annotated[bool, Field(description="the output can be let go")]
    max_capacitance_ff: float | None
    arcs: tuple[Arc, ...]
    constraints: tuple[Constraint, ...]


class Cell(Strict):
    """One cell."""

    area: Annotated[float, Field(ge=0, description="in the unit of the file")]
    leakage_nw: Annotated[
        float | None, Field(description="cell_leakage_power, or mean of the states; None: unknown")
    ]
    storage: Annotated[
        Literal["ff", "latch", "other"] | None, Field(description="None: combinational")
    ]
    clocked_on: str | None
    next_state: str | None
    dont_use: bool
    pins: dict[str, Pin]


Kind = TypeVar("Kind", Arc, Constraint)


class Library(Strict):
    """The cells of one technology."""

    name: Annotated[str, Field(description="of its files, in order, joined by +")]
    voltage_v: float
    cells: dict[str, Cell]

    def cell(self, name: str) -> Cell:
        """The cell; LibertyError if there is none."""
        if name not in self.cells:
            raise LibertyError(f"{self.name}: cell {name}: is in none of the Liberty files")
        return self.cells[name]


def read_liberty(paths: Sequence[Path]) -> Library:
    """Read and merge the Liberty files of one technology, plain or ``.gz``, from cache if possible.

    Raises LibertyError for a file that cannot be read, a fault in one, and a cell in two of them.
    """
    parts = [(path, read_packed(path)) for path in paths]
    digest = hashlib.sha256(FORMAT.encode())
    for path, content in parts:
        digest.update(path.name.encode() + hashlib.sha256(content).digest())
    cached = cache_dir() / "liberty" / f"{digest.hexdigest()[:32]}.json"
    try:
        return Library.model_validate_json(cached.read_bytes())
    except (OSError, ValidationError):
        pass
    libraries = [parse(content.decode("utf-8", "replace"), path.name) for path, content in parts]
    cells: dict[str, Cell] = {}
    for library, path in zip(libraries, paths, strict=True):
        if twice := sorted(cells.keys() & library.cells.keys()):
            raise LibertyError(f"{path.name}: cell {twice[0]}: is in another of the files, too")
        cells |= library.cells
    merged = Library(
        name="+".join(library.name for library in libraries),
        voltage_v=libraries[0].voltage_v,
        cells=cells,
    )
    write_atomically({cached: merged.model_dump_json()})
    return merged


def read_packed(path: Path) -> bytes:
    """Contents of a file, unpacked if it ends in ``.gz``; LibertyError if it cannot be read."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or error
        raise LibertyError(f"{path}: cannot be read: {reason}") from None


def parse(text: str, file: str) -> Library:
    """Library of one Liberty text; ``file`` names it in errors."""
    top = tree(text, file)
    if top.kind != "library":
        raise LibertyError(f"{file}: should hold one library group, not {top.kind!r}")
    return _Reader(top, file).library()


class _Reader:
    """Turns the tree of one file into data, with units and templates at hand."""

    def __init__(self, top: Group, file: str):
        self.top, self.where = top, file
        self.ns = self._unit(top.attributes.get("time_unit"), "time_unit", "s", 1e-9)
        load = " ".join(top.lists.get("capacitive_load_unit", []))
        self.ff = self._unit(load or None, "capacitive_load_unit", "f", 1e-15)
        leakage = top.attributes.get("leakage_power_unit")
        self.nw = None if leakage is None else self._unit(leakage, "leakage_power_unit", "w", 1e-9)
        self.templates = {group.arguments[0]: group for group in top.all("lu_table_template")}

    def library(self) -> Library:
        file, cells = self.where, {}
        for group in self.top.all("cell"):
            self.where = f"{file}: cell {group.arguments[0]}"
            cells[group.arguments[0]] = self._cell(group)
        self.where = file
        voltage = self._number(self.top, "nom_voltage")
        return Library(name=self.top.arguments[0], voltage_v=voltage, cells=cells)

    def _unit(self, text: str | None, attribute: str, base: str, to: float) -> float:
        return unit(text, f"{self.where}: {attribute}", base, to)

    def _number(self, group: Group, attribute: str) -> float:
        value = self._optional(group, attribute)
        if value is None:
            raise LibertyError(f"{self.where}: {attribute}: is missing")
        return value

    def _optional(self, group: Group, attribute: str) -> float | None:
        text = group.attributes.get(attribute)
        try:
            return None if text is None else float(text)
        except ValueError:
            raise LibertyError(
                f"{self.where}: {attribute}: should be a number, not {text!r}"
            ) from None

    def _cell(self, group: Group) -> Cell:
        kinds = {inner.kind for inner in group.groups}
        if unknown := sorted(kinds & {"bus", "bundle", "ff_bank", "latch_bank"}):
            raise LibertyError(f"{self.where}: {unknown[0]}: is not supported")
        storage: Literal["ff", "latch", "other"] | None = None
        if "ff" in kinds:
            storage = "ff"
        elif kinds & {"latch", "statetable"}:
            storage = "latch" if "latch" in kinds else "other"
        state = next(group.all("ff"), Group("ff", []))
        return Cell(
            area=self._number(group, "area"),
            leakage_nw=self._leakage(group),
            storage=storage,
            clocked_on=state.attributes.get("clocked_on"),
            next_state=state.attributes.get("next_state"),
            dont_use=group.attributes.get("dont_use") == "true",
            pins={name: self._pin(pin, name) for pin in group.all("pin") for name in pin.arguments},
        )

    def _leakage(self, group: Group) -> float | None:
        """Of each supply its unconditional value, else the mean of its states; their sum."""
        if self.nw is None:
            return None
        if (stated := self._optional(group, "cell_leakage_power")) is not None:
            return stated * self.nw
        supplies: dict[str, dict[bool, list[float]]] = {}
        for state in group.all("leakage_power"):
            supply = supplies.setdefault(state.attributes.get("related_pg_pin", ""), {})
            supply.setdefault("when" in state.attributes, []).append(self._number(state, "value"))
        means = [values.get(False) or values[True] for values in supplies.values()]
        return sum(sum(mean) / len(mean) for mean in means) * self.nw if means else None

    def _pin(self, group: Group, name: str) -> Pin:
        cell, self.where = self.where, f"{self.where}: pin {name}"
        direction = group.attributes.get("direction")
        if direction not in ("input", "output", "inout", "internal"):
            raise LibertyError(f"{self.where}: direction: should be input or output: {direction!r}")
        edges = [self._optional(group, f"{edge}_capacitance") for edge in ("rise", "fall")]
        known = [edge for edge in edges if edge is not None]
        load = sum(known) / 2 if len(known) == 2 else self._optional(group, "capacitance")
        limit = self._optional(group, "max_capacitance")
        arcs: dict[tuple[str, ...], Arc] = {}
        constraints: dict[tuple[str, ...], Constraint] = {}
        for timing in group.all("timing"):
            self._timing(timing, arcs, constraints)
        self.where = cell
        return Pin(
            direction=direction,  # type: ignore[arg-type]  # Checked above.
            capacitance_ff=None if load is None else load * self.ff,
            function=group.attributes.get("function"),
            three_state="three_state" in group.attributes,
            max_capacitance_ff=None if limit is None else limit * self.ff,
            arcs=tuple(arcs.values()),
            constraints=tuple(constraints.values()),
        )

    def _timing(
        self,
        group: Group,
        arcs: dict[tuple[str, ...], Arc],
        constraints: dict[tuple[str, ...], Constraint],
    ) -> None:
        kind = group.attributes.get("timing_type", "combinational")
        is_arc, is_constraint = _ARC.fullmatch(kind), _CONSTRAINT.fullmatch(kind)
        if not is_arc and not is_constraint:
            return
        kind = "combinational" if kind.startswith("combinational") else kind
        related = group.attributes.get("related_pin", "").split()
        if not related:
            raise LibertyError(f"{self.where}: related_pin: is missing")
        names = _CONSTRAINT_TABLES if is_constraint else _ARC_TABLES
        axes = (RELATED, CONSTRAINED) if is_constraint else (TRANSITION, LOAD)
        tables = {name: self._table(group, name, *axes) for name in names}
        if not is_constraint:
            for edge in ("rise", "fall"):
                if (tables[f"cell_{edge}"] is None) != (tables[f"{edge}_transition"] is None):
                    raise LibertyError(
                        f"{self.where}: {related[0]}: has one of cell_{edge} and "
                        f"{edge}_transition; it takes both"
                    )
        if all(table is None for table in tables.values()):
            raise LibertyError(f"{self.where}: {related[0]}: {kind} without a table")
        sense = group.attributes.get("timing_sense", "non_unate")
        shape = str([table and (table.first, table.second) for table in tables.values()])
        for pin in related:
            if is_constraint:
                fresh = Constraint(
                    related=pin,
                    kind=kind,
                    rise=tables["rise_constraint"],
                    fall=tables["fall_constraint"],
                )
                key = (pin, kind, shape)
                constraints[key] = _worst(constraints[key], fresh) if key in constraints else fresh
            else:
                arc = Arc.model_validate({"related": pin, "sense": sense, "kind": kind, **tables})
                place = (pin, kind, sense, shape)
                arcs[place] = _worst(arcs[place], arc) if place in arcs else arc

    def _table(self, group: Group, name: str, first: str, second: str) -> Table | None:
        """The table ``name`` with axes ``first`` and ``second``, whatever their order in the file.

        An axis that the file does not have becomes one point.
        """
        found = next(group.all(name), None)
        if found is None:
            return None
        where = f"{self.where}: {name}"
        if "values" not in found.lists:
            raise LibertyError(f"{where}: values: are missing")
        order: list[str] = []
        axes: dict[str, tuple[float, ...]] = {}
        if found.arguments and found.arguments[0] != "scalar":
            template = self.templates.get(found.arguments[0])
            if template is None:
                raise LibertyError(f"{where}: {found.arguments[0]}: no such lu_table_template")
            while variable := template.attributes.get(f"variable_{len(order) + 1}"):
                order.append(variable)
                index = f"index_{len(order)}"
                points = found.lists.get(index) or template.lists.get(index)
                if variable not in (first, second) or not points:
                    raise LibertyError(f"{where}: {variable}: should be {first} or {second}")
                scale = self.ff if variable == LOAD else self.ns
                axes[variable] = numbers(points, scale, where)
                if any(a >= b for a, b in pairwise(axes[variable])):
                    raise LibertyError(f"{where}: {index}: should rise")
        values = np.array(numbers(found.lists["values"], self.ns, where))
        shape = [len(axes[variable]) for variable in order]
        if values.size != prod(shape):
            raise LibertyError(f"{where}: should hold {prod(shape)} values, not {values.size}")
        values = values.reshape(shape)
        if order == [second, first]:
            values = values.T
        values = values.reshape(len(axes.get(first, (0,))), len(axes.get(second, (0,))))
        return Table(
            first=axes.get(first, (0.0,)),
            second=axes.get(second, (0.0,)),
            values=tuple(map(tuple, values.tolist())),
        )


def unit(text: str | None, where: str, base: str, to: float) -> float:
    """A unit such as ``1ps`` (base s) as a multiple of ``to``; LibertyError for anything else."""
    found = _UNIT.fullmatch(text or "")
    scale = _SCALES.get(found[2].lower().removesuffix(base)) if found else None
    if found is None or scale is None:
        raise LibertyError(f"{where}: should be a unit, not {text!r}")
    return round(float(found[1]) * scale / to, 12)


def numbers(texts: list[str], scale: float, where: str) -> tuple[float, ...]:
    """Scaled numbers of a list of a Liberty file; LibertyError for what is none."""
    try:
        words = " ".join(texts).replace(",", " ").replace("\\", " ").split()
        return tuple(round(float(word) * scale, 12) for word in words)
    except ValueError as error:
        raise LibertyError(f"{where}: {error}") from None


def _worst(one: Kind, other: Kind) -> Kind:
    """Entry by entry the larger one of all tables; both have the same axes."""
    changes: dict[str, Table] = {}
    for name in type(one).model_fields:
        ours, theirs = getattr(one, name), getattr(other, name)
        if isinstance(ours, Table):
            values = np.maximum(ours.values, theirs.values).tolist()
            changes[name] = ours.model_copy(update={"values": tuple(map(tuple, values))})
    return one.model_copy(update=changes)
