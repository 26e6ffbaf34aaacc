"""PostgreSQL in a container, if a Docker engine answers and has or gets an image."""

import contextlib
import json
import operator
import os
import secrets
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, Self

import docker  # type: ignore[import-untyped]
import psycopg
from docker.auth import get_config_header, resolve_repository_name  # type: ignore[import-untyped]
from docker.errors import APIError, DockerException, ImageNotFound, NotFound  # type: ignore[import-untyped]
from docker.utils import parse_repository_tag  # type: ignore[import-untyped]
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import get_docker_host

from readiness.lib.guardian import Guardian
from readiness.lib.retry import until
from readiness.model.errors import Unreachable
from readiness.model.secrets import register
from readiness.servers import docker_removal
from readiness.servers.binaries import find_binaries
from readiness.servers.postgres import StopMode, loopback_dsn
from readiness.servers.processes import free_port

IMAGE_VARIABLE: Final = "READINESS_POSTGRES_IMAGE"
_NEWEST: Final = "17"
_SUPERUSER: Final = "postgres"
_START_TIMEOUT_S: Final = 60.0
_STOP_TIMEOUT_S: Final = 30.0
_REACH_TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.05
_LOG_LINES: Final = 10
_PORT_ATTEMPTS: Final = 5
_PORT_TAKEN: Final = ("port is already allocated", "address already in use")
_SIGNALS: Final[Mapping[StopMode, str]] = {
    "smart": "SIGTERM",
    "fast": "SIGINT",
    "immediate": "SIGQUIT",
}
_UNIX: Final = "unix://"
_DEFAULT_HOST: Final = "unix:///var/run/docker.sock"
_KNOCK_TIMEOUT_S: Final = 2
_SILENCE_S: Final = 10
_PULL_TIMEOUT_S: Final = 60
_PING: Final = b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n"


