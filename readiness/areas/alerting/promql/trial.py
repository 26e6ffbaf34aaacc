"""Tests of rules, as promtool runs them: written here, run by `probes.rule_trial`."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from promql_parser import SubqueryExpr

from readiness.areas.alerting.promql.bounds import Bound, Direction
from readiness.areas.alerting.promql.drive import Inputs, Key, Line, Undrivable, drive, key_for
from readiness.areas.alerting.promql.selectors import Selector, ranges, selectors
from readiness.areas.alerting.promql.tree import descend, parse

Files = dict[str, str]
"""Files for promtool, by name. `rules.yml` holds the rules, the others one test each."""

RULES: Final = "rules.yml"
_MOST_STEPS: Final = 6_000
_SHARE: Final = 0.02
_SAMPLES: Final = 20  # within the shortest range
_LONGEST_STEP_S: Final = 60.0
_SHORTEST_STEP_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Trial:
    """One rule to be tried.

    Attributes:
        alert: its name.
        expression: PromQL.
        for_s: seconds that it must hold.
        interval_s: seconds between two evaluations.
        bound: the comparison that is driven.
    """

    alert: str
    expression: str
    for_s: float
    interval_s: float
    bound: Bound

    @property
    def span_s(self) -> float:
        """Seconds that the expression looks back."""
        return looks_back_s(self.expression)

    @property
    def step_s(self) -> float:
        """Seconds between two samples, and two evaluations, of the trial."""
        shortest = min((found.seconds for found in ranges(self.expression)), default=0.0)
        fine = min(shortest / _SAMPLES if shortest else self.interval_s, _LONGEST_STEP_S)
        whole = 2 * (self.span_s + self.for_s)
        return round(max(fine, whole / _MOST_STEPS, _SHORTEST_STEP_S), 3)


@dataclass(frozen=True, slots=True)
class Values:
    """What the subject of a rule is brought to: at the bound, and right beside it.

    Attributes:
        fires: a value at which it must fire.
        quiet: one at which it must not.
        exact: the bound itself.
    """

    fires: float
    quiet: float
    exact: float


def values(direction: Direction, required: float) -> Values:
    """The values beside a bound: 2 % off, or less where a ratio ends at 1; whole numbers for ==."""
    if direction == "equals":
        return Values(required, required + 1, required)
    room = min(abs(required), 1 - required) if 0 < required < 1 else abs(required)
    if not room:  # a counter is never below 0, and at 0 the rule must not fire yet
        return Values(-1.0 if direction == "below" else 1.0, 0.0, 0.0)
    margin = _SHARE * room
    if direction == "below":
        margin = -margin
    return Values(required + margin, required - margin, required)


def looks_back_s(expression: str) -> float:
    """Seconds that an expression looks back at most.

    Raises:
        NoData: it cannot be read.
    """
    below = sum(s.range_s + max(0.0, s.offset_s) for s in selectors(expression))
    sub = (n.range for n in descend(parse(expression)) if isinstance(n, SubqueryExpr))
    return below + sum(delta.total_seconds() for delta in sub if delta)


def control(rules: Sequence[Mapping[str, object]], step_s: float) -> Files:
    """The rules, and a test that passes wherever promtool can load them."""
    groups = [{"name": "trial", "interval": _ms(step_s), "rules": list(rules)}]
    files = {RULES: json.dumps({"groups": groups})}
    return files | {"control.yml": written_test(step_s, [], {"vector(1)": (step_s, 1)}, rules=True)}


def trial_files(trial: Trial, wanted: Values) -> Files:
    """All tests of one rule.

    For each of the values there is one test that the series bring the rule's subject to it
    (`drive-NAME.yml`), and one of whether the rule fires (`fires-NAME.yml`, which passes if it
    does; `recovers.yml`, which passes if it no longer does).

    Raises:
        Undrivable: see `drive`.
        NoData: the expression cannot be read.
    """
    step = trial.step_s
    held = _rounded(trial.span_s + trial.for_s, step) + 4 * step
    after = held + _rounded(trial.span_s, step) + 4 * step
    rule = {"alert": trial.alert, "expr": trial.expression, "for": _ms(trial.for_s)}
    files = control([rule], step)
    near = abs(wanted.fires - wanted.quiet) / 8
    for name, value in (("bad", wanted.fires), ("good", wanted.quiet), ("exact", wanted.exact)):
        inputs = [(drive(trial.expression, trial.bound, value), held)]
        slack = 0.0 if name == "exact" else near
        there = f"count(({trial.bound.subject}) >= {value - slack!r} <= {value + slack!r})"
        files[f"drive-{name}.yml"] = written_test(step, inputs, {f"{there} > bool 0": (held, 1)})
        files[f"fires-{name}.yml"] = _alert_test(trial, inputs, held, firing=True)
    both = [
        (drive(trial.expression, trial.bound, wanted.fires), held),
        (drive(trial.expression, trial.bound, wanted.quiet), after),
    ]
    files["recovers.yml"] = _alert_test(trial, both, after, firing=False)
    return files


def _alert_test(
    trial: Trial, inputs: Sequence[tuple[Inputs, float]], at_s: float, *, firing: bool
) -> str:
    alert = json.dumps(trial.alert)
    found = f'(count(ALERTS{{alertname={alert},alertstate="firing"}}) > bool 0) or vector(0)'
    return written_test(trial.step_s, inputs, {found: (at_s, int(firing))}, rules=True)


def written_test(
    step_s: float,
    inputs: Sequence[tuple[Inputs, float]],
    expected: Mapping[str, tuple[float, float]],
    *,
    rules: bool = False,
    ends: bool = False,
) -> str:
    """One test, as JSON, which is YAML.

    Args:
        step_s: seconds between two samples.
        inputs: for each stretch of time the series, and the second at which it ends.
        expected: for each expression when it is asked (s), and the one value it must give.
        rules: whether the rules are loaded.
        ends: whether a series ends that is not in a stretch; else it goes on, at 0.
    """
    return json.dumps(
        {
            "rule_files": [RULES] if rules else [],
            "evaluation_interval": _ms(step_s),
            "tests": [
                {
                    "interval": _ms(step_s),
                    "input_series": [
                        {"series": str(key), "values": _notation(key, inputs, step_s, ends=ends)}
                        for key in sorted({key for part, _ in inputs for key in part}, key=str)
                    ],
                    "promql_expr_test": [
                        {
                            "expr": expression,
                            "eval_time": _ms(at_s),
                            "exp_samples": [{"labels": "{}", "value": value}],
                        }
                        for expression, (at_s, value) in expected.items()
                    ],
                }
            ],
        }
    )


def _notation(
    key: Key, inputs: Sequence[tuple[Inputs, float]], step_s: float, *, ends: bool
) -> str:
    """The values of one series as promtool writes them: `start+gainxTIMES`, for each stretch."""
    words: list[str] = []
    now, level = 0, 0.0
    for part, end_s in inputs:
        if ends and key not in part:
            return " ".join([*words, "stale"])
        line = part.get(key, Line(0.0, accumulates=_accumulates(key, inputs)))
        times = round(end_s / step_s) - now
        gain = line.slope * step_s
        if line.accumulates and not words:
            level = abs(gain) * times * 2 + 1
        start = level if line.accumulates else line.start + line.slope * now * step_s
        words.append(f"{start!r}{gain:+.17g}x{times}")
        level, now = start + gain * (times + 1), now + times + 1
    return " ".join(words)


def _accumulates(key: Key, inputs: Sequence[tuple[Inputs, float]]) -> bool:
    return any(part[key].accumulates for part, _ in inputs if key in part)


def _rounded(seconds: float, step_s: float) -> float:
    return -(-seconds // step_s) * step_s


def _ms(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


_STEP_S: Final = 15.0
_SETTLING_S: Final = 600.0
_LONGEST_FOR_S: Final = 3600.0
_SLACK_STEPS: Final = 8
_FIRING: Final = 'ALERTS{alertstate="firing"}'


def job_trial_files(
    rules: Sequence[Mapping[str, object]],
    job: str,
    targets: Sequence[Mapping[str, str]],
    others: Sequence[Mapping[str, str]],
) -> Files:
    """Tests whether some rule fires that did not while all was well.

    Args:
        rules: the alerting rules, as `alert`, `expr`, `for_s` and `labels`.
        job: the job that is lost.
        targets: the labels of its targets, as `up` has them.
        others: those of all other targets, which stay up.

    Returns:
        `down.yml` passes if one fires when the targets are down, `gone.yml` if one does when
        there is no `up` of the job any more, `well.yml` if the rules can be evaluated at all
        while nothing is wrong. A rule that waits longer than an hour is too late.
    """
    waits = [float(str(rule["for_s"])) for rule in rules]
    patience = max((w for w in waits if w <= _LONGEST_FOR_S), default=0.0)
    # Well for as long, so that what fires all the time has begun to.
    settled = -(-(patience + _SETTLING_S) // _STEP_S) * _STEP_S
    end = settled + -(-patience // _STEP_S) * _STEP_S + _SLACK_STEPS * _STEP_S
    up = {_up(labels): Line(1.0) for labels in [*targets, *others]}
    exported = {key: Line(1.0) for key in _series_of(rules, job, targets)}
    down = up | {_up(labels): Line(0.0) for labels in targets}
    gone = {key: line for key, line in up.items() if key not in {_up(t) for t in targets}}
    before = end - settled
    new = f"count({_FIRING} unless {_FIRING} offset {round(before)}s) > bool 0"
    files = control([_rule(rule) for rule in rules], _STEP_S)
    well: list[tuple[Inputs, float]] = [(up | exported, settled)]
    files["well.yml"] = written_test(_STEP_S, well, {"vector(1)": (settled, 1)}, rules=True)
    for name, after in (("down.yml", down), ("gone.yml", gone)):
        stretches: list[tuple[Inputs, float]] = [(up | exported, settled), (after, end)]
        files[name] = written_test(_STEP_S, stretches, {new: (end, 1)}, rules=True, ends=True)
    return files


def _rule(rule: Mapping[str, object]) -> dict[str, object]:
    seconds = float(str(rule["for_s"]))
    return {
        "alert": rule["alert"],
        "expr": rule["expr"],
        "for": f"{round(seconds * 1000)}ms",
        "labels": rule["labels"],
    }


def _up(labels: Mapping[str, str]) -> Key:
    return Key("up", tuple(sorted(labels.items())))


def _series_of(
    rules: Iterable[Mapping[str, object]], job: str, targets: Sequence[Mapping[str, str]]
) -> Iterable[Key]:
    """What the job exports, as far as rules ask for it by its name: it ends with its targets."""
    for rule in rules:
        for selector in selectors(str(rule["expr"])):
            if selector.metric not in {"up", ""} and _asks_for(selector, job):
                try:
                    yield key_for(selector, targets[0])
                except Undrivable:
                    continue  # a series less makes no rule fire that would not


def _asks_for(selector: Selector, job: str) -> bool:
    return any(m.name == "job" and m.op in {"=", "=~"} and m.holds(job) for m in selector.matches)
