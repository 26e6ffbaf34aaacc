"""Which values an expression can have, and so which comparisons never hold or always do."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeGuard

from promql_parser import (
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    MatrixSelector,
    StringLiteral,
    SubqueryExpr,
    UnaryExpr,
    VectorSelector,
)

from readiness.areas.alerting.promql import (
    COMPARISONS,
    SETS,
    Selector,
    bare,
    descend,
    number,
    operator,
    selector_of,
)

Kinds = Mapping[str, str]
"""The type of each metric, as its exporter declares it: `counter`, `gauge`, `histogram`, ..."""

_INF: Final = math.inf


@dataclass(frozen=True, slots=True)
class Values:
    """All values from `low` to `high`; none if `low` is above `high`."""

    low: float = -_INF
    high: float = _INF
    never: str = ""  # why there are none

    @property
    def none(self) -> bool:
        """Whether the expression never has a value."""
        return self.low > self.high

    def always(self, op: str, bound: float) -> bool:
        """Whether a comparison holds for every value."""
        return not self.none and {
            ">": self.low > bound,
            ">=": self.low >= bound,
            "<": self.high < bound,
            "<=": self.high <= bound,
            "==": self.low == self.high == bound,
            "!=": bound < self.low or bound > self.high,
        }.get(op, False)

    def where(self, op: str, bound: "Values") -> "Values":
        """Those for which the comparison with some value of `bound` can hold."""
        low, high = self.low, self.high
        if (op == ">" and high <= bound.low) or (op == "<" and low >= bound.high):
            return Values(1, 0)
        if op in {">", ">=", "=="}:
            low = max(low, bound.low)
        if op in {"<", "<=", "=="}:
            high = min(high, bound.high)
        only = low == high == bound.low == bound.high
        return Values(1, 0) if op == "!=" and only else Values(low, high)

    def __str__(self) -> str:
        if self.low == self.high:
            return f"is always {self.low:g}"
        if math.isinf(self.high):
            return f"is never below {self.low:g}"
        if math.isinf(self.low):
            return f"is never above {self.high:g}"
        return f"is between {self.low:g} and {self.high:g}"


_ANY: Final = Values()
_POSITIVE: Final = Values(0.0)
_COUNT: Final = Values(1.0)
_ONE: Final = Values(1.0, 1.0)
_UNIT: Final = Values(0.0, 1.0)

_STATES: Final = re.compile(
    r"up|probe_success|(pg|mysql|redis|mongodb|haproxy|nginx|apache|memcached|rabbitmq|consul)_up"
)
_COUNTED: Final = ("_total", "_count", "_bucket")
_SAME: Final = frozenset({"min", "max", "avg", "topk", "bottomk", "limitk", "limit_ratio"})
_THROUGH: Final = frozenset(
    {"sort", "sort_desc", "sort_by_label", "sort_by_label_desc", "label_replace", "label_join",
     "vector", "scalar", "avg_over_time", "min_over_time", "max_over_time", "last_over_time"}
)  # fmt: skip
_GROWTH: Final = frozenset({"rate", "irate", "increase"})
_FIXED: Final[Mapping[str, Values]] = {
    "absent": _ONE,
    "absent_over_time": _ONE,
    "present_over_time": _ONE,
    "count_over_time": _COUNT,
    "changes": _POSITIVE,
    "resets": _POSITIVE,
    "stddev_over_time": _POSITIVE,
    "stdvar_over_time": _POSITIVE,
    "exp": _POSITIVE,
    "sqrt": _POSITIVE,
    "time": _POSITIVE,
    "sgn": Values(-1.0, 1.0),
    "minute": Values(0.0, 59.0),
    "hour": Values(0.0, 23.0),
    "day_of_week": Values(0.0, 6.0),
    "day_of_month": Values(1.0, 31.0),
    "day_of_year": Values(1.0, 366.0),
    "days_in_month": Values(28.0, 31.0),
    "month": Values(1.0, 12.0),
}
_GROUPED: Final[Mapping[str, Values]] = {
    "count": _COUNT,
    "count_values": _COUNT,
    "group": _ONE,
    "stddev": _POSITIVE,
    "stdvar": _POSITIVE,
}


def declared(metric: str, kinds: Kinds) -> str:
    """The type of a metric; "" if unknown. A summary's quantiles are values like a gauge's."""
    found = kinds.get(metric, "")
    if found:
        return "gauge" if found == "summary" else found
    for suffix in ("_total", "_created", "_bucket", "_count", "_sum"):
        family = kinds.get(metric.removesuffix(suffix), "") if metric.endswith(suffix) else ""
        if family:
            return "gauge" if suffix == "_created" else "counter" if family != "gauge" else ""
    return ""


def possible(node: Expr, kinds: Kinds) -> Values:
    """The values that an expression can have, whatever happens; all where that is not known."""
    plain, node, found = number(node), bare(node), _ANY
    if plain is not None:
        return Values(plain, plain)
    match node:
        case VectorSelector():
            found = _selected(selector_of(node), kinds)
        case MatrixSelector(vector_selector=inner) | SubqueryExpr(expr=inner):
            found = possible(inner, kinds)
        case UnaryExpr():
            found = _minus(Values(0.0, 0.0), possible(node.expr, kinds))
        case Call():
            found = _called(node, kinds)
        case AggregateExpr():
            found = _aggregated(node, kinds)
        case BinaryExpr():
            found = _combined(node, kinds)
    return found


def _selected(selector: Selector, kinds: Kinds) -> Values:
    if selector.metric == "ALERTS":
        return _ONE
    if _STATES.fullmatch(selector.metric):
        return _UNIT
    negative = selector.metric.endswith("_sum")  # of observations that may be negative
    counts = declared(selector.metric, kinds) == "counter" and not negative
    return _POSITIVE if counts else _ANY


def _is_counted(node: Expr, kinds: Kinds) -> bool:
    """Whether the series of a range only grow, but for resets."""
    node = bare(node)
    if not isinstance(node, MatrixSelector):
        return False
    metric = selector_of(node.vector_selector).metric
    kind = declared(metric, kinds)
    return kind == "counter" or (not kind and metric.endswith(_COUNTED))


def _called(node: Call, kinds: Kinds) -> Values:
    name, inner = node.func.name, [a for a in node.args if isinstance(a, Expr)]
    if name in _FIXED:
        return _FIXED[name]
    if name == "histogram_quantile":
        lost = lost_bucket(node)
        return _never(lost) if lost else _ANY
    if not inner:
        return _ANY
    if name in _GROWTH:
        return _POSITIVE if _is_counted(inner[0], kinds) else _ANY
    below = possible(inner[0], kinds)
    through = below.none or name in _THROUGH
    return below if through else _changed(name, below, [number(a) for a in inner[1:]])


def _changed(name: str, below: Values, given: Sequence[float | None]) -> Values:
    """Of a function of one value, and of the numbers given beside it."""
    found = _ANY
    match name, given:
        case "sum_over_time", []:
            found = _summed(below)
        case "abs", []:
            mixed = below.low <= 0 <= below.high
            ends = sorted([abs(below.low), abs(below.high)])
            found = Values(0.0 if mixed else ends[0], ends[1])
        case "clamp_min", [float(least)]:
            found = Values(max(below.low, least), max(below.high, least))
        case "clamp_max", [float(most)]:
            found = Values(min(below.low, most), min(below.high, most))
        case "clamp", [float(least), float(most)] if least <= most:
            low, high = (min(max(end, least), most) for end in (below.low, below.high))
            found = Values(low, high)
        case "floor" | "ceil" | "round", []:
            found = Values(_whole(math.floor, below.low), _whole(math.ceil, below.high))
    return found


def _whole(rounded: Callable[[float], float], value: float) -> float:
    return value if math.isinf(value) else float(rounded(value))


def _aggregated(node: AggregateExpr, kinds: Kinds) -> Values:
    name, below = str(node.op), possible(node.expr, kinds)
    if below.none:
        return below
    if name in _GROUPED:
        return _GROUPED[name]
    if name == "sum":
        return _summed(below)
    share = number(node.param) if name == "quantile" and isinstance(node.param, Expr) else None
    return below if name in _SAME or (share is not None and 0 <= share <= 1) else _ANY


def _summed(one: Values) -> Values:
    """Of at least one value."""
    low = one.low if one.low >= 0 else -_INF
    high = one.high if one.high <= 0 else _INF
    return Values(low, high, one.never)


def _combined(node: BinaryExpr, kinds: Kinds) -> Values:
    left, right, symbol = possible(node.lhs, kinds), possible(node.rhs, kinds), operator(node)
    if symbol == "or":
        return _either(left, right)
    if symbol == "unless":
        return _reduced(node, left)
    if left.none or right.none:
        return left if left.none else right
    if symbol == "and":
        return _contradicted(node, kinds) or left
    if symbol in COMPARISONS:
        return _compared(node, left, right)
    related = _related(node, kinds) if symbol == "/" else None
    return related or _ARITHMETIC.get(symbol, _unknown)(left, right)


def _related(division: BinaryExpr, kinds: Kinds) -> Values | None:
    """Of two figures of the same series; None if they are of different ones."""
    return _UNIT if is_share(division, kinds) else _averaged(division, kinds)


def _averaged(division: BinaryExpr, kinds: Kinds) -> Values | None:
    """`sum(x) / count(x)`, in space or over time, lies among the values of x."""
    match bare(division.lhs), bare(division.rhs):
        case AggregateExpr(expr=one) as total, AggregateExpr(expr=other) as number_of:
            names = (str(total.op), str(number_of.op))
            same = str(total.modifier) == str(number_of.modifier)
            if names == ("sum", "count") and same and one.prettify() == other.prettify():
                return possible(one, kinds)
        case Call(args=[one]) as total, Call(args=[other]) as number_of:
            names = (total.func.name, number_of.func.name)
            over_time = names == ("sum_over_time", "count_over_time")
            if over_time and one.prettify() == other.prettify():
                return possible(one, kinds)
    return None


def _unknown(_left: Values, _right: Values) -> Values:
    return _ANY


def _either(left: Values, right: Values) -> Values:
    if left.none or right.none:
        return right if left.none else left
    return Values(min(left.low, right.low), max(left.high, right.high))


def _compared(node: BinaryExpr, left: Values, right: Values) -> Values:
    """The values of the vector that pass; of two vectors, those of the left one."""
    swapped = number(node.lhs) is not None
    inner, bound = (right, left) if swapped else (left, right)
    op = mirrored(operator(node)) if swapped else operator(node)
    passed = inner.where(op, bound)
    if node.modifier and node.modifier.return_bool:
        return _UNIT
    if not passed.none:
        return passed
    compared = bare(node.rhs if swapped else node.lhs).prettify()
    return _never(f"{node.prettify()} never holds: {compared} {inner}")


def _reduced(node: BinaryExpr, left: Values) -> Values:
    """What `unless` leaves of its left side."""
    if left.none or not _removes_itself(node, left):
        return left
    return _never(f"{node.prettify()} gives nothing: what is on the left is on the right, too")


def _removes_itself(node: BinaryExpr, left: Values) -> bool:
    """Whether `x > 10 unless x` takes away all that it gives, or `x > 10 unless x > 5`."""
    removed, kept = bare(node.rhs), bare(node.lhs)
    texts = [kept.prettify()]
    while _is_filter(kept):
        kept = bare(kept.lhs)
        texts.append(kept.prettify())
    if removed.prettify() in texts:
        return True
    if not _is_filter(removed) or bare(removed.lhs).prettify() != kept.prettify():
        return False
    bound = number(removed.rhs)
    return bound is not None and left.always(operator(removed), bound)


def _is_filter(node: object) -> TypeGuard[BinaryExpr]:
    """Whether it drops what a comparison with a number does not hold for."""
    return (
        isinstance(node, BinaryExpr)
        and operator(node) in COMPARISONS
        and number(node.rhs) is not None
        and not (node.modifier and node.modifier.return_bool)
    )


def _contradicted(node: BinaryExpr, kinds: Kinds) -> Values | None:
    """`x > 10 and x < 5`: of the same series, if the operator matches on all labels."""
    if node.modifier and node.modifier.matching:
        return None
    first, second = bare(node.lhs), bare(node.rhs)
    if not (_is_filter(first) and _is_filter(second)):
        return None
    if first.lhs.prettify() != second.lhs.prettify():
        return None
    never = any(
        possible(one, kinds).where(operator(other), possible(other.rhs, kinds)).none
        for one, other in ((first, second), (second, first))
    )
    return _never(f"{node.prettify()} contradicts itself") if never else None


_MIRRORED: Final = {">": "<", "<": ">", ">=": "<=", "<=": ">="}


def mirrored(op: str) -> str:
    """The operator that says the same with its sides exchanged."""
    return _MIRRORED.get(op, op)


def _never(why: str) -> Values:
    return Values(1.0, 0.0, why)


def _plus(left: Values, right: Values) -> Values:
    return Values(left.low + right.low, left.high + right.high)


def _minus(left: Values, right: Values) -> Values:
    return Values(left.low - right.high, left.high - right.low)


def _times(left: Values, right: Values) -> Values:
    ends = [
        0.0 if 0 in (a, b) else a * b
        for a in (left.low, left.high)
        for b in (right.low, right.high)
    ]
    return Values(min(ends), max(ends))


def _over(left: Values, right: Values) -> Values:
    """A division by what may be 0 gives infinity or NaN, for which no comparison holds."""
    if right.low == right.high != 0 and not math.isinf(right.low):
        return _times(left, Values(1 / right.low, 1 / right.low))
    return _POSITIVE if left.low >= 0 and right.low >= 0 else _ANY


_ARITHMETIC: Final[Mapping[str, Callable[[Values, Values], Values]]] = {
    "+": _plus, "-": _minus, "*": _times, "/": _over,
}  # fmt: skip

_PART: Final = re.compile(r"(free|avail(able)?)", re.IGNORECASE)
_WHOLE: Final = re.compile(r"(total|size|capacity)", re.IGNORECASE)


def is_share(division: BinaryExpr, kinds: Kinds) -> bool:
    """Whether it divides something by the same over more series, and so gives 1 at most."""
    part, whole = bare(division.lhs), bare(division.rhs)
    match part, whole:
        case AggregateExpr(), AggregateExpr():
            name = str(part.op)
            same = name == str(whole.op) and str(part.modifier) == str(whole.modifier)
            alike = same and name in {"sum", "count"} and _is_part(part.expr, whole.expr)
            return alike and (name == "count" or _is_positive(part.expr, kinds))
        case Call(), Call():
            return _is_part(part, whole) and _is_positive(part, kinds)
        case _:
            return _is_part_of_device(part, whole)


def _is_positive(node: Expr, kinds: Kinds) -> bool:
    return possible(node, kinds).low >= 0


def _is_part(part: Expr, whole: Expr) -> bool:
    """Whether both are of one shape, and the first one's selectors demand at least as much."""
    part, whole = bare(part), bare(whole)
    match part, whole:
        case VectorSelector(), VectorSelector():
            few, all_of_them = selector_of(part), selector_of(whole)
            at = (few.metric, few.offset_s, few.alternatives)
            return (
                bool(few.metric)
                and at == (all_of_them.metric, all_of_them.offset_s, all_of_them.alternatives)
                and set(all_of_them.matches) <= set(few.matches)
            )
        case MatrixSelector(), MatrixSelector():
            return part.range == whole.range and _is_part(
                part.vector_selector, whole.vector_selector
            )
        case BinaryExpr(), _ if operator(part) in COMPARISONS and number(part.rhs) is not None:
            is_bool = part.modifier is not None and part.modifier.return_bool
            return not is_bool and _is_part(part.lhs, whole)
        case Call(func=function, args=[one]), Call(func=other, args=[all_of_it]):
            return function.name == other.name in _GROWTH and _is_part(one, all_of_it)
        case _:
            return False


