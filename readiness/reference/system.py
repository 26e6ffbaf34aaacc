"""The reference system as a whole: starts it; stopping it removes everything."""

import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Self

from readiness.lib.guardian import Guardian
from readiness.model.errors import ReferenceSystemError
from readiness.reference.levers import Levers
from readiness.reference.parts import coverage
from readiness.reference.providers import wanted_provider
from readiness.reference.running import Running
from readiness.reference.service.settings import RELEASES
from readiness.reference.starting import CONFIG, ENVIRONMENT, STARTABLE, Progress, Starter

__all__ = ["ENVIRONMENT", "STARTABLE", "Progress", "ReferenceSystem"]


class ReferenceSystem:
    """A small but real deployment, made by `start`.

    Attributes:
        folder: all its files; temporary, removed at the end.
        config_path: its readiness.toml.
        environ: the variables that the file refers to, for the gate's environment.
        levers: break it in one way and restore it.
        absent: the parts that this machine cannot have, each with the reason and the remedy.
        coverage: how many parts it has, and why the others are absent.
        provider: where its PostgreSQL comes from: `docker`, `local` or `wheel`.
        inbox_url: where its alerts arrive; None without monitoring.
        service_url: the order service.
    """

    def __init__(self, folder: Path, guardian: Guardian, version: str) -> None:
        self.folder = folder
        self.config_path = folder / CONFIG
        self.environ: dict[str, str] = {}
        self.levers: Levers
        self.absent: dict[str, str] = {}
        self.coverage = ""
        self.provider = ""
        self.service_url = ""
        self.inbox_url: str | None = None
        self._guardian = guardian
        self._version = version
        self._running: Running | None = None

    @classmethod
    def start(
        cls,
        *,
        provider: str | None = None,
        parts: Collection[str] = STARTABLE,
        version: str = "1.5.0",
        progress: Progress | None = None,
    ) -> Self:
        """Start everything, and wait until it answers.

        Args:
            provider: `docker`, `local` or `wheel`; default: READINESS_PROVIDER, then the first
                that is available.
            parts: which of `STARTABLE` to start in addition to the server, the shop and the
                service.
            version: the release of the service.
            progress: called with a short text at each step.

        Raises:
            ReferenceSystemError: PostgreSQL or the service did not start, or a part, release
                or provider is unknown.
        """
        if unknown := sorted(set(parts) - STARTABLE):
            raise ReferenceSystemError(
                f"unknown part {unknown[0]!r}",
                remedy=f"use some of: {', '.join(sorted(STARTABLE))}",
            )
        if version not in RELEASES:
            raise ReferenceSystemError(
                f"unknown release {version!r}",
                remedy=f"use one of: {', '.join(RELEASES)}",
            )
        provider = wanted_provider(provider)
        guardian = Guardian()
        try:
            folder = Path(tempfile.mkdtemp(prefix="readiness-reference-"))
            guardian.remove(folder)
            folder.chmod(0o711)  # the account that PostgreSQL runs as passes through
            system = cls(folder, guardian, version)
            system._start(provider, parts, progress or (lambda _: None))
        except BaseException:  # an interrupt too must leave nothing
            guardian.undo()
            raise
        return system

    def stop(self) -> None:
        """Stop everything and remove all files. May be called twice."""
        self._guardian.undo()
        shutil.rmtree(self.folder, ignore_errors=True)
        running, self._running = self._running, None
        if running:
            running.stop()

    def _start(self, provider: str | None, parts: Collection[str], progress: Progress) -> None:
        starter = Starter(self.folder, self._guardian, self._version, parts, progress)
        running = self._running = starter.start(provider)
        self.provider, self.absent = running.provider, running.absent
        self.coverage = coverage(running.absent)
        self.service_url = running.service.url
        self.inbox_url = running.monitoring.url("inbox")
        self.environ = running.environ(self.folder)
        running.write_config(self.environ)
        self.levers = Levers(running)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
