"""PostgreSQL in a container, where a Docker engine answers."""

import os
import secrets
import socket
import subprocess
from collections.abc import Mapping
from typing import Any, Final, Self

import docker  # type: ignore[import-untyped]
from docker.constants import (  # type: ignore[import-untyped]
    DEFAULT_DOCKER_API_VERSION,
)
from docker.errors import (  # type: ignore[import-untyped]
    DockerException,
    ImageNotFound,
)
from testcontainers.community.postgres import PostgresContainer

from readiness.errors import Unreachable
from readiness.guardian import Guardian
from readiness.secrets import register
from readiness.servers.ports import free_port
from readiness.servers.postgres import StopMode

IMAGE_VARIABLE: Final = "READINESS_POSTGRES_IMAGE"
DEFAULT_IMAGE: Final = "postgres:17"
_UNIX: Final = "unix://"
_DEFAULT_HOST: Final = "unix:///var/run/docker.sock"
_ENGINE_TIMEOUT_S: Final = 2
_PULL_TIMEOUT_S: Final = 60
_SIGNALS: Final[Mapping[StopMode, str]] = {
    "smart": "SIGTERM",
    "fast": "SIGINT",
    "immediate": "SIGQUIT",
}


class DockerPostgres:
    """A PostgreSQL container. Made by `start`."""

    def __init__(self, container: PostgresContainer, port: int, password: str) -> None:
        self._container = container
        self._port = port
        self._password = password

    @classmethod
    def start(cls, guardian: Guardian, settings: Mapping[str, str]) -> Self:
        """Start the container and wait until it answers.

        Raises:
            Unreachable: no engine answers within 2 s, or it has no image and gets none.
        """
        image = os.environ.get(IMAGE_VARIABLE, DEFAULT_IMAGE)
        _need_image(image)
        port, password = free_port(), secrets.token_hex(16)
        register(password)
        name = f"readiness-{secrets.token_hex(6)}"
        arguments = " ".join(f"-c {key}={value}" for key, value in settings.items())
        # The guardian takes the part of testcontainers' own reaper, which needs one more image.
        os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
        guardian.run(["docker", "rm", "--force", "--volumes", name])
        container = (
            PostgresContainer(image, username="postgres", password=password, driver=None)
            .with_name(name)
            .with_command(f"postgres {arguments}")
            .with_kwargs(ports={"5432/tcp": ("127.0.0.1", port)})
        )
        try:
            container.start()
        except (DockerException, TimeoutError) as problem:
            raise Unreachable(f"the container did not start: {problem}", where=image) from None
        return cls(container, port, password)

    def dsn(
        self, database: str = "postgres", user: str | None = None, password: str | None = None
    ) -> str:
        """A connection string; the superuser's unless another user is named."""
        user, password = user or "postgres", password or self._password
        return f"postgresql://{user}:{password}@127.0.0.1:{self._port}/{database}"

    def halt(self, mode: StopMode = "fast") -> None:
        """Stop the server and keep its data."""
        wrapped = self._wrapped()
        wrapped.kill(signal=_SIGNALS[mode])
        wrapped.wait(timeout=30)

    def restart(self) -> None:
        """Start it again on the same port."""
        self._wrapped().start()

    def stop(self, mode: StopMode = "fast") -> None:  # noqa: ARG002 - as all servers have it
        """Remove the container with its data."""
        self._container.stop(force=True, delete_volume=True)

    def _wrapped(self) -> Any:
        return self._container.get_wrapped_container()


def _need_image(image: str) -> None:
    _need_socket(os.environ.get("DOCKER_HOST") or _DEFAULT_HOST)
    # With a version given, the client asks the engine nothing before it can be closed again.
    client = docker.from_env(timeout=_ENGINE_TIMEOUT_S, version=DEFAULT_DOCKER_API_VERSION)
    try:
        _ping(client)
        client.images.get(image)
    except ImageNotFound:
        _pull(image)
    except DockerException as problem:
        raise Unreachable(f"the Docker engine fails: {problem}", where=image) from None
    finally:
        client.close()


def _need_socket(host: str) -> None:
    """Knock first: where nobody listens, the client would leave its socket open."""
    if not host.startswith(_UNIX):
        return
    try:
        with socket.socket(socket.AF_UNIX) as knock:
            knock.settimeout(_ENGINE_TIMEOUT_S)
            knock.connect(host.removeprefix(_UNIX))
    except OSError:
        raise _silent() from None


def _ping(client: Any) -> None:
    try:
        client.ping()
    except (DockerException, OSError):
        raise _silent() from None


def _silent() -> Unreachable:
    return Unreachable(
        f"no Docker engine answers within {_ENGINE_TIMEOUT_S} s", remedy="docker info"
    )


def _pull(image: str) -> None:
    try:
        subprocess.run(
            ["docker", "pull", "--quiet", image],
            capture_output=True,
            timeout=_PULL_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        raise Unreachable(
            "the image is not there and cannot be pulled",
            where=image,
            remedy=f"docker pull {image}",
        ) from None
