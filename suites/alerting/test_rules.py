"""Whether the loaded rules can work, are documented, and are quiet now."""

from collections.abc import Iterator, Sequence
from typing import Final

from readiness import Evidence, Measurement, at_least, at_most, check
from readiness.areas.alerting.config import Alerting
from readiness.areas.alerting.judging import judge_none
from readiness.areas.alerting.probes import rule_joins, rules
from readiness.areas.alerting.probes.rules import Loaded
from readiness.areas.alerting.promql import possible_labels, referenced_labels
from readiness.areas.alerting.soundness import (
    always_fires,
    changing_labels,
    is_on_purpose,
    never_ends,
    never_fires,
)
from readiness.config.base.watching import Prometheus as Settings
from readiness.config.models import Config
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.replies import Rule
from readiness.lib.retry import until
from readiness.lib.text import listed
from readiness.model.errors import NoData, Unreachable

_STALE_INTERVALS: Final = 2
_FEWEST_SAMPLES: Final = 2
_ADVISED_SAMPLES: Final = 4
_MISSED_MAX: Final = 0.05
_BUSY_MAX: Final = 0.5
_NO_SEVERITY: Final = "none"
_TEMPLATE: Final = "{{"  # its value is known only when the alert fires
_RULES: Final = "GET /api/v1/rules"


@check(
    "alerting.rules-healthy",
    title="Every rule is evaluated on time, selects series that exist, and can fire and end",
    failure_title="Rules fail, are late, select nothing, or can never fire or end",
    why="""A rule on a renamed metric is loaded, healthy and silent, exactly like one that has
    nothing to report; so is `count(up == 1) == 0`, as nothing is counted as nothing. A rule that
    always fires is muted, with the ones beside it. Rules that fail or take longer than their
    interval show only in Prometheus itself.""",
    fix="""errors: try the expression; "many-to-many matching" needs `on (...)` and `group_left`
    promtool query instant PROMETHEUS 'EXPRESSION'
on-time: find the expensive rule, record what it computes in a group of its
    own, shorten its range, or raise `interval` of the group
    curl -s PROMETHEUS/api/v1/rules | jq '.data.groups[] | {name, interval, evaluationTime}'
    curl -s PROMETHEUS/api/v1/rules | jq '.data.groups[].rules[] | {name, evaluationTime}'
selectors: look for the right name
    curl -s 'PROMETHEUS/api/v1/label/__name__/values' | jq -r '.data[]' | grep WORD
A metric whose first series comes with the first error: let the service start it at 0, or name
it in `no_series_yet` of [alerting]; one that may be missing: `absent(...)` or `or vector(0)`.
can-fire: `count()` of no series is nothing, and not 0:  count(up == 1) == 0 or absent(up)
    `sum(x == 0)` adds zeros; count them.  A ratio never exceeds 1: compare it with 0.05, not 5.
    sum by (le, job) (rate(latency_seconds_bucket[5m]))     histogram_quantile() needs `le`
    An uptime is below 60 s for a minute: shorten `for`, or count restarts: changes(...[1h]) > 3
joins: name what both sides have, as `on (instance)`, and aggregate both sides to that.
ends: compare without `bool`, and after `or vector(0)`. One that fires on purpose, as a Watchdog:
give it the severity `none`, or name it in [alerting.dead_man]. Of a counter:
    increase(errors_total[1h]) > 10      a counter itself only falls with a restart
types: rate() and increase() are for counters; of a gauge use delta(), deriv() or the value itself.
ranges, ranges-tight: four scrape intervals are the usual advice
    rate(errors_total[5m])     for a job that is scraped every minute""",
    severity="blocker",
    each="prometheus",
    judgements=(
        "errors",
        "on-time",
        "selectors",
        "joins",
        "can-fire",
        "ends",
        "types",
        "ranges",
        "ranges-tight",
    ),
)
def test_rules_healthy(
    prometheus: Settings, watcher: Prometheus, target: Config, evidence: Evidence
) -> None:
    """Waits for a first evaluation, and for another one if the last one is late."""
    found = until(lambda: rules.loaded(watcher), lambda seen: not _late(seen), within_s=5.0)
    alerting, count = target.alerting or Alerting(), len(found.all_rules)
    sick = [f"{r.name}: {r.error or r.health}" for _, r in found.all_rules if r.health != "ok"]
    judge_none(evidence, "errors", "rules with an error", sick, _RULES, count)
    judge_none(evidence, "on-time", "rules evaluated late", _late(found), _RULES, count)
    with evidence.attempt():
        _judge_selectors(found, watcher, alerting, evidence)
    with evidence.attempt():
        _judge_joins(found, watcher, alerting, evidence)
    with evidence.attempt():
        _judge_logic(found, watcher, alerting, evidence)
    with evidence.attempt():
        _judge_types(found, watcher, evidence)
    with evidence.attempt():
        _judge_ranges(found, watcher, alerting, evidence)
    with evidence.attempt():
        _judge_pace(watcher, prometheus, evidence)


