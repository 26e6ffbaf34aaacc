"""Whether the agreed alert rules are loaded, with the agreed bounds, and fire at them."""

import difflib
import math
from collections.abc import Sequence
from typing import Final

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.alerting.config import RequiredRule
from readiness.areas.alerting.probes import rule_trial
from readiness.areas.alerting.probes.rules import loaded
from readiness.areas.alerting.promql import Bound, bounds
from readiness.areas.alerting.promql.bounds import Direction
from readiness.areas.alerting.units import converted
from readiness.lib.prometheus import Prometheus
from readiness.lib.prometheus.replies import Rule
from readiness.model.errors import NoData

_RULES: Final = "GET /api/v1/rules"


@check(
    "alerting.required-rules",
    title="The alert rule is loaded, with the agreed severity, bound and waiting time",
    why="""A rule that lies in a repository alerts nobody. And one that compares seconds with the
    3000 of a specification in milliseconds is loaded, healthy and never fires: nobody notices
    before the incident that it was written for.""",
    fix="""Look at what is loaded, under the name of the alert:
    curl -s PROMETHEUS/api/v1/rules | jq '.data.groups[].rules[] | select(.name == "NAME")'
Not there: add it to a file named in `rule_files`, then
    promtool check rules FILE && curl -X POST PROMETHEUS/-/reload
Another bound: correct the rule, or the figure in [alerting.rules.NAME]; `metric_unit` says in
    which unit the rule compares where the requirement is in another one.""",
    severity="blocker",
    effect="observe",
    each="alert_rule",
)
def test_required_rules(alert_rule: RequiredRule, watcher: Prometheus, evidence: Evidence) -> None:
    """Read from what Prometheus has loaded, not from a file."""
    rules = watcher.alerting_rules()
    named = [rule for rule in rules if rule.name == alert_rule.name]
    there = Measurement(f"rules named {alert_rule.name}", len(named), "count", _RULES)
    if not evidence.judge("there", there, at_least(1), _nearest(alert_rule.name, rules)):
        return
    rule = _meant(named, alert_rule)
    evidence.judge(
        "severity",
        Measurement("severity", rule.severity or "none", "text", _RULES),
        equal_to(alert_rule.severity),
    )
    evidence.judge(
        "waiting-time",
        Measurement("waiting time (for)", rule.for_s, "s", _RULES),
        at_most(alert_rule.max_for_s),
    )
    _judge_bound(alert_rule, rule, evidence)


def _judge_bound(wanted: RequiredRule, rule: Rule, evidence: Evidence) -> None:
    direction, required, unit = _required(wanted)
    found = bounds(rule.query)
    if not found:
        raise NoData(
            "the rule compares nothing with a number: its bound cannot be read",
            where=rule.query,
            remedy="write the figure into the rule, or declare alerting.required-rules not"
            " applicable in [gate.not_applicable], with the reason",
        )
    same = [bound for bound in found if bound.direction == direction]
    named = f"bound of {rule.name}"
    if not same:
        evidence.judge(
            "named",
            Measurement(named, str(found[0]), "text", rule.query),
            equal_to(f"{direction} {required:g}"),
            f"it must fire {direction} {required:g} {unit}",
        )
        return
    nearest = min(same, key=lambda bound: abs(bound.value - required))
    value = required if math.isclose(nearest.value, required, rel_tol=1e-9) else nearest.value
    evidence.judge(
        "named",
        Measurement(named, value, unit, rule.query),
        equal_to(required),
        _wrong(wanted, nearest, required, unit),
    )


def _wrong(wanted: RequiredRule, bound: Bound, required: float, unit: str) -> str:
    """What is wrong with a bound: mostly, it is the right figure in the wrong unit."""
    stated = _figure(wanted)
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


def _figure(wanted: RequiredRule) -> float:
    return next(v for v in (wanted.above, wanted.below, wanted.equals) if v is not None)


def _required(wanted: RequiredRule) -> tuple[Direction, float, str]:
    """On which side of which bound it must fire, in the unit that the rule compares in."""
    unit = wanted.metric_unit or wanted.unit
    value = converted(_figure(wanted), wanted.unit, unit)
    if wanted.above is not None:
        return "above", value, unit
    return ("equals", value, unit) if wanted.below is None else ("below", value, unit)


def _meant(named: Sequence[Rule], wanted: RequiredRule) -> Rule:
    """Of several rules of one name, that of the agreed severity, if there is one."""
    return next((rule for rule in named if rule.severity == wanted.severity), named[0])


def _nearest(name: str, rules: Sequence[Rule]) -> str:
    near = difflib.get_close_matches(name, [rule.name for rule in rules], n=3)
    found = f"the nearest are {', '.join(near)}" if near else "none has a similar name"
    return f"of {len(rules)} loaded alerting rules {found}"


@check(
    "alerting.rule-thresholds",
    title="The loaded rule fires just beyond its agreed bound, not before it, and ends again",
    why="""What a rule says and what it does are two things: a second condition that matches no
    labels, a `bool` too many, a maximum over a day instead of five minutes. Only giving it
    values shows that somebody is woken at the agreed one, and can sleep again after it.""",
    fix="""The check takes the rule as Prometheus has loaded it, makes up series that bring it just
below and just above the agreed bound, and lets promtool tell what fires. Do it by hand:
    curl -s PROMETHEUS/api/v1/rules | jq '.data.groups[].rules[] | select(.name == "NAME")'
    promtool test rules test.yml      (prometheus.io/docs, "Unit testing for rules")
Never fires: look for `and`, `on (...)` and `unless` whose labels the left side does not have.
Fires below: `> bool 3` fires at every value; so does a rule without a comparison.
Does not end: its range (`[1d]`) is how long it remembers.
Not to be tried (error): the message says why, and what can be done.""",
    severity="blocker",
    effect="observe",
    each="alert_rule",
)
def test_rule_thresholds(alert_rule: RequiredRule, watcher: Prometheus, evidence: Evidence) -> None:
    """The inputs come from what was agreed, the rule from what runs."""
    direction, required, unit = _required(alert_rule)
    found = loaded(watcher)
    named = [rule for _, rule in found.alerting if rule.name == alert_rule.name]
    if not named:
        raise NoData(
            f"there is no alerting rule {alert_rule.name} that could be tried",
            where=_RULES,
            remedy="see alerting.required-rules",
        )
    rule = _meant(named, alert_rule)
    interval_s = next(group.interval_s for group, r in found.alerting if r is rule)
    did = rule_trial.try_rule(
        rule.name,
        rule.query,
        for_s=rule.for_s,
        interval_s=interval_s,
        direction=direction,
        required=required,
    )
    beyond, before = f"{did.tried.fires:.6g} {unit}", f"{did.tried.quiet:.6g} {unit}"
    for name, seen, wanted, because in (
        (f"fires at {beyond}", did.fires, "yes", f"{did.subject} was brought there, and held"),
        (f"fires at {before}", did.quiet is False, "no", "nobody is to be woken there"),
        (f"ends at {before}", did.recovers, "yes", "it goes on after all is well again"),
    ):
        evidence.judge("told", _told(name, rule, did=seen), equal_to(wanted), because)
    if did.quiet_at_bound is not None:
        exactly = _told(f"fires at exactly {required:g} {unit}", rule, did=not did.quiet_at_bound)
        evidence.judge(
            "exactly", exactly, equal_to("no"), f"agreed is {direction} it", warn_only=True
        )


def _told(name: str, rule: Rule, *, did: bool) -> Measurement:
    return Measurement(name, "yes" if did else "no", "text", f"promtool test rules: {rule.query}")
