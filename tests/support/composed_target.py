"""A tiny service that docker-compose deploys for real: two images, made of busybox alone."""

import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from docker.api import APIClient  # type: ignore[import-untyped]

from readiness.areas.deployment.adapters.compose import ComposeAdapter
from readiness.config.loading import load
from readiness.model.errors import ReadinessError
from readiness.servers.processes import free_port
from readiness.servers.programs import BUSYBOX, get
from tests.support.drilled_target import NEW, OLD, Target

ABSENT: Final = "1.6.0"
"""A release that there is no image of."""
_PROJECT: Final = "shop"


@dataclass(frozen=True)
class ComposedTarget(Target):
    """A service of a compose project."""

    @property
    def adapter(self) -> ComposeAdapter:
        return self.adapter_of("api")

    def adapter_of(self, service: str) -> ComposeAdapter:
        assert self.deployment.compose
        settings = self.deployment.compose.model_copy(update={"service": service})
        return ComposeAdapter(settings, wait_s=20)

    @property
    def version(self) -> str:
        """What is served, as the service tells it."""
        answer = httpx.get(self.deployment.url, trust_env=False, timeout=10)
        told = answer.json()["version"]
        assert isinstance(told, str)
        return told

    def up(self, release: str) -> None:
        (call,) = self.adapter.deploy(release)
        _run(call.argv, **call.env)

    def compose(self, *arguments: str) -> None:
        """Run docker-compose itself."""
        file = str(self.folder / "docker-compose.yml")
        argv = ["docker-compose", "--file", file, "--project-name", _PROJECT, *arguments]
        _run(argv, TAG=OLD)


def programs() -> None:
    """See whether there is what one needs beside an engine.

    Raises:
        ReadinessError: something is missing.
    """
    if not shutil.which("docker-compose"):
        raise ReadinessError("docker-compose not found", remedy="apt-get install docker-compose")
    get(BUSYBOX)


def build(engine: APIClient, registry: str, file: Path) -> None:
    """Give the engine the images of both releases. The file is for their layers."""
    for release in (OLD, NEW):
        with tarfile.open(file, "w", dereference=True) as archive:
            archive.add(get(BUSYBOX), "bin/busybox")
            page = json.dumps({"version": release}).encode()
            entry = tarfile.TarInfo("www/version")
            entry.size = len(page)
            archive.addfile(entry, io.BytesIO(page))
        engine.import_image(
            src=str(file),
            repository=f"{registry}/shop",
            tag=release,
            changes=['ENTRYPOINT ["/bin/busybox"]'],
        )


@contextmanager
def composed_target(folder: Path, registry: str) -> Iterator[ComposedTarget]:
    """The service, while the block runs; it serves the old release at first."""
    port = free_port()
    (folder / "docker-compose.yml").write_text(_compose(registry, port))
    for release in (OLD, NEW, ABSENT):
        (folder / f"settings-{release}.env").write_text(f"OF={release}\nPASSWORD=of-ours\n")
    path = folder / "readiness.toml"
    path.write_text(_toml(port, folder))
    target = ComposedTarget(folder, load(path, {}))
    try:
        target.up(OLD)
        yield target
    finally:
        target.compose("down")


def _compose(registry: str, port: int) -> str:
    # As process 1 it would not hear SIGTERM. The files of the settings need the variable, too.
    return f"""
version: "3.7"
services:
  api:
    image: {registry}/shop:${{TAG:?}}
    command: ["httpd", "-f", "-h", "/www", "-p", "127.0.0.1:{port}"]
    env_file: settings-${{TAG}}.env
    network_mode: host
    stop_signal: SIGKILL
  beside:
    image: {registry}/shop:{OLD}
    command: ["sleep", "600"]
    network_mode: none
    stop_signal: SIGKILL
    healthcheck: {{ test: [CMD, /bin/busybox, test, -e, /well], interval: 1s, retries: 1000 }}
"""


def _toml(port: int, folder: Path) -> str:
    # A container that is made again is away for a while: that is not to end the drill.
    return f"""
[target]
name = "shop"
release = "{NEW}"
[deployment]
url = "http://127.0.0.1:{port}/version"
previous = "{OLD}"
adapter = "compose"
rate_per_s = 50
steady_s = 1
change_within_s = 60
abort_failures = 10000
abort_outage_s = 60
[deployment.compose]
tool = ["docker-compose"]
wait = false
files = ["{folder / "docker-compose.yml"}"]
project = "{_PROJECT}"
service = "api"
"""


def _run(argv: Sequence[str], **env: str) -> None:
    done = subprocess.run(
        argv,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
