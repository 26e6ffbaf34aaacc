"""What must turn the checks of Alertmanager's configuration red: edits of it, each taken back.

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

_INTEGRATED: Final = {"alerting.receivers-integrated[alertmanager]"}
_CHANNELS: Final = {"alerting.severity-channels[critical]"}
_LATENCY: Final = {"alerting.latency-budget[critical]"}
_MUTED: Final = {"alerting.never-muted[critical]"}
_REPEAT: Final = {"alerting.repeat-interval[critical]"}
_SHADOW: Final = {"alerting.shadow-replay[critical]"}
_INHIBITION: Final = {"alerting.inhibition-rules[alertmanager]"}
_DAY: Final = [{"times": [{"start_time": "00:00", "end_time": "24:00"}]}]
Document = dict[str, Any]


def _routes(config: Document, receiver: str) -> list[Document]:
    """The routes that lead to a receiver, the probe's own excepted."""
    return [route for route in config["route"]["routes"] if route["receiver"] == receiver]


def _receiver(config: Document, name: str) -> Document:
    return next(found for found in config["receivers"] if found["name"] == name)


def _paging(config: Document) -> list[Document]:
    return _routes(config, "pagerduty") + _routes(config, "sms")


@fault(
    turns_red=_INTEGRATED, story="the receiver `email`, where all alerts end, has no integration"
)
@contextmanager
def receiver_tells_nobody(system: "ReferenceSystem") -> Iterator[None]:
    """What a template leaves behind that was never filled in."""

    def edit(config: Document) -> None:
        del _receiver(config, "email")["email_configs"]

    with system.levers.edit_alertmanager(edit):
        yield


@fault(
    turns_red=_INTEGRATED | _CHANNELS | _SHADOW, story="PagerDuty's and SMS's receivers are empty"
)
@contextmanager
def paging_receivers_are_empty(system: "ReferenceSystem") -> Iterator[None]:
    """What is left when the credentials were to be filled in later."""

    def edit(config: Document) -> None:
        del _receiver(config, "pagerduty")["pagerduty_configs"]
        del _receiver(config, "sms")["webhook_configs"]

    with system.levers.edit_alertmanager(edit):
        yield


@fault(turns_red=_CHANNELS | _SHADOW, story='the pages\' matchers say severity="crit"')
@contextmanager
def matcher_has_a_typo(system: "ReferenceSystem") -> Iterator[None]:
    """The rules say `critical`, the routes `crit`."""

    def edit(config: Document) -> None:
        for route in _paging(config):
            route["matchers"] = ['severity="crit"']

    with system.levers.edit_alertmanager(edit):
        yield


@fault(turns_red=_CHANNELS | _SHADOW, story="critical alerts no longer go to PagerDuty and SMS")
@contextmanager
def critical_pages_nobody(system: "ReferenceSystem") -> Iterator[None]:
    """What a clean-up of the routes does that nobody reviewed."""

    def edit(config: Document) -> None:
        for route in _paging(config):
            config["route"]["routes"].remove(route)

    with system.levers.edit_alertmanager(edit):
        yield


@fault(turns_red=_CHANNELS, story="alerts of one team, as a template names it, page nobody")
@contextmanager
def one_team_is_routed_away(system: "ReferenceSystem") -> Iterator[None]:
    """The label's value is only known when it fires: paper sees each one that a route asks for."""

    def routes(config: Document) -> None:
        config["route"]["routes"].insert(2, {"matchers": ['team="retired"'], "receiver": "email"})

    def rules(document: Document) -> None:
        # Of those whose series can have such a label; the others are sums.
        for rule in document["groups"][0]["rules"][:2]:
            rule["labels"]["team"] = "{{ $labels.team }}"

    with system.levers.edit_alertmanager(routes), system.levers.edit_rules(rules):
        yield


@fault(turns_red=_LATENCY | _SHADOW, story="nobody sets group_wait: it is 30 s")
@contextmanager
def group_wait_is_the_default(system: "ReferenceSystem") -> Iterator[None]:
    """What Alertmanager waits if it is not told otherwise; warnings have the time."""

    def edit(config: Document) -> None:
        del config["route"]["group_wait"]
        for route in _routes(config, "watchdog"):
            route["group_wait"] = "1s"

    with system.levers.edit_alertmanager(edit):
        yield


@fault(turns_red=_LATENCY, story="the second peer of the cluster waits 40 s for the first one")
@contextmanager
def second_peer_is_late(system: "ReferenceSystem") -> Iterator[None]:
    """What no peer shows alone: only an alert that the first one never got is late."""

    def edit(text: str) -> str:
        return re.sub(r"(?m)^peer_timeout_s = .*$", "peer_timeout_s = 40", text)

    with system.levers.edit_config(edit):
        yield


