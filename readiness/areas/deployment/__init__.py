"""Deployment: whether a release can be deployed and rolled back without users noticing."""

from collections.abc import Iterator
from datetime import date
from typing import Final

from readiness.areas.deployment.config import TABLES, Config, Deployment, SavedLayer
from readiness.config.base.area import Area, Drills, Recovery, of
from readiness.config.base.mistakes import Mistake, known
from readiness.model.secrets import without_credentials

__all__ = ["AREA"]


def _deployments(config: Config) -> list[Deployment]:
    return [config.deployment] if config.deployment else []


def _layers(config: Config) -> list[SavedLayer]:
    return of(config.deployment.layers if config.deployment else {})


def _mistakes(config: Config, _: date) -> Iterator[Mistake]:
    if config.deployment is None:
        return
    if old := config.deployment.compatibility:
        place = ("deployment", "compatibility", "database")
        yield from known(place, old.database, "databases", config.databases)
    yield from _releases(config.deployment)


def _releases(deployment: Deployment) -> Iterator[Mistake]:
    """A drill replaces the release under test by another one, so both must be named."""
    if deployment.release == "unknown":
        yield Mistake(
            ("deployment", "release"),
            "the release under test is not set",
            "set `release` in [target] or [deployment]",
        )
    named = {"previous": deployment.previous, "bad_release": deployment.bad_release}
    for key, release in named.items():
        if release == deployment.release:
            yield Mistake(
                ("deployment", key),
                f"is {release!r}, which is the release under test: nothing would change",
                "name another release",
            )


def _identity(config: Config) -> object:
    """What a drill changes: a stale file must not change another cluster."""
    if config.deployment is None:
        return None
    tool = config.deployment.model_dump(include=set(TABLES.values()), exclude_none=True)
    return [without_credentials(config.deployment.url), tool]


def _commands(config: Config) -> Iterator[str]:
    deployment = config.deployment
    if deployment is None or deployment.adapter is None or deployment.previous is None:
        return
    from readiness.areas.deployment.adapters import adapter_of

    adapter = adapter_of(deployment)
    yield (
        "The drill deploys, rolls back and deploys again, and restores the release that was served"
        "\nbefore. The commands:"
    )
    calls = [
        *adapter.deploy(deployment.previous),
        *adapter.deploy(deployment.release),
        *adapter.rollback(deployment.previous),
    ]
    if deployment.bad_release:
        calls += adapter.deploy(deployment.bad_release)
    yield from map(str, calls)


def _recover(recovery: Recovery) -> bool:
    from readiness.areas.deployment.drill.restoring import recover

    return recover(recovery)


AREA: Final = Area(
    "deployment",
    timed=True,
    config=Config,
    kinds={
        "deployment": ("[deployment]", _deployments),
        "saved_layer": ("[deployment.layers.NAME]", _layers),
    },
    mistakes=_mistakes,
    drills=Drills(identity=_identity, commands=_commands, recover=_recover),
)
