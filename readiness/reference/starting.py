"""Starts the parts of the reference system in parallel, each as soon as its needs are met."""

import os
import sys
import tempfile
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import Final, TypeVar

from readiness.areas.backup.reference import wal_archive
from readiness.areas.backup.reference.backups import (
    Backups,
    file_receipts,
    make_backups,
    programs_for,
)
from readiness.areas.backup.reference.wal_archive import WalArchive
from readiness.areas.configuration.reference import target as configuration
from readiness.areas.database.reference import parts
from readiness.areas.database.reference.parts import Pooler, start_pooler, start_standby
from readiness.areas.database.reference.timescale import PART as TIMESCALE
from readiness.areas.database.reference.timescale import Metrics, start_metrics
from readiness.areas.deployment.reference import target
from readiness.areas.manifests import reference as manifests
from readiness.areas.scaling.reference import copy_manifests
from readiness.areas.security.reference.cache import PART as CACHE
from readiness.areas.security.reference.cache import Catalog, start_catalog
from readiness.areas.security.reference.edge import PART as EDGE
from readiness.areas.security.reference.edge import Edge, start_edge
from readiness.areas.security.reference.target import write_audit
from readiness.areas.signoff import reference as signoff
from readiness.lib.guardian import Guardian
from readiness.model.errors import ReferenceSystemError
from readiness.model.secrets import register
from readiness.reference import database
from readiness.reference.database import create_shop, fill_shop, read_shop
from readiness.reference.parts import WATCHING, absent_here
from readiness.reference.providers import LOCAL, start_server
from readiness.reference.running import Running
from readiness.reference.service.settings import RELEASES
from readiness.reference.stack import Monitoring
from readiness.servers import programs
from readiness.servers.fleet.starting import PART as FLEET
from readiness.servers.fleet.starting import Fleet, make_store, start_fleet
from readiness.servers.postgres import PrivatePostgres, PrivateStandby
from readiness.servers.processes import Daemon
from readiness.servers.shop import Server, Shop

ENVIRONMENT: Final = "reference"
CONFIG: Final = "readiness.toml"
_BEHAVIOUR: Final = "behaviour.json"
_HISTORY: Final = "shop.history"
_METRICS_HISTORY: Final = "metrics.history"
Progress = Callable[[str], None]
MONITORING: Final = "monitoring"
STANDBY: Final = "standby"
POOLER: Final = "pooler"
BACKUP: Final = "backup"
STARTABLE: Final = frozenset(
    {MONITORING, STANDBY, POOLER, BACKUP, wal_archive.PART, FLEET, EDGE, CACHE, TIMESCALE}
)
"""The optional parts; the server with the shop and the service are always started."""
_T = TypeVar("_T")
_NOT_WANTED: Final = "this system was started without it"


@dataclass(frozen=True, slots=True)
class _Base:
    """The server that everything else needs.

    Attributes:
        provider: where it comes from.
        server: the PostgreSQL server.
        refused: the providers that failed before, each with the reason.
        archive: where its WAL goes, or why it has no archive.
    """

    provider: str
    server: Server
    refused: dict[str, str]
    archive: WalArchive | str


@dataclass(frozen=True, slots=True)
class _Beside:
    """What starts in parallel with the shop; each result is the part, or why it is absent."""

    archive: Future[WalArchive | str]
    edge: Future[Edge | str]
    catalog: Future[Catalog | str]
    fleet: Future[Fleet | str]
    standby: Future[PrivateStandby | str]
    pooler: Future[Pooler | str]
    metrics: Future[Metrics | str]

    def absent(self) -> dict[str, str]:
        """The absent parts, each with the reason."""
        found = {
            STANDBY: self.standby.result(),
            POOLER: self.pooler.result(),
            wal_archive.PART: self.archive.result(),
            EDGE: self.edge.result(),
            CACHE: self.catalog.result(),
            FLEET: self.fleet.result(),
            TIMESCALE: self.metrics.result(),
        }
        return {part: why for part, why in found.items() if isinstance(why, str)}


