"""The environment that an application runs with: of containers, of processes, as commands print it.

What the commands print is never shown, as it holds secrets.
"""

import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from readiness.areas.configuration.config import App, Running
from readiness.areas.configuration.environment import Place, Value, private
from readiness.areas.configuration.probes.kubernetes import of_cluster
from readiness.lib.command import ask
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, Unreachable

_PROC: Final = Path("/proc")
_NAME: Final = re.compile(r"[^\s=]+")
_MOST: Final = 100


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class _State(_Read):
    running: bool = Field(True, alias="Running")
    status: str = Field("", alias="Status")


class _Host(_Read):
    network: str = Field("", alias="NetworkMode")


class _Settings(_Read):
    env: list[str] | None = Field(None, alias="Env")
    image: str = Field("", alias="Image")


class _Container(_Read):
    """A container as `docker inspect` and `podman inspect` print it."""

    id: str = Field(alias="Id")
    name: str = Field("", alias="Name")
    digest: str = Field("", alias="ImageDigest")
    state: _State = Field(_State(), alias="State")
    host: _Host = Field(_Host(), alias="HostConfig")
    settings: _Settings = Field(alias="Config")


_CONTAINERS: Final = TypeAdapter(tuple[_Container, ...])


@private
def of_running(application: App) -> list[Place]:
    """The environment of each container or process that runs the application.

    Raises:
        CouldNotMeasure: and its kinds: none runs, or it may not be read.
    """
    running, table = application.running, _table(application)
    if running is None:
        return []
    if running.inspect:
        return _of_containers(_printed(running.inspect, "inspect the container", running), running)
    if running.environ:
        text = _printed(running.environ, "print the environment", running)
        source = shlex.join(running.environ)
        return [Place(source, _assigned(_split(text), source))]
    if running.pid:
        return _of_processes(running.pid, running)
    assert running.cluster  # noqa: S101 - the model has exactly one of the four
    return [of_cluster(running.cluster, application.secrets, f"{table[:-1]}.cluster]")]


def _table(application: App) -> str:
    return f"[configuration.applications.{application.name}.running]"


def _printed(command: list[str], verb: str, running: Running) -> str:
    """What a command prints; of a failure only the end of its errors is told."""
    remedy = f"run it by hand: {shlex.join(command)}"
    answer = ask(command, verb, remedy, timeout_s=running.timeout_s)
    if answer.status == 0:
        return answer.output
    # With output there is no telling whether `said` is of it.
    said = "" if answer.output.strip(" \n[]") else f": {answer.said}"
    raise CouldNotMeasure(
        f"the command to {verb} ended with {answer.status}{said}",
        where=shlex.join(command),
        remedy=remedy,
    )


def _of_containers(text: str, running: Running) -> list[Place]:
    where = shlex.join(running.inspect or [])
    try:
        found = _CONTAINERS.validate_json(text)
    except ValidationError:
        raise NoData(
            "its output is not that of `docker inspect`",
            where=where,
            remedy="let `inspect` print JSON, without --format",
        ) from None
    if not found:
        raise NoData("it printed no container", where=where)
    for one in found:
        if not one.state.running:
            raise NoData(
                f"the container {_called(one)} does not run: {one.state.status or 'stopped'}",
                where=where,
                remedy="start it, or name the one that runs",
            )
    return [
        Place(
            source=f"container {_called(one)}",
            values=_assigned(one.settings.env or [], where),
            image=one.settings.image,
            digests=(one.digest,) if one.digest else (),
            is_container=one.host.network.partition(":")[0] not in {"host", "container"},
        )
        for one in found
    ]


def _called(container: _Container) -> str:
    return container.name.removeprefix("/") or container.id[:12]


def _split(text: str) -> list[str]:
    """The assignments of an environment: `env -0` and /proc end each with NUL, `env` with a line.

    A line that is no assignment belongs to the value before.
    """
    if "\0" in text:
        return [one for one in text.split("\0") if one]
    found: list[str] = []
    for line in text.splitlines():
        if found and not re.match(r"[A-Za-z_][\w.-]*=", line):
            found[-1] += f"\n{line}"
        elif line:
            found.append(line)
    return found


def _assigned(lines: Iterable[str], where: str) -> Mapping[str, Value]:
    """The variables of `KEY=value` each.

    Raises:
        NoData: there are none, or something else.
    """
    pairs = [line.partition("=") for line in lines]
    if not pairs:
        raise NoData("the environment is empty", where=where, remedy="correct `running`")
    if not all(sign and _NAME.fullmatch(name) for name, sign, _ in pairs):
        raise NoData(
            "the environment is not KEY=value each: the program may have written over it",
            where=where,
            remedy="set `environ` or `inspect` in place of `pid`",
        )
    return {name: Value(value) for name, _, value in pairs}


def _of_processes(command: list[str], running: Running) -> list[Place]:
    where = shlex.join(command)
    words = _printed(command, "find the process", running).split()
    if not words or not all(word.isdecimal() and int(word) > 0 for word in words):
        raise NoData(
            "it printed no process ids" if words else "it printed nothing: no process runs",
            where=where,
            remedy="start the application, or correct `pid`",
        )
    if len(words) > _MOST:
        raise NoData(f"it printed {len(words)} process ids, over the limit of {_MOST}", where=where)
    return [
        Place(f"process {word}", _assigned(_split(_environ_of(word)), f"process {word}"))
        for word in words
    ]


def _environ_of(pid: str, read: Callable[[Path], bytes] = Path.read_bytes) -> str:
    path = _PROC / pid / "environ"
    try:
        return read(path).decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        raise Unreachable(
            "the process does not exist", where=f"process {pid}", remedy="correct `pid`"
        ) from None
    except PermissionError:
        raise NotPermitted(
            "the environment of the process may not be read",
            where=str(path),
            remedy="run readiness as the user of the process, or set `environ` to a command that"
            f" may: sudo cat {path}",
        ) from None
    except OSError as error:
        raise CouldNotMeasure(f"cannot be read: {error.strerror}", where=str(path)) from None
