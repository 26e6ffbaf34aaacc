"""What must turn the checks of delivery red; Alertmanager itself calls most of it a success."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from readiness.model.fault import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem
    from readiness.servers.files import Document

_CHANNELS: Final = ("email", "pagerduty", "slack", "sms")
_FOLLOWED: Final = ("delivery", "resolution", "payload", "duplicates")
_DRILL, _PROBE = 0, 1
"""The first two routes."""


def _each(check: str, channels: tuple[str, ...] = _CHANNELS) -> set[str]:
    return {f"alerting.{check}[{channel}]" for channel in channels}


def _unheard(*channels: str) -> set[str]:
    """What cannot pass where a channel hears nothing at all."""
    followed = {name for check in _FOLLOWED for name in _each(check, channels)}
    return followed | {
        "alerting.rule-delivery[ReadinessCanary]",
        "alerting.silence-round-trip[readiness-probe]",
        "alerting.failover[first-peer]",
    }


def _receiver(document: "Document", name: str) -> "Document":
    found: Document = next(r for r in document["receivers"] if r["name"] == name)
    return found


@fault(
    turns_red=_unheard("email") | {"alerting.channel-isolation[readiness-drill]"},
    story="the mail server says 250 to every mail, and drops it",
)
@contextmanager
def mail_is_swallowed(system: "ReferenceSystem") -> Iterator[None]:
    """Alertmanager counts a success; so does every mail that somebody's filter deletes."""
    with system.levers.inbox_fault("email", loses=True):
        yield


@fault(turns_red=_unheard(*_CHANNELS), story="a time interval mutes the route all week long")
@contextmanager
def probe_route_is_muted(system: "ReferenceSystem") -> Iterator[None]:
    """The alert is `active`, no failure is counted, and nobody is told."""

    def mute(document: "Document") -> None:
        document["time_intervals"] = [{"name": "always", "time_intervals": [{}]}]
        document["route"]["routes"][_PROBE]["mute_time_intervals"] = ["always"]

    with system.levers.edit_alertmanager(mute):
        yield


@fault(turns_red=_each("delivery"), story="the route waits seven seconds for more alerts")
@contextmanager
def told_too_late(system: "ReferenceSystem") -> Iterator[None]:
    """As the default group_wait of 30 s does with a promise of 30 s."""

    def wait(document: "Document") -> None:
        document["route"]["routes"][_PROBE]["group_wait"] = "7s"

    with system.levers.edit_alertmanager(wait):
        yield


@fault(turns_red=_each("resolution", ("slack",)), story="Slack is not told when an alert ends")
@contextmanager
def slack_is_not_told_the_end(system: "ReferenceSystem") -> Iterator[None]:
    """The default for Slack and email."""

    def never(document: "Document") -> None:
        _receiver(document, "readiness-probe")["slack_configs"][0]["send_resolved"] = False

    with system.levers.edit_alertmanager(never):
        yield


@fault(
    turns_red=_each("payload", ("slack",)),
    story="the template shows an annotation that no alert has",
)
@contextmanager
def slack_says_nothing(system: "ReferenceSystem") -> Iterator[None]:
    """What is left of a template when `message` is renamed to `summary` in the rules."""

    def rename(document: "Document") -> None:
        slack = _receiver(document, "readiness-probe")["slack_configs"][0]
        slack["text"] = "{{ range .Alerts }}{{ .Annotations.message }}{{ end }}"

    with system.levers.edit_alertmanager(rename):
        yield


@fault(turns_red=_each("duplicates", ("slack",)), story="the Slack integration stands twice")
@contextmanager
def slack_is_told_twice(system: "ReferenceSystem") -> Iterator[None]:
    """What a merge of two branches leaves."""

    def double(document: "Document") -> None:
        _receiver(document, "readiness-probe")["slack_configs"] *= 2

    with system.levers.edit_alertmanager(double):
        yield


@fault(
    turns_red=_each("duplicates"),
    story="the group's turn comes sooner than the second peer's",
)
@contextmanager
def second_peer_tells_what_is_over(system: "ReferenceSystem") -> Iterator[None]:
    """It waits with what it was handed, and finds that the last that was told is its end."""

    def hurry(document: "Document") -> None:
        document["route"]["routes"][_PROBE]["group_interval"] = "300ms"

    with system.levers.edit_alertmanager(hurry):
        yield


@fault(
    turns_red={"alerting.rule-delivery[ReadinessCanary]"},
    story="a relabelling of alerts drops those of the canary on their way to Alertmanager",
)
@contextmanager
def alerts_are_relabelled_away(system: "ReferenceSystem") -> Iterator[None]:
    """Fires in Prometheus for ever; no counter of drops or errors moves."""

    def drop(document: "Document") -> None:
        document["alerting"]["alert_relabel_configs"] = [
            {"source_labels": ["readiness_probe"], "regex": ".+", "action": "drop"}
        ]

    with system.levers.edit_prometheus(drop):
        yield


