"""Faults of Alertmanager: its configuration, routes, silences and peers, and the path to it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from readiness.model.fault import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem
    from readiness.servers.files import Document
    from readiness.servers.levers import Lever


_CONFIG: Final = "alerting.alertmanager-config[alertmanager]"
_CLUSTER: Final = "alerting.alertmanager-cluster[alertmanager]"
_FAILOVER: Final = "alerting.failover[alertmanager]"
_SILENCE: Final = "alerting.silence-round-trip[readiness-probe]"
_RETRIES: Final = "alerting.delivery-retries[readiness-probe]"
_STORM: Final = "alerting.storm[readiness-probe]"
_RULE: Final = "alerting.rule-delivery[ReadinessCanary]"
_ALL_CLEAR: Final = "alerting.false-all-clear[ReadinessCanary]"
_DEAD_MAN: Final = "alerting.dead-man[Watchdog]"
_DEAD_MAN_CALLS: Final = "alerting.dead-man-calls[Watchdog]"
_DELIVERY: Final = tuple(f"alerting.delivery[{c}]" for c in ("email", "pagerduty", "slack", "sms"))
_ROUTING: Final = "alerting.routing[critical]"
# Errors: the critical test page would inhibit real alerts, or reaches nobody; warnings go by email.
_UNPAGED: Final = {name: set[str]() for name in _DELIVERY if name != "alerting.delivery[email]"}
_PAGERS_UNPAGED: Final = {
    f"alerting.delivery[{channel}]": set[str]() for channel in ("pagerduty", "sms")
}
_SECOND: Final = "alertmanager_2"


def _receiver(config: "Document", name: str) -> "Document":
    found: Document = next(found for found in config["receivers"] if found["name"] == name)
    return found


@fault(
    misses={_CONFIG: {"same-config"}}, story="the second Alertmanager runs another configuration"
)
def peers_run_different_configurations(system: "ReferenceSystem") -> "Lever":
    """What a deployment does that reaches one machine of two."""
    return system.levers.edit_alertmanager(
        lambda config: config["route"].update(group_interval="6s"), peers=[_SECOND]
    )


@fault(
    misses={_CONFIG: {"reload"}}, story="the configuration on disk is broken, and the old one runs"
)
def alertmanager_refuses_its_configuration(system: "ReferenceSystem") -> "Lever":
    """What a reload answers that nobody reads."""
    return system.levers.edit_alertmanager(
        lambda config: config["route"].update(receiver="on-cal"), loads=False
    )


@fault(
    misses={_CONFIG: {"receivers"}},
    story="the receiver `email`, where all alerts end, has no integration",
)
def default_receiver_is_empty(system: "ReferenceSystem") -> "Lever":
    """What a template leaves behind that was never filled in."""
    return system.levers.edit_alertmanager(
        lambda config: _receiver(config, "email").pop("email_configs")
    )


@fault(
    misses={_CONFIG: {"receivers"}, _ROUTING: {"channels", "notified"}},
    story="the receivers of PagerDuty and SMS are empty",
)
def paging_receivers_are_empty(system: "ReferenceSystem") -> "Lever":
    """What is left when the credentials were to be filled in later."""

    def edit(config: "Document") -> None:
        del _receiver(config, "pagerduty")["pagerduty_configs"]
        del _receiver(config, "sms")["webhook_configs"]

    return system.levers.edit_alertmanager(edit)


@fault(misses={_CONFIG: {"inhibition"}, **_UNPAGED}, story="the inhibition rule's `equal` is empty")
def inhibition_has_no_equal_labels(system: "ReferenceSystem") -> "Lever":
    """One critical alert mutes every warning; those who get it get enough (pages)."""
    return system.levers.edit_alertmanager(
        lambda config: config["inhibit_rules"][0].update(equal=[])
    )


@fault(
    misses={_CONFIG: {"inhibition"}},
    story="the inhibition rule's `equal` is a label that no alert has",
)
def inhibition_has_an_unknown_label(system: "ReferenceSystem") -> "Lever":
    """What a copied configuration does: labels that both lack are equal."""
    return system.levers.edit_alertmanager(
        lambda config: config["inhibit_rules"][0].update(equal=["cluster"])
    )


@fault(misses={_CONFIG: {"inhibition"}}, story="an inhibition rule mutes the dead man's alert")
def watchdog_is_inhibited(system: "ReferenceSystem") -> "Lever":
    """While anything is critical, it looks as if the whole alerting were dead."""
    return _inhibits(system, 'alertname="ServiceDown"', 'severity!~"critical|warning"')


@fault(
    misses={_CONFIG: {"inhibition-sides"}},
    story="the same alerts match source and target of an inhibition rule",
)
def inhibition_has_the_same_sides(system: "ReferenceSystem") -> "Lever":
    """They do not inhibit each other, which is what the rule was written for."""
    both = 'severity=~"critical|warning"'
    return _inhibits(system, both, both, probe='readiness_probe=""', equal=["alertname"])


@fault(misses={_ROUTING: {"inhibited"}}, story="a warning inhibits critical alerts")
def warning_inhibits_pages(system: "ReferenceSystem") -> "Lever":
    """Routes and matchers are all right: it shows only together with the loaded rules."""
    return _inhibits(system, 'alertname="SlowQueries"', 'severity="critical"')


@fault(
    misses={_ROUTING: {"inhibited"}, _RULE: set(), _ALL_CLEAR: set()},
    story="the canary of the monitoring inhibits critical alerts",
)
def canary_inhibits_pages(system: "ReferenceSystem") -> "Lever":
    """A test of the alerting switches it off while it lasts: the canary is refused, too."""
    return _inhibits(system, 'alertname="ReadinessCanary"', 'severity="critical"')


def _inhibits(
    system: "ReferenceSystem",
    source: str,
    target: str,
    *,
    probe: str = "",
    equal: list[str] | None = None,
) -> "Lever":
    """Add an inhibition rule; synthetic alerts have to arrive."""
    rule = {
        "source_matchers": [source, *filter(None, [probe])],
        "target_matchers": [target, 'readiness_probe=""'],
        # Neither alert has such a label: that counts as equal.
        "equal": equal or ["cluster"],
    }
    return system.levers.edit_alertmanager(lambda config: config["inhibit_rules"].append(rule))


@fault(
    misses={_CLUSTER: {"cluster", "listed"}, _FAILOVER: set()},
    story="a peer is in the cluster that readiness.toml does not name",
)
def second_peer_is_not_named(system: "ReferenceSystem") -> "Lever":
    """With one peer named there is no failover, and half of the cluster is not measured."""
    return system.levers.edit_config(
        lambda text: re.sub(r'(?m)^(\[alertmanager\]\nurls = \["[^"]+"), "[^"]+"\]', r"\1]", text)
    )


@fault(
    misses={_CLUSTER: {"cluster"}, _FAILOVER: {"recovered"}},
    story="a third peer has joined the cluster",
)
def third_peer_has_joined(system: "ReferenceSystem") -> "Lever":
    """What is left of a migration: it is not handed any alert, and is one more to wait for."""
    return system.levers.third_peer()


@fault(
    misses={
        **{name: {"once"} for name in _DELIVERY},
        _CLUSTER: {"cluster"},
        _SILENCE: {"suppressed", "muted"},
        _FAILOVER: {"recovered"},
    },
    story="the two peers of Alertmanager do not find each other",
)
def peers_do_not_gossip(system: "ReferenceSystem") -> "Lever":
    """What a firewall does that lets TCP through, and not UDP."""
    return system.levers.isolated_peer()


@fault(
    misses={
        **{name: set[str]() for name in _DELIVERY},
        _CLUSTER: {"answers", "ready", "losses"},
        _DEAD_MAN: set(),
        _SILENCE: set(),
        _RULE: set(),
        _FAILOVER: set(),
        _RETRIES: set(),
        _STORM: set(),
        _ALL_CLEAR: set(),
    },
    story="the second Alertmanager is down",
)
def second_peer_is_down(system: "ReferenceSystem") -> "Lever":
    """Everybody is notified, by the one that is left."""
    return system.levers.stop_program(_SECOND)


@fault(
    misses={_CLUSTER: {"listed", "handed-over"}, _DEAD_MAN: {"every-peer"}},
    story="Prometheus sends to the first Alertmanager only",
)
def second_peer_gets_no_alerts(system: "ReferenceSystem") -> "Lever":
    """Peers share silences and what they sent, but no alerts."""

    def edit(document: "Document") -> None:
        del document["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"][1:]

    return system.levers.edit_prometheus(edit)


@fault(
    misses={_CLUSTER: {"listed"}},
    story="Prometheus sends to one more Alertmanager than was declared",
)
def one_alertmanager_too_many(system: "ReferenceSystem") -> "Lever":
    """What stays behind when a cluster has moved."""

    def edit(document: "Document") -> None:
        targets = document["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]
        targets.append(targets[0].replace("127.0.0.1", "localhost"))

    return system.levers.edit_prometheus(edit)


@fault(
    misses={_CLUSTER: {"handed-over"}},
    story="a relabeling drops an alert on its way, and nothing counts it",
)
def alert_is_dropped_on_the_way(system: "ReferenceSystem") -> "Lever":
    """What a rule against noise does with its regular expression."""
    drop = {"source_labels": ["alertname"], "regex": "Maintenance", "action": "drop"}
    return _relabeled(system, [drop], "Maintenance", 'up{job="prometheus"} == 1')


@fault(
    misses={_CLUSTER: {"losses"}},
    story="Alertmanager refuses an alert that a relabeling leaves without any label",
)
def alerts_are_refused(system: "ReferenceSystem") -> "Lever":
    """What Prometheus counts, and nobody looks at."""
    is_it = {"source_labels": ["alertname"], "regex": "Refused", "replacement": ""}
    strip = [{**is_it, "target_label": "severity"}, {**is_it, "target_label": "alertname"}]
    # It fires at every other evaluation only, so that it is not missing as well: Alertmanager also
    # gets alerts that have ended.
    return _relabeled(system, strip, "Refused", "vector(time()) % 2 < 1")


@contextmanager
def _relabeled(
    system: "ReferenceSystem", relabelings: "list[Document]", alert: str, expression: str
) -> Iterator[None]:
    """Relabel alerts on their way, and let one fire."""

    def add(document: "Document") -> None:
        known = document["groups"][0]["rules"][0]["annotations"]
        rule = {
            "alert": alert,
            "expr": expression,
            "labels": {"severity": "warning"},
            "annotations": {**known, "summary": "Made up"},
        }
        # Each group has a name of its own: missed evaluations are counted by it.
        document["groups"].append({"name": f"fault-{alert}", "rules": [rule]})

    with (
        system.levers.edit_prometheus(
            lambda document: document["alerting"].update(alert_relabel_configs=relabelings)
        ),
        system.levers.edit_rules(add),
    ):
        system.levers.await_series(f'ALERTS{{alertname="{alert}",alertstate="firing"}}')
        yield


@fault(
    misses={"alerting.dead-man[Watchdog]": {"fires"}, _DEAD_MAN_CALLS: set(), _CLUSTER: set()},
    story="the rule that always fires was removed",
)
def watchdog_is_removed(system: "ReferenceSystem") -> "Lever":
    """Nothing fires then, so that nothing shows the path to Alertmanager either."""

    def edit(document: "Document") -> None:
        for group in document["groups"]:
            group["rules"] = [rule for rule in group["rules"] if rule["alert"] != "Watchdog"]

    return system.levers.edit_rules(edit)


_TIMING: Final = "alerting.notification-timing[critical]"
_DAY: Final = [{"times": [{"start_time": "00:00", "end_time": "24:00"}]}]


def _routes(config: "Document", *receivers: str) -> "list[Document]":
    """The routes to some receivers."""
    return [route for route in config["route"]["routes"] if route["receiver"] in receivers]


def _edit_paging(system: "ReferenceSystem", **settings: Any) -> "Lever":

    def edit(config: "Document") -> None:
        for route in _routes(config, "pagerduty", "sms"):
            route.update(settings)

    return system.levers.edit_alertmanager(edit)


@fault(
    misses={_ROUTING: {"channels", "notified"}, **_PAGERS_UNPAGED},
    story='the pages\' matchers say severity="crit"',
)
def matcher_has_a_typo(system: "ReferenceSystem") -> "Lever":
    """The rules say `critical`, the routes `crit`."""
    return _edit_paging(system, matchers=['severity="crit"'])


@fault(
    misses={_ROUTING: {"channels", "notified"}, **_PAGERS_UNPAGED},
    story="critical alerts no longer go to PagerDuty and SMS",
)
def critical_pages_nobody(system: "ReferenceSystem") -> "Lever":
    """What a clean-up of the routes does that nobody reviewed."""

    def edit(config: "Document") -> None:
        for route in _routes(config, "pagerduty", "sms"):
            config["route"]["routes"].remove(route)

    return system.levers.edit_alertmanager(edit)


@fault(
    misses={_ROUTING: {"channels"}}, story="alerts of one team, as a template names it, page nobody"
)
@contextmanager
def one_team_is_routed_away(system: "ReferenceSystem") -> Iterator[None]:
    """The label's value is known only when it fires: each that a route asks for is computed."""

    def routes(config: "Document") -> None:
        config["route"]["routes"].insert(2, {"matchers": ['team="retired"'], "receiver": "email"})

    def rules(document: "Document") -> None:
        # Of those whose series can have such a label; the others are sums.
        for rule in document["groups"][0]["rules"][:2]:
            rule["labels"]["team"] = "{{ $labels.team }}"

    with system.levers.edit_alertmanager(routes), system.levers.edit_rules(rules):
        yield


