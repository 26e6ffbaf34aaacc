"""Tries loaded rules with promtool: do they fire where they must, and only there?"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from promql_parser import BinaryExpr, Call, SubqueryExpr

from readiness.areas.alerting.bounds import (
    Bound,
    Direction,
    Inputs,
    Key,
    Line,
    Undrivable,
    bounds,
    drive,
    key_for,
)
from readiness.areas.alerting.promql import Selector, descend, operator, parse, selectors
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.replies import Rule, Target
from readiness.lib.retry import until
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData, TookTooLong, Unreachable
from readiness.servers import programs

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
    """One rule to be tried, by one comparison of its expression."""

    alert: str
    expression: str  # PromQL
    for_s: float
    interval_s: float  # between two evaluations
    bound: Bound

    @property
    def span_s(self) -> float:
        """The longest time that the expression looks back, in seconds."""
        below = sum(s.range_s + max(0.0, s.offset_s) for s in selectors(self.expression))
        nodes = descend(parse(self.expression))
        subqueries = (n.range for n in nodes if isinstance(n, SubqueryExpr))
        return below + sum(delta.total_seconds() for delta in subqueries if delta)

    @property
    def step_s(self) -> float:
        """Seconds between two samples, and two evaluations, of the trial."""
        ranges = (s.range_s for s in selectors(self.expression) if s.range_s)
        shortest = min(ranges, default=0.0)
        fine = min(shortest / _SAMPLES if shortest else self.interval_s, _LONGEST_STEP_S)
        whole = 2 * (self.span_s + self.for_s)
        return round(max(fine, whole / _MOST_STEPS, _SHORTEST_STEP_S), 3)


@dataclass(frozen=True, slots=True)
class Values:
    """The values that the subject of a rule is brought to."""

    fires: float  # beyond the bound
    quiet: float  # before the bound
    exact: float


def values(direction: Direction, required: float) -> Values:
    """The values beside a bound: 2 % off, less for a ratio near 1, whole numbers for `==`."""
    if direction == "equals":
        return Values(required, required + 1, required)
    room = min(abs(required), 1 - required) if 0 < required < 1 else abs(required)
    if not room:  # a counter is never below 0, and the rule must not fire at 0
        return Values(-1.0 if direction == "below" else 1.0, 0.0, 0.0)
    margin = _SHARE * room
    if direction == "below":
        margin = -margin
    return Values(required + margin, required - margin, required)


def control(rules: Sequence[Mapping[str, object]], step_s: float) -> Files:
    """The rules, and a test that passes wherever promtool can load them."""
    groups = [{"name": "trial", "interval": _ms(step_s), "rules": list(rules)}]
    files = {RULES: json.dumps({"groups": groups})}
    return files | {"control.yml": written_test(step_s, [], {"vector(1)": (step_s, 1)}, rules=True)}


def trial_files(trial: Trial, wanted: Values) -> Files:
    """All tests of one rule.

    For each of the values, `drive-NAME.yml` tests that the series bring the rule's subject to it,
    and `fires-NAME.yml` that the rule fires. `recovers.yml` passes if it no longer does.

    Raises:
        Undrivable: see `drive`.
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
        inputs: the series of each stretch of time, and the second at which it ends.
        expected: for each expression the second at which it is evaluated, and its one value.
        rules: whether the rules are loaded.
        ends: whether a series ends that is missing in a stretch; else it goes on, at 0.
    """
    test = {
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
    head = {"rule_files": [RULES] if rules else [], "evaluation_interval": _ms(step_s)}
    return json.dumps({**head, "tests": [test]})


def _notation(
    key: Key, inputs: Sequence[tuple[Inputs, float]], step_s: float, *, ends: bool
) -> str:
    """The values of one series as promtool writes them: `start+gainxTIMES`, for each stretch."""
    words: list[str] = []
    now, level = 0, 0.0
    for part, end_s in inputs:
        if ends and key not in part:
            return " ".join([*words, "stale"])
        accumulates = any(part[key].accumulates for part, _ in inputs if key in part)
        line = part.get(key, Line(0.0, accumulates=accumulates))
        times = round(end_s / step_s) - now
        gain = line.slope * step_s
        if line.accumulates and not words:
            level = abs(gain) * times * 2 + 1
        start = level if line.accumulates else line.start + line.slope * now * step_s
        words.append(f"{start!r}{gain:+.17g}x{times}")
        level, now = start + gain * (times + 1), now + times + 1
    return " ".join(words)


def _rounded(seconds: float, step_s: float) -> float:
    return -(-seconds // step_s) * step_s


def _ms(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


_STEP_S: Final = 15.0
_SETTLING_S: Final = 600.0
_LONGEST_FOR_S: Final = 3600.0
_SLACK_STEPS: Final = 8
_WELL: Final = "well.yml"
_FIRING: Final = 'ALERTS{alertstate="firing"}'


def job_trial_files(
    rules: Sequence[Mapping[str, object]],
    job: str,
    targets: Sequence[Mapping[str, str]],
    others: Sequence[Mapping[str, str]],
) -> Files:
    """Tests that a rule fires for the loss of a job which is quiet while all is well.

    Args:
        rules: as `alert` or `record`, `expr`, `for_s` and `labels`, what is recorded first.
        job: the job that is lost.
        targets: the labels of its targets, as `up` has them.
        others: those of all other targets, which stay up.

    Returns:
        `down.yml` passes if a rule fires while the targets are down, `gone.yml` if one does while
        the job has no `up`, `well.yml` if the rules can be evaluated while nothing is wrong. A rule
        that waits for longer than an hour is too late.
    """
    waits = [float(str(rule["for_s"])) for rule in rules]
    patience = max((w for w in waits if w <= _LONGEST_FOR_S), default=0.0)
    # All is well long enough for the rules that always fire to have begun.
    settled = _rounded(patience + _SETTLING_S, _STEP_S)
    end = settled + _rounded(patience, _STEP_S) + _SLACK_STEPS * _STEP_S
    up = {_up(labels): Line(1.0) for labels in [*targets, *others]}
    exported = {key: Line(1.0) for key in _series_of(rules, job, targets)}
    down = up | {_up(labels): Line(0.0) for labels in targets}
    gone = {key: line for key, line in up.items() if key not in {_up(t) for t in targets}}
    new = f"count({_FIRING} unless {_FIRING} offset {round(end - settled)}s) > bool 0"
    files = control([_rule(rule) for rule in rules], _STEP_S)
    well: list[tuple[Inputs, float]] = [(up | exported, settled)]
    files[_WELL] = written_test(_STEP_S, well, {"vector(1)": (settled, 1)}, rules=True)
    for name, after in (("down.yml", down), ("gone.yml", gone)):
        stretches: list[tuple[Inputs, float]] = [(up | exported, settled), (after, end)]
        files[name] = written_test(_STEP_S, stretches, {new: (end, 1)}, rules=True, ends=True)
    return files


def _rule(rule: Mapping[str, object]) -> dict[str, object]:
    kept = {key: rule[key] for key in ("alert", "record", "expr", "labels") if key in rule}
    return kept | ({"for": _ms(float(str(rule["for_s"])))} if "alert" in rule else {})


def _up(labels: Mapping[str, str]) -> Key:
    return Key("up", tuple(sorted(labels.items())))


def _series_of(
    rules: Iterable[Mapping[str, object]], job: str, targets: Sequence[Mapping[str, str]]
) -> Iterable[Key]:
    """The series of the job that rules select by its name: they end with its targets."""
    for rule in rules:
        for selector in selectors(str(rule["expr"])):
            if selector.metric not in {"up", ""} and _asks_for(selector, job):
                try:
                    yield key_for(selector, targets[0])
                except Undrivable:
                    continue  # one series less makes no other rule fire


def _asks_for(selector: Selector, job: str) -> bool:
    return any(m.name == "job" and m.op in {"=", "=~"} and m.holds(job) for m in selector.matches)


OVERRIDE: Final = "READINESS_PROMTOOL"
TIMEOUT_S: Final = 60.0
_RESULT: Final = re.compile(
    r"^Unit Testing:\s+(?P<file>\S+)\s*$\s*(?P<result>SUCCESS|FAILED)", re.MULTILINE
)


def find() -> str:
    """The path of promtool: READINESS_PROMTOOL, else on the PATH, else from an unpacked package.

    Raises:
        Unreachable: it is not found.
    """
    named = os.environ.get(OVERRIDE, "")
    found = shutil.which(named) if named else _found()
    if found is None:
        raise Unreachable(
            "promtool not found; alert rules cannot be tested",
            where=f"{OVERRIDE}={named}" if named else "PATH",
            remedy="apt-get install prometheus, or take promtool from the archive of the"
            " Prometheus that runs, and name it in READINESS_PROMTOOL",
        )
    return found


def _found() -> str | None:
    try:
        return programs.find(programs.PROMTOOL)
    except programs.AbsentError:
        return None


def run_tests(files: Mapping[str, str], *, timeout_s: float = TIMEOUT_S) -> dict[str, bool]:
    """Run all tests of some files at once; gives for each file whether its tests passed.

    `control.yml` must be among them: it passes wherever promtool can load the rules.

    Raises:
        Unreachable: there is no promtool.
        TookTooLong: it did not end in time.
        CouldNotMeasure: it cannot load the rules, or gave no result for a file.
    """
    program = find()
    tests = sorted(name for name in files if name != RULES)
    with tempfile.TemporaryDirectory(prefix="readiness-rules-") as folder:
        for name, text in files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        said = _run([program, "test", "rules", *tests], folder, timeout_s)
    results = {found["file"]: found["result"] == "SUCCESS" for found in _RESULT.finditer(said)}
    if not results.get("control.yml") or set(results) != set(tests):
        raise CouldNotMeasure(
            f"promtool cannot load the rules that Prometheus has loaded: {clean(said, 300)}",
            where=program,
            remedy="use a promtool of the same version as the Prometheus that runs"
            f" ({OVERRIDE} names it): promtool --version",
        )
    return results


def _run(command: list[str], folder: str, timeout_s: float) -> str:
    try:
        ended = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TookTooLong(
            f"promtool did not end within {timeout_s:g} s", where=command[0]
        ) from None
    except OSError as problem:
        raise Unreachable(f"promtool cannot be run: {problem.strerror}", where=command[0]) from None
    return ended.stdout.decode(errors="replace")


# After a start or a reload, targets appear once discovery has looked around: every 5 s.
_DISCOVERY_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a rule did on the values that it was tried at."""

    tried: Values
    fires: bool  # beyond the bound
    quiet: bool  # before the bound
    quiet_at_bound: bool | None  # None if no series can be brought exactly to the bound
    recovers: bool  # once the value was good again


