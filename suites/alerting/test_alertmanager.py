"""Alertmanager itself: its configuration, its cluster, and the path from Prometheus to it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.alerting import reach
from readiness.areas.alerting.alertmanager_config import InhibitRule
from readiness.areas.alerting.conditions import Labels, all_match
from readiness.areas.alerting.config import Alerting
from readiness.areas.alerting.judging import judge_none
from readiness.areas.alerting.probes import cluster
from readiness.areas.alerting.probes.cluster import Loaded, Running, Seen
from readiness.areas.alerting.reach import LiveRule, placed
from readiness.config.base.watching import Alertmanager
from readiness.config.models import Config
from readiness.lib.prometheus import Prometheus
from readiness.lib.text import clean, listed

_QUEUE_MAX: Final = 0.1


@check(
    "alerting.alertmanager-config",
    title="All Alertmanagers run the current configuration, and it loses no alert",
    failure_title="Alertmanager runs an outdated configuration, or one that loses alerts",
    explains=("alerting.routing", "alerting.delivery"),
    why="""A configuration with a mistake is refused at reload with one line in a log, and the old
    one keeps running. A receiver without an integration accepts every page and sends nothing, and
    an inhibition rule with an empty `equal` mutes every warning everywhere.""",
    fix="""reload, same-config: copy the same file to all peers, and reload each:
    amtool check-config /etc/alertmanager/alertmanager.yml
    curl -X POST ALERTMANAGER/-/reload
    curl -s ALERTMANAGER/metrics | grep alertmanager_config
receivers: add an integration (`slack_configs`, ...), or name the receiver in `unreached` of
[alerting] if it must not notify anyone; see where alerts go with
    amtool config routes show --alertmanager.url=ALERTMANAGER
inhibition, inhibition-sides: the rule is too broad: name the labels that both alerts share, and
exclude the dead man's alert
    inhibit_rules:
    - source_matchers: [severity="critical"]
      target_matchers: [severity="warning"]
      equal: [alertname, instance]
    amtool alert query --inhibited --alertmanager.url=ALERTMANAGER""",
    severity="blocker",
    each="alertmanager",
    judgements=("reload", "same-config", "receivers", "inhibition", "inhibition-sides"),
)
def test_alertmanager_config(
    alertmanager: Alertmanager, target: Config, evidence: Evidence
) -> None:
    """Receivers and inhibition are judged on the configuration and the rules that run."""
    with evidence.attempt():
        _judge_loaded(cluster.configurations(alertmanager), evidence)
    policy = target.alerting or Alerting()
    with evidence.attempt():
        found = cluster.read_running(target)
        with evidence.attempt():
            _judge_receivers(found, set(policy.unreached), evidence)
        if target.prometheus:
            found = cluster.with_series(found, target.prometheus)
        _judge_inhibition(found, policy, evidence)


def _judge_loaded(found: Sequence[Loaded], evidence: Evidence) -> None:
    """A peer that is down is judged by alertmanager-cluster."""
    judge_none(
        evidence,
        "reload",
        "peers whose last reload failed",
        [clean(peer.url) for peer in found if not peer.succeeded],
        "alertmanager_config_last_reload_successful",
        len(found),
        hint="They run an older configuration than the one on their disk",
    )
    most = Counter(peer.fingerprint for peer in found).most_common(1)[0][0]
    judge_none(
        evidence,
        "same-config",
        "peers with another configuration than the others",
        [clean(peer.url) for peer in found if peer.fingerprint != most],
        "alertmanager_config_hash",
        len(found),
        hint="The notified channels depend on which peer sends",
    )


def _judge_receivers(found: Running, allowed: set[str], evidence: Evidence) -> None:
    """For every value that a label with a template can take."""
    reached: dict[str, set[str]] = {}
    for case in reach.cases(found.config, found.rules):
        for hop in case.hops:
            reached.setdefault(hop.receiver, set()).add(case.rule.name)
    empty = [
        f"{clean(name)} gets {listed(sorted(rules))}"
        for name, rules in sorted(reached.items())
        if not found.config.receivers[name].integrations and name not in allowed
    ]
    what = "receivers without an integration that rules reach"
    judge_none(evidence, "receivers", what, empty, found.source, len(reached))


def _judge_inhibition(found: Running, policy: Alerting, evidence: Evidence) -> None:
    rules = found.config.inhibit_rules
    dead_man = policy.dead_man.alert if policy.dead_man else ""
    alerts = [placed(rule.labels) for rule in found.rules]
    judge_none(
        evidence,
        "inhibition",
        "inhibition rules that mute too much",
        [text for rule in rules for text in _too_broad(rule, alerts, found.rules, dead_man)],
        found.source,
        len(rules),
    )
    both = [
        f"{rule}: {listed(names)}"
        for rule in rules
        if len(names := reach.both_at_once(rule, alerts)) > 1
    ]
    judge_none(
        evidence,
        "inhibition-sides",
        "inhibition rules with alerts that match both source and target",
        both,
        found.source,
        len(rules),
        hint="These alerts do not inhibit each other",
        warn_only=True,
    )


def _too_broad(
    rule: InhibitRule, alerts: Sequence[Labels], loaded: Sequence[LiveRule], dead_man: str
) -> Iterator[str]:
    if not rule.equal and not reach.names_one_source(rule):
        yield f"{rule} has an empty `equal`, and more than one alert as source"
    elif not reach.names_one_source(rule) and reach.unknown_to_all(rule, loaded):
        labels = ", ".join(rule.equal)
        yield f"{rule}: no alert has the label {labels}, so that it is equal in all of them"
    held = [alert for alert in alerts if dead_man and alert.get("alertname") == dead_man]
    if any(all_match(rule.target, alert) for alert in held):
        yield f"{rule} inhibits {dead_man}, which must always arrive"


@check(
    "alerting.alertmanager-cluster",
    title="Every Alertmanager is reachable, in the cluster, and gets every alert",
    failure_title="An Alertmanager is missing, outside the cluster, or does not get every alert",
    explains=("alerting.failover",),
    why="""Prometheus lists an Alertmanager as `active` that has been down for a month, and a
    relabeling that drops `severity=critical` leaves every counter at zero: the page is lost between
    the two. Peers that do not know each other send every notification twice, and a missing second
    peer is noticed on the day the first one fails.""",
    fix="""Compare what Prometheus sends to, what fires, and what each peer knows:
    curl -s PROMETHEUS/api/v1/alertmanagers
    curl -si ALERTMANAGER/-/ready
    curl -s ALERTMANAGER/api/v2/status | jq .cluster
    curl -s PROMETHEUS/api/v1/alerts | jq '.data.alerts[] | select(.state=="firing").labels'
    curl -s ALERTMANAGER/api/v2/alerts | jq '.[].labels'
