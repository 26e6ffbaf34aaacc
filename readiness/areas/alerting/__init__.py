"""Alerting: whether the right people are notified of every problem, in time."""

from collections.abc import Iterator
from datetime import date
from itertools import chain
from typing import Final

from readiness.areas.alerting.config import (
    KINDS,
    LABEL_PATTERN,
    LISTEN_PATTERN,
    Alerting,
    Config,
    Database,
)
from readiness.config.base.area import Area
from readiness.config.base.mistakes import Mistake, Path, known, twice

__all__ = ["AREA"]


def _mistakes(config: Config, _: date) -> Iterator[Mistake]:
    channels = config.alerting.channels if config.alerting else {}
    named: dict[Path, str] = {}  # these channels must exist
    read: dict[Path, str] = {}  # these must also have an inbox
    for key, database in config.databases.items():
        if alert := database.slow_alert:
            read["databases", key, "slow_alert", "channel"] = alert.channel
    if alerting := config.alerting:
        for key, policy in alerting.severities.items():
            path = ("alerting", "severities", key, "channels")
            for name in chain.from_iterable(policy.channels):
                yield from known(path, name, "alerting.channels", channels)
        named |= _named(alerting)
        if engine := alerting.engine:
            place = ("alerting", "engine", "channels")
            read |= {(*place, number): name for number, name in enumerate(engine.channels)}
            if engine.escalation:
                read["alerting", "engine", "escalation", "second"] = engine.escalation.second
            yield from twice(place, "", engine.channels)
    for where, name in {**named, **read}.items():
        yield from known(where, name, "alerting.channels", channels)
        if where in read and name in channels and channels[name].inbox is None:
            yield Mistake(
                where,
                f"[alerting.channels.{name}] has no inbox: its messages cannot be read",
                f"declare [alerting.channels.{name}.inbox]",
            )


def _named(alerting: Alerting) -> dict[Path, str]:
    found: dict[Path, str] = {}
    if alerting.dead_man:
        found["alerting", "dead_man", "channel"] = alerting.dead_man.channel
        if alerting.dead_man.calls:
            found["alerting", "dead_man", "calls"] = alerting.dead_man.calls
    if alerting.probe and alerting.probe.drill:
        found["alerting", "probe", "drill", "beside"] = alerting.probe.drill.beside
    return found


AREA: Final = Area(
    "alerting",
    config=Config,
    extends=(Database,),
    kinds=KINDS,
    mistakes=_mistakes,
    patterns={
        LABEL_PATTERN: "the name of a label: letters, digits and '_'",
        LISTEN_PATTERN: "an address to listen on, as 127.0.0.1:9469",
    },
)
