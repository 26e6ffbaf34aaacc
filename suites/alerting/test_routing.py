"""Whether the routes of Alertmanager notify the right channels of every loaded rule, in time."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.alerting import reach
from readiness.areas.alerting.alertmanager_config import Hop
from readiness.areas.alerting.conditions import Matcher, Span, all_match, common, muted
from readiness.areas.alerting.config import Alerting, SeverityPolicy
from readiness.areas.alerting.judging import judge_none
from readiness.areas.alerting.probes import cluster
from readiness.areas.alerting.probes.cluster import Running
from readiness.areas.alerting.probes.shadow import Key, Replay, Replayed
from readiness.areas.alerting.reach import Case, placed, said, unmet
from readiness.config.models import Config
from readiness.lib.alertmanager import Silence
from readiness.lib.durations import prometheus_text
from readiness.lib.text import clean, listed
from readiness.model.errors import NoData

_YEAR: Final = timedelta(days=366)
_SHOWN: Final = 12
_SHADOW: Final = "a private Alertmanager with the running configuration"


@check(
    "alerting.routing",
    title="Every loaded rule of this severity notifies the agreed channels",
    failure_title="Rules of this severity do not notify the agreed channels",
    core=True,
    why="""One letter in a matcher (`severity="crit"`) sends every page to the default receiver,
    where it is read on Monday. Routes, groups, inhibition and time intervals can each look right
    alone; only all loaded rules firing at once show which channels are notified.""",
    fix="""Follow the alert that the message names through the running configuration:
    amtool config routes test --alertmanager.url=ALERTMANAGER alertname=NAME severity=SEVERITY
Wrong channel: fix the matcher or the receiver on the way; what must be reached is `channels` in
    [alerting.severities.NAME].