def _late(found: Loaded) -> list[str]:
    return [
        f"{rule.name}: last evaluated {found.at - rule.evaluated.timestamp():.0f} s ago"
        for group, rule in found.all_rules
        if found.at - rule.evaluated.timestamp() > _STALE_INTERVALS * group.interval_s + 1
    ]


def _judge_selectors(
    found: Loaded, watcher: Prometheus, alerting: Alerting, evidence: Evidence
) -> None:
    """Now or within six hours; waits until a fresh Prometheus has scraped its targets."""
    judged = _without_canary(found, alerting)
    looked = until(
        lambda: rules.look_for(watcher, judged, alerting.no_series_yet),
        lambda seen: not seen.blind,
        within_s=rules.patience_s(watcher),
    )
    if not (looked.selectors or looked.blind):
        raise NoData(
            "no alert rule selects a series that must exist",
            where=watcher.url,
            remedy="rules on `vector(1)` and absent() alone notice nothing: load the real ones",
        )
    name = "selectors that match no series"
    samples = max(looked.selectors, len(looked.blind))
    judge_none(evidence, "selectors", name, looked.blind, _RULES, samples)


def _without_canary(found: Loaded, alerting: Alerting) -> list[Rule]:
    canary = alerting.canary.alert if alerting.canary else ""
    return [rule for _, rule in found.alerting if rule.name != canary]


def _judge_joins(
    found: Loaded, watcher: Prometheus, alerting: Alerting, evidence: Evidence
) -> None:
    """On the live series, whatever the rules compare; nothing is judged if no rule joins."""
    judged = _without_canary(found, alerting)
    looked = until(
        lambda: rule_joins.look(watcher, judged),
        lambda seen: not seen.apart,
        within_s=rules.patience_s(watcher),
    )
    if looked.judged:
        name = "conditions whose sides never match"
        judge_none(evidence, "joins", name, looked.apart, _RULES, looked.judged)


def _judge_logic(
    found: Loaded, watcher: Prometheus, alerting: Alerting, evidence: Evidence
) -> None:
    """By the text of each alert rule; one without a condition, also by its value now."""
    kinds = watcher.metric_types()
    judged = _without_canary(found, alerting)
    lookback_s = watcher.lookback_s()
    nevers = ((rule, never_fires(rule, kinds, lookback_s)) for rule in judged)
    silent = [f"{rule.name}: {why}" for rule, why in nevers if why]
    count = len(judged)
    judge_none(evidence, "can-fire", "rules that can never fire", silent, _RULES, count)
    apart = {alerting.dead_man.alert} if alerting.dead_man else set[str]()
    rest = [rule for rule in judged if rule.name not in apart and not is_on_purpose(rule)]
    endless = [f"{rule.name}: {why}" for rule in rest if (why := always_fires(rule, kinds))]
    endless += rules.firing_while_there(watcher, rest, kinds)
    endless += [
        f"{rule.name}: {latched.text} compares the counter {latched.counter} itself"
        for rule in rest
        if (latched := never_ends(rule, kinds))
    ]
    judge_none(evidence, "ends", "rules that always fire, or never end", endless, _RULES, count)


def _judge_types(found: Loaded, watcher: Prometheus, evidence: Evidence) -> None:
    """By the types that the exporters declare; a gauge that has only grown is left out."""
    looked = rules.look_at_types(watcher, [rule for _, rule in found.all_rules])
    if looked.judged:
        name = "functions that do not fit the type of their metric"
        judge_none(evidence, "types", name, looked.wrong, _RULES, looked.judged)
        judge_none(
            evidence, "types", name, looked.doubtful, _RULES, looked.judged,
            hint="They did not change in 6 h, and may be counters", warn_only=True,
        )  # fmt: skip
    if looked.unknown:
        name = "functions of metrics without a declared type"
        evidence.record(Measurement(name, looked.unknown, "count", "/api/v1/metadata"))


