"""Files of other people: whole ones with bytes, lengths, offsets and values changed at random."""

from __future__ import annotations

import json
import struct
import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

TRIED: Counter[str] = Counter()
"""Inputs tried by each test of this process; printed when the suite ends."""
INTERESTING = (
    0,
    1,
    2,
    7,
    8,
    31,
    32,
    255,
    2**15,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**62,
    2**63,
    2**64 - 1,
)
SECONDS, LONG_SECONDS = 1.5, 60.0
"""Of one test in the suite, and in the long one."""
ROUND = 200
"""Inputs of one seed."""

# One change: what, where (a share of the file, or of its head), a number, and a width or length.
CHANGES = st.tuples(
    st.sampled_from(["set", "flip", "delete", "repeat", "insert", "cut", "swap"]),
    st.one_of(st.floats(0, 1), st.floats(0, 0.05)),
    st.one_of(st.sampled_from(INTERESTING), st.integers(0, 2**64 - 1)),
    st.sampled_from([1, 2, 4, 8, 13, 64]),
)


def changed(content: bytes, changes: list[tuple[str, float, int, int]], head: int) -> bytes:
    """A file after some changes; half of them in the first ``head`` bytes."""
    data = bytearray(content)
    for turn, (kind, share, number, width) in enumerate(changes):
        size = len(data) if turn % 2 else min(head, len(data))
        at = min(int(share * size), max(0, len(data) - 1))
        if kind == "set":
            width = min(width, 8)
            data[at : at + width] = struct.pack("<Q", number)[:width]
        elif kind == "flip":
            if data:
                data[at] ^= 1 << number % 8
        elif kind == "delete":
            del data[at : at + width]
        elif kind == "repeat":
            data[at:at] = data[at : at + width]
        elif kind == "insert":
            data[at:at] = struct.pack("<Q", number)[: min(width, 8)]
        elif kind == "cut":
            del data[at:]
        else:
            other = number % max(1, len(data))
            one, two = bytes(data[at : at + width]), bytes(data[other : other + width])
            if len(one) == len(two):
                data[at : at + width], data[other : other + width] = two, one
    return bytes(data)


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.sampled_from(INTERESTING),
        st.integers(-3, 20),
        st.floats(),
        st.sampled_from(
            ["", "llama", "opt", "bitnet", "offline", "relu2", "U8", "F16", "../x", "é"]
        ),
        st.text(max_size=5),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=6,
)
PATHS = st.lists(st.integers(0, 20), min_size=1, max_size=4)
EDITS = st.lists(
    st.tuples(PATHS, st.sampled_from(["set", "drop", "rename", "copy"]), VALUES),
    min_size=1,
    max_size=4,
)


def edited(content: Any, edits: list[tuple[list[int], str, Any]]) -> Any:
    """JSON data after some edits: values set, dropped, renamed, or taken from elsewhere."""
    content = json.loads(json.dumps(content))
    for path, kind, value in edits:
        holder = content
        for step in path[:-1]:
            inner = _items(holder)
            if not inner:
                break
            candidate = holder[inner[step % len(inner)]]
            if not isinstance(candidate, dict | list) or not candidate:
                break
            holder = candidate
        keys = _items(holder)
        if not keys:
            continue
        key = keys[path[-1] % len(keys)]
        if kind == "set":
            holder[key] = value
        elif kind == "drop":
            del holder[key]
        elif kind == "copy":
            holder[key] = holder[keys[(path[-1] + 1) % len(keys)]]
        elif isinstance(holder, dict):
            holder[str(value)[:20]] = holder.pop(key)
    return content


def _items(holder: Any) -> list[Any]:
    if isinstance(holder, dict):
        return list(holder)
    return list(range(len(holder))) if isinstance(holder, list) else []


def try_many(
    name: str, strategy: st.SearchStrategy[Any], check: Callable[[Any], None], long: bool = False
) -> None:
    """Give ``check`` inputs for some seconds; the same ones first in every run.

    The time decides how many there are, not whether they pass.
    """
    end = time.monotonic() + (LONG_SECONDS if long else SECONDS)
    failed: list[Any] = []
    for turn in count():
        # Rounds, since a run of examples cannot be ended from within.
        @seed(turn)
        @settings(
            max_examples=ROUND,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def run(value: Any) -> None:
            if time.monotonic() > end and not failed:
                return
            TRIED[name] += 1
            try:
                check(value)
            except BaseException:
                failed.append(value)  # To be made smaller, however long that takes.
                raise

        run()
        if time.monotonic() >= end:
            return
