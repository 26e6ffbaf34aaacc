"""What the cluster of Alertmanagers promises: a silence holds everywhere, one peer may fail."""

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.alerting.config import SyntheticProbe
from readiness.areas.alerting.probes.failover import fail_over
from readiness.areas.alerting.probes.silencing import silence_round_trip
from readiness.areas.alerting.subjects import probed_channels
from readiness.config.base.subject import Subject
from readiness.config.base.watching import Alertmanager
from readiness.config.models import Config
from readiness.lib.guardian import Guardian
from readiness.model.errors import NoData


@check(
    "alerting.silence-round-trip",
    title="A silence holds an alert back at every peer, and lets it through once it ends",
    why="""At night a silence is how a known problem is kept from waking somebody again. Made at
    one peer of a cluster whose gossip is broken, it is honoured by that one alone. One that
    does not end, or cannot be made at all, is noticed when it is needed.""",
    fix="""Try it by hand:
    amtool silence add readiness_probe=by-hand --duration=5m --comment=test --alertmanager.url=URL
    amtool silence query --alertmanager.url=URL-OF-EACH-PEER
Refused: the proxy in front of Alertmanager lets nobody write; a role that may is needed.
Not at every peer: curl -s URL/api/v2/status | jq .cluster, and port 9094 by TCP *and* UDP.""",
    severity="major",
    effect="write",
    each="synthetic_probe",
)
def test_silence_round_trip(synthetic_probe: Subject, target: Config, evidence: Evidence) -> None:
    """A second alert, which nothing silences, shows that the silence is what holds the first."""
    settings, probe = _configured(target)
    seen = silence_round_trip(settings, probe, probed_channels(target))
    source = f"{synthetic_probe.name} {seen.probe}"
    if not seen.control:
        raise NoData(
            "an alert that nothing silenced did not arrive either, so that silence says nothing",
            where=source,
            remedy="see alerting.delivery",
        )
    evidence.judge(
        "state-while-silenced",
        Measurement("state while silenced", "+".join(seen.state) or "lost", "text", source),
        equal_to("suppressed"),
    )
    evidence.judge(
        "channels-told-all-same",
        Measurement("channels told all the same", len(seen.told), "count", source),
        equal_to(0),
        ", ".join(seen.told),
    )
    came = evidence.judge(
        "told-after-silence",
        Measurement("told after the silence", int(seen.after_s is not None), "count", source),
        equal_to(1),
        "the silence outlived its end",
    )
    if came and seen.after_s is not None:
        evidence.judge(
            "end-message",
            Measurement("from its end to the message", seen.after_s, "s", source),
            at_most(seen.group_interval_s + probe.budget_s),
        )


@check(
    "alerting.failover",
    title="With the first Alertmanager gone, the others tell in its place",
    why="""The second peer of a cluster sends nothing while the first one does. Whether it can is
    unknown until the first one fails: an old copy of a secret, a firewall that lets one address
    out and not the other, a configuration that was never reloaded.""",
    fix="""Look at the log of the other peers while the first one is stopped:
    journalctl -u alertmanager -f | grep -i notify
Compare what the peers have: files of secrets, environment, and the way out of their network.
Alerts have to be handed to every peer: list all of them in `alerting:` of prometheus.yml.""",
    severity="major",
    effect="disrupt",
    each="stoppable_peer",
)
def test_failover(
    stoppable_peer: Subject, target: Config, guardian: Guardian, evidence: Evidence
) -> None:
    """They take over after peer_timeout; that and group_wait are granted on top."""
    settings, probe = _configured(target)
    seen = fail_over(settings, probe, probed_channels(target), guardian)
    waits_s = settings.peer_timeout_s * (len(settings.urls) - 1) + seen.group_wait_s
    for channel, after_s in seen.arrived.items():
        source = f"{seen.probe} at {channel}, without the {stoppable_peer.name}"
        arrived = evidence.judge(
            "arrived",
            Measurement(f"arrived at {channel}", int(after_s is not None), "count", source),
            equal_to(1),
            "no other peer told it",
        )
        if arrived and after_s is not None:
            evidence.judge(
                "until-had",
                Measurement(f"until {channel} had it", after_s, "s", source),
                at_most(waits_s + probe.budget_s),
            )
    evidence.judge(
        "peer-back", Measurement(
            "peer is back", int(seen.back_s is not None), "count", settings.urls[0],
            timeline=seen.timeline,
        ),
        equal_to(1),
        "it does not answer, or does not find the others",
    )  # fmt: skip


def _configured(target: Config) -> tuple[Alertmanager, SyntheticProbe]:
    probe = target.alerting.probe if target.alerting else None
    if target.alertmanager is None or probe is None:
        raise NoData(
            "this check needs [alertmanager] and [alerting.probe]",
            where="readiness.toml",
            remedy="see `readiness init` for an example",
        )
    return target.alertmanager, probe
