"""The numbers that an expression compares with, and their units."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

from promql_parser import BinaryExpr, Expr

from readiness.areas.alerting.promql.tree import COMPARISONS, bare, number, operator, parse
from readiness.model.errors import NoData

Direction = Literal["above", "below", "equals", "differs"]
_MIRRORED: Final = {">": "<", "<": ">", ">=": "<=", "<=": ">=", "==": "==", "!=": "!="}
_DIRECTIONS: Final[dict[str, Direction]] = {
    ">": "above",
    ">=": "above",
    "<": "below",
    "<=": "below",
    "==": "equals",
    "!=": "differs",
}


@dataclass(frozen=True, slots=True)
class Bound:
    """One comparison of something with a number.

    Attributes:
        op: the operator, as it reads with the number on the right: `0.75 < x` has `>`.
        value: the number.
        subject: what is compared, as PromQL.
        number_on_left: whether the number stands on the left, as in `0.75 < x`.
        is_bool: whether it has the modifier `bool`: it then always gives a value, 0 or 1, and
            an alert rule fires on both.
        joined: `and`, `or` or `unless` where it is one of several; else "".
        text: the whole comparison, as PromQL.
    """

    op: str
    value: float
    subject: str
    number_on_left: bool
    is_bool: bool
    joined: str
    text: str

    @property
    def direction(self) -> Direction:
        """On which side of the number it holds."""
        return _DIRECTIONS[self.op]

    def __str__(self) -> str:
        return f"{self.op} {'bool ' if self.is_bool else ''}{self.value:g}"


def bounds(expression: str) -> tuple[Bound, ...]:
    """The comparisons that decide whether an expression gives something, in their order.

    They are found through parentheses, `and`, `or` and `unless`, and on the left of another
    comparison (`x > 3 < 10`). Those below a function or an aggregation, as in `count(x > 3)`,
    only choose what is counted, and are left out.

    Raises:
        NoData: the expression cannot be read.
    """
    return tuple(_bounds(parse(expression), ""))


def subject_of(node: BinaryExpr) -> Expr:
    """What a comparison with a number compares."""
    return bare(node.lhs) if number(node.rhs) is not None else bare(node.rhs)


def _bounds(node: Expr, joined: str) -> Iterator[Bound]:
    node = bare(node)
    if not isinstance(node, BinaryExpr):
        return
    symbol = operator(node)
    if symbol in COMPARISONS:
        yield from _bounds(node.lhs, joined or "and")
        yield from _compared(node, joined)
    elif symbol in {"and", "or", "unless"}:
        yield from _bounds(node.lhs, joined or symbol)
        if symbol != "unless":  # on its right stands when it must not fire
            yield from _bounds(node.rhs, joined or symbol)


def _compared(node: BinaryExpr, joined: str) -> Iterator[Bound]:
    left, right = number(node.lhs), number(node.rhs)
    value = left if right is None else right
    if value is None or (left is not None and right is not None):
        return
    yield Bound(
        op=_MIRRORED[operator(node)] if right is None else operator(node),
        value=value,
        subject=subject_of(node).prettify(),
        number_on_left=right is None,
        is_bool=node.modifier is not None and node.modifier.return_bool,
        joined=joined,
        text=node.prettify(),
    )


# unit -> what it measures, and how many of the smallest or plainest unit it is
_UNITS: Final[dict[str, tuple[str, Fraction]]] = {
    "s": ("time", Fraction(1)),
    "ms": ("time", Fraction(1, 1000)),
    "min": ("time", Fraction(60)),
    "h": ("time", Fraction(3600)),
    "ratio": ("share", Fraction(1)),
    "percent": ("share", Fraction(1, 100)),
    "bytes": ("size", Fraction(1)),
    "kB": ("size", Fraction(10**3)),
    "MB": ("size", Fraction(10**6)),
    "GB": ("size", Fraction(10**9)),
    "count": ("count", Fraction(1)),
    "1/h": ("rate", Fraction(1)),
}


def converted(value: float, unit: str, wanted: str) -> float:
    """A value in another unit, exact to the last digit that a float has.

    Raises:
        NoData: the two units measure different things.
    """
    (kind, size), (other, step) = _UNITS[unit], _UNITS[wanted]
    if kind != other:
        raise NoData(
            f"{unit} cannot be converted to {wanted}",
            where="[alerting.rules]",
            remedy="write `unit` and `metric_unit` of one kind: s and ms, ratio and percent, ...",
        )
    return float(Fraction(repr(float(value))) * size / step)