def _is_part_of_device(part: Expr, whole: Expr) -> bool:
    """`node_filesystem_avail_bytes / node_filesystem_size_bytes`, of the same labels."""
    if not isinstance(part, VectorSelector) or not isinstance(whole, VectorSelector):
        return False
    few, all_of_it = selector_of(part), selector_of(whole)
    stem, size = _PART.sub("*", few.metric), _WHOLE.sub("*", all_of_it.metric)
    memory = (few.metric, all_of_it.metric) == (
        "node_memory_MemAvailable_bytes", "node_memory_MemTotal_bytes"
    )  # fmt: skip
    return memory or ("*" in stem and stem == size)


def lost_bucket(node: Call) -> str:
    """Why a quantile of a classic histogram has no buckets; "" if it has.

    A native histogram has no label `le`, and no metric that ends in `_bucket`.
    """
    inner = next((a for a in node.args if isinstance(a, Expr) and number(a) is None), None)
    at = bare(inner) if inner else None
    classic = inner is not None and any(
        selector_of(n).metric.endswith("_bucket")
        for n in descend(inner)
        if isinstance(n, VectorSelector)
    )
    while classic and isinstance(at, AggregateExpr):
        if _drops(at, "le"):
            return f"{_head(at)} drops `le`, and histogram_quantile() then gives nothing"
        at = bare(at.expr)
    return ""