def try_rule(
    alert: str,
    expression: str,
    *,
    for_s: float,
    interval_s: float,
    direction: Direction,
    required: float,
) -> Behaviour:
    """Try one loaded rule on series made for it.

    It must fire in this direction of the required bound, which is in the unit of the rule.

    Raises:
        NoData: no series could be made that bring its subject there.
        CouldNotMeasure: see `run_tests`.
    """
    bound = _nearest(alert, bounds(expression), direction, required, expression)
    tried = values(direction, required)
    trial = Trial(alert, expression, for_s, interval_s, bound)
    try:
        did = run_tests(trial_files(trial, tried))
    except Undrivable as problem:
        raise _undriven(alert, problem.sentence, expression) from None
    if not (did["drive-bad.yml"] and did["drive-good.yml"]):
        missed = "the made-up series did not give the value that was wanted"
        raise _undriven(alert, missed, expression)
    exact = did["drive-exact.yml"] and direction != "equals"
    return Behaviour(
        tried=tried,
        fires=did["fires-bad.yml"],
        quiet=not did["fires-good.yml"],
        quiet_at_bound=not did["fires-exact.yml"] if exact else None,
        recovers=did["recovers.yml"],
    )


NO_NUMBER: Final = "compares nothing with a number"


def _nearest(
    alert: str, found: tuple[Bound, ...], direction: Direction, required: float, expression: str
) -> Bound:
    """The comparison that is meant: of that direction, and with that figure, if there is one."""
    if not found:
        raise _undriven(alert, f"it {NO_NUMBER}", expression, NO_NUMBER)
    return min(found, key=lambda b: (b.direction != direction, b.value != required))