def _judge_ranges(
    found: Loaded, watcher: Prometheus, alerting: Alerting, evidence: Evidence
) -> None:
    """Against the scrape interval of the job that the series come from."""
    known, unknown = until(
        lambda: rules.spans(watcher, found, alerting.no_series_yet),
        lambda seen: not seen[1],
        within_s=rules.patience_s(watcher),
    )
    if unknown and not known:
        raise NoData(
            f"no range can be judged: the interval of {listed(unknown)} is not known",
            where=watcher.url,
            remedy="give the series the label `job` of the target that they come from",
        )
    if not known:
        return  # no rule has a range
    short = [str(span) for span in known if span.samples < _FEWEST_SAMPLES]
    tight = [str(s) for s in known if _FEWEST_SAMPLES <= s.samples < _ADVISED_SAMPLES]
    judge_none(evidence, "ranges", "ranges shorter than two scrapes", short, _RULES, len(known))
    judge_none(
        evidence,
        "ranges-tight",
        "ranges shorter than four scrapes",
        tight,
        _RULES,
        len(known),
        hint="One lost scrape makes the rule give nothing",
        warn_only=True,
    )
    if unknown:
        name = "ranges over series of no known job"
        evidence.record(Measurement(name, len(unknown), "count", _RULES))


def _judge_pace(watcher: Prometheus, settings: Settings, evidence: Evidence) -> None:
    """In the last ten minutes, or since the start."""
    for group in rules.missed(watcher):
        evidence.judge("on-time", group.measurement, at_most(_MISSED_MAX), "its alerts fire late")
    calm = until(
        lambda: rules.busiest(watcher.rules()),
        lambda seen: all(float(measured.value) <= _BUSY_MAX for measured in seen),
        within_s=rules.patience_s(watcher),
    )
    for measured in calm:
        evidence.judge("on-time", measured, at_most(_BUSY_MAX), "it will soon miss evaluations")
    if not calm:
        raise NoData("no group of rules has an interval", where=settings.url)


@check(
    "alerting.rule-metadata",
    title="Every alert has an agreed severity, steady labels, a summary, and a runbook that exists",
    failure_title="Alerts lack an agreed severity, steady labels, a summary or a runbook",
    why="""A severity with a typo matches no route, and ends in a mailbox that is not read at night.
    The person on call needs to know what is wrong and what to do; a dead runbook link or
    an empty place where the host should be makes the outage longer. A label with the value in it
    makes a new alert of each evaluation: `for` starts again, and everybody is notified again.""",
    fix="""The message names rule and reason. In the rule's file:
    labels: {severity: ...}             one of [alerting.severities], or none
    annotations: {summary: "...", runbook_url: "https://..."}
    curl -sI RUNBOOK                    must answer less than 400
Value in a label: move `{{ $value }}` to an annotation; the labels say which alert it is.
A label that does not exist: `sum by (instance) (...)` keeps it, `sum(...)` does not.""",
    severity="major",
    each="prometheus",
    judgements=("severity", "summary", "runbook", "runbook-exists", "labels", "identity"),
)
def test_rule_metadata(
    prometheus: Settings,  # noqa: ARG001 - the subject
    watcher: Prometheus,
    target: Config,
    evidence: Evidence,
) -> None:
    """Rules of an agreed severity are judged whole; of the others, only the severity."""
    alerting = _declared(target)
    known = set(alerting.severities)
    loaded = [rule for _, rule in rules.loaded(watcher).alerting]
    agreed = [rule for rule in loaded if rule.severity in known]
    pages = rules.look_up(
        url
        for rule in agreed
        if (url := rule.annotations.get("runbook_url")) and _TEMPLATE not in url
    )
    apart = known | {_NO_SEVERITY, *_dead_mans(alerting, loaded)}
    missing = [f"{url} {why}" for url, why in pages.missing.items()]
    for key, name, wrong, samples in (
        ("severity", "rules without an agreed severity", _odd(loaded, apart), len(loaded)),
        ("summary", "rules without a summary", _lacking(agreed, "summary"), len(agreed)),
        ("runbook", "rules without a runbook", _lacking(agreed, "runbook_url"), len(agreed)),
        ("runbook-exists", "runbooks not found", missing, pages.asked),
        ("labels", "texts with a label that does not exist", list(_blanks(loaded)), len(loaded)),
        ("identity", "labels that hold a value", list(_unsteady(loaded, watcher)), len(loaded)),
    ):
        if samples:
            judge_none(evidence, key, name, wrong, _RULES, samples)
    # A severity that misses says it already.
    if not agreed and not evidence.failures:
        raise NoData(
            "no alert rule has an agreed severity: no summary and no runbook can be judged",
            where=watcher.url,
            remedy=f"label the rules with one of [alerting.severities]: {listed(sorted(known))}",
        )
    if pages.unanswered:
        url, why = next(iter(pages.unanswered.items()))
        raise Unreachable(
            f"{len(pages.unanswered)} of {pages.asked} runbooks did not answer: {why}",
            where=url,
            remedy="run the gate where the runbooks can be read",
        )


