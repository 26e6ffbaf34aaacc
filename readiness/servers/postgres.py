"""A private PostgreSQL server with its own folder, port and password."""

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from readiness.lib import watchdog
from readiness.lib.command import Account
from readiness.lib.guardian import Guardian
from readiness.model.errors import ReadinessError, Unreachable
from readiness.model.secrets import register
from readiness.servers.binaries import (
    Binaries,
    find_binaries,
    reachable_binaries,
    reachable_folder,
    server_account,
)
from readiness.servers.processes import free_port

StopMode = Literal["smart", "fast", "immediate"]
SCRATCH: Final[Mapping[str, str]] = MappingProxyType(
    {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}
)
"""Settings for a server whose data may be lost: faster and quieter."""

# Enough to restore some thousand tables in one transaction; more for a source that has more.
_FEWEST_LOCKS: Final = 256
_MOST_LOCKS: Final = 4096
_SESSIONS: Final = 100
# Those whose functions and views do not work where they are not loaded. Others would begin to work
# on the copy as on the source: jobs, replication.
_PASSIVE_LIBRARIES: Final = ("pg_stat_statements", "pgaudit", "pg_stat_kcache", "pg_wait_sampling")
_START_TIMEOUT_S: Final = 60.0
_FILL_TIMEOUT_S: Final = 60.0
_STOP_TIMEOUT_S: Final = 30.0
_PORT_ATTEMPTS: Final = 5
_SIGNALS: Final[Mapping[StopMode, signal.Signals]] = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}
_LOG_TAIL_BYTES: Final = 2000
_COPY_TIMEOUT_S: Final = 120.0
# After this time a refusal of the superuser is final; before, another server may have our port.
_REFUSED_S: Final = 3.0
_FOR_NOW: Final = ("the database system is", "too many", "connection slots")


def settings_like(source: Mapping[str, str], binaries: Binaries) -> dict[str, str]:
    """Settings of a private server that what a source holds can be restored to.

    Args:
        source: settings of the source, as far as they are known.
        binaries: the programs it runs; libraries that they lack are left out.
    """
    sessions = sum(
        int(source.get(name, 0)) for name in ("max_connections", "max_prepared_transactions")
    )
    locks = int(source.get("max_locks_per_transaction", 0)) * sessions // _SESSIONS
    release = binaries.folder.parent
    libraries = [
        library
        for library in _PASSIVE_LIBRARIES
        if library in source.get("shared_preload_libraries", "").replace(" ", "").split(",")
        and any(release.glob(f"lib/**/{library}.*"))
    ]
    return {
        "max_connections": str(_SESSIONS),
        "max_locks_per_transaction": str(min(max(locks, _FEWEST_LOCKS), _MOST_LOCKS)),
        **({"shared_preload_libraries": ",".join(libraries)} if libraries else {}),
    }


@dataclass(frozen=True, slots=True)
class Template:
    """The data of a server that was stopped cleanly, to start another one from.

    Attributes:
        data: its data folder; it is copied.
        password: the superuser's; the new server gets one of its own.
    """

    data: Path
    password: str


