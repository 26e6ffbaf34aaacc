"""Whether the agreed alert rules are loaded, and fire when they must."""

import difflib
import math
from collections.abc import Sequence
from typing import Final

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.alerting.bounds import Bound, Direction, bounds, converted
from readiness.areas.alerting.config import RequiredRule
from readiness.areas.alerting.judging import judge_true
from readiness.areas.alerting.probes import rule_trial
from readiness.areas.alerting.probes.rules import loaded
from readiness.areas.alerting.soundness import never_fires
from readiness.config.base.watching import Job
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.replies import Rule
from readiness.model.errors import NoData

_RULES: Final = "GET /api/v1/rules"


@check(
    "alerting.required-rules",
    title="The agreed alert rule is loaded, and fires just beyond its bound",
    failure_title="The agreed alert rule is missing, differs, or does not fire as agreed",
    core=True,
    why="""A rule that is only in a repository never fires. One that compares seconds with the 3000
    of a specification in milliseconds is loaded, healthy and never fires either, which shows only
    in the incident that it was written for.""",
    fix="""Look at what is loaded under the name of the alert:
    curl -s PROMETHEUS/api/v1/rules | jq '.data.groups[].rules[] | select(.name == "ALERT")'
loaded: add it to a file named in `rule_files`, then
    promtool check rules FILE && curl -X POST PROMETHEUS/-/reload
severity, for, bound: correct the rule, or the figure in [alerting.rules.NAME];
`metric_unit` names the unit in which the rule compares, where it differs from `unit`.
fires, quiet, resolves, quiet-at-bound: the check makes up series just below and just above the
bound; do it by hand with
    promtool test rules test.yml      (prometheus.io/docs, "Unit testing for rules")
    Never fires: `and`, `on (...)` and `unless` whose labels the left side does not have.
    Fires below: `> bool 3` fires at every value; so does a rule without a comparison.
    Does not resolve: a condition that stays true once it was.""",
    severity="blocker",
    each="alert_rule",
    judgements=(
        "loaded",
        "severity",
        "for",
        "bound",
        "fires",
        "quiet",
        "resolves",
        "quiet-at-bound",
    ),
)
def test_required_rules(alert_rule: RequiredRule, watcher: Prometheus, evidence: Evidence) -> None:
    """The series are made for the agreed bound; the rule is the one that Prometheus has loaded."""
    rules = watcher.alerting_rules()
    named = [rule for rule in rules if rule.name == alert_rule.name]
    there = Measurement(f"rules named {alert_rule.name}", len(named), "count", _RULES)
    if not evidence.judge(
        "loaded",
        there,
        at_least(1),
        _nearest(alert_rule.name, rules),
        says=f"{alert_rule.name} is not loaded",
    ):
        return
    rule = _meant(named, alert_rule)
    severity = rule.severity or "none"
    evidence.judge(
        "severity",
        Measurement("severity", severity, "text", _RULES),
        equal_to(alert_rule.severity, alert_rule.deciding("severity")),
        says=f"{rule.name} has severity {severity}, and {alert_rule.severity} is agreed",
    )
    measured = Measurement(f"`for` of {rule.name}", rule.for_s, "s", _RULES)
    evidence.judge("for", measured, at_most(alert_rule.max_for_s, alert_rule.deciding("max_for_s")))
    with evidence.attempt():
        _judge_bound(alert_rule, rule, evidence)
    with evidence.attempt():
        _judge_trial(alert_rule, watcher, evidence)


def _judge_bound(wanted: RequiredRule, rule: Rule, evidence: Evidence) -> None:
    direction, required, unit = _required(wanted)
    found = bounds(rule.query)
    if not found:
        raise NoData(
            f"{rule.name} {rule_trial.NO_NUMBER}: its bound cannot be read",
            where=rule.query,
            remedy=f"write the figure into the rule, or {rule_trial.excused(rule.name)}",
        )
    setting = wanted.deciding(_stated(wanted)[0])
    same = [bound for bound in found if bound.direction == direction]
    if not same:
        agreed = f"{direction} {required:g}"
        evidence.judge(
            "bound",
            Measurement(f"bound of {rule.name}", str(found[0]), "text", rule.query),
            equal_to(agreed, setting),
            says=f"{rule.name} compares {found[0]}, and {agreed} {unit} is agreed",
        )
        return
    nearest = min(same, key=lambda bound: abs(bound.value - required))
    value = required if math.isclose(nearest.value, required, rel_tol=1e-9) else nearest.value
    measured = Measurement(f"bound of {rule.name}", value, unit, rule.query)
    evidence.judge(
        "bound", measured, equal_to(required, setting), _wrong(wanted, nearest, required, unit)
    )


def _wrong(wanted: RequiredRule, bound: Bound, required: float, unit: str) -> str:
    """What is wrong with a bound: usually, it is the right figure in the wrong unit."""
    _, stated = _stated(wanted)
    agreed = f"{stated:g} {wanted.unit}"
    if unit != wanted.unit:
        agreed += f", which is {required:g} {unit}"
    if math.isclose(bound.value, stated) and unit != wanted.unit:
        return f"{bound} is the figure in {wanted.unit}, and the rule compares {unit}: {agreed}"
    if required and bound.value and math.isclose(bound.value / required, 1000, rel_tol=1e-6):
        return f"a thousand times the agreed {agreed}: milliseconds where there are seconds?"
    if required and math.isclose(bound.value / required, 100, rel_tol=1e-6):
        return f"a hundred times the agreed {agreed}: percent where there is a ratio?"
    return f"agreed is {agreed}"


