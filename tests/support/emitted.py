"""Cores emitted once in each test process: many tests look at the same ones."""

from __future__ import annotations

from functools import cache

from hwgen.spec.config import CoreConfig
from hwgen.verilog.emit import Emitted, emit


@cache
def emitted(config: CoreConfig) -> Emitted:
    """What `emit` gives."""
    return emit(config)
