"""The files around a release of the shop, how readiness.toml says it is deployed, and levers."""

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tarfile
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any, Final

from readiness.areas.deployment.reference import commands
from readiness.model.errors import ReferenceSystemError
from readiness.servers.files import kept, quoted, replace_in, write_whole
from readiness.servers.fleet.behaviour import Behaviour
from readiness.servers.fleet.releases import BAD, CONFIGURATIONS, NEW, OLD
from readiness.servers.fleet.starting import COUNT, Fleet

FOLDER: Final = "release"
DATABASE: Final = "database.dump"
UPLOADS: Final = "uploads.tar.gz"
_TOOK: Final = timedelta(seconds=42)


@dataclass(frozen=True, slots=True)
class ReleaseFiles:
    """The report, and the folders `deploy`, `saved` (backups) and `store` (artifacts)."""

    folder: Path
    has_database: bool

    @property
    def deploy(self) -> Path:
        """The configuration that is deployed with it."""
        return self.folder / "deploy"

    @property
    def saved(self) -> Path:
        """The backups made before."""
        return self.folder / "saved"

    @property
    def store(self) -> Path:
        """The artifacts of the releases."""
        return self.folder / "store"

    @property
    def report(self) -> Path:
        """The deployment report."""
        return self.folder / "deploy-report.json"


def make(root: Path, release: str, copies: Mapping[str, Path]) -> ReleaseFiles:
    """Write all of them.

    Args:
        root: where their folder is made.
        release: the release that is deployed.
        copies: what was saved beside the configuration, by name: `DATABASE`, `UPLOADS`.
    """
    files = ReleaseFiles(root / FOLDER, DATABASE in copies)
    for folder in (files.folder, files.deploy, files.saved, files.store):
        folder.mkdir()
    _configure(files.deploy)
    for known in (OLD, NEW):
        _pack(files.deploy, files.store / f"shop-{known}.tar.gz")
    _pack(files.deploy, files.saved / "configuration.tar.gz")
    for name, saved in copies.items():
        shutil.copy(saved, files.saved / name)
    for copy in sorted(files.saved.iterdir()):
        digest = hashlib.sha256(copy.read_bytes()).hexdigest()
        copy.with_name(f"{copy.name}.sha256").write_text(f"{digest}  {copy.name}\n")
    _report(files.report, release)
    return files


def _configure(folder: Path) -> None:
    source = resources.files("readiness.areas.deployment.reference").joinpath("deploy")
    for file in source.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    (folder / "releases.json").write_text(
        json.dumps({name: dict(values) for name, values in CONFIGURATIONS.items()}, indent=1)
    )


def _pack(folder: Path, archive: Path) -> None:
    with tarfile.open(archive, "w:gz") as opened:
        opened.add(folder, arcname="deploy")


def _report(path: Path, release: str) -> None:
    ended = datetime.now(UTC)
    content = {
        "release": release,
        "previous": OLD if release == NEW else NEW,
        "by": "deploy-bot",
        "started_at": (ended - _TOOK).isoformat(),
        "finished_at": ended.isoformat(),
        "result": "success",
        "backup": f"saved/{DATABASE}",
        "steps": [
            {"name": "save", "duration_s": 9.5},
            {"name": "migrate", "duration_s": 2.5},
            {"name": "roll out", "duration_s": 30.0},
        ],
    }
    path.write_text(json.dumps(content, indent=1))


class ReleaseLevers:
    """Breaks the files around a release; a part of `readiness.reference.levers.Levers`."""

    _released: ReleaseFiles

    @contextlib.contextmanager
    def change_release_file(self, name: str, change: Callable[[Path], object]) -> Iterator[None]:
        """Change one of the files, such as `deploy/shop.toml`."""
        path = self._released.folder / name
        with kept(path):
            change(path)
            yield

    def edit_release_file(self, name: str, old: str, new: str) -> AbstractContextManager[None]:
        """Replace a text in one of the files.

        Raises:
            ReferenceSystemError: the file does not contain the text.
        """
        return self.change_release_file(name, lambda path: replace_in(path, old, new))

    def age_release_file(self, name: str, by: timedelta) -> AbstractContextManager[None]:
        """Make one of the files older, or younger by a negative time."""

        def age(path: Path) -> None:
            moved = path.stat().st_mtime_ns - int(by.total_seconds() * 1e9)
            os.utime(path, ns=(moved, moved))

        return self.change_release_file(name, age)

    def in_cgroup(self, *, limit: int) -> AbstractContextManager[None]:
        """Give the machine a cgroup with that memory limit, in bytes."""
        commands = "readiness.areas.deployment.reference.commands"
        words = [sys.executable, "-m", commands, "in-cgroup", str(limit)]
        run_on = f"run_on = [{', '.join(map(quoted, words))}]"
        return self.replace_in_config("[deployment.host]", f"[deployment.host]\n{run_on}")

    def runtime(self, script: str) -> AbstractContextManager[None]:
        """Replace the container runtime by a Python script."""
        python = quoted(sys.executable)
        return self.replace_in_config(
            f'runtime = [{python}, "--version"]', f'runtime = [{python}, "-c", {quoted(script)}]'
        )

    @abstractmethod
    def replace_in_config(self, old: str, new: str) -> AbstractContextManager[None]:
        """Replace a text in the system's readiness.toml, everywhere."""