@fault(
    misses={_TIMING: {"wait"}, _ROUTING: {"notified"}}, story="nobody sets group_wait: it is 30 s"
)
def group_wait_is_the_default(system: "ReferenceSystem") -> "Lever":
    """What Alertmanager waits by default; warnings have the time."""

    def edit(config: "Document") -> None:
        del config["route"]["group_wait"]
        for route in _routes(config, "watchdog"):
            route["group_wait"] = "1s"

    return system.levers.edit_alertmanager(edit)


@fault(misses={_TIMING: {"wait"}}, story="the second peer of the cluster waits 40 s for the first")
def second_peer_is_late(system: "ReferenceSystem") -> "Lever":
    """No peer shows it alone: only an alert that the first one never got is late."""
    return system.levers.edit_config(
        lambda text: re.sub(r"(?m)^peer_timeout_s = .*$", "peer_timeout_s = 40", text)
    )


@fault(
    misses={_TIMING: {"muted"}, _ROUTING: {"notified"}, **_PAGERS_UNPAGED},
    story="a time interval always mutes the pages",
)
def pages_are_muted_always(system: "ReferenceSystem") -> "Lever":
    """What was meant for one night, and stayed."""
    return _intervals(system, "mute_time_intervals", _DAY)


@fault(misses={_TIMING: {"muted"}}, story="a time interval mutes the pages, one day of next month")
def pages_are_muted_next_month(system: "ReferenceSystem") -> "Lever":
    """Nothing that happens today shows it."""
    then = datetime.now(UTC) + timedelta(days=40)
    date = {"months": [str(then.month)], "days_of_month": [str(then.day)], "location": "Asia/Tokyo"}
    return _intervals(system, "mute_time_intervals", [{**_DAY[0], **date}])


