"""Whether alerts arrive: sent to the real Alertmanager, read at the channels."""

from typing import Final

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.alerting.config import (
    Alerting,
    Canary,
    Channel,
    Database,
    SyntheticProbe,
    probed_channels,
)
from readiness.areas.alerting.judging import judge_none, judge_true, judge_within
from readiness.areas.alerting.probes import end_to_end, pages
from readiness.areas.alerting.probes.end_to_end import CanaryPlan, Walk, walk
from readiness.areas.alerting.probes.synthetic import ALERT, Arrival, Trip, silence_round_trip
from readiness.config.base.watching import Alertmanager
from readiness.config.models import Config
from readiness.fixtures.alerting import Paging, Trips
from readiness.lib.guardian import Guardian
from readiness.lib.text import clean
from readiness.model.errors import NoData
from readiness.model.figures import counted
from readiness.model.measurement import Moment

_TRIES: Final = 3
_BROKEN: Final = ("<no value>", "<nil>", "{{", "%!")


def _probe(target: Config) -> SyntheticProbe:
    probe = target.alerting.probe if target.alerting else None
    if probe is None:
        raise NoData("[alerting.probe] is not configured", where="readiness.toml")
    return probe


@check(
    "alerting.delivery",
    title="A synthetic alert arrives at the channel in time, complete, once, and resolves",
    failure_title="A synthetic alert is lost, late, incomplete, duplicated or never resolved",
    core=True,
    why="""Alertmanager answers 200, shows the alert as active and counts no failure although no one
    is paged: the mail server drops the mail, Slack answers 200 with `invalid_token`. A page that
    says `<no value>`, comes five times or never resolves costs the night's first half hour.""",
    fix="""Send one, and look at what Alertmanager and its log say:
    amtool alert add readiness_probe=by-hand severity=critical --alertmanager.url=ALERTMANAGER
    journalctl -u alertmanager -f | grep -i notify
arrived, in-time: the first route must send synthetic alerts to test channels of the same kinds
    - matchers: ['readiness_probe!=""']
      receiver: readiness-probe
      group_by: ['...']
      group_wait: 0s
      group_interval: 20s
content, template: the template of the integration needs
    {{ .CommonLabels.alertname }} {{ .CommonLabels.severity }}
    {{ range .Alerts }}{{ .Annotations.summary }}{{ end }}
    amtool template render --template.glob='templates/*.tmpl' --template.text='...'
once: the same integration twice, routes that `continue`, peers that do not know each other
(a group_interval shorter than --cluster.peer-timeout times the number of the other peers)
    amtool config routes test --config.file=alertmanager.yml readiness_probe=x
    curl -s ALERTMANAGER/api/v2/status | jq .cluster
paged: synthetic alerts have a receiver of their own; let one page be sent to the real one:
    test_page = true      # in [alerting.channels.NAME]; people are notified that it is a test
Not arrived: the real receiver's address, key or channel differs from that of synthetic alerts
    curl -s ALERTMANAGER/metrics | grep alertmanager_notifications_failed_total
resolved, resolved-in-time, nothing-left: send_resolved: true in the integration (the default of
Slack and email is false), or `resolves = false` in [alerting.channels.NAME].""",
    severity="blocker",
    effect="write",
    each="channel",
    needs="inbox",
    judgements=(
        "arrived",
        "in-time",
        "content",
        "template",
        "once",
        "resolved",
        "resolved-in-time",
        "nothing-left",
        "paged",
    ),
)
def test_delivery(
    channel: Channel, target: Config, trips: Trips, paged: Paging, evidence: Evidence
) -> None:
    """The alert has an id of its own; all peers were handed it."""
    probe = _probe(target)
    trip = trips.first(probe)
    arrival = trip.at(channel.name)
    judge_within(
        evidence,
        "arrived",
        f"{channel.name} was notified",
        arrival.fired_s if arrival.fired else None,
        at_most(probe.budget_s, probe.deciding("budget_s")),
        f"alert {ALERT} {trip.probe} at {channel.name}",
        never=f"{channel.name} was not notified",
        because=trip.diagnosis,
        late=trip.late(probe.budget_s),
        late_key="in-time",
    )
    if not arrival.fired:
        return
    _judge_message(arrival.fired[0].text, channel, trip, probe, evidence)
    with evidence.attempt():
        _judge_once(channel, probe, trips, evidence)
    if channel.resolves:
        with evidence.attempt():
            if trip.too_long:
                raise trip.too_long
            _judge_end(trip.at(channel.name, to_the_end=True), channel, trip, probe, evidence)
    with evidence.attempt():
        _judge_page(channel, target, paged, evidence)