class PrivatePostgres:
    """A running server that listens on 127.0.0.1 alone. Made by `start`.

    Attributes:
        host: always 127.0.0.1.
        port: a free one that it found.
        superuser: the name of the superuser.
        password: the superuser's, made for this server.
        process: the postmaster.
        binaries: the programs it runs.
        home: the folder with `data` and `postgres.log`.
    """

    host: Final = "127.0.0.1"
    superuser: Final = "postgres"

    def __init__(
        self, home: Path, binaries: Binaries, account: Account, guardian: Guardian | None
    ) -> None:
        self.home = home
        self.binaries = binaries
        self.port = 0
        self.password = secrets.token_hex(16)
        self.process: subprocess.Popen[bytes]
        self._account = account
        self._guardian = guardian
        self._tokens: list[int] = []
        self._owns_home = False
        register(self.password)

    @classmethod
    def start(
        cls,
        folder: Path,
        *,
        binaries: Binaries | None = None,
        settings: Mapping[str, str] | None = None,
        guardian: Guardian | None = None,
        template: Template | None = None,
    ) -> Self:
        """Make a new server and wait until it answers.

        Args:
            folder: where its data goes, the caller's to remove. Where the account that the
                server runs as cannot reach it, a temporary folder is used and removed instead.
            binaries: the programs to run; by default those that `find_binaries` finds.
            settings: lines of its postgresql.conf.
            guardian: stops the server when this process dies.
            template: data to start from; default: a new, empty server.

        Raises:
            Unreachable: no programs are found, or the server did not start within a minute.
        """
        account = server_account()
        binaries = binaries or find_binaries()
        home = reachable_folder(folder, account)
        server = cls(home, binaries, account, guardian)
        server._owns_home = home != folder.resolve()
        try:
            if server._owns_home and guardian:
                server._tokens.append(guardian.remove(home))
            server.binaries = reachable_binaries(binaries, account, home)
            if template:
                server._copy_from(template)
            else:
                server._make_data()
            server._configure(settings or {})
            server._launch(free_port())
            if template:
                server._take_password()
        except BaseException:  # an interrupt too must leave nothing
            server._remove_home()
            raise
        return server

    def dsn(
        self, database: str = "postgres", user: str | None = None, password: str | None = None
    ) -> str:
        """A connection string; the superuser's unless another user is named."""
        user = user or self.superuser
        if password is None:
            password = self.password if user == self.superuser else ""
        return loopback_dsn(self.port, database, user, password)

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop the server; harmless when it is already stopped.

        Args:
            mode: as in `pg_ctl stop`: `smart` waits for clients, `fast` ends them, `immediate`
                does not write the data out.
        """
        self.halt(mode)
        self._remove_home()

    def restart(self) -> None:
        """Stop the server if it runs, and start it with the same data on the same port.

        Raises:
            Unreachable: it did not start again.
        """
        self.halt("fast")
        self._launch(self.port)

    def halt(self, mode: StopMode = "fast") -> None:
        """Stop the server and keep its data, for `restart`."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(_SIGNALS[mode])
        for harder in (signal.SIGQUIT, signal.SIGKILL):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_STOP_TIMEOUT_S)
                return
            self.process.send_signal(harder)
        self.process.wait(_STOP_TIMEOUT_S)

    def _data(self) -> Path:
        return self.home / "data"

    def _copy_from(self, template: Template) -> None:
        copy_data(template.data, self._data())
        self.password = template.password

    def _take_password(self) -> None:
        """Set a new random password."""
        own = secrets.token_hex(16)
        register(own)
        try:
            with psycopg.connect(self.dsn(), autocommit=True, connect_timeout=5) as connection:
                connection.execute(
                    sql.SQL("alter role {} password {}").format(
                        sql.Identifier(self.superuser), sql.Literal(own)
                    )
                )
        except BaseException:  # an interrupt too must leave nothing
            self.halt("immediate")
            raise
        self.password = own

    def _make_data(self) -> None:
        password_file = self.home / "password"
        with password_file.open("x") as file:
            self._account.own(password_file)
            file.write(self.password)
        try:
            self._fill_data(
                "initdb",
                *("-D", self._data(), "-U", self.superuser),
                *("--auth=scram-sha-256", f"--pwfile={password_file}"),
                *("--encoding=UTF8", "--locale=C", "--no-sync", "--data-checksums"),
            )
        finally:
            password_file.unlink()

    def _fill_data(self, program: str, *arguments: str | Path) -> None:
        """Make the data folder, and run the program that fills it."""
        data = self._data()
        data.mkdir()
        self._account.own(data)
        done = subprocess.run(
            [self.binaries.program(program), *arguments],
            env=_environ(self._guardian),
            cwd="/",
            capture_output=True,
            timeout=_FILL_TIMEOUT_S,
            check=False,
            start_new_session=True,
            **self._account.popen,
        )
        if done.returncode != 0:
            raise Unreachable(
                f"{program} failed: {done.stderr.decode(errors='replace')[-_LOG_TAIL_BYTES:]}",
                where=str(self.binaries.folder),
            )

    def _configure(self, settings: Mapping[str, str]) -> None:
        own = {
            "listen_addresses": self.host,
            "unix_socket_directories": "",
            # Segments in /dev/shm would stay there if the server is killed.
            "dynamic_shared_memory_type": "mmap",
        }
        lines = [
            f"{k} = '{v.replace(chr(39), chr(39) * 2)}'" for k, v in {**settings, **own}.items()
        ]
        with (self._data() / "postgresql.conf").open("a") as file:
            file.write("\n" + "\n".join(lines) + "\n")

    def _launch(self, port: int) -> None:
        for _ in range(_PORT_ATTEMPTS):
            self.port = port
            self._spawn()
            if self._answers():
                return
            port = free_port()  # it was taken in the meantime
        raise Unreachable("no free port on 127.0.0.1", remedy="see what listens: ss -ltn")

    def _spawn(self) -> None:
        self.process = spawn_postgres(
            self.binaries,
            ("-D", self._data(), "-p", str(self.port)),
            self.home / "postgres.log",
            self._account,
            self._guardian,
        )
        if self._guardian:
            try:
                self._tokens.append(self._guardian.kill(self.process.pid, signal.SIGQUIT))
            except ReadinessError:
                self.halt("immediate")
                raise

    def _answers(self) -> bool:
        """Wait until the server answers; False if its port is taken."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        welcome = time.monotonic()
        try:
            while time.monotonic() < deadline:
                if self.process.poll() is not None:
                    return self._port_was_taken()
                try:
                    psycopg.connect(self.dsn(), connect_timeout=2).close()
                except psycopg.OperationalError as error:
                    if not _refuses(str(error)):
                        welcome = time.monotonic()
                    elif time.monotonic() - welcome > _REFUSED_S:
                        raise Unreachable(
                            f"it refuses its superuser: {error}", where=self._place()
                        ) from None
                else:
                    return True
                time.sleep(0.05)
        except BaseException:  # an interrupt must not leave it running
            self.halt("immediate")
            raise
        self.halt("immediate")
        raise Unreachable(f"no answer within {_START_TIMEOUT_S:g} s", where=self._place())

    def _port_was_taken(self) -> bool:
        log = (self.home / "postgres.log").read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
        if "could not bind" in log or "Address already in use" in log:
            return False
        raise Unreachable(
            f"PostgreSQL ended with status {self.process.returncode}: {log.strip()}",
            where=self._place(),
        )

    def _place(self) -> str:
        return f"PostgreSQL {self.binaries.version} at {self.host}:{self.port}"

    def _remove_home(self) -> None:
        if self._owns_home:
            watchdog.remove(self.home)
        while self._guardian and self._tokens:
            self._guardian.forget(self._tokens.pop())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop("immediate")


def spawn_postgres(
    binaries: Binaries,
    arguments: Sequence[str | Path],
    log: Path,
    account: Account,
    guardian: Guardian | None,
) -> subprocess.Popen[bytes]:
    """Start `postgres` in a session of its own; its output goes to the log."""
    with log.open("wb") as output:
        return subprocess.Popen(
            [binaries.program("postgres"), *arguments],
            env=_environ(guardian),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **account.popen,
        )


def _environ(guardian: Guardian | None) -> dict[str, str]:
    """The environment without the variables of libpq, which a server would inherit."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PG")}
    return {**kept, "LC_ALL": "C", **(guardian.environ if guardian else {})}


