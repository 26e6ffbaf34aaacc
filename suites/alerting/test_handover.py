"""The way from Prometheus to Alertmanager: whether what fires there arrives here."""

from typing import Final

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.alerting.probes import handover
from readiness.config.base.watching import Alertmanager
from readiness.config.base.watching import Prometheus as Settings
from readiness.config.models import Config
from readiness.lib.prometheus import Prometheus
from readiness.model.errors import NoData

_SHOWN: Final = 5
_QUEUE_MAX: Final = 0.1


def _declared(target: Config) -> Alertmanager:
    if target.alertmanager is None:
        raise NoData("the target declares no [alertmanager]", remedy="declare it in readiness.toml")
    return target.alertmanager


@check(
    "alerting.alertmanagers-reachable",
    title="Every Alertmanager that Prometheus sends to is there, and all that were declared",
    why="""Prometheus calls an Alertmanager `active` that has been dead for a month: it only says
    that it is configured. And where the discovery finds none, alerts fire into nothing, without
    an error being counted.""",
    fix="""See whom Prometheus sends to, and ask each of them from Prometheus's own machine:
    curl -s PROMETHEUS/api/v1/alertmanagers
    curl -si ALERTMANAGER/-/ready
None or too few: `alerting: alertmanagers:` in prometheus.yml, then reload.
Reachable from there, but not from here: map its address in `seen_as` of [alertmanager].""",
    severity="blocker",
    effect="observe",
    each="prometheus",
)
def test_alertmanagers_reachable(
    prometheus: Settings, watcher: Prometheus, target: Config, evidence: Evidence
) -> None:
    """Asks each at the address that Prometheus has."""
    settings = _declared(target)
    found = handover.receivers(watcher, settings)
    source = f"GET {prometheus.url}/api/v1/alertmanagers"
    evidence.judge(
        "alertmanagers-prometheus-sends",
        Measurement("Alertmanagers that Prometheus sends to", len(found), "count", source),
        equal_to(len(settings.urls)),
        f"{len(settings.urls)} are declared; it lists {', '.join(r.listed for r in found) or '-'}",
    )
    away = [str(receiver) for receiver in found if not receiver.ready]
    evidence.judge(
        "alertmanagers-ready",
        Measurement(
            "Alertmanagers that are not ready", len(away), "count", "GET /-/ready", len(found)
        ),
        equal_to(0),
        "; ".join(away),
    )


@check(
    "alerting.handed-over",
    title="What fires in Prometheus is known to every Alertmanager",
    why="""Between a red rule and a message lies a step that counts no failure: a relabelling that
    drops `severity=critical` leaves everything green, and nobody is told. An Alertmanager that
    does not get the alerts is no second one when the first one dies.""",
    fix="""Compare by hand:
    curl -s PROMETHEUS/api/v1/alerts | jq '.data.alerts[] | select(.state=="firing").labels'
    curl -s ALERTMANAGER/api/v2/alerts | jq '.[].labels'
All missing: see alerting.alertmanagers-reachable. Some: `alert_relabel_configs` in prometheus.yml.
At one peer alone: Prometheus must send to every peer itself, not to a load balancer.""",
    severity="blocker",
    effect="observe",
    each="prometheus",
)
def test_handed_over(
    prometheus: Settings, watcher: Prometheus, target: Config, evidence: Evidence
) -> None:
    """Alerts that have just begun to fire are waited for."""
    seen = handover.handed_over(watcher, _declared(target))
    named = "; ".join(map(str, seen.unknown[:_SHOWN]))
    evidence.judge(
        "firing-alerts-an-alertmanager",
        Measurement(
            "firing alerts that an Alertmanager does not know",
            len(seen.unknown),
            "count",
            f"GET {prometheus.url}/api/v1/alerts, GET /api/v2/alerts",
            seen.firing,
        ),
        equal_to(0),
        named,
    )


@check(
    "alerting.notifications-not-lost",
    title="Prometheus loses no alert on the way to Alertmanager",
    why="""An Alertmanager that refuses alerts, or is too slow for them, is noticed only by what
    Prometheus counts. The totals since the start say nothing: some are lost at every start.""",
    fix="""Prometheus says in its log what went wrong, and counts for each Alertmanager:
    curl -s PROMETHEUS/metrics | grep -E 'notifications_(errors|dropped|queue)'
    journalctl -u prometheus --since -10m | grep -i alertmanager
Refused (4xx): a label or relabelling that Alertmanager does not accept. Time-outs: its machine.""",
    severity="major",
    effect="observe",
    each="prometheus",
)
def test_notifications_not_lost(
    prometheus: Settings, watcher: Prometheus, evidence: Evidence
) -> None:
    """Between two readings, with something sent between them."""
    sent = handover.watch_sending(watcher)
    source = f"GET {prometheus.url}/metrics"
    evidence.record(Measurement("alerts handed over while watched", sent.sent, "count", source))
    evidence.judge(
        "alerts-lost-while-watched",
        Measurement("alerts lost while watched", sent.lost, "count", source),
        equal_to(0),
        "it could not hand them over, or dropped them",
    )
    evidence.judge(
        "share-queue-full",
        Measurement("share of the queue that is full", sent.queued, "ratio", source),
        at_most(_QUEUE_MAX),
        "alerts wait longer than they should",
    )
