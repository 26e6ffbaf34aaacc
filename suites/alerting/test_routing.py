"""Whether the routes of Alertmanager notify the right channels of every loaded rule, in time."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.alerting import reach
from readiness.areas.alerting.alertmanager_config import ALL_LABELS, Hop
from readiness.areas.alerting.conditions import Matcher, Span, all_match, common, muted
from readiness.areas.alerting.config import Alerting, Channel, SeverityPolicy
from readiness.areas.alerting.judging import judge_none
from readiness.areas.alerting.probes import cluster
from readiness.areas.alerting.probes.cluster import Running
from readiness.areas.alerting.probes.shadow import Held, Key, Replay, Replayed
from readiness.areas.alerting.reach import Case, LiveRule, placed, said, unmet
from readiness.config.models import Config
from readiness.lib.alertmanager import Silence
from readiness.lib.durations import prometheus_text
from readiness.lib.text import clean, listed
from readiness.model.errors import NoData

_YEAR: Final = timedelta(days=366)
_SHOWN: Final = 12
# Alertmanager's own default of `group_interval`.
_USUAL_INTERVAL_S: Final = 300.0
# Of two severities with the same budget, one of these is the more urgent one.
_URGENT: Final = frozenset({"critical", "disaster", "emergency", "fatal", "page"})
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
channels: fix the matcher or the receiver on the way; what must be reached is `channels` in
[alerting.severities.NAME].
inhibited: narrow `equal` or the matchers in `inhibit_rules`.
notified: late: lower `group_wait` of its route; never: a time interval, or an empty receiver.
ends: `send_resolved: true` in that integration (Slack's and email's default is false), or
`resolves = false` in [alerting.channels.NAME].""",
    severity="blocker",
    each="alert_severity",
    judgements=("channels", "ends", "notified", "inhibited"),
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
        _judge_ends(alert_severity, running, policy, evidence)
    with evidence.attempt():
        replay = replayed(running)
        judged = [a for a in replay.of(alert_severity.name) if not running.is_probe(a.labels)]
        _record(replay, judged, policy, evidence)
        counted = _counted(judged, running, policy)
        _judge_notified(counted, alert_severity, running, policy, evidence)
        _judge_inhibited(replay, judged, alert_severity, running, policy, evidence)
        _refuse_disagreement(replay)


def _judge_channels(
    severity: SeverityPolicy, running: Running, policy: Alerting, evidence: Evidence
) -> None:
    """One of each inner list, for every value that a label with a template can have."""
    config, needed = running.config, severity.channels
    missing: dict[str, str] = {}
    cases = reach.cases(config, running.rules_of(severity))
    for case in cases:
        reached = {
            name for hop in case.hops for name in reach.channels_of(config, hop, policy.channels)
        }
        if absent := unmet(needed, reached):
            got = ", ".join(sorted(reached)) or "no channel"
            missing[case.rule.name] = f"{clean(str(case))} reaches {got}, not {said(absent)}"
    # Alerts of some series may be meant for others, as those of a test system.
    served = {
        c.rule.name for c in cases if c.rule.routed and _reaches(c, running, severity, policy)
    }
    some = [text for name, text in missing.items() if name in served]
    none = [text for name, text in missing.items() if name not in served]
    what = f"rules that do not reach {said(needed)}"
    judge_none(evidence, "channels", what, none, running.source, len(cases))
    judge_none(
        evidence, "channels", f"rules some of whose alerts do not reach {said(needed)}", some,
        running.source, len(cases), warn_only=True,
    )  # fmt: skip


def _judge_ends(
    severity: SeverityPolicy, running: Running, policy: Alerting, evidence: Evidence
) -> None:
    """By each integration of the severity's channels, in every receiver that its rules reach.

    That the end must be shown is agreed where `resolves` is written out, or where the channel has
    an inbox in which the end of synthetic alerts is waited for. Elsewhere an integration is told
    whose end is sent by default, and was switched off.
    """
    wanted = {name for group in severity.channels for name in group}
    channels = [c for name, c in policy.channels.items() if name in wanted and c.resolves]
    receivers = {hop.receiver for case in _cases(running, severity, policy) for hop in case.hops}
    found = [
        (channel, receiver, one)
        for channel in channels
        for receiver in sorted(receivers)
        for one in running.config.receivers[receiver].integrations
        if reach.serves(channel, receiver, one.kind)
    ]
    silent = [(c, f"{clean(r, 60)}/{one}", one) for c, r, one in found if not one.send_resolved]
    agreed = [text for channel, text, _ in silent if _agreed_to_resolve(channel)]
    off = [text for c, text, one in silent if not _agreed_to_resolve(c) and one.resolves_by_default]
    what = "integrations that do not send the end of an alert"
    hint = "The alert seems to fire there forever"
    judge_none(
        evidence,
        "ends",
        what,
        agreed or off,
        running.source,
        max(1, len(found)),
        hint=hint,
        warn_only=not agreed,
    )


