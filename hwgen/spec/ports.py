"""How ports are named: the streams of a core by role, clock and reset."""

from __future__ import annotations

COMMANDS, ACTS, KEYS, SUMS = STREAMS = ("commands", "acts", "keys", "sums")
"""Roles of a core's streams: runs, activations and keys go in, outputs come out."""
CLOCK, RESET = "clk", "rst"
JOINT = "__"
"""Stands between the names of an interface and of its member in the name of a port."""


def port_name(*path: str | int) -> str:
    """Name of the port at ``path``, such as the interface's name and the member's."""
    return JOINT.join(map(str, path))


def is_port(name: str) -> bool:
    """Whether a core may have a port of this name."""
    return name in (CLOCK, RESET) or name.startswith(tuple(role + JOINT for role in STREAMS))
