"""Restores a physical backup into a place of its own, and starts a server on it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from readiness.areas.backup.config import Backup
from readiness.areas.backup.probes.guard import check_space
from readiness.areas.backup.probes.sound import Soundness, amcheck, bad_checksums
from readiness.areas.backup.tools.known import tool_of
from readiness.areas.backup.tools.tool import account_of, physical_of
from readiness.config.base.tables import Database
from readiness.lib.guardian import Guardian
from readiness.model.errors import CouldNotMeasure, NoData, TookTooLong, Unreachable
from readiness.model.measurement import Measurement, Moment, now
from readiness.model.secrets import Dsn
from readiness.servers.binaries import find_binaries
from readiness.servers.restored import RestoredServer, place_to_restore

_PATIENCE: Final = 1.5
_LONG_S: Final = 6 * 3600.0


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

    def errors(self) -> list[tuple[Measurement, str]]:
        """What must be zero, with what it means if it is not."""
        failed = Measurement("restores that failed", int(bool(self.problem)), "count", self.where)
        return [(failed, self.problem)]

    def restore_time(self) -> Measurement:
        """How long it took until the server had recovered, with the timeline."""
        if self.problem:
            raise CouldNotMeasure(f"it was not restored: {self.problem}", where=self.where)
        return Measurement("restore time", self.elapsed_s, "s", self.where, timeline=self.timeline)

    def database(self) -> Dsn:
        """The restored database.

        Raises:
            CouldNotMeasure: there is none.
        """
        if self.dsn is None:
            raise CouldNotMeasure(f"it was not restored: {self.problem}", where=self.where)
        return self.dsn

    def sound(self) -> Soundness:
        """What amcheck says of the restored database. Raises as `database`."""
        binaries = self.server.binaries if self.server else find_binaries()
        return amcheck(self.database(), binaries, timeout_s=_LONG_S)

    def bad_checksums(self) -> int | None:
        """Pages with a wrong checksum; None where there are no checksums. Stops the server.

        Raises:
            CouldNotMeasure: it was not restored, or could not be told.
        """
        if self.server is None:
            raise CouldNotMeasure(f"it was not restored: {self.problem}", where=self.where)
        with self.server.paused():
            return bad_checksums(
                self.server.data, self.server.binaries, self.server.account, timeout_s=_LONG_S
            )


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
        raise NoData("there is no backup", where=backup.path, remedy="see backup.backup-fresh")
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
                timeout_s = _PATIENCE * backup.rto_s
                place.start(physical.superuser, physical.settings, timeout_s=timeout_s)
            except (Unreachable, TookTooLong) as error:
                problem = error.message
        elapsed = time.perf_counter() - started
        moments.append(Moment(elapsed, "recovered, takes writes", not problem))
        dsn = None if problem else place.dsn(_name(database), physical.superuser)
        yield RestoredCluster(newest.where, began, elapsed, tuple(moments), problem,
                              None if problem else place, dsn)  # fmt: skip


def _name(database: Database) -> str:
    return database.dsn.words.get("dbname") or "postgres"
