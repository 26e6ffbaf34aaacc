"""Whether the routes of Alertmanager lead every live rule to the people it is for, and in time."""

from datetime import UTC, datetime, timedelta

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.alerting.config import Alerting, SeverityPolicy
from readiness.areas.alerting.paper import reach
from readiness.areas.alerting.paper.config import Hop
from readiness.areas.alerting.paper.reach import Case
from readiness.areas.alerting.paper.time_intervals import Span, common, muted
from readiness.areas.alerting.probes.running import Running
from readiness.config.base.watching import Alertmanager
from readiness.config.models import Config
from readiness.lib.durations import prometheus_text
from readiness.lib.text import clean, listed

_YEAR = timedelta(days=366)


@check(
    "alerting.receivers-integrated",
    title="Every receiver that a live rule can reach tells somebody",
    why="""A receiver without an integration is legal: Alertmanager accepts the alert with 200,
    shows it as active, and tells nobody. No metric of a failure moves. Widely used templates
    come with such receivers, to be filled in later.""",
    fix="""See where alerts lead, and give that receiver an integration (`slack_configs`, ...):
    amtool config routes show --alertmanager.url=ALERTMANAGER
If nobody is meant to be told, name the receiver in `unreached` of [alerting].""",
    severity="blocker",
    effect="observe",
    each="alertmanager",
)
def test_receivers_integrated(
    alertmanager: Alertmanager,  # noqa: ARG001 - the subject
    running: Running,
    target: Config,
    evidence: Evidence,
) -> None:
    """On paper, for every value that a label with a template can take."""
    allowed = set(target.alerting.unreached) if target.alerting else set()
    reached: dict[str, set[str]] = {}
    for case in reach.cases(running.config, running.rules):
        for hop in case.hops:
            reached.setdefault(hop.receiver, set()).add(case.rule.name)
    empty = {
        name: rules
        for name, rules in sorted(reached.items())
        if not running.config.receivers[name].integrations and name not in allowed
    }
    evidence.record(
        Measurement("receivers that rules reach", len(reached), "count", running.source)
    )
    evidence.judge(
        "them-without-an-integration",
        Measurement("of them without an integration", len(empty), "count", running.source),
        equal_to(0),
        "; ".join(
            f"{clean(name)} gets {listed(sorted(rules))} and tells nobody"
            for name, rules in empty.items()
        ),
    )


@check(
    "alerting.severity-channels",
    title="Every live rule of this severity reaches the channels that it has to",
    why="""One letter in a matcher (`severity="crit"`) sends every page to the default receiver,
    where a mailbox takes it until Monday. Alertmanager finds nothing wrong with it.""",
    fix="""Follow the alert, and mend the matcher or the receiver where it leaves the way:
    amtool config routes test --alertmanager.url=ALERTMANAGER alertname=NAME severity=SEVERITY
What must be reached is `channels` in [alerting.severities.NAME].""",
    severity="blocker",
    effect="observe",
    each="alert_severity",
)
def test_severity_channels(
    alert_severity: SeverityPolicy, running: Running, policy: Alerting, evidence: Evidence
) -> None:
    """Of each inner list one, on paper."""
    config, needed = running.config, alert_severity.channels
    missing: dict[str, str] = {}
    cases = _cases(running, alert_severity)
    for case in cases:
        reached = {
            name for hop in case.hops for name in reach.channels_of(config, hop, policy.channels)
        }
        if absent := reach.unmet(needed, reached):
            got = ", ".join(sorted(reached)) or "no channel"
            missing[case.rule.name] = f"{clean(str(case))} reaches {got}, not {reach.said(absent)}"
    evidence.judge(
        "rules-do-reach",
        Measurement(
            f"rules that do not reach {reach.said(needed)}",
            len(missing),
            "count",
            running.source,
            samples=len(cases),
        ),
        equal_to(0),
        listed(missing.values(), between="; "),
    )


@check(
    "alerting.latency-budget",
    title="An alert of this severity waits no longer in Alertmanager than it may",
    why="""`group_wait` is 30 s where nobody sets it, and each further peer of a cluster waits
    15 s more before it sends. A page that has to be out in half a minute is then late before
    anything is slow, and nothing tells so.""",
    fix="""Set `group_wait` on that route, and the peer time-out of the cluster:
    group_wait: 5s                      # in alertmanager.yml
    alertmanager --cluster.peer-timeout=5s
The limit is `budget_s` in [alerting.severities.NAME].""",
    severity="blocker",
    effect="observe",
    each="alert_severity",
)
def test_latency_budget(
    alert_severity: SeverityPolicy,
    running: Running,
    policy: Alerting,
    target: Config,
    evidence: Evidence,
) -> None:
    """The quickest way to each channel list, at the peer that sends last."""
    assert target.alertmanager, "the configuration was read from it"
    positions = len(target.alertmanager.urls) - 1
    waits = positions * target.alertmanager.peer_timeout_s
    case, hop = max(
        _needed_hops(running, alert_severity, policy), key=lambda found: found[1].group_wait_s
    )
    parts = f"group_wait {prometheus_text(hop.group_wait_s)}"
    if positions:
        parts += (
            f" + {positions} x peer time-out {prometheus_text(target.alertmanager.peer_timeout_s)}"
        )
    evidence.judge(
        "longest-wait-before-told",
        Measurement(
            "longest wait before it is told", hop.group_wait_s + waits, "s", running.source
        ),
        at_most(alert_severity.budget_s),
        f"{clean(case.rule.name)} by {clean(str(hop))}: {parts}",
    )
    late = max(hop.group_interval_s for _, hop in _needed_hops(running, alert_severity, policy))
    evidence.record(
        Measurement("longest wait of an alert that joins a group later", late, "s", running.source)
    )