answers, ready, cluster: start the peer, and let all peers name each other (port 9094, TCP and UDP):
    alertmanager --cluster.listen-address=0.0.0.0:9094 --cluster.peer=OTHER:9094
listed: `alerting: alertmanagers:` in prometheus.yml must list every peer, not a load balancer;
an address that differs from here is mapped in `seen_as` of [alertmanager].
handed-over: an alert is missing there: see `alert_relabel_configs` in prometheus.yml.
losses: alerts are refused or queued:
    journalctl -u prometheus --since -10m | grep -i alertmanager
    curl -s PROMETHEUS/metrics | grep -E 'notifications_(errors|dropped|queue)'""",
    severity="blocker",
    each="alertmanager",
    judgements=("answers", "cluster", "listed", "ready", "handed-over", "losses"),
)
def test_alertmanager_cluster(
    alertmanager: Alertmanager, target: Config, evidence: Evidence
) -> None:
    """What Prometheus hands over is judged where [prometheus] is declared."""
    _judge_cluster(cluster.cluster(alertmanager), evidence)
    if target.prometheus is None:
        return
    with Prometheus(target.prometheus) as prometheus:
        begun = cluster.begin(prometheus)
        with evidence.attempt():
            _judge_listed(prometheus, alertmanager, evidence)
        with evidence.attempt():
            _judge_handed_over(prometheus, alertmanager, evidence)
        with evidence.attempt():
            _judge_losses(prometheus, evidence, begun)


def _judge_cluster(seen: Sequence[Seen], evidence: Evidence) -> None:
    """As each peer sees it. A peer that is down is judged once."""
    source = "GET /api/v2/status of each peer"
    away = [f"{clean(peer.url)}: {clean(peer.status)}" for peer in seen if not peer.answers]
    if not judge_none(evidence, "answers", "peers that do not answer", away, source, len(seen)):
        return
    lost = [
        f"{clean(peer.url)} is {clean(peer.status)} and sees {peer.peers} of {len(seen)}"
        for peer in seen
        if not _knows_all(peer, len(seen))
    ]
    judge_none(
        evidence, "cluster", "peers that do not see exactly the others", lost, source, len(seen)
    )


def _knows_all(peer: Seen, count: int) -> bool:
    alone = count == 1 and peer.status == "disabled"
    return alone or (peer.status == "ready" and peer.peers == count)


def _judge_listed(prometheus: Prometheus, settings: Alertmanager, evidence: Evidence) -> None:
    """Each is asked at the address that Prometheus has, or at that in `seen_as`."""
    found = cluster.receivers(prometheus, settings)
    names = ", ".join(receiver.listed for receiver in found) or "none"
    evidence.judge(
        "listed",
        Measurement(
            "Alertmanagers that Prometheus sends to",
            len(found),
            "count",
            f"GET {prometheus.url}/api/v1/alertmanagers",
        ),
        equal_to(len(settings.urls), settings.deciding("urls")),
        names,
        says=f"Prometheus sends to {len(found)} Alertmanagers, and {len(settings.urls)} are"
        " declared",
    )
    away = [str(receiver) for receiver in found if not receiver.ready]
    judge_none(
        evidence, "ready", "Alertmanagers that are not ready", away, "GET /-/ready", len(found)
    )


def _judge_handed_over(prometheus: Prometheus, settings: Alertmanager, evidence: Evidence) -> None:
    """Alerts that have just begun to fire are waited for."""
    seen = cluster.handed_over(prometheus, settings)
    judge_none(
        evidence,
        "handed-over",
        "firing alerts that an Alertmanager does not know",
        [str(unknown) for unknown in seen.unknown],
        f"GET {prometheus.url}/api/v1/alerts, GET /api/v2/alerts",
        seen.firing,
    )


def _judge_losses(
    prometheus: Prometheus, evidence: Evidence, begun: cluster.Begun | None = None
) -> None:
    """Between two readings, with alerts sent between them."""
    sent = cluster.watch_sending(prometheus, begun)
    source = f"GET {prometheus.url}/metrics"
    evidence.record(Measurement("alerts handed over while watched", sent.sent, "count", source))
    evidence.judge(
        "losses",
        Measurement("alerts lost while watched", sent.lost, "count", source),
        equal_to(0),
        says=f"Prometheus could not hand over {sent.lost:g} alerts while it was watched",
    )
    measured = Measurement("fill level of the notification queue", sent.queued, "ratio", source)
    evidence.judge("losses", measured, at_most(_QUEUE_MAX), "alerts wait in Prometheus")
