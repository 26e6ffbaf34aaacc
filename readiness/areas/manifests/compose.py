"""What the services of a compose project may do, with the defaults of compose and the engine."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from readiness.lib import compose_file
from readiness.lib.compose_file import RequiredError, UnreadableError, patience_of
from readiness.lib.kubernetes.pods import CONTROLS_THE_NODE, MIGHTY, moves
from readiness.lib.plain_secrets import in_variables, is_secret_name
from readiness.lib.text import clean
from readiness.lib.yaml_reader import BrokenYaml
from readiness.model.errors import CouldNotMeasure, NoData

_SOME_VALUE: Final = "required:required"
_COMPLETED: Final = "service_completed_successfully"
_SOCKET: Final = re.compile(r".*\.sock")
_WHOLE: Final = "write the whole file with compose, and name that: docker compose config > FILE"
# The ports of stores and of the container runtime, which trust whoever reaches them.
_STORES: Final = frozenset({
    2181, 2375, 2379, 3306, 5432, 5672, 5984, 6379, 6432, 7000, 8086, 9042, 9092, 9200, 11211,
    15672, 26257, 27017, 1433, 1521,
})  # fmt: skip
_LOOPBACK: Final = re.compile(r"127\.[\d.]+|\[?::1\]?|localhost")
_SHORT: Final = re.compile(
    r"(?:(?P<host>\[[^\]]+\]|\d+(?:\.\d+){3}):)?(?:(?P<published>[\d-]*):)?(?P<target>[\d-]+)(?:/\w+)?"
)

_Map = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Service:
    """A service with its values filled in.

    Attributes:
        written: its variables before the ones of the environment were filled in.
        ends: whether it ends by itself: others wait for that, or it says `restart: "no"`.
    """

    name: str
    body: _Map
    written: Mapping[str, str]
    ends: bool

    def __str__(self) -> str:
        return self.name

    def texts(self, key: str) -> list[str]:
        """The items of a list of texts; empty if it is not one."""
        found = self.body.get(key)
        return [str(one) for one in found] if isinstance(found, list) else []


def services(files: Sequence[str]) -> list[Service]:
    """The services of a project.

    Raises:
        CouldNotMeasure: a file cannot be read, or compose would refuse it.
        NoData: there is no service.
    """
    where = ", ".join(files)
    try:
        project = _project([Path(name) for name in files])
        written = dict(_written(files))
    except (UnreadableError, BrokenYaml) as error:
        raise CouldNotMeasure(clean(str(error)), where=where, remedy=_WHOLE) from None
    found = project.get("services")
    bodies = {
        str(name): body if isinstance(body, Mapping) else {}
        for name, body in (found.items() if isinstance(found, Mapping) else ())
    }
    if not bodies:
        raise NoData("has no services", where=where, remedy="correct `compose` in [manifests]")
    waited = {on for body in bodies.values() for on in _waited_for(body)}
    return [
        Service(name, body, written.get(name, {}), name in waited or body.get("restart") == "no")
        for name, body in bodies.items()
    ]


def _project(paths: Sequence[Path]) -> _Map:
    """The project; a variable that must be set, and is not set here, has some value."""
    filled: dict[str, str] = {}
    while True:
        try:
            return compose_file.read(paths, filled)
        except RequiredError as error:
            if error.variable in filled:  # the environment has it, and it is empty
                raise
            filled[error.variable] = _SOME_VALUE


def _written(files: Iterable[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The variables of services as the files have them: `${NAME}` is not a secret in the file."""
    found: dict[str, dict[str, str]] = {}
    for name in files:
        document = compose_file.parsed(Path(name).read_text(encoding="utf-8-sig"))
        bodies = document.get("services") if isinstance(document, Mapping) else None
        for service, body in bodies.items() if isinstance(bodies, Mapping) else ():
            if isinstance(body, Mapping):
                found.setdefault(str(service), {}).update(_variables(body.get("environment")))
    yield from found.items()


def _variables(environment: object) -> dict[str, str]:
    if isinstance(environment, Mapping):
        return {str(k): str(v) for k, v in environment.items() if v is not None}
    listed = environment if isinstance(environment, list) else []
    return {name: value for name, _, value in (str(one).partition("=") for one in listed)}


def _waited_for(body: _Map) -> Iterator[str]:
    depends_on = body.get("depends_on")
    for name, how in depends_on.items() if isinstance(depends_on, Mapping) else ():
        if isinstance(how, Mapping) and how.get("condition") == _COMPLETED:
            yield str(name)


