"""Starts the previous release on a scratch copy of the new schema, and sends it requests."""

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import IO, Final

from readiness.areas.deployment.config import RELEASE, Compatibility, Deployment
from readiness.config.base.tables import Database
from readiness.lib import http
from readiness.lib.guardian import Guardian
from readiness.lib.migrations.model import Migration
from readiness.lib.migrations.reading import migrations_of, state_of, version_table
from readiness.lib.migrations.replay import run
from readiness.lib.migrations.scratch import Scratch
from readiness.lib.postgres import connect, fetch_value
from readiness.lib.postgres.batches import need_room_for_dump
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData, TookTooLong
from readiness.model.secrets import Dsn
from readiness.servers.binaries import Binaries, Ended, find_binaries, run_program
from readiness.servers.processes import free_port

_ASK_S: Final = 10.0
_POLL_S: Final = 0.1
_GRACE_S: Final = 10.0
_SAID: Final = 300
_TIMEOUT_S: Final = 120.0
# A migration that runs now holds locks: users must not have to wait for the dump.
_DUMP: Final = ("--format=custom", "--lock-wait-timeout=5000")
_COUNTED_S: Final = 10.0
_CONNECTED: Final = "select count(*) from pg_stat_activity where datname = %s"
_DONE: Final = """
select coalesce(sum(xact_commit + xact_rollback), 0)::bigint
from pg_stat_database where datname = %s"""


@dataclass(frozen=True, slots=True)
class Tried:
    """How the previous release ran on the new schema.

    Attributes:
        why: why it was not ready in time, with the end of its output; empty if it was.
        answers: for each path, what is wrong with its answer; empty if nothing is.
        used: whether the scratch database was used while it ran.
        source: the command.
    """

    why: str
    answers: tuple[str, ...]
    used: bool
    source: str

    @property
    def ready(self) -> bool:
        """Whether it was ready in time."""
        return not self.why


def how_to_start(deployment: Deployment) -> tuple[Compatibility, str]:
    """How the previous release is started, and which one it is; NoData if not declared."""
    if deployment.compatibility is None or deployment.previous is None:
        raise NoData("needs [deployment.compatibility] and [deployment] previous")
    return deployment.compatibility, deployment.previous


def tried(
    settings: Compatibility, release: str, database: Dsn, server: Dsn, guardian: Guardian
) -> Tried:
    """Start a release on a database, send it requests, and stop it.

    Args:
        settings: how it is started, and which paths are requested.
        release: its name.
        database: a scratch database that nothing else uses.
        server: another database of the same server.
        guardian: stops it if this process is killed.

    Raises:
        CouldNotMeasure: it cannot be started.
    """
    port = free_port()
    words = {"{dsn}": database.reveal(), "{port}": str(port), RELEASE: release}
    usage = Usage(server, database)
    before = usage.settled()
    with _started([_filled(w, words) for w in settings.start], settings, guardian) as running:
        base = f"http://127.0.0.1:{port}"
        why = _await_ready(running, f"{base}{settings.ready}", settings.ready_within_s)
        answers = () if why else tuple(_wrong(base, path) for path in settings.smoke)
    return Tried(why, answers, usage.grew(before), shlex.join(settings.start))


@dataclass(frozen=True, slots=True)
class _Running:
    process: subprocess.Popen[bytes]
    log: IO[bytes]

    def said(self) -> str:
        """The end of its output."""
        self.log.seek(max(0, self.log.seek(0, os.SEEK_END) - _SAID))
        return clean(self.log.read().decode("utf-8", "replace"), _SAID) or "it printed nothing"


def _filled(word: str, words: dict[str, str]) -> str:
    for placeholder, text in words.items():
        word = word.replace(placeholder, text)
    return word


@contextlib.contextmanager
def _started(
    argv: Sequence[str], settings: Compatibility, guardian: Guardian
) -> Iterator[_Running]:
    """Run the release and its children during the block."""
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **guardian.environ},
                start_new_session=True,
            )
        except OSError as error:
            raise CouldNotMeasure(
                f"the previous release cannot be started: {error.strerror}",
                where=shlex.join(settings.start),
                remedy="correct `start` in [deployment.compatibility]",
            ) from None
        try:
            token = guardian.kill(process.pid)
            yield _Running(process, log)
        finally:
            _end(process)
        guardian.forget(token)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop its whole process group, by force if necessary."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
    process.wait(_GRACE_S)


