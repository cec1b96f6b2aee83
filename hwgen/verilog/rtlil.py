"""RTLIL as Amaranth writes it: read, and tidied for people.

Only what Amaranth's back end emits is understood; anything else raises.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


class RtlilError(Exception):
    """The text holds something that this reader does not know; nothing is ever dropped."""


@dataclass(frozen=True)
class Chunk:
    """``width`` bits of a wire from bit ``low`` up; or constant ``bits``, highest first."""

    wire: str | None
    low: int
    width: int
    bits: str = ""

    def part(self, low: int, width: int) -> Chunk:
        if self.wire is None:
            end = self.width - low
            return Chunk(None, 0, width, self.bits[end - width : end])
        return Chunk(self.wire, self.low + low, width)


Sig = tuple[Chunk, ...]
"""A value: chunks, least significant first."""


def sig_width(sig: Sig) -> int:
    return sum(chunk.width for chunk in sig)


def sig_part(sig: Sig, low: int, width: int) -> Sig:
    """``width`` bits of ``sig`` from bit ``low`` up."""
    parts, at = [], 0
    for chunk in sig:
        start, end = max(low, at), min(low + width, at + chunk.width)
        if start < end:
            parts.append(chunk.part(start - at, end - start))
        at += chunk.width
    return join(parts)


def join(chunks: list[Chunk]) -> Sig:
    """Chunks with neighbours merged."""
    merged: list[Chunk] = []
    for chunk in chunks:
        last = merged[-1] if merged else None
        if last is not None and last.wire is None and chunk.wire is None:
            merged[-1] = Chunk(None, 0, last.width + chunk.width, chunk.bits + last.bits)
        elif (
            last is not None
            and last.wire is not None
            and last.wire == chunk.wire
            and last.low + last.width == chunk.low
        ):
            merged[-1] = Chunk(last.wire, last.low, last.width + chunk.width)
        else:
            merged.append(chunk)
    return tuple(merged)


@dataclass
class Wire:
    name: str
    width: int
    direction: str | None = None


@dataclass
class Cell:
    """``outputs`` names the ports that drive wires; ``unused_low`` low bits of Y are not kept."""

    kind: str
    name: str
    parameters: dict[str, int] = field(default_factory=dict)
    ports: dict[str, Sig] = field(default_factory=dict)
    unused_low: int = 0

    @property
    def is_instance(self) -> bool:
        return not self.kind.startswith("$")


@dataclass
class Assign:
    target: Sig
    value: Sig


@dataclass
class Switch:
    selector: Sig
    cases: list[tuple[list[str], list[Statement]]] = field(default_factory=list)
    """Patterns (none: the default) and what happens then."""


Statement = Assign | Switch


@dataclass
class Module:
    name: str
    wires: dict[str, Wire] = field(default_factory=dict)
    cells: list[Cell] = field(default_factory=list)
    processes: list[list[Statement]] = field(default_factory=list)
    connects: list[Assign] = field(default_factory=list)


OUTPUTS = {"$dff": "Q"}
TRUNCATES = {"$add", "$sub", "$neg", "$mul"}
BITWISE = {"$and", "$or", "$xor", "$not", "$mux"}

_WIRE = re.compile(r"wire width (\d+)(?: (input|output) \d+)?\s+(?:signed )?(\S+)$")
_TOKEN = re.compile(r"[{}]|\[\d+(?::\d+)?\]|\S+")


def parse(text: str) -> Module:
    """The one module in ``text``."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("attribute")]
    module: Module | None = None
    position = 0

    def sig(tokens: list[str]) -> Sig:
        chunks: list[Chunk] = []
        for token in tokens:
            if token in "{}":
                continue
            if token.startswith("["):
                high, _, low = token[1:-1].partition(":")
                base = chunks.pop()
                bottom = int(low or high)
                chunks.append(base.part(bottom, int(high) - bottom + 1))
            elif token[0] in "\\$":
                assert module is not None
                name = token.removeprefix("\\")
                chunks.append(Chunk(name, 0, module.wires[name].width))
            elif match := re.fullmatch(r"(\d+)'([01]*)", token):
                if int(match[1]):
                    chunks.append(Chunk(None, 0, int(match[1]), match[2]))
            else:
                raise RtlilError(f"unknown value {token!r}")
        return join(chunks[::-1])

    def two(line: str) -> tuple[Sig, Sig]:
        """The two values after a keyword."""
        tokens = _TOKEN.findall(line)[1:]
        depth = 0
        for i, token in enumerate(tokens):
            depth += (token == "{") - (token == "}")
            after = tokens[i + 1] if i + 1 < len(tokens) else ""
            if depth == 0 and not after.startswith("["):
                return sig(tokens[: i + 1]), sig(tokens[i + 1 :])
        raise RtlilError(f"cannot read {line!r}")

    def statements() -> list[Statement]:
        nonlocal position
        found: list[Statement] = []
        while True:
            line = lines[position]
            if line.startswith("assign "):
                found.append(Assign(*two(line)))
                position += 1
            elif line.startswith("switch "):
                switch = Switch(sig(_TOKEN.findall(line)[1:]))
                position += 1
                while lines[position].split()[0] == "case":
                    patterns = [
                        pattern.strip().split("'")[1]
                        for pattern in lines[position][4:].split(",")
                        if pattern.strip()
                    ]
                    position += 1
                    switch.cases.append((patterns, statements()))
                if lines[position] != "end":
                    raise RtlilError(f"unknown statement {lines[position]!r}")
                position += 1
                found.append(switch)
            elif line == "end" or line.split()[0] == "case":
                return found
            else:
                raise RtlilError(f"unknown statement {line!r}")

    while position < len(lines):
        line = lines[position]
        word = line.split()[0]
        position += 1
        if word == "module":
            if module is not None:
                raise RtlilError("more than one module in the text")
            module = Module(line.split()[1].removeprefix("\\"))
        elif module is None:
            raise RtlilError(f"unknown statement {line!r}")
        elif word == "wire":
            match = _WIRE.fullmatch(line)
            if match is None:
                raise RtlilError(f"unknown wire {line!r}")
            name = match[3].removeprefix("\\")
            module.wires[name] = Wire(name, int(match[1]), match[2])
        elif word == "cell":
            _, kind, name = line.split()
            cell = Cell(kind.removeprefix("\\"), name.removeprefix("\\"))
            while lines[position] != "end":
                key, port, *_ = lines[position].split()
                port = port.removeprefix("\\")
                if key == "parameter":
                    cell.parameters[port] = int(lines[position].split()[2])
                elif key == "connect":
                    cell.ports[port] = sig(_TOKEN.findall(lines[position])[2:])
                else:
                    raise RtlilError(f"unknown statement {lines[position]!r}")
                position += 1
            position += 1
            module.cells.append(cell)
        elif word == "process":
            module.processes.append(statements())
            position += 1
        elif word == "connect":
            module.connects.append(Assign(*two(line)))
        elif word != "end":
            raise RtlilError(f"unknown statement {line!r}")
    if module is None:
        raise RtlilError("no module in the text")
    return module


