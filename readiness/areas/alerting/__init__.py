"""Alerting: whether people are notified of what they must know, in time, and of nothing else."""

from collections.abc import Iterator, Mapping
from datetime import date
from itertools import chain
from typing import Final

from readiness.areas.alerting.config import (
    LABEL_PATTERN,
    LISTEN_PATTERN,
    AlertEngine,
    Alerting,
    Channel,
    Config,
    Database,
)
from readiness.areas.alerting.subjects import KINDS
from readiness.config.base.area import Area
from readiness.config.base.mistakes import Mistake, Path, known, twice

__all__ = ["AREA"]


def _mistakes(config: Config, _: date) -> Iterator[Mistake]:
    if config.alerting:
        yield from _channels(config.alerting)
    yield from _slow_alerts(config)


def _slow_alerts(config: Config) -> Iterator[Mistake]:
    """The channel of a slow statement's alert must exist, with an inbox."""
    channels = config.alerting.channels if config.alerting else {}
    for key, database in config.databases.items():
        if alert := database.slow_alert:
            path = ("databases", key, "slow_alert", "channel")
            yield from known(path, alert.channel, "alerting.channels", channels)
            if alert.channel in channels:
                yield from _unreadable(path, alert.channel, channels)


def _unreadable(path: Path, name: str, channels: Mapping[str, Channel]) -> Iterator[Mistake]:
    if channels[name].inbox is None:
        yield Mistake(
            path,
            f"[alerting.channels.{name}] has no inbox: what arrived cannot be read",
            f"declare [alerting.channels.{name}.inbox]",
        )


def _channels(alerting: Alerting) -> Iterator[Mistake]:
    for key, policy in alerting.severities.items():
        path = ("alerting", "severities", key, "channels")
        for name in chain.from_iterable(policy.channels):
            yield from known(path, name, "alerting.channels", alerting.channels)
    found: dict[Path, str] = {}
    if alerting.dead_man:
        found["alerting", "dead_man", "channel"] = alerting.dead_man.channel
        if alerting.dead_man.calls:
            found["alerting", "dead_man", "calls"] = alerting.dead_man.calls
    if alerting.probe and alerting.probe.drill:
        found["alerting", "probe", "drill", "beside"] = alerting.probe.drill.beside
    for place, name in found.items():
        yield from known(place, name, "alerting.channels", alerting.channels)
    if alerting.engine:
        yield from _engine(alerting.engine, alerting.channels)


def _engine(engine: AlertEngine, channels: Mapping[str, Channel]) -> Iterator[Mistake]:
    """Its channels must exist, with an inbox: nothing else is known of them."""
    place: Path = ("alerting", "engine")
    names = [((*place, "channels", number), name) for number, name in enumerate(engine.channels)]
    if engine.escalation:
        names.append(((*place, "escalation", "second"), engine.escalation.second))
    for path, name in names:
        yield from known(path, name, "alerting.channels", channels)
        if name in channels:
            yield from _unreadable(path, name, channels)
    yield from twice((*place, "channels"), "", engine.channels)


AREA: Final = Area(
    "alerting",
    config=Config,
    extends=(Database,),
    kinds=KINDS,
    implied_by=("prometheus",),
    mistakes=_mistakes,
    patterns={
        LABEL_PATTERN: "the name of a label: letters, digits and '_'",
        LISTEN_PATTERN: "an address to listen on, as 127.0.0.1:9469",
    },
)
