"""In which order `docker compose` starts services, read from the file: who waits for what.

What the file leaves out is what compose takes for it: a dependency without a condition waits
until a container was started, not until anything in it answers.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Final

from readiness.areas.deployment.compose_health import HealthCheck, health_check

STARTED: Final = "service_started"
HEALTHY: Final = "service_healthy"
COMPLETED: Final = "service_completed_successfully"
_SHARED: Final = ("network_mode", "ipc", "pid")
_WRITTEN: Final = re.compile(r"service:([^:]+):r[ow]")


class UnreadableError(ValueError):
    """The file does not tell it all, or is no compose file."""


@dataclass(frozen=True, slots=True)
class Dependency:
    """One service that needs another one.

    Attributes:
        service: who waits.
        on: for whom.
        condition: until when.
        said: where the file says so, as `depends_on` or `links`.
    """

    service: str
    on: str
    condition: str
    said: str = "depends_on"

    def __str__(self) -> str:
        return f"{self.service} → {self.on}"


@dataclass(frozen=True, slots=True)
class StartOrder:
    """All that is known of the order.

    Attributes:
        services: their names.
        dependencies: all of them.
        checks: the health checks which can fail, by the name of their service.
    """

    services: frozenset[str]
    dependencies: tuple[Dependency, ...]
    checks: Mapping[str, HealthCheck]

    @property
    def loose(self) -> list[str]:
        """Dependencies that wait for a start alone, in words."""
        return [
            f"{one.service} waits for {one.on}: {one.condition} ({one.said})"
            for one in self.dependencies
            if one.condition not in {HEALTHY, COMPLETED}
        ]

    @property
    def unchecked(self) -> list[str]:
        """Services that others wait for, without a health check in the file that can fail."""
        waited = {one.on for one in self.dependencies if one.condition == HEALTHY}
        return sorted((waited & self.services) - self.checks.keys())

    @property
    def unknown(self) -> list[str]:
        """Dependencies on services that are not in the file."""
        return [str(one) for one in self.dependencies if one.on not in self.services]

    @property
    def circle(self) -> list[str]:
        """Services that wait for each other, in a circle; empty if none do."""
        graph: dict[str, set[str]] = {}
        for one in self.dependencies:
            graph.setdefault(one.service, set()).add(one.on)
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            return [str(name) for name in error.args[1]]
        return []


def start_order(document: object) -> StartOrder:
    """What a compose file says of the order.

    Args:
        document: the file, parsed.

    Raises:
        UnreadableError: it is no compose file, or a part of it stands in another one.
    """
    if not isinstance(document, Mapping) or not isinstance(document.get("services"), Mapping):
        raise UnreadableError("there is no mapping `services`: this is no compose file")
    if document.get("include"):
        raise UnreadableError("it includes other files")
    services = {str(name): service or {} for name, service in document["services"].items()}
    for name, service in services.items():
        if not isinstance(service, Mapping):
            raise UnreadableError(f"the service {name} is no mapping")
        if service.get("extends"):
            raise UnreadableError(f"the service {name} extends another one")
    return StartOrder(
        frozenset(services),
        tuple(d for name, service in services.items() for d in _dependencies(name, service)),
        dict(_checks(services)),
    )


def _checks(
    services: Mapping[str, Mapping[object, object]],
) -> Iterator[tuple[str, HealthCheck]]:
    for name, service in services.items():
        try:
            found = health_check(service)
        except ValueError as error:
            raise UnreadableError(f"the health check of {name}: {error}") from None
        if found:
            yield name, found


def _dependencies(name: str, service: Mapping[object, object]) -> Iterator[Dependency]:
    explicit = {one.on: one for one in _explicit(name, service.get("depends_on"))}
    yield from explicit.values()
    for on, said in dict(_implied(service)).items():
        if on not in explicit:
            yield Dependency(name, on, STARTED, said)


def _explicit(name: str, depends_on: object) -> Iterator[Dependency]:
    match depends_on:
        case None:
            return
        case list():
            for on in depends_on:
                yield Dependency(name, str(on), STARTED)
        case dict():
            for on, how in depends_on.items():
                condition = how.get("condition") if isinstance(how, Mapping) else None
                yield Dependency(name, str(on), str(condition or STARTED))
        case _:
            raise UnreadableError(f"`depends_on` of {name} is neither a list nor a mapping")


def _implied(service: Mapping[object, object]) -> Iterator[tuple[str, str]]:
    """Other words that make compose start one service before another."""
    for word in _SHARED:
        kind, _, on = str(service.get(word) or "").partition(":")
        if kind == "service":
            yield on, word
    for word in ("links", "volumes_from"):
        entries = service.get(word)
        for entry in entries if isinstance(entries, list) else []:
            # `compose config` of release 1 writes `service:NAME:MODE`.
            written = _WRITTEN.fullmatch(str(entry))
            on = written[1] if written else str(entry).partition(":")[0]
            if on != "container":
                yield on, word
