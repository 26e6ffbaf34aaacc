"""Whether an alert arrives: sent to the real Alertmanager, looked for where people would see it."""

from typing import Final

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.alerting.config import Channel
from readiness.areas.alerting.probes.round_trip import Trip
from readiness.areas.alerting.probes.synthetic import ALERT
from readiness.config.models import Config
from readiness.fixtures.synthetic import Trips
from readiness.model.errors import NoData

_TRIES: Final = 3
_BROKEN: Final = ("<no value>", "<nil>", "{{", "%!")

_ROUTE: Final = """The first route leads synthetic alerts to test channels of the same kinds:
    - matchers: ['readiness_probe!=""']
      receiver: readiness-probe
      group_by: ['...']
      group_wait: 0s
      group_interval: 20s"""


@check(
    "alerting.delivery",
    title="A synthetic alert arrives at the channel in time",
    why="""Alertmanager says 200, `active` and no failure at all while nobody is told: the receiver
    is empty, a time interval mutes it, a mail server takes the mail and drops it, Slack answers
    200 with `invalid_token`. Only who looks into the channel knows whether a page would arrive.""",
    fix="""See what Alertmanager says of it, and its log while one is sent:
    amtool alert add readiness_probe=by-hand severity=critical --alertmanager.url=URL
    journalctl -u alertmanager -f | grep -i notify
"""
    + _ROUTE,
    severity="blocker",
    effect="write",
    each="probed_channel",
)
def test_delivery(
    probed_channel: Channel, target: Config, trips: Trips, evidence: Evidence
) -> None:
    """Looked for at the receiver's, by an id of its own; all peers were handed the alert."""
    trip = trips.first()
    arrival = trips.arrival(probed_channel.name)
    source = f"alert {ALERT} {trip.probe} at {probed_channel.name}"
    arrived = evidence.judge(
        "arrived",
        Measurement("arrived", int(bool(arrival.fired)), "count", source),
        equal_to(1),
        trip.diagnosis,
    )
    if arrived and arrival.fired_s is not None:
        evidence.judge(
            "hand-over-arrival",
            Measurement("from hand-over to arrival", arrival.fired_s, "s", source),
            at_most(_budget_s(target)),
        )


@check(
    "alerting.resolution",
    title="The end of a synthetic alert arrives at the channel, and nothing of it is left",
    why="""An incident that never ends is closed by hand, at night, by somebody who has to find out
    first whether it is over. Slack and email do not tell the end unless they are asked to, and a
    page without an end keeps the next one from being sent.""",
    fix="""Let the integration tell it:
    slack_configs: [{send_resolved: true, ...}]
Or, where nobody wants to know: resolves = false in [alerting.channels.NAME].
It is told at the next group_interval of the route (5 min unless it is set).""",
    severity="major",
    effect="write",
    each="resolving_channel",
)
def test_resolution(
    resolving_channel: Channel, target: Config, trips: Trips, evidence: Evidence
) -> None:
    """Judged only where the alert itself arrived: else there is nothing to end."""
    trip = trips.first()
    arrival = trips.arrival(resolving_channel.name, to_the_end=True)
    if not arrival.fired:
        raise NoData(
            "the alert itself did not arrive, so that its end cannot be waited for",
            where=f"[alerting.channels.{resolving_channel.name}]",
            remedy="see alerting.delivery",
        )
    source = f"end of {ALERT} {trip.probe} at {resolving_channel.name}"
    arrived = evidence.judge(
        "end-arrived",
        Measurement("end arrived", int(bool(arrival.ended)), "count", source),
        equal_to(1),
        "it fires there for ever",
    )
    if arrived and arrival.ended_s is not None:
        evidence.judge(
            "end-arrival",
            Measurement("from the end to its arrival", arrival.ended_s, "s", source),
            at_most(trip.group_interval_s + _budget_s(target)),
            "group_interval of the route, and the budget",
        )
    evidence.judge(
        "alerts-left-peers",
        Measurement("alerts left at the peers", trip.held, "count", "GET /api/v2/alerts"),
        equal_to(0),
    )


