"""Alerting: whether the right people are notified of every problem, in time."""

from collections.abc import Iterator
from datetime import date
from functools import partial
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
from readiness.config.base.area import Area, Look
from readiness.config.base.discovery import Discover
from readiness.config.base.mistakes import Mistake, Path, known, twice
from readiness.config.base.watching import Alertmanager

__all__ = ["AREA"]


def _mistakes(config: Config, _: date) -> Iterator[Mistake]:
    alerting = config.alerting or Alerting()
    channels = alerting.channels
    for key, policy in alerting.severities.items():
        path = ("alerting", "severities", key, "channels")
        for name in chain.from_iterable(policy.channels):
            yield from known(path, name, "alerting.channels", channels)
    read = _read(config)
    for place, name in {**_named(alerting), **read}.items():
        yield from known(place, name, "alerting.channels", channels)
        if place in read and name in channels and channels[name].inbox is None:
            yield Mistake(
                place,
                f"[alerting.channels.{name}] has no inbox: its messages cannot be read",
                f"declare [alerting.channels.{name}.inbox]",
            )
    if alerting.engine:
        yield from twice(("alerting", "engine", "channels"), "", alerting.engine.channels)


def _named(alerting: Alerting) -> dict[Path, str]:
    """The channels that must exist, by where they are named."""
    found: dict[Path, str] = {}
    if alerting.dead_man:
        found["alerting", "dead_man", "channel"] = alerting.dead_man.channel
        if alerting.dead_man.calls:
            found["alerting", "dead_man", "calls"] = alerting.dead_man.calls
    if alerting.probe and alerting.probe.drill:
        found["alerting", "probe", "drill", "beside"] = alerting.probe.drill.beside
    return found


def _read(config: Config) -> dict[Path, str]:
    """The channels that must also have an inbox, by where they are named."""
    found: dict[Path, str] = {}
    if config.alerting and (engine := config.alerting.engine):
        for number, name in enumerate(engine.channels):
            found["alerting", "engine", "channels", number] = name
        if engine.escalation:
            found["alerting", "engine", "escalation", "second"] = engine.escalation.second
    for key, database in config.databases.items():
        if database.slow_alert:
            found["databases", key, "slow_alert", "channel"] = database.slow_alert.channel
    return found


def _looks(config: Config) -> Iterator[tuple[str, Look]]:
    from readiness.areas.alerting.probes import rule_trial
    from readiness.servers import programs

    if config.prometheus and config.alerting and config.alerting.rules:
        yield "promtool (alert rules)", rule_trial.find
    if config.alertmanager:
        for url in config.alertmanager.urls:
            yield "Alertmanager", partial(_peer, url, config.alertmanager)
    if config.alertmanager and config.alerting and config.alerting.severities:
        yield "alertmanager (routing)", partial(programs.find, programs.ALERTMANAGER)


def _peer(url: str, settings: Alertmanager) -> str:
    """Whether it answers, and whether its configuration is understood."""
    from readiness.areas.alerting import alertmanager_config
    from readiness.lib import alertmanager, clocks

    with alertmanager.Peer(url, settings) as peer:
        status = peer.status()
        clocks.agree_within(peer.clock_offset_s()[0], url)
    receivers = len(alertmanager_config.parse(status.config).receivers)
    return f"{url}, Alertmanager {status.version}, {receivers} receivers"


def _discovers() -> Iterator[Discover]:
    from readiness.areas.alerting import discovery

    yield from (discovery.alertmanagers, discovery.channels, discovery.rules)


AREA: Final = Area(
    "alerting",
    config=Config,
    extends=(Database,),
    kinds=KINDS,
    implied_by=("prometheus",),
    mistakes=_mistakes,
    looks=_looks,
    patterns={
        LABEL_PATTERN: "the name of a label: letters, digits and '_'",
        LISTEN_PATTERN: "an address to listen on, as 127.0.0.1:9469",
    },
    discovers=_discovers,
)
