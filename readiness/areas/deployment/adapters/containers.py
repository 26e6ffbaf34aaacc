"""What an engine says of containers: from the JSON of `docker inspect` alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from readiness.areas.deployment.adapters.adapter import State, digest, json_of
from readiness.model.errors import NoData

_ONE_OFF: Final = "com.docker.compose.oneoff"
# In docker's words and in podman's.
_UNSETTLED: Final = frozenset(
    {"created", "initialized", "starting", "restarting", "stopping", "removing"}
)


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a service.

    Attributes:
        status: as `running`.
        health: as `healthy`; empty where it has no health check.
        settings: what it runs with, the image left out.
    """

    status: str
    health: str
    settings: State

    @property
    def runs(self) -> bool:
        """Whether it runs, and not only pauses."""
        return self.status == "running"

    @property
    def serves(self) -> bool:
        """Whether it runs, and is healthy where it has a health check."""
        return self.runs and self.health in {"", "healthy"}

    @property
    def unsettled(self) -> str:
        """What becomes of it just now; empty if nothing does."""
        words = (self.health if self.runs else "", self.status)
        return next((word for word in words if word in _UNSETTLED), "")


def containers_of(printed: str, where: str) -> list[Container]:
    """Those of the service; what somebody `run`s beside it, such as a migration, is none.

    Args:
        printed: the list that the engine prints.
        where: the command, for a message.

    Raises:
        NoData: it is no such list.
    """
    documents = json_of(printed, where)
    if not isinstance(documents, list) or not all(
        isinstance(one, dict) and isinstance(one.get("State"), dict) for one in documents
    ):
        raise NoData("printed no list of containers", where=where, remedy="run it by hand")
    return [_container(one) for one in documents if not _is_one_off(one)]


def state_of(containers: Sequence[Container]) -> State:
    """What they run with; where they differ, each value once."""
    found: dict[str, set[str]] = {}
    for container in containers:
        for key, value in container.settings.items():
            found.setdefault(key, set()).add(value)
    return {key: " ".join(sorted(values)) for key, values in found.items()}


def _container(document: Mapping[str, Any]) -> Container:
    state = document["State"]
    # Podman before its release 4 writes `Healthcheck`.
    health = state.get("Health") or state.get("Healthcheck") or {}
    word = str(health.get("Status") or "")
    return Container(
        status=str(state.get("Status")),
        health="" if word == "none" else word,
        settings={key: digest(value) for key, value in _settings_of(document)},
    )


def _settings_of(document: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Everything that somebody can have set, each variable under a key of its own."""
    config = document.get("Config") or {}
    for pair in config.get("Env") or []:
        key, _, value = str(pair).partition("=")
        yield f"environment {key}", value
    for key in ("Cmd", "Entrypoint", "User", "WorkingDir"):
        yield key, config.get(key)
    for mount in document.get("Mounts") or []:
        yield f"mount {mount.get('Destination')}", mount.get("Source")


def _is_one_off(document: Mapping[str, Any]) -> bool:
    labels = (document.get("Config") or {}).get("Labels") or {}
    return str(labels.get(_ONE_OFF)) == "True"
