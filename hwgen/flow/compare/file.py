"""Comparison files: cores side by side, and published numbers beside them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from hwgen.base.errors import ConfigError
from hwgen.base.yamlfile import Source, Strict, read, validate
from hwgen.spec.config import CoreConfig


class Published(Strict):
    """Areas that others published; shown, never computed with."""

    source: Annotated[str, Field(description="publication and conditions")]
    technology: str
    unit: str
    baseline: Annotated[str, Field(description="the area that ratios refer to")]
    areas: dict[str, Annotated[float, Field(gt=0)]]


CoreKeys = Annotated[
    dict[str, Any],
    Field(
        json_schema_extra={
            "propertyNames": {"enum": [key for key in CoreConfig.model_fields if key != "name"]}
        }
    ),
]


class CompareConfig(Strict):
    """Cores to compare. Each is a core's keys; ``common`` are those that all of them share."""

    format: Annotated[
        Literal["hwgen.compare/1"], Field(description="version of this file's meaning")
    ] = "hwgen.compare/1"
    name: Annotated[str | None, Field(description="default: the file's stem")] = None
    common: CoreKeys = Field(default_factory=dict, description="keys of every core, but name")
    baseline: Annotated[str, Field(description="the core that ratios refer to, per weight")]
    cores: Annotated[
        dict[str, CoreKeys], Field(min_length=1, description="keys of each core, by its label")
    ]
    clock_ns: dict[str, Annotated[float, Field(gt=0)]] = Field(
        default_factory=dict,
        description="by technology: the clock period that every core should reach",
    )
    published: list[Published] = Field(
        default_factory=list, description="numbers of others, to print beside"
    )


def load_comparison(
    source: Source | CompareConfig,
) -> tuple[CompareConfig, dict[str, CoreConfig]]:
    """A comparison from a file, YAML text or a mapping, and its cores by label.

    ConfigError for any fault in either.
    """
    if isinstance(source, CompareConfig):
        config, path, name = source, "comparison", "comparison"
    else:
        content = read(source, "comparison")
        config = validate(CompareConfig, content.mapping, content.where)
        path, name = content.where, content.name("comparison")
    faults, cores = [], {}
    if config.baseline not in config.cores:
        known = ", ".join(config.cores)
        faults.append(f"{path}: baseline: should be one of {known}, not {config.baseline!r}")
    for i, published in enumerate(config.published):
        if published.baseline not in published.areas:
            known = ", ".join(published.areas)
            faults.append(
                f"{path}: published.{i}.baseline: should be one of {known}, "
                f"not {published.baseline!r}"
            )
    for place, keys in {
        "common": config.common,
        **{f"cores.{label}": keys for label, keys in config.cores.items()},
    }.items():
        if "name" in keys:
            faults.append(
                f"{path}: {place}.name: a compared core is named by its label; remove it, "
                f"not {keys['name']!r}"
            )
    for label, keys in config.cores.items():
        try:
            cores[label] = validate(CoreConfig, config.common | keys, f"{path}: cores.{label}")
        except ConfigError as error:
            faults.append(str(error))
    if faults:
        raise ConfigError("\n".join(faults))
    named = config if config.name else config.model_copy(update={"name": name})
    return named, cores