def moving_images(found: Iterable[Service]) -> list[str]:
    """Services whose image has no version; one that is built is as its Dockerfile."""
    return [
        one.name
        for one in found
        if not one.body.get("build") and moves(str(one.body.get("image") or "latest"))
    ]


def unchecked(found: Iterable[Service]) -> list[str]:
    """Services that stay, without a health check that can fail.

    The health check of an image is not seen here.

    Raises:
        CouldNotMeasure: a duration or a count is not valid.
    """
    return [one.name for one in found if not one.ends and not _is_checked(one)]


def _is_checked(service: Service) -> bool:
    try:
        return patience_of(service.body) is not None
    except ValueError as error:
        raise CouldNotMeasure(
            f"the health check of {service} is not valid: {clean(str(error))}", where="compose"
        ) from None


def unrestarted(found: Iterable[Service]) -> list[str]:
    """Services that stay down after a crash, or a restart of the host: `restart` is `no`."""
    return [one.name for one in found if not one.ends and not _is_restarted(one)]


def _is_restarted(service: Service) -> bool:
    if service.body.get("restart"):
        return True
    policy = _inner(service.body, "deploy", "restart_policy")
    return policy is not None and policy.get("condition", "any") != "none"


def unlimited(found: Iterable[Service]) -> list[str]:
    """Services without a limit of memory."""
    return [
        one.name
        for one in found
        if not one.body.get("mem_limit")
        and not (_inner(one.body, "deploy", "resources", "limits") or {}).get("memory")
    ]


def _inner(body: _Map, *keys: str) -> _Map | None:
    found: object = body
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found if isinstance(found, Mapping) else None


def exposed(found: Iterable[Service]) -> list[str]:
    """Ports of stores that are published on every address of the host.

    The engine opens them in the firewall of the host, too: `docs.docker.com/engine/network`.
    """
    return [f"{one}: port {port}" for one in found for port in _published(one)]


def _published(service: Service) -> Iterator[int]:
    ports = service.body.get("ports")
    for one in ports if isinstance(ports, list) else ():
        if isinstance(one, Mapping):
            host, target = str(one.get("host_ip") or ""), str(one.get("target") or "")
            if not one.get("published") and one.get("mode") != "host":
                continue
        else:
            short = _SHORT.fullmatch(str(one).replace(_SOME_VALUE, "1"))
            if short is None or short["published"] is None:
                continue  # the engine chooses the port
            host, target = short["host"] or "", short["target"]
        if _LOOPBACK.fullmatch(host):
            continue
        first, _, last = target.partition("-")
        if first.isdecimal() and (not last or last.isdecimal()):
            yield from sorted(_STORES & set(range(int(first), int(last or first) + 1)))


def powerful(found: Iterable[Service]) -> list[str]:
    """Services that control their host, or see its processes and network."""
    return [f"{one}: {what}" for one in found for what in _powers(one)]


def _powers(service: Service) -> Iterator[str]:
    body = service.body
    if body.get("privileged") is True:
        yield "privileged"
    for capability in service.texts("cap_add"):
        if capability.upper() in MIGHTY:
            yield f"cap_add {capability}"
    for key in ("network_mode", "pid", "ipc"):
        if body.get(key) == "host":
            yield f"{key}: host"
    for source, read_only in _binds(body):
        if _SOCKET.fullmatch(source) or (
            not read_only and source.startswith("/") and source.rstrip("/") in CONTROLS_THE_NODE
        ):
            yield f"mounts {source}"


def _binds(body: _Map) -> Iterator[tuple[str, bool]]:
    volumes = body.get("volumes")
    for one in volumes if isinstance(volumes, list) else ():
        if isinstance(one, Mapping):
            if one.get("type") == "bind":
                yield str(one.get("source") or ""), one.get("read_only") is True
        else:
            source, _, rest = str(one).partition(":")
            yield source, "ro" in rest.rpartition(":")[2].split(",")


def secret_variables(found: Iterable[Service]) -> list[str]:
    """Variables and build arguments with a secret in plain text in the file."""
    return [
        f"{one}: {name}" for one in found for name in [*in_variables(one.written), *_in_build(one)]
    ]


def _in_build(service: Service) -> list[str]:
    build = service.body.get("build")
    args = build.get("args") if isinstance(build, Mapping) else None
    return [f"build argument {name}" for name in _variables(args) if is_secret_name(name)]