def _refuses(error: str) -> bool:
    """Whether a refusal is permanent, and not because the server is starting or full."""
    return "FATAL:" in error and not any(reason in error for reason in _FOR_NOW)


def copy_data(source: Path, target: Path) -> None:
    """Copy a data folder with its owner, as a clone where the file system supports that.

    Raises:
        OSError: it does not exist.
        subprocess.SubprocessError: it cannot be copied.
    """
    source.stat()
    # shutil would not keep the owner, and cannot clone.
    way = ["-a", "--reflink=auto"] if sys.platform == "linux" else ["-pR"]
    subprocess.run(
        ["cp", *way, source, target], check=True, capture_output=True, timeout=_COPY_TIMEOUT_S
    )


def loopback_dsn(port: int, database: str, user: str, password: str) -> str:
    """The connection string of a server on 127.0.0.1; without a password if that is empty."""
    name, secret, base = (quote(text, safe="") for text in (user, password, database))
    return f"postgresql://{name}{secret and f':{secret}'}@127.0.0.1:{port}/{base}"


class PrivateStandby(PrivatePostgres):
    """A running standby. Made by `follow`; roles and passwords are those of its primary."""

    @classmethod
    def follow(
        cls, primary: PrivatePostgres, folder: Path, *, dsn: str, slot: str, guardian: Guardian
    ) -> Self:
        """Copy a running server, follow it, and wait until the copy answers.

        Args:
            primary: the server to copy.
            folder: where its data goes, as for `PrivatePostgres.start`.
            dsn: the primary as a role with REPLICATION; its `application_name` is how the
                primary knows the standby.
            slot: the slot it makes on the primary, so that no WAL is missed while it is away.
            guardian: stops it when this process dies.

        Raises:
            Unreachable: the primary has no pg_basebackup or cannot be copied, or the copy did
                not start within a minute.
        """
        account = server_account()
        home = reachable_folder(folder, account)
        standby = cls(home, primary.binaries, account, guardian)
        standby.password = primary.password
        standby._owns_home = home != folder.resolve()
        try:
            if standby._owns_home:
                standby._tokens.append(guardian.remove(home))
            standby._copy(dsn, slot)
            standby._launch(free_port())
        except BaseException:  # an interrupt too must leave nothing
            standby._remove_home()
            raise
        return standby

    def _copy(self, dsn: str, slot: str) -> None:
        self._fill_data(
            "pg_basebackup",
            *("--pgdata", self._data(), "--dbname", dsn),
            *("--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast"),
            *("--create-slot", "--slot", slot, "--no-sync", "--no-manifest"),
        )
