"""Snapshots of what a database has counted, and the file that they are stored in.

Times are Unix times by the clock of the database's server. The file is SQLite's: a killed writer
leaves it whole, and readers wait.
"""

import contextlib
import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from readiness.model.errors import CouldNotMeasure, NoData

FORMAT: Final = 1
_LARGEST: Final = 1 << 28
_LEVEL: Final = 6
_UNREADABLE: Final = "a snapshot in it cannot be read"


@dataclass(frozen=True, slots=True)
class Mark:
    """When a snapshot was taken, and since when its counters counted then."""

    at: float
    counters_since: float


@dataclass(frozen=True, slots=True)
class Scans:
    """How often each index, by its OID, had been scanned: what an old snapshot is read for."""

    mark: Mark
    by_index: Mapping[int, int]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Server(_Part):
    """Which database a snapshot is of, and since when its counters count.

    Attributes:
        system: the identifier of the cluster; empty where the server hides it.
        version: as server_version_num.
        counters_since: when the counters of tables and indexes began: at the last reset, or at a
            crash, which empties them silently.
    """

    system: str
    database: str
    version: int
    started: float
    counters_since: float

    @property
    def created(self) -> float | None:
        """Unix time at which initdb made the cluster, which begins its identifier."""
        return float(int(self.system) >> 32) if self.system.isdigit() else None

    def is_other_than(self, server: "Server") -> bool:
        """Whether it is certainly not the same database."""
        systems = self.system and server.system and self.system != server.system
        return bool(systems) or self.database != server.database


class IndexUse(_Part):
    """The counters of one index, with those of all its parts.

    Attributes:
        oid: a rebuilt index has another one.
        name: `schema.index`.
        size: in bytes.
        last_scan: None where the server does not record it (before 16).
    """

    oid: int
    name: str
    scans: int
    size: int
    last_scan: float | None = None


class StatementUse(_Part):
    """The counters of one statement: how often it ran, and for how many milliseconds in all."""

    calls: int
    total_ms: float


class _Body(_Part):
    """What is stored, compressed, as one row of the file."""

    at: float
    server: Server

    def packed(self) -> bytes:
        """As it is stored."""
        return zlib.compress(self.model_dump_json(exclude_none=True).encode(), _LEVEL)

    @classmethod
    def unpacked(cls, stored: bytes) -> Self:
        """From what was stored; raises CouldNotMeasure if it is damaged or of another format."""
        try:
            return cls.model_validate_json(_inflated(stored))
        except ValidationError:
            raise CouldNotMeasure(_UNREADABLE) from None


class Snapshot(_Body):
    """The counters of one database at one moment.

    Attributes:
        size: of the database, in bytes.
        tables: the size of each table with its indexes and its TOAST, by `schema.table`.
        statements: by key; empty without the extension.
        statements_since: when those counters began; None where it is not recorded (before 14).
        evictions: of pg_stat_statements since then; None likewise.
    """

    size: int
    tables: dict[str, int]
    indexes: tuple[IndexUse, ...]
    statements: dict[str, StatementUse] = {}
    statements_since: float | None = None
    evictions: int | None = None

    @property
    def mark(self) -> Mark:
        """When it was taken, and since when its counters count."""
        return Mark(self.at, self.server.counters_since)

    @property
    def scans(self) -> Scans:
        """How often each index had been scanned then."""
        return Scans(self.mark, {index.oid: index.scans for index in self.indexes})


def unpacked_scans(stored: bytes) -> Scans:
    """As `Snapshot.unpacked`, but without a model for each of ten thousand indexes."""
    try:
        body = json.loads(_inflated(stored))
        mark = Mark(float(body["at"]), float(body["server"]["counters_since"]))
        return Scans(mark, {int(index["oid"]): int(index["scans"]) for index in body["indexes"]})
    except (ValueError, KeyError, TypeError):
        raise CouldNotMeasure(_UNREADABLE) from None


