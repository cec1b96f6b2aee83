"""RTLIL as Amaranth writes it, read.

Only what Amaranth's back end emits is understood; anything else raises.
"""

from __future__ import annotations

import re
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


_WIRE = re.compile(r"wire width (\d+)(?: (input|output) \d+)?\s+(?:signed )?(\S+)$")
_TOKEN = re.compile(r"[{}]|\[\d+(?::\d+)?\]|\S+")


def parse(text: str) -> Module:
    """The one module in ``text``."""
    return _Parser(text).module()


class _Parser:
    """Reads the lines of one module from the first to the last."""

    def __init__(self, text: str) -> None:
        lines = (line.strip() for line in text.splitlines())
        self.lines = [line for line in lines if line and not line.startswith("attribute")]
        self.position = 0
        self.found: Module | None = None

    def module(self) -> Module:
        while self.position < len(self.lines):
            line = self.lines[self.position]
            self.position += 1
            if line.split()[0] == "module":
                if self.found is not None:
                    raise RtlilError("more than one module in the text")
                self.found = Module(_name(line.split()[1]))
            elif self.found is None:
                raise RtlilError(f"unknown statement {line!r}")
            else:
                self.item(self.found, line)
        if self.found is None:
            raise RtlilError("no module in the text")
        return self.found

    def item(self, module: Module, line: str) -> None:
        """One wire, cell, process or connection of a module, or its end."""
        word = line.split()[0]
        if word == "wire":
            match = _WIRE.fullmatch(line)
            if match is None:
                raise RtlilError(f"unknown wire {line!r}")
            name = _name(match[3])
            module.wires[name] = Wire(name, int(match[1]), match[2])
        elif word == "cell":
            module.cells.append(self.cell(line))
        elif word == "process":
            module.processes.append(self.statements())
            self.position += 1
        elif word == "connect":
            module.connects.append(Assign(*self.two(line)))
        elif word != "end":
            raise RtlilError(f"unknown statement {line!r}")

    def cell(self, line: str) -> Cell:
        _, kind, name = line.split()
        cell = Cell(_name(kind), _name(name))
        while (line := self.lines[self.position]) != "end":
            key, port, *_ = line.split()
            if key == "parameter":
                cell.parameters[_name(port)] = int(line.split()[2])
            elif key == "connect":
                cell.ports[_name(port)] = self.sig(_TOKEN.findall(line)[2:])
            else:
                raise RtlilError(f"unknown statement {line!r}")
            self.position += 1
        self.position += 1
        return cell

    def sig(self, tokens: list[str]) -> Sig:
        """A value; RTLIL has its highest part first."""
        assert self.found is not None
        wires = self.found.wires
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
                name = _name(token)
                chunks.append(Chunk(name, 0, wires[name].width))
            elif match := re.fullmatch(r"(\d+)'([01]*)", token):
                if int(match[1]):
                    chunks.append(Chunk(None, 0, int(match[1]), match[2]))
            else:
                raise RtlilError(f"unknown value {token!r}")
        return join(chunks[::-1])

    def two(self, line: str) -> tuple[Sig, Sig]:
        """The two values after a keyword."""
        tokens = _TOKEN.findall(line)[1:]
        depth = 0
        for i, token in enumerate(tokens):
            depth += (token == "{") - (token == "}")
            after = tokens[i + 1] if i + 1 < len(tokens) else ""
            if depth == 0 and not after.startswith("["):
                return self.sig(tokens[: i + 1]), self.sig(tokens[i + 1 :])
        raise RtlilError(f"cannot read {line!r}")

    def statements(self) -> list[Statement]:
        """Statements up to the end of their process or case."""
        found: list[Statement] = []
        while True:
            line = self.lines[self.position]
            if line.startswith("assign "):
                found.append(Assign(*self.two(line)))
                self.position += 1
            elif line.startswith("switch "):
                found.append(self.switch(line))
            elif line == "end" or line.split()[0] == "case":
                return found
            else:
                raise RtlilError(f"unknown statement {line!r}")

    def switch(self, line: str) -> Switch:
        switch = Switch(self.sig(_TOKEN.findall(line)[1:]))
        self.position += 1
        while (line := self.lines[self.position]).split()[0] == "case":
            patterns = [p.strip().split("'")[1] for p in line[4:].split(",") if p.strip()]
            self.position += 1
            switch.cases.append((patterns, self.statements()))
        if line != "end":
            raise RtlilError(f"unknown statement {line!r}")
        self.position += 1
        return switch


def _name(word: str) -> str:
    return word.removeprefix("\\")


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
