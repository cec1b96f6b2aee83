"""Arithmetic and conditions of sweep files: what they mean, refuse, and how far they reach."""

from __future__ import annotations

import numpy as np
import pytest

from hwgen.space.expressions import ExpressionError, parse

NUMBERS = ("a", "b", "pipeline.build")
WORDS = ("kind",)


@pytest.mark.parametrize(
    "text",
    ["a + 2 * b", "-a // 3 - b % 4", "min(a, b, 7) * max(a, 3)", "(a - b) // -2", "a % -5 + b"],
)
def test_arithmetic_is_pythons_and_stays_in_its_bounds(text):
    expression = parse(text, NUMBERS)
    a, b = np.meshgrid(np.arange(-6, 9), np.arange(1, 12))
    found = expression.value({"a": a, "b": b})
    low, high = expression.bounds({"a": (-6, 8), "b": (1, 11)})
    for place in np.ndindex(a.shape):
        one = {"a": int(a[place]), "b": int(b[place])}
        expected = eval(text, {"min": min, "max": max}, one)
        assert found[place] == expected == expression.value(one)
        assert low <= expected <= high


@pytest.mark.parametrize(
    "text",
    ["a < b <= 5", "a == b or not a != 2", "kind == 'lut' and a > 1", "kind != 'lut' or b >= a"],
)
def test_conditions_are_pythons(text):
    condition = parse(text, NUMBERS, WORDS, condition=True)
    a, b = np.meshgrid(np.arange(5), np.arange(7))
    for kind in ("lut", "signflip"):
        found = np.broadcast_to(condition.value({"a": a, "b": b, "kind": kind}), a.shape)
        for place in np.ndindex(a.shape):
            one = {"a": int(a[place]), "b": int(b[place]), "kind": kind}
            assert found[place] == eval(text, {}, one)


def test_names_are_those_of_axes_dotted_or_not():
    assert parse("max(a, pipeline.build) * 2", NUMBERS).names == {"a", "pipeline.build"}


REFUSED = {
    "a power": ("a ** b", "'a ** b' is more than axes, integers, "),
    "a division that leaves the integers": ("a / b", "'a / b' is more than axes, "),
    "a call": ("__import__('os')", "\"__import__('os')\" is more than axes"),
    "an attribute": ("a.__class__", "'a.__class__' should be an axis: one of a, b, "),
    "an unknown axis": ("a + c", "'c' should be an axis: one of a, b, pipeline.build"),
    "a float": ("a * 0.5", "'0.5' is more than axes"),
    "a truth": ("True + a", "'True' is more than axes"),
    "a lambda": ("(lambda: 1)()", "'(lambda: 1)()' is more than axes"),
    "a comprehension": ("max([a for a in b])", "max should have at least two arguments"),
    "a comparison": ("a < b", "should be an integer or an expression, not a truth"),
    "no expression": ("a +", "should be an integer or an expression over the axes"),
    "two lines": ("a\nb", "should be an integer or an expression over the axes"),
    "depth": ("(" * 400 + "a" + ")" * 400, "should be an integer or an expression over"),
    "length": ("a" + " + a" * 400, "should have at most 1000 characters"),
    "a word": ("kind", "'kind' should be an axis"),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_nothing_else_is_arithmetic(text, message):
    with pytest.raises(ExpressionError) as error:
        parse(text, NUMBERS)
    assert str(error.value).startswith(message)


def test_conditions_refuse_what_is_none():
    for text, message in {
        "a * b": "should be a condition such as 'tables * mu >= 64', not a number",
        "kind < 'lut'": "\"kind < 'lut'\": words are equal or not (== !=)",
        "kind == 1": "'1' should be a word, it is a number",
        "a and b > 1": "'a' should be a truth, it is a number",
        "a in (1, 2)": "'a in (1, 2)' is more than axes",
        "(a < b) + 1 > 2": "'a < b' should be a number, it is a truth",
    }.items():
        with pytest.raises(ExpressionError) as error:
            parse(text, NUMBERS, WORDS, condition=True)
        assert str(error.value).startswith(message), text


@pytest.mark.parametrize("text", ["a // b", "a % (b - 3)", "a // (a % 2)", "a // min(a, b)"])
def test_a_divisor_that_can_be_0_is_found_beforehand(text):
    ranges = {"a": (-2, 9), "b": (0, 5)}
    with pytest.raises(ExpressionError, match=r"can be 0 and divides$"):
        parse(text, NUMBERS).bounds(ranges)
    assert parse("a // max(b, 1)", NUMBERS).bounds(ranges) == (-2, 9)


def test_numbers_too_large_are_found_beforehand():
    with pytest.raises(ExpressionError, match=r"can reach .*, too large$"):
        parse("a * a * a * a * a", NUMBERS).bounds({"a": (1, 4096)})
    assert parse("a * a", NUMBERS).bounds({"a": (-3, 4096)})[1] == 4096**2
