"""Modules of RTLIL made readable, so that their Verilog is."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator

from hwgen.verilog.rtlil import (
    Assign,
    Cell,
    Chunk,
    Module,
    RtlilError,
    Sig,
    Statement,
    Wire,
    extend,
    join,
    sig_part,
)

OUTPUTS = {"$dff": "Q"}
TRUNCATES = {"$add", "$sub", "$neg", "$mul"}
BITWISE = {"$and", "$or", "$xor", "$not", "$mux"}


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
            yield from process_reads(process)
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


def process_reads(statements: list[Statement]) -> Iterator[Sig]:
    for statement in statements:
        if isinstance(statement, Assign):
            yield statement.value
        else:
            yield statement.selector
            for _, body in statement.cases:
                yield from process_reads(body)


def _process_targets(statements: list[Statement]) -> Iterator[Sig]:
    for statement in statements:
        if isinstance(statement, Assign):
            yield statement.target
        else:
            for _, body in statement.cases:
                yield from _process_targets(body)
