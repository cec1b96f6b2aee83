"""Generate, cost and prove accelerator cores for ternary language models.

>>> import hwgen
>>> core = hwgen.Core(kind="lut", mu=3, tables=16, ports=32)
>>> hwgen.estimate(core, "asap7").layer.cycles
699394

Every function takes a core, system or sweep as an object, a file's path, YAML text or a mapping,
and returns a frozen record: `to_dict()` is plain data, and a notebook draws its tables. A wrong
request raises `ConfigError`, a failure of the work `HwgenError`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hwgen.base.version import __version__

if TYPE_CHECKING:
    from hwgen.api import (
        ConfigError,
        Core,
        HwgenError,
        Sweep,
        System,
        Technology,
        compare,
        emit_best,
        estimate,
        generate,
        inspect,
        schema,
        simulate,
        sweep,
        synth,
        synthesise_front,
        validate,
        verify,
    )

__all__ = [
    "ConfigError",
    "Core",
    "HwgenError",
    "Sweep",
    "System",
    "Technology",
    "__version__",
    "compare",
    "emit_best",
    "estimate",
    "generate",
    "inspect",
    "schema",
    "simulate",
    "sweep",
    "synth",
    "synthesise_front",
    "validate",
    "verify",
]


def __getattr__(name: str) -> Any:
    """Loads the interface when it is first used, so that importing a part of it stays quick."""
    if name in __all__:
        return getattr(import_module("hwgen.api"), name)
    raise AttributeError(f"module 'hwgen' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
