"""Faults of delivery: Alertmanager itself calls most of them a success."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from readiness.model.fault import fault

if TYPE_CHECKING:
    from readiness.reference.system import ReferenceSystem
    from readiness.servers.files import Document
    from readiness.servers.levers import Lever

_CHANNELS: Final = ("email", "pagerduty", "slack", "sms")
_RULE: Final = "alerting.rule-delivery[ReadinessCanary]"
_SILENCE: Final = "alerting.silence-round-trip[readiness-probe]"
_FAILOVER: Final = "alerting.failover[alertmanager]"
_RETRIES: Final = "alerting.delivery-retries[readiness-probe]"
_STORM: Final = "alerting.storm[readiness-probe]"
_DEAD_MAN: Final = "alerting.dead-man[Watchdog]"
_DEAD_MAN_CALLS: Final = "alerting.dead-man-calls[Watchdog]"
_ALL_CLEAR: Final = "alerting.false-all-clear[ReadinessCanary]"
_SLOW: Final = "alerting.slow-query-alert[shop]"
_ENGINE: Final = "alerting.engine[engine]"
_DRILL, _PROBE = 0, 1
"""The first two routes."""


def _delivery(*keys: str, channels: tuple[str, ...] = _CHANNELS) -> dict[str, set[str]]:
    return {f"alerting.delivery[{channel}]": set(keys) for channel in channels}


_SLACK: Final = ("slack",)


def _receiver(document: "Document", name: str) -> "Document":
    found: Document = next(r for r in document["receivers"] if r["name"] == name)
    return found


def _route(system: "ReferenceSystem", index: int, **settings: object) -> "Lever":
    return system.levers.edit_alertmanager(
        lambda document: document["route"]["routes"][index].update(settings)
    )


def _slack(document: "Document") -> "Document":
    found: Document = _receiver(document, "readiness-probe")["slack_configs"][0]
    return found


@fault(
    misses=_delivery("arrived", channels=("email",))
    | {_RULE: {"arrived"}, _FAILOVER: {"arrived"}, _RETRIES: {"hanging-channel"}, _SILENCE: set()},
    story="the mail server answers 250 to every mail, and drops it",
)
def mail_is_dropped(system: "ReferenceSystem") -> "Lever":
    """Alertmanager counts a success."""
    return system.levers.inbox_fault("email", loses=True)


@fault(
    misses=_delivery("arrived")
    | {_RULE: {"arrived"}, _FAILOVER: {"arrived"}, _SILENCE: set(), _ALL_CLEAR: set()},
    story="a time interval mutes the route of synthetic alerts all week long",
)
def probe_route_is_muted(system: "ReferenceSystem") -> "Lever":
    """The alert is `active`, no failure is counted, and nobody is notified."""

    def mute(document: "Document") -> None:
        document["time_intervals"] = [{"name": "always", "time_intervals": [{}]}]
        document["route"]["routes"][_PROBE]["mute_time_intervals"] = ["always"]

    return system.levers.edit_alertmanager(mute)


@fault(misses=_delivery("in-time"), story="the route waits seven seconds for more alerts")
def group_wait_exceeds_the_budget(system: "ReferenceSystem") -> "Lever":
    """As the default group_wait of 30 s does with a budget of 30 s."""
    return _route(system, _PROBE, group_wait="7s")


@fault(
    misses=_delivery("resolved", channels=_SLACK), story="Slack is not notified when an alert ends"
)
def slack_gets_no_end(system: "ReferenceSystem") -> "Lever":
    """The default for Slack and email."""
    return system.levers.edit_alertmanager(
        lambda document: _slack(document).update(send_resolved=False)
    )


@fault(
    misses=_delivery("resolved-in-time", channels=_SLACK),
    story="Slack shows the end of an alert more than seven seconds late",
)
def slack_shows_the_end_late(system: "ReferenceSystem") -> "Lever":
    """Longer than group_interval and the budget together."""
    return system.levers.inbox_fault("slack", end_delay_ms=7_400)


@fault(
    misses=_delivery("resolved", "nothing-left"),
    story="a proxy in front of Alertmanager drops `endsAt` from every alert",
)
@contextmanager
def ends_are_dropped(system: "ReferenceSystem") -> Iterator[None]:
    """The peers end it by resolve_timeout, a minute later."""
    with ExitStack() as stack:
        for peer in ("alertmanager", "alertmanager_2"):
            url = system.levers.program_url(peer)
            proxy = stack.enter_context(system.levers.gateway(url, drops=["endsAt"]))
            stack.enter_context(system.levers.replace_in_config(f'"{url}"', f'"{proxy}"'))
        yield


@fault(
    misses=_delivery("content", channels=_SLACK),
    story="the template shows an annotation that no alert has",
)
def slack_template_is_empty(system: "ReferenceSystem") -> "Lever":
    """What is left of a template when `message` is renamed to `summary` in the rules."""
    text = "{{ range .Alerts }}{{ .Annotations.message }}{{ end }}"
    return system.levers.edit_alertmanager(lambda document: _slack(document).update(text=text))


@fault(
    misses=_delivery("template", channels=_SLACK), story="a part of the template was escaped twice"
)
def slack_template_is_escaped(system: "ReferenceSystem") -> "Lever":
    """What Helm or Ansible make of a template: its braces arrive as text."""
    more = ' {{ "{{ .CommonLabels.team }}" }}'
    return system.levers.edit_alertmanager(
        lambda document: _slack(document).update(text=_slack(document)["text"] + more)
    )


@fault(
    misses=_delivery("paged", channels=("pagerduty",)),
    story="the address of the real pager answers 404",
)
def real_pager_has_a_wrong_address(system: "ReferenceSystem") -> "Lever":
    """Synthetic alerts have a receiver of their own, and arrive: the next real page is lost."""

    def edit(document: "Document") -> None:
        _receiver(document, "pagerduty")["pagerduty_configs"][0]["url"] = f"{system.inbox_url}/"

    return system.levers.edit_alertmanager(edit)


@fault(misses=_delivery("once", channels=_SLACK), story="the Slack integration is there twice")
def slack_integration_is_duplicate(system: "ReferenceSystem") -> "Lever":
    """What a merge of two branches leaves."""

    def double(document: "Document") -> None:
        _receiver(document, "readiness-probe")["slack_configs"] *= 2

    return system.levers.edit_alertmanager(double)


@fault(misses=_delivery("once"), story="group_interval is shorter than the second peer's timeout")
def second_peer_sends_what_has_ended(system: "ReferenceSystem") -> "Lever":
    """It waits with what it was handed, and finds that its end was sent last."""
    return _route(system, _PROBE, group_interval="300ms")


@fault(
    misses={_RULE: {"handed-over"}, _ALL_CLEAR: set()},
    story="a relabeling drops the alerts of the canary on their way to Alertmanager",
)
def canary_alert_is_dropped(system: "ReferenceSystem") -> "Lever":
    """It fires in Prometheus forever; no counter of drops or errors moves."""
    return _dropped(system, ["readiness_probe"], ".+")


def _dropped(system: "ReferenceSystem", labels: list[str], regex: str) -> "Lever":
    drop = {"source_labels": labels, "regex": regex, "action": "drop"}
    return system.levers.edit_prometheus(
        lambda document: document["alerting"].update(alert_relabel_configs=[drop])
    )


def _canary_rule(system: "ReferenceSystem", expression: str) -> "Lever":
    def edit(document: "Document") -> None:
        rules = (rule for group in document["groups"] for rule in group["rules"])
        next(r for r in rules if r.get("alert") == "ReadinessCanary")["expr"] = expression

    return system.levers.edit_rules(edit)


@fault(
    misses={_RULE: {"fires"}, _ALL_CLEAR: set()}, story="the rule of the canary selects another job"
)
def canary_rule_selects_nothing(system: "ReferenceSystem") -> "Lever":
    """What is left when a job is renamed."""
    return _canary_rule(system, 'readiness_canary{job="old"} > 0')


@fault(misses={_RULE: {"fires"}}, story="the rule of the canary looks at the value of 10 s ago")
def canary_rule_fires_late(system: "ReferenceSystem") -> "Lever":
    """An `offset` that was added against late samples."""
    return _canary_rule(system, 'readiness_canary{job="canary"} offset 10s > 0')


@fault(misses={_SILENCE: set()}, story="the proxy in front of Alertmanager refuses silences")
def silences_are_refused(system: "ReferenceSystem") -> "Lever":
    """Found out at night, by whoever wants to sleep on."""
    return _behind_proxy(system, refuses=["POST /api/v2/silences"])


@fault(
    misses={_SILENCE: {"resumed"}},
    story="the proxy in front of Alertmanager answers 200 to the end of a silence, and ignores it",
)
def silence_outlives_its_end(system: "ReferenceSystem") -> "Lever":
    """The next incident is muted as well."""
    return _behind_proxy(system, ignores=["DELETE /api/v2/silence/"])


@contextmanager
def _behind_proxy(
    system: "ReferenceSystem", *, refuses: list[str] | None = None, ignores: list[str] | None = None
) -> Iterator[None]:
    """Put a proxy that gets something wrong in front of the first peer."""
    url = system.levers.program_url("alertmanager")
    with (
        system.levers.gateway(url, refuses=refuses or [], ignores=ignores or []) as proxy,
        system.levers.replace_in_config(f'urls = ["{url}"', f'urls = ["{proxy}"'),
    ):
        yield


@fault(
    misses={_FAILOVER: {"arrived"}},
    story="the second peer has an old copy of the secret address of Slack",
)
def second_peer_has_an_old_secret(system: "ReferenceSystem") -> "Lever":
    """Both peers run the same configuration; what it refers to differs."""
    return system.levers.stale_secret("alertmanager_2")


@fault(
    misses={_RETRIES: {"error"}}, story="a gateway answers 200 although its provider answered 503"
)
def gateway_swallows_errors(system: "ReferenceSystem") -> "Lever":
    """What a bridge to an SMS provider does that answers before it has sent."""
    return _gateway_to_listener(system, swallows=[503])


@fault(
    misses={_RETRIES: {"rate-limit"}},
    story="the route looks at a group again after five minutes only",
)
def rate_limit_waits_five_minutes(system: "ReferenceSystem") -> "Lever":
    """The default group_interval: a 429 is not retried before."""
    return _route(system, _DRILL, group_interval="5m")


@fault(
    misses={_RETRIES: {"hanging-channel"}}, story="one gateway serves two channels, one at a time"
)
def channels_share_a_gateway(system: "ReferenceSystem") -> "Lever":
    """Two channels in the configuration; when the first one hangs, the second one waits."""
    return _gateway_to_listener(system, also=f"{system.inbox_url}/email")


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


@fault(misses={_STORM: {"complete"}}, story="the webhook gets ten alerts of a group at most")
def storm_is_cut_off(system: "ReferenceSystem") -> "Lever":
    """`max_alerts` leaves the others out."""

    def cut(document: "Document") -> None:
        _receiver(document, "readiness-drill")["webhook_configs"][0]["max_alerts"] = 10

    return system.levers.edit_alertmanager(cut)


@fault(misses={_STORM: {"grouped"}}, story="each alert of a storm is a message of its own")
def storm_is_not_grouped(system: "ReferenceSystem") -> "Lever":
    """Three hundred pages within a second."""
    return _route(system, _DRILL, group_by=["..."])


@fault(
    misses={_ALL_CLEAR: {"target-down"}},
    story="a relabeling drops the alert that a target of the job `canary` is down",
)
def target_down_alert_is_dropped(system: "ReferenceSystem") -> "Lever":
    """The rule is there and fires; nobody gets more than the false "resolved"."""
    return _dropped(system, ["alertname", "job"], "TargetDown;canary")


@fault(
    misses={_ALL_CLEAR: {"recovered"}},
    story="the command that starts the canary's exporter again does not start it",
)
def canary_stays_down(system: "ReferenceSystem") -> "Lever":
    """It ends with 0 all the same."""
    return _never_resumed(system, "canary")


@fault(
    misses={_DEAD_MAN_CALLS: {"recovered"}, _ALL_CLEAR: set(), _SLOW: set()},
    story="the command that starts Prometheus again does not start it",
)
def prometheus_stays_down(system: "ReferenceSystem") -> "Lever":
    """It ends with 0 all the same; the next drill finds no Prometheus."""
    return _never_resumed(system, "prometheus")


@contextmanager
def _never_resumed(system: "ReferenceSystem", program: str) -> Iterator[None]:
    with system.levers.replace_in_config(f'"resume", "{program}"', f'"pause", "{program}"'):
        yield
    with system.levers.pause_program(program):
        pass  # it is resumed at the end of this


@fault(
    misses={_DEAD_MAN: {"beat"}, _DEAD_MAN_CALLS: set()},
    story="the Watchdog is sent once in twelve hours",
)
def watchdog_is_sent_too_rarely(system: "ReferenceSystem") -> "Lever":
    """The usual repeat_interval, for the one alert that must not have it."""

    def slow(document: "Document") -> None:
        route = next(r for r in document["route"]["routes"] if r["receiver"] == "watchdog")
        route["repeat_interval"] = "12h"

    return system.levers.edit_alertmanager(slow)


@fault(
    misses={_DEAD_MAN_CALLS: {"called"}}, story="the dead man's switch is paused, and does not call"
)
def dead_man_switch_is_paused(system: "ReferenceSystem") -> "Lever":
    """Beats arrive, and that they stop is not noticed."""
    return system.levers.inbox_fault("dead-man", loses=True)


@fault(
    misses={_ENGINE: {"arrived"}},
    story="the application's alert engine does not notify its first tier",
)
def first_tier_is_not_notified(system: "ReferenceSystem") -> "Lever":
    """It counts, records and escalates the alert: only the first message is missing."""
    return system.levers.pager_fault(notifies_first=False)


@fault(misses={_ENGINE: {"in-time"}}, story="the chat takes eleven seconds to show a message")
def first_tier_is_notified_late(system: "ReferenceSystem") -> "Lever":
    """One second more than the limit."""
    return system.levers.inbox_fault("chat", delay_ms=11_000)


@fault(
    misses={_ENGINE: {"recorded"}},
    story="the application's alert engine does not write its history",
)
def engine_records_nothing(system: "ReferenceSystem") -> "Lever":
    """People are notified, and a week later nobody knows of what."""
    return system.levers.pager_fault(records=False)


@fault(
    misses={_ENGINE: {"end-recorded"}},
    story="the application's alert engine does not record when an alert ended",
)
def engine_records_no_end(system: "ReferenceSystem") -> "Lever":
    """Every alert seems to fire still."""
    return system.levers.pager_fault(records_ends=False)


@fault(
    misses={_ENGINE: {"counted"}},
    story="the number of alerts of the application's engine does not change",
)
def engine_does_not_count(system: "ReferenceSystem") -> "Lever":
    """As one that is computed once and then cached."""
    return system.levers.pager_fault(counts=False)


@fault(
    misses={_ENGINE: {"escalated"}},
    story="the application's alert engine never notifies the second tier",
)
def engine_never_escalates(system: "ReferenceSystem") -> "Lever":
    """Its timer was lost with the last restart."""
    return system.levers.pager_fault(escalates=False)


@fault(
    misses={_ENGINE: {"acknowledged"}},
    story="the application's alert engine escalates acknowledged alerts",
)
def engine_ignores_acknowledgements(system: "ReferenceSystem") -> "Lever":
    """The acknowledgement is accepted, and the timer runs on."""
    return system.levers.pager_fault(honors_acknowledgements=False)


@fault(
    misses={_ENGINE: {"escalated-early", "acknowledged"}},
    story="the application's alert engine notifies the second tier at once",
)
def engine_escalates_at_once(system: "ReferenceSystem") -> "Lever":
    """Two people are paged for each alert."""
    return system.levers.pager_fault(waits=False)


@fault(
    misses={_ENGINE: {"escalated-late"}},
    story="the application's alert engine escalates after twice the agreed time",
)
def engine_escalates_late(system: "ReferenceSystem") -> "Lever":
    """As a timer that is looked at in another interval."""
    return system.levers.pager_fault(in_time=False)