_UNTRIED: Final = "cannot be tried"


def _undriven(alert: str, reason: str, expression: str, error: str = _UNTRIED) -> NoData:
    return NoData(
        f"{alert} {_UNTRIED}: {reason}",
        where=expression,
        remedy="compare one figure with a number (record its inputs under a name of their own),"
        f" or show by a drill that it fires, and {excused(alert, error)}",
    )


def excused(alert: str, error: str = NO_NUMBER) -> str:
    """How to accept that one rule cannot be judged; whether it is loaded still is."""
    return (
        'accept this error of this rule alone: [[waiver]] check = "alerting.required-rules",'
        f' subject = "{alert}", error = "{error}", with the reason'
    )


@dataclass(frozen=True, slots=True)
class Loss:
    """Whether a rule fires when a job is lost."""

    down: bool  # when its targets are down
    gone: bool  # when it has no target any more
    tried: int  # rules that could notice it


def lose_job(prometheus: Prometheus, rules: Sequence[Rule], job: str) -> Loss:
    """Try all loaded rules that could notice it together on the loss of a job.

    Raises:
        NoData: the job has no target.
        CouldNotMeasure: see `run_tests`.
    """
    found = until(prometheus.targets, lambda seen: bool(_of(job, seen)), within_s=_DISCOVERY_S)
    own = _of(job, found)
    if not own:
        raise NoData(
            f"the job {job} has no target",
            where=f"{prometheus.url}/targets",
            remedy="see monitoring.scrape-jobs",
        )
    others = [t.labels for t in found if t.labels not in own]
    name = own[0].get("job", job)
    loaded = [
        {
            "alert" if rule.type == "alerting" else "record": rule.name,
            "expr": rule.query,
            "for_s": rule.for_s,
            "labels": rule.labels,
        }
        for rule in _noticing(rules, name, own)
    ]
    if not loaded:
        return Loss(down=False, gone=False, tried=0)
    did = _tried(partial(job_trial_files, job=name, targets=own, others=others), loaded)
    return Loss(down=did["down.yml"], gone=did["gone.yml"], tried=len(loaded))