def _drops(node: AggregateExpr, label: str) -> bool:
    if str(node.op) in {"topk", "bottomk", "limitk", "limit_ratio"}:
        return False
    if node.modifier is None:
        return True
    return (label in node.modifier.labels) is not (node.modifier.type == AggModifierType.By)


def _head(node: AggregateExpr) -> str:
    return f"{node.op} {node.modifier} (...)" if node.modifier else f"{node.op}(...)"


def has_condition(node: Expr, kinds: Kinds) -> bool:
    """Whether an expression has values only while something is the case."""
    node = bare(node)
    if isinstance(node, VectorSelector):
        return selector_of(node).metric == "ALERTS"
    if isinstance(node, Call) and node.func.name.startswith("absent"):
        return True
    if not isinstance(node, BinaryExpr):
        return any(has_condition(child, kinds) for child in _below(node))
    sides = [has_condition(side, kinds) for side in (node.lhs, node.rhs)]
    symbol = operator(node)
    if symbol in SETS:
        return all(sides) if symbol == "or" else True
    if symbol in COMPARISONS and not (node.modifier and node.modifier.return_bool):
        return any(sides) or not _always_holds(node, kinds)
    return any(sides)


def _below(node: Expr) -> list[Expr]:
    match node:
        case Call():
            return [a for a in node.args if isinstance(a, Expr)]
        case AggregateExpr() | UnaryExpr() | SubqueryExpr():
            return [node.expr]
        case _:
            return []