Inhibited by another alert: narrow `equal` or the matchers in `inhibit_rules`.
Late: lower `group_wait` of its route. Not notified: a time interval, or an empty receiver.
No private Alertmanager: apt-get install prometheus-alertmanager, or put `alertmanager` on PATH.""",
    severity="blocker",
    each="alert_severity",
    judgements=("channels", "notified", "inhibited"),
)
def test_routing(
    alert_severity: SeverityPolicy,
    running: Running,
    replayed: Callable[[Running], Replay],
    policy: Alerting,
    evidence: Evidence,
) -> None:
    """Computed, then tried at a private Alertmanager; the running one is only read."""
    with evidence.attempt():
        _judge_channels(alert_severity, running, policy, evidence)
    with evidence.attempt():
        replay = replayed(running)
        judged = [a for a in replay.of(alert_severity.name) if not running.is_probe(a.labels)]
        _record(replay, judged, policy, evidence)
        _judge_notified(judged, alert_severity, policy, evidence)
        _judge_inhibited(replay, judged, alert_severity, running, policy, evidence)
        _refuse_disagreement(replay)


def _judge_channels(
    severity: SeverityPolicy, running: Running, policy: Alerting, evidence: Evidence
) -> None:
    """One of each inner list, for every value that a label with a template can have."""
    config, needed = running.config, severity.channels
    missing: dict[str, str] = {}
    cases = _cases(running, severity)
    for case in cases:
        reached = {
            name for hop in case.hops for name in reach.channels_of(config, hop, policy.channels)
        }
        if absent := unmet(needed, reached):
            got = ", ".join(sorted(reached)) or "no channel"
            missing[case.rule.name] = f"{clean(str(case))} reaches {got}, not {said(absent)}"
    what = f"rules that do not reach {said(needed)}"
    judge_none(evidence, "channels", what, list(missing.values()), running.source, len(cases))


def _record(replay: Replay, judged: list[Replayed], policy: Alerting, evidence: Evidence) -> None:
    evidence.record(Measurement("alerts replayed", len(replay.alerts), "count", _SHADOW))
    evidence.record(Measurement("private Alertmanager", replay.version, "version", _SHADOW))
    for alert in judged[:_SHOWN]:
        notified = [
            f"{clean(sent.receiver, 40)}/{sent.integration} {sent.after_s:.2f} s"
            for sent in alert.deliveries
        ]
        name = f"{clean(alert.name, 60)} notifies"
        text = listed(notified, most=8) or "no channel"
        evidence.record(Measurement(name, text, "text", _group(alert)))
    slowest = max((_needed_s(alert, policy) for alert in judged), default=0.0)
    evidence.record(
        Measurement("slowest of the needed channels", slowest, "s", _SHADOW, len(judged))
    )


def _needed_s(alert: Replayed, policy: Alerting) -> float:
    """Seconds until the last notification of a needed channel."""
    severity = policy.severities[alert.labels["severity"]]
    seconds = alert.channels(policy.channels, within_s=float("inf"))
    firsts = [[seconds[name] for name in group if name in seconds] for group in severity.channels]
    return max((min(times) for times in firsts if times), default=0.0)


def _group(alert: Replayed) -> str:
    groups = {
        ", ".join(f"{k}={v}" for k, v in sorted(sent.group.items())) or "all alerts"
        for sent in alert.deliveries
    }
    return f"grouped by {listed(sorted(groups))}" if groups else _SHADOW


def _judge_notified(
    judged: list[Replayed], severity: SeverityPolicy, policy: Alerting, evidence: Evidence
) -> None:
    silent = []
    for alert in judged:
        notified = alert.channels(policy.channels, severity.budget_s)
        if absent := unmet(severity.channels, notified):
            silent.append(
                f"{alert.name} notifies {listed(notified) or 'no channel'}, not {said(absent)}"
            )
    judge_none(
        evidence,
        "notified",
        f"alerts that do not notify {said(severity.channels)} within {severity.budget_s:g} s"
        f" ({severity.deciding('budget_s')})",
        silent,
        _SHADOW,
        len(judged),
    )


def _judge_inhibited(
    replay: Replay,
    judged: list[Replayed],
    severity: SeverityPolicy,
    running: Running,
    policy: Alerting,
    evidence: Evidence,
) -> None:
    """An alert may be inhibited only by one that notifies the same channels."""
    by_key = {alert.key: alert for alert in replay.alerts}

    def reaches_them(key: Key) -> bool:
        holder = by_key[key]
        if running.is_probe(holder.labels):
            return False
        notified = holder.channels(policy.channels, severity.budget_s)
        return bool(notified) if severity.may_be_muted else not unmet(severity.channels, notified)

    lost = [
        f"{alert.name} is inhibited by {listed(sorted(by_key[key].name for key in others))}"
        for alert in judged
        if (others := [key for key in alert.held_by if not reaches_them(key)])
    ]
    name = "alerts inhibited by an alert that does not notify the same channels"
    judge_none(evidence, "inhibited", name, lost, _SHADOW, len(judged))


def _refuse_disagreement(replay: Replay) -> None:
    """A computed route counts only if Alertmanager takes it, too."""
    other = [
        f"{alert.name} goes to {listed(sorted(alert.receivers))} and is inhibited by"
        f" {len(alert.held_by)}, computed: to {listed(sorted(alert.expected or ()))}, inhibited by"
        f" {len(alert.held_as_computed or ())}"
        for alert in replay.alerts
        if not alert.agrees
    ]
    if other:
        raise NoData(
            f"{len(other)} alerts are not routed as computed: {listed(other, between='; ')}",
            where=_SHADOW,
            remedy="report it with the running configuration: the routes are read wrongly",
        )


@check(
    "alerting.notification-timing",
    title="Alerts of this severity are not delayed, muted or silenced, and are repeated in time",
    failure_title="Alerts of this severity are delayed, muted, silenced or repeated too late",
    core=True,
    why="""`group_wait` is 30 s by default, a time interval meant for office mail mutes the pages
    every night, and last week's silence covers the rule that fires today. Alertmanager shows the
    alert as active all the same, and no one is paged.""",
    fix="""Delayed: set `group_wait` on that route, and --cluster.peer-timeout of every peer
    (`budget_s` in [alerting.severities.NAME] is the limit):
    group_wait: 5s
    alertmanager --cluster.peer-timeout=5s