@check(
    "alerting.never-muted",
    title="No time interval keeps an alert of this severity from its channels",
    why="""An interval that was meant for office mail, on the route of the pages: every night and
    every weekend nobody is woken, and Alertmanager shows the alert as active all the same.""",
    fix="""Take `mute_time_intervals` and `active_time_intervals` off that route, or put them on a
route of their own for what may wait; look at the intervals in alertmanager.yml:
    amtool config show --alertmanager.url=ALERTMANAGER
If it may be held back, say `may_be_muted = true` in [alerting.severities.NAME].""",
    severity="blocker",
    effect="observe",
    each="unmuted_severity",
)
def test_never_muted(
    unmuted_severity: SeverityPolicy, running: Running, policy: Alerting, evidence: Evidence
) -> None:
    """Every minute of the year that comes, in the time zone of each interval."""
    start = datetime.now(UTC).replace(second=0, microsecond=0)
    ways = _ways(running, unmuted_severity, policy)
    held = {hops: _held_back(running, hops, start) for hops in ways}
    worst = max(held, key=lambda hops: _minutes(held[hops]))
    spans = held[worst]
    evidence.judge(
        "minutes-coming-year-channel",
        Measurement(
            "minutes of the coming year in which a channel is not told",
            _minutes(spans),
            "min",
            running.source,
            samples=len(held),
        ),
        equal_to(0),
        _told_muted(worst, spans[0], ways[worst]) if spans else "",
    )


def _ways(
    running: Running, severity: SeverityPolicy, policy: Alerting
) -> dict[tuple[Hop, ...], Case]:
    """The routes of which one has to tell, each time with a case that takes them."""
    found: dict[tuple[Hop, ...], Case] = {}
    for case in _cases(running, severity):
        for hops in _groups(running, case, severity, policy):
            found.setdefault(tuple(hops), case)
    return found


def _held_back(running: Running, hops: tuple[Hop, ...], start: datetime) -> list[Span]:
    """When none of the routes tells."""
    intervals = running.config.intervals
    return common(
        [muted(intervals, hop.mute, hop.active, start, start + _YEAR) for hop in hops],
        start,
        start + _YEAR,
    )


def _told_muted(hops: tuple[Hop, ...], first: Span, case: Case) -> str:
    names = sorted({name for hop in hops for name in (*hop.mute, *hop.active)})
    begin, end = first
    return (
        f"{clean(case.rule.name)} by {clean(str(hops[0]))} is held back by {listed(names)},"
        f" first from {begin:%a %Y-%m-%d %H:%M} to {end:%a %Y-%m-%d %H:%M} UTC"
    )


@check(
    "alerting.repeat-interval",
    title="An alert of this severity that lasts is told again soon enough",
    why="""A page that was missed once is not told again before `repeat_interval`, which is looked
    at only once in each `group_interval`: 20 minutes become 30 with an interval of 15.""",
    fix="""Set both on that route, the first a multiple of the second:
    group_interval: 5m
    repeat_interval: 1h
The limit is `repeat_max_s` in [alerting.severities.NAME].""",
    severity="major",
    effect="observe",
    each="alert_severity",
)
def test_repeat_interval(
    alert_severity: SeverityPolicy, running: Running, policy: Alerting, evidence: Evidence
) -> None:
    """The time that really passes between two messages."""
    hops = [hop for _, hop in _needed_hops(running, alert_severity, policy)]
    worst = max(hops, key=_repeats_s)
    evidence.judge(
        "longest-time-until-told",
        Measurement("longest time until it is told again", _repeats_s(worst), "s", running.source),
        at_most(alert_severity.repeat_max_s),
        f"{clean(str(worst))}: repeat_interval {prometheus_text(worst.repeat_interval_s)},"
        f" group_interval {prometheus_text(worst.group_interval_s)}",
    )
    uneven = {str(hop): hop for hop in hops if _repeats_s(hop) != hop.repeat_interval_s}
    evidence.judge(
        "routes-whose-repeat-interval",
        Measurement(
            "routes whose repeat_interval is no multiple of group_interval",
            len(uneven),
            "count",
            running.source,
        ),
        equal_to(0),
        listed(
            (
                f"{text} repeats after {prometheus_text(_repeats_s(hop))},"
                f" not {prometheus_text(hop.repeat_interval_s)}"
                for text, hop in uneven.items()
            ),
            between="; ",
        ),
        warn_only=True,
    )


def _repeats_s(hop: Hop) -> float:
    """Seconds until it is told again: groups are looked at once in each `group_interval`."""
    if not hop.group_interval_s:
        return hop.repeat_interval_s
    return -(-hop.repeat_interval_s // hop.group_interval_s) * hop.group_interval_s


def _cases(running: Running, severity: SeverityPolicy) -> list[Case]:
    return reach.cases(running.config, running.rules_of(severity))


def _groups(
    running: Running, case: Case, severity: SeverityPolicy, policy: Alerting
) -> list[list[Hop]]:
    """The routes to each channel list; where none leads to any, all routes of the case."""
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
