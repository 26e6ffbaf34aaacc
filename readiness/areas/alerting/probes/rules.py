"""The rules that a Prometheus has loaded: what they select, how long they take, their runbooks."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from readiness.areas.alerting.possible import Kinds
from readiness.areas.alerting.promql import Match, Selector, selectors
from readiness.areas.alerting.soundness import (
    always_fires,
    compares_to_truth,
    fires_while_there,
    functions,
)
from readiness.lib import http
from readiness.lib.durations import prometheus_text
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.replies import Rule, RuleGroup, Sample
from readiness.lib.retry import until
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.measurement import Measurement

_SLACK_S: Final = 5.0
_HISTORY: Final = "6h"
_NEVER: Final = 1971
# Series that Prometheus writes of alerts: there are none while all is well.
_OF_ALERTS: Final = frozenset({"ALERTS", "ALERTS_FOR_STATE"})


@dataclass(frozen=True, slots=True)
class Loaded:
    """The rules, all evaluated once at least."""

    groups: tuple[RuleGroup, ...]  # in their order
    at: float  # Unix time by Prometheus's own clock

    @property
    def alerting(self) -> tuple[tuple[RuleGroup, Rule], ...]:
        """The alerting rules, each with its group."""
        return tuple((g, r) for g in self.groups for r in g.rules if r.type == "alerting")

    @property
    def all_rules(self) -> tuple[tuple[RuleGroup, Rule], ...]:
        """All rules, each with its group."""
        return tuple((g, r) for g in self.groups for r in g.rules)


def loaded(prometheus: Prometheus) -> Loaded:
    """The rules; waits until each has been evaluated once, for `wait_max_s` at most.

    Raises:
        NoData: there is no alerting rule, or one has not been evaluated yet.
    """
    prometheus.alerting_rules()
    groups = until(prometheus.rules, lambda found: not _new(found), within_s=patience_s(prometheus))
    new = _new(groups)
    if new:
        raise NoData(
            f"the rule {new[0].name} has not been evaluated for the first time",
            where=f"{prometheus.url}/rules",
            remedy="Prometheus has started or reloaded just now: run the gate again after one"
            " interval of the group, or raise `wait_max_s` in [prometheus]",
        )
    return Loaded(groups, prometheus.number("time()"))


def patience_s(prometheus: Prometheus) -> float:
    """Seconds within which each group is evaluated twice, `wait_max_s` at most."""
    longest = max((group.interval_s for group in prometheus.rules()), default=0.0)
    return prometheus.patience_s(2 * longest + _SLACK_S)


def _new(groups: Iterable[RuleGroup]) -> list[Rule]:
    rules = (rule for group in groups for rule in group.rules)
    return [r for r in rules if r.health == "unknown" or r.evaluated.year < _NEVER]


@dataclass(frozen=True, slots=True)
class Looked:
    """The selectors of rules that must find a series, and those that find none."""

    selectors: int
    blind: tuple[str, ...]  # rule, selector and reason, in words


def look_for(prometheus: Prometheus, rules: Sequence[Rule], early: Sequence[str]) -> Looked:
    """Look for a series of every selector that must have one, now or within six hours.

    `early` are metrics that may be named before their first series; where they have one, the labels
    that a selector names must be among its labels.

    Raises:
        NoData: an expression cannot be read.
    """
    asked = [(rule.name, found) for rule in rules for found in selectors(rule.query, early)]
    asked = [(name, s) for name, s in asked if s.metric not in _OF_ALERTS]
    wanted = [(name, s) for name, s in asked if not s.may_be_empty]
    known = _known(prometheus, {text for _, s in asked for text in (s.text, s.metric) if text})
    blind = tuple(_blind(prometheus, wanted, known))
    blind += tuple(
        f"{name}: {s.text} names the label {label}, which no series of it has"
        for name, s in asked
        if s.metric in early
        for label in _unknown_labels(prometheus, s, known)
    )
    return Looked(len({s.text for _, s in wanted}), blind)


def _blind(
    prometheus: Prometheus, wanted: Sequence[tuple[str, Selector]], known: dict[str, bool]
) -> Iterable[str]:
    groups: dict[tuple[str, str], list[Selector]] = {}
    for name, selector in wanted:
        groups.setdefault((name, selector.either or selector.text), []).append(selector)
    for (name, _), options in groups.items():
        if not any(_exists(prometheus, option.text, known) for option in options):
            for option in options:
                yield f"{name}: {option.text} {_why(prometheus, option, known)}"


def _why(prometheus: Prometheus, selector: Selector, known: dict[str, bool]) -> str:
    if not selector.metric or not selector.matches:
        return f"has no series now, nor had any in the last {_HISTORY}"
    if not _exists(prometheus, selector.metric, known):
        return f"has no series: there is no metric {selector.metric}"
    for match in selector.matches:
        if not _exists(prometheus, f"{selector.metric}{{{match}}}", known):
            renamed = _exported(prometheus, selector, match, known)
            return f"has no series: none of the metric has {match}{renamed or _until(selector)}"
    return "has no series: no single one has all of these labels"


def _until(selector: Selector) -> str:
    """What to write where the first series comes with the first event, as an error."""
    return f'; if none is expected yet: no_series_yet = ["{selector.metric}"] in [alerting]'


def _exported(
    prometheus: Prometheus, selector: Selector, match: Match, known: dict[str, bool]
) -> str:
    """Prometheus renames a label that is scraped and that it sets itself."""
    renamed = Match(f"exported_{match.name}", match.op, match.value)
    if not _exists(prometheus, f"{selector.metric}{{{renamed}}}", known):
        return ""
    return f", and some has {renamed}: the job is scraped without `honor_labels: true`"


def _unknown_labels(
    prometheus: Prometheus, selector: Selector, known: dict[str, bool]
) -> Iterable[str]:
    if not _exists(prometheus, selector.metric, known):
        return
    for match in selector.matches:
        has_it = f"{selector.metric}{{{Match(match.name, '!=', '')}}}"
        demands = match.op in {"=", "=~"} and match.holds("") is not True
        if demands and not _exists(prometheus, has_it, known):
            yield match.name


def _known(prometheus: Prometheus, texts: Iterable[str]) -> dict[str, bool]:
    """Whether each selector has a series now, or had one within six hours."""
    now = {f"count({text})": text for text in texts}
    found = {now[query]: bool(there) for query, there in prometheus.query_all(now).items()}
    before = {
        f"count(last_over_time({t}[{_HISTORY}]))": t for t, there in found.items() if not there
    }
    return found | {before[q]: bool(s) for q, s in prometheus.query_all(before).items()}


def _exists(prometheus: Prometheus, selector: str, known: dict[str, bool]) -> bool:
    if selector not in known:
        known |= _known(prometheus, [selector])
    return known.get(selector, False)


@dataclass(frozen=True, slots=True)
class Spanned:
    """A range of a rule, and the interval at which its series are scraped."""

    rule: str  # the name of the rule
    selector: str  # that has the range
    range_s: float  # seconds that it spans
    interval_s: float  # seconds between two samples

    @property
    def samples(self) -> float:
        """How many intervals it spans."""
        return self.range_s / self.interval_s

    def __str__(self) -> str:
        return (
            f"{self.rule}: {self.selector}[{self.range_s:g}s] spans {self.samples:.2g} intervals"
            f" of {self.interval_s:g} s"
        )


def spans(
    prometheus: Prometheus, found: Loaded, early: Sequence[str] = ()
) -> tuple[tuple[Spanned, ...], tuple[str, ...]]:
    """The ranges of all rules, and those whose series come at an unknown interval.

    Those without series that need none are left out; `early` is as for `look_for`.

    Raises:
        NoData: an expression cannot be read.
    """
    jobs: dict[str, float] = {}
    for target in prometheus.targets():
        job = target.labels.get("job", target.pool)
        jobs[job] = max(jobs.get(job, 0.0), target.interval_s)
    recorded = {r.name: g.interval_s for g, r in found.all_rules if r.type == "recording"}
    ranged = [
        (r.name, s) for _, r in found.all_rules for s in selectors(r.query, early) if s.range_s
    ]
    asked = {f"count by (job) ({t})" for _, s in ranged for t in (s.text, s.metric) if t}
    of_jobs = {
        query: {sample.labels.get("job", "") for sample in samples}
        for query, samples in prometheus.query_all(asked).items()
    }
    seen = _seen(prometheus, [selector for _, selector in ranged])
    known, unknown = [], []
    for name, selector in ranged:
        interval = _interval_s(selector, jobs, recorded, of_jobs) or seen.get(selector, 0.0)
        if interval:
            known.append(Spanned(name, selector.text, selector.range_s, interval))
        elif not selector.may_be_empty:
            unknown.append(f"{name}: {selector.text}")
    return tuple(known), tuple(unknown)


def _interval_s(
    selector: Selector,
    jobs: Mapping[str, float],
    recorded: Mapping[str, float],
    of_jobs: Mapping[str, Collection[str]],
) -> float:
    """Seconds between two samples of what a selector matches, at most; 0 if unknown."""
    if selector.metric in recorded:
        return recorded[selector.metric]
    for asked in filter(None, (selector.text, selector.metric)):
        names = of_jobs.get(f"count by (job) ({asked})", ())
        if intervals := [jobs[name] for name in names if name in jobs]:
            return max(intervals)
    return jobs.get(selector.equal("job"), 0.0)


_ENOUGH: Final = 4


def _seen(prometheus: Prometheus, ranged: Sequence[Selector]) -> dict[Selector, float]:
    """The interval by the samples that are there, of ranges that hold enough of them.

    It proves that a range is long enough for series that no target gives, as those of a remote
    write. That few samples are there proves nothing: the series may be new.
    """
    asked = {s: f"max(count_over_time({s.text}[{prometheus_text(s.range_s)}]))" for s in ranged}
    counts = prometheus.query_all(asked.values())
    found = {s: samples[0].value for s, q in asked.items() if (samples := counts.get(q))}
    return {s: s.range_s / count for s, count in found.items() if count >= _ENOUGH}


def firing_while_there(prometheus: Prometheus, rules: Sequence[Rule], kinds: Kinds) -> list[str]:
    """The rules without a condition that fire on a value of 0 or below `bool` now, in words.

    One whose series exist only while something is wrong needs no condition.
    """
    asked = {
        rule.name: f"count({rule.query})"
        if compares_to_truth(rule)
        else f"count(({rule.query}) == 0)"
        for rule in rules
        if not always_fires(rule, kinds) and fires_while_there(rule, kinds)
    }
    found = prometheus.query_all(asked.values())
    return [
        f"{name}: it has no condition, and fires while its series exist, at 0 too"
        for name, query in asked.items()
        if found.get(query)
    ]


@dataclass(frozen=True, slots=True)
class LookedAtTypes:
    """The functions over ranges, and those that do not fit the type of their metric."""

    judged: int
    wrong: tuple[str, ...]  # in words
    doubtful: tuple[str, ...]  # of values that did not change, which tell nothing
    unknown: int  # of metrics whose type nobody declares


_FALLING: Final = 0.1


def look_at_types(prometheus: Prometheus, rules: Sequence[Rule]) -> LookedAtTypes:
    """Compare the functions of rules with the types that exporters declare.

    An exporter may call a gauge what only grows, as the offset of a queue: its falls decide.

    Raises:
        NoData: no type of any metric is known, or an expression cannot be read.
    """
    kinds = prometheus.metric_types()
    typed = [functions(rule, kinds) for rule in rules]
    unknown = sum(len(one.unknown) for one in typed)
    judged = sum(one.fitting + len(one.misfits) for one in typed)
    if unknown and not kinds:
        raise NoData(
            f"the types of {unknown} metrics in rate() and others are not known",
            where=f"{prometheus.url}/api/v1/metadata",
            remedy="ask the Prometheus that scrapes the targets: it is told their types",
        )
    misfits = [misfit for one in typed for misfit in one.misfits]
    moves = {m: f"sum(changes({m.selector}[{_HISTORY}])) > 0" for m in misfits}
    # What only grows falls with a restart, and not with one change in ten.
    falls = {
        m: f"sum(resets({m.selector}[{_HISTORY}])) > {_FALLING} * ({moved})"
        for m, moved in moves.items()
    }
    found = prometheus.query_all([*falls.values(), *moves.values()])
    fell = {m: bool(found.get(falls[m])) for m in misfits}
    moved = {m: bool(found.get(moves[m])) for m in misfits}
    of_counters = [m for m in misfits if m.kind == "counter"]
    wrong = [str(m) for m in misfits if fell[m] or m in of_counters]
    doubtful = [str(m) for m in misfits if not moved[m] and m not in of_counters]
    return LookedAtTypes(judged, tuple(wrong), tuple(doubtful), unknown)


_MISSED: Final = "prometheus_rule_group_iterations_missed_total"
_ALL: Final = "prometheus_rule_group_iterations_total"
_WINDOW: Final = "10m"
_MOST_OF_IT: Final = 0.9


@dataclass(frozen=True, slots=True)
class Missed:
    """The evaluations of one group that were skipped."""

    group: str  # its name
    share: float  # how many of them, 0 to 1
    measurement: Measurement  # the same, to be judged


def missed(prometheus: Prometheus) -> tuple[Missed, ...]:
    """For each group, the share of its evaluations that were skipped in the last ten minutes.

    Asked of Prometheus as its own target. If it does not scrape itself, its own metrics are read
    twice, for as long as it takes to evaluate every group.

    Raises:
        NoData: both are impossible.
    """
    of_all = f"sum by (rule_group) (increase({_ALL}[{_WINDOW}]))"
    of_missed = f"sum by (rule_group) (increase({_MISSED}[{_WINDOW}]))"
    groups = prometheus.rules()
    intervals, within = {g.name: g.interval_s for g in groups}, patience_s(prometheus)
    if not prometheus.query(f"count({_ALL}) > 0"):
        return _observed(prometheus, intervals, within)
    totals = _by_group(until(lambda: prometheus.query(f"{of_all} > 0"), bool, within_s=within))
    if not totals:
        return _observed(prometheus, intervals, within)
    missing = _by_group(prometheus.query(of_missed))
    counts = {key: (missing.get(key, 0.0), total) for key, total in totals.items()}
    return _judged(counts, intervals, of_missed)


def _judged(
    counts: Mapping[str, tuple[float, float]], intervals: Mapping[str, float], source: str
) -> tuple[Missed, ...]:
    """The shares, without the time in which no group at all was evaluated.

    Prometheus itself did not run then: the machine slept, or a drill paused it. A slow group misses
    more than that; if all groups are slow, their durations show it. A group that was loaded later
    says nothing about the time before.
    """
    # The key is the file and the name. Groups that are no longer loaded are left out.
    loaded = {
        name: (missing, total, intervals[name])
        for key, (missing, total) in counts.items()
        if (name := key.rpartition(";")[2]) in intervals and total > 0
    }
    longest_s = max((total * interval for _, total, interval in loaded.values()), default=0.0)
    witnesses = {
        name: (missing + 1) * interval
        for name, (missing, total, interval) in loaded.items()
        if (total + 1) * interval >= _MOST_OF_IT * longest_s
    }
    stopped_s = min(witnesses.values(), default=0.0)
    found = []
    for name, (missing, total, interval) in sorted(loaded.items()):
        excused_s = stopped_s if name in witnesses else interval
        share = min(1.0, max(0.0, missing * interval - excused_s) / (total * interval))
        what = f"missed evaluations of group {name}"
        found.append(Missed(name, share, Measurement(what, share, "ratio", source, round(total))))
    return tuple(found)


def _by_group(samples: Sequence[Sample]) -> dict[str, float]:
    return {sample.labels.get("rule_group", ""): sample.value for sample in samples}


def _observed(
    prometheus: Prometheus, intervals: Mapping[str, float], within_s: float
) -> tuple[Missed, ...]:
    before = _counters(prometheus)

    def grown() -> dict[str, tuple[float, float]]:
        after = _counters(prometheus)
        return {
            key: (now[0] - before[key][0], now[1] - before[key][1])
            for key, now in after.items()
            if key in before
        }

    found = until(grown, lambda seen: all(total for _, total in seen.values()), within_s=within_s)
    if not any(total > 0 for _, total in found.values()):
        raise NoData(
            f"{_ALL} did not move for {within_s:g} s",
            where=f"{prometheus.url}/metrics",
            remedy="let Prometheus scrape itself, so that it has a history, or raise `wait_max_s`"
            " in [prometheus]",
        )
    return _judged(found, intervals, f"GET {prometheus.url}/metrics")


def _counters(prometheus: Prometheus) -> dict[str, tuple[float, float]]:
    """Missed and all evaluations since the start, by group."""
    sums: defaultdict[tuple[str, str], float] = defaultdict(float)
    for series, value in prometheus.metrics().samples.items():
        if series.name in {_MISSED, _ALL}:
            sums[series.name, dict(series.labels).get("rule_group", "")] += value
    groups = {group for name, group in sums if name == _ALL}
    return {group: (sums[_MISSED, group], sums[_ALL, group]) for group in groups}


def busiest(groups: tuple[RuleGroup, ...]) -> list[Measurement]:
    """For each group, the share of its interval that its last evaluation took."""
    return [
        Measurement(
            f"evaluation time of group {group.name}, relative to its interval",
            group.evaluation_s / group.interval_s,
            "ratio",
            "/api/v1/rules",
        )
        for group in groups
        if group.interval_s
    ]


_TIMEOUT_S: Final = 10.0
_FIRST_ERROR: Final = 400
# A wiki that asks for a login is assumed to have the page.
_LOGIN: Final = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class Pages:
    """The outcome of asking for pages."""

    asked: int  # how many different ones
    missing: dict[str, str]  # by URL, what was answered instead
    unanswered: dict[str, str]  # by URL, why nothing was answered


def look_up(urls: Iterable[str]) -> Pages:
    """Ask for each page once, without a login; a redirect counts as a page."""
    missing, unanswered = {}, {}
    wanted = sorted(set(urls))
    for url in wanted:
        try:
            answer = http.get(url, timeout_s=_TIMEOUT_S)
        except CouldNotMeasure as problem:
            unanswered[url] = problem.message
            continue
        if answer.status >= _FIRST_ERROR and answer.status not in _LOGIN:
            missing[url] = f"answered {answer.status}"
    return Pages(len(wanted), missing, unanswered)