def _agreed_to_resolve(channel: Channel) -> bool:
    return bool(channel.inbox) or "resolves" in channel.model_fields_set


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


def _counted(judged: list[Replayed], running: Running, policy: Alerting) -> list[Replayed]:
    """Without our test for the severity, where routes ask for labels that only real alerts have."""
    probe = policy.probe.labels if policy.probe else {}
    asked = set(running.config.matched) - {reach.ALERT_NAME, reach.SEVERITY, *probe}
    real = [alert for alert in judged if not alert.is_test]
    by_labels = any(asked & {k for k, v in one.labels.items() if v} for one in real)
    return real if by_labels else judged


def _judge_notified(
    judged: list[Replayed],
    severity: SeverityPolicy,
    running: Running,
    policy: Alerting,
    evidence: Evidence,
) -> None:
    silent = []
    for alert in judged:
        notified = alert.channels(policy.channels, severity.budget_s)
        if absent := unmet(severity.channels, notified):
            silent.append(
                f"{alert.name} notifies {listed(notified) or 'no channel'}, not {said(absent)}"
                f"{_too_late(alert, running, severity)}"
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


def _too_late(alert: Replayed, running: Running, severity: SeverityPolicy) -> str:
    """What makes it late by itself: Alertmanager waits for as long as the budget, or longer."""
    try:
        waits = [hop.group_wait_s for hop in reach.routes_of(running.config, alert.labels)]
    except NoData:
        return ""  # a matcher that cannot be computed; the check says so
    slowest = max(waits, default=0.0)
    if slowest < severity.budget_s:
        return ""
    return f": group_wait of its route is {prometheus_text(slowest)}"


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

    def is_enough(held: Held) -> bool:
        worse = held.about_the_same and _more_urgent(by_key[held.by], severity, policy)
        return worse or reaches_them(held.by)

    lost = [
        f"{alert.name} is inhibited by {listed(sorted({by_key[one.by].name for one in others}))}"
        for alert in judged
        if (others := [one for one in alert.held_by if not is_enough(one)])
    ]
    name = "alerts inhibited by an alert that does not notify the same channels"
    judge_none(evidence, "inhibited", name, lost, _SHADOW, len(judged))


def _more_urgent(holder: Replayed, severity: SeverityPolicy, policy: Alerting) -> bool:
    """Whether the other alert has a severity that must be notified earlier, and is.

    That is what inhibition is for: of the same thing, the worse alert says enough.
    """
    other = policy.severities.get(holder.labels.get("severity", ""))
    if other is None or other.may_be_muted:
        return False
    by_name = other.name in _URGENT and severity.name not in _URGENT
    earlier = other.budget_s < severity.budget_s
    if not (earlier or (by_name and other.budget_s == severity.budget_s)):
        return False
    return not unmet(other.channels, holder.channels(policy.channels, other.budget_s))


def _refuse_disagreement(replay: Replay) -> None:
    """A computed route counts only if Alertmanager takes it, too."""
    other = [
        f"{alert.name} goes to {listed(sorted(alert.receivers))} and is inhibited by"
        f" {len(alert.held_by)}, computed: to {listed(sorted(alert.expected or ()))}, inhibited"
        f" {'likewise' if alert.held_as_computed else 'otherwise'}"
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
    fix="""wait: set `group_wait` on that route, and --cluster.peer-timeout of every peer
(`budget_s` in [alerting.severities.NAME] is the limit):
    group_wait: 5s
    alertmanager --cluster.peer-timeout=5s
joins: lower `group_interval` of that route, or let each rule have its own group
    group_by: [alertname]
    group_interval: 1m
muted: remove `mute_time_intervals` and `active_time_intervals` from that route, or set
`may_be_muted = true` in [alerting.severities.NAME]:
    amtool config show --alertmanager.url=ALERTMANAGER
silenced: end the silence, or narrow it to the one instance that is worked on:
    amtool silence query --alertmanager.url=ALERTMANAGER
    amtool silence expire --alertmanager.url=ALERTMANAGER ID
repeat, repeat-multiple: `repeat_max_s` is the limit; repeat_interval a multiple of group_interval:
    group_interval: 5m
    repeat_interval: 1h""",
    severity="blocker",
    each="alert_severity",
    judgements=("wait", "joins", "muted", "silenced", "repeat", "repeat-multiple"),
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
        needed = _needed_hops(running, alert_severity, policy, lambda hop: hop.group_wait_s)
        _judge_wait(needed, alert_severity, running, target, evidence)
        _judge_joins(alert_severity, running, policy, evidence)
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


def _judge_joins(
    severity: SeverityPolicy, running: Running, policy: Alerting, evidence: Evidence
) -> None:
    """An alert that joins a group which was sent already waits for the group's next turn.

    Where several rules share a group it may be another outage, and the agreed budget counts.
    Elsewhere, and where no budget was agreed, Alertmanager's own default is the limit: people know
    of the alert already.
    """
    needed = _needed_hops(running, severity, policy, _joins_s)
    sharing = _groups_of_several(running, [hop for _, hop in needed])
    agreed = "budget_s" in severity.model_fields_set

    def limit_s(hop: Hop) -> float:
        usual = max(severity.budget_s, _USUAL_INTERVAL_S)
        return severity.budget_s if agreed and hop in sharing else usual

    case, hop = max(needed, key=lambda found: _joins_s(found[1]) - limit_s(found[1]))
    budget = limit_s(hop) == severity.budget_s
    evidence.judge(
        "joins",
        Measurement(
            "longest wait of an alert that joins a group later",
            _joins_s(hop),
            "s",
            running.source,
            len(needed),
        ),
        at_most(
            limit_s(hop),
            severity.deciding("budget_s") if budget else "default of `group_interval`",
        ),
        f"{clean(case.rule.name)} by {clean(str(hop))}: group_by"
        f" [{clean(', '.join(hop.group_by), 120)}]"
        + (f", as {listed(sharing[hop])}" if hop in sharing else ""),
        warn_only=hop not in sharing or _joins_s(hop) <= _USUAL_INTERVAL_S,
    )


def _joins_s(hop: Hop) -> float:
    return 0.0 if hop.group_by == (ALL_LABELS,) else hop.group_interval_s


def _groups_of_several(running: Running, hops: Iterable[Hop]) -> dict[Hop, list[str]]:
    """Two rules whose alerts can fall into the same group, for each route that has such rules."""
    users: dict[Hop, list[LiveRule]] = {hop: [] for hop in hops}
    for rule in running.rules:
        if not running.is_probe(rule.labels):
            for hop in reach.routes_of(running.config, placed(rule.labels)):
                users.get(hop, []).append(rule)
    return {
        hop: names
        for hop, rules in users.items()
        if (names := reach.two_in_a_group(hop.group_by, rules))
    }


def _judge_muted(
    severity: SeverityPolicy, running: Running, policy: Alerting, evidence: Evidence
) -> None:
    """Every minute of the coming year, in the time zone of each interval."""
    start = datetime.now(UTC).replace(second=0, microsecond=0)
    found: dict[tuple[Hop, ...], Case] = {}
    for case in _cases(running, severity, policy):
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


def _cases(running: Running, severity: SeverityPolicy, policy: Alerting) -> list[Case]:
    """The possible alerts of the rules; of those with several routes, those that reach a channel.

    A rule none of whose alerts reaches one has all of them.
    """
    found = reach.cases(running.config, running.rules_of(severity))
    kept = [c for c in found if not c.rule.routed or _reaches(c, running, severity, policy)]
    served = {case.rule.name for case in kept}
    return kept + [case for case in found if case.rule.name not in served]


def _reaches(case: Case, running: Running, severity: SeverityPolicy, policy: Alerting) -> bool:
    """Whether it notifies any of the channels."""
    config, channels = running.config, policy.channels
    return any(reach.serving(config, case, group, channels) for group in severity.channels)


def _groups(
    running: Running, case: Case, severity: SeverityPolicy, policy: Alerting
) -> list[list[Hop]]:
    """The routes to each channel list; if no list is reached, all routes of the case."""
    lists = [
        reach.serving(running.config, case, group, policy.channels) for group in severity.channels
    ]
    return [hops for hops in lists if hops] or [list(case.hops)]


def _needed_hops(
    running: Running, severity: SeverityPolicy, policy: Alerting, time_s: Callable[[Hop], float]
) -> list[tuple[Case, Hop]]:
    """The quickest route to each channel list, of every case."""
    return [
        (case, min(hops, key=time_s))
        for case in _cases(running, severity, policy)
        for hops in _groups(running, case, severity, policy)
    ]


def _minutes(spans: list[Span]) -> int:
    return sum(int((end - begin).total_seconds()) // 60 for begin, end in spans)
