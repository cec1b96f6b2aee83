"""Lines: how they are broken."""

from __future__ import annotations

import pytest

from hwgen.verilog.layout import LONGEST_LINE, comment, wrapped

LONG = {
    "concatenation": "  assign all = {" + ", ".join(f"part_{i}[31:0]" for i in range(40)) + "};",
    "operators": "  assign o = " + " | ".join(f"({'a' * 9} & x{i})" for i in range(20)) + ";",
    "one_long_word": "  " + "x" * 150 + " y;",
    "no_space_at_all": "x" * 150,
    "long_word_behind": "  assign x = " + "y" * 120 + ";",
}


@pytest.mark.parametrize("line", LONG.values(), ids=LONG)
def test_the_words_stay(line):
    lines = wrapped(line).split("\n")
    assert " ".join(part.strip() for part in lines) == line.strip()
    for part in lines:
        assert len(part) <= LONGEST_LINE or " " not in part.strip()
    assert lines[0].startswith(line[:2])
    indent = len(line) - len(line.lstrip()) + 2
    assert all(part.startswith(" " * indent) for part in lines[1:])


def test_a_short_line_stays():
    assert wrapped("  a" * 30) == "  a" * 30


def test_it_breaks_outside_brackets():
    left, right = (f"{{{name * 20}, {name * 20}, 1'h1}}" for name in "ab")
    line = f"  assign {{sum, unused_sum}} = {left} + {right};"
    assert len(line) > LONGEST_LINE
    assert wrapped(line).split("\n")[1].strip() == f"{right};"


def test_comments_keep_their_indents():
    text = "one\n  " + "two " * 40 + "\n\nthree"
    lines = comment(text)
    assert lines[0] == "// one"
    assert lines[1].startswith("//   two")
    assert lines[2].startswith("//   two")
    assert lines[-2:] == ["//", "// three"]
    assert max(map(len, lines)) <= LONGEST_LINE