@fault(
    turns_red={"alerting.dead-man[Watchdog]"},
    story="the Watchdog is told once in twelve hours",
)
@contextmanager
def watchdog_beats_too_seldom(system: "ReferenceSystem") -> Iterator[None]:
    """The usual repeat_interval, taken over for the one alert that must not have it."""

    def slow(document: "Document") -> None:
        route = next(r for r in document["route"]["routes"] if r["receiver"] == "watchdog")
        route["repeat_interval"] = "12h"

    with system.levers.edit_alertmanager(slow):
        yield


@fault(
    turns_red={"alerting.silence-round-trip[readiness-probe]"},
    story="the proxy in front of Alertmanager lets nobody make a silence",
)
@contextmanager
def silences_are_refused(system: "ReferenceSystem") -> Iterator[None]:
    """Found out at night, by whoever wants to go on sleeping."""
    url = system.levers.program_url("alertmanager")
    refused = ["POST /api/v2/silences"]
    with (
        system.levers.gateway(url, refuses=refused) as gateway,
        system.levers.replace_in_config(f'urls = ["{url}"', f'urls = ["{gateway}"'),
    ):
        yield


@fault(
    turns_red={"alerting.failover[first-peer]"},
    story="the second peer has an old copy of the secret address of Slack",
)
@contextmanager
def second_peer_has_an_old_secret(system: "ReferenceSystem") -> Iterator[None]:
    """Both peers run the same configuration; what it refers to is not the same."""
    with system.levers.stale_secret("alertmanager_2"):
        yield


@fault(
    turns_red={"alerting.retry-on-error[readiness-drill]"},
    story="a gateway answers 200 although its provider answered 503",
)
@contextmanager
def gateway_swallows_errors(system: "ReferenceSystem") -> Iterator[None]:
    """What a bridge to an SMS provider does that answers before it has sent."""
    with _gateway_to_listener(system, swallows=[503]):
        yield


@fault(
    turns_red={"alerting.retry-on-rate-limit[readiness-drill]"},
    story="the route looks at a group again after five minutes only",
)
@contextmanager
def rate_limit_waits_five_minutes(system: "ReferenceSystem") -> Iterator[None]:
    """The default group_interval: a 429 is not tried again before."""

    def default(document: "Document") -> None:
        document["route"]["routes"][_DRILL]["group_interval"] = "5m"

    with system.levers.edit_alertmanager(default):
        yield


@fault(
    turns_red={"alerting.channel-isolation[readiness-drill]"},
    story="one gateway serves two channels, one after the other",
)
@contextmanager
def channels_share_a_gateway(system: "ReferenceSystem") -> Iterator[None]:
    """Two channels on paper; when the first one hangs, the second one waits."""
    with _gateway_to_listener(system, also=f"{system.inbox_url}/email"):
        yield


@fault(
    turns_red={"alerting.storm[readiness-drill]"},
    story="the webhook is told ten alerts of a group at most",
)
@contextmanager
def storm_is_cut_off(system: "ReferenceSystem") -> Iterator[None]:
    """`max_alerts` leaves the others out."""

    def cut(document: "Document") -> None:
        _receiver(document, "readiness-drill")["webhook_configs"][0]["max_alerts"] = 10

    with system.levers.edit_alertmanager(cut):
        yield


@fault(
    turns_red={"alerting.storm[readiness-drill]"},
    story="each alert of a storm is a message of its own",
)
@contextmanager
def storm_is_not_grouped(system: "ReferenceSystem") -> Iterator[None]:
    """Three hundred pages within a second."""

    def alone(document: "Document") -> None:
        document["route"]["routes"][_DRILL]["group_by"] = ["..."]

    with system.levers.edit_alertmanager(alone):
        yield


@contextmanager
def _gateway_to_listener(
    system: "ReferenceSystem", *, swallows: list[int] | None = None, also: str = ""
) -> Iterator[None]:
    """Put a gateway between Alertmanager and the webhook that ends at the checks."""
    listener = system.levers.drill_listener
    targets = [listener, also] if also else [listener]
    with system.levers.gateway(*targets, swallows=swallows or []) as gateway:

        def lead(document: "Document") -> None:
            receiver = _receiver(document, "readiness-drill")
            receiver["webhook_configs"][0]["url"] = f"{gateway}/"
            if also:
                del receiver["email_configs"]

        with system.levers.edit_alertmanager(lead):
            yield


@fault(
    turns_red={"alerting.false-all-clear[ReadinessCanary]"},
    story="a relabelling of alerts drops those that a target of the job `canary` is down",
)
@contextmanager
def loss_is_relabelled_away(system: "ReferenceSystem") -> Iterator[None]:
    """The rule is there and fires; the all-clear is all that is told."""

    def drop(document: "Document") -> None:
        document["alerting"]["alert_relabel_configs"] = [
            {
                "source_labels": ["alertname", "job"],
                "regex": "TargetDown;canary",
                "action": "drop",
            }
        ]

    with system.levers.edit_prometheus(drop):
        yield


@fault(
    turns_red={"alerting.dead-man-calls[Watchdog]"},
    story="the dead man's switch is paused, and calls nobody",
)
@contextmanager
def dead_man_calls_nobody(system: "ReferenceSystem") -> Iterator[None]:
    """Beats arrive, and their end is noticed by nobody."""
    with system.levers.inbox_fault("dead-man", loses=True):
        yield
