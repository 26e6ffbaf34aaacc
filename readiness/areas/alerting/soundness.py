"""What an alert rule is by its text alone: whether it can fire and end, and stays one alert."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from promql_parser import AggregateExpr, BinaryExpr, Call, Expr, MatrixSelector, VectorSelector

from readiness.areas.alerting.possible import (
    Kinds,
    declared,
    has_condition,
    is_constant,
    mirrored,
    possible,
)
from readiness.areas.alerting.promql import (
    COMPARISONS,
    SETS,
    bare,
    descend,
    number,
    operator,
    parse,
    selector_of,
)
from readiness.lib.durations import prometheus_text
from readiness.lib.prometheus.replies import Rule


def never_fires(rule: Rule, kinds: Kinds, lookback_s: float = 300) -> str:
    """Why a rule can never fire, whatever its series are; "" if it can.

    Args:
        rule: its expression is read.
        kinds: the types of the metrics.
        lookback_s: the age at which Prometheus no longer gives a sample, by default its own.

    Raises:
        NoData: its expression cannot be read; so do all functions here that take a rule.
    """
    tree = parse(rule.query)
    never = possible(tree, kinds).never
    return never or _too_short(tree, rule.for_s) or _too_old(tree, lookback_s)


def _too_old(tree: Expr, lookback_s: float) -> str:
    """Why `time() - timestamp(x) > 3600` never holds; "" if nothing of the kind is compared."""
    node = bare(tree)
    if not isinstance(node, BinaryExpr):
        return ""
    if operator(node) == "and":
        return _too_old(node.lhs, lookback_s) or _too_old(node.rhs, lookback_s)
    inner, op, bound = _read(node)
    scale = _sample_age(inner)
    if op not in {">", ">="} or bound is None or not scale or bound < lookback_s * scale:
        return ""
    return (
        f"{node.prettify()} never holds: Prometheus gives no sample that is older than"
        f" {prometheus_text(lookback_s)}"
    )


def _sample_age(node: Expr) -> float:
    """What a second adds to an age of samples; 0 if it is no such value."""
    node = bare(node)
    if isinstance(node, AggregateExpr) and str(node.op) in {"min", "max", "avg"}:
        return _sample_age(node.expr)
    if not isinstance(node, BinaryExpr):
        return 0.0
    if operator(node) == "-":
        return 1.0 if _is_clock(node.lhs) and _is_sample_time(node.rhs) else 0.0
    factor = number(node.rhs)
    if operator(node) not in {"*", "/"} or factor is None or factor <= 0:
        return 0.0
    return _sample_age(node.lhs) * (factor if operator(node) == "*" else 1 / factor)


def _is_sample_time(node: Expr) -> bool:
    node = bare(node)
    if isinstance(node, AggregateExpr) and str(node.op) in {"min", "max", "avg"}:
        return _is_sample_time(node.expr)
    match node:
        case Call(func=function, args=[VectorSelector() as inner]):
            return function.name == "timestamp" and not inner.offset and not inner.at
    return False


_BEGINNINGS: Final = re.compile(r"(start_time|boot_time|_created)(_seconds)?$")
# What a second adds to an uptime, by the unit in its name; SNMP counts hundredths.
_PER_SECOND: Final = (
    (re.compile(r"sysuptime", re.IGNORECASE), 100.0),
    (re.compile(r"uptime.*(_ms|milliseconds|_millis)$", re.IGNORECASE), 1000.0),
    (re.compile(r"uptime.*(_minutes)$", re.IGNORECASE), 1 / 60),
    (re.compile(r"uptime(_in)?(_s|_sec|_secs|_seconds)?(_total)?$", re.IGNORECASE), 1.0),
)
# An uptime without a unit may be an availability, as 0.99 or 99.9.
_UNITLESS: Final = re.compile(r"uptime(_total)?$", re.IGNORECASE)
_PERCENT: Final = (80, 100)


def _too_short(tree: Expr, for_s: float) -> str:
    """Why `uptime < 60` cannot hold for five minutes; "" if nothing of the kind is compared."""
    node = bare(tree)
    if not for_s or not isinstance(node, BinaryExpr) or _is_bool(node):
        return ""
    if operator(node) == "and":
        return _too_short(node.lhs, for_s) or _too_short(node.rhs, for_s)
    lasts = _lasts_s(*_read(node))
    if not lasts or for_s < lasts:
        return ""
    return (
        f"{node.prettify()} holds for {prometheus_text(lasts)} after a start, and `for` asks for"
        f" {prometheus_text(for_s)}"
    )


def _read(node: BinaryExpr) -> tuple[Expr, str, float | None]:
    """What is compared, how, and with which number, as it reads with the number on the right."""
    left = number(node.lhs)
    if left is not None:
        return node.rhs, mirrored(operator(node)), left
    return node.lhs, operator(node), number(node.rhs)


def _lasts_s(inner: Expr, op: str, bound: float | None) -> float:
    """Seconds for which a comparison holds after one start; 0 if it is of something else."""
    if bound is None or bound < 0:
        return 0.0
    if op in {"<", "<="}:
        pace = _pace(inner)
        return bound / pace if pace and not _is_availability(inner, bound) else 0.0
    once = (op == ">" and bound < 1) or (op == ">=" and bound <= 1)
    return _seen_for_s(inner) if once else 0.0


def _seen_for_s(node: Expr) -> float:
    """Seconds for which `resets()`, or `changes()` of a time of start, show one restart."""
    node = bare(node)
    if isinstance(node, AggregateExpr):
        return _seen_for_s(node.expr)
    match node:
        case Call(func=function, args=[MatrixSelector() as ranged]):
            metric = selector_of(ranged.vector_selector).metric
            begins = function.name == "changes" and _BEGINNINGS.search(metric)
            seen = begins or function.name == "resets"
            return ranged.range.total_seconds() if seen else 0.0
    return 0.0


def _is_availability(node: Expr, bound: float) -> bool:
    names = (selector_of(n).metric for n in descend(node) if isinstance(n, VectorSelector))
    percent = bound <= 1 or _PERCENT[0] <= bound <= _PERCENT[1]
    return percent and any(_UNITLESS.search(name) for name in names)


def _pace(node: Expr) -> float:
    """What a value gains in a second since a process started; 0 if it is no such value."""
    node = bare(node)
    match node:
        case VectorSelector():
            metric = selector_of(node).metric
            return next((per for unit, per in _PER_SECOND if unit.search(metric)), 0.0)
        case AggregateExpr() if str(node.op) in {"min", "max", "avg"}:
            return _pace(node.expr)
        case BinaryExpr() if operator(node) == "-":
            began = bare(node.rhs)
            is_age = isinstance(began, VectorSelector) and _BEGINNINGS.search(
                selector_of(began).metric
            )
            return 1.0 if is_age and _is_clock(node.lhs) else 0.0
        case BinaryExpr() if operator(node) in {"*", "/"}:
            factor = number(node.rhs)
            scaled = _pace(node.lhs) if factor and factor > 0 else 0.0
            return scaled * (factor or 0) if operator(node) == "*" else scaled / (factor or 1)
        case _:
            return 0.0


def _is_clock(node: Expr) -> bool:
    node = bare(node)
    if isinstance(node, VectorSelector):
        return selector_of(node).metric == "node_time_seconds"
    return isinstance(node, Call) and node.func.name == "time"


def _is_bool(node: BinaryExpr) -> bool:
    return node.modifier is not None and node.modifier.return_bool


# The names that people give to an alert that fires on purpose, to show that the alerting works.
_ON_PURPOSE: Final = re.compile(
    r"watch.?dog|dead.?man|heart.?beat|always|alive|end.?to.?end|e2e|snitch", re.IGNORECASE
)


def is_on_purpose(rule: Rule) -> bool:
    """Whether a rule that always fires is meant to: its severity or its name says so."""
    constant = number(parse(rule.query))
    named = _ON_PURPOSE.search(rule.name) is not None
    return bool(constant) and (named or rule.severity in {"", "none"})


def always_fires(rule: Rule, kinds: Kinds) -> str:
    """Why a rule fires whatever its series are; "" if it need not."""
    if is_constant(parse(rule.query), kinds):
        return "it has a value whatever happens, and every value fires, 0 too"
    return ""


def fires_while_there(rule: Rule, kinds: Kinds) -> bool:
    """Whether a rule has no condition: it fires while its series exist."""
    return not has_condition(parse(rule.query), kinds)


def compares_to_truth(rule: Rule) -> bool:
    """Whether the result is that of a comparison with `bool`, which is 0 where it does not hold."""
    node = bare(parse(rule.query))
    return isinstance(node, BinaryExpr) and operator(node) in COMPARISONS and _is_bool(node)


@dataclass(frozen=True, slots=True)
class Latched:
    """A comparison of a counter itself, which only a restart sets back."""

    counter: str  # the metric
    text: str  # the comparison


def never_ends(rule: Rule, kinds: Kinds) -> Latched | None:
    """The counter that keeps a rule firing; None if there is none, or another condition ends it.

    `errors_total > 0` is left out: it may be meant to last from the first event to a restart.
    """
    node = bare(parse(rule.query))
    if not isinstance(node, BinaryExpr) or operator(node) in SETS or _is_bool(node):
        return None
    inner, op, bound = _read(node)
    first = 1 if op == ">=" else 0
    counter = _counter(inner, kinds)
    if op not in {">", ">="} or bound is None or bound <= first or not counter:
        return None
    return Latched(counter, node.prettify())


def _counter(node: Expr, kinds: Kinds) -> str:
    """The counter whose plain value an expression is, or the sum of; "" if it is not."""
    node = bare(node)
    if isinstance(node, AggregateExpr) and str(node.op) in {"sum", "max", "min", "avg"}:
        return _counter(node.expr, kinds)
    if not isinstance(node, VectorSelector):
        return ""
    metric = selector_of(node).metric
    # Exporters declare many a value as a counter that falls, too: the name must say the same.
    return metric if metric.endswith("_total") and declared(metric, kinds) == "counter" else ""


_ACTION: Final = re.compile(r"\{\{-?(.*?)-?\}\}", re.DOTALL)
_TEXT: Final = re.compile(r'"(?:\\.|[^"\\])*"|`[^`]*`')
_VALUE: Final = re.compile(r"\$value\b|(?<![\w$)])\.Value\b|(?<![.\w$])query\b")
_DECIDES: Final = re.compile(r"^\s*(else\s+)?if\b")
_ALIAS: Final = re.compile(r"^\s*(with\b.*?|(?P<name>\$\w+)\s*:?=)", re.DOTALL)


def changing_labels(rule: Rule, kinds: Kinds) -> list[str]:
    """The labels whose text contains the value of the expression.

    A value that only decides between texts, as in `{{ if gt $value 90.0 }}`, is left out, and so is
    one that cannot change, as that of `up == 0`.
    """
    changing = [name for name, text in rule.labels.items() if _writes_value(text)]
    if not changing:
        return []
    values = possible(parse(rule.query), kinds)
    fixed = values.low == values.high and not any("query" in rule.labels[n] for n in changing)
    return [] if fixed else sorted(changing)


def _writes_value(template: str) -> bool:
    aliases: set[str] = set()
    inside_with = False
    for found in _ACTION.finditer(template):
        action = _TEXT.sub('""', found[1])
        held = _VALUE.search(action) or any(
            re.search(re.escape(alias) + r"\b", action) for alias in aliases
        )
        if _DECIDES.match(action):
            continue
        alias = _ALIAS.match(action)
        if held and alias:
            inside_with = inside_with or alias["name"] is None
            aliases |= {alias["name"]} if alias["name"] else set()
        elif held or (inside_with and re.match(r"^\s*(\.\s*$|\.\s*\|)|.*\s\.(\s|$)", action)):
            return True
    return False


_OF_COUNTERS: Final = frozenset({"rate", "irate", "increase"})
_OF_GAUGES: Final = frozenset({"delta", "idelta", "deriv", "predict_linear"})
# Names of values that only grow, whatever type the exporter gives them.
_GROWING: Final = re.compile(
    r"(_total|_count|_sum|_bucket|_offset|_offsets|_position|_lsn|_seqno|_sequence|_created)$"
)


@dataclass(frozen=True, slots=True)
class Misfit:
    """A function over a range of a metric whose declared type it does not fit."""

    rule: str  # the name of the rule
    function: str
    selector: str  # as PromQL
    kind: str  # the metric's type

    def __str__(self) -> str:
        return f"{self.rule}: {self.function}() of {self.selector}, which is a {self.kind}"


@dataclass(frozen=True, slots=True)
class Typed:
    """The functions of a rule that want a counter or a gauge."""

    fitting: int
    misfits: tuple[Misfit, ...]
    unknown: tuple[str, ...]  # metrics whose type nobody declares


def functions(rule: Rule, kinds: Kinds) -> Typed:
    """Compare the functions of one rule with the types of their metrics."""
    fitting, misfits, unknown = 0, [], []
    for function, node in _ranged(parse(rule.query)):
        selector = selector_of(node.vector_selector)
        kind = declared(selector.metric, kinds)
        wanted = "counter" if function in _OF_COUNTERS else "gauge"
        if not selector.metric or kind not in {"counter", "gauge"}:
            unknown.append(selector.text)
        elif kind != wanted and not (wanted == "counter" and _GROWING.search(selector.metric)):
            misfits.append(Misfit(rule.name, function, selector.text, kind))
        else:
            fitting += 1
    return Typed(fitting, tuple(misfits), tuple(unknown))


def _ranged(tree: Expr) -> Iterator[tuple[str, MatrixSelector]]:
    for node in descend(tree):
        if isinstance(node, Call) and node.func.name in _OF_COUNTERS | _OF_GAUGES:
            yield from (
                (node.func.name, a) for a in map(bare, node.args) if isinstance(a, MatrixSelector)
            )