@fault(turns_red=_MUTED | _SHADOW, story="a time interval holds the pages back, always")
@contextmanager
def pages_are_muted_always(system: "ReferenceSystem") -> Iterator[None]:
    """What was meant for one night, and stayed."""
    with _muted(system, _DAY):
        yield


@fault(turns_red=_MUTED, story="a time interval holds the pages back, one day of next month")
@contextmanager
def pages_are_muted_next_month(system: "ReferenceSystem") -> Iterator[None]:
    """Nothing that happens today shows it."""
    then = datetime.now(UTC) + timedelta(days=40)
    date = {"months": [str(then.month)], "days_of_month": [str(then.day)], "location": "Asia/Tokyo"}
    with _muted(system, [{**_DAY[0], **date}]):
        yield


@contextmanager
def _muted(system: "ReferenceSystem", intervals: list[Document]) -> Iterator[None]:
    def edit(config: Document) -> None:
        config["mute_time_intervals"] = [{"name": "maintenance", "time_intervals": intervals}]
        for route in _paging(config):
            route["mute_time_intervals"] = ["maintenance"]

    with system.levers.edit_alertmanager(edit):
        yield


@fault(turns_red=_MUTED | _SHADOW, story="the pages go out in one minute of the year alone")
@contextmanager
def pages_are_active_once(system: "ReferenceSystem") -> Iterator[None]:
    """What `active_time_intervals` does that was meant to mute."""
    then = datetime.now(UTC) + timedelta(days=180)
    minute = {
        "times": [{"start_time": "12:00", "end_time": "12:01"}],
        "months": [str(then.month)],
        "days_of_month": ["1"],
    }

    def edit(config: Document) -> None:
        config["time_intervals"] = [{"name": "office", "time_intervals": [minute]}]
        for route in _paging(config):
            route["active_time_intervals"] = ["office"]

    with system.levers.edit_alertmanager(edit):
        yield


@fault(turns_red=_REPEAT, story="a critical alert that lasts is told again after a week")
@contextmanager
def repeat_takes_a_week(system: "ReferenceSystem") -> Iterator[None]:
    """What makes a channel quiet, and a forgotten page permanent."""

    def edit(config: Document) -> None:
        for route in _paging(config):
            route["repeat_interval"] = "7d"

    with system.levers.edit_alertmanager(edit):
        yield


@fault(turns_red=_REPEAT, story="repeat_interval is 4 h, and looked at every 3 h")
@contextmanager
def repeat_is_rounded_up(system: "ReferenceSystem") -> Iterator[None]:
    """Four hours become six: groups are looked at once in each `group_interval`."""

    def edit(config: Document) -> None:
        for route in _paging(config):
            route.update(repeat_interval="4h", group_interval="3h")

    with system.levers.edit_alertmanager(edit):
        yield


@fault(turns_red=_INHIBITION, story="the inhibition rule's `equal` is empty")
@contextmanager
def inhibition_is_for_all(system: "ReferenceSystem") -> Iterator[None]:
    """One critical alert holds every warning back; those who hear of it hear enough (pages)."""

    def edit(config: Document) -> None:
        config["inhibit_rules"][0]["equal"] = []

    with system.levers.edit_alertmanager(edit):
        yield


@fault(turns_red=_INHIBITION, story="an inhibition rule holds the dead man's alert back")
@contextmanager
def watchdog_is_inhibited(system: "ReferenceSystem") -> Iterator[None]:
    """While anything is critical, it is as if the whole alerting were dead."""
    rule = _rule('alertname="ServiceDown"', 'severity!~"critical|warning"')
    with _inhibits(system, rule):
        yield


@fault(turns_red=_SHADOW, story="a warning holds critical alerts back")
@contextmanager
def warning_inhibits_pages(system: "ReferenceSystem") -> Iterator[None]:
    """Routes and matchers are all well: only together with the live rules it shows."""
    with _inhibits(system, _rule('alertname="SlowQueries"', 'severity="critical"')):
        yield


@fault(
    turns_red=_SHADOW
    | {"alerting.rule-delivery[ReadinessCanary]", "alerting.false-all-clear[ReadinessCanary]"},
    story="the canary of the monitoring holds critical alerts back",
)
@contextmanager
def canary_inhibits_pages(system: "ReferenceSystem") -> Iterator[None]:
    """A test of the alerting switches it off while it lasts: the canary is refused, too."""
    with _inhibits(system, _rule('alertname="ReadinessCanary"', 'severity="critical"')):
        yield


def _rule(source: str, target: str) -> Document:
    # Neither alert has such a label: that counts as equal. Synthetic alerts have to arrive.
    target_matchers = [target, 'readiness_probe=""']
    return {"source_matchers": [source], "target_matchers": target_matchers, "equal": ["cluster"]}


@contextmanager
def _inhibits(system: "ReferenceSystem", rule: Document) -> Iterator[None]:
    def edit(config: Document) -> None:
        config["inhibit_rules"].append(rule)

    with system.levers.edit_alertmanager(edit):
        yield
