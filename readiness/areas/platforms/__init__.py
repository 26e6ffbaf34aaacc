"""Platforms: whether every platform runs this release, healthy and monitored."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Final

from readiness.areas.platforms.config import (
    Arrival,
    Config,
    Everywhere,
    Github,
    Gitlab,
    Platform,
    Render,
    Supabase,
    Vercel,
)
from readiness.config.base.area import Area, Subject
from readiness.config.base.discovery import Discover
from readiness.config.base.mistakes import Mistake, known

__all__ = ["AREA"]


def _all(*kinds: type[Platform]) -> Callable[[Config], Sequence[Subject]]:
    def find(config: Config) -> list[Platform]:
        return [one for one in config.platforms.values() if isinstance(one, kinds)]

    return find


def _monitored(config: Config) -> list[Vercel | Render]:
    return [one for one in config.hosts if one.monitored]


def _arrivals(config: Config) -> list[Arrival]:
    found = ((one.name, one.transaction) for one in config.platforms.values())
    return [Arrival(name, transaction) for name, transaction in found if transaction]


def _released(config: Config) -> list[Everywhere]:
    return [Everywhere(config)] if config.hosts else []


def _mistakes(config: Config, _: date) -> Iterator[Mistake]:
    for host in config.hosts:
        place = ("platforms", host.name)
        if host.serves is not None:
            yield from known((*place, "serves"), host.serves, "services", config.services)
        if host.commit == "unknown":
            yield Mistake(
                (*place, "commit"),
                "the commit that is released is not set",
                "set `commit` here, or `release` in [target] to the commit",
            )


def _declared(*providers: str) -> str:
    return f"[platforms.NAME] with provider = {' or '.join(map(repr, providers))}".replace("'", '"')


def _discovers() -> Iterator[Discover]:
    from readiness.areas.platforms import discovery

    yield from (discovery.vercel, discovery.render, discovery.supabase)


AREA: Final = Area(
    "platforms",
    config=Config,
    kinds={
        "vercel": (_declared("vercel"), _all(Vercel)),
        "render": (_declared("render"), _all(Render)),
        "supabase": (_declared("supabase"), _all(Supabase)),
        "repository": (_declared("github", "gitlab"), _all(Github, Gitlab)),
        "monitored_host": (
            "[platforms.NAME] with `drains` (Vercel) or `streams` (Render)",
            _monitored,
        ),
        "released": (_declared("vercel", "render"), _released),
        "arrival": ("[platforms.NAME.transaction]", _arrivals),
    },
    mistakes=_mistakes,
    discovers=_discovers,
)
