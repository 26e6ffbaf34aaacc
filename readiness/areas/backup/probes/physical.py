"""Backups of the server's files: whether WAL arrives and is complete, and restores of both.

A restore goes to the end of the archive, or to a named restore point: one row is written before
that point and one after it; the first must be in the restored copy, the second must not.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg import sql

from readiness.areas.backup.config import Backup
from readiness.areas.backup.probes.safety import check_space, own_schema
from readiness.areas.backup.tools import tool_of
from readiness.areas.backup.tools.tool import account_of, no_backup, physical_of
from readiness.areas.backup.wal_segments import SEGMENT_BYTES, Continuity, continuity
from readiness.config.base.tables import Database
from readiness.lib.guardian import Guardian
from readiness.lib.postgres import Connection, connect, fetch, fetch_value
from readiness.model.errors import CouldNotMeasure, NoData, TookTooLong, Unreachable
from readiness.model.measurement import Measurement, Moment, now
from readiness.model.secrets import Dsn
from readiness.servers.binaries import find_binaries
from readiness.servers.restored import RestoredServer, place_to_restore

_POLL_S: Final = 0.25
_TIMEOUT_S: Final = 30.0
_BEFORE: Final = "before the point"
_AFTER: Final = "after the point"
_ARCHIVER: Final = """
    select current_setting('archive_mode'),
        last_failed_time is not null
            and (last_archived_time is null or last_failed_time > last_archived_time),
        failed_count, coalesce(last_failed_wal, '')
    from pg_stat_archiver"""
_SEGMENT_SIZE: Final = "select setting::bigint from pg_settings where name = 'wal_segment_size'"
_WAITING: Final = "select count(*) from pg_ls_archive_statusdir() where name like '%.ready'"


@dataclass(frozen=True, slots=True)
class Archiver:
    """The server's own view of its archiver.

    Attributes:
        last_failed: the file of the last one that failed; empty if none did.
    """

    mode: str
    failing: bool
    failed: int
    last_failed: str
    waiting: Measurement
    source: str


def archiver_of(database: Database) -> Archiver:
    """Read `pg_stat_archiver` and the folder of waiting files.

    Raises:
        NotPermitted: the role is not in pg_monitor.
    """
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        mode, failing, failed, last_failed = fetch(connection, _ARCHIVER)[0]
        number = int(fetch_value(connection, _WAITING))
    where = database.dsn.address
    source = f"pg_ls_archive_statusdir() of {where}"
    waiting = Measurement("WAL files waiting for the archiver", number, "count", source)
    return Archiver(mode, failing, failed, last_failed, waiting, f"pg_stat_archiver of {where}")


@dataclass(frozen=True, slots=True)
class Delivered:
    """A WAL file that was followed into the repository.

    Attributes:
        seconds: how long that took, or how long the wait was.
    """

    segment: str
    arrived: bool
    seconds: float
    source: str


def deliver(backup: Backup) -> Delivered:
    """Write a restore point, finish its WAL file, and wait for that very file in the repository.

    Raises:
        CouldNotMeasure: the server is a standby, for example.
    """
    with connect(_drill_dsn(backup), timeout_s=_TIMEOUT_S) as connection:
        segment = _finish_segment(connection, f"readiness_{secrets.token_hex(6)}")
    return _await_segment(backup, segment)


def _drill_dsn(backup: Backup) -> Dsn:
    physical = physical_of(backup)
    if physical.dsn is None:
        raise NoData("`dsn` is not set", where=f"[backup.{backup.name}.physical]")
    return physical.dsn


def _finish_segment(connection: Connection, point: str) -> str:
    """Write a restore point and finish its WAL file; the name of that file."""
    segment = fetch_value(
        connection, "select pg_walfile_name(pg_create_restore_point(%s))", [point]
    )
    fetch(connection, "select pg_switch_wal()")
    return str(segment)


def _await_segment(backup: Backup, segment: str) -> Delivered:
    """Wait until the file is in the repository, or its time is over."""
    tool, within_s = tool_of(backup), physical_of(backup).archived_within_s
    started = time.monotonic()
    arrived = False
    while not arrived and (waited := time.monotonic() - started) <= within_s:
        arrived = segment in tool.segments()
        if not arrived:
            time.sleep(min(_POLL_S, max(within_s - waited, 0.01)))
    seconds = time.monotonic() - started
    source = f"pg_create_restore_point, pg_switch_wal, then {segment} in the repository"
    return Delivered(segment, arrived, seconds, source)


def continuity_of(backup: Backup, database: Database) -> Continuity:
    """Whether every WAL file is there that a restore of any backup may need."""
    tool = tool_of(backup)
    needed = [b.first_segment for b in tool.backups() if b.first_segment and not b.failed]
    if not needed:
        message = "no backup that needs WAL found"
        raise NoData(message, where=backup.path, remedy="see backup.fresh")
    # By number, not by name: a later timeline sorts behind every earlier one.
    first = min(needed, key=lambda name: (name[8:], name))
    return continuity(tool.segments(), first, _segment_bytes(database))


def _segment_bytes(database: Database) -> int:
    """The size of a WAL file of the server; the default size if it cannot be asked."""
    try:
        with connect(database.dsn, timeout_s=database.timeout_s) as connection:
            return int(fetch_value(connection, _SEGMENT_SIZE))
    except CouldNotMeasure:
        return SEGMENT_BYTES  # nearly every server has it


@dataclass(frozen=True, slots=True)
class RestoredCluster:
    """A restore of a whole server that was tried.

    Attributes:
        elapsed_s: from the first byte to the end of recovery.
    """

    where: str
    began: datetime
    elapsed_s: float
    timeline: tuple[Moment, ...]
    problem: str
    server: RestoredServer | None
    dsn: Dsn | None

    def failed(self) -> Measurement:
        """1 if the restore failed, else 0."""
        return Measurement("failed restores", int(bool(self.problem)), "count", self.where)

    def restore_time(self) -> Measurement:
        """How long it took until the server had recovered, with the timeline."""
        self.database()
        return Measurement("restore time", self.elapsed_s, "s", self.where, timeline=self.timeline)

    def data_loss(self, backup: Backup) -> Measurement:
        """Seconds between the newest heartbeat in the restored copy and the restore."""
        if backup.newest_sql is None:
            raise CouldNotMeasure(
                "the data loss cannot be measured: `heartbeat_sql` is not configured",
                where=f"[backup.{backup.name}]",
                remedy="set `heartbeat_sql` to a query for the newest time that is written"
                " regularly",
            )
        return lost_since(self.began, self.database(), backup.newest_sql)

    def database(self) -> Dsn:
        """The restored database."""
        if self.dsn is None:
            raise CouldNotMeasure(f"the restore failed: {self.problem}", where=self.where)
        return self.dsn


@contextmanager
def restored_cluster(
    backup: Backup, database: Database, guardian: Guardian, *, point: str = ""
) -> Iterator[RestoredCluster]:
    """Restore the newest backup, and all WAL there is, or to a restore point; remove it at the end.

    A restore that fails is what is measured, and not raised.
    """
    physical, tool = physical_of(backup), tool_of(backup)
    newest = next((b for b in tool.backups() if not b.failed), None)
    if newest is None:
        raise no_backup(backup)
    with place_to_restore(find_binaries(), account_of(physical), guardian) as place:
        check_space(place.folder, newest.restored_bytes, newest.where)
        began, started = now(), time.perf_counter()
        moments = [Moment(0.0, "restore started")]
        problem = ""
        answer = tool.restore(place.data, point)
        moments.append(Moment(time.perf_counter() - started, "files restored", answer.status == 0))
        if answer.status != 0:
            problem = f"the tool ended with {answer.status}: {answer.said}"
        else:
            try:
                place.start(physical.superuser, physical.settings, timeout_s=backup.patience_s)
            except (Unreachable, TookTooLong) as error:
                problem = error.message
        elapsed = time.perf_counter() - started
        moments.append(Moment(elapsed, "recovered, takes writes", not problem))
        name = database.dsn.words.get("dbname") or "postgres"
        dsn = None if problem else place.dsn(name, physical.superuser)
        yield RestoredCluster(newest.where, began, elapsed, tuple(moments), problem,
                              None if problem else place, dsn)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PointInTime:
    """A restore to a point: whether it has the row from before it, and the one from after it."""

    point: str
    problem: str
    before: bool = False
    after: bool = False
    time: Measurement | None = None


def restore_to_point(backup: Backup, database: Database, guardian: Guardian) -> PointInTime:
    """Write the rows, wait for the WAL in the repository, restore, and look.

    Raises:
        NotPermitted: the role may not create a schema or a restore point.
    """
    name = f"readiness_point_{secrets.token_hex(6)}"
    if segment := _write(_drill_dsn(backup), name, backup, guardian):
        return PointInTime(name, f"the WAL with the restore point is not archived ({segment})")
    with restored_cluster(backup, database, guardian, point=name) as cluster:
        if cluster.problem:
            return PointInTime(name, cluster.problem)
        rows = _rows(cluster.database(), name)
        return PointInTime(name, "", _BEFORE in rows, _AFTER in rows, cluster.restore_time())


def _write(dsn: Dsn, name: str, backup: Backup, guardian: Guardian) -> str:
    """Write a row before and after the point; the WAL file that did not arrive, or nothing."""
    table = sql.Identifier(name, "canary")
    with connect(dsn, timeout_s=_TIMEOUT_S) as connection:
        with own_schema(connection, dsn, name, guardian):
            fetch(connection, sql.SQL("create table {} (row text)").format(table))
            insert = sql.SQL("insert into {} values ({})")
            fetch(connection, insert.format(table, sql.Literal(_BEFORE)))
            fetch(connection, "select pg_create_restore_point(%s)", [name])
            fetch(connection, insert.format(table, sql.Literal(_AFTER)))
            # The row from after the point is in the archive too, or its absence proves nothing.
            segment = _finish_segment(connection, f"{name}_end")
        delivered = _await_segment(backup, segment)
    return "" if delivered.arrived else delivered.segment


def _rows(dsn: Dsn, name: str) -> set[str]:
    """The rows of the restored copy; none where the restore ended before their table was made."""
    with connect(dsn, timeout_s=_TIMEOUT_S) as connection:
        if not fetch_value(connection, "select to_regclass(%s) is not null", [f"{name}.canary"]):
            return set()
        query = sql.SQL("select row from {}").format(sql.Identifier(name, "canary"))
        return {str(row) for (row,) in fetch(connection, query)}


def lost_since(began: datetime, copy: Dsn, query: str) -> Measurement:
    """Seconds between the newest time that the query finds in a restored copy, and a moment.

    Raises:
        NoData: it returns no time with a time zone.
    """
    with connect(copy, timeout_s=_TIMEOUT_S) as connection:
        last = fetch_value(connection, query)
    if not isinstance(last, datetime) or last.tzinfo is None:
        raise NoData(f"returned {last!r}, not a time with a time zone", where=query)
    return Measurement("data loss", max(0.0, (began - last).total_seconds()), "s", query)