def _declared(target: Config) -> Alerting:
    if target.alerting is None or not target.alerting.severities:
        raise NoData(
            "no severities are declared",
            where="readiness.toml",
            remedy="declare [alerting.severities.NAME] for each severity that notifies a channel",
        )
    return target.alerting


def _dead_mans(alerting: Alerting, loaded: Sequence[Rule]) -> set[str]:
    name = alerting.dead_man.alert if alerting.dead_man else ""
    return {rule.severity for rule in loaded if name and rule.name == name}


def _odd(loaded: Sequence[Rule], known: set[str]) -> list[str]:
    return [
        f"{rule.name}: {rule.severity or 'no severity'}"
        for rule in loaded
        if rule.severity not in known and _TEMPLATE not in rule.severity
    ]


def _lacking(agreed: Sequence[Rule], annotation: str) -> list[str]:
    return [rule.name for rule in agreed if not rule.annotations.get(annotation, "").strip()]


def _blanks(loaded: Sequence[Rule]) -> Iterator[str]:
    """Labels that a text writes out and the rule's expression does not have."""
    for rule in loaded:
        possible = possible_labels(rule.query)
        texts = " ".join([*rule.labels.values(), *rule.annotations.values()])
        if possible is not None:
            for label in sorted(referenced_labels(texts) - possible):
                yield f"{rule.name}: {{{{ $labels.{label} }}}} becomes empty"


def _unsteady(loaded: Sequence[Rule], watcher: Prometheus) -> Iterator[str]:
    kinds = watcher.metric_types()
    for rule in loaded:
        for label in changing_labels(rule, kinds):
            yield f"{rule.name}: {label}={rule.labels[label]}"


@check(
    "alerting.quiet-baseline",
    title="No critical alert is firing or pending before the gate begins",
    failure_title="A critical alert is firing or pending before the gate begins",
    why="""A gate that runs in the middle of an incident measures the incident. In a release while a
    page is open, the release's own failure is noticed late, below the one that came before.""",
    fix="""Find the alert, and end it before the gate runs again:
    curl -s PROMETHEUS/api/v1/alerts | jq '.data.alerts[] | {state, labels}'
An alert that always fires on purpose: give it another severity, such as `none`.
No rule is critical: check the label `severity` of the rules against [alerting.severities].""",
    severity="major",
    each="prometheus",
    judgements=("critical-rules", "quiet"),
)
def test_quiet_baseline(
    prometheus: Settings,  # noqa: ARG001 - the subject
    watcher: Prometheus,
    target: Config,
    evidence: Evidence,
) -> None:
    """By the current values of the expressions; an alert of a single evaluation is ignored."""
    alerting = _declared(target)
    critical = {name for name, policy in alerting.severities.items() if not policy.may_be_muted}
    apart = {alerting.dead_man.alert} if alerting.dead_man else set[str]()
    apart |= {alerting.canary.alert} if alerting.canary else set()
    found = rules.loaded(watcher)
    judged = [r for _, r in found.alerting if r.severity in critical and r.name not in apart]
    evidence.judge(
        "critical-rules",
        Measurement("critical rules", len(judged), "count", _RULES),
        at_least(1),
        f"those that may not be muted: {', '.join(sorted(critical)) or 'none'}",
        says="No loaded rule has a critical severity",
    )
    holding = until(
        lambda: _holding(watcher, judged),
        lambda seen: not seen,
        within_s=rules.patience_s(watcher),
    )
    judge_none(evidence, "quiet", "critical alerts", holding, _RULES, len(judged))


def _holding(watcher: Prometheus, judged: list[Rule]) -> list[str]:
    """The alerts that are pending or firing, or will be at the next evaluation."""
    names = {rule.name for rule in judged}
    active = {f"{a.name} is {a.state}" for a in watcher.alerts() if a.name in names}
    found = watcher.query_all(f"count({rule.query})" for rule in judged)
    true = [rule.name for rule in judged if found.get(f"count({rule.query})")]
    return sorted(active) or [f"{name} is true now" for name in true]
