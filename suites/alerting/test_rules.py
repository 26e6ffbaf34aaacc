"""Whether the loaded rules can work, are documented, and are quiet now."""

from collections.abc import Iterator, Sequence
from typing import Final

from readiness import Evidence, Measurement, at_least, at_most, check
from readiness.areas.alerting.config import Alerting
from readiness.areas.alerting.judging import judge_none
from readiness.areas.alerting.probes import rules
from readiness.areas.alerting.probes.rules import Loaded
from readiness.areas.alerting.promql import possible_labels, referenced_labels
from readiness.config.base.watching import Prometheus as Settings
from readiness.config.models import Config
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.replies import Rule
from readiness.lib.retry import until
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
    title="Every rule is evaluated on time and without errors, and selects series that exist",
    failure_title="Rules fail, are late, or select series that do not exist",
    why="""A rule on a renamed metric is loaded, healthy and silent, exactly like one that has
    nothing to report. Rules that fail or take longer than their interval show only in Prometheus
    itself, and are noticed when the alert that should have paged did not.""",
    fix="""Error: try the expression; "many-to-many matching" needs `on (...)` and `group_left`
    promtool query instant PROMETHEUS 'EXPRESSION'
Late, or missed evaluations: find the expensive rule, record what it computes in a group of its
    own, shorten its range, or raise `interval` of the group
    curl -s PROMETHEUS/api/v1/rules | jq '.data.groups[] | {name, interval, evaluationTime}'
    curl -s PROMETHEUS/api/v1/rules | jq '.data.groups[].rules[] | {name, evaluationTime}'
Selects nothing: look for the right name
    curl -s 'PROMETHEUS/api/v1/label/__name__/values' | jq -r '.data[]' | grep WORD
    A metric whose first series comes with the first error: let the service start it at 0, or name
    it in `no_series_yet` of [alerting]; one that may be missing: `absent(...)` or `or vector(0)`.
Range too short: four scrape intervals are the usual advice
    rate(errors_total[5m])     for a job that is scraped every minute""",
    severity="blocker",
    each="prometheus",
    judgements=("errors", "on-time", "selectors", "ranges", "ranges-tight"),
)
def test_rules_healthy(
    prometheus: Settings, watcher: Prometheus, target: Config, evidence: Evidence
) -> None:
    """Waits for a first evaluation, and for another one if the last one is late."""
    found = until(lambda: rules.loaded(watcher), lambda seen: not _late(seen), within_s=5.0)
    count = len(found.all_rules)
    sick = [f"{r.name}: {r.error or r.health}" for _, r in found.all_rules if r.health != "ok"]
    judge_none(evidence, "errors", "rules with an error", sick, _RULES, count)
    judge_none(evidence, "on-time", "rules evaluated late", _late(found), _RULES, count)
    with evidence.attempt():
        _judge_selectors(found, watcher, target.alerting or Alerting(), evidence)
    with evidence.attempt():
        _judge_ranges(found, watcher, evidence)
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
    canary = alerting.canary.alert if alerting.canary else ""
    judged = [rule for _, rule in found.alerting if rule.name != canary]
    looked = until(
        lambda: rules.look_for(watcher, judged, alerting.no_series_yet),
        lambda seen: not seen.blind,
        within_s=rules.patience_s(watcher),
    )
    name = "selectors that match no series"
    judge_none(evidence, "selectors", name, looked.blind, _RULES, looked.selectors)


def _judge_ranges(found: Loaded, watcher: Prometheus, evidence: Evidence) -> None:
    """Against the scrape interval of the job that the series come from."""
    known, unknown = until(
        lambda: rules.spans(watcher, found),
        lambda seen: not seen[1],
        within_s=rules.patience_s(watcher),
    )
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
    title="Every alert has an agreed severity, a summary, and a runbook that exists",
    failure_title="Alerts lack an agreed severity, a summary or a runbook",
    why="""A severity with a typo matches no route, and ends in a mailbox that is not read at night.
    The person on call needs to know what is wrong and what to do; a dead runbook link or
    `<no value>` in place of the host makes the outage longer.""",
    fix="""The message names rule and reason. In the rule's file:
    labels: {severity: ...}             one of [alerting.severities], or none
    annotations: {summary: "...", runbook_url: "https://..."}
    curl -sI RUNBOOK                    must answer less than 400
A label that does not exist: `sum by (instance) (...)` keeps it, `sum(...)` does not.""",
    severity="major",
    each="prometheus",
    judgements=("severity", "summary", "runbook", "runbook-exists", "labels"),
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
    for key, name, wrong in (
        ("severity", "rules without an agreed severity", _odd(loaded, apart)),
        ("summary", "rules without a summary", _lacking(agreed, "summary")),
        ("runbook", "rules without a runbook", _lacking(agreed, "runbook_url")),
        ("runbook-exists", "runbooks not found", [f"{u} {w}" for u, w in pages.missing.items()]),
        ("labels", "texts with a label that does not exist", list(_blanks(loaded))),
    ):
        judge_none(evidence, key, name, wrong, _RULES, len(loaded))
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
                yield f"{rule.name}: {{{{ $labels.{label} }}}} becomes <no value>"


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
    return sorted(active) or [f"{r.name} is true now" for r in judged if watcher.query(r.query)]
