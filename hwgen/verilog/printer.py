"""RTLIL to Verilog that people accept: named, hierarchical, of explicit widths, lint-clean.

A whitelist of cells: an unknown one raises, none is dropped. That what is printed equals what was
built is proved by Yosys in the tests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from hwgen.spec.keywords import KEYWORDS
from hwgen.spec.ports import RESET
from hwgen.verilog.layout import comment, wrapped
from hwgen.verilog.rtlil import (
    Assign,
    Cell,
    Chunk,
    Module,
    RtlilError,
    Sig,
    Statement,
    Switch,
    extend,
    join,
    sig_part,
    sig_width,
)
from hwgen.verilog.tidy import Tidy, process_reads

BINARY = {
    "$add": "+",
    "$sub": "-",
    "$mul": "*",
    "$and": "&",
    "$or": "|",
    "$xor": "^",
    "$eq": "==",
    "$ne": "!=",
    "$lt": "<",
    "$le": "<=",
    "$gt": ">",
    "$ge": ">=",
}
COMPARISONS = {"$eq", "$ne", "$lt", "$le", "$gt", "$ge"}
UNARY = {"$not": "~", "$reduce_or": "|", "$reduce_and": "&", "$reduce_bool": "|"}


@dataclass(frozen=True)
class Logic:
    """Blocking assignments that compute one wire."""

    target: Sig
    lines: list[str]
    process: bool

    @property
    def statement(self) -> list[str]:
        """A continuous assignment, or a process."""
        if not self.process:
            return [f"assign {self.lines[0]}"]
        if len(self.lines) == 1:
            return [f"always @* {self.lines[0]}"]
        return ["always @* begin", *(f"  {line}" for line in self.lines), "end"]


class Printer:
    """Prints one module; ``in_processes`` as in `hwgen.rtl.base.Unit`."""

    def __init__(
        self,
        module: Module,
        instance_outputs: dict[str, frozenset[str]],
        summary: str,
        in_processes: bool = False,
    ) -> None:
        self.tidy = Tidy(module, instance_outputs)
        self.module = module
        self.summary = summary
        self.in_processes = in_processes
        self.names: dict[str, str] = {}
        self.cell_of: dict[str, Cell] = {}
        self.inlined: set[str] = set()
        for cell in module.cells:
            if not cell.is_instance and cell.kind != "$dff":
                (chunk,) = cell.ports["Y"]
                assert chunk.wire is not None
                self.cell_of[chunk.wire] = cell
        references = self.tidy.references()
        self.inlined = {
            wire
            for wire, cell in self.cell_of.items()
            if wire.startswith("$") and references[wire] == 1 and not cell.unused_low
        } & self._whole_reads()
        self.next_of = self._registers(references)
        self._choose_names()

    # Names and values

    def _whole_reads(self) -> set[str]:
        """Wires read as a whole; one bit, or a value of their own."""
        found = set()
        for sig in self.tidy.reads():
            for chunk in sig:
                if chunk.wire is None or chunk.width < self.module.wires[chunk.wire].width:
                    continue
                if chunk.width == 1 or len(sig) == 1:
                    found.add(chunk.wire)
        return found

    def _registers(self, references: dict[str, int]) -> dict[str, list[Statement]]:
        """Next-value wires of flip-flops, with the process that makes them."""
        data = {
            chunk.wire
            for cell in self.module.cells
            if cell.kind == "$dff"
            for chunk in cell.ports["D"]
            if len(cell.ports["D"]) == 1 and chunk.wire and references[chunk.wire] == 1
        }
        processes = {}
        for process in self.module.processes:
            first = process[0]
            assert isinstance(first, Assign)
            (target,) = first.target
            if target.wire is not None and target.wire in data and target.wire.startswith("$"):
                processes[target.wire] = process
        return processes

    def _choose_names(self) -> None:
        used = self.tidy.references()
        taken: set[str] = set()
        order = sorted(self.module.wires.values(), key=lambda wire: wire.direction is None)
        for wire in order:
            name = re.sub(r"[^A-Za-z0-9_]+", "_", wire.name).strip("_")
            if wire.direction is None and wire.name in used and wire.name.startswith("$"):
                name = f"value_{name}"
            base, count = name, 1
            while name in taken:
                count += 1
                name = f"{base}_{count}"
            if wire.direction is not None or wire.name in used or not wire.name.startswith("$"):
                taken.add(name)
            if name in KEYWORDS:
                raise RtlilError(f"{self.module.name}: {name} is a word of Verilog")
            self.names[wire.name] = name

    def chunk(self, chunk: Chunk, alone: bool) -> str:
        if chunk.wire is None:
            return f"{chunk.width}'h{int(chunk.bits, 2):x}"
        if chunk.wire in self.inlined:
            text = self.expression(self.cell_of[chunk.wire])
            return text if alone or re.fullmatch(r"~?\w+", text) else f"({text})"
        name, width = self.names[chunk.wire], self.module.wires[chunk.wire].width
        if chunk.width == width:
            return name
        if chunk.width == 1:
            return f"{name}[{chunk.low}]"
        return f"{name}[{chunk.low + chunk.width - 1}:{chunk.low}]"

    def value(self, sig: Sig, alone: bool = True) -> str:
        """A value; in brackets unless it stands ``alone``."""
        if not sig:
            raise RtlilError(f"{self.module.name}: a value without bits")
        parts = []
        for chunk, run in groupby(sig[::-1]):
            count = len(list(run))
            text = self.chunk(chunk, alone or len(sig) > 1)
            parts.append((f"{{{count}{{{text}}}}}" if count > 1 else text, count))
        if len(parts) == 1:
            return parts[0][0]
        return "{" + ", ".join(text for text, _ in parts) + "}"

    def expression(self, cell: Cell) -> str:
        """What an operator cell computes, every operand at its full width."""
        kind, ports, parameters = cell.kind, cell.ports, cell.parameters
        width = parameters.get("Y_WIDTH", parameters.get("WIDTH", 1))
        if kind == "$mux":
            a, b = (self.value(ports[port], alone=False) for port in "AB")
            return f"{self.value(ports['S'], alone=False)} ? {b} : {a}"
        if kind in UNARY:
            operand = ports["A"]
            if kind == "$not":
                operand = extend(operand, width, bool(parameters["A_SIGNED"]))
            return f"{UNARY[kind]}{self.value(operand, alone=False)}"
        if kind not in BINARY:
            raise RtlilError(f"{self.module.name}: unknown cell {kind}")
        signed = [bool(parameters[f"{port}_SIGNED"]) for port in "AB"]
        if kind == "$mul" and all(signed):
            a, b = (self.value(ports[port]) for port in "AB")
            return f"$signed({a}) {BINARY[kind]} $signed({b})"
        if kind in COMPARISONS:
            width = max(sig_width(ports[port]) for port in "AB")
            if any(signed) and kind not in ("$eq", "$ne"):
                raise RtlilError(f"{self.module.name}: signed {kind} is not printed")
        a, b = (
            self.value(extend(ports[port], width, sign), alone=False)
            for port, sign in zip("AB", signed, strict=True)
        )
        return f"{a} {BINARY[kind]} {b}"

    # Statements

    def assignment(self, cell: Cell) -> str:
        (chunk,) = cell.ports["Y"]
        target = self.chunk(chunk, alone=True)
        if cell.unused_low:
            target = f"{{{target}, {self._unused(target)}}}"
        return f"{target} = {self.expression(cell)};"

    @staticmethod
    def _unused(name: str) -> str:
        return f"unused_{name}"

    def _if_chain(self, switch: Switch, sign: str, indent: str) -> Iterator[str]:
        """A switch over one bit, as if and else."""
        branches = {"".join(patterns): body for patterns, body in switch.cases}
        condition = self.value(switch.selector)
        other = branches.get("", [])
        yes, no = branches.get("1", other), branches.get("0", other)
        if not yes and no:
            raise RtlilError(f"{self.module.name}: a condition with only an else")
        yield f"{indent}if ({condition})" + (" begin" if len(yes) > 1 else "")
        yield from self._statements(yes, sign, indent + "  ")
        end = f"{indent}end " if len(yes) > 1 else indent
        if len(no) == 1 and isinstance(no[0], Switch) and sig_width(no[0].selector) == 1:
            first, *rest = self._if_chain(no[0], sign, indent)
            yield f"{end}else {first.strip()}"
            yield from rest
        elif no:
            yield f"{end}else" + (" begin" if len(no) > 1 else "")
            yield from self._statements(no, sign, indent + "  ")
            if len(no) > 1:
                yield f"{indent}end"
        elif len(yes) > 1:
            yield f"{indent}end"

    def _statements(self, statements: list[Statement], sign: str, indent: str) -> Iterator[str]:
        for statement in statements:
            if isinstance(statement, Assign):
                target = self.value(statement.target)
                yield f"{indent}{target} {sign} {self.value(statement.value)};"
            elif sig_width(statement.selector) == 1:
                yield from self._if_chain(statement, sign, indent)
            elif any("-" in pattern for patterns, _ in statement.cases for pattern in patterns):
                yield from self._priority(statement, sign, indent)
            else:
                yield from self._case(statement, sign, indent)

    def _priority(self, switch: Switch, sign: str, indent: str) -> Iterator[str]:
        """A switch with bits that do not matter: the first case that fits, as if and else."""
        word = "if"
        for patterns, body in switch.cases:
            conditions = [self._fits(switch.selector, pattern) for pattern in patterns]
            always = not conditions or "" in conditions
            if always and word == "if":
                yield from self._statements(body, sign, indent)
                return
            head = "else" if always else f"{word} ({' | '.join(conditions)})"
            yield f"{indent}{head} begin"
            yield from self._statements(body, sign, indent + "  ")
            yield f"{indent}end"
            if always:
                return
            word = "else if"

    def _fits(self, selector: Sig, pattern: str) -> str:
        """Whether ``selector`` fits a pattern, which has its highest bit first."""
        bits = [
            ("" if wanted == "1" else "~") + self.value(sig_part(selector, place, 1), alone=False)
            for place, wanted in enumerate(reversed(pattern))
            if wanted != "-"
        ]
        return bits[0] if len(bits) == 1 else f"({' & '.join(bits)})" if bits else ""

    def _case(self, switch: Switch, sign: str, indent: str) -> Iterator[str]:
        width = sig_width(switch.selector)
        yield f"{indent}case ({self.value(switch.selector)})"
        seen_default = False
        for patterns, body in switch.cases:
            labels = ", ".join(f"{width}'h{int(p, 2):x}" for p in patterns) or "default"
            seen_default |= not patterns
            lines = [line.strip() for line in self._statements(body, sign, "")]
            if len(lines) == 1:
                yield f"{indent}  {labels}: {lines[0]}"
            else:
                yield f"{indent}  {labels}: begin"
                yield from self._statements(body, sign, indent + "    ")
                yield f"{indent}  end"
        if not seen_default:
            yield f"{indent}  default: ;"
        yield f"{indent}endcase"

    def combinational(self, process: list[Statement]) -> list[str]:
        """A process without memory, in the shortest form that says it."""
        if all(isinstance(statement, Assign) for statement in process):
            return [self._pieces([s for s in process if isinstance(s, Assign)])]
        default, *rest = process
        assert isinstance(default, Assign)
        if len(rest) == 1 and isinstance(rest[0], Switch):
            switch, target = rest[0], default.target
            single = all(
                len(body) == 1 and isinstance(body[0], Assign) and body[0].target == target
                for _, body in switch.cases
            )
            if single and all(patterns for patterns, _ in switch.cases):
                switch.cases.append(([], [default]))
            if single and not switch.cases[-1][0]:
                values = {
                    "".join(p): self.value(body[0].value, alone=False)
                    for p, body in switch.cases
                    if isinstance(body[0], Assign)
                }
                if sig_width(switch.selector) == 1:
                    condition = self.value(switch.selector, alone=False)
                    yes, no = values.get("1", values[""]), values.get("0", values[""])
                    choice = f"{condition} ? {yes} : {no}"
                    return [f"{self.value(target)} = {choice};"]
                process = [switch]
        return list(self._statements(process, "=", ""))

    def _pieces(self, assigns: list[Assign]) -> str:
        """Assignments to parts of one wire, later ones winning, as one value."""
        (whole,) = assigns[0].target
        bits: list[Chunk] = []
        for assign in assigns:
            (target,) = assign.target
            single = [chunk.part(i, 1) for chunk in assign.value for i in range(chunk.width)]
            bits[target.low : target.low + target.width] = single
        return f"{self.chunk(whole, alone=True)} = {self.value(join(bits))};"

    def logic(self) -> Iterator[Logic]:
        """All that is combinational, outside instances."""
        for cell in self.module.cells:
            if not cell.is_instance and cell.kind != "$dff":
                (chunk,) = cell.ports["Y"]
                if chunk.wire not in self.inlined:
                    reads = [sig for port, sig in cell.ports.items() if port != "Y"]
                    yield self._logic(cell.ports["Y"], reads, [self.assignment(cell)])
        for process in self.module.processes:
            first = process[0]
            assert isinstance(first, Assign)
            if first.target[0].wire not in self.next_of:
                reads = list(process_reads(process))
                yield self._logic(first.target, reads, self.combinational(process))
        for connect in self.module.connects:
            line = f"{self.value(connect.target)} = {self.value(connect.value)};"
            yield self._logic(connect.target, [connect.value], [line])

    def _logic(self, target: Sig, reads: list[Sig], lines: list[str]) -> Logic:
        """A process that waits for nothing would never run: a constant is assigned."""
        waits = any(chunk.wire is not None for sig in reads for chunk in sig)
        return Logic(target, lines, (self.in_processes and waits) or len(lines) > 1)

    def register(self, cell: Cell) -> tuple[str, list[str]]:
        """A flip-flop: the condition under which alone it loads ('' for none), and statements."""
        (q,), data = cell.ports["Q"], cell.ports["D"]
        wire = data[0].wire
        name = self.chunk(q, alone=True)
        if wire not in self.next_of:
            return "", [f"{name} <= {self.value(data)};"]
        assert wire is not None
        default, *rest = self.next_of[wire]
        if not isinstance(default, Assign) or default.value != cell.ports["Q"]:
            raise RtlilError(f"{self.module.name}: register {name} does not hold by default")
        self.names[wire] = name
        *loads, last = _without_empty(rest)
        if isinstance(last, Switch) and self.value(last.selector) == RESET:
            # The reset comes last and wins: first, with the loads as its else.
            (_, reset) = last.cases[0]
            loads = [Switch(last.selector, [(["1"], reset), ([], loads)])]
        else:
            loads.append(last)
        body = list(self._statements(loads, "<=", ""))
        if len(body) == 2 and body[0].startswith("if ("):
            return body[0], [body[1].strip()]
        return "", body

    def registers(self) -> Iterator[str]:
        """All flip-flops; those that load under one condition stand together."""
        found = [
            (self.value(cell.ports["CLK"]), *self.register(cell))
            for cell in self.module.cells
            if cell.kind == "$dff"
        ]
        conditions: dict[tuple[str, str], list[str]] = {}
        for clock, condition, body in found:
            if condition:
                conditions.setdefault((clock, condition), []).extend(body)
            else:
                yield from [f"always @(posedge {clock}) begin", *(f"  {b}" for b in body), "end"]
        for (clock, condition), body in conditions.items():
            if len(body) == 1:
                yield f"always @(posedge {clock}) {condition} {body[0]}"
            else:
                yield f"always @(posedge {clock}) {condition} begin"
                yield from (f"  {line}" for line in body)
                yield "end"

    def instance(self, cell: Cell) -> list[str]:
        ports = [f"  .{port}({self.value(sig)})" for port, sig in cell.ports.items()]
        return [f"{cell.kind} {cell.name} (", *(f"{port}," for port in ports[:-1]), ports[-1], ");"]

    # The module

    def declarations(self) -> Iterator[str]:
        referenced = self.tidy.references()
        for wire in self.module.wires.values():
            if wire.direction or wire.name in self.inlined or wire.name in self.next_of:
                continue
            if wire.name in referenced:
                kind = "reg" if wire.name in self.variables else "wire"
                yield f"{kind} {_range(wire.width)}{self.names[wire.name]};"
        for cell in self.module.cells:
            if cell.unused_low:
                (chunk,) = cell.ports["Y"]
                kind = "reg" if chunk.wire in self.variables else "wire"
                name = self._unused(self.chunk(chunk, alone=True))
                yield f"{kind} {_range(cell.unused_low)}{name};"

    def ports(self) -> Iterator[str]:
        for wire in self.module.wires.values():
            if wire.direction and (wire.name != RESET or self.tidy.references()[RESET]):
                kind = "reg " if wire.name in self.variables else ""
                yield f"  {wire.direction} {kind}{_range(wire.width)}{self.names[wire.name]}"

    def text(self) -> str:
        module, logic = self.module, list(self.logic())
        written = [each.target for each in logic if each.process]
        written += [cell.ports["Q"] for cell in module.cells if cell.kind == "$dff"]
        self.variables = {chunk.wire for sig in written for chunk in sig}
        body = [line for c in module.cells if c.is_instance for line in self.instance(c)]
        body += [line for each in logic for line in each.statement]
        body += self.registers()
        return "\n".join(
            [
                *comment(self.summary),
                f"module {module.name} (",
                ",\n".join(self.ports()),
                ");",
                *(wrapped(f"  {line}") for line in [*self.declarations(), *body]),
                "endmodule",
                "",
            ]
        )


def _range(width: int) -> str:
    return f"[{width - 1}:0] " if width > 1 else ""


def _without_empty(statements: list[Statement]) -> list[Statement]:
    """Statements without branches that do nothing."""
    kept: list[Statement] = []
    for statement in statements:
        if isinstance(statement, Switch):
            cases = [(patterns, _without_empty(body)) for patterns, body in statement.cases]
            cases = [(patterns, body) for patterns, body in cases if body]
            if cases:
                kept.append(Switch(statement.selector, cases))
        else:
            kept.append(statement)
    return kept


def output_ports(module: Module) -> frozenset[str]:
    return frozenset(w.name for w in module.wires.values() if w.direction == "output")


def print_verilog(modules: list[tuple[Module, str, bool]]) -> str:
    """Verilog of modules, given children first, each with its summary and ``in_processes``
    (`hwgen.rtl.base.Unit`); the top comes first."""
    outputs = {module.name: output_ports(module) for module, _, _ in modules}
    texts = [
        Printer(module, outputs, summary, in_processes).text()
        for module, summary, in_processes in modules
    ]
    return "\n".join(reversed(texts))
