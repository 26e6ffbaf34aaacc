"""The files around a release of the shop: configuration, backups, artifacts, a report."""

import hashlib
import json
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Final

from readiness.servers.fleet.releases import CONFIGURATIONS, NEW, OLD

FOLDER: Final = "release"
DATABASE: Final = "database.dump"
UPLOADS: Final = "uploads.tar.gz"
_TOOK: Final = timedelta(seconds=42)


@dataclass(frozen=True, slots=True)
class ReleaseFiles:
    """Where they are.

    Attributes:
        folder: the report, and the folders `deploy`, `saved` and `store`.
        has_database: whether the database was backed up.
    """

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
        release: that is deployed.
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
        told = hashlib.sha256(copy.read_bytes()).hexdigest()
        copy.with_name(f"{copy.name}.sha256").write_text(f"{told}  {copy.name}\n")
    _report(files.report, release)
    return files


def _configure(folder: Path) -> None:
    for file in (
        resources.files("readiness.areas.deployment.reference").joinpath("deploy").iterdir()
    ):
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