def _judge_page(channel: Channel, target: Config, paged: Paging, evidence: Evidence) -> None:
    """What the receiver of synthetic alerts shows is not true of the real ones.

    Raises:
        NoData: nobody consented, or the page could not be sent to them.
    """
    plan = pages.planned(_alertmanager(target), target.alerting or Alerting(), channel)
    if plan is None or pages.is_reached(plan, channel):
        return
    if not channel.test_page:
        failed, dead = pages.failures(plan, channel), pages.dead_ends(plan, channel)
        hints = f"; of {channel.integration} notifications, {failed}" if failed else ""
        hints += f"; {dead}" if dead else ""
        raise NoData(
            f"the real receivers of {channel.name} are not proven: synthetic alerts have a receiver"
            f" of their own{hints}",
            where=f"[alerting.channels.{channel.name}]",
            remedy="set `test_page = true` there, so that one page that says that it is a test"
            " notifies them",
        )
    seen = paged(plan)(channel)
    judge_within(
        evidence,
        "paged",
        f"the real receivers of {channel.name} notified it of a test page",
        seen.after_s,
        at_most(seen.group_wait_s + plan.severity.budget_s, plan.severity.deciding("budget_s")),
        f"page {seen.page} by {', '.join(seen.receivers)}",
        never=f"A test page by {clean(', '.join(seen.receivers), 120)} did not arrive at"
        f" {channel.name}",
        because=seen.failed,
        late=f"the limit contains group_wait, {seen.group_wait_s:g} s",
    )


def _judge_message(
    text: str, channel: Channel, trip: Trip, probe: SyntheticProbe, evidence: Evidence
) -> None:
    """The message must contain the name, labels and summary of the synthetic alert."""
    wanted = {"alert name": ALERT, "summary": "A test of the alerting"}
    wanted |= {f"label {name}": value for name, value in probe.labels.items()}
    source = f"message of {trip.probe} at {channel.name}"
    missing = [name for name, value in wanted.items() if value not in text]
    judge_none(evidence, "content", "parts missing from the message", missing, source, len(wanted))
    broken = [mark for mark in _BROKEN if mark in text]
    judge_none(evidence, "template", "marks of a broken template", broken, source)


def _judge_once(channel: Channel, probe: SyntheticProbe, trips: Trips, evidence: Evidence) -> None:
    """Alertmanager promises *at least* once: only a duplicate in every try is a defect."""
    counts = []
    for attempt in range(_TRIES):
        trip = trips.another(probe) if attempt else trips.first(probe)
        arrival = trip.at(channel.name, to_the_end=True)
        if not arrival.fired:
            raise NoData(
                "a second synthetic alert did not arrive, so that its messages cannot be counted",
                where=f"[alerting.channels.{channel.name}]",
                remedy="run the check again: the first one arrived",
            )
        counts.append(len(arrival.fired))
        if counts[-1] == 1:
            break
    tried = ", ".join(map(str, counts))
    evidence.judge(
        "once",
        Measurement(
            "fewest messages for one alert",
            min(counts),
            "count",
            f"alert {ALERT} at {channel.name}",
            len(counts),
        ),
        equal_to(1),
        f"messages in {len(counts)} tries: {tried}",
        says=f"One alert makes {min(counts)} messages at {channel.name}",
    )


def _judge_end(
    arrival: Arrival, channel: Channel, trip: Trip, probe: SyntheticProbe, evidence: Evidence
) -> None:
    judge_within(
        evidence,
        "resolved",
        f"{channel.name} was notified that the alert has ended",
        arrival.ended_s if arrival.ended else None,
        at_most(trip.group_interval_s + probe.budget_s, probe.deciding("budget_s")),
        f"end of {ALERT} {trip.probe} at {channel.name}",
        never=f"{channel.name} was not notified that the alert has ended",
        because="the alert seems to fire there forever",
        late=f"the limit contains group_interval, {trip.group_interval_s:g} s",
        late_key="resolved-in-time",
    )
    evidence.judge(
        "nothing-left",
        Measurement("alerts left at the peers", trip.held, "count", "GET /api/v2/alerts"),
        equal_to(0),
        says=f"{counted(trip.held, 'alert still fires', 'alerts still fire')} at the peers after"
        " the end",
    )