def _await_ready(running: _Running, url: str, within_s: float) -> str:
    """Why it is not ready; empty if it is."""
    deadline = time.monotonic() + within_s
    last = "no answer"
    while time.monotonic() < deadline:
        if (status := running.process.poll()) is not None:
            return f"it ended with {status}: {running.said()}"
        try:
            answer = http.get(url, timeout_s=_ASK_S)
        except CouldNotMeasure as error:
            last = error.message
        else:
            if answer.status == HTTPStatus.OK:
                return ""
            last = str(answer)
        time.sleep(_POLL_S)
    return f"not ready within {within_s:g} s: {last}; {running.said()}"


def _wrong(base: str, path: str) -> str:
    try:
        answer = http.get(f"{base}{path}", timeout_s=_ASK_S)
    except CouldNotMeasure as error:
        return f"{path}: {error.message}"
    return "" if answer.status == HTTPStatus.OK else str(answer)


@contextmanager
def copied(server: Scratch, database: Database, dsn: Dsn) -> Iterator[tuple[Dsn, list[Migration]]]:
    """Copy the schema without rows, and apply the pending migrations; yields both.

    The table of applied migrations keeps its rows, since some releases read it.

    Args:
        server: where it is copied to.
        database: the source.
        dsn: a role that may dump it.

    Raises:
        CouldNotMeasure: the schema cannot be dumped or restored, the server has too few locks left
            for that, or a migration fails on it.
    """
    due = _due(database)
    with connect(dsn, timeout_s=database.timeout_s) as connection:
        need_room_for_dump(connection)
    with server.database() as scratch, tempfile.TemporaryDirectory(prefix="readiness-") as folder:
        _transfer(dsn, scratch, Path(folder) / "schema", ["--schema-only"])
        if database.migrations:
            table = version_table(database.migrations)
            options = ["--data-only", f"--table={table}"]
            _transfer(dsn, scratch, Path(folder) / "versions", options)
            for migration in due:
                run(scratch, database.migrations, migration)
        yield scratch, due


def _due(database: Database) -> list[Migration]:
    settings = database.migrations
    if settings is None:
        return []
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        state, _ = state_of(connection, settings)
    return [step for step in migrations_of(settings) if step.version in state.pending]


def _transfer(source: Dsn, scratch: Dsn, file: Path, options: list[str]) -> None:
    binaries = find_binaries()
    with file.open("wb") as output:
        dumped = run_program(
            binaries, "pg_dump", [*_DUMP, *options], timeout_s=_TIMEOUT_S, dsn=source,
            output=output,
        )  # fmt: skip
    _must_be_clean(dumped, f"pg_dump {' '.join(options)} of {source.address}", binaries)
    restored = run_program(binaries, "pg_restore", [str(file)], timeout_s=_TIMEOUT_S, dsn=scratch)
    _must_be_clean(restored, "pg_restore into the scratch database", binaries)


def _must_be_clean(ended: Ended, what: str, binaries: Binaries) -> None:
    if not ended.clean:
        raise CouldNotMeasure(
            f"the schema cannot be copied: {what} ended with {ended}",
            where=f"PostgreSQL {binaries.version} in {binaries.folder}",
            remedy="set `dsn` in [deployment.compatibility] to a role that may read every table,"
            " READINESS_POSTGRES_BIN to programs of the server's release, and `scratch_dsn` in"
            " [databases.NAME.migrations] to a server that has its extensions",
        )


class Usage:
    """Counts the transactions of a database through another one of the same server."""

    def __init__(self, server: Dsn, database: Dsn) -> None:
        self._server = server
        self._name = database.words["dbname"]

    def settled(self) -> int:
        """The transactions so far, once no session is connected.

        Raises:
            TookTooLong: one still is after 10 s.
            CouldNotMeasure: the server does not answer.
        """
        deadline = time.monotonic() + _COUNTED_S
        while self._value(_CONNECTED):
            if time.monotonic() > deadline:
                raise TookTooLong(f"a session stays connected to the database {self._name}")
            time.sleep(_POLL_S)
        return self._value(_DONE)

    def grew(self, before: int) -> bool:
        """Whether there are more, once the server has counted those that ended.

        Raises:
            CouldNotMeasure: the server does not answer.
        """
        deadline = time.monotonic() + _COUNTED_S
        while self._value(_DONE) <= before:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def _value(self, query: str) -> int:
        with connect(self._server, timeout_s=_COUNTED_S) as connection:
            return int(fetch_value(connection, query, [self._name]))