class Tidy:
    """Makes a module readable without changing what it computes.

    Aliases that nothing reads go; a result gets the name of the signal that stands for it;
    adders lose the result bits nobody reads (low ones are marked, high ones cut off).
    """

    def __init__(self, module: Module, instance_outputs: dict[str, frozenset[str]]) -> None:
        self.module = module
        self.instance_outputs = instance_outputs
        self._drop_aliases()
        while self._drop_dead() or self._narrow():
            pass
        self._name_results()
        self._name_instance_wires()

    def outputs(self, cell: Cell) -> list[str]:
        """The ports of a cell that drive wires."""
        if cell.is_instance:
            return [port for port in cell.ports if port in self.instance_outputs[cell.kind]]
        return [OUTPUTS.get(cell.kind, "Y")]

    def reads(self) -> Iterator[Sig]:
        """Every value that something reads."""
        for cell in self.module.cells:
            drives = self.outputs(cell)
            yield from (sig for port, sig in cell.ports.items() if port not in drives)
        for process in self.module.processes:
            yield from _process_reads(process)
        yield from (connect.value for connect in self.module.connects)

    def _read_masks(self) -> dict[str, int]:
        masks: dict[str, int] = defaultdict(int)
        for sig in self.reads():
            for chunk in sig:
                if chunk.wire is not None:
                    masks[chunk.wire] |= ((1 << chunk.width) - 1) << chunk.low
        for wire in self.module.wires.values():
            if wire.direction == "output":
                masks[wire.name] |= (1 << wire.width) - 1
        return masks

    def _drop_aliases(self) -> None:
        """Set aside connections that only give names; keep those that drive something read."""
        connects, self.module.connects = self.module.connects, []
        masks = self._read_masks()
        self.aliases: list[Assign] = []
        for connect in connects:
            kept = any(chunk.wire is not None and masks[chunk.wire] for chunk in connect.target)
            (self.module.connects if kept else self.aliases).append(connect)

    def _drop_dead(self) -> bool:
        masks = self._read_masks()

        def alive(sig: Sig) -> bool:
            return any(chunk.wire is not None and masks[chunk.wire] for chunk in sig)

        cells = [
            cell
            for cell in self.module.cells
            if cell.is_instance or any(alive(cell.ports[port]) for port in self.outputs(cell))
        ]
        processes = [
            process
            for process in self.module.processes
            if any(alive(target) for target in _process_targets(process))
        ]
        changed = len(cells) < len(self.module.cells)
        changed |= len(processes) < len(self.module.processes)
        self.module.cells, self.module.processes = cells, processes
        return changed

    def _narrow(self) -> bool:
        """Cut result bits that nobody reads; True if that changed anything."""
        masks = self._read_masks()
        changed = False
        for cell in self.module.cells:
            if cell.kind not in TRUNCATES | BITWISE:
                continue
            (result,) = cell.ports["Y"]
            assert result.wire is not None
            wire = self.module.wires[result.wire]
            mask = masks[wire.name] >> result.low
            if wire.direction or result.width != wire.width or not mask:
                continue
            high, low = mask.bit_length(), (mask & -mask).bit_length() - 1
            if (low, high) == (0, wire.width):
                continue
            width = cell.parameters.get("Y_WIDTH", cell.parameters.get("WIDTH", 0))
            arithmetic = cell.kind in TRUNCATES
            for port in "AB":
                if port in cell.ports:
                    signed = bool(cell.parameters.get(f"{port}_SIGNED"))
                    operand = cell.ports[port]
                    if arithmetic:
                        operand = sig_part(operand, 0, high + cell.unused_low)
                    else:
                        operand = sig_part(extend(operand, width, signed), low, high - low)
                    cell.ports[port] = operand
            if arithmetic:
                cell.parameters["Y_WIDTH"] = high + cell.unused_low
                cell.unused_low += low
            else:
                cell.parameters["WIDTH" if cell.kind == "$mux" else "Y_WIDTH"] = high - low
            wire.width = high - low
            self._map_chunks(_shift_out(wire.name, low, wire.width))
            changed = True
        return changed

    def _name_results(self) -> None:
        """Give results the names of the ports or signals that stand for the whole of them."""
        wires = self.module.wires
        driven = {
            chunk.wire
            for cell in self.module.cells
            if not cell.is_instance
            for chunk in cell.ports[self.outputs(cell)[0]]
        } | {c.wire for p in self.module.processes for t in _process_targets(p) for c in t}
        instance_ports = {
            port for cell in self.module.cells if cell.is_instance for port in cell.ports
        }

        def rank(name: str) -> tuple[bool, bool, bool]:
            """Ports first; then names that nobody made up and that are not of a child's port."""
            base, _, number = name.partition("$")
            return wires[name].direction is None, bool(number) or not base, base in instance_ports

        candidates: dict[str, list[str]] = {}
        for connect in [*self.module.connects, *self.aliases]:
            if len(connect.target) != 1 or len(connect.value) != 1:
                continue
            (target,), (value,) = connect.target, connect.value
            if target.wire is None or value.wire is None or value.wire not in driven:
                continue
            source, alias = wires[value.wire], wires[target.wire]
            whole = source.width == value.width == target.width == alias.width
            if whole and source.direction is None:
                candidates.setdefault(source.name, []).append(alias.name)
        named = {old: min([*names, old], key=rank) for old, names in candidates.items()}
        named = {old: new for old, new in named.items() if old != new}
        merged = [
            connect
            for connect in self.module.connects
            if any(
                chunk.wire in named and named[chunk.wire] == target.wire
                for chunk in connect.value
                for target in connect.target
                if chunk.wire is not None
            )
        ]
        self.module.connects = [c for c in self.module.connects if c not in merged]
        for old, new in named.items():
            wires[new].width = wires[old].width
            del wires[old]
        self._map_chunks(
            lambda chunk: (
                Chunk(named[chunk.wire], chunk.low, chunk.width)
                if chunk.wire is not None and chunk.wire in named
                else chunk
            )
        )

    def _name_instance_wires(self) -> None:
        """Call what an instance drives after the instance and its port."""
        renamed: dict[str, str] = {}
        for cell in self.module.cells:
            if cell.is_instance:
                for port in self.outputs(cell):
                    (chunk,) = cell.ports[port]
                    assert chunk.wire is not None
                    if self.module.wires[chunk.wire].direction is None:
                        renamed[chunk.wire] = f"{cell.name}_{port}"
        wires = self.module.wires
        taken = set(wires) - set(renamed)
        if clash := taken & set(renamed.values()) & set(self._read_masks()):
            raise RtlilError(f"names clash: {sorted(clash)}")
        widths = {new: wires.pop(old).width for old, new in renamed.items()}
        wires.update({name: Wire(name, width) for name, width in widths.items()})
        self._map_chunks(
            lambda chunk: (
                Chunk(renamed[chunk.wire], chunk.low, chunk.width)
                if chunk.wire is not None and chunk.wire in renamed
                else chunk
            )
        )

    def _map_chunks(self, change: Callable[[Chunk], Chunk | None]) -> None:
        """Replace every chunk of the module."""

        def sig(old: Sig) -> Sig:
            return join([new for chunk in old if (new := change(chunk)) is not None])

        def statements(old: list[Statement]) -> None:
            for statement in old:
                if isinstance(statement, Assign):
                    statement.target, statement.value = sig(statement.target), sig(statement.value)
                else:
                    statement.selector = sig(statement.selector)
                    for _, body in statement.cases:
                        statements(body)

        for cell in self.module.cells:
            cell.ports = {port: sig(value) for port, value in cell.ports.items()}
        for process in self.module.processes:
            statements(process)
        statements(list(self.module.connects))
        statements(list(self.aliases))

    def references(self) -> Counter[str]:
        """How often each wire is named where it is read."""
        return Counter(c.wire for sig in self.reads() for c in sig if c.wire is not None)


