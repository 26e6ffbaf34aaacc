"""Restores a dump into a new database of a scratch server, and measures how that went."""

import re
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from readiness.areas.backup.config import Backup
from readiness.areas.backup.manifest import (
    COMMAND,
    LargeObjects,
    SequenceState,
    large_objects,
    read_manifest,
    sequences,
)
from readiness.areas.backup.probes.contents import (
    Heading,
    as_archived,
    content_of,
    heading_of,
    is_plain,
    read_archive,
    roles_of_archive,
    run_pg_restore,
)
from readiness.areas.backup.probes.packed import (
    ARCHIVE,
    PLAIN_TEXT,
    fed,
    kind_of,
    packing_of,
    unpacked,
)
from readiness.areas.backup.probes.physical import lost_since
from readiness.areas.backup.probes.plain_sql import PlainDump, for_psql
from readiness.lib.files import BackupFile, sha256_of
from readiness.lib.migrations.scratch import temporary_database, temporary_roles
from readiness.lib.postgres import Connection, connect, fetch, fetch_value
from readiness.lib.postgres.contents import TableContent, table_contents
from readiness.lib.postgres.fingerprint import Fingerprint, fingerprint
from readiness.lib.text import listed
from readiness.model.errors import CouldNotMeasure
from readiness.model.measurement import Measurement, Moment, now
from readiness.model.secrets import Dsn
from readiness.servers.binaries import Binaries, Ended, run_program

_TIMEOUT_S: Final = 30.0
_LONG_S: Final = 6 * 3600.0
_T = TypeVar("_T")
_VERSION: Final = re.compile(r"^; +Dumped from database version:? (\d+)", re.MULTILINE)
# Nothing was deleted yet from what was just restored: a table without rows has no page.
_FILLED: Final = """
    select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
        and pg_relation_size(c.oid) > 0"""
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
        source = f"{self.file.path}, to its end"
        return Measurement("errors while reading the dump", _errors(self.reading), "count", source)

    def restore_errors(self) -> Measurement:
        """Errors of `pg_restore`, each of which left something out, or the first one of `psql`."""
        ended = self._tried()
        source = f"{self.file.path}, restored into a new database"
        return Measurement("errors while restoring the dump", _errors(ended), "count", source)

    def restore_time(self) -> Measurement:
        """How long the restore took, with its timeline."""
        self._tried()
        return Measurement(
            "restore time",
            self.elapsed_s,
            "s",
            f"{self.file.path}, {self.file.size} bytes",
            timeline=self.timeline,
        )

    def database(self) -> Dsn:
        """The scratch database."""
        if self.dsn is None:
            self._tried()
            raise CouldNotMeasure("the database was not restored", where=self.where)
        return self.dsn

    def data_loss(self, backup: Backup) -> Measurement:
        """How old the data is, in seconds: by the data itself, or by its manifest.

        Raises:
            CouldNotMeasure: it has neither, and is not already older than `rpo_s` by its own list
                of contents: a dump of a standby that stands still looks like a new one.
        """
        self._tried()
        if backup.newest_sql:
            return lost_since(now(), self.database(), backup.newest_sql)
        if not self.file.manifest.exists():
            least = (now() - self.file.data_at).total_seconds()
            if backup.rpo_s and least > backup.rpo_s:
                source = f"{self.where}, {self.file.dated_by}"
                return Measurement("data loss, at least", least, "s", source)
            raise CouldNotMeasure(
                "the dump does not show how old its data is",
                where=self.where,
                remedy=f"set `heartbeat_sql` in [backup.{backup.name}], or write the dump with its"
                f" manifest: {COMMAND}",
            )
        manifest = read_manifest(self.file.manifest)
        lost = max(0.0, (now() - manifest.data_at).total_seconds())
        by = "last commit that its standby had replayed" if manifest.replayed_until else "snapshot"
        return Measurement("data loss", lost, "s", f"{by}, of {self.where}")

    def contents(self) -> dict[str, TableContent]:
        """What the restored tables hold; read once, and used by the negative controls too."""
        if not self._contents:
            self._contents.update(self._read(table_contents))
        return self._contents

    def filled(self) -> Measurement:
        """How many restored tables have a row: without a manifest nothing else is known of them."""
        number = self._read(lambda connection: int(fetch_value(connection, _FILLED)))
        source = f"pg_relation_size of the tables of {self.where}"
        return Measurement("restored tables with rows", number, "count", source)

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
                remedy=f"see how far it can be read: pg_restore -f /dev/null '{self.file.path}'"
                " (gzip -t, zstd -t where it is packed)",
            )
        return self.restoring