def _stated(wanted: RequiredRule) -> tuple[str, float]:
    """The key of the bound, and its figure in `unit`."""
    given = {"above": wanted.above, "below": wanted.below, "equals": wanted.equals}
    return next((key, value) for key, value in given.items() if value is not None)


def _required(wanted: RequiredRule) -> tuple[Direction, float, str]:
    """On which side of which bound it must fire, in the unit that the rule compares in."""
    unit = wanted.metric_unit or wanted.unit
    key, stated = _stated(wanted)
    value = converted(stated, wanted.unit, unit)
    if key == "above":
        return "above", value, unit
    return ("below", value, unit) if key == "below" else ("equals", value, unit)


def _meant(named: Sequence[Rule], wanted: RequiredRule) -> Rule:
    """The first rule of the agreed severity, or of any."""
    return next((rule for rule in named if rule.severity == wanted.severity), named[0])


def _nearest(name: str, rules: Sequence[Rule]) -> str:
    near = difflib.get_close_matches(name, [rule.name for rule in rules], n=3)
    found = f"the nearest are {', '.join(near)}" if near else "none has a similar name"
    return f"of {len(rules)} loaded alerting rules {found}"


def _judge_trial(wanted: RequiredRule, watcher: Prometheus, evidence: Evidence) -> None:
    """Promtool runs the rule on made-up series."""
    direction, required, unit = _required(wanted)
    found = loaded(watcher).alerting
    rule = _meant([rule for _, rule in found if rule.name == wanted.name], wanted)
    interval_s = next(group.interval_s for group, r in found if r is rule)
    if why := never_fires(rule, {}):
        missed = f"{rule.name} can never fire"
        judge_true(evidence, "fires", "can fire", _RULES, true=False, miss=missed, because=why)
        return
    did = rule_trial.try_rule(
        rule.name,
        rule.query,
        for_s=rule.for_s,
        interval_s=interval_s,
        direction=direction,
        required=required,
    )
    source = f"promtool test rules: {rule.query}"
    beyond, before = f"{did.tried.fires:.6g} {unit}", f"{did.tried.quiet:.6g} {unit}"
    agreed = f"agreed is {direction} {required:g} {unit}"
    for key, name, good, miss in (
        ("fires", f"fires at {beyond}", did.fires, f"does not fire at {beyond}"),
        ("quiet", f"is quiet at {before}", did.quiet, f"fires at {before}"),
        ("resolves", f"resolves at {before}", did.recovers, f"does not resolve at {before}"),
    ):
        judge_true(
            evidence, key, name, source, true=good, miss=f"{rule.name} {miss}", because=agreed
        )
    if did.quiet_at_bound is not None:
        evidence.judge(
            "quiet-at-bound",
            Measurement(
                f"is quiet at {required:g} {unit}", int(did.quiet_at_bound), "count", source
            ),
            equal_to(1),
            agreed,
            says=f"{rule.name} fires at exactly {required:g} {unit}",
            warn_only=True,
        )


@check(
    "alerting.job-loss",
    title="An alert fires when the targets of a job are down or gone",
    failure_title="No alert fires when the targets of a job are down or gone",
    core=True,
    why="""A rule on a metric stops firing when the metric ends: if the application dies while its
    alert fires, all channels show it as resolved. Only a rule on `up == 0` notices that, and only
    `absent()` notices a job whose targets have vanished from service discovery.""",
    fix="""One rule for all jobs, and one line for each job that matters:
    - alert: TargetDown
      expr: up == 0
      for: 2m
      labels: {severity: critical}
      annotations: {summary: '{{ $labels.job }} is down', runbook_url: 'https://RUNBOOK'}
    - alert: JobGone
      expr: absent(up{job="JOB"})   # or absent(up{job="..."}): each further job that matters
      for: 5m
      labels: {severity: critical}
      annotations: {summary: '{{ $labels.job }} is gone', runbook_url: 'https://RUNBOOK'}
Loaded already? promtool runs the rules that select the job while its `up` is 0, and while it has no
targets; a rule that waits for longer than an hour is too late.""",
    severity="blocker",
    each="job",
    judgements=("down", "gone"),
)
def test_job_loss(job: Job, watcher: Prometheus, evidence: Evidence) -> None:
    """By what the loaded rules do on made-up series. A job without targets is only a warning."""
    found = loaded(watcher)
    loss = rule_trial.lose_job(watcher, [rule for _, rule in found.all_rules], job.name)
    count = len(found.alerting)
    for key, noticed, state, warn_only in (
        ("down", loss.down, f"all targets of {job.name} are down", False),
        ("gone", loss.gone, f"{job.name} has no targets any more", True),
    ):
        evidence.judge(
            key,
            Measurement(
                f"an alert fires when {state}", int(noticed), "count", "promtool test rules",
                count,
            ),
            equal_to(1),
            says=f"None of {count} loaded rules fires when {state}",
            warn_only=warn_only,
        )  # fmt: skip