@fault(
    misses={_TIMING: {"muted"}, _ROUTING: {"notified"}, **_PAGERS_UNPAGED},
    story="the pages are active in one minute of the year only",
)
def pages_are_active_once(system: "ReferenceSystem") -> "Lever":
    """What `active_time_intervals` does that was meant to mute."""
    then = datetime.now(UTC) + timedelta(days=180)
    minute = {
        "times": [{"start_time": "12:00", "end_time": "12:01"}],
        "months": [str(then.month)],
        "days_of_month": ["1"],
    }
    return _intervals(system, "active_time_intervals", [minute])


def _intervals(system: "ReferenceSystem", key: str, intervals: "list[Document]") -> "Lever":
    def edit(config: "Document") -> None:
        config["time_intervals"] = [{"name": "maintenance", "time_intervals": intervals}]
        for route in _routes(config, "pagerduty", "sms"):
            route[key] = ["maintenance"]

    return system.levers.edit_alertmanager(edit)


@fault(misses={_TIMING: {"repeat"}}, story="a critical alert that lasts is repeated after a week")
def repeat_takes_a_week(system: "ReferenceSystem") -> "Lever":
    """What makes a channel quiet, and a forgotten page permanent."""
    return _edit_paging(system, repeat_interval="7d")


@fault(
    misses={_TIMING: {"joins"}},
    story="all pages are one group, which is looked at every 30 minutes",
)
def pages_join_a_group_late(system: "ReferenceSystem") -> "Lever":
    """The first outage is paged at once, and the second one when the first is over."""
    # The test page has a group of its own: whether another alert fires meanwhile must not matter.
    group = {"group_by": ["severity", "readiness_page"], "group_interval": "30m"}
    return _edit_paging(system, **group, repeat_interval="1h")


