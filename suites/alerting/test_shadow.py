"""Whether the running configuration tells whom it should, seen on a private Alertmanager."""

from collections.abc import Callable
from typing import Final

from readiness import Evidence, Measurement, check, equal_to
from readiness.areas.alerting.config import Alerting, SeverityPolicy
from readiness.areas.alerting.paper.reach import said, unmet
from readiness.areas.alerting.probes.running import Running
from readiness.areas.alerting.probes.shadow import Key, Replay, Replayed
from readiness.lib.text import clean, listed

_SHOWN: Final = 12
_SOURCE: Final = "a private Alertmanager with the running configuration"


@check(
    "alerting.shadow-replay",
    title="Played to a private Alertmanager, every live rule of this severity is told in time",
    why="""Routes, groups, inhibition and time intervals decide together whether a page goes out,
    and each of them alone looks right. Here all live rules fire at once, with the configuration
    that runs, and every integration replaced: it is seen who would be woken, and nobody is.""",
    fix="""Follow the alert that the message names through the running configuration:
    amtool config routes test --alertmanager.url=ALERTMANAGER alertname=NAME severity=SEVERITY
Held back by another alert: narrow `equal` or the matchers in `inhibit_rules`.
Late: lower `group_wait` of its route. Not told at all: a time interval, or an empty receiver.
No private Alertmanager: apt-get install prometheus-alertmanager, or put `alertmanager` on PATH.""",
    severity="blocker",
    effect="observe",
    each="alert_severity",
)
def test_shadow_replay(
    alert_severity: SeverityPolicy,
    running: Running,
    replayed: Callable[[Running], Replay],
    policy: Alerting,
    evidence: Evidence,
) -> None:
    """The running Alertmanager is only read. Its further peers would wait for their turn."""
    rules = running.rules_of(alert_severity)
    replay = replayed(running)
    judged = [a for a in replay.of(alert_severity.name) if not running.is_probe(a.labels)]
    _record(replay, judged, policy, evidence)
    _judge_told(judged, len(rules), alert_severity, policy, evidence)
    _judge_held(replay, judged, alert_severity, running, policy, evidence)
    _judge_agreement(replay, evidence)


def _record(replay: Replay, judged: list[Replayed], policy: Alerting, evidence: Evidence) -> None:
    evidence.record(Measurement("alerts played", len(replay.alerts), "count", _SOURCE))
    evidence.record(Measurement("private Alertmanager", replay.version, "version", _SOURCE))
    for alert in judged[:_SHOWN]:
        told = [
            f"{clean(told.receiver, 40)}/{told.integration} {told.after_s:.2f} s"
            for told in alert.deliveries
        ]
        evidence.record(
            Measurement(
                f"{clean(alert.name, 60)} tells",
                listed(told, most=8) or "nobody",
                "text",
                _group(alert),
            )
        )
    evidence.record(
        Measurement(
            "slowest of the needed channels",
            max((_needed_s(alert, policy) for alert in judged), default=0.0),
            "s",
            _SOURCE,
            samples=len(judged),
        )
    )


def _needed_s(alert: Replayed, policy: Alerting) -> float:
    """Seconds until the last of the needed channels was told, of those that were."""
    severity = policy.severities[alert.labels["severity"]]
    told = alert.channels(policy.channels, within_s=float("inf"))
    firsts = [[told[name] for name in group if name in told] for group in severity.channels]
    return max((min(times) for times in firsts if times), default=0.0)


def _group(alert: Replayed) -> str:
    groups = {
        ", ".join(f"{k}={v}" for k, v in sorted(told.group.items())) or "all alerts"
        for told in alert.deliveries
    }
    return f"told in groups by {listed(sorted(groups))}" if groups else _SOURCE


def _judge_told(
    judged: list[Replayed],
    rules: int,
    severity: SeverityPolicy,
    policy: Alerting,
    evidence: Evidence,
) -> None:
    silent = []
    for alert in judged:
        told = alert.channels(policy.channels, severity.budget_s)
        if absent := unmet(severity.channels, told):
            silent.append(f"{alert.name} tells {listed(told) or 'nobody'}, not {said(absent)}")
    evidence.judge(
        "alerts-do-tell-within",
        Measurement(
            f"alerts that do not tell {said(severity.channels)} within {severity.budget_s:g} s",
            len(silent),
            "count",
            _SOURCE,
            samples=rules,
        ),
        equal_to(0),
        listed(silent, between="; "),
    )


def _judge_held(
    replay: Replay,
    judged: list[Replayed],
    severity: SeverityPolicy,
    running: Running,
    policy: Alerting,
    evidence: Evidence,
) -> None:
    """An alert may be held back by one of which the same people hear, and by no other."""
    by_key = {alert.key: alert for alert in replay.alerts}

    def hears(key: Key) -> bool:
        holder = by_key[key]
        told = holder.channels(policy.channels, severity.budget_s)
        if running.is_probe(holder.labels):
            return False
        return bool(told) if severity.may_be_muted else not unmet(severity.channels, told)

    lost = [
        f"{alert.name} is held back by {listed(sorted(by_key[key].name for key in deaf))}"
        for alert in judged
        if (deaf := [key for key in alert.held_by if not hears(key)])
    ]
    evidence.judge(
        "alerts-held-back-what",
        Measurement("alerts held back by what those do not hear of", len(lost), "count", _SOURCE),
        equal_to(0),
        listed(lost, between="; "),
    )


def _judge_agreement(replay: Replay, evidence: Evidence) -> None:
    """The other checks judge on paper: it has to say what Alertmanager does."""
    other = [
        f"{alert.name} goes to {listed(sorted(alert.receivers))} and is held back by"
        f" {len(alert.held_by)}, on paper to {listed(sorted(alert.expected or ()))} and by"
        f" {len(alert.held_on_paper or ())}"
        for alert in replay.alerts
        if not alert.agrees
    ]
    evidence.judge(
        "alerts-treated-otherwise-paper",
        Measurement("alerts treated otherwise than on paper", len(other), "count", _SOURCE),
        equal_to(0),
        listed(other, between="; "),
    )
