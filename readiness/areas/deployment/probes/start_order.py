"""Reads in which order `docker compose` starts services, and how long others wait for each.

Compose's defaults apply to missing keys: a dependency without a condition waits until a container
was started, not until anything in it answers.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

from readiness.areas.deployment.config import Order
from readiness.areas.deployment.probes.files import parsed
from readiness.lib import command, compose_file
from readiness.lib.compose_file import TRUE, UnreadableError, patience_of
from readiness.lib.text import clean
from readiness.lib.yaml_reader import BrokenYaml, Scalars, read_one
from readiness.model.errors import CouldNotMeasure, NoData

STARTED: Final = "service_started"
HEALTHY: Final = "service_healthy"
COMPLETED: Final = "service_completed_successfully"
# Restart policies of the engine that start a container again after any end.
_ENDLESS: Final = frozenset({"always", "unless-stopped"})
_SHARED: Final = ("network_mode", "ipc", "pid")
_WRITTEN: Final = re.compile(r"service:([^:]+):r[ow]")
_COMPOSE: Final = (("docker", "compose"), ("docker-compose",))
_COMPOSE_S: Final = 30.0
_WHOLE: Final = "write the whole file with compose, and name that: docker compose config > FILE"


@dataclass(frozen=True, slots=True)
class Dependency:
    """A service that waits for another one.

    Attributes:
        condition: until when it waits.
        said: the key of the file, as `depends_on` or `links`.
        required: whether compose refuses to start it without the other one.
    """

    service: str
    on: str
    condition: str
    said: str = "depends_on"
    required: bool = True

    def __str__(self) -> str:
        return f"{self.service} → {self.on}"


@dataclass(frozen=True, slots=True)
class StartOrder:
    """The start order that a compose file describes.

    Attributes:
        services: their names.
        dependencies: all of them.
        patience_s: how long others wait for each service with a health check that can fail.
        restarted: the services that are started again when they end, with their policy.
        profiles: the profiles of the services that start only with one of them.
        active: the profiles that are on by default.
    """

    services: frozenset[str]
    dependencies: tuple[Dependency, ...]
    patience_s: Mapping[str, float]
    restarted: Mapping[str, str] = field(default_factory=dict)
    profiles: Mapping[str, frozenset[str]] = field(default_factory=dict)
    active: frozenset[str] = frozenset()

    @property
    def _binding(self) -> list[Dependency]:
        """Without those that compose ignores: not required, on a service in another file."""
        return [one for one in self.dependencies if one.required or one.on in self.services]

    @property
    def loose(self) -> list[str]:
        """Descriptions of the dependencies that do not wait until the other one is ready.

        They wait for a start only, or for the end of what is started again whenever it ends.
        """
        return [
            *(
                f"{one.service} waits for {one.on}: {one.condition} ({one.said})"
                for one in self._binding
                if one.condition not in {HEALTHY, COMPLETED}
            ),
            *(
                f"{one.service} waits for the end of {one.on}, which has `restart:"
                f" {self.restarted[one.on]}`"
                for one in self.dependencies
                if one.condition == COMPLETED and one.on in self.restarted
            ),
        ]

    @property
    def unchecked(self) -> list[str]:
        """Services that others wait for, without a health check that can fail."""
        waited = {one.on for one in self.dependencies if one.condition == HEALTHY}
        return sorted((waited & self.services) - self.patience_s.keys())

    @property
    def unknown(self) -> list[str]:
        """Dependencies on services that are not in the file, or only in a profile.

        Compose refuses to start what requires them.
        """
        needed = [one for one in self.dependencies if one.required]
        return [
            *(str(one) for one in needed if one.on not in self.services),
            *(
                f"{one} (only in profile {', '.join(sorted(self.profiles[one.on]))})"
                for one in needed
                if one.on in self.profiles and not self._start_together(one)
            ),
        ]

    def _start_together(self, one: Dependency) -> bool:
        """Whether the other service starts wherever this one does."""
        theirs, mine = self.profiles[one.on], self.profiles.get(one.service)
        return bool(theirs & self.active) or (mine is not None and mine <= theirs)

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


def start_order(document: object, active: Collection[str] = ()) -> StartOrder:
    """The start order that a parsed compose file describes.

    Args:
        document: the parsed file.
        active: the profiles that are on by default.

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
        dict(_patience(services)),
        {name: policy for name, service in services.items() if (policy := _restarts(service))},
        {name: profiles for name, service in services.items() if (profiles := _profiles(service))},
        frozenset(active),
    )