@fault(
    misses={_ROUTING: {"ends"}, "alerting.routing[warning]": {"ends"}},
    story="the Slack of real alerts is not notified when one ends",
)
def real_slack_gets_no_end(system: "ReferenceSystem") -> "Lever":
    """The receiver of synthetic alerts is, so that no synthetic alert shows it."""
    return system.levers.edit_alertmanager(
        lambda config: _receiver(config, "slack")["slack_configs"][0].update(send_resolved=False)
    )


@fault(
    misses={_TIMING: {"joins", "repeat", "repeat-multiple"}},
    story="repeat_interval is 4 h, and looked at every 3 h",
)
def repeat_is_rounded_up(system: "ReferenceSystem") -> "Lever":
    """Four hours become six: groups are looked at once in each `group_interval`."""
    return _edit_paging(system, repeat_interval="4h", group_interval="3h")


@fault(
    misses={_TIMING: {"silenced"}, **_UNPAGED},
    story="a silence covers all critical alerts for two weeks",
)
def silence_covers_pages(system: "ReferenceSystem") -> "Lever":
    """What is left of last night's deployment; synthetic alerts are left out, to be exact."""
    return system.levers.silenced({"severity": "critical", "readiness_probe": ""}, days=14)


@fault(misses={_TIMING: {"silenced"}}, story="a silence covers one critical rule by its name")
def silence_covers_a_rule(system: "ReferenceSystem") -> "Lever":
    """What somebody makes who has had enough of it."""
    return system.levers.silenced({"alertname": "MemoryCritical"}, days=365)