class DockerPostgres:
    """A PostgreSQL container that is reached on 127.0.0.1 alone. Made by `start`.

    Attributes:
        name: the container's.
        port: a free one that it found.
    """

    def __init__(self, container: DockerContainer, guardian: Guardian, host: str) -> None:
        self.name = f"readiness-{secrets.token_hex(6)}"
        self.port = 0
        self._password = secrets.token_hex(16)
        register(self._password)
        self._container = (
            container.with_name(self.name)
            .with_env("POSTGRES_USER", _SUPERUSER)
            .with_env("POSTGRES_PASSWORD", self._password)
            # The same options as for the other providers.
            .with_env("POSTGRES_INITDB_ARGS", "--encoding=UTF8 --locale=C --no-sync -k")
        )
        self._guardian = guardian
        self._token = guardian.run(
            # -P: the folder of that file also has a docker.py.
            [sys.executable, "-P", docker_removal.__file__, self.name],
            {"DOCKER_HOST": host},
        )

    @classmethod
    def start(cls, guardian: Guardian, settings: Mapping[str, str]) -> Self:
        """Start the container and wait until it answers.

        Raises:
            Unreachable: no engine answers within 2 s, the image cannot be pulled, or PostgreSQL
                cannot be reached within a minute.
        """
        image = os.environ.get(IMAGE_VARIABLE) or default_image()
        host = engine_host()
        need_image(host, testcontainers_config.hub_image_name_prefix + image)
        # The guardian replaces testcontainers' own reaper, which needs another image.
        testcontainers_config.ryuk_disabled = True
        arguments = [word for item in settings.items() for word in ("-c", "=".join(item))]
        with _explained("the container did not start", image):
            container = DockerContainer(image).with_command(["postgres", *arguments])
            server = cls(container, guardian, host)
            try:
                server._make()
                server._await_answer()
            except BaseException:  # an interrupt too must leave nothing
                with contextlib.suppress(DockerException, OSError):  # the guardian tries again
                    server.stop()
                raise
        return server

    def dsn(
        self, database: str = "postgres", user: str | None = None, password: str | None = None
    ) -> str:
        """A connection string; the superuser's unless another user is named."""
        user = user or _SUPERUSER
        if password is None:
            password = self._password if user == _SUPERUSER else ""
        return loopback_dsn(self.port, database, user, password)

    def halt(self, mode: StopMode = "fast") -> None:
        """Stop the server and keep its data; harmless when it is already stopped.

        Raises:
            Unreachable: it does not stop.
        """
        for signal in (_SIGNALS[mode], "SIGQUIT", "SIGKILL"):
            if not self._runs():
                return
            with contextlib.suppress(APIError):  # it may have ended meanwhile
                self._wrapped().kill(signal=signal)
            if not until(self._runs, operator.not_, within_s=_STOP_TIMEOUT_S, every_s=_POLL_S):
                return
        raise Unreachable("the container does not stop", where=self.name)

    def restart(self) -> None:
        """Stop it if it runs, and start it with the same data on the same port.

        Raises:
            Unreachable: it did not start again.
        """
        self.halt("fast")
        with _explained("the container did not start again", self.name):
            self._wrapped().start()
            self._await_answer()

    def stop(self, mode: StopMode = "fast") -> None:  # noqa: ARG002 - part of the interface of all servers
        """Remove the container with its data. May be called twice."""
        client = self._container.get_docker_client().client
        with contextlib.suppress(NotFound):
            client.api.remove_container(self.name, v=True, force=True)
        client.close()
        self._guardian.forget(self._token)

    def _make(self) -> None:
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            self.port = free_port()
            # testcontainers itself would bind the port on all interfaces.
            self._container.ports = {"5432/tcp": ("127.0.0.1", self.port)}  # type: ignore[dict-item]
            try:
                self._container.start()
            except APIError as problem:
                if attempt == _PORT_ATTEMPTS or not any(w in str(problem) for w in _PORT_TAKEN):
                    raise
                self._wrapped().remove(v=True)  # the port was taken in the meantime
            else:
                return

    def _await_answer(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            if not self._runs():
                raise Unreachable(f"PostgreSQL ended: {self._log()}", where=self.name)
            if self._answers():
                return
            if self._is_ready():  # inside; if it cannot be reached from outside soon, it never will
                deadline = min(deadline, time.monotonic() + _REACH_TIMEOUT_S)
            time.sleep(_POLL_S)
        raise Unreachable(
            "the container runs but is not reachable; the engine may be on another machine",
            where=f"127.0.0.1:{self.port}",
        )

    def _answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(self.dsn(), connect_timeout=2).close()
            return True
        return False

    def _is_ready(self) -> bool:
        with contextlib.suppress(APIError):  # it has just ended
            return self._container.exec(["pg_isready", "--host=127.0.0.1"]).exit_code == 0
        return False

    def _runs(self) -> bool:
        wrapped = self._wrapped()
        wrapped.reload()
        return bool(wrapped.status == "running")

    def _log(self) -> str:
        return str(self._wrapped().logs(tail=_LOG_LINES).decode(errors="replace").strip())

    def _wrapped(self) -> Any:
        return self._container.get_wrapped_container()


def default_image() -> str:
    """The image of the release of this machine's programs: pg_dump rejects a newer server."""
    try:
        major = find_binaries().version.partition(".")[0]
    except Unreachable:
        major = ""
    return f"postgres:{major if major.isdecimal() else _NEWEST}"


@contextlib.contextmanager
def _explained(what: str, where: str) -> Iterator[None]:
    try:
        yield
    except (DockerException, OSError) as problem:
        raise Unreachable(f"{what}: {problem}", where=where) from None


def engine_host() -> str:
    """The engine's address: that of DOCKER_HOST, of the current context, or the usual one."""
    return get_docker_host() or _DEFAULT_HOST


def need_image(host: str, image: str) -> None:
    """See that the engine has an image; else let it pull it.

    Raises:
        Unreachable: no engine answers within 2 s; or it has no image, and its registry is silent
            for 10 s, refuses, or needs more than a minute.
    """
    knock(host)
    environ = {**os.environ, "DOCKER_HOST": host}
    try:
        with contextlib.closing(docker.from_env(timeout=_SILENCE_S, environment=environ)) as client:
            try:
                client.images.get(image)
            except ImageNotFound:
                _pull(client.api, image)
    except (DockerException, OSError) as problem:
        raise Unreachable(f"the Docker engine fails: {problem}", where=host) from None


def knock(host: str) -> None:
    """Ping the engine; creating a client without an engine would leak its socket.

    Raises:
        Unreachable: no answer within 2 s.
    """
    if not host.startswith(_UNIX):
        return
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_KNOCK_TIMEOUT_S)
            connection.connect(host.removeprefix(_UNIX))
            connection.sendall(_PING)
            answer = connection.recv(64)
    except OSError as problem:
        raise _silent(host, problem.strerror or str(problem)) from None
    if b" 200 " not in answer:
        raise _silent(host, f"it answers {answer.decode(errors='replace')!r}")


def _silent(host: str, reason: str) -> Unreachable:
    return Unreachable(
        f"no Docker engine answers within {_KNOCK_TIMEOUT_S} s: {reason}",
        where=host,
        remedy="start one: systemctl start docker; or use --provider local",
    )


def _pull(api: Any, image: str) -> None:
    repository, tag = parse_repository_tag(image)
    login = get_config_header(api, resolve_repository_name(repository)[0])
    deadline = time.monotonic() + _PULL_TIMEOUT_S
    try:
        # The client's own `pull` waits forever for a registry that does not answer.
        with api.post(
            f"{api.base_url}/v{api.api_version}/images/create",
            params={"fromImage": repository, "tag": tag or "latest"},
            headers={"X-Registry-Auth": login} if login else {},
            stream=True,
            timeout=_SILENCE_S,
        ) as answer:
            for line in answer.iter_lines():
                event = json.loads(line)
                if reason := event.get("error") or event.get("message"):
                    raise _no_image(image, reason)
                if time.monotonic() > deadline:
                    raise _no_image(image, f"not completed within {_PULL_TIMEOUT_S} s")
    except OSError:
        raise _no_image(image, f"no data from the registry for {_SILENCE_S} s") from None


def _no_image(image: str, reason: str) -> Unreachable:
    return Unreachable(
        f"the image is missing and cannot be pulled: {reason}",
        where=image,
        remedy=f"docker pull {image}",
    )
