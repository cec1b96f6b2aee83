"""Streams and ports of a component, as its signature has them, and the layout of their payloads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from amaranth.hdl import Shape
from amaranth.lib import data, stream, wiring

from hwgen.rtl.base import Formats
from hwgen.spec.ports import port_name
from hwgen.verilog.rtlil import Wire

SIGNALS = ("payload", "valid", "ready")
"""The members of a stream."""
DIRECTIONS = {wiring.In: "input", wiring.Out: "output"}


@dataclass(frozen=True)
class Field:
    """A part of a payload: an array of ``shape``, or one element where that is empty.

    Elements are ``bits`` wide and follow one another from bit ``low`` up, the last index fastest.
    ``format`` is the number format of an element, if it has one.
    """

    name: str
    low: int
    bits: int
    signed: bool
    shape: tuple[int, ...]
    format: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the manifest."""
        content = {
            "name": self.name,
            "low": self.low,
            "bits": self.bits,
            "signed": self.signed,
            "shape": list(self.shape),
        }
        return content if self.format is None else content | {"format": self.format}


@dataclass(frozen=True)
class Stream:
    """A stream among a component's ports. ``ports``: signal (`SIGNALS`) to the port's name."""

    role: str
    direction: str
    ports: dict[str, str]
    layout: tuple[Field, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the manifest."""
        layout = [field.to_dict() for field in self.layout]
        return {"direction": self.direction, **self.ports, "layout": layout}


def streams(signature: wiring.Signature, formats: Formats) -> tuple[Stream, ...]:
    """The streams of a component, in the order of its signature.

    formats: `hwgen.rtl.base.Unit.formats`.
    """
    found = []
    for role, interface in _interfaces(signature):
        payload = interface.members["payload"]
        layout = tuple(_fields(role, payload.shape, formats))
        ports = {signal: port_name(role, signal) for signal in SIGNALS}
        found.append(Stream(role, DIRECTIONS[payload.flow], ports, layout))
    known = {(each.role, field.name) for each in found for field in each.layout}
    assert formats.keys() <= known, f"formats of no field: {formats.keys() - known}"
    return tuple(found)


def _interfaces(signature: Any, *path: str) -> Iterator[tuple[str, Any]]:
    """The role and signature of every stream below ``signature``."""
    for name, member in signature.members.items():
        if member.is_signature:
            inner = member.signature
            if isinstance(inner, stream.Signature):
                yield port_name(*path, name), inner
            else:
                yield from _interfaces(inner, *path, name)


def _fields(
    role: str, shape: Any, formats: Formats, name: str = "", low: int = 0
) -> Iterator[Field]:
    """The fields of a payload; without any, the payload itself, which is called like its stream."""
    if isinstance(shape, data.StructLayout):
        for key, field in shape:
            inner = f"{name}.{key}" if name else str(key)
            yield from _fields(role, field.shape, formats, inner, low + field.offset)
        return
    dimensions = []
    while isinstance(shape, data.ArrayLayout):
        dimensions.append(shape.length)
        shape = shape.elem_shape
    if isinstance(shape, data.Layout):
        where = f"{role}: {name}" if name else role
        raise TypeError(f"{where}: an array of structures is not a field")
    name, element = name or role, Shape.cast(shape)
    number = formats.get((role, name))
    yield Field(name, low, element.width, element.signed, tuple(dimensions), number)


def ports(wires: list[Wire], found: tuple[Stream, ...]) -> list[dict[str, Any]]:
    """Every port of a module for the manifest, in the order of its Verilog."""
    layouts = {each.ports["payload"]: each.to_dict()["layout"] for each in found}
    return [
        {
            "name": wire.name,
            "direction": wire.direction,
            "width": wire.width,
            **({"layout": layouts[wire.name]} if wire.name in layouts else {}),
        }
        for wire in wires
    ]
