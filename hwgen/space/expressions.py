"""Arithmetic and conditions over the axes of a sweep, such as ``2 * tables * mu``.

Parsed by `ast` and walked here, never executed: integers, names of axes, + - * // %, min and max;
in conditions also comparisons, and, or, not, and quoted words for the axes that hold words.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import product
from typing import Any

LARGEST = 1 << 53
"""No step may pass it: 64-bit integers, and the floats made of them, stay exact."""
LONGEST = 1000
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_EXTREMES: dict[str, Callable[[Any, Any], Any]] = {
    "min": lambda a, b: b + (a < b) * (a - b),
    "max": lambda a, b: b + (a > b) * (a - b),
}
Interval = tuple[int, int]


class ExpressionError(ValueError):
    """What an expression should be; the text follows where it is reported."""


@dataclass(frozen=True)
class Expression:
    """A parsed expression; ``names`` are the axes that it takes."""

    text: str
    tree: ast.expr
    names: frozenset[str]

    def value(self, values: Mapping[str, Any]) -> Any:
        """Of integers, or of integer arrays that broadcast; words are single ones."""
        return _value(self.tree, values)

    def bounds(self, ranges: Mapping[str, Interval]) -> Interval:
        """Least and largest value that axes in ``ranges`` can give, or beyond them; (0, 1) of a
        condition. ExpressionError if a divisor can be 0 or a number too large."""
        return _bounds(self.tree, ranges)


def parse(
    text: str, numbers: Collection[str], words: Collection[str] = (), *, condition: bool = False
) -> Expression:
    """An integer or a condition over axes of ``numbers`` and ``words``; ExpressionError else."""
    what = "a condition such as 'tables * mu >= 64'" if condition else "an integer or an expression"
    if len(text) > LONGEST:
        raise ExpressionError(f"should have at most {LONGEST} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ExpressionError(f"should be {what} over the axes") from None
    kind = _kind(tree, numbers, words)
    if kind != ("truth" if condition else "number"):
        raise ExpressionError(f"should be {what}, not a {kind}")
    found = (_name(node) for node in _operands(tree) if not isinstance(node, ast.Constant))
    return Expression(text.strip(), tree, frozenset(found))


def _name(node: ast.expr) -> str:
    return ast.unparse(node)


def _operands(node: ast.AST) -> Iterator[ast.expr]:
    """Names, dotted or not, and constants."""
    if isinstance(node, ast.Name | ast.Attribute | ast.Constant):
        yield node
    elif isinstance(node, ast.Call):
        for argument in node.args:
            yield from _operands(argument)
    else:
        for child in ast.iter_child_nodes(node):
            yield from _operands(child)


def _kind(node: ast.expr, numbers: Collection[str], words: Collection[str]) -> str:
    """``number``, ``word`` or ``truth``; ExpressionError for anything that is not allowed."""

    def expect(kind: str, *nodes: ast.expr) -> str:
        for part in nodes:
            if (found := _kind(part, numbers, words)) != kind:
                raise ExpressionError(f"{ast.unparse(part)!r} should be a {kind}, it is a {found}")
        return kind

    match node:
        case ast.Constant(value=value) if type(value) is int:
            return "number"
        case ast.Constant(value=str()):
            return "word"
        case ast.Name() | ast.Attribute():
            name = _name(node)
            if name in numbers:
                return "number"
            if name in words:
                return "word"
            known = ", ".join([*numbers, *words])
            raise ExpressionError(f"{name!r} should be an axis: one of {known}")
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return expect("number", operand)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return expect("truth", operand)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            return expect("number", left, right)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in _EXTREMES:
            if len(args) < 2:
                raise ExpressionError(f"{name} should have at least two arguments")
            return expect("number", *args)
        case ast.BoolOp(values=parts):
            expect("truth", *parts)
            return "truth"
        case ast.Compare(left=left, ops=ops, comparators=rest) if all(
            type(op) in _COMPARISONS for op in ops
        ):
            if _kind(left, numbers, words) == "word":
                expect("word", *rest)
                if not all(isinstance(op, ast.Eq | ast.NotEq) for op in ops):
                    raise ExpressionError(f"{ast.unparse(node)!r}: words are equal or not (== !=)")
            else:
                expect("number", left, *rest)
            return "truth"
    raise ExpressionError(
        f"{ast.unparse(node)!r} is more than axes, integers, + - * // % min max, comparisons, "
        "and, or, not"
    )


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, values)
        case ast.UnaryOp(operand=operand):
            return True ^ _value(operand, values)  # Of a bool and of an array of them alike.
        case ast.BinOp(left=left, op=op, right=right):
            return _ARITHMETIC[type(op)](_value(left, values), _value(right, values))
        case ast.Call(func=ast.Name(id=name), args=args):
            return reduce(_EXTREMES[name], [_value(argument, values) for argument in args])
        case ast.BoolOp(op=op, values=parts):
            join = operator.and_ if isinstance(op, ast.And) else operator.or_
            return reduce(join, [_value(part, values) for part in parts])
        case ast.Compare(left=left, ops=ops, comparators=rest):
            terms = [_value(part, values) for part in (left, *rest)]
            pairs = zip(ops, terms, terms[1:], strict=False)
            return reduce(operator.and_, [_COMPARISONS[type(op)](a, b) for op, a, b in pairs])
    return values[_name(node)]


def _bounds(node: ast.expr, ranges: Mapping[str, Interval]) -> Interval:
    found = _unlimited(node, ranges)
    if max(map(abs, found)) > LARGEST:
        raise ExpressionError(f"{ast.unparse(node)!r} can reach {max(found, key=abs)}, too large")
    return found


def _unlimited(node: ast.expr, ranges: Mapping[str, Interval]) -> Interval:
    match node:
        case ast.Constant(value=value):
            return (value, value) if type(value) is int else (0, 0)
        case ast.Name() | ast.Attribute():
            return ranges.get(_name(node), (0, 0))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            low, high = _bounds(operand, ranges)
            return -high, -low
        case ast.BinOp(left=left, op=op, right=right):
            a, b = _bounds(left, ranges), _bounds(right, ranges)
            if isinstance(op, ast.FloorDiv | ast.Mod) and b[0] <= 0 <= b[1]:
                raise ExpressionError(f"{ast.unparse(right)!r} can be 0 and divides")
            if isinstance(op, ast.Mod):
                return (0, b[1] - 1) if b[0] > 0 else (b[0] + 1, 0)
            # Each is monotonic in either operand, so that corners hold the extremes.
            corners = [_ARITHMETIC[type(op)](x, y) for x, y in product(a, b)]
            return min(corners), max(corners)
        case ast.Call(func=ast.Name(id=name), args=args):
            parts = [_bounds(argument, ranges) for argument in args]
            pick = min if name == "min" else max
            return pick(low for low, _ in parts), pick(high for _, high in parts)
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            _bounds(child, ranges)
    return 0, 1