def _restarts(service: Mapping[object, object]) -> str:
    """The policy by which it is started again even after it ended well; else empty."""
    if restart := service.get("restart"):
        return str(restart) if restart in _ENDLESS else ""
    deploy = service.get("deploy")
    policy = deploy.get("restart_policy") if isinstance(deploy, Mapping) else None
    condition = policy.get("condition") if isinstance(policy, Mapping) else None
    return "always" if condition == "any" else ""  # as compose maps it


def _profiles(service: Mapping[object, object]) -> frozenset[str]:
    found = service.get("profiles")
    return frozenset(map(str, found)) if isinstance(found, list) else frozenset()


def _patience(services: Mapping[str, Mapping[object, object]]) -> Iterator[tuple[str, float]]:
    for name, service in services.items():
        try:
            found = patience_of(service)
        except ValueError as error:
            raise UnreadableError(f"the health check of {name}: {error}") from None
        if found is not None:
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
                words = how if isinstance(how, Mapping) else {}
                condition = str(words.get("condition") or STARTED)
                required = str(words.get("required", "true")).lower() in TRUE
                yield Dependency(name, str(on), condition, required=required)
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


def read_order(order: Order) -> StartOrder:
    """The order in the compose files, with all that they include, extend and fill in.

    Raises:
        CouldNotMeasure: one cannot be read or parsed, is not a compose file, or is only a part.
        NoData: no service in them depends on another one.
    """
    paths = [Path(name) for name in order.files]
    where = ", ".join(order.files)
    for path in paths:
        if wrong := parsed(str(path)).mistakes:
            raise CouldNotMeasure(f"cannot be parsed: {wrong[0]}", where=str(path))
    try:
        found = start_order(compose_file.read(paths), compose_file.profiles(paths[0].parent))
    except BrokenYaml as error:
        raise CouldNotMeasure(f"cannot be parsed: {error}", where=where, remedy=_WHOLE) from None
    except UnreadableError as error:
        whole = written_by_compose(paths)
        if whole is None:
            raise CouldNotMeasure(clean(str(error)), where=where, remedy=_WHOLE) from None
        found = whole
    except (OSError, ValueError):
        raise CouldNotMeasure("cannot be parsed", where=where, remedy=_WHOLE) from None
    if not found.dependencies:
        raise NoData(
            "no service depends on another one, so that there is no order to judge",
            where=where,
            remedy="write `depends_on`; if nothing depends on anything, remove [deployment.order]",
        )
    return found


def written_by_compose(paths: Sequence[Path]) -> StartOrder | None:
    """The order in the files as compose writes it, for what is not read here, such as remote files.

    None if no compose on this machine reads them, or if it omits a service of them, as old releases
    do with those in profiles.
    """
    own: set[str] = set()
    for path in paths:
        with suppress(OSError, ValueError):
            document = compose_file.parsed(path.read_text(encoding="utf-8-sig"))
            services = document.get("services") if isinstance(document, Mapping) else None
            own |= {str(name) for name in services} if isinstance(services, Mapping) else set()
    files = [word for path in paths for word in ("--file", str(path))]
    for tool in _COMPOSE:
        argv = [*tool, *files, "--profile", "*", "config"]
        with suppress(CouldNotMeasure, UnreadableError, BrokenYaml):
            said = command.run(argv, "write the file", _WHOLE, timeout_s=_COMPOSE_S)
            active = compose_file.profiles(paths[0].parent)
            found = start_order(read_one(said, Scalars.GO_V3), active)
            if own <= found.services:
                return found
    return None


def patience_with(order: StartOrder, service: str, source: str) -> float:
    """The seconds that others wait for a service until they give it up.

    Raises:
        NoData: the file has no such service, or no health check for it.
    """
    if service in order.patience_s:
        return order.patience_s[service]
    missing = "a health check for" if service in order.services else "the service"
    raise NoData(
        f"the file lacks {missing} {clean(service)}",
        where=source,
        remedy="add it to the file, or correct `patience_s` in [deployment.order]",
    )
