"""Configuration: environments, secrets, what runs against what is declared, and the CI."""

from collections.abc import Iterator
from datetime import date
from typing import Final

from readiness.areas.configuration.config import REPOSITORY, VARIABLE, WORKLOAD, App, Ci, Config
from readiness.config.base.area import Area, of
from readiness.config.base.discovery import Discover
from readiness.config.base.mistakes import Mistake

__all__ = ["AREA"]


def _applications(config: Config) -> list[App]:
    return of(config.configuration.applications if config.configuration else {})


def _ci(config: Config) -> list[Ci]:
    return [config.configuration.ci] if config.configuration and config.configuration.ci else []


def _mistakes(config: Config, _: date) -> Iterator[Mistake]:
    for ci in _ci(config):
        if ci.commit == "unknown":
            yield Mistake(
                ("configuration", "ci", "commit"),
                "the commit that is released is not set",
                "set `commit` here, or `release` in [target] to the commit",
            )


def _discovers() -> Iterator[Discover]:
    from readiness.areas.configuration import discovery

    yield from (discovery.application, discovery.ci)


AREA: Final = Area(
    "configuration",
    config=Config,
    kinds={
        "application": ("[configuration.applications.NAME]", _applications),
        "ci": ("[configuration.ci]", _ci),
    },
    mistakes=_mistakes,
    patterns={
        VARIABLE: "the name of a variable",
        WORKLOAD: "a kind and a name, as deployment/shop",
        REPOSITORY: "owner/name",
    },
    discovers=_discovers,
)
