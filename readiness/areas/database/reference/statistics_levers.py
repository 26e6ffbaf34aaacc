"""Levers on what the server counts and logs."""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Literal

from readiness.areas.database.reference import parts
from readiness.areas.database.reference.parts import DatabaseParts
from readiness.areas.database.reference.session_levers import execute, fetch_one, session
from readiness.areas.database.snapshots import BloatSnapshot, Snapshot
from readiness.model.errors import ReferenceSystemError
from readiness.servers.files import kept

_DAY_S: Final = 86400.0
_REPORT: Final = "select count(*) as report_of_the_day, pg_sleep(%s) from shop.products limit 1"
_FORGET: Final = """
select pg_stat_statements_reset(userid, dbid, queryid)
from pg_stat_statements where query like %s"""
_FORGIVEN_S: Final = 30.0
_AT_ONCE: Final = 30
# The statistics go on while the gate runs, and the share goes down.
_RUN_S: Final = 200.0
_HEAVY: Final = "select pg_sleep(%s) /* readiness_heavy */"
_SO_FAR: Final = """
select greatest(extract(epoch from now() - (select stats_reset from pg_stat_statements_info)),
                sum(total_exec_time) / 1000)::float8
from pg_stat_statements"""


class StatisticsLevers:
    """What can be broken in the server's statistics. Every method gives a context manager."""

    _parts: DatabaseParts

    @property
    def superuser(self) -> str:
        """The shop's database as its superuser, for what cannot run in a transaction."""
        return self._parts.shop.superuser

    @contextlib.contextmanager
    def sql_each(self, do: Sequence[str], undo: Sequence[str]) -> Iterator[None]:
        """As `sql`, each statement by itself: `vacuum` cannot run in a transaction."""
        try:
            execute(self.superuser, *do)
            yield
        finally:
            execute(self.superuser, *undo)

    @contextlib.contextmanager
    def slow_report(self, *, seconds: float, calls: int) -> Iterator[None]:
        """Let the application run a slow statement so often; the statistics drop it afterwards."""
        with self.statements_forgotten("%report_of_the_day%"):
            _at_once(self._parts.shop.app, _REPORT, seconds, calls)
            yield

    @contextlib.contextmanager
    def busy_monitoring(self, share: float) -> Iterator[None]:
        """Let the monitoring role take that share of the time that statements took so far."""
        if not self._parts.shop.has_statistics:
            raise ReferenceSystemError("this PostgreSQL comes without pg_stat_statements")
        so_far_s = float(str(fetch_one(self.superuser, _SO_FAR)))
        # What is spent is part of the whole, too.
        needed_s = share / (1 - share) * (so_far_s + _RUN_S)
        with self.statements_forgotten("%readiness_heavy%"):
            _at_once(self._parts.shop.monitor, _HEAVY, needed_s / _AT_ONCE, _AT_ONCE)
            yield

    @contextlib.contextmanager
    def report_slow_at_times(self) -> Iterator[None]:
        """Let the application run a statement that is slow one time of ten."""
        with self.statements_forgotten("%monthly_report%"), kept(self._timings):
            parts.visit(self._parts.shop.app, self._timings, parts.REPORT)
            yield

    @property
    def _timings(self) -> Path:
        return self._parts.config.parent / parts.FILE

    @contextlib.contextmanager
    def statements_evicted(self) -> Iterator[None]:
        """Run more different statements than are counted; the statistics are reset afterwards.

        Until they have counted for some seconds, what little the monitoring does looks like much.
        """
        room = int(str(fetch_one(self.superuser, "show pg_stat_statements.max")))
        try:
            execute(
                self._parts.shop.app,
                ";".join(f"with no_{n} as (select 1) table no_{n}" for n in range(room)),
            )
            yield
        finally:
            execute(self.superuser, "select pg_stat_statements_reset()")
            parts.visit(self._parts.shop.app, self._timings)
            time.sleep(_FORGIVEN_S)

    @contextlib.contextmanager
    def statements_forgotten(self, like: str) -> Iterator[None]:
        """Drop the statistics of slow statements afterwards, by a pattern of LIKE."""
        try:
            yield
        finally:
            if self._parts.shop.has_statistics:
                with session(self.superuser) as connection:
                    connection.execute(_FORGET.encode(), [like])

    @contextlib.contextmanager
    def history_changed(self, change: Callable[[sqlite3.Connection], object]) -> Iterator[None]:
        """Change the file of the snapshots."""
        with kept(self._parts.history):
            with contextlib.closing(sqlite3.connect(self._parts.history)) as file, file:
                change(file)
            yield

    @contextlib.contextmanager
    def history_begun_anew(self) -> Iterator[None]:
        """Replace the history by one of forty days in which the database was as it is now."""
        path = self._parts.history
        with kept(path):
            path.unlink()
            parts.begin(path, *parts.taken(self._parts.shop.monitor))
            yield

    def newest_snapshot(
        self, kind: Literal["usage", "bloat"], *, moved_days: float = 0.0, **changes: object
    ) -> AbstractContextManager[None]:
        """Change fields of the newest snapshot of a kind, or its date by some days."""
        shape = Snapshot if kind == "usage" else BloatSnapshot

        def rewrite(file: sqlite3.Connection) -> None:
            newest = "select at, body from snapshots where kind = ? order by at desc limit 1"
            at, body = file.execute(newest, (kind,)).fetchone()
            update = {"at": at + moved_days * _DAY_S, **changes}
            changed = shape.unpacked(body).model_copy(update=update)
            file.execute(
                "update snapshots set at = ?, body = ? where kind = ? and at = ?",
                (changed.at, changed.packed(), kind, at),
            )

        return self.history_changed(rewrite)


def _at_once(dsn: str, statement: str, seconds: float, calls: int) -> None:
    """Run a statement of so many seconds in so many sessions at the same time."""

    def run(_: int) -> None:
        with session(dsn) as connection:
            connection.execute(statement.encode(), [seconds])

    with ThreadPoolExecutor(calls) as pool:
        list(pool.map(run, range(calls)))
