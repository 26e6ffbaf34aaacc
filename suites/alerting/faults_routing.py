"""Faults of Alertmanager's routes and silences.

Alertmanager accepts every one of them, answers 200 to each alert, and counts no failure.
"""

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

_ROUTING: Final = "alerting.routing[critical]"
_TIMING: Final = "alerting.notification-timing[critical]"
_DAY: Final = [{"times": [{"start_time": "00:00", "end_time": "24:00"}]}]


def _routes(config: "Document", *receivers: str) -> "list[Document]":
    """The routes to some receivers."""
    return [route for route in config["route"]["routes"] if route["receiver"] in receivers]


def _edit_paging(system: "ReferenceSystem", **settings: Any) -> "Lever":
    """Set something on the routes of the pages."""

    def edit(config: "Document") -> None:
        for route in _routes(config, "pagerduty", "sms"):
            route.update(settings)

    return system.levers.edit_alertmanager(edit)


@fault(
    misses={_ROUTING: {"channels", "notified"}}, story='the pages\' matchers say severity="crit"'
)
def matcher_has_a_typo(system: "ReferenceSystem") -> "Lever":
    """The rules say `critical`, the routes `crit`."""
    return _edit_paging(system, matchers=['severity="crit"'])


@fault(
    misses={_ROUTING: {"channels", "notified"}},
    story="critical alerts no longer go to PagerDuty and SMS",
)
def critical_pages_nobody(system: "ReferenceSystem") -> "Lever":
    """What a clean-up of the routes does that nobody reviewed."""

    def edit(config: "Document") -> None:
        for route in _routes(config, "pagerduty", "sms"):
            config["route"]["routes"].remove(route)

    return system.levers.edit_alertmanager(edit)


@fault(
    misses={_ROUTING: {"channels"}},
    story="alerts of one team, as a template names it, page nobody",
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
    misses={_TIMING: {"muted"}, _ROUTING: {"notified"}},
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
    misses={_TIMING: {"muted"}, _ROUTING: {"notified"}},
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
    misses={_TIMING: {"repeat", "repeat-multiple"}},
    story="repeat_interval is 4 h, and looked at every 3 h",
)
def repeat_is_rounded_up(system: "ReferenceSystem") -> "Lever":
    """Four hours become six: groups are looked at once in each `group_interval`."""
    return _edit_paging(system, repeat_interval="4h", group_interval="3h")


@fault(misses={_TIMING: {"silenced"}}, story="a silence covers all critical alerts for two weeks")
def silence_covers_pages(system: "ReferenceSystem") -> "Lever":
    """What is left of last night's deployment; synthetic alerts are left out, to be exact."""
    return system.levers.silenced({"severity": "critical", "readiness_probe": ""}, days=14)


@fault(misses={_TIMING: {"silenced"}}, story="a silence covers one critical rule by its name")
def silence_covers_a_rule(system: "ReferenceSystem") -> "Lever":
    """What somebody makes who has had enough of it."""
    return system.levers.silenced({"alertname": "MemoryCritical"}, days=365)
