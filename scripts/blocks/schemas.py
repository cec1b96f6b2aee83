"""Tables of the keys of every kind of YAML file, from their pydantic models."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any, NamedTuple

from costmodel.catalog import Family
from costmodel.synth.libraries import LibraryInfo
from hwgen.base.yamlfile import Strict
from hwgen.flow.schema import FILES
from hwgen.space.sweep_file import QUANTITIES
from hwgen.spec.config import CoreConfig
from scripts.blocks.table import code, table
from sim.workload.zoo import Model

MODELS: dict[str, type[Strict]] = {
    **FILES,
    "library": LibraryInfo,
    "family": Family,
    "model": Model,
}
"""Kinds of files: those of `hwgen schema`, and those that describe technologies and models."""
RUN = 4
"""So many words that differ in a rising number only are given by their ends."""
AXES = {
    "integer or a list of integers or `{from, to, step or times}` or text": "axis of integers",
    "text or a list of words": "words",
}
"""What the values of a sweep's axes are called for short."""
QUANTITY = "a quantity"


def schema(kind: str) -> Iterator[str]:
    """A row for each key of a kind of file; keys inside others are written with dots."""
    rows = list(_whole(MODELS[kind]))
    if kind == "sweep":
        core = {row.key: row.text for row in _whole(CoreConfig)}
        rows = [_of_a_sweep(row, core) for row in rows]
    head = ("key", "value", "default", "meaning")
    yield from table(head, ((code(row.key), *row[1:]) for row in rows))


class Row(NamedTuple):
    """One key of a file."""

    key: str
    kinds: str
    default: str
    text: str


def _whole(model: type[Strict]) -> Iterator[Row]:
    described = model.model_json_schema()
    return _rows(described, described.get("$defs", {}), "")


def _of_a_sweep(row: Row, core: dict[str, str]) -> Row:
    """An axis has the meaning of the core's key that it gives values to."""
    text = row.text or core.get(row.key.removeprefix("core."), "")
    default = row.default
    if row.key == "objectives":
        default = "`area`, `cycles_per_token`"
    return Row(row.key, AXES.get(row.kinds, row.kinds), default, text)


def _bare(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def _rows(node: dict[str, Any], defs: dict[str, Any], prefix: str) -> Iterator[Row]:
    required = node.get("required", [])
    for key, field in node.get("properties", {}).items():
        path, text = f"{prefix}{key}", _bare(field.get("description", ""))
        default = "required" if key in required else _default(field)
        inner = _nested(field, defs)
        if inner is None:
            yield Row(path, _kinds(field, defs), default, text)
            continue
        model, suffix = inner
        if suffix or key in required or text:
            what = {"[]": "a list of these keys", "": "these keys"}.get(suffix, "a mapping")
            yield Row(path, what, default, text)
        yield from _rows(model, defs, f"{path}{suffix}.")


def _nested(field: dict[str, Any], defs: dict[str, Any]) -> tuple[dict[str, Any], str] | None:
    """The keys that a value has, where it is a mapping or a list of mappings; else None."""
    for one in _either(field):
        found = _resolved(one, defs)
        if found.get("type") == "array" and "$ref" in found.get("items", {}):
            item = _resolved(found["items"], defs)
            if "properties" in item and item.get("title") != "Objective":
                return item, "[]"
        values = found.get("additionalProperties")
        if isinstance(values, dict) and "properties" in (item := _resolved(values, defs)):
            return item, ".<name>"
        if "properties" in found and found.get("title") != "Range":
            return found, ""
    return None


def _either(field: dict[str, Any]) -> list[dict[str, Any]]:
    return field.get("anyOf") or field.get("oneOf") or field.get("allOf") or [field]


def _resolved(field: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    return defs[field["$ref"].rpartition("/")[2]] if "$ref" in field else field


def _kinds(field: dict[str, Any], defs: dict[str, Any]) -> str:
    """What values a key takes, in words."""
    words = [_kind(_resolved(one, defs), defs) for one in _either(field)]
    if "enum" in field:
        words = [_words(field["enum"])]
    return " or ".join(word for word in dict.fromkeys(words) if word)


def _words(values: list[Any]) -> str:
    """Words to choose from; a run of numbered ones by its ends."""
    words = [value for value in values if value is not None]
    if tuple(words) == QUANTITIES:
        return QUANTITY
    shown: list[str] = []
    for _, group in groupby(enumerate(words), lambda item: _numbered(item[1], item[0])):
        run = [word for _, word in group]
        ends = f"{code(run[0])} … {code(run[-1])}"
        shown += [ends] if len(run) >= RUN else [code(word) for word in run]
    return ", ".join(shown)


def _numbered(word: str, place: int) -> tuple[str, int]:
    """Equal for words that follow each other and differ in a rising number only."""
    found = re.fullmatch(r"(\D+)(\d+)", word)
    return (found[1], int(found[2]) - place) if found else (word, -place)


def _kind(one: dict[str, Any], defs: dict[str, Any]) -> str:
    if "const" in one:
        return code(one["const"])
    if "enum" in one:
        return _words(one["enum"])
    kind = one.get("type")
    if one.get("title") == "Range":
        return "`{from, to, step or times}`"
    if kind == "array":
        items = one.get("items", {})
        return f"a list of {_plural(_kinds(items, defs))}"
    if kind == "object":
        values = one.get("additionalProperties")
        inner = _kinds(values, defs) if isinstance(values, dict) and values else ""
        return f"a mapping to {_plural(inner)}" if inner else "a mapping"
    if kind in ("integer", "number"):
        return _bounded("integer" if kind == "integer" else "number", one)
    return {"string": "text", "boolean": "`true` or `false`", "null": ""}.get(str(kind), "")


def _plural(words: str) -> str:
    return {
        "integer": "integers",
        "text": "words",
        "number": "numbers",
        "a mapping": "mappings",
    }.get(words, words)


def _bounded(word: str, one: dict[str, Any]) -> str:
    low, high = one.get("minimum"), one.get("maximum")
    if low is not None and high is not None:
        return f"{word}, {_number(low)} … {_number(high)}"
    ends = [f"at least {_number(low)}"] if low is not None else []
    for key, words in (
        ("exclusiveMinimum", "above"),
        ("exclusiveMaximum", "below"),
        ("maximum", "at most"),
    ):
        if one.get(key) is not None:
            ends.append(f"{words} {_number(one[key])}")
    return ", ".join((word, *ends))


def _number(value: float) -> str:
    return (
        f"{value:,}"
        if isinstance(value, int)
        else f"{value:g}".replace("e+0", "e").replace("e+", "e")
    )


def _default(field: dict[str, Any]) -> str:
    value = field.get("default")
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value in (None, [], {}):
        return ""
    return code(value) if isinstance(value, str) else code(json.dumps(value))