@check(
    "alerting.silence-round-trip",
    title="A silence mutes an alert at every peer, and notifications resume when it ends",
    failure_title="Silences cannot be made, do not mute everywhere, or outlive their end",
    why="""At night a silence keeps a known problem from paging again. With broken gossip only one
    peer honors it, and the other one keeps calling; one that does not end hides the next
    incident.""",
    fix="""Try it by hand:
    amtool silence add readiness_probe=by-hand -d 5m -c test --alertmanager.url=ALERTMANAGER
    amtool silence query --alertmanager.url=EACH-PEER
Refused: the proxy in front of Alertmanager is read-only; use a role that may write.
Not at every peer (port 9094 must be open for TCP and UDP):
    curl -s ALERTMANAGER/api/v2/status | jq .cluster""",
    severity="major",
    effect="write",
    each="synthetic_probe",
    judgements=("suppressed", "muted", "resumed"),
)
def test_silence_round_trip(
    synthetic_probe: SyntheticProbe, target: Config, evidence: Evidence
) -> None:
    """A second alert without a silence is the control."""
    settings = _alertmanager(target)
    seen = silence_round_trip(settings, synthetic_probe, probed_channels(target))
    source = f"{synthetic_probe.receiver} {seen.probe}"
    if not seen.control:
        raise NoData(
            "an alert without a silence did not arrive either: the silence proves nothing",
            where=source,
            remedy="see alerting.delivery",
        )
    state = " and ".join(seen.state) or "unknown"
    evidence.judge(
        "suppressed",
        Measurement("state while silenced", state, "text", source),
        equal_to("suppressed"),
        says=f"The peers call the silenced alert {state}, not suppressed",
    )
    judge_none(
        evidence, "muted", "channels notified in spite of the silence", seen.notified, source
    )
    judge_within(
        evidence,
        "resumed",
        "every channel was notified after the end of the silence",
        seen.after_s,
        at_most(
            seen.group_interval_s + synthetic_probe.budget_s, synthetic_probe.deciding("budget_s")
        ),
        source,
        never="A channel was not notified after the end of the silence",
        because="the silence outlives its end",
        late=f"the limit contains group_interval, {seen.group_interval_s:g} s",
    )


def _alertmanager(target: Config) -> Alertmanager:
    if target.alertmanager is None:
        raise NoData("[alertmanager] is not configured", where="readiness.toml")
    return target.alertmanager


