"""Reads in which order `docker compose` starts services, and how long each is waited for.

What the file leaves out is compose's default: a dependency without a condition waits until a
container was started, not until anything in it answers.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

from readiness.areas.deployment.config import Order
from readiness.areas.deployment.probes.files import parsed
from readiness.lib import command
from readiness.lib.durations import compose_seconds
from readiness.lib.text import clean
from readiness.lib.yaml_reader import BrokenYaml, Scalars, read_one
from readiness.model.errors import CouldNotMeasure, NoData

_SHELL: Final = ("CMD", "CMD-SHELL")
_NONE: Final = "NONE"
# Commands that always succeed: such a health check counts as none.
_YES: Final = frozenset({"true", "/bin/true", "/usr/bin/true", ":", "exit", "exit 0", "echo"})
# As compose reads texts (`toBoolean` in the loader of compose-go).
_TRUE: Final = frozenset({"true", "1", "t", "y", "yes", "on"})
# The defaults of the engine, where the file says nothing or 0.
_INTERVAL_S: Final = 30.0
_RETRIES: Final = 3


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A health check that can fail.

    Attributes:
        patience_s: seconds from the start until a service that never answers is unhealthy: the
            start period, and then each try with the pause before it.
    """

    patience_s: float


def health_check(service: Mapping[object, object]) -> HealthCheck | None:
    """The health check of a service; None if the file has none, or one that cannot fail.

    Raises:
        ValueError: a duration or a count is not valid.
    """
    found = service.get("healthcheck")
    if not isinstance(found, Mapping) or _disabled(found) or not _can_fail(found):
        return None
    interval_s = _seconds(found.get("interval")) or _INTERVAL_S
    retries = _count(found.get("retries")) or _RETRIES
    return HealthCheck(_seconds(found.get("start_period")) + retries * interval_s)


def _disabled(found: Mapping[object, object]) -> bool:
    return str(found.get("disable")).lower() in _TRUE


def _can_fail(found: Mapping[object, object]) -> bool:
    test = found.get("test")
    words = [str(word) for word in test] if isinstance(test, list) else [str(test or "")]
    if words[:1] == [_NONE]:
        return False
    command = " ".join(words[1:] if words[:1] and words[0] in _SHELL else words).strip()
    return bool(command) and command not in _YES


def _seconds(said: object) -> float:
    """A duration as compose writes it, `1m30s`; 0 if missing."""
    if said is None:
        return 0.0
    return compose_seconds(str(said).strip())


def _count(said: object) -> int:
    if said is None:
        return 0
    if isinstance(said, bool) or not re.fullmatch(r"\d{1,9}", str(said), re.ASCII):
        raise ValueError(f"{said!r} is not a valid number of retries")
    return int(str(said))


STARTED: Final = "service_started"
HEALTHY: Final = "service_healthy"
COMPLETED: Final = "service_completed_successfully"
_SHARED: Final = ("network_mode", "ipc", "pid")
_WRITTEN: Final = re.compile(r"service:([^:]+):r[ow]")


class UnreadableError(ValueError):
    """The file is incomplete, or is not a compose file."""


@dataclass(frozen=True, slots=True)
class Dependency:
    """One service that needs another one.

    Attributes:
        service: the one that waits.
        on: the one that it waits for.
        condition: until when.
        said: the key of the file that says so, as `depends_on` or `links`.
    """

    service: str
    on: str
    condition: str
    said: str = "depends_on"

    def __str__(self) -> str:
        return f"{self.service} → {self.on}"


