"""The reference system as a whole: starts in seconds, and leaves nothing."""

import shutil
import tempfile
<<<<<<< ours
=======
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
>>>>>>> theirs
from pathlib import Path
from typing import Self

from readiness.errors import ReferenceSystemError
from readiness.guardian import Guardian
from readiness.reference import describing, target
from readiness.reference.levers import Levers, Parts
from readiness.reference.service.settings import RELEASES
from readiness.reference.starting import BEHAVIOUR, ENVIRONMENT, Progress, Running, Starter

__all__ = ["ENVIRONMENT", "Progress", "ReferenceSystem"]


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
        self._running: Running | None = None

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
            running.stop()

    def _start(self, provider: str | None, monitoring: bool, progress: Progress) -> None:
<<<<<<< ours
        starter = Starter(self.folder, self._guardian, self._version, progress)
        running = self._running = starter.start(provider, monitoring=monitoring)
=======
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
>>>>>>> theirs
        self.provider, self.absent = running.provider, running.absent
        self.service_url = running.service.url
        self.inbox_url = running.monitoring.url("inbox")
        self.environ = describing.environ(running, self.folder)
        text = target.readiness_toml(describing.facts(running))
        self.config_path.write_text(text, encoding="utf-8")
        self.levers = Levers(
            Parts(
                server=running.server,
                standby=running.standby,
                pooler=running.pooler,
                shop=running.shop,
                service=running.service,
                programs=running.monitoring.running,
                behaviour=self.folder / BEHAVIOUR,
                config=self.config_path,
                backups=running.backups,
                metrics=running.metrics,
                migrations=running.migrations,
                history=running.history,
            )
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
