"""Whether silences and inhibition hold nothing back that somebody has to hear of."""

from collections.abc import Iterator, Sequence

from readiness import Evidence, Measurement, check, equal_to
from readiness.areas.alerting.config import Alerting
from readiness.areas.alerting.paper import inhibition
from readiness.areas.alerting.paper.config import InhibitRule
from readiness.areas.alerting.paper.matchers import Labels, Matcher, all_match
from readiness.areas.alerting.paper.reach import LiveRule
from readiness.areas.alerting.paper.routing import placed
from readiness.areas.alerting.probes import peers
from readiness.areas.alerting.probes.running import Running
from readiness.config.base.watching import Alertmanager
from readiness.lib.alertmanager import Silence
from readiness.lib.text import clean, listed


@check(
    "alerting.inhibition-rules",
    title="No inhibition rule holds back more than it is meant to",
    why="""With `equal` left empty, one critical alert anywhere silences every warning everywhere,
    for as long as it lasts. If the alert that always fires is among the held ones, its silence
    calls people out although all is well, or is taken for an alarm that can be ignored.""",
    fix="""Name the labels that both alerts share, and leave the dead man's alert out:
    inhibit_rules:
    - source_matchers: [severity="critical"]
      target_matchers: [severity="warning"]
      equal: [alertname, instance]
See what is held back now: amtool alert query --inhibited --alertmanager.url=ALERTMANAGER""",
    severity="major",
    effect="observe",
    each="alertmanager",
)
def test_inhibition_rules(
    alertmanager: Alertmanager,  # noqa: ARG001 - the subject
    running: Running,
    policy: Alerting,
    evidence: Evidence,
) -> None:
    """On paper; which live rules hold each other back is what the shadow replay shows."""
    rules = running.config.inhibit_rules
    dead_man = policy.dead_man.alert if policy.dead_man else ""
    alerts = [placed(rule.labels) for rule in running.rules]
    broad = [text for rule in rules for text in _too_broad(rule, alerts, dead_man)]
    evidence.record(Measurement("inhibition rules", len(rules), "count", running.source))
    evidence.judge(
        "them-hold-too-much",
        Measurement("of them that hold too much", len(broad), "count", running.source),
        equal_to(0),
        listed(broad, between="; "),
    )
    both = [
        f"{rule}: {listed(names)}"
        for rule in rules
        if len(names := inhibition.both_at_once(rule, alerts)) > 1
    ]
    evidence.judge(
        "rules-alerts-both-sides",
        Measurement("rules with alerts on both of their sides", len(both), "count", running.source),
        equal_to(0),
        f"these do not hold each other back: {listed(both, between='; ')}",
        warn_only=True,
    )


def _too_broad(rule: InhibitRule, alerts: Sequence[Labels], dead_man: str) -> Iterator[str]:
    if not rule.equal and not inhibition.names_one_source(rule):
        yield f"{rule} has an empty `equal`, and its source is not one alert"
    held = [alert for alert in alerts if dead_man and alert.get("alertname") == dead_man]
    if any(all_match(rule.target, alert) for alert in held):
        yield f"{rule} holds {dead_man} back, which has to arrive always"


@check(
    "alerting.silences",
    title="No silence covers a rule that must never be silent",
    why="""A silence from last night's deployment, made for all that is critical and for two weeks
    to be on the safe side, is forgotten by everybody but Alertmanager.""",
    fix="""Look at it, and end it, or narrow it to the one instance that is worked on:
    amtool silence query --alertmanager.url=ALERTMANAGER
    amtool silence expire --alertmanager.url=ALERTMANAGER ID
If that severity may be silenced, say `may_be_muted = true` in [alerting.severities.NAME].""",
    severity="blocker",
    effect="observe",
    each="alertmanager",
)
def test_silences(
    alertmanager: Alertmanager, running: Running, policy: Alerting, evidence: Evidence
) -> None:
    """A silence for one instance covers no rule: the rule's own labels do not match it."""
    strict = sorted(n for n, severity in policy.severities.items() if not severity.may_be_muted)
    rules = [rule for name in strict for rule in running.rules_of(policy.severities[name])]
    active = peers.silences(alertmanager)
    covering = [_told(silence, names) for silence in active if (names := _covered(silence, rules))]
    source = f"GET {alertmanager.urls[0]}/api/v2/silences"
    evidence.record(Measurement("active silences", len(active), "count", source))
    evidence.judge(
        "silences-cover-rules-severity",
        Measurement(
            f"silences that cover rules of severity {' or '.join(strict) or 'none'}",
            len(covering),
            "count",
            source,
            samples=len(rules),
        ),
        equal_to(0),
        listed(covering, between="; "),
    )


def _covered(silence: Silence, rules: list[LiveRule]) -> list[str]:
    matchers = [
        Matcher.of(one.name, one.value, is_regex=one.is_regex, is_equal=one.is_equal)
        for one in silence.matchers
    ]
    return [rule.name for rule in rules if all_match(matchers, placed(rule.labels))]


def _told(silence: Silence, names: list[str]) -> str:
    return (
        f"{silence.id} by {clean(silence.created_by, 60) or 'nobody'}, until"
        f" {silence.ends_at:%Y-%m-%d %H:%M} UTC, covers {listed(names)}"
    )