Muted: remove `mute_time_intervals` and `active_time_intervals` from that route:
    amtool config show --alertmanager.url=ALERTMANAGER
Silenced: end the silence, or narrow it to the one instance that is worked on:
    amtool silence query --alertmanager.url=ALERTMANAGER
    amtool silence expire --alertmanager.url=ALERTMANAGER ID
If that severity may be muted: `may_be_muted = true` in [alerting.severities.NAME].
Repeated too late (`repeat_max_s` is the limit): repeat_interval a multiple of group_interval:
    group_interval: 5m
    repeat_interval: 1h""",
    severity="blocker",
    each="alert_severity",
    judgements=("wait", "muted", "silenced", "repeat", "repeat-multiple"),
)
def test_notification_timing(
    alert_severity: SeverityPolicy,
    running: Running,
    policy: Alerting,
    target: Config,
    evidence: Evidence,
) -> None:
    """Computed by the quickest route to each channel list."""
    with evidence.attempt():
        needed = _needed_hops(running, alert_severity, policy)
        _judge_wait(needed, alert_severity, running, target, evidence)
        _judge_repeat([hop for _, hop in needed], alert_severity, running, evidence)
        if not alert_severity.may_be_muted:
            _judge_muted(alert_severity, running, policy, evidence)
    if not alert_severity.may_be_muted:
        with evidence.attempt():
            _judge_silenced(alert_severity, running, target, evidence)


def _judge_wait(
    needed: list[tuple[Case, Hop]],
    severity: SeverityPolicy,
    running: Running,
    target: Config,
    evidence: Evidence,
) -> None:
    """At the peer that sends last: each further peer waits for `peer_timeout_s` longer."""
    assert target.alertmanager, "the configuration was read from it"
    others, timeout_s = len(target.alertmanager.urls) - 1, target.alertmanager.peer_timeout_s
    case, hop = max(needed, key=lambda found: found[1].group_wait_s)
    parts = f"group_wait {prometheus_text(hop.group_wait_s)}"
    if others:
        parts += f" + {others} x peer timeout {prometheus_text(timeout_s)}"
    evidence.judge(
        "wait",
        Measurement(
            "longest wait before the first notification",
            hop.group_wait_s + others * timeout_s,
            "s",
            running.source,
        ),
        at_most(severity.budget_s, severity.deciding("budget_s")),
        f"{clean(case.rule.name)} by {clean(str(hop))}: {parts}",
    )
    late_s = max(hop.group_interval_s for _, hop in needed)
    name = "longest wait of an alert that joins a group later"
    evidence.record(Measurement(name, late_s, "s", running.source))


def _judge_muted(
    severity: SeverityPolicy, running: Running, policy: Alerting, evidence: Evidence
) -> None:
    """Every minute of the coming year, in the time zone of each interval."""
    start = datetime.now(UTC).replace(second=0, microsecond=0)
    found: dict[tuple[Hop, ...], Case] = {}
    for case in _cases(running, severity):
        for hops in _groups(running, case, severity, policy):
            found.setdefault(tuple(hops), case)
    held = {hops: _muted(running, hops, start) for hops in found}
    worst = max(held, key=lambda hops: _minutes(held[hops]))
    spans = held[worst]
    minutes = _minutes(spans)
    evidence.judge(
        "muted",
        Measurement(
            "minutes of the coming year in which a channel is muted",
            minutes,
            "min",
            running.source,
            samples=len(held),
        ),
        equal_to(0, severity.deciding("may_be_muted")),
        _in_words(worst, spans[0], found[worst]) if spans else "",
        says=f"A channel is muted in {minutes:,} minutes of the coming year",
    )


def _muted(running: Running, hops: tuple[Hop, ...], start: datetime) -> list[Span]:
    """When all of the routes are muted."""
    intervals = running.config.intervals
    return common(
        [muted(intervals, hop.mute, hop.active, start, start + _YEAR) for hop in hops],
        start,
        start + _YEAR,
    )


def _in_words(hops: tuple[Hop, ...], first: Span, case: Case) -> str:
    names = sorted({name for hop in hops for name in (*hop.mute, *hop.active)})
    begin, end = first
    return (
        f"{clean(case.rule.name)} by {clean(str(hops[0]))} is muted by {listed(names)},"
        f" first from {begin:%a %Y-%m-%d %H:%M} to {end:%a %Y-%m-%d %H:%M} UTC"
    )


def _judge_repeat(
    hops: list[Hop], severity: SeverityPolicy, running: Running, evidence: Evidence
) -> None:
    """By the time that actually passes between two notifications."""
    worst = max(hops, key=_repeats_s)
    evidence.judge(
        "repeat",
        Measurement(
            "longest time until a notification is repeated", _repeats_s(worst), "s", running.source
        ),
        at_most(severity.repeat_max_s, severity.deciding("repeat_max_s")),
        f"{clean(str(worst))}: repeat_interval {prometheus_text(worst.repeat_interval_s)},"
        f" group_interval {prometheus_text(worst.group_interval_s)}",
    )
    uneven = {
        f"{hop} repeats after {prometheus_text(_repeats_s(hop))},"
        f" not {prometheus_text(hop.repeat_interval_s)}"
        for hop in hops
        if _repeats_s(hop) != hop.repeat_interval_s
    }
    name = "routes whose repeat_interval is not a multiple of group_interval"
    judge_none(
        evidence, "repeat-multiple", name, sorted(uneven), running.source, len(hops), warn_only=True
    )


def _repeats_s(hop: Hop) -> float:
    """Seconds until it is repeated: a group is evaluated once in each `group_interval`."""
    if not hop.group_interval_s:
        return hop.repeat_interval_s
    return -(-hop.repeat_interval_s // hop.group_interval_s) * hop.group_interval_s


def _judge_silenced(
    severity: SeverityPolicy, running: Running, target: Config, evidence: Evidence
) -> None:
    """A silence for one instance does not cover a rule: the rule's own labels do not match it."""
    assert target.alertmanager, "the configuration was read from it"
    rules = running.rules_of(severity)
    active = cluster.silences(target.alertmanager)

    def covered(silence: Silence) -> list[str]:
        matchers = [
            Matcher.of(one.name, one.value, is_regex=one.is_regex, is_equal=one.is_equal)
            for one in silence.matchers
        ]
        return [rule.name for rule in rules if all_match(matchers, placed(rule.labels))]

    covering = [_described(silence, names) for silence in active if (names := covered(silence))]
    source = f"GET {target.alertmanager.urls[0]}/api/v2/silences"
    evidence.record(Measurement("active silences", len(active), "count", source))
    name = f"silences that cover rules of severity {severity.name}"
    judge_none(evidence, "silenced", name, covering, source, len(rules))


def _described(silence: Silence, names: list[str]) -> str:
    return (
        f"{silence.id} by {clean(silence.created_by, 60) or 'unknown'}, until"
        f" {silence.ends_at:%Y-%m-%d %H:%M} UTC, covers {listed(names)}"
    )


def _cases(running: Running, severity: SeverityPolicy) -> list[Case]:
    return reach.cases(running.config, running.rules_of(severity))


def _groups(
    running: Running, case: Case, severity: SeverityPolicy, policy: Alerting
) -> list[list[Hop]]:
    """The routes to each channel list; if no list is reached, all routes of the case."""
    lists = [
        reach.serving(running.config, case, group, policy.channels) for group in severity.channels
    ]
    return [hops for hops in lists if hops] or [list(case.hops)]


def _needed_hops(
    running: Running, severity: SeverityPolicy, policy: Alerting
) -> list[tuple[Case, Hop]]:
    """The quickest route to each channel list, of every case."""
    return [
        (case, min(hops, key=lambda hop: hop.group_wait_s))
        for case in _cases(running, severity)
        for hops in _groups(running, case, severity, policy)
    ]


def _minutes(spans: list[Span]) -> int:
    return sum(int((end - begin).total_seconds()) // 60 for begin, end in spans)