@check(
    "alerting.rule-delivery",
    title="A metric that breaches notifies every channel, each hop within its budget",
    failure_title="A metric breaches, and its alert is lost or late on the way to a channel",
    why="""Scrape, rule, hand-over, grouping and sending can each work alone and fail together. An
    alert can fire in Prometheus forever and be dropped by `alert_relabel_configs`, while every
    failure counter stays at zero and the customers report the outage.""",
    fix="""Load a rule on a metric that you can make breach, as [alerting.canary] says:
    - alert: ReadinessCanary
      expr: readiness_canary > 0
      labels: {severity: critical, readiness_probe: '{{ $labels.probe }}'}
      annotations: {summary: A test of the alerting, runbook_url: 'https://RUNBOOK'}
Fires, but not handed over: check alert_relabel_configs and the addresses in `alerting:`
    curl -s PROMETHEUS/api/v1/alertmanagers
Handed over, but not notified: see alerting.delivery.""",
    severity="blocker",
    effect="write",
    each="canary",
    judgements=("fires", "handed-over", "arrived"),
)
def test_rule_delivery(
    canary: Canary, target: Config, guardian: Guardian, evidence: Evidence
) -> None:
    """Detection, hand-over and sending each have a budget of their own."""
    plan = CanaryPlan.of(target)
    seen = walk(plan, guardian)
    source = f"{canary.alert} {seen.probe}"
    fires = judge_true(
        evidence,
        "fires",
        "fires in Prometheus",
        source,
        true=seen.active is not None,
        miss=f"{canary.alert} does not fire in Prometheus",
        because="the metric is not scraped, or the rule does not select it",
    )
    if not fires or seen.active is None:
        return
    evidence.record(Measurement("breach to rule active", seen.active - seen.breached, "s", source))
    handed = judge_true(
        evidence,
        "handed-over",
        "handed over to Alertmanager",
        source,
        true=seen.handed_over is not None,
        miss=f"{canary.alert} fires in Prometheus, and no Alertmanager has it",
        because="relabeled, dropped or sent elsewhere",
    )
    if not handed or seen.handed_over is None or seen.fired is None:
        return
    evidence.judge(
        "fires",
        Measurement("seconds from breach to firing", seen.fired - seen.breached, "s", source),
        at_most(round(seen.detection_s, 3)),
        "the limit is scrape interval, evaluation interval, `for` and 5 s",
    )
    evidence.judge(
        "handed-over",
        Measurement(
            "seconds from firing to Alertmanager", seen.handed_over - seen.fired, "s", source
        ),
        at_most(canary.evaluation_max_s, canary.deciding("evaluation_max_s")),
    )
    for channel in plan.channels:
        at = seen.arrived.get(channel.name)
        judge_within(
            evidence,
            "arrived",
            f"{channel.name} was notified",
            None if at is None else at - seen.handed_over,
            at_most(seen.group_wait_s + plan.probe.budget_s, plan.probe.deciding("budget_s")),
            f"message of {seen.probe} at {channel.name}",
            never=f"{channel.name} was not notified",
            late=f"the limit contains group_wait, {seen.group_wait_s:g} s",
        )
    last = max(seen.arrived.values(), default=seen.handed_over) - seen.breached
    evidence.record(
        Measurement("breach to the last message", last, "s", source, timeline=_hops(seen))
    )


def _hops(seen: Walk) -> tuple[Moment, ...]:
    hops = [("the metric breaches", seen.breached), ("the rule is active", seen.active)]
    hops += [("the alert fires", seen.fired), ("Alertmanager has it", seen.handed_over)]
    hops += [(f"{name} has it", at) for name, at in seen.arrived.items()]
    known = [(at, label) for label, at in hops if at is not None]
    return tuple(Moment(at - seen.breached, label) for at, label in sorted(known))


@check(
    "alerting.slow-query-alert",
    title="A slow statement notifies the agreed channel in time",
    failure_title="A slow statement does not notify the agreed channel as agreed",
    why="""A statement that holds its locks for minutes stops the application, and no error counter
    moves: every request waits. Rules for it are rarely seen to fire; they watch the wrong
    database, a metric that is 0, or a threshold in another unit.""",
    fix="""Follow it by hand: run the statement, and look at each step on the way.
    psql -c 'select pg_sleep(60)' DATABASE
    curl -s EXPORTER/metrics | grep max_tx_duration
    curl -s PROMETHEUS/api/v1/alerts | jq '.data.alerts[].labels'
    amtool alert query --alertmanager.url=ALERTMANAGER
The alert, its severity and its channel are configured in [databases.NAME.slow_alert].""",
    severity="major",
    effect="disrupt",
    each="alerted_database",
    judgements=("arrived", "in-time", "severity"),
)
def test_slow_query_alert(alerted_database: Database, target: Config, evidence: Evidence) -> None:
    """A real alert notifies real people: it needs the consent for disruptive checks."""
    alert = alerted_database.slow_alert
    if alert is None or target.alerting is None:
        raise NoData("needs [databases.NAME.slow_alert] and [alerting.channels.NAME]")
    found = end_to_end.raised(alert, target.alerting.channels[alert.channel], target.prometheus)
    source = f"pg_sleep as {alert.dsn.address}, {alert.alert} at {alert.channel}"
    judge_within(
        evidence,
        "arrived",
        f"{alert.channel} was notified of the slow statement",
        found.after_s,
        at_most(alert.message_within_s, alert.deciding("message_within_s")),
        source,
        never=f"A statement ran for {found.ran_s:.0f} s, and no message arrived at {alert.channel}",
        late_key="in-time",
    )
    if found.after_s is None:
        return
    judge_true(
        evidence,
        "severity",
        f"message with severity {alert.severity}",
        source,
        true=alert.severity.lower() in found.text.lower(),
        miss=f"The message does not contain the agreed severity {alert.severity}",
        because=clean(found.text),
    )
