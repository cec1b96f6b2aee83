"""The base of every component, and the platform under which each distinct one is emitted once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from amaranth.back import rtlil
from amaranth.hdl import ClockSignal, Elaboratable, Instance, Module, ResetSignal, Value
from amaranth.lib import wiring

from hwgen.spec.ports import CLOCK, RESET, port_name


class Spec(Protocol):
    """What a unit builds: frozen, hashable, with a name that tells it from every other one."""

    @property
    def module_name(self) -> str: ...


SpecT = TypeVar("SpecT", bound=Spec)
Formats = dict[tuple[str, str], str]
"""Number formats by stream and field: what a signature, which knows widths alone, does not say."""


class Unit(wiring.Component, Generic[SpecT]):  # type: ignore[misc]
    """A component that is one Verilog module.

    ``spec`` decides everything: two units of one type with equal specs are the same module.
    Under a simulator the unit is its `body`; under an `Emission` it is an instance of the module
    that the emission converts once. `summary` becomes the comment above the module.
    """

    summary: str
    in_processes: ClassVar[bool] = False
    """Whether Verilog computes wires in processes of their own, ``always @*``, not in continuous
    assignments. A simulator that goes by events carries every change through a chain of assignments
    by itself, and a word of many parts anew for each part; a process runs once for all changes of
    an instant. A table of 364 entries runs a hundred times as fast; to others it is the same."""

    def __init__(self, spec: SpecT, members: dict[str, wiring.Member]) -> None:
        self.spec = spec
        super().__init__(members)

    def body(self) -> Module:
        raise NotImplementedError

    def elaborate(self, platform: object) -> Elaboratable:
        if isinstance(platform, Emission):
            return platform.instance(self)
        return self.body()

    def formats(self) -> Formats:
        """Number formats of the fields of streams that have one."""
        return {}

    def flat_ports(self) -> dict[str, tuple[Value, wiring.Flow]]:
        """Port name to value and direction."""
        return {
            port_name(*path): (Value.cast(value), member.flow)
            for path, member, value in self.signature.flatten(self)
        }


class _Body(Elaboratable):  # type: ignore[misc]
    """A unit that elaborates to its body, whatever the platform."""

    def __init__(self, unit: Unit[Any]) -> None:
        self.unit = unit
        self.signature = unit.signature

    def __getattr__(self, member: str) -> object:
        return getattr(self.unit, member)

    def elaborate(self, platform: object) -> Module:
        return self.unit.body()


@dataclass(frozen=True)
class EmittedModule:
    """One distinct module: RTLIL text, the ports that it has, and what its `Unit` says of it."""

    name: str
    rtlil: str
    ports: frozenset[str]
    summary: str
    in_processes: bool


@dataclass
class Emission:
    """Collects each distinct unit once, children before parents; a fresh one per core."""

    modules: dict[str, EmittedModule] = field(default_factory=dict)
    _keys: dict[str, tuple[type, Spec]] = field(default_factory=dict)

    def convert(self, unit: Unit[Any]) -> EmittedModule:
        """Register ``unit``, and below it all that it contains, and return its module."""
        name = unit.spec.module_name
        key = (type(unit), unit.spec)
        if self._keys.setdefault(name, key) != key:
            raise AssertionError(
                f"two different units are called {name}: {self._keys[name]}, {key}"
            )
        if name not in self.modules:
            text = rtlil.convert(_Body(unit), name=name, platform=self, emit_src=False)
            ports = re.findall(r"^  wire .*\b(?:input|output) \d+ .*\\(\S+)$", text, re.MULTILINE)
            if f"\\{RESET} [" not in text:  # Declared, never read: nothing in it is reset.
                ports = [port for port in ports if port != RESET]
            self.modules[name] = EmittedModule(
                name, text, frozenset(ports), unit.summary, unit.in_processes
            )
        return self.modules[name]

    def instance(self, unit: Unit[Any]) -> Instance:
        """An instance of the unit's module; clock and reset only where the module has them."""
        module = self.convert(unit)
        connections: dict[str, object] = {
            ("i_" if flow == wiring.In else "o_") + name: value
            for name, (value, flow) in unit.flat_ports().items()
        }
        if CLOCK in module.ports:
            connections[f"i_{CLOCK}"] = ClockSignal()
        if RESET in module.ports:
            connections[f"i_{RESET}"] = ResetSignal()
        return Instance(module.name, **connections)
