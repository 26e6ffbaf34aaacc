"""The tree of an expression, as `promql_parser` reads it, and the few questions asked of it."""

import math
from collections.abc import Callable, Iterator
from typing import Final

import promql_parser
from promql_parser import (
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    SubqueryExpr,
    UnaryExpr,
    ValueType,
)

from readiness.model.errors import NoData

COMPARISONS: Final = frozenset({"==", "!=", ">", "<", ">=", "<="})
SETS: Final = frozenset({"and", "or", "unless"})
_SHOWN: Final = 200

# Prometheus 2 has it; the parser knows the name that version 3 gave it.
promql_parser.register_extra_functions(
    [
        promql_parser.Function(
            "holt_winters",
            [ValueType.Matrix, ValueType.Scalar, ValueType.Scalar],
            ValueType.Vector,
        )
    ]
)


def parse(expression: str) -> Expr:
    """The tree of an expression.

    Raises:
        NoData: it cannot be read.
    """
    try:
        return promql_parser.parse(expression)
    except ValueError as problem:
        raise NoData(
            f"the expression cannot be read: {_shown(str(problem))}",
            where=_shown(expression),
            remedy="promtool check rules shows whether Prometheus can read it; experimental"
            " PromQL is not judged",
        ) from None


def _shown(text: str) -> str:
    """Foreign text on one line, of characters that only print."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN - 1]}…"


def bare(node: Expr) -> Expr:
    """The expression without the parentheses around it."""
    while isinstance(node, ParenExpr):
        node = node.expr
    return node


def operator(node: BinaryExpr) -> str:
    """Its operator, as it is written."""
    return str(node.op)


def children(node: Expr) -> Iterator[Expr]:
    """The expressions right below; a range's selector is no expression of its own."""
    match node:
        case BinaryExpr():
            yield node.lhs
            yield node.rhs
        case Call():
            yield from (argument for argument in node.args if isinstance(argument, Expr))
        case AggregateExpr():
            if isinstance(node.param, Expr):
                yield node.param
            yield node.expr
        case ParenExpr() | UnaryExpr() | SubqueryExpr():
            yield node.expr
        case MatrixSelector():
            yield node.vector_selector


def descend(node: Expr) -> Iterator[Expr]:
    """The expression and all below it."""
    yield node
    for child in children(node):
        yield from descend(child)


_ARITHMETIC: Final[dict[str, Callable[[float, float], float]]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "%": math.fmod,
    "^": lambda a, b: float(a**b),
}


def number(node: Expr) -> float | None:
    """The number that an expression of literals alone gives, as `3 * 1000`; None for others."""
    match bare(node):
        case NumberLiteral() as literal:
            return literal.val
        case UnaryExpr() as negated:
            positive = number(negated.expr)
            return None if positive is None else -positive
        case Call(func=function, args=[argument]) if function.name in {"scalar", "vector"}:
            return number(argument)
        case BinaryExpr() as binary:
            return _calculated(binary)
        case _:
            return None


def _calculated(node: BinaryExpr) -> float | None:
    calculate = _ARITHMETIC.get(operator(node))
    left, right = number(node.lhs), number(node.rhs)
    if calculate is None or left is None or right is None:
        return None
    try:
        return calculate(left, right)
    except (ArithmeticError, ValueError, TypeError):
        return None  # Prometheus would give NaN or infinity: no bound at all
