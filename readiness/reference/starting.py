"""Starts the parts of the reference system, several at a time, each as soon as it can."""

import os
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import Final

from readiness.errors import ReferenceSystemError
from readiness.guardian import Guardian
from readiness.probes.migrations.squawk import is_installed as has_squawk
from readiness.reference import cluster, customers, history, migrate, wal_archive
from readiness.reference.backup_job import is_available, programs_for
from readiness.reference.backups import Backups, file_receipts, make_backups
from readiness.reference.database import Shop, create_shop, fill_shop, read_shop
from readiness.reference.fleet.starting import PART as FLEET
from readiness.reference.fleet.starting import Fleet, make_store, start_fleet
from readiness.reference.metrics import PART as TIMESCALE
from readiness.reference.metrics import Metrics, start_metrics
from readiness.reference.monitoring import Monitoring
from readiness.reference.pooler import Pooler, start_pooler
from readiness.reference.processes import Daemon
from readiness.reference.providers import LOCAL, Server, start_server
from readiness.reference.standby import start_standby
from readiness.reference.wal_archive import WalArchive
from readiness.secrets import register
from readiness.servers.postgres import PrivatePostgres
from readiness.servers.standby import PrivateStandby

ENVIRONMENT: Final = "reference"
BEHAVIOUR: Final = "behaviour.json"
_HISTORY: Final = "shop.history"
_METRICS_HISTORY: Final = "metrics.history"
_AMCHECK: Final = "this PostgreSQL comes without amcheck"
_SQUAWK: Final = "squawk is not installed here: pip install squawk-cli"
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Running:
    """What runs once everything has started.

    Attributes:
        release: of the service.
        provider: where its PostgreSQL comes from.
        server: the PostgreSQL server.
        shop: the shop's database, and how to reach it.
        service: the order service.
        monitoring: Prometheus and all that belongs to it.
        standby: follows the server; None where there is none.
        pooler: stands in front of the server; None where there is none.
        metrics: a database with TimescaleDB; None where there is none.
        fleet: what is deployed; None where there is none.
        backups: where the backups are; None where there are none.
        migrations: the folder of the migrations, as the repository has them.
        manifest: what the schema is held against.
        cluster: the folder of the manifests of Kubernetes.
        history: the file of the snapshots of the shop's database.
        metrics_history: that of the metrics; None where there are none.
        secrets: of the service, by the variable that holds each.
        absent: the parts that could not be had here, each with the reason.
    """

    release: str
    provider: str
    server: Server
    shop: Shop
    service: Daemon
    monitoring: Monitoring
    standby: PrivateStandby | None
    pooler: Pooler | None
    metrics: Metrics | None
    fleet: Fleet | None
    backups: Backups | None
    migrations: Path
    manifest: Path
    cluster: Path
    history: Path
    metrics_history: Path | None
    secrets: dict[str, str]
    absent: dict[str, str]

    def stop(self) -> None:
        """Stop all of it."""
        for daemon in (self.service, *self.monitoring.running.values()):
            daemon.stop()
        if self.fleet:
            self.fleet.daemon.stop()
        if self.pooler:
            self.pooler.stop()
        if self.standby:
            self.standby.stop("immediate")
        self.server.stop("immediate")
        if self.metrics:
            self.metrics.server.stop("immediate")


