"""Which labels the result of an expression can have, as far as the expression tells it."""

import re
from collections.abc import Iterable
from typing import Final

from promql_parser import (
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    LabelModifierType,
    UnaryExpr,
)

from readiness.areas.alerting.promql.selectors import selectors
from readiness.areas.alerting.promql.tree import COMPARISONS, SETS, bare, number, operator, parse

_REFERENCE: Final = re.compile(
    r"""(?:\$labels|\.Labels)\.(?P<plain>[a-zA-Z_][a-zA-Z0-9_]*)
      | index\s+(?:\$labels|\.Labels)\s+"(?P<indexed>[^"]*)" """,
    re.VERBOSE,
)
_KEEP_ALL: Final = frozenset({"topk", "bottomk", "limitk", "limit_ratio"})
# Functions that change labels in a way that only their arguments tell.
_RELABEL: Final = frozenset({"label_replace", "label_join", "info"})
_NONE: Final = frozenset({"vector", "scalar", "time", "pi"})


def referenced_labels(template: str) -> frozenset[str]:
    """The labels of the expression's result that a template writes out."""
    return frozenset(found["plain"] or found["indexed"] for found in _REFERENCE.finditer(template))


def possible_labels(expression: str) -> frozenset[str] | None:
    """The labels that the result can have; None where only the series tell it.

    Raises:
        NoData: the expression cannot be read.
    """
    return _labels(parse(expression))


def _labels(node: Expr) -> frozenset[str] | None:
    node = bare(node)
    if number(node) is not None:
        return frozenset()
    match node:
        case AggregateExpr():
            return _aggregated(node)
        case BinaryExpr():
            return _joined(node)
        case UnaryExpr():
            return _labels(node.expr)
        case Call():
            return _called(node)
        case _:
            return None


def _aggregated(node: AggregateExpr) -> frozenset[str] | None:
    if str(node.op) in _KEEP_ALL:
        return _labels(node.expr)
    if node.modifier is None:
        kept: frozenset[str] | None = frozenset()
    elif node.modifier.type == AggModifierType.By:
        kept = frozenset(node.modifier.labels)
    else:
        below = _labels(node.expr)
        kept = None if below is None else below - set(node.modifier.labels)
    if str(node.op) == "count_values" and isinstance(node.param, str) and kept is not None:
        return kept | {node.param}
    return None if str(node.op) == "count_values" else kept


def _joined(node: BinaryExpr) -> frozenset[str] | None:
    symbol = operator(node)
    if symbol in SETS - {"or"} or number(node.rhs) is not None:
        return _labels(node.lhs)
    if number(node.lhs) is not None:
        return _labels(node.rhs)
    modifier = node.modifier
    if symbol == "or" or modifier is None:
        return _union([_labels(node.lhs), _labels(node.rhs)])
    filters = symbol in COMPARISONS and not modifier.return_bool
    if filters or modifier.group_labels is not None or modifier.matching is None:
        return None
    by_name = modifier.matching.type == LabelModifierType.Include
    return frozenset(modifier.matching.labels) if by_name else None


def _called(node: Call) -> frozenset[str] | None:
    if node.func.name in _RELABEL:
        return None
    if node.func.name in _NONE or not node.args:
        return frozenset()
    if node.func.name in {"absent", "absent_over_time"}:
        found = selectors(node.prettify())
        return frozenset(m.name for s in found for m in s.matches if m.op == "=")
    inner = [argument for argument in node.args if isinstance(argument, Expr)]
    return _union([_labels(argument) for argument in inner if number(argument) is None])


def _union(parts: Iterable[frozenset[str] | None]) -> frozenset[str] | None:
    together: frozenset[str] = frozenset()
    for part in parts:
        if part is None:
            return None
        together |= part
    return together
