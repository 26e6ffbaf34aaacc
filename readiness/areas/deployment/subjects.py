"""The kinds of subject that [deployment] declares."""

from collections.abc import Mapping
from typing import Final

from readiness.areas.deployment.config import Config, Deployment, SavedLayer
from readiness.config.base.area import Find, of


def _deployments(config: Config) -> list[Deployment]:
    return [config.deployment] if config.deployment else []


def _layers(config: Config) -> list[SavedLayer]:
    return of(config.deployment.layers if config.deployment else {})


# kind -> (where it is declared, as the report tells a user, and how to find it)
KINDS: Final[Mapping[str, tuple[str, Find]]] = {
    "deployment": ("[deployment]", _deployments),
    "saved_layer": ("[deployment.layers.NAME]", _layers),
}
