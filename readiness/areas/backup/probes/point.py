"""Restores to a point in time, and looks whether it is that very point.

One row is written before a named restore point, and one after it: the first must be in the
restored copy, the second must not.
"""

import secrets
from dataclasses import dataclass
from typing import Final

from psycopg import sql

from readiness.areas.backup.config import Backup
from readiness.areas.backup.probes.archive import await_segment, finish_segment
from readiness.areas.backup.probes.cluster import RestoredCluster, restored_cluster
from readiness.areas.backup.probes.sweep import own_schema
from readiness.areas.backup.tools.known import tool_of
from readiness.areas.backup.tools.tool import physical_of
from readiness.config.base.tables import Database
from readiness.lib.guardian import Guardian
from readiness.lib.postgres import connect, fetch
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.measurement import Measurement
from readiness.model.secrets import Dsn

_BEFORE: Final = "before the point"
_AFTER: Final = "after the point"
_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class PointInTime:
    """What became of the drill.

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
        raise NoData("has no `dsn`", where=f"[backup.{backup.name}.physical]")
    name = f"readiness_point_{secrets.token_hex(6)}"
    segment = _write(physical.dsn, name, backup, guardian)
    if segment:
        return PointInTime(name, f"the WAL with the restore point is not archived ({segment})")
    with restored_cluster(backup, database, guardian, point=name) as cluster:
        return _look(cluster, name)


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


def _look(cluster: RestoredCluster, name: str) -> PointInTime:
    if cluster.problem:
        return PointInTime(name, cluster.problem)
    try:
        with connect(cluster.database(), timeout_s=_TIMEOUT_S) as connection:
            table = sql.Identifier(name, "canary")
            query = sql.SQL("select row from {}").format(table)
            rows = {str(row) for (row,) in fetch(connection, query)}
    except CouldNotMeasure as error:
        return PointInTime(name, f"the rows are not there: {error.message}")
    return PointInTime(name, "", _BEFORE in rows, _AFTER in rows, cluster.restore_time())