def _always_holds(node: BinaryExpr, kinds: Kinds) -> bool:
    left, right = number(node.lhs), number(node.rhs)
    if right is not None:
        return possible(node.lhs, kinds).always(operator(node), right)
    return left is not None and possible(node.rhs, kinds).always(mirrored(operator(node)), left)


def is_constant(node: Expr, kinds: Kinds) -> bool:
    """Whether an expression has a value whatever the series are."""
    node = bare(node)
    inner = [n for n in _below(node) if not isinstance(bare(n), StringLiteral)]
    constant = number(node) is not None
    match node:
        case Call(func=function) if not inner:
            constant = constant or function.name == "time"
        case Call(func=function) if function.name.startswith("absent"):
            constant = False
        case Call() | UnaryExpr() | AggregateExpr():
            constant = all(is_constant(n, kinds) for n in inner)
        case BinaryExpr():
            constant = constant or _is_constant_pair(node, kinds)
    return constant


def _is_constant_pair(node: BinaryExpr, kinds: Kinds) -> bool:
    sides = [is_constant(side, kinds) for side in (node.lhs, node.rhs)]
    symbol = operator(node)
    if symbol in SETS:
        return symbol == "or" and any(sides)
    filters = symbol in COMPARISONS and not (node.modifier and node.modifier.return_bool)
    return all(sides) and (not filters or _always_holds(node, kinds))