@check(
    "alerting.payload",
    title="The message says what it is about: name, severity and summary, and no empty template",
    why="""At night a message is all there is. One that says `<no value>`, or only how many alerts
    fire, sends somebody to look for what is wrong before they can begin to mend it. A template
    that fails is found by no check of the configuration.""",
    fix="""Look at the template of the integration. What every message needs:
    {{ .CommonLabels.alertname }} {{ .CommonLabels.severity }}
    {{ range .Alerts }}{{ .Annotations.summary }}{{ end }}
Try it: amtool template render --template.glob='templates/*.tmpl' --template.text='...'""",
    severity="major",
    effect="write",
    each="probed_channel",
)
def test_payload(probed_channel: Channel, target: Config, trips: Trips, evidence: Evidence) -> None:
    """What the synthetic alert says of itself has to be found in what arrived."""
    trip = trips.first()
    arrival = trips.arrival(probed_channel.name)
    if not arrival.fired:
        raise NoData(
            "nothing arrived that could be read",
            where=f"[alerting.channels.{probed_channel.name}]",
            remedy="see alerting.delivery",
        )
    text = arrival.fired[0].text
    probe = target.alerting.probe if target.alerting else None
    wanted = {"alert name": ALERT, "summary": "A test of the alerting"}
    wanted |= {f"label {name}": value for name, value in (probe.labels if probe else {}).items()}
    source = f"message of {trip.probe} at {probed_channel.name}"
    missing = [name for name, value in wanted.items() if value not in text]
    evidence.judge(
        "parts-missing",
        Measurement("parts that are missing", len(missing), "count", source, len(wanted)),
        equal_to(0),
        ", ".join(missing),
    )
    broken = [mark for mark in _BROKEN if mark in text]
    evidence.judge(
        "marks-broken-template",
        Measurement("marks of a broken template", len(broken), "count", source),
        equal_to(0),
        " ".join(broken),
    )


@check(
    "alerting.duplicates",
    title="One alert is told once, however often it is handed over",
    why="""Prometheus hands each alert over again every minute, to every peer. Where the same
    integration stands twice, peers do not find each other, or the alert repeats within seconds,
    each page comes several times, and people learn to look away. A second peer that waits for
    longer than the group's interval even tells as firing what has just ended.""",
    fix="""Count the integrations of that kind in the receiver, and the routes that `continue`:
    amtool config routes test --config.file=alertmanager.yml readiness_probe=x
See whether the peers know each other: curl -s URL/api/v2/status | jq .cluster
After its end, from the second peer: group_interval of the route has to be longer than
--cluster.peer-timeout times the number of the other peers.
repeat_interval is in hours, not in seconds.""",
    severity="major",
    effect="write",
    each="probed_channel",
)
def test_duplicates(probed_channel: Channel, trips: Trips, evidence: Evidence) -> None:
    """Alertmanager promises *at least* once: only what happens every time is a defect."""
    trip: Trip = trips.first()
    told = []
    for attempt in range(_TRIES):
        trip = trips.another() if attempt else trip
        arrival = trips.arrival(probed_channel.name, trip, to_the_end=True)
        if not arrival.fired:
            raise NoData(
                "nothing arrived that could be counted",
                where=f"[alerting.channels.{probed_channel.name}]",
                remedy="see alerting.delivery",
            )
        told.append(len(arrival.fired))
        if told[-1] == 1:
            break
    evidence.judge(
        "messages-one-alert-least",
        Measurement(
            "messages for one alert, at least",
            min(told),
            "count",
            f"alert {ALERT} at {probed_channel.name}",
            len(told),
        ),
        equal_to(1),
        f"tried {len(told)} times: {', '.join(map(str, told))}",
    )


def _budget_s(target: Config) -> float:
    probe = target.alerting.probe if target.alerting else None
    if probe is None:
        raise NoData("[alerting.probe] is not configured", where="readiness.toml")
    return probe.budget_s
