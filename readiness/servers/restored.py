"""A server on restored files, reachable only by a socket in its own folder.

It archives nothing, subscribes to nothing and loads only configured libraries. It is removed with
its files when it is stopped, or when this process dies.
"""

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import psycopg

from readiness.lib import watchdog
from readiness.lib.command import Account
from readiness.lib.guardian import Guardian
from readiness.model.errors import CouldNotMeasure, ReadinessError, TookTooLong, Unreachable
from readiness.model.secrets import Dsn
from readiness.servers.binaries import Binaries, reachable_folder
from readiness.servers.postgres import spawn_postgres

_PORT: Final = 5432
_LOG_TAIL_BYTES: Final = 2000
_STOP_TIMEOUT_S: Final = 30.0
# A standby needs at least the settings of its primary, which pg_control records.
_AT_LEAST: Final = {
    "max_connections": "max_connections setting",
    "max_worker_processes": "max_worker_processes setting",
    "max_wal_senders": "max_wal_senders setting",
    "max_prepared_transactions": "max_prepared_xacts setting",
    "max_locks_per_transaction": "max_locks_per_xact setting",
}
# On the command line, so that no restored file can override it.
_HARMLESS: Final[Mapping[str, str]] = {
    "archive_mode": "off",
    "listen_addresses": "",
    "port": str(_PORT),
    "max_logical_replication_workers": "0",
    "shared_preload_libraries": "",
    "session_preload_libraries": "",
    "local_preload_libraries": "",
    "primary_conninfo": "",
    "primary_slot_name": "",
    "ssl": "off",
    "hot_standby": "on",
    "autovacuum": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    "external_pid_file": "",
    "fsync": "off",
}
_SAFE: Final = """
    select current_setting('archive_mode'), current_setting('listen_addresses'),
        current_setting('data_directory')"""


