"""The kinds of subject that [alertmanager] and [alerting] declare."""

from collections.abc import Mapping
from typing import Final

from readiness.areas.alerting.config import Alerting, Channel, Config
from readiness.config.base.area import Find, of


def probed_channels(config: Config) -> list[Channel]:
    """The channels whose inbox can be read and that Alertmanager's synthetic alerts go to."""
    return [channel for channel in _channels(config) if channel.inbox]


def _channels(config: Config) -> list[Channel]:
    """Without those of the dead man's switch and those that only the target's engine notifies."""
    alerting = _alerting(config)
    dead_man = alerting.dead_man
    apart = alerting.engine_only | ({dead_man.channel, dead_man.calls} if dead_man else set())
    return [channel for channel in alerting.channels.values() if channel.name not in apart]


def _alerting(config: Config) -> Alerting:
    return config.alerting or Alerting()


# kind -> (where it is declared, as the report tells a user, and how to find it)
KINDS: Final[Mapping[str, tuple[str, Find]]] = {
    "alerted_database": (
        "[databases.NAME.slow_alert]",
        lambda c: [d for d in c.databases.values() if d.slow_alert],
    ),
    "alertmanager": ("[alertmanager]", lambda c: [c.alertmanager] if c.alertmanager else []),
    "alert_severity": ("[alerting.severities.NAME]", lambda c: of(_alerting(c).severities)),
    "alert_rule": ("[alerting.rules.NAME]", lambda c: of(_alerting(c).rules)),
    "channel": ("[alerting.channels.NAME]", _channels),
    "synthetic_probe": ("[alerting.probe]", lambda c: [p] if (p := _alerting(c).probe) else []),
    "canary": ("[alerting.canary]", lambda c: [found] if (found := _alerting(c).canary) else []),
    "dead_man": ("[alerting.dead_man]", lambda c: [d] if (d := _alerting(c).dead_man) else []),
    "alert_engine": ("[alerting.engine]", lambda c: [e] if (e := _alerting(c).engine) else []),
}
