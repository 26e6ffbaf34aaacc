"""Whether alerting survives an outage of its own parts, and reports it."""

from readiness import Evidence, Measurement, at_least, at_most, check
from readiness.areas.alerting.config import Canary, DeadMan, probed_channels
from readiness.areas.alerting.judging import judge_true, judge_within
from readiness.areas.alerting.probes.end_to_end import CanaryPlan
from readiness.areas.alerting.probes.outages import (
    fail_over,
    lose_source,
    next_beat,
    stop_prometheus,
)
from readiness.config.base.watching import Alertmanager
from readiness.config.models import Config
from readiness.lib.alertmanager import Peer
from readiness.lib.guardian import Guardian
from readiness.lib.prometheus import Prometheus
from readiness.lib.retry import until
from readiness.model.errors import NoData


@check(
    "alerting.dead-man",
    title="The alert that always fires keeps arriving at the dead man's switch",
    failure_title="The alert that always fires does not keep arriving at the dead man's switch",
    core=True,
    why="""A dead Prometheus cannot alert that it is dead, and four minutes later all its alerts are
    reported as resolved: an all-clear for a system without monitoring. Only an external switch can
    notice, which receives an alert that always fires and calls when that stops.""",
    fix="""Add a rule, and a route of its own to a dead man's switch outside of this monitoring
(healthchecks.io, Dead Man's Snitch, or a machine of yours):
    - alert: Watchdog
      expr: vector(1)
      labels: {severity: none}
    routes:
    - matchers: ['alertname="Watchdog"']
      receiver: dead-mans-switch
      group_wait: 0s
      group_interval: 1m
      repeat_interval: 50s
Not at every peer: list every Alertmanager in `alerting:` of prometheus.yml.""",
    severity="blocker",
    each="dead_man",
    judgements=("fires", "beat", "every-peer"),
)
def test_dead_man(dead_man: DeadMan, target: Config, evidence: Evidence) -> None:
    """It fires in Prometheus, every peer has it, and a new beat comes while we watch."""
    alerting, settings = target.alerting, target.prometheus
    if not (alerting and settings and target.alertmanager):
        raise NoData(
            "the dead man's switch needs [prometheus] and [alertmanager]", where="readiness.toml"
        )
    name, limit_s = dead_man.alert, dead_man.max_silence_s
    with Prometheus(settings) as prometheus:
        firing = _firing(prometheus, name, limit_s)
    fires = evidence.judge(
        "fires",
        Measurement(f"{name} fires", firing, "count", f"{settings.url}/api/v1/alerts"),
        at_least(1),
        "no rule of that name always fires",
        says=f"{name} does not fire in Prometheus",
    )
    if not fires:
        return
    channel = alerting.channels[dead_man.channel]
    with evidence.attempt():
        beat = next_beat(channel, name, limit_s)
        judge_within(
            evidence,
            "beat",
            f"the next {name} arrived at {channel.name}",
            beat.waited_s,
            at_most(limit_s, dead_man.deciding("max_silence_s")),
            f"{name} at {channel.name}",
            never=f"No {name} arrived at {channel.name}",
            because=f"none within {limit_s:g} s ({dead_man.deciding('max_silence_s')}); the last"
            f" one before: {beat.last_known}",
        )
    for url in target.alertmanager.urls:
        with evidence.attempt(), Peer(url, target.alertmanager) as peer:
            held = len(peer.alerts(f'alertname="{name}"'))
            evidence.judge(
                "every-peer",
                Measurement(f"{name} at the peer", held, "count", f"{url}/api/v2/alerts"),
                at_least(1),
                "it could not send it if the others were down",
                says=f"{url} does not have {name}",
            )


def _firing(prometheus: Prometheus, name: str, within_s: float) -> int:
    """How often it fires; waits for a Prometheus that has yet to evaluate its rules."""
    return until(
        lambda: sum(a.name == name and a.state == "firing" for a in prometheus.alerts()),
        bool,
        within_s=within_s,
        every_s=0.1,
    )


@check(
    "alerting.dead-man-calls",
    title="When Prometheus dies, the dead man's switch calls",
    failure_title="Prometheus died, and the dead man's switch did not call",
    why="""Four minutes after Prometheus has died, Alertmanager reports all its alerts as resolved;
    only then the switch begins to miss its beats. Whether it calls is unknown until Prometheus has
    been stopped once.""",
    fix="""Check the settings of the switch: how long it waits, whom it calls and how, and whether
its check is paused. Beats must come more often than it waits, on the route of the Watchdog:
    group_interval: 1m
    repeat_interval: 50s
Send the end of the Watchdog, too (send_resolved: true), if the switch treats that as an alarm.
`--rules.alert.resend-delay` of Prometheus sets how late the all-clear comes.
Prometheus does not come back: run `start` of [alerting.dead_man] by hand.""",
    severity="blocker",
    effect="disrupt",
    each="dead_man",
    needs="stop",
    judgements=("called", "recovered"),
)
def test_dead_man_calls(
    dead_man: DeadMan, target: Config, guardian: Guardian, evidence: Evidence
) -> None:
    """Prometheus is stopped until the call comes, or is overdue."""
    if target.prometheus is None or target.alerting is None:
        raise NoData("this check needs [prometheus]", where="readiness.toml")
    seen = stop_prometheus(target.prometheus, target.alerting, guardian)
    limit_s = seen.all_clear_s + dead_man.max_silence_s
    judge_within(
        evidence,
        "called",
        "the dead man's switch called",
        seen.called_s,
        at_most(limit_s, dead_man.deciding("max_silence_s")),
        f"{dead_man.alert} at {dead_man.calls}",
        never="The dead man's switch did not call",
        because=f"no call within {limit_s:g} s; every alert was reported as resolved after"
        f" {seen.all_clear_s:g} s",
    )
    judge_true(
        evidence,
        "recovered",
        "Prometheus evaluates its rules again",
        target.prometheus.url,
        true=seen.steady,
        miss="Prometheus does not evaluate its rules again after the drill",
    )