class RestoredServer:
    """A place for restored files, and the server that runs on them.

    Attributes:
        folder: everything of it; removed at the end.
        data: where the files are restored to; empty at first.
        binaries: the programs it runs.
        account: the account that runs it.
    """

    def __init__(self, binaries: Binaries, account: Account, guardian: Guardian) -> None:
        temporary = Path(tempfile.gettempdir()).resolve()
        place = reachable_folder(temporary, account)
        # A short name: the path of a socket has 107 characters at most.
        self.folder = Path(tempfile.mkdtemp(prefix="rdy-", dir=place))
        self.data = self.folder / "data"
        self.binaries = binaries
        self.account = account
        self._guardian = guardian
        self._process: subprocess.Popen[bytes] | None = None
        self._again: tuple[str, Mapping[str, str], float]
        self._made = self.folder if place == temporary else place
        self._tokens = [guardian.remove(self._made)]
        for made in (self.folder, self.data):
            made.mkdir(exist_ok=True)
            account.own(made)

    def dsn(self, database: str, user: str) -> Dsn:
        """The connection string: a socket that only this account and root can reach."""
        return Dsn(f"host={self.folder} port={_PORT} user={user} dbname={database}")

    def start(self, user: str, settings: Mapping[str, str], *, timeout_s: float) -> None:
        """Start it, and wait until it has recovered and takes writes.

        Args:
            user: a superuser of the restored server.
            settings: settings added to our own, such as shared_preload_libraries.
            timeout_s: longest recovery, in seconds.

        Raises:
            CouldNotMeasure: a link of the restored files points out of their folder.
            Unreachable: it ended; with the end of its log.
            TookTooLong: it has not recovered in that time.
        """
        self._own_everything()
        _refuse_links(self.data)
        self._configure()
        self._again = (user, {**self._needed(), **_HARMLESS, **settings}, timeout_s)
        self._run()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Stop it during the block.

        Raises:
            Unreachable, TookTooLong: it did not start again.
        """
        self.stop()
        yield
        self._run()

    def _run(self) -> None:
        user, settings, timeout_s = self._again
        self._spawn(settings)
        self._await(user, timeout_s)

    def stop(self) -> None:
        """Stop it, and keep its files."""
        process, self._process = self._process, None
        if process is None:
            return
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_STOP_TIMEOUT_S)
                return

    def remove(self) -> None:
        """Stop it, and remove every file. May be called twice."""
        self.stop()
        watchdog.remove(self._made)
        while self._tokens:
            self._guardian.forget(self._tokens.pop())

    def _own_everything(self) -> None:
        """Give files that a tool restored as root to the account that runs the server."""
        if not self.account.other:
            return
        for folder, folders, files in os.walk(self.data):
            for name in (*folders, *files):
                os.lchown(Path(folder) / name, self.account.uid, self.account.gid)
        self.account.own(self.data)

    def _configure(self) -> None:
        """Write our own files: those of the source may be elsewhere, and may allow other users."""
        lines = {
            "postgresql.conf": "",
            # Only the account itself and root can reach the socket.
            "pg_hba.conf": "local all all trust\n",
            "pg_ident.conf": "",
        }
        for name, text in lines.items():
            path = self.folder / name
            path.write_text(text)
            self.account.own(path)

    def _needed(self) -> dict[str, str]:
        done = subprocess.run(
            [self.binaries.program("pg_controldata"), self.data],
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            check=False,
            timeout=_STOP_TIMEOUT_S,
            **self.account.popen,
        )
        if done.returncode != 0:
            raise CouldNotMeasure(
                f"the restored files are not a data directory: {done.stderr.strip()}",
                where=str(self.data),
            )
        found = dict(re.findall(r"^(.*?): +(\S.*)$", done.stdout, re.MULTILINE))
        return {name: found[key] for name, key in _AT_LEAST.items() if key in found}

    def _spawn(self, settings: Mapping[str, str]) -> None:
        own = {
            "config_file": str(self.folder / "postgresql.conf"),
            "hba_file": str(self.folder / "pg_hba.conf"),
            "ident_file": str(self.folder / "pg_ident.conf"),
            "unix_socket_directories": str(self.folder),
        }
        options = [f"--{name}={value}" for name, value in {**settings, **own}.items()]
        self._process = spawn_postgres(
            self.binaries, ("-D", self.data, *options), self._log(), self.account, self._guardian
        )
        try:
            self._tokens.append(self._guardian.kill(self._process.pid, signal.SIGQUIT))
        except ReadinessError:
            self.stop()
            raise

    def _await(self, user: str, timeout_s: float) -> None:
        """Answering is not enough: a server answers while it recovers, and may still fail."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise Unreachable(
                    f"the restored server ended: {self.log_tail()}", where=str(self.data)
                )
            with contextlib.suppress(psycopg.OperationalError):
                if self._has_recovered(user):
                    return
            time.sleep(0.05)
        raise TookTooLong(
            f"the restored server has not recovered after {timeout_s:g} s: {self.log_tail()}",
            where=str(self.data),
        )

    def _has_recovered(self, user: str) -> bool:
        dsn = self.dsn("postgres", user).reveal()
        with psycopg.connect(dsn, autocommit=True, connect_timeout=2) as connection:
            safe = connection.execute(_SAFE.encode()).fetchone()
            if safe != ("off", "", str(self.data)):
                raise CouldNotMeasure(
                    f"the restored server is not isolated: {safe}",
                    where=str(self.data),
                )
            row = connection.execute("select pg_is_in_recovery()").fetchone()
        return row == (False,)

    def log_tail(self) -> str:
        """The end of its log, without the lines that are always there."""
        with contextlib.suppress(OSError):
            text = self._log().read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
            errors = [line for line in text.splitlines() if re.search("FATAL|PANIC|ERROR", line)]
            return " ".join(errors[-3:]) or text[-300:].strip()
        return "no log"

    def _log(self) -> Path:
        return self.folder / "server.log"


@contextlib.contextmanager
def place_to_restore(
    binaries: Binaries, account: Account, guardian: Guardian
) -> Iterator[RestoredServer]:
    """An empty place for restored files; it is removed at the end."""
    server = RestoredServer(binaries, account, guardian)
    try:
        yield server
    finally:
        server.remove()


def _refuse_links(data: Path) -> None:
    """Refuse links out of the folder: they may point to the tablespaces of the source."""
    for link in [data / "pg_wal", *data.glob("pg_tblspc/*")]:
        if link.is_symlink() and not link.resolve().is_relative_to(data.parent.resolve()):
            raise CouldNotMeasure(
                f"{link.name} points outside the folder, to {link.resolve()}; a server would"
                " write there",
                where=str(link),
                remedy="make the tool map every tablespace into the folder",
            )