def _inflated(stored: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(stored, _LARGEST)
    except zlib.error:
        raise CouldNotMeasure(_UNREADABLE) from None
    if not unpacker.eof:
        raise CouldNotMeasure("a snapshot in it is cut off, or larger than 256 MiB")
    return text


class Bloated(_Part):
    """How much of one table or index was empty or dead.

    Attributes:
        name: `schema.name`.
        size: in bytes.
        wasted: bytes that would be free after a rewrite.
        exact: whether it was measured, or estimated from the planner's statistics.
    """

    name: str
    kind: Literal["table", "index"]
    size: int
    wasted: int
    exact: bool

    @property
    def share(self) -> float:
        """The wasted part of the whole."""
        return self.wasted / self.size if self.size else 0.0


class BloatSnapshot(_Body):
    """The bloat of one database at one moment.

    Attributes:
        objects: what was large enough to be judged.
        looked_at: how many tables and indexes there were, small ones too.
        left_out: names of those that could not be measured.
    """

    objects: tuple[Bloated, ...]
    looked_at: int
    left_out: tuple[str, ...] = ()


_APPLICATION: Final = 0x52445931  # "RDY1", in the header of the file: another one's is refused
_WAIT_S: Final = 10.0
_DAY_S: Final = 86400.0
_WHOLE_S: Final = 3 * _DAY_S
_SCHEMA: Final = """
create table snapshots (
    kind text not null check (kind in ('usage', 'bloat')),
    at real not null,
    counters_since real not null,
    body blob not null,
    primary key (kind, at)
) without rowid"""
# Of each day one is enough, and the last one before the counters started again: nothing else holds
# what was counted until then.
_THIN: Final = """
delete from snapshots where at < ? and (kind, at) not in (
    select kind, min(at) from snapshots group by kind, cast(at / 86400 as integer))
and (kind, at) not in (
    select kind, at from (
        select kind, at, lead(counters_since) over (partition by kind order by at) as next
        from snapshots)
    where next > at)"""
# Of the counters: from the last one until a time on, else from the first one on.
_SINCE: Final = """
from snapshots where kind = 'usage' and at >= (
    select coalesce(max(case when at <= ? then at end), min(at), 0)
    from snapshots where kind = 'usage')
order by at"""
_MARKS: Final = f"select at, counters_since {_SINCE}"
_BODIES: Final = f"select body {_SINCE}"
_NEWEST: Final = "select body from snapshots where kind = ? order by at desc limit 1"
_CRON: Final = "take them each hour: 7 * * * * readiness snapshot --config FILE"


class Store:
    """The snapshots of one database, in one file, which the first snapshot makes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, *snapshots: Snapshot | BloatSnapshot, keep_days: float) -> None:
        """Store snapshots, the oldest first, and remove what is too old; all of it, or nothing.

        Raises:
            CouldNotMeasure: the file cannot be written, is another program's, or another
                database's.
        """
        with self._opened("rwc") as connection:
            connection.execute("begin immediate")
            self._prepare(connection)
            self._refuse_other(connection, snapshots[-1].server)
            connection.executemany(
                "insert or replace into snapshots values (?, ?, ?, ?)", map(_row, snapshots)
            )
            newest = snapshots[-1].at
            connection.execute("delete from snapshots where at < ?", (newest - keep_days * _DAY_S,))
            connection.execute(_THIN, (newest - _WHOLE_S,))
            connection.execute("commit")

    def marks(self, server: Server, *, since: float = 0.0) -> list[Mark]:
        """When the snapshots of the counters were taken, the oldest first; see `scans`."""
        with self._reading(server) as connection:
            return [Mark(*row) for row in connection.execute(_MARKS, (since,))]

    def scans(self, server: Server, *, since: float = 0.0) -> list[Scans]:
        """The scans of the indexes at a time and all after it, the oldest first.

        The last snapshot before `since` is the first one given.

        Raises:
            NoData: there is no file, or it is another database's than `server`.
            CouldNotMeasure: it cannot be read.
        """
        with self._reading(server) as connection:
            return [unpacked_scans(body) for (body,) in connection.execute(_BODIES, (since,))]

    def usage_at(self, server: Server, at: float) -> Snapshot | None:
        """The last snapshot of the counters until a time, else the first one; see `scans`."""
        with self._reading(server) as connection:
            row = connection.execute(f"{_BODIES} limit 1", (at,)).fetchone()
            return Snapshot.unpacked(row[0]) if row else None

    def newest_usage(self, server: Server) -> Snapshot | None:
        """The last snapshot of the counters; see `scans`."""
        with self._reading(server) as connection:
            row = connection.execute(_NEWEST, ("usage",)).fetchone()
            return Snapshot.unpacked(row[0]) if row else None

    def newest_bloat(self, server: Server) -> BloatSnapshot | None:
        """The last snapshot of the bloat; see `scans`."""
        with self._reading(server) as connection:
            row = connection.execute(_NEWEST, ("bloat",)).fetchone()
            return BloatSnapshot.unpacked(row[0]) if row else None

    @contextlib.contextmanager
    def _reading(self, server: Server) -> Iterator[sqlite3.Connection]:
        with self._opened("ro") as connection:
            self._check(connection)
            self._refuse_other(connection, server)
            yield connection

    @contextlib.contextmanager
    def _opened(self, mode: Literal["ro", "rwc"]) -> Iterator[sqlite3.Connection]:
        """The file, with every failure as one of our errors."""
        if mode == "ro" and not self.path.is_file():
            raise NoData("there is no history yet", where=str(self.path), remedy=_CRON)
        try:
            uri = f"{self.path.absolute().as_uri()}?mode={mode}"
            with contextlib.closing(
                sqlite3.connect(uri, uri=True, timeout=_WAIT_S, isolation_level=None)
            ) as connection:
                yield connection
        except sqlite3.OperationalError as error:
            raise CouldNotMeasure(
                f"the history cannot be used: {error}",
                where=str(self.path),
                remedy="check that the folder exists, has room, and belongs to this account",
            ) from None
        except sqlite3.DatabaseError:
            raise self._broken("it is damaged, or not a history of readiness") from None
        except CouldNotMeasure as error:
            if error.where:
                raise
            raise self._broken(error.message) from None

    def _prepare(self, connection: sqlite3.Connection) -> None:
        """Make the table in a new file; refuse one that is not ours."""
        if connection.execute("select count(*) from sqlite_master").fetchone()[0]:
            self._check(connection)
            return
        connection.execute(f"pragma application_id = {_APPLICATION}")
        connection.execute(f"pragma user_version = {FORMAT}")
        connection.execute(_SCHEMA)

    def _check(self, connection: sqlite3.Connection) -> None:
        application = connection.execute("pragma application_id").fetchone()[0]
        version = connection.execute("pragma user_version").fetchone()[0]
        if application != _APPLICATION:
            raise self._broken("it is not a history of readiness")
        if version != FORMAT:
            raise CouldNotMeasure(
                f"the history has format {version}, this program reads format {FORMAT}",
                where=str(self.path),
                remedy="use the version of readiness that wrote it, or start a new file",
            )

    def _refuse_other(self, connection: sqlite3.Connection, server: Server) -> None:
        row = connection.execute(
            "select kind, body from snapshots order by at desc limit 1"
        ).fetchone()
        if row is None:
            return
        shape = Snapshot if row[0] == "usage" else BloatSnapshot
        stored = shape.unpacked(row[1]).server
        if stored.is_other_than(server):
            raise self._other(stored)

    def _other(self, stored: Server) -> NoData:
        system = f" of the cluster {stored.system}" if stored.system else ""
        return NoData(
            f"it is the history of another database: {stored.database}{system}",
            where=str(self.path),
            remedy="name another file in [databases.NAME.history] path; after pg_upgrade, or a"
            " move to another cluster, a new history begins",
        )

    def _broken(self, message: str) -> CouldNotMeasure:
        return CouldNotMeasure(
            message, where=str(self.path), remedy=f"move it away, and start a new one; {_CRON}"
        )


def _row(snapshot: Snapshot | BloatSnapshot) -> tuple[str, float, float, bytes]:
    kind = "usage" if isinstance(snapshot, Snapshot) else "bloat"
    return kind, snapshot.at, snapshot.server.counters_since, snapshot.packed()
