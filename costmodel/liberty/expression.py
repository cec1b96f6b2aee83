"""Boolean expressions of Liberty files, such as ``when : "A & !B"``, as truth tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from costmodel.liberty.parser import LibertyError

Bools = NDArray[np.bool_]
_TOKEN = re.compile(r"\s*([A-Za-z_]\w*|[01]|[!'^&*|+()])")
_ORDER = ("|+", "&*", "^")
"""Operators from the loosest to the tightest; one after the other means AND, as & does."""


@lru_cache(maxsize=4096)
def variables(text: str) -> tuple[str, ...]:
    """Names in an expression, in the order in which they first appear."""
    return tuple(dict.fromkeys(re.findall(r"[A-Za-z_]\w*", text)))


def truth(text: str, names: Sequence[str]) -> Bools:
    """Truth of an expression for all 2^n values of ``names``; names[i] is bit i of the row.

    LibertyError for a fault in the text or a name that is not in ``names``.

    >>> truth("!B & A", ["A", "B"]).tolist()
    [False, True, False, False]
    """
    rows = np.arange(1 << len(names))
    values = {name: (rows >> i) & 1 == 1 for i, name in enumerate(names)}
    values |= {"0": np.zeros(len(rows), bool), "1": np.ones(len(rows), bool)}
    tokens = _TOKEN.findall(text)
    if "".join(tokens) != "".join(text.split()):
        raise LibertyError(f"{text!r}: should be a Boolean expression")
    found, rest = _operation(tokens, 0, values, text)
    if rest:
        raise LibertyError(f"{text!r}: {rest[0]!r} should not be there")
    return found


def _operation(
    tokens: list[str], level: int, values: dict[str, Bools], text: str
) -> tuple[Bools, list[str]]:
    if level == len(_ORDER):
        return _operand(tokens, values, text)
    left, tokens = _operation(tokens, level + 1, values, text)
    while tokens:
        adjacent = _ORDER[level] == "&*" and (tokens[0] in "!(" or tokens[0] in values)
        if not adjacent and tokens[0] not in _ORDER[level]:
            break
        right, tokens = _operation(tokens if adjacent else tokens[1:], level + 1, values, text)
        left = (left | right, left & right, left ^ right)[level]
    return left, tokens


def _operand(tokens: list[str], values: dict[str, Bools], text: str) -> tuple[Bools, list[str]]:
    if not tokens:
        raise LibertyError(f"{text!r}: ends too early")
    first, tokens = tokens[0], tokens[1:]
    if first == "!":
        found, tokens = _operand(tokens, values, text)
        found = ~found
    elif first == "(":
        found, tokens = _operation(tokens, 0, values, text)
        if not tokens or tokens[0] != ")":
            raise LibertyError(f"{text!r}: a parenthesis is not closed")
        tokens = tokens[1:]
    elif first in values:
        found = values[first]
    else:
        raise LibertyError(f"{text!r}: {first!r} should be a pin")
    while tokens and tokens[0] == "'":
        found, tokens = ~found, tokens[1:]
    return found, tokens