class Starter:
    """Starts one system.

    Args:
        folder: where all of its files go.
        guardian: ends everything when this process dies.
        release: of the service.
        progress: is told, in a few words, what is being done.
    """

    def __init__(self, folder: Path, guardian: Guardian, release: str, progress: Progress) -> None:
        self._folder = folder
        self._guardian = guardian
        self._release = release
        self._progress = progress
        self._secrets = {
            "REFERENCE_ADMIN_TOKEN": token_hex(16),
            "REFERENCE_CRON_SECRET": token_hex(16),
        }
        for secret in self._secrets.values():
            register(secret)

    def start(self, provider: str | None, *, monitoring: bool) -> Running:
        """Start everything, and wait until it answers.

        Raises:
            ReferenceSystemError: PostgreSQL or the service did not start.
        """
        executor = ThreadPoolExecutor(max_workers=8, thread_name_prefix="reference")
        try:
            return self._start(executor, provider, monitoring=monitoring)
        except BaseException:
            # End the programs first: that ends the threads that wait for them.
            self._guardian.undo()
            raise
        finally:
            executor.shutdown(wait=True, cancel_futures=True)

    def _start(
        self, executor: ThreadPoolExecutor, provider: str | None, *, monitoring: bool
    ) -> Running:
        stack = Monitoring(self._folder, self._guardian)
        dsn: Future[str] = Future()
        service: Future[Daemon] = Future()
        metrics = executor.submit(start_metrics, self._folder / "metrics", self._guardian)
        watching = executor.submit(stack.start_all, executor, service, dsn) if monitoring else None
        try:
            self._progress("starting PostgreSQL")
            place = wal_archive.prepare(self._folder / "archive", self._guardian)
            name, server, reasons = start_server(
                provider,
                self._folder / "postgres",
                self._guardian,
                {} if isinstance(place, str) else place.settings(),
            )
            archiving = executor.submit(_begin, place, server, name)
            shop = create_shop(server)
            deploying = executor.submit(self._deploy, server)
            dsn.set_result(shop.monitor)
            self._progress(f"PostgreSQL runs ({name}); filling the shop, starting the service")
            filled = executor.submit(_fill, shop)
            following = executor.submit(
                start_standby, server, shop, self._folder / "standby", self._guardian
            )
            pooling = executor.submit(start_pooler, shop, self._folder / "pooler", self._guardian)
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
        using = executor.submit(self._use, shop)
        reading = executor.submit(read_shop, shop)
        backups = self._back_up(server, shop, stack)
        begun = archiving.result()
        if backups and not isinstance(begun, str):
            backups = replace(backups, archive=begun)
        migrations = migrate.copy_files(self._folder)
        manifest = migrate.save_manifest(shop.monitor, self._folder)
        if watching:
            self._progress("starting the monitoring")
            watching.result()
        reading.result()
        standby, no_standby = following.result()
        pooler, no_pooler = pooling.result()
        measured = metrics.result()
        fleet = deploying.result()
        missing = {
            "standby": no_standby,
            "pooler": no_pooler,
            wal_archive.PART: begun if isinstance(begun, str) else "",
            "amcheck": "" if backups is None or backups.has_amcheck else _AMCHECK,
            "squawk": "" if has_squawk() else _SQUAWK,
            FLEET: fleet if isinstance(fleet, str) else "",
            TIMESCALE: measured if isinstance(measured, str) else "",
        }
        return Running(
            release=self._release,
            provider=name,
            server=server,
            shop=shop,
            service=service.result(),
            monitoring=stack,
            standby=standby,
            pooler=pooler,
            metrics=None if isinstance(measured, str) else measured,
            fleet=None if isinstance(fleet, str) else fleet,
            backups=backups,
            migrations=migrations,
            manifest=manifest,
            cluster=cluster.copy_files(self._folder),
            history=using.result(),
            metrics_history=None if isinstance(measured, str) else self._remember(measured),
            secrets=self._secrets,
            absent={
                **{f"provider {k}": v for k, v in reasons.items()},
                **stack.absent,
                **{part: reason for part, reason in missing.items() if reason},
            },
        )

    def _memory_folder(self) -> Path:
        """Where the workers keep their counters, in memory if the system has such a place.

        They are files mapped into memory: on a disk that is busy, counting a request stands
        still until the page is written, and the whole event loop with it.
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
                "SERVICE_VERSION": self._release,
                "SERVICE_ENVIRONMENT": ENVIRONMENT,
                "SERVICE_BEHAVIOUR": str(self._folder / BEHAVIOUR),
                "SERVICE_STATEMENTS": str(self._folder / customers.FILE),
                "DATABASE_URL": shop.app,
                "ADMIN_TOKEN": self._secrets["REFERENCE_ADMIN_TOKEN"],
                "CRON_SECRET": self._secrets["REFERENCE_CRON_SECRET"],
                "PROMETHEUS_MULTIPROC_DIR": str(self._memory_folder()),
            },
        )

    def _deploy(self, server: Server) -> Fleet | str:
        folder = self._folder / FLEET
        return start_fleet(make_store(server), self._release, folder, self._guardian)

    def _use(self, shop: Shop) -> Path:
        """Let the shop be used, and give it a past; gives the file of that."""
        file = self._folder / _HISTORY
        customers.visit(shop.app, self._folder / customers.FILE)
        history.begin(file, *history.taken(shop.monitor))
        return file

    def _remember(self, metrics: Metrics) -> Path:
        file = self._folder / _METRICS_HISTORY
        history.begin(file, *history.taken(metrics.monitor))
        return file

    def _back_up(self, server: Server, shop: Shop, stack: Monitoring) -> Backups | None:
        if not is_available():
            stack.absent["backup"] = "this installation has no writer of manifests"
            return None
        self._progress("writing a backup")
        return make_backups(shop, self._folder, programs_for(server))


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
