"""Security: what a site shows and allows from outside, and what is known of its dependencies."""

import shlex
from collections.abc import Iterator
from functools import partial
from typing import Final

from readiness.areas.security.config import HEADER_PATTERN, Config, Site
from readiness.config.base.area import Area, Drills, Look, of
from readiness.config.base.discovery import Discover

__all__ = ["AREA"]


def _looks(config: Config) -> Iterator[tuple[str, Look]]:
    for site in config.security.sites.values():
        yield f"site {site.name}", partial(_presents, site)


def _presents(site: Site) -> str:
    from readiness.areas.security.probes import tls

    found = tls.certificate(site)
    return f"{site.url} presents a certificate for {', '.join(found.names) or 'no name'}"


def _identity(config: Config) -> object:
    """Where requests are sent that load the site or must be refused."""
    return {site.name: site.url for site in config.security.sites.values()} or None


def _discovers() -> Iterator[Discover]:
    from readiness.areas.security import discovery

    yield discovery.site


def _commands(config: Config) -> Iterator[str]:
    for site in config.security.sites.values():
        drill = site.cache_drill
        if drill:
            yield f"{drill.cache} of {site.name} is taken away, and restored. The commands:"
            yield from map(shlex.join, (drill.away, drill.back))


AREA: Final = Area(
    "security",
    config=Config,
    kinds={
        "site": ("[security.sites.NAME]", lambda config: of(config.security.sites)),
        "audit": ("[security.dependencies.NAME]", lambda config: of(config.security.dependencies)),
    },
    patterns={HEADER_PATTERN: "the name of a header, as X-Cron-Secret"},
    looks=_looks,
    drills=Drills(identity=_identity, commands=_commands, recover=lambda _: False),
    discovers=_discovers,
)
