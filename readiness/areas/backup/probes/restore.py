"""Restores a dump into a new database of a scratch server, and measures how that went."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from readiness.areas.backup.config import Backup
from readiness.areas.backup.manifest import (
    LargeObjects,
    SequenceState,
    large_objects,
    read_manifest,
    sequences,
)
from readiness.areas.backup.probes.contents import (
    PLAIN_TEXT,
    head_of,
    known_as,
    read_archive,
    read_plain_dump,
)
from readiness.lib.files import BackupFile, sha256_of
from readiness.lib.migrations.scratch import temporary_database, temporary_roles
from readiness.lib.postgres import Connection, connect, fetch
from readiness.lib.postgres.contents import TableContent, table_contents
from readiness.lib.postgres.fingerprint import Fingerprint, fingerprint
from readiness.model.errors import CouldNotMeasure
from readiness.model.measurement import Measurement, Moment, now
from readiness.model.secrets import Dsn
from readiness.servers.binaries import Binaries, Ended, run_program

_TIMEOUT_S: Final = 30.0
_LONG_S: Final = 6 * 3600.0
_T = TypeVar("_T")
_VERSION: Final = re.compile(r"^(?:;|--) +Dumped from database version:? (\d+)", re.MULTILINE)
_EXTENSION: Final = re.compile(r"^\d+; \d+ \d+ EXTENSION - (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Restored:
    """A restore that was tried.

    Attributes:
        reading: how reading the dump to its end went.
        restoring: how `pg_restore` into the scratch database went; None if it was not tried,
            because the dump cannot be read.
        elapsed_s: from creating the database to the end of `pg_restore`, indexes included.
        dsn: the scratch database; None if there is none.
    """

    file: BackupFile
    reading: Ended
    restoring: Ended | None = None
    elapsed_s: float = 0.0
    timeline: tuple[Moment, ...] = ()
    dsn: Dsn | None = None
    binaries: Binaries | None = None
    _contents: dict[str, TableContent] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """The dump, for a message."""
        return str(self.file.path)

    def reading_errors(self) -> Measurement:
        """Errors while the dump was read to its end."""
        source = f"pg_restore --file=/dev/null {self.file.path}"
        return Measurement("errors while reading the dump", _errors(self.reading), "count", source)

    def restore_errors(self) -> Measurement:
        """Errors of `pg_restore`, each of which left something out."""
        ended = self._tried()
        source = f"pg_restore --dbname=SCRATCH {self.file.path}"
        return Measurement("errors while restoring the dump", _errors(ended), "count", source)

    def restore_time(self) -> Measurement:
        """How long the restore took, with its timeline."""
        self._tried()
        return Measurement(
            "restore time",
            self.elapsed_s,
            "s",
            f"pg_restore {self.file.path}, {self.file.size} bytes",
            timeline=self.timeline,
        )

    def database(self) -> Dsn:
        """The scratch database."""
        if self.dsn is None:
            self._tried()
            raise CouldNotMeasure("the database was not restored", where=self.where)
        return self.dsn

    def data_loss(self, _: Backup) -> Measurement:
        """The time since the snapshot of the dump, in seconds."""
        self._tried()
        lost = max(0.0, (now() - read_manifest(self.file.manifest).started_at).total_seconds())
        return Measurement("data loss", lost, "s", f"snapshot of {self.where}")

    def contents(self) -> dict[str, TableContent]:
        """What the restored tables hold; read once, and used by the negative controls too."""
        if not self._contents:
            self._contents.update(self._read(table_contents))
        return self._contents

    def objects(self) -> Fingerprint:
        """Every object of the restored schema. Raises as `contents`."""
        return self._read(fingerprint)

    def sequences(self) -> dict[str, SequenceState]:
        """How far each restored sequence has come. Raises as `contents`."""
        return self._read(sequences)

    def large_objects(self) -> LargeObjects:
        """The restored large objects. Raises as `contents`."""
        return self._read(large_objects)

    def _read(self, read: Callable[[Connection], _T]) -> _T:
        with connect(self.database(), timeout_s=_LONG_S, total_s=_LONG_S) as connection:
            return read(connection)

    def sha256(self) -> Measurement:
        """The SHA-256 of the dump as it is stored."""
        path = self.file.path
        return Measurement("SHA-256 of the dump", sha256_of(path), "text", f"sha256sum {path}")

    def _tried(self) -> Ended:
        if self.restoring is None:
            raise CouldNotMeasure(
                f"the dump cannot be read: {self.reading}",
                where=str(self.file.path),
                remedy=f"see how far it can be read: pg_restore -f /dev/null '{self.file.path}'",
            )
        return self.restoring


@contextmanager
def restored(
    file: BackupFile, scratch: Dsn, binaries: Binaries, *, timeout_s: float
) -> Iterator[Restored]:
    """Read a dump to its end, restore it into a new database, and drop that at the end.

    Errors of a restore are counted and not raised: they are what is measured. Roles that the
    manifest names are created where they are missing; anything else the dump lacks is an error.

    Args:
        file: the backup.
        scratch: a server that may be written to, as a superuser.
        binaries: where `pg_restore` is.
        timeout_s: longest reading, and longest restore; then it is stopped, as an error of it.

    Raises:
        CouldNotMeasure: the scratch server or `pg_restore` cannot restore this dump: too old, or an
            extension is missing.
    """
    clock = _Clock()
    if _is_plain(file):
        listing, reading = _read_plain(file)
    else:
        listing, reading = read_archive(file.path, binaries, timeout_s=timeout_s)
    clock.note("dump read to its end", good=reading.clean)
    if not reading.clean:
        yield Restored(file, reading, timeline=clock.moments())
        return
    with connect(scratch, timeout_s=_TIMEOUT_S, total_s=3 * _TIMEOUT_S) as connection:
        _check_versions(connection, listing, file, binaries)
        _check_extensions(connection, listing, file)
    manifest = read_manifest(file.manifest) if file.manifest.exists() else None
    with (
        _alone(scratch, 4 * timeout_s + _TIMEOUT_S),
        temporary_roles(scratch, manifest.roles if manifest else ()),
        temporary_database(scratch, "readiness_restore") as dsn,
    ):
        clock.note("scratch database made, restore started")
        started = time.perf_counter()
        program, arguments = _how_to_restore(file)
        restoring = run_program(binaries, program, arguments, timeout_s=timeout_s, dsn=dsn)
        elapsed = time.perf_counter() - started
        clock.note("restored, with all indexes", good=restoring.clean)
        yield Restored(file, reading, restoring, elapsed, clock.moments(), dsn, binaries)


class _Clock:
    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._moments: list[Moment] = []

    def note(self, label: str, *, good: bool | None = None) -> None:
        self._moments.append(Moment(time.perf_counter() - self._started, label, good))

    def moments(self) -> tuple[Moment, ...]:
        return tuple(self._moments)


def _errors(ended: Ended) -> int:
    return ended.errors or int(not ended.clean)


def _is_plain(file: BackupFile) -> bool:
    return known_as(head_of(file.path)) == PLAIN_TEXT


def _read_plain(file: BackupFile) -> tuple[str, Ended]:
    """As `read_archive`; psql ends with 0 whatever is missing, so the last lines count."""
    with file.path.open("rb") as opened:
        damage = read_plain_dump(opened).damage
    head = head_of(file.path).decode(errors="replace")
    return head, Ended(int(bool(damage)), len(damage), damage)


def _how_to_restore(file: BackupFile) -> tuple[str, list[str]]:
    if _is_plain(file):
        return "psql", ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--file={file.path}"]
    return "pg_restore", [str(file.path)]


def _check_versions(
    connection: Connection, listing: str, file: BackupFile, binaries: Binaries
) -> None:
    server = connection.info.server_version // 10_000
    dumped = _VERSION.search(listing)
    if dumped and int(dumped[1]) > server:
        raise CouldNotMeasure(
            f"the dump is of PostgreSQL {dumped[1]}, the scratch server is release {server}",
            where=str(file.path),
            remedy=f"set `scratch_dsn` to a server of release {dumped[1]}",
        )
    if int(binaries.version.partition(".")[0]) > server:
        raise CouldNotMeasure(
            f"pg_restore {binaries.version} sets parameters that release {server} lacks",
            where=str(binaries.folder),
            remedy=f"set READINESS_POSTGRES_BIN to the folder of the programs of release {server}",
        )


def _check_extensions(connection: Connection, listing: str, file: BackupFile) -> None:
    there = {name for (name,) in fetch(connection, "select name from pg_available_extensions")}
    missing = sorted(set(_EXTENSION.findall(listing)) - there)
    if missing:
        raise CouldNotMeasure(
            f"extensions missing on the scratch server: {', '.join(missing)}",
            where=str(file.path),
            remedy="set `scratch_dsn` to a server with the extensions of production",
        )


@contextmanager
def _alone(scratch: Dsn, timeout_s: float) -> Iterator[None]:
    """One restore at a time on a server: two would share roles, and slow each other down."""
    with connect(scratch, timeout_s=timeout_s, total_s=2 * timeout_s) as connection:
        fetch(connection, "select pg_advisory_lock(hashtext('readiness restore'))")
        yield
