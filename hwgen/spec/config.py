"""Configurations: frozen data that cannot be wrong, read from YAML with every fault explained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import model_validator

from hwgen.base.errors import ConfigError
from hwgen.base.yamlfile import Source, read, validate
from hwgen.spec.axes import dotted, in_effect, nested, worth_saying
from hwgen.spec.derived import DerivedFields
from hwgen.spec.fields import Pipeline, check_identifier
from hwgen.spec.rules import SIZE_RANGE, faults, in_size_range, size_faults

__all__ = ["CoreConfig", "Pipeline", "load_core"]


class CoreConfig(DerivedFields):
    """One accelerator core for ternary weights and integer or floating-point activations."""

    @model_validator(mode="after")
    def _legal(self) -> Self:
        if lines := list(faults(self)):
            raise ValueError("\n".join(lines))
        return self

    @property
    def module_name(self) -> str:
        """Of the top module."""
        return self.name or "core"

    def resolved(self) -> dict[str, Any]:
        """The file's mapping with all values in effect; what the core does not have is absent."""
        fields = {"format": self.format, "name": self.module_name}
        return fields | nested(in_effect(self.axis_values()))

    @classmethod
    def from_resolved(cls, content: Mapping[str, Any]) -> Self:
        """The core whose `resolved` mapping this is, a manifest's ``config``, say."""
        others = {name: content[name] for name in ("format", "name") if name in content}
        return cls.model_validate(others | nested(worth_saying(dotted(content))))

    def with_sizes(
        self, *, tables: int | None = None, ports: int | None = None, reuse: int | None = None
    ) -> Self:
        """The same core with other sizes, or ValueError with the faults that a file would have.

        As fast as a copy: only the rules for sizes are looked at, all others hold already.
        """
        given = {"tables": tables, "ports": ports, "reuse": reuse}
        sizes = {name: size for name, size in given.items() if size is not None}
        core = self.model_copy(update=sizes)
        wrong = [
            f"{name}: {SIZE_RANGE}, not {size}"
            for name, size in sizes.items()
            if not in_size_range(size)
        ]
        if wrong or (wrong := list(size_faults(core))):
            raise ValueError("\n".join(wrong))
        return core


def load_core(source: Source | CoreConfig, what: str = "core") -> CoreConfig:
    """A core from a file, YAML text or a mapping; a core is returned as it is.

    Its ``name`` defaults to the file's stem, or ``core``. what: how faults call it if it is no
    file.
    """
    if isinstance(source, CoreConfig):
        return source
    content = read(source, what)
    core = validate(CoreConfig, content.mapping, content.where)
    if core.name is not None:
        return core
    name = content.name("core")
    try:
        check_identifier(name)
    except ValueError as error:
        raise ConfigError(
            f"{content.where}: name: {error}, not {name!r} (taken from the file's name); give name"
        ) from None
    return core.model_copy(update={"name": name})