def _noticing(rules: Sequence[Rule], job: str, own: Sequence[Mapping[str, str]]) -> list[Rule]:
    """The rules that the loss of a job can reach, also through what others record; those first."""
    reached = {id(rule): rule for rule in rules if may_notice(rule.query, job, own)}
    before = -1
    while before != len(reached):
        before = len(reached)
        recorded = {rule.name for rule in reached.values() if rule.type == "recording"}
        reached |= {
            id(rule): rule
            for rule in rules
            if recorded & {selector.metric for selector in selectors(rule.query)}
        }
    found = [rule for rule in rules if id(rule) in reached]
    return sorted(found, key=lambda rule: rule.type != "recording")


def may_notice(expression: str, job: str, targets: Sequence[Mapping[str, str]]) -> bool:
    """Whether the loss of a job could make a rule fire: others only cost time.

    It selects the job's `up`; or series of the job, by its name, and has values without them.
    """
    found = selectors(expression)
    if any(s.metric in {"up", ""} and _selects(s, target) for s in found for target in targets):
        return True
    nodes = list(descend(parse(expression)))
    without = any(
        (isinstance(node, Call) and node.func.name in _WITHOUT_SERIES)
        or (isinstance(node, BinaryExpr) and operator(node) in {"or", "unless"})
        for node in nodes
    )
    return without and any(_asks_for(selector, job) for selector in found)


_WITHOUT_SERIES: Final = frozenset({"absent", "absent_over_time", "scalar"})


def _selects(selector: Selector, labels: Mapping[str, str]) -> bool:
    if selector.alternatives:
        return True
    values = {**labels, "__name__": "up"}
    return all(m.holds(values.get(m.name, "")) is not False for m in selector.matches)


def _tried(
    files: Callable[[Sequence[Mapping[str, object]]], Files], rules: Sequence[Mapping[str, object]]
) -> dict[str, bool]:
    """The results without the rules that cannot be evaluated, which never fire.

    One of them ends the trial of all others: they are found by trying halves.
    """
    made = files(rules)
    did = run_tests({name: text for name, text in made.items() if name != _WELL})
    if did["down.yml"] and did["gone.yml"]:
        return did
    good = _evaluable(files, rules)
    return did if len(good) == len(rules) else run_tests(files(good))


def _evaluable(
    files: Callable[[Sequence[Mapping[str, object]]], Files], rules: Sequence[Mapping[str, object]]
) -> list[Mapping[str, object]]:
    made = files(rules)
    wanted = {name: made[name] for name in (RULES, "control.yml", _WELL)}
    if not rules or run_tests(wanted)[_WELL]:
        return list(rules)
    middle = len(rules) // 2
    if not middle:
        return []
    return [*_evaluable(files, rules[:middle]), *_evaluable(files, rules[middle:])]


def _of(job: str, targets: Sequence[Target]) -> list[dict[str, str]]:
    return [t.labels for t in targets if job in (t.pool, t.labels.get("job"))]
