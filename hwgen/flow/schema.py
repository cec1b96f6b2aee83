"""hwgen schema: JSON schemas of the YAML files."""

from __future__ import annotations

from typing import Any

from hwgen.base.errors import ConfigError
from hwgen.base.yamlfile import Strict
from hwgen.flow.compare.file import CompareConfig
from hwgen.space.sweep_file import SweepConfig
from hwgen.spec.config import CoreConfig
from hwgen.spec.system import SystemConfig

FILES: dict[str, type[Strict]] = {
    "core": CoreConfig,
    "sweep": SweepConfig,
    "compare": CompareConfig,
    "system": SystemConfig,
}


def schema(what: str) -> dict[str, Any]:
    """JSON schema of a kind of file, draft 2020-12."""
    if what not in FILES:
        raise ConfigError(f"schema: should be one of {', '.join(FILES)}, not {what!r}")
    return FILES[what].model_json_schema()
