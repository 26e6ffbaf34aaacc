"""Small targets of a deployment drill: changed by a command, or by docker-compose."""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import httpx

from readiness.areas.deployment.adapters import adapter_of
from readiness.areas.deployment.adapters.compose import ComposeAdapter
from readiness.areas.deployment.config import Deployment
from readiness.areas.deployment.drill.drill import Drilled, drill
from readiness.config.loading import Loaded, load
from readiness.lib.drill.safety import FOLDER, Place, Safety
from readiness.lib.guardian import Undo as UndoProtocol
from readiness.model.errors import ReadinessError
from readiness.run.safety import fingerprint
from readiness.servers.processes import free_port
from readiness.servers.programs import BUSYBOX, get
from tests.support.processes import Undo
from tests.support.small_servers import Reply, SmallServer

if TYPE_CHECKING:
    from docker.api import APIClient  # type: ignore[import-untyped]

OLD, NEW = "1.4.0", "1.5.0"
ENVIRONMENT = "production"

# What the command does, by the file `how` beside it: words, such as "nothing" or "hang".
_TOOL = """
import sys, time
from pathlib import Path
here = Path(__file__).parent
how = (here / "how").read_text().split()
action, release = sys.argv[1], sys.argv[2]
with (here / "log").open("a") as log:
    log.write(f"{action} {release}\\n")
if action in ("write", "read", "remove"):
    row = here / "row"
    if action == "write":
        row.write_text(release)
    elif action == "remove":
        row.unlink(missing_ok=True)
    elif row.exists():
        print(row.read_text())
    raise SystemExit
if "garble" in how:
    print("\\x1b[2J\\u202e password=hunter2-of-ours", file=sys.stderr)
if "hang" in how:
    time.sleep(600)
if f"fail:{action}" in how or f"fail:{release}" in how:
    sys.exit("token: abc-of-ours, no such image")
if "nothing" in how or f"nothing:{action}" in how:
    raise SystemExit
if "slow" in how:
    time.sleep(0.3)
if "outage" in how:
    (here / "version").write_text("")
    time.sleep(60)
new = here / "new"
new.write_text(release)
new.replace(here / "version")
"""


@dataclass(frozen=True)
class Target:
    """A target that can be drilled, and its readiness.toml."""

    folder: Path
    loaded: Loaded

    @property
    def deployment(self) -> Deployment:
        assert self.loaded.config.deployment
        return self.loaded.config.deployment

    @property
    def place(self) -> Place:
        config = self.loaded.config
        return Place(
            self.folder / FOLDER, config.target.name, ENVIRONMENT, fingerprint(config, ENVIRONMENT)
        )

    def safety(self, undo: UndoProtocol | None = None) -> Safety:
        return Safety(self.place, self.loaded.path, None, undo or Undo())

    def drill(self) -> Drilled:
        return drill(self.deployment, adapter_of(self.deployment), self.safety())

    def again(self, **changes: str) -> Self:
        """The same target with another [deployment]: each value as TOML."""
        text = self.loaded.path.read_text()
        for key, value in changes.items():
            lines = [line for line in text.splitlines() if not line.startswith(f"{key} = ")]
            at = lines.index("[deployment]") + 1
            text = "\n".join([*lines[:at], f"{key} = {value}", *lines[at:]])
        self.loaded.path.write_text(text)
        return replace(self, loaded=load(self.loaded.path, {}))


@dataclass(frozen=True)
class DrilledTarget(Target):
    """A target that is changed by the command."""

    server: SmallServer

    @property
    def version(self) -> str:
        return (self.folder / "version").read_text()

    @property
    def log(self) -> list[str]:
        """What the command was told to do, in order."""
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []

    def behave(self, how: str) -> None:
        (self.folder / "how").write_text(how)


def _answer(folder: Path) -> Reply:
    version = (folder / "version").read_text()
    return Reply(json.dumps({"version": version}), 200 if version else 503)


def _toml(url: str, folder: Path) -> str:
    def tool(action: str, argument: str) -> str:
        return json.dumps([sys.executable, "-S", str(folder / "tool.py"), action, argument])

    return f"""
[target]
name = "shop"
release = "{NEW}"
[deployment]
url = "{url}/version"
previous = "{OLD}"
adapter = "command"
rate_per_s = 100
steady_s = 1
change_within_s = 20
[deployment.command]
deploy = {tool("deploy", "{release}")}
rollback = {tool("rollback", "{release}")}
[deployment.data]
write = {tool("write", "{id}")}
read = {tool("read", "{id}")}
remove = {tool("remove", "{id}")}
"""


@contextmanager
def drilled_target(folder: Path, release: str = NEW) -> Iterator[DrilledTarget]:
    """The target, while the block runs."""
    (folder / "tool.py").write_text(_TOOL)
    (folder / "how").write_text("slow")
    (folder / "version").write_text(release)
    with SmallServer({"/version": lambda: _answer(folder)}) as server:
        path = folder / "readiness.toml"
        path.write_text(_toml(server.url, folder))
        yield DrilledTarget(folder, load(path, {}), server)


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


def build(engine: "APIClient", registry: str, file: Path) -> None:
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
    path.write_text(_compose_toml(port, folder))
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


def _compose_toml(port: int, folder: Path) -> str:
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
