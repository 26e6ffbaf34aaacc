"""The kinds of subject that [alertmanager] and [alerting] declare."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from readiness.areas.alerting.config import Alerting, Channel, Config
from readiness.config.base.subject import Find, Item, Subject, of

_ENGINE: Final = "engine"


def probed_channels(config: Config) -> list[Channel]:
    """Those that can be read and that Alertmanager's synthetic alerts are led to.

    None goes to the dead man's, nor to those that only an engine of the target's own tells.
    """
    alerting = _alerting(config)
    dead_man = alerting.dead_man
    apart = alerting.engine_only | ({dead_man.channel, dead_man.calls} if dead_man else set())
    return [c for c in alerting.channels.values() if c.inbox and c.name not in apart]


def _alerting(config: Config) -> Alerting:
    return config.alerting or Alerting()


def _names(names: Callable[[Alerting], Iterable[str]]) -> Find:
    """Subjects that have no table of their own but names."""

    def find(config: Config) -> list[Subject]:
        return [Item(name) for name in dict.fromkeys(names(_alerting(config)))]

    return find


# kind -> (where it is declared, as the report tells a user, and how to find it)
KINDS: Final[Mapping[str, tuple[str, Find]]] = {
    "alerted_database": (
        "[databases.NAME.slow_alert]",
        lambda c: [d for d in c.databases.values() if d.slow_alert],
    ),
    "alertmanager": ("[alertmanager]", lambda c: [c.alertmanager] if c.alertmanager else []),
    "stoppable_peer": (
        "[alertmanager] stop_peer",
        lambda c: [Item("first-peer")] if c.alertmanager and c.alertmanager.stop_peer else [],
    ),
    "alert_severity": ("[alerting.severities.NAME]", lambda c: of(_alerting(c).severities)),
    "unmuted_severity": (
        "[alerting.severities.NAME] without may_be_muted",
        lambda c: [s for s in of(_alerting(c).severities) if not s.may_be_muted],
    ),
    "alert_rule": ("[alerting.rules.NAME]", lambda c: of(_alerting(c).rules)),
    "probed_channel": ("[alerting.channels.NAME] inbox", probed_channels),
    "resolving_channel": (
        "[alerting.channels.NAME] inbox",
        lambda c: [channel for channel in probed_channels(c) if channel.resolves],
    ),
    "synthetic_probe": (
        "[alerting.probe]",
        _names(lambda a: [a.probe.receiver] if a.probe else []),
    ),
    "delivery_drill": (
        "[alerting.probe.drill]",
        _names(lambda a: [a.probe.drill.receiver] if a.probe and a.probe.drill else []),
    ),
    "canary": ("[alerting.canary]", _names(lambda a: [a.canary.alert] if a.canary else [])),
    "mortal_canary": (
        "[alerting.canary] stop_source",
        _names(lambda a: [a.canary.alert] if a.canary and a.canary.stop_source else []),
    ),
    "dead_man": ("[alerting.dead_man]", _names(lambda a: [a.dead_man.alert] if a.dead_man else [])),
    "calling_dead_man": (
        "[alerting.dead_man] stop",
        _names(lambda a: [a.dead_man.alert] if a.dead_man and a.dead_man.stop else []),
    ),
    "engine_channel": (
        "[alerting.engine] channels",
        _names(lambda a: a.engine.channels if a.engine else []),
    ),
    "engine_history": (
        "[alerting.engine.history]",
        _names(lambda a: [_ENGINE] if a.engine and a.engine.history else []),
    ),
    "engine_statistics": (
        "[alerting.engine.statistics]",
        _names(lambda a: [_ENGINE] if a.engine and a.engine.statistics else []),
    ),
    "engine_escalation": (
        "[alerting.engine.escalation]",
        _names(lambda a: [a.engine.escalation.second] if a.engine and a.engine.escalation else []),
    ),
}