@check(
    "alerting.false-all-clear",
    title='When a firing target dies, a target-down alert follows the false "resolved"',
    failure_title='A firing target died, and all that followed was a false "resolved"',
    why="""If a target goes down while one of its alerts is firing, its metrics become stale, and
    seconds later every channel shows the alert as resolved. The person on call stops looking
    while the system is down.""",
    fix="""Add a rule for every job, with a short `for`:
    - alert: TargetDown
      expr: up == 0
      for: 30s
      labels: {severity: critical}
      annotations: {summary: '{{ $labels.job }} is down', runbook_url: 'https://RUNBOOK'}
and `absent(up{job="JOB"})` for what may vanish from the configuration. Check that nothing in
alert_relabel_configs, inhibit_rules or the routes drops it.
Still missing after the drill: run `start_source` of [alerting.canary] by hand.""",
    severity="blocker",
    effect="disrupt",
    each="canary",
    needs="stop_source",
    judgements=("target-down", "recovered"),
)
def test_false_all_clear(
    canary: Canary, target: Config, guardian: Guardian, evidence: Evidence
) -> None:
    """The canary fires, its exporter stops, and Alertmanager is watched."""
    plan = CanaryPlan.of(target)
    seen = lose_source(plan, guardian)
    source = f"{canary.alert} {seen.probe}, {seen.job} stopped"
    because, clear_s = "", seen.all_clear_s or 0.0
    if seen.all_clear_s is not None:
        evidence.record(Measurement('until the false "resolved"', seen.all_clear_s, "s", source))
        because = f"reported as resolved after {seen.all_clear_s:.3g} s, and nothing else followed"
    judge_within(
        evidence,
        "target-down",
        f'an alert for the loss of {seen.job} followed the false "resolved"',
        None if seen.noticed_s is None else max(0.0, seen.noticed_s - clear_s),
        at_most(canary.loss_max_s, canary.deciding("loss_max_s")),
        source,
        never=f"No alert for the loss of {seen.job} fired",
        because=because,
        late=seen.noticed_by,
    )
    judge_true(
        evidence,
        "recovered",
        "the target is scraped again",
        source,
        true=seen.steady,
        miss=f"{seen.job} is still missing after the drill",
    )


@check(
    "alerting.failover",
    title="Alerts still arrive when one Alertmanager is down",
    failure_title="Alerts are lost or late when one Alertmanager is down",
    why="""The second peer of a cluster sends nothing while the first one does. Whether it can is
    unknown until the first one fails: an old copy of a secret, a firewall that lets one address
    out and not the other, a configuration that was never reloaded.""",
    fix="""Read the log of the other peers while the first one is stopped:
    journalctl -u alertmanager -f | grep -i notify
Compare what the peers have: files of secrets, environment, and the way out of their network.
Alerts must be handed to every peer: list all of them in `alerting:` of prometheus.yml.
First peer does not come back: run `start_peer` of [alertmanager] by hand, and check
    curl -s ALERTMANAGER/api/v2/status | jq .cluster""",
    severity="major",
    effect="disrupt",
    each="alertmanager",
    needs="stop_peer",
    judgements=("arrived", "recovered"),
)
def test_failover(
    alertmanager: Alertmanager, target: Config, guardian: Guardian, evidence: Evidence
) -> None:
    """The others take over after peer_timeout; the limit contains that and group_wait."""
    probe = target.alerting.probe if target.alerting else None
    if probe is None:
        raise NoData("[alerting.probe] is not configured", where="readiness.toml")
    seen = fail_over(alertmanager, probe, probed_channels(target), guardian)
    waits_s = alertmanager.peer_timeout_s * (len(alertmanager.urls) - 1) + seen.group_wait_s
    for channel, after_s in seen.arrived.items():
        judge_within(
            evidence,
            "arrived",
            f"{channel} was notified by another peer",
            after_s,
            at_most(waits_s + probe.budget_s, probe.deciding("budget_s")),
            f"{seen.probe} at {channel}, without the first peer",
            never=f"{channel} was not notified by another peer",
            late=f"the limit contains peer_timeout_s and group_wait, {waits_s:g} s",
        )
    back, url = int(seen.back_s is not None), alertmanager.urls[0]
    evidence.judge(
        "recovered",
        Measurement("first peer is back", back, "count", url, timeline=seen.timeline),
        at_least(1),
        "it does not answer, or does not find the others",
        says="The first peer did not come back after the drill",
    )
