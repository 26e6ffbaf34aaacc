"""Restores a physical backup into a place of its own, and starts a server on it.

To the end of the archive, or to a named restore point: one row is written before that point and
one after it; the first must be in the restored copy, the second must not.
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
from readiness.areas.backup.probes.archive import await_segment, finish_segment
from readiness.areas.backup.probes.restored_copy import Soundness, amcheck, bad_checksums
from readiness.areas.backup.probes.safety import check_space, own_schema
from readiness.areas.backup.tools import tool_of
from readiness.areas.backup.tools.tool import account_of, physical_of
from readiness.config.base.tables import Database
from readiness.lib.guardian import Guardian
from readiness.lib.postgres import connect, fetch, fetch_value
from readiness.model.errors import CouldNotMeasure, NoData, TookTooLong, Unreachable
from readiness.model.measurement import Measurement, Moment, now
from readiness.model.secrets import Dsn
from readiness.servers.binaries import find_binaries
from readiness.servers.restored import RestoredServer, place_to_restore

_LONG_S: Final = 6 * 3600.0
_TIMEOUT_S: Final = 30.0
_BEFORE: Final = "before the point"
_AFTER: Final = "after the point"


@dataclass(frozen=True, slots=True)
class RestoredCluster:
    """A restore of a whole server that was tried.

    Attributes:
        where: the backup.
        began: when.
        elapsed_s: from the first byte to the end of recovery.
        timeline: what happened when.
        problem: why it failed; empty if it did not.
        server: runs on what was restored; None if nothing does.
        dsn: the database of the backup, in that server; None if there is none.
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
        """How long it took until the server had recovered, with the timeline.

        Raises:
            CouldNotMeasure: it was not restored.
        """
        if self.problem:
            raise self._not_restored()
        return Measurement("restore time", self.elapsed_s, "s", self.where, timeline=self.timeline)

    def data_loss(self, backup: Backup) -> Measurement:
        """The time between the newest heartbeat in the restored copy and the restore, in seconds.

        Raises:
            CouldNotMeasure: it was not restored, or no heartbeat is configured.
            NoData: the heartbeat returns no time with a zone.
        """
        query = physical_of(backup).heartbeat_sql
        if query is None:
            raise CouldNotMeasure(
                "how much would be lost is not known: there is no heartbeat",
                where=f"[backup.{backup.name}.physical]",
                remedy="set `heartbeat_sql` there to a query for the newest time that is written"
                " regularly",
            )
        with connect(self.database(), timeout_s=_TIMEOUT_S) as connection:
            last = fetch_value(connection, query)
        if not isinstance(last, datetime) or last.tzinfo is None:
            raise NoData(f"returned {last!r}, which is not a time with a zone", where=query)
        lost = max(0.0, (self.began - last).total_seconds())
        return Measurement("data loss", lost, "s", query)

    def database(self) -> Dsn:
        """The restored database.

        Raises:
            CouldNotMeasure: it was not restored.
        """
        if self.dsn is None:
            raise self._not_restored()
        return self.dsn

    def sound(self) -> Soundness:
        """What amcheck reports of the restored database. Raises as `database`."""
        binaries = self.server.binaries if self.server else find_binaries()
        return amcheck(self.database(), binaries, timeout_s=_LONG_S)

    def bad_checksums(self) -> int | None:
        """Pages with a wrong checksum; None where there are no checksums. Stops the server.

        Raises:
            CouldNotMeasure: it was not restored, or pg_checksums failed.
        """
        if self.server is None:
            raise self._not_restored()
        with self.server.paused():
            return bad_checksums(
                self.server.data, self.server.binaries, self.server.account, timeout_s=_LONG_S
            )

    def _not_restored(self) -> CouldNotMeasure:
        return CouldNotMeasure(f"the restore failed: {self.problem}", where=self.where)


@contextmanager
def restored_cluster(
    backup: Backup, database: Database, guardian: Guardian, *, point: str = ""
) -> Iterator[RestoredCluster]:
    """Restore the newest backup, and all WAL there is, or to a restore point; remove it at the end.

    A restore that fails is what is measured, and not raised.

    Args:
        backup: whose newest backup it is.
        database: where the database is that was backed up; only its name is used.
        guardian: removes everything when we die.
        point: the restore point to end at; empty for the end of the archive.

    Raises:
        CouldNotMeasure: there is no backup, no program, or no room; and its kinds.
    """
    physical, tool = physical_of(backup), tool_of(backup)
    newest = next((b for b in tool.backups() if not b.failed), None)
    if newest is None:
        raise NoData("there is no backup", where=backup.path, remedy="see backup.fresh")
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
    """The outcome of a restore to a point.

    Attributes:
        point: the name of the restore point.
        problem: why it could not be restored; empty if it could.
        before: whether the row from before the point is there.
        after: whether the row from after it is.
        time: how long the restore took; None if it failed.
    """

    point: str
    problem: str
    before: bool = False
    after: bool = False
    time: Measurement | None = None


def restore_to_point(backup: Backup, database: Database, guardian: Guardian) -> PointInTime:
    """Write the rows, wait for the WAL in the repository, restore, and look.

    Raises:
        NotPermitted: the role may not create a schema or a restore point.
        CouldNotMeasure: and its kinds.
    """
    physical = physical_of(backup)
    if physical.dsn is None:
        raise NoData("`dsn` is not set", where=f"[backup.{backup.name}.physical]")
    name = f"readiness_point_{secrets.token_hex(6)}"
    if segment := _write(physical.dsn, name, backup, guardian):
        return PointInTime(name, f"the WAL with the restore point is not archived ({segment})")
    with restored_cluster(backup, database, guardian, point=name) as cluster:
        if cluster.problem:
            return PointInTime(name, cluster.problem)
        rows = _rows(cluster.database(), name)
        return PointInTime(name, "", _BEFORE in rows, _AFTER in rows, cluster.restore_time())


def _write(dsn: Dsn, name: str, backup: Backup, guardian: Guardian) -> str:
    """Write both rows around the point; gives the WAL file that did not arrive, or nothing."""
    table = sql.Identifier(name, "canary")
    with connect(dsn, timeout_s=_TIMEOUT_S) as connection:
        with own_schema(connection, dsn, name, guardian):
            fetch(connection, sql.SQL("create table {} (row text)").format(table))
            insert = sql.SQL("insert into {} values ({})")
            fetch(connection, insert.format(table, sql.Literal(_BEFORE)))
            fetch(connection, "select pg_create_restore_point(%s)", [name])
            fetch(connection, insert.format(table, sql.Literal(_AFTER)))
            # The row from after the point is in the archive too, or its absence proves nothing.
            segment = finish_segment(connection, f"{name}_end")
        physical = physical_of(backup)
        delivered = await_segment(tool_of(backup), segment, physical.archived_within_s)
    return "" if delivered.arrived else delivered.segment


def _rows(dsn: Dsn, name: str) -> set[str]:
    """The rows of the restored copy; none where the restore ended before their table was made."""
    with connect(dsn, timeout_s=_TIMEOUT_S) as connection:
        if not fetch_value(connection, "select to_regclass(%s) is not null", [f"{name}.canary"]):
            return set()
        query = sql.SQL("select row from {}").format(sql.Identifier(name, "canary"))
        return {str(row) for (row,) in fetch(connection, query)}
