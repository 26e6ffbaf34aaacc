"""The Docker engine: whether one answers, and whether it has an image or can get it."""

import contextlib
import json
import os
import socket
import time
from typing import Any, Final

import docker  # type: ignore[import-untyped]
from docker.auth import (  # type: ignore[import-untyped]
    get_config_header,
    resolve_repository_name,
)
from docker.errors import DockerException, ImageNotFound  # type: ignore[import-untyped]
from docker.utils import parse_repository_tag  # type: ignore[import-untyped]
from testcontainers.core.docker_client import get_docker_host

from readiness.model.errors import Unreachable

_UNIX: Final = "unix://"
_DEFAULT_HOST: Final = "unix:///var/run/docker.sock"
_KNOCK_TIMEOUT_S: Final = 2
_SILENCE_S: Final = 10
_PULL_TIMEOUT_S: Final = 60
_PING: Final = b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n"


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
    """Ask the engine for a sign of life before a client is made, which would leak its socket.

    Raises:
        Unreachable: nobody answers within 2 s.
    """
    if not host.startswith(_UNIX):
        return
    try:
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(_KNOCK_TIMEOUT_S)
            door.connect(host.removeprefix(_UNIX))
            door.sendall(_PING)
            answer = door.recv(64)
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
        # The client's own `pull` waits for ever for a registry that is silent.
        with api.post(
            f"{api.base_url}/v{api.api_version}/images/create",
            params={"fromImage": repository, "tag": tag or "latest"},
            headers={"X-Registry-Auth": login} if login else {},
            stream=True,
            timeout=_SILENCE_S,
        ) as answer:
            for line in answer.iter_lines():
                news = json.loads(line)
                if reason := news.get("error") or news.get("message"):
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
