"""Whether the silence of the alerting itself would be noticed."""

import time

from readiness import Evidence, Measurement, at_least, at_most, check, equal_to
from readiness.areas.alerting.probes.heartbeat import next_beat
from readiness.config.base.subject import Subject
from readiness.config.models import Config
from readiness.lib.alertmanager import Peer
from readiness.lib.prometheus import Prometheus
from readiness.model.errors import NoData


@check(
    "alerting.dead-man",
    title="The alert that always fires arrives again and again, at what would miss it",
    why="""A dead Prometheus fires no alert that it is dead, and four minutes later every alert of
    its is told as resolved: an all-clear for a system that nobody watches. What remains is an
    alert that always fires, sent to something outside that calls when it no longer comes. It is
    of no use where it is routed to an empty receiver, or told once in twelve hours.""",
    fix="""A rule, and a route of its own to a dead man's switch outside of this monitoring
(healthchecks.io, Dead Man's Snitch, or a machine of yours):
    - alert: Watchdog
      expr: vector(1)
    routes:
    - matchers: ['alertname="Watchdog"']
      receiver: dead-mans-switch
      group_wait: 0s
      group_interval: 1m
      repeat_interval: 50s""",
    severity="blocker",
    effect="observe",
    each="dead_man",
)
def test_dead_man(dead_man: Subject, target: Config, evidence: Evidence) -> None:
    """Fires in Prometheus, is held by every peer, and a fresh beat comes while we watch."""
    alerting = target.alerting
    if not (alerting and alerting.dead_man and target.prometheus and target.alertmanager):
        raise NoData(
            "the dead man's switch needs [prometheus], [alertmanager] and [alerting.dead_man]",
            where="readiness.toml",
        )
    name = dead_man.name
    limit_s = alerting.dead_man.max_silence_s
    with Prometheus(target.prometheus) as prometheus:
        firing = _firing(prometheus, name, limit_s)
    fires = evidence.judge(
        "fires",
        Measurement(f"{name} fires", firing, "count", f"{target.prometheus.url}/api/v1/alerts"),
        at_least(1),
        "there is no rule that always fires, or it does not",
    )
    if not fires:
        return
    channel = alerting.channels[alerting.dead_man.channel]
    beat = next_beat(channel, name, limit_s)
    source = f"{name} at {channel.name}"
    came = evidence.judge(
        "beat-came",
        Measurement("a beat came", int(beat.waited_s is not None), "count", source),
        equal_to(1),
        f"none within {limit_s:g} s; the last one before: {beat.last_known}",
    )
    if came and beat.waited_s is not None:
        evidence.judge(
            "until-next-beat",
            Measurement("until the next beat", beat.waited_s, "s", source),
            at_most(limit_s),
        )
    for url in target.alertmanager.urls:
        with Peer(url, target.alertmanager) as peer:
            held = len(peer.alerts(f'alertname="{name}"'))
        evidence.judge(
            "held-peer",
            Measurement(f"{name} held by the peer", held, "count", f"{url}/api/v2/alerts"),
            at_least(1),
            "this peer would not send it if the others were gone",
        )


def _firing(prometheus: Prometheus, name: str, within_s: float) -> int:
    """How often it fires; a Prometheus that has just started has yet to evaluate its rules."""
    deadline = time.monotonic() + within_s
    while True:
        count = sum(a.name == name and a.state == "firing" for a in prometheus.alerts())
        if count or time.monotonic() > deadline:
            return count
        time.sleep(0.1)