class FleetLevers:
    """Breaks the fleet; a part of `Levers`."""

    _fleet: Fleet | None

    @contextlib.contextmanager
    def fleet(self, **switches: Any) -> Iterator[Fleet]:
        """Make the fleet misbehave, see `Behaviour`, and reset it afterwards.

        Yields the fleet, for faults that deploy something.
        """
        if self._fleet is None:
            raise ReferenceSystemError("this system has no fleet")
        wrong = Behaviour(**switches)
        write_whole(self._fleet.behaviour, wrong.model_dump_json(exclude_unset=True).encode())
        try:
            yield self._fleet
        finally:
            self._fleet.behaviour.unlink(missing_ok=True)
            self._fleet.reset()


_ACTIONS: Final = (
    ("deploy", "{release}"),
    ("rollback", "{release}"),
    ("state",),
    ("replicas",),
    ("status",),
)
_NOTES: Final = ("write", "read", "remove")


def deployment(fleet: Fleet) -> str:
    """[deployment], .command, .data and .slow_request."""
    return _DEPLOYMENT.format(
        url=f"{fleet.url}/version",
        count=COUNT,
        release=fleet.release,
        previous=OLD if fleet.release == NEW else NEW,
        bad=BAD,
        command="\n".join(f"{asked[0]} = {_argv(fleet, *asked)}" for asked in _ACTIONS),
        data="\n".join(f"{action} = {_argv(fleet, action, '{id}')}" for action in _NOTES),
        stop_one=_argv(fleet, "stop-one"),
    )


def _argv(fleet: Fleet, *asked: str) -> str:
    return f"[{', '.join(map(quoted, fleet.tool(*asked)))}]"


_DEPLOYMENT: Final = """
# The deployed service, as users reach it.
[deployment]
url = "{url}"
version_key = "version"
replica_header = "x-replica"
replicas = {count}
release = "{release}"
previous = "{previous}"
# It answers with errors: the fleet must roll it back automatically.
bad_release = "{bad}"
adapter = "command"
# A busy machine answers late, and that is not judged here.
timeout_s = 10
steady_s = 1
change_within_s = 90
rollback_max_s = 15
auto_rollback_max_s = 90
# There are no users here: a broken change may run to its end.
abort_failures = 300
abort_outage_s = 30
# The machine does much else, such as starting the replicas.
p99_floor_ms = 500

[deployment.command]
{command}

# A synthetic row, written through the public URL.
[deployment.data]
{data}

[deployment.slow_request]
path = "/slow?s=1"
stop_one = {stop_one}
"""


def before(files: ReleaseFiles, service: str) -> str:
    """[deployment.host] and the tables after it."""
    values = {
        "@FOLDER@": str(files.folder),
        "@DEPLOY@": str(files.deploy),
        "@SAVED@": str(files.saved),
        "@STORE@": str(files.store),
        "@PYTHON@": sys.executable,
        "@COMMANDS@": commands.__name__,
        "@SERVICE@": service,
        "@REPORT@": str(files.report),
    }
    text = _BEFORE + (_DATABASE if files.has_database else "")
    for placeholder, value in values.items():
        text = text.replace(placeholder, quoted(value)[1:-1])
    return text


def alone(service: str, release: str) -> str:
    """[deployment] without a fleet: the order service, whose release cannot be changed."""
    return _ALONE.format(
        url=f"{service}/version", release=release, previous=OLD if release == NEW else NEW
    )


_ALONE: Final = """
# The deployed service. Nothing changes its release: there is no fleet on this machine.
[deployment]
url = "{url}"
release = "{release}"
previous = "{previous}"
"""

_BEFORE: Final = """
# The reference system is small, and so is what it needs.
[deployment.host]
disk_paths = ["@FOLDER@"]
min_disk_bytes = 1_073_741_824
min_memory_bytes = 2_147_483_648
min_available_bytes = 134_217_728
# Its releases run without a container: what they need is Python.
runtime = ["@PYTHON@", "--version"]
min_runtime = "3.11"

[deployment.files]
parse = ["@DEPLOY@/*"]
commands = [["@PYTHON@", "-m", "json.tool", "@DEPLOY@/releases.json"]]

[deployment.order]
compose = "@DEPLOY@/docker-compose.yml"
# 30 tries of 10 s.
patience_s = { database = 300 }

# Backed up when the system starts, which may run for a day.
[deployment.layers.configuration]
path = "@SAVED@"
pattern = "configuration.tar.gz"
max_age_min = 1440
sha256 = true

# The artifacts of the releases.
[deployment.artifact]
command = ["@PYTHON@", "-m", "@COMMANDS@", "artifact", "@STORE@/shop-{release}.tar.gz"]
prints = '^shop-{release}\\.tar\\.gz$'

# The order service is deployed with the fleet, and serves at another URL.
[deployment.workers.orders]
command = ["@PYTHON@", "-m", "@COMMANDS@", "release", "@SERVICE@"]

[deployment.report]
path = "@REPORT@"

# The order service of the previous release, on the schema of this one.
[deployment.compatibility]
database = "shop"
dsn = "${REFERENCE_BACKUP_DSN}"
start = ["@PYTHON@", "-m", "@COMMANDS@", "previous", "{release}", "{dsn}", "{port}"]
smoke = ["/api/orders", "/version"]
"""

_DATABASE: Final = """
[deployment.layers.database]
path = "@SAVED@"
pattern = "*.dump"
max_age_min = 1440
sha256 = true

[deployment.layers.uploads]
path = "@SAVED@"
pattern = "uploads.tar.gz"
max_age_min = 1440
sha256 = true
"""
