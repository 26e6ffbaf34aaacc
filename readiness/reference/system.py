"""The reference system as a whole: starts in seconds, and leaves nothing."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import Final, Self

from readiness.errors import ReferenceSystemError
from readiness.guardian import Guardian
from readiness.reference import (
    canary,
    error_tracker,
    pause,
    target,
    target_monitoring,
    vault,
    wal_archive,
)
from readiness.reference.backup_job import is_available, programs_for
from readiness.reference.backups import Backups, file_receipts, make_backups
from readiness.reference.database import Shop, create_shop, fill_shop
from readiness.reference.drill import ADMIN_DSN
from readiness.reference.levers import Levers, Parts
from readiness.reference.monitoring import Monitoring
from readiness.reference.processes import Daemon
from readiness.reference.providers import LOCAL, Server, start_server
from readiness.reference.service.settings import RELEASES
from readiness.reference.wal_archive import WalArchive
from readiness.secrets import register
from readiness.servers.postgres import PrivatePostgres

ENVIRONMENT: Final = "reference"
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Started:
    """What runs once everything has started."""

    provider: str
    server: Server
    shop: Shop
    service: Daemon
    monitoring: Monitoring
    backups: Backups | None
    absent: dict[str, str]


class ReferenceSystem:
    """A small but real deployment, made by `start`.

    Attributes:
        folder: all its files; temporary, removed at the end.
        config_path: its readiness.toml.
        environ: the variables that the file refers to; put them into the gate's environment.
        levers: what breaks it, and puts it back.
        absent: the parts that could not be had here, each with the reason and the remedy.
        provider: where its PostgreSQL comes from: `docker`, `local` or `wheel`.
        inbox_url: where the alerts arrive; None without monitoring.
        service_url: the order service.
    """

    def __init__(self, folder: Path, guardian: Guardian, version: str) -> None:
        self.folder = folder
        self.config_path = folder / "readiness.toml"
        self.environ: dict[str, str] = {}
        self.levers: Levers
        self.absent: dict[str, str] = {}
        self.provider = ""
        self.service_url = ""
        self.inbox_url: str | None = None
        self._guardian = guardian
        self._version = version
        self._running: _Started | None = None

    @classmethod
    def start(
        cls,
        *,
        provider: str | None = None,
        monitoring: bool = True,
        version: str = "1.5.0",
        progress: Progress | None = None,
    ) -> Self:
        """Start everything, and wait until it answers.

        Args:
            provider: `docker`, `local` or `wheel`; else READINESS_PROVIDER, else what there is.
            monitoring: whether to start Prometheus and what belongs to it.
            version: the release of the service.
            progress: is told, in a few words, what is being done.

        Raises:
            ReferenceSystemError: PostgreSQL or the service did not start.
        """
        if version not in RELEASES:
            raise ReferenceSystemError(
                f"the service has no release {version!r}",
                remedy=f"use one of: {', '.join(RELEASES)}",
            )
        guardian = Guardian()
        try:
            folder = Path(tempfile.mkdtemp(prefix="readiness-reference-"))
            guardian.remove(folder)
            folder.chmod(0o711)  # the account that PostgreSQL runs as passes through
            system = cls(folder, guardian, version)
            system._start(provider, monitoring, progress or (lambda _: None))
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
            for daemon in (running.service, *running.monitoring.running.values()):
                daemon.stop()
            running.server.stop("immediate")

    def _start(self, provider: str | None, monitoring: bool, progress: Progress) -> None:
        executor = ThreadPoolExecutor(max_workers=8, thread_name_prefix="reference")
        try:
            self._running = self._start_parts(executor, provider, monitoring, progress)
        except BaseException:
            # End the programs first: that ends the threads that wait for them.
            self._guardian.undo()
            raise
        finally:
            executor.shutdown(wait=True, cancel_futures=True)
        self._describe(self._running)

    def _start_parts(
        self,
        executor: ThreadPoolExecutor,
        provider: str | None,
        monitoring: bool,
        progress: Progress,
    ) -> _Started:
        stack = Monitoring(self.folder, self._guardian)
        dsn: Future[str] = Future()
        service: Future[Daemon] = Future()
        watching = executor.submit(stack.start_all, executor, service, dsn) if monitoring else None
        try:
            progress("starting PostgreSQL")
            place = wal_archive.prepare(self.folder / "archive", self._guardian)
            local = {} if isinstance(place, str) else place.settings()
            name, server, reasons = start_server(
                provider, self.folder / "postgres", self._guardian, local
            )
            archiving = executor.submit(_begin, place, server, name)
            shop = create_shop(server)
            dsn.set_result(shop.monitor)
            progress(f"PostgreSQL runs ({name}); filling the shop, starting the service")
            filled = executor.submit(_fill, shop)
            service.set_result(self._service(shop).start())
            filled.result()
        except BaseException as problem:
            # Whoever waits for these must not wait for ever.
            for future in (dsn, service):
                if not future.done():
                    future.set_exception(
                        problem if isinstance(problem, Exception) else ReferenceSystemError("ended")
                    )
            raise
        backups = self._back_up(server, shop, stack, progress)
        begun = archiving.result()
        if isinstance(begun, str):
            stack.absent[wal_archive.PART] = begun
        elif backups:
            backups = replace(backups, archive=begun)
        if watching:
            progress("starting the monitoring")
            watching.result()
        absent = {**{f"provider {k}": v for k, v in reasons.items()}, **stack.absent}
        return _Started(name, server, shop, service.result(), stack, backups, absent)

    def _memory_folder(self) -> Path:
        """Where the workers keep their counters, in memory if the system has such a place.

        They are files mapped into memory: on a disk that is busy, counting a request stands
        still until the page is written, and the whole event loop with it.
        """
        memory = Path("/dev/shm")  # noqa: S108 - mkdtemp makes it safe
        place = memory if os.access(memory, os.W_OK) else self.folder
        made = Path(tempfile.mkdtemp(prefix="readiness-metrics-", dir=place))
        self._guardian.remove(made)
        return made

    def _service(self, shop: Shop) -> Daemon:
        multiprocess = self._memory_folder()
        self.environ |= {
            "REFERENCE_ADMIN_TOKEN": token_hex(16),
            "REFERENCE_CRON_SECRET": token_hex(16),
        }
        for secret in self.environ.values():
            register(secret)
        return Daemon(
            "service",
            lambda port: [sys.executable, "-m", "readiness.reference.service", str(port)],
            self.folder,
            self._guardian,
            "/health/ready",
            {
                "SERVICE_VERSION": self._version,
                "SERVICE_ENVIRONMENT": ENVIRONMENT,
                "SERVICE_BEHAVIOUR": str(self.folder / "behaviour.json"),
                "DATABASE_URL": shop.app,
                "ADMIN_TOKEN": self.environ["REFERENCE_ADMIN_TOKEN"],
                "CRON_SECRET": self.environ["REFERENCE_CRON_SECRET"],
                "PROMETHEUS_MULTIPROC_DIR": str(multiprocess),
            },
        )

    def _back_up(
        self,
        server: Server,
        shop: Shop,
        stack: Monitoring,
        progress: Progress,
    ) -> Backups | None:
        if not is_available():
            stack.absent["backup"] = "this installation has no writer of manifests"
            return None
        progress("writing a backup")
        return make_backups(shop, self.folder, programs_for(server))

    def _describe(self, running: _Started) -> None:
        shop, stack = running.shop, running.monitoring
        self.provider, self.absent = running.provider, running.absent
        self.service_url, self.inbox_url = running.service.url, stack.url("inbox")
        self.environ |= {
            "REFERENCE_MONITOR_DSN": shop.monitor,
            "REFERENCE_APP_DSN": shop.app,
            "REFERENCE_OWNER_DSN": shop.owner,
            "REFERENCE_BACKUP_DSN": shop.backup,
            "REFERENCE_DRILL_DSN": shop.drill,
            vault.FOLDER: str(self.folder / "vault"),
            ADMIN_DSN: shop.admin,
            canary.FOLDER: str(self.folder),
            pause.FOLDER: str(self.folder),
            **stack.secrets,
        }
        if tracker := stack.url("error_tracker"):
            key = stack.secrets[error_tracker.KEY]
            self.environ["REFERENCE_TRACKER_DSN"] = target_monitoring.dsn(tracker, key)
        facts = target.Facts(
            service=running.service.url,
            release=self._version,
            watch=target_monitoring.Watch(
                prometheus=stack.url("prometheus"),
                running=stack.running,
                service=running.service.url,
                site=stack.site_url,
                grafana=stack.url("grafana"),
                dashboard=stack.dashboard,
                tracker=stack.url("error_tracker"),
            ),
            has_statistics=shop.has_statistics,
            alertmanagers=stack.peers,
            inbox=stack.url("inbox"),
            pager=stack.url("pager"),
            listener=stack.listener,
            backups=running.backups,
            without_archive=self.absent.get(wal_archive.PART, ""),
        )
        self.config_path.write_text(target.readiness_toml(facts), encoding="utf-8")
        self.levers = Levers(
            Parts(
                server=running.server,
                shop=shop,
                service=running.service,
                programs=stack.running,
                behaviour=self.folder / "behaviour.json",
                config=self.config_path,
                backups=running.backups,
            )
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _fill(shop: Shop) -> None:
    fill_shop(shop)
    file_receipts(shop)


def _begin(place: WalArchive | str, server: Server, provider: str) -> WalArchive | str:
    """The archive, once it holds a backup of this server; or why there is none."""
    if isinstance(place, str):
        return place
    if provider != LOCAL or not isinstance(server, PrivatePostgres):
        return f"WAL is archived on this machine, and the provider is {provider}"
    try:
        place.begin(server)
    except ReferenceSystemError as problem:
        return problem.sentence
    return place