class Starter:
    """Starts one system.

    Args:
        folder: where all its files go.
        guardian: stops everything when this process dies.
        release: the release of the service.
        parts: which of `STARTABLE` to start.
        progress: called with a short text at each step.
    """

    def __init__(
        self,
        folder: Path,
        guardian: Guardian,
        release: str,
        parts: Collection[str],
        progress: Progress,
    ) -> None:
        self._folder = folder
        self._guardian = guardian
        self._release = release
        self._parts = parts
        self._progress = progress
        self._secrets = {
            "REFERENCE_ADMIN_TOKEN": token_hex(16),
            "REFERENCE_CRON_SECRET": token_hex(16),
        }
        for secret in self._secrets.values():
            register(secret)

    def start(self, provider: str | None) -> Running:
        """Start everything, and wait until it answers.

        Raises:
            ReferenceSystemError: PostgreSQL or the service did not start.
        """
        executor = ThreadPoolExecutor(max_workers=12, thread_name_prefix="reference")
        try:
            return self._start(executor, provider)
        except BaseException:  # an interrupt too must leave nothing
            # Stop the programs first: threads are waiting for them.
            self._guardian.undo()
            raise
        finally:
            executor.shutdown(wait=True, cancel_futures=True)

    def _start(self, executor: ThreadPoolExecutor, provider: str | None) -> Running:
        # All in one download; a part whose program is missing is absent, with the reason.
        programs.fetch(programs.REFERENCE, self._progress)
        stack = Monitoring(self._folder, self._guardian, self._release)
        made: Future[Shop] = Future()
        metrics = self._optional(
            executor, TIMESCALE, lambda: start_metrics(self._folder / "metrics", self._guardian)
        )
        service = executor.submit(lambda: self._service(made.result()).start())
        watching = (
            executor.submit(stack.start_all, executor, service, made)
            if MONITORING in self._parts
            else None
        )
        if not watching:
            stack.absent |= dict.fromkeys(WATCHING, _NOT_WANTED)
        try:
            base = self._base(provider)
            archive = executor.submit(_begin, base)
            shop = create_shop(base.server)
            made.set_result(shop)
        except BaseException as problem:  # other threads wait for it
            if not made.done():
                made.set_exception(
                    problem if isinstance(problem, Exception) else ReferenceSystemError("ended")
                )
            raise
        self._progress(
            f"PostgreSQL runs ({base.provider}); filling the database, starting the service"
        )
        filled = executor.submit(_fill, shop)
        beside = self._beside(executor, base, shop, archive, metrics, service)
        filled.result()
        history_of = executor.submit(self._use, shop)
        reading = executor.submit(read_shop, shop)
        backups = self._back_up(base.server, shop, stack)
        if watching:
            self._progress("starting the monitoring")
            watching.result()
        reading.result()
        return self._running(base, shop, service.result(), stack, beside, backups, history_of)

    def _base(self, provider: str | None) -> _Base:
        self._progress("starting PostgreSQL")
        archive = (
            wal_archive.prepare(self._folder / "archive", self._guardian)
            if wal_archive.PART in self._parts
            else _NOT_WANTED
        )
        settings = {} if isinstance(archive, str) else archive.settings()
        folder = self._folder / "postgres"
        name, server, refused = start_server(provider, folder, self._guardian, settings)
        return _Base(name, server, refused, archive)

    def _beside(
        self,
        executor: ThreadPoolExecutor,
        base: _Base,
        shop: Shop,
        archive: Future[WalArchive | str],
        metrics: Future[Metrics | str],
        service: Future[Daemon],
    ) -> _Beside:
        folder, guardian = self._folder, self._guardian

        def edge() -> Edge | str:
            return start_edge(service.result().port, folder / EDGE, guardian)

        def standby() -> PrivateStandby | str:
            part, reason = start_standby(base.server, shop, folder / "standby", guardian)
            return part or reason

        def pooler() -> Pooler | str:
            part, reason = start_pooler(shop, folder / "pooler", guardian)
            return part or reason

        return _Beside(
            archive=archive,
            edge=self._optional(executor, EDGE, edge),
            catalog=self._optional(
                executor, CACHE, lambda: start_catalog(folder / CACHE, guardian)
            ),
            fleet=self._optional(executor, FLEET, lambda: self._deploy(base.server)),
            standby=self._optional(executor, STANDBY, standby),
            pooler=self._optional(executor, POOLER, pooler),
            metrics=metrics,
        )

    def _optional(
        self, executor: ThreadPoolExecutor, part: str, start: Callable[[], _T | str]
    ) -> Future[_T | str]:
        """Start a part in parallel if it is wanted."""
        if part in self._parts:
            return executor.submit(start)
        unwanted: Future[_T | str] = Future()
        unwanted.set_result(_NOT_WANTED)
        return unwanted

    def _running(
        self,
        base: _Base,
        shop: Shop,
        service: Daemon,
        stack: Monitoring,
        beside: _Beside,
        backups: Backups | None,
        history_of: Future[Path],
    ) -> Running:
        metrics = _there(beside.metrics)
        manifests.copy_files(self._folder)
        # First what is written here: the parts that are waited for start meanwhile.
        return Running(
            release=self._release,
            provider=base.provider,
            audited=write_audit(self._folder, RELEASES.get(self._release, "")),
            released=target.make(self._folder, self._release, _copies(backups)),
            configuration=configuration.make(self._folder, self._variables(shop)),
            migrations=database.copy_files(self._folder),
            manifest=database.save_manifest(shop.monitor, self._folder),
            cluster=copy_manifests(self._folder),
            signed=signoff.make(self._folder, self._release),
            server=base.server,
            shop=shop,
            service=service,
            monitoring=stack,
            standby=_there(beside.standby),
            pooler=_there(beside.pooler),
            metrics=metrics,
            fleet=_there(beside.fleet),
            edge=_there(beside.edge),
            catalog=_there(beside.catalog),
            backups=backups and replace(backups, archive=_there(beside.archive)),
            config=self._folder / CONFIG,
            behaviour=self._folder / _BEHAVIOUR,
            history=history_of.result(),
            metrics_history=self._record(metrics) if metrics else None,
            secrets=self._secrets,
            absent={
                **{f"provider {name}": reason for name, reason in base.refused.items()},
                **stack.absent,
                **beside.absent(),
                **manifests.absent(),
                **absent_here(shop, backups, programs_for(base.server), datetime.now(UTC).date()),
            },
        )

    def _memory_folder(self) -> Path:
        """Where the workers keep their counters: in memory where possible.

        They are files mapped into memory: on a busy disk, counting a request blocks the event
        loop until the page is written.
        """
        memory = Path("/dev/shm")  # noqa: S108 - mkdtemp makes it safe
        place = memory if os.access(memory, os.W_OK) else self._folder
        made = Path(tempfile.mkdtemp(prefix="readiness-metrics-", dir=place))
        self._guardian.remove(made)
        return made

    def _service(self, shop: Shop) -> Daemon:
        return Daemon(
            "service",
            lambda port: [sys.executable, "-m", "readiness.reference.service", str(port)],
            self._folder,
            self._guardian,
            "/health/ready",
            {
                **self._variables(shop),
                "SERVICE_BEHAVIOUR": str(self._folder / _BEHAVIOUR),
                "SERVICE_STATEMENTS": str(self._folder / parts.FILE),
                "PROMETHEUS_MULTIPROC_DIR": str(self._memory_folder()),
            },
        )

    def _variables(self, shop: Shop) -> dict[str, str]:
        """What configures the service."""
        return {
            "SERVICE_VERSION": self._release,
            "SERVICE_ENVIRONMENT": ENVIRONMENT,
            "DATABASE_URL": shop.app,
            "ADMIN_TOKEN": self._secrets["REFERENCE_ADMIN_TOKEN"],
            "CRON_SECRET": self._secrets["REFERENCE_CRON_SECRET"],
        }

    def _deploy(self, server: Server) -> Fleet | str:
        folder = self._folder / FLEET
        return start_fleet(make_store(server), self._release, folder, self._guardian)

    def _use(self, shop: Shop) -> Path:
        """Use the shop as customers do, and record snapshots of it; returns their file."""
        file = self._folder / _HISTORY
        parts.visit(shop.app, self._folder / parts.FILE)
        parts.begin(file, *parts.taken(shop.monitor))
        return file

    def _record(self, metrics: Metrics) -> Path:
        file = self._folder / _METRICS_HISTORY
        parts.begin(file, *parts.taken(metrics.monitor))
        return file

    def _back_up(self, server: Server, shop: Shop, stack: Monitoring) -> Backups | None:
        if BACKUP not in self._parts:
            stack.absent[BACKUP] = _NOT_WANTED
            return None
        self._progress("writing a backup")
        return make_backups(shop, self._folder, programs_for(server))


def _there(part: Future[_T | str]) -> _T | None:
    """The part, or None if it is absent."""
    found = part.result()
    return None if isinstance(found, str) else found


def _copies(backups: Backups | None) -> dict[str, Path]:
    """What is saved before a release in addition to its configuration."""
    if backups is None:
        return {}
    return {target.DATABASE: backups.dump, target.UPLOADS: backups.uploads}


def _fill(shop: Shop) -> None:
    fill_shop(shop)
    file_receipts(shop)


def _begin(base: _Base) -> WalArchive | str:
    """The archive, once it contains a backup of the server; or why there is none."""
    archive = base.archive
    if isinstance(archive, str):
        return archive
    if base.provider != LOCAL or not isinstance(base.server, PrivatePostgres):
        return f"the WAL archive needs the provider local, not {base.provider}"
    try:
        archive.begin(base.server)
    except ReferenceSystemError as problem:
        return problem.sentence
    return archive
