"""The syntax of Liberty files: a tree of groups, a statement at a time with one regular expression.

The parser is our own: liberty-parser of PyPI reads the same files correctly, but is GPL-3.0 in a
project under Apache-2.0, brings sympy and lark along, and takes 19 s for ASAP7 against about 2 s
here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from hwgen.base.errors import HwgenError

_SKIPPED = re.compile(
    r"internal_power|.*_power|normalized_driver_waveform|receiver_.*|output_curr.*"
)
_STATEMENT = re.compile(
    r"""(?:\s|\\\n|;|/\*.*?\*/|//[^\n]*)*
    (?: (?P<close>\}) | (?P<end>\Z)
      | (?P<name>[\w.]+)\s*
        (?: :\s*(?:"(?P<text>[^"]*)"|(?P<word>[^;{}"\n]*))
          | \((?P<arguments>(?:[^()"]|"[^"]*")*)\)\s*(?P<open>\{)? ) )""",
    re.VERBOSE | re.DOTALL,
)
_BRACE = re.compile(r"[{}]")
_ARGUMENT = re.compile(r'"([^"]*)"|([^\s,"\\]+)')


class LibertyError(HwgenError):
    """A Liberty file lacks something that is needed; the message names file, cell and attribute."""


@dataclass(slots=True)
class Group:
    kind: str
    arguments: list[str]
    attributes: dict[str, str] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    groups: list[Group] = field(default_factory=list)

    def all(self, kind: str) -> Iterator[Group]:
        return (group for group in self.groups if group.kind == kind)


def tree(text: str, file: str, skipped: re.Pattern[str] = _SKIPPED) -> Group:
    """The group that the text holds; groups of a kind in ``skipped`` are passed over.

    By default these are power tables and what is like them, but not leakage.
    """
    root = Group("file", [])
    stack, at = [root], 0
    while True:
        found = _STATEMENT.match(text, at)
        if found is None:
            line = text.count("\n", 0, at + len(text[at:]) - len(text[at:].lstrip())) + 1
            raise LibertyError(f"{file}:{line}: should be a Liberty statement")
        at, name, inner = found.end(), found["name"], stack[-1]
        if found["end"] is not None:
            break
        if found["close"]:
            if len(stack) == 1:
                raise LibertyError(f"{file}: closes a group that was not opened")
            stack.pop()
        elif found["open"]:
            if skipped.fullmatch(name) and name != "leakage_power":
                at = after_group(text, at, file)
                continue
            stack.append(Group(name, _arguments(found["arguments"])))
            if name in ("library", "cell", "lu_table_template") and not stack[-1].arguments:
                raise LibertyError(f"{file}: {name}: should have a name")
            inner.groups.append(stack[-1])
        elif found["arguments"] is not None:
            inner.lists[name] = _arguments(found["arguments"])
        else:
            value = found["text"] if found["text"] is not None else found["word"]
            inner.attributes[name] = value.strip()
    if len(stack) > 1:
        raise LibertyError(f"{file}: ends inside the group {stack[-1].kind!r}")
    return root.groups[0] if len(root.groups) == 1 else root


def _arguments(text: str) -> list[str]:
    return [quoted or word for quoted, word in _ARGUMENT.findall(text)]


def after_group(text: str, at: int, file: str) -> int:
    """Where the group ends whose brace opens just before ``at``."""
    depth = 1
    for brace in _BRACE.finditer(text, at):
        depth += 1 if brace[0] == "{" else -1
        if not depth:
            return brace.end()
    raise LibertyError(f"{file}: ends inside a group")
