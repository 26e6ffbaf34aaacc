"""Measures whether WAL reaches the repository: the server's view, and the files that are there."""

import secrets
import time
from dataclasses import dataclass
from typing import Final

from readiness.areas.backup.config import Backup
from readiness.areas.backup.tools import tool_of
from readiness.areas.backup.tools.tool import Tool, physical_of
from readiness.areas.backup.wal_segments import SEGMENT_BYTES, Continuity, continuity
from readiness.config.base.tables import Database
from readiness.lib.postgres import Connection, connect, fetch, fetch_value
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.measurement import Measurement

_POLL_S: Final = 0.25
_ARCHIVER: Final = """
    select current_setting('archive_mode'), last_archived_time is not null,
        last_failed_time is not null
            and (last_archived_time is null or last_failed_time > last_archived_time),
        failed_count, coalesce(last_failed_wal, '')
    from pg_stat_archiver"""
_WAITING: Final = "select count(*) from pg_ls_archive_statusdir() where name like '%.ready'"


@dataclass(frozen=True, slots=True)
class Archiver:
    """The server's own view of its archiver.

    Attributes:
        mode: `archive_mode`.
        failing: whether its last attempt failed.
        failed: how many attempts failed so far.
        last_failed: the file of the last one that failed; empty if none did.
        waiting: how many finished files wait to be archived.
        source: the view and server.
    """

    mode: str
    failing: bool
    failed: int
    last_failed: str
    waiting: Measurement
    source: str

    @property
    def is_on(self) -> bool:
        """Whether WAL is archived at all."""
        return self.mode in {"on", "always"}


def archiver_of(database: Database) -> Archiver:
    """Read `pg_stat_archiver` and the folder of waiting files.

    Raises:
        NotPermitted: the role is not in pg_monitor.
        CouldNotMeasure: and its kinds, see `readiness.lib.postgres.connect`.
    """
    with connect(database.dsn, timeout_s=database.timeout_s) as connection:
        mode, _, failing, failed, last_failed = fetch(connection, _ARCHIVER)[0]
        waiting_now = int(fetch_value(connection, _WAITING))
    where = database.dsn.address
    name, source = "WAL files waiting for the archiver", f"pg_ls_archive_statusdir() of {where}"
    waiting = Measurement(name, waiting_now, "count", source)
    return Archiver(mode, failing, failed, last_failed, waiting, f"pg_stat_archiver of {where}")


@dataclass(frozen=True, slots=True)
class Delivered:
    """A WAL file that was followed into the repository.

    Attributes:
        segment: its name.
        arrived: whether it was there in time.
        seconds: how long that took, or how long the wait was.
        source: what was done, and where the file was expected.
    """

    segment: str
    arrived: bool
    seconds: float
    source: str


def deliver(backup: Backup) -> Delivered:
    """Write a restore point, finish its WAL file, and wait for that very file in the repository.

    Raises:
        NotPermitted: the role may not.
        CouldNotMeasure: the server is a standby, say; and its kinds.
    """
    physical = physical_of(backup)
    if physical.dsn is None:
        raise NoData("`dsn` is not set", where=f"[backup.{backup.name}.physical]")
    with connect(physical.dsn, timeout_s=30) as connection:
        segment = finish_segment(connection, f"readiness_{secrets.token_hex(6)}")
    return await_segment(tool_of(backup), segment, physical.archived_within_s)


def finish_segment(connection: Connection, point: str) -> str:
    """Write a restore point and finish its WAL file; gives the name of that file.

    Raises:
        NotPermitted: the role may not; the error names the function.
    """
    segment = fetch_value(
        connection, "select pg_walfile_name(pg_create_restore_point(%s))", [point]
    )
    fetch(connection, "select pg_switch_wal()")
    return str(segment)


def await_segment(tool: Tool, segment: str, within_s: float) -> Delivered:
    """Wait until the file is in the repository, or its time is over.

    Raises:
        CouldNotMeasure: the repository cannot be listed; and its kinds.
    """
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
    """Whether every WAL file is there that a restore of any backup may need.

    Raises:
        NoData: there is no backup that needs WAL.
        CouldNotMeasure: the tool or the repository cannot be asked; and its kinds.
    """
    tool = tool_of(backup)
    needed = [b.first_segment for b in tool.backups() if b.first_segment and not b.failed]
    if not needed:
        raise NoData(
            "there is no backup that needs WAL",
            where=backup.path,
            remedy="see backup.fresh",
        )
    # By number, not by name: a later timeline sorts behind every earlier one.
    first = min(needed, key=lambda name: (name[8:], name))
    return continuity(tool.segments(), first, segment_bytes(database))


def segment_bytes(database: Database) -> int:
    """The size of a WAL file of the server; the default size if it cannot be asked."""
    try:
        with connect(database.dsn, timeout_s=database.timeout_s) as connection:
            row = fetch(
                connection,
                "select setting::bigint from pg_settings where name = 'wal_segment_size'",
            )
    except CouldNotMeasure:
        return SEGMENT_BYTES  # nearly every server has it
    return int(row[0][0]) if row else SEGMENT_BYTES