@contextmanager
def restored(
    file: BackupFile, scratch: Dsn, binaries: Binaries, *, timeout_s: float, database: str = ""
) -> Iterator[Restored]:
    """Read a dump to its end, restore it into a new database, and drop that at the end.

    Errors of a restore are counted and not raised: they are what is measured. Roles that the
    manifest names, or without one the dump, are created where they are missing, without any right;
    anything else that the dump lacks is an error. Tablespaces are left out.

    Args:
        file: the backup.
        scratch: a server that may be written to, as a superuser.
        binaries: where `pg_restore` is.
        timeout_s: longest reading, and longest restore; then it is stopped, as an error of it.
        database: which one of a dump of several (pg_dumpall).

    Raises:
        CouldNotMeasure: the scratch server or `pg_restore` cannot restore this dump: too old, or an
            extension is missing.
    """
    _refuse_unreadable(file)
    clock = _Clock()
    dump = _read(file, binaries, timeout_s=timeout_s)
    file = as_archived(file, dump.heading)
    clock.note("dump read to its end", good=dump.reading.clean)
    if not dump.reading.clean:
        yield Restored(file, dump.reading, timeline=clock.moments())
        return
    with connect(scratch, timeout_s=_TIMEOUT_S, total_s=3 * _TIMEOUT_S) as connection:
        _check_versions(connection, dump.release, file, binaries)
        _check_extensions(connection, dump.extensions, file)
    wanted = _one_of(dump.plain, database, file)
    with (
        _alone(scratch, 4 * timeout_s + _TIMEOUT_S),
        temporary_roles(scratch, sorted(_roles(file, dump, binaries, timeout_s))),
        temporary_database(scratch, "readiness_restore") as dsn,
    ):
        clock.note("scratch database made, restore started")
        started = time.perf_counter()
        if dump.plain:
            restoring = _run_psql(file, dump.plain, wanted, binaries, timeout_s=timeout_s, dsn=dsn)
        else:
            words = ["--no-tablespaces"]
            restoring = run_pg_restore(file.path, binaries, words, timeout_s=timeout_s, dsn=dsn)
        elapsed = time.perf_counter() - started
        clock.note("restored, with all indexes", good=restoring.clean)
        yield Restored(file, dump.reading, restoring, elapsed, clock.moments(), dsn, binaries)


@dataclass(frozen=True, slots=True)
class _Dump:
    """What a dump needs of the server that it is restored on, and how reading it went."""

    reading: Ended
    release: int
    extensions: frozenset[str]
    listing: str
    heading: Heading
    plain: PlainDump | None = None


def _read(file: BackupFile, binaries: Binaries, *, timeout_s: float) -> _Dump:
    if not is_plain(file.path):
        listing, reading = read_archive(file.path, binaries, timeout_s=timeout_s)
        said = _VERSION.search(listing)
        extensions = frozenset(_EXTENSION.findall(listing))
        return _Dump(reading, int(said[1]) if said else 0, extensions, listing, heading_of(listing))
    # psql ends with 0 whatever is missing, so the last lines count.
    found = content_of(file.path, binaries, timeout_s=timeout_s)
    reading = Ended(int(bool(found.damage)), len(found.damage), found.damage)
    if found.plain is None:
        return _Dump(reading, 0, frozenset(), "", heading_of(""))
    return _Dump(
        reading, found.plain.release, found.plain.extensions, "", heading_of(""), found.plain
    )


def _refuse_unreadable(file: BackupFile) -> None:
    kind = kind_of(file.path)
    if kind == "tar" and packing_of(file.path):
        raise CouldNotMeasure(
            "the backup is a packed archive of files, which pg_restore cannot read",
            where=str(file.path),
            remedy="write dumps with pg_dump -Fc, which packs them, or -Fd without tar",
        )
    if kind not in {ARCHIVE, PLAIN_TEXT, "tar", ""}:
        if kind != "zip":
            with unpacked(file.path):  # says which program is missing
                pass
        raise CouldNotMeasure(
            f"the backup is packed as {kind}, which is not restored here",
            where=str(file.path),
            remedy="pack it with gzip or zstd, or write it with pg_dump -Fc",
        )


def _one_of(plain: PlainDump | None, database: str, file: BackupFile) -> str:
    """Which of the databases of a plain dump is restored."""
    if plain is None or not plain.databases or database in plain.databases:
        return database
    others = [name for name in plain.databases if name not in {"postgres", "template1"}]
    if len(others) != 1:
        raise CouldNotMeasure(
            f"the dump is of {listed(others) or 'no database'}, and not of {database}",
            where=str(file.path),
            remedy="correct `path` and `pattern` in [backup.NAME], or `database`",
        )
    return others[0]


def _roles(file: BackupFile, dump: _Dump, binaries: Binaries, timeout_s: float) -> Collection[str]:
    if file.manifest.exists():
        return read_manifest(file.manifest).roles
    if dump.plain:
        return dump.plain.named
    return roles_of_archive(file.path, dump.listing, binaries, timeout_s=timeout_s)


def _run_psql(
    file: BackupFile, plain: PlainDump, database: str, binaries: Binaries, *, timeout_s: float,
    dsn: Dsn,
) -> Ended:  # fmt: skip
    def chunks() -> Iterator[bytes]:
        with unpacked(file.path) as opened:
            yield from for_psql(opened, database, plain.databases)

    words = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-"]
    with fed(chunks()) as stdin:
        return run_program(binaries, "psql", words, timeout_s=timeout_s, dsn=dsn, stdin=stdin)


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


def _check_versions(
    connection: Connection, dumped: int, file: BackupFile, binaries: Binaries
) -> None:
    server = connection.info.server_version // 10_000
    if dumped > server:
        raise CouldNotMeasure(
            f"the dump is of PostgreSQL {dumped}, the scratch server is release {server}",
            where=str(file.path),
            remedy=f"set `scratch_dsn` to a server of release {dumped}",
        )
    if int(binaries.version.partition(".")[0]) > server:
        raise CouldNotMeasure(
            f"pg_restore {binaries.version} sets parameters that release {server} lacks",
            where=str(binaries.folder),
            remedy=f"set READINESS_POSTGRES_BIN to the folder of the programs of release {server}",
        )


def _check_extensions(connection: Connection, extensions: frozenset[str], file: BackupFile) -> None:
    there = {name for (name,) in fetch(connection, "select name from pg_available_extensions")}
    missing = sorted(extensions - there)
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