@dataclass(frozen=True, slots=True)
class StartOrder:
    """What a compose file says of the order.

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
        """Dependencies that wait for a start only, in words."""
        return [
            f"{one.service} waits for {one.on}: {one.condition} ({one.said})"
            for one in self.dependencies
            if one.condition not in {HEALTHY, COMPLETED}
        ]

    @property
    def unchecked(self) -> list[str]:
        """Services that others wait for, without a health check that can fail."""
        waited = {one.on for one in self.dependencies if one.condition == HEALTHY}
        return sorted((waited & self.services) - self.checks.keys())

    @property
    def unknown(self) -> list[str]:
        """Dependencies on services that are not in the file."""
        return [str(one) for one in self.dependencies if one.on not in self.services]

    @property
    def cycle(self) -> list[str]:
        """Services that wait for each other in a cycle; empty if none do."""
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
        UnreadableError: it is not a compose file, or a part of it is in another file.
    """
    if not isinstance(document, Mapping) or not isinstance(document.get("services"), Mapping):
        raise UnreadableError("is not a compose file: it has no mapping `services`")
    if document.get("include"):
        raise UnreadableError("it includes other files")
    services = {str(name): service or {} for name, service in document["services"].items()}
    for name, service in services.items():
        if not isinstance(service, Mapping):
            raise UnreadableError(f"the service {name} is not a mapping")
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
    """Other keys that make compose start one service before another."""
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


_COMPOSE: Final = (("docker", "compose"), ("docker-compose",))
_COMPOSE_S: Final = 30.0
_WHOLE: Final = "let compose write the whole file, and name that: docker compose config > FILE"


def read_order(order: Order) -> StartOrder:
    """What the compose file says; compose writes the whole where that is only a part.

    Raises:
        CouldNotMeasure: it cannot be read or parsed, is not a compose file, or is only a part.
        NoData: nothing in it depends on anything.
    """
    path = Path(order.compose)
    if wrong := parsed(str(path)).mistakes:
        raise CouldNotMeasure(f"cannot be parsed: {wrong[0]}", where=order.compose)
    try:
        document = read_one(path.read_text(encoding="utf-8-sig"), Scalars.GO_V3)
    except BrokenYaml as error:
        raise CouldNotMeasure(
            f"cannot be parsed: {error}", where=order.compose, remedy=_WHOLE
        ) from None
    except (OSError, ValueError):
        raise CouldNotMeasure("cannot be parsed", where=order.compose, remedy=_WHOLE) from None
    try:
        found = start_order(document)
    except UnreadableError as error:
        whole = written_by_compose(path, document)
        if whole is None:
            problem = clean(str(error))
            raise CouldNotMeasure(problem, where=order.compose, remedy=_WHOLE) from None
        found = whole
    if not found.dependencies:
        raise NoData(
            "no service depends on another one, so that there is no order to judge",
            where=order.compose,
            remedy="write `depends_on`; if nothing depends on anything, remove [deployment.order]",
        )
    return found


def written_by_compose(path: Path, document: object) -> StartOrder | None:
    """The order in the file as compose writes it, with all that it includes, extends and fills in.

    Args:
        path: the file.
        document: the file, parsed.

    Returns:
        None where no compose here reads the file, or where it omits a service of the file, as old
        ones do with those in profiles.
    """
    services = document.get("services") if isinstance(document, Mapping) else None
    own = {str(name) for name in services} if isinstance(services, Mapping) else set()
    for tool in _COMPOSE:
        argv = [*tool, "--file", str(path), "--profile", "*", "config"]
        with suppress(CouldNotMeasure, UnreadableError, BrokenYaml):
            said = command.run(argv, "write the file", _WHOLE, timeout_s=_COMPOSE_S)
            found = start_order(read_one(said, Scalars.GO_V3))
            if own <= found.services:
                return found
    return None


def patience_with(order: StartOrder, service: str, source: str) -> float:
    """The seconds that others wait for a service before they give it up.

    Raises:
        NoData: there is no such service, or it has no health check in the file.
    """
    if service in order.checks:
        return order.checks[service].patience_s
    known = service in order.services
    raise NoData(
        f"the service {clean(service)} has no health check" if known
        else f"there is no service {clean(service)}",
        where=source,
        remedy="write one into the file, or correct `patience_s` in [deployment.order]",
    )  # fmt: skip