def _shift_out(wire: str, low: int, width: int) -> Callable[[Chunk], Chunk | None]:
    """Renumber the bits of a wire that lost those below ``low`` and above ``low + width``."""

    def change(chunk: Chunk) -> Chunk | None:
        if chunk.wire != wire:
            return chunk
        start = max(chunk.low - low, 0)
        end = min(chunk.low + chunk.width - low, width)
        return Chunk(wire, start, end - start) if start < end else None

    return change


def extend(sig: Sig, width: int, signed: bool) -> Sig:
    """``sig`` as exactly ``width`` bits."""
    have = sig_width(sig)
    if have >= width:
        return sig_part(sig, 0, width)
    if not signed or not sig:
        return join([*sig, Chunk(None, 0, width - have, "0" * (width - have))])
    (top,) = sig_part(sig, have - 1, 1)
    if top.wire is None:
        return join([*sig, *(top,) * (width - have)])
    return (*sig, *(top,) * (width - have))


def _process_reads(statements: list[Statement]) -> Iterator[Sig]:
    for statement in statements:
        if isinstance(statement, Assign):
            yield statement.value
        else:
            yield statement.selector
            for _, body in statement.cases:
                yield from _process_reads(body)


def _process_targets(statements: list[Statement]) -> Iterator[Sig]:
    for statement in statements:
        if isinstance(statement, Assign):
            yield statement.target
        else:
            for _, body in statement.cases:
                yield from _process_targets(body)
