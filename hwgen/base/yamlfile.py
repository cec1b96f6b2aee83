"""Frozen data read from YAML files, with every fault explained."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from hwgen.base.errors import ConfigError

UNPLAIN_INTEGER = re.compile(r"[-+]?0[0-7_]+|.*:.*")
"""Integers of base 8 and 60 in YAML 1.1: 010 is 8, 1:30 is 90."""


Source = str | PathLike[str] | Mapping[str, Any]
"""Where a configuration comes from: a file, YAML text, or a mapping."""


class Strict(BaseModel):
    """Base of every configuration: immutable, no coercion, no unknown keys."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


ModelT = TypeVar("ModelT", bound=Strict)


class _UnplainIntegerError(yaml.MarkedYAMLError):
    """An integer that YAML reads otherwise than people do."""


class _Loader(yaml.SafeLoader):
    """Safe YAML without silent surprises: a key given twice and an octal 010 are errors."""

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        value: int = super().construct_yaml_int(node)
        if UNPLAIN_INTEGER.fullmatch(node.value):
            raise _UnplainIntegerError(
                problem="should be an integer without leading zeros and colons, "
                f"not {node.value}, which YAML reads as {value}",
                problem_mark=node.start_mark,
            )
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str | int | float | bool | None):
                continue  # The base class refuses it.
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; ConfigError if it cannot be read or is no mapping."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: no text, or a path with a null byte.
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        if "\0" in str(path):
            path, reason = Path(str(path).replace("\0", "?")), "no file has such a name"
        raise ConfigError(f"{path}: cannot be read: {reason}") from None
    return parse_yaml(text, str(path))


def parse_yaml(text: str, where: str) -> dict[str, Any]:
    """The mapping in a YAML text; ConfigError, which starts with ``where``, if it is none."""
    try:
        content = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}" if mark else where
        what = "" if isinstance(error, _UnplainIntegerError) else "is not YAML: "
        problem = " ".join(str(getattr(error, "problem", error)).split())
        raise ConfigError(f"{place}: {what}{problem}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{where}: should be a mapping of keys to values, not {content!r}")
    return content


class Content(NamedTuple):
    """What a source says. where: how faults name it. path: None unless it is a file."""

    mapping: dict[str, Any]
    where: str
    path: Path | None

    def name(self, default: str) -> str:
        """A name for what has none of its own: the file's stem, or ``default``."""
        return default if self.path is None else self.path.stem


def read(source: Source, what: str) -> Content:
    """The mapping that a source stands for; ``what`` is what faults call it if it is no file.

    A string is a file's path, unless it has a line break or a colon followed by a space: then it is
    YAML itself.
    """
    if isinstance(source, Mapping):
        return Content(dict(source), what, None)
    if isinstance(source, str) and ("\n" in source or ": " in source):
        return Content(parse_yaml(source, what), what, None)
    if not isinstance(source, str | PathLike):
        raise ConfigError(f"{what}: should be a path, a string or a mapping, not {source!r}")
    path = Path(source)
    return Content(read_yaml(path), str(path), path)


def source_name(source: object, what: str) -> str:
    """How faults name a source: a file's path, or ``what``."""
    text = isinstance(source, str) and ("\n" in source or ": " in source)
    return str(source) if isinstance(source, str | PathLike) and not text else what


def validate(model: type[ModelT], content: dict[str, Any], where: str) -> ModelT:
    """``content`` as a ``model``; ConfigError with one line per fault, each starting ``where``."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        faults = (explain(model, where, fault) for fault in error.errors())
        raise ConfigError("\n".join(faults)) from None


def load(model: type[ModelT], source: Source | ModelT, what: str = "file") -> ModelT:
    """One configuration from a source, see `read`; all faults are reported at once.

    A source that is a ``model`` already is returned as it is.
    """
    if isinstance(source, model):
        return source
    content = read(cast(Source, source), what)
    return validate(model, content.mapping, content.where)


def explain(model: type[Strict], where: str, fault: ErrorDetails) -> str:
    """One line for one fault: where, field, what is legal, what was found, what to do."""
    name = ".".join(map(str, fault["loc"]))
    if fault["type"] == "extra_forbidden":
        known = _fields_at(model, fault["loc"][:-1])
        close = get_close_matches(str(fault["loc"][-1]), known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
        return f"{where}: unknown key {name!r}; {hint}"
    if fault["type"] == "missing":
        return f"{where}: {name}: is required; add it"
    if fault["type"] == "value_error":
        message = str(fault["ctx"]["error"])
        if not name:  # A combination: every rule that it breaks on a line of its own.
            return "\n".join(f"{where}: {line}" for line in message.splitlines())
    elif fault["type"] == "model_type":
        message = "should be a mapping of keys to values"
    else:
        message = fault["msg"].lower()
    return f"{where}: {name}: {message}, not {_short(fault['input'])}"


def _short(value: object) -> str:
    """A value as Python writes it, its middle left out if it is long."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:120]} … {text[-40:]}"


def _fields_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The field names of ``model``, or of its nested model at ``loc``."""
    for part in loc:
        field = model.model_fields.get(str(part))
        if field is not None and isinstance(field.annotation, type):
            model = field.annotation
    return list(model.model_fields)
