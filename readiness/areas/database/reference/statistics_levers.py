"""Levers on what the server counts and logs."""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, Literal

import psycopg

from readiness.areas.database.reference import past
from readiness.areas.database.reference.parts import DatabaseParts
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
        """How to reach the shop's database as its superuser, for what is no transaction."""
        return self._parts.shop.superuser

    @contextlib.contextmanager
    def sql_each(self, do: Sequence[str], undo: Sequence[str]) -> Iterator[None]:
        """As `sql`, each statement for itself: `vacuum` is not one that a transaction may hold."""
        with psycopg.connect(self.superuser, autocommit=True) as connection:
            try:
                for statement in do:
                    connection.execute(statement.encode())
                yield
            finally:
                for statement in undo:
                    connection.execute(statement.encode())

    @contextlib.contextmanager
    def slow_report(self, *, seconds: float, calls: int) -> Iterator[None]:
        """Let the application run a slow statement so often; the statistics forget it after."""
        with self.statements_forgotten("%report_of_the_day%"):
            _at_once(self._parts.shop.app, _REPORT, seconds, calls)
            yield

    @contextlib.contextmanager
    def busy_monitoring(self, share: float) -> Iterator[None]:
        """Let the monitoring role take that share of the time that statements took so far.

        Raises:
            ReferenceSystemError: this server has no statistics of statements.
        """
        if not self._parts.shop.has_statistics:
            raise ReferenceSystemError("this PostgreSQL comes without pg_stat_statements")
        with psycopg.connect(self.superuser, autocommit=True) as connection:
            row = connection.execute(_SO_FAR.encode()).fetchone()
        # What is spent is part of the whole, too.
        needed_s = share / (1 - share) * ((float(row[0]) if row else 0.0) + _RUN_S)
        with self.statements_forgotten("%readiness_heavy%"):
            _at_once(self._parts.shop.monitor, _HEAVY, needed_s / _AT_ONCE, _AT_ONCE)
            yield

    @contextlib.contextmanager
    def report_slow_at_times(self) -> Iterator[None]:
        """Let the application run a statement that is slow one time of ten."""
        with self.statements_forgotten("%monthly_report%"), kept(self._timings):
            past.visit(self._parts.shop.app, self._timings, past.REPORT)
            yield

    @property
    def _timings(self) -> Path:
        return self._parts.config.parent / past.FILE

    @contextlib.contextmanager
    def statements_evicted(self) -> Iterator[None]:
        """Run more different statements than are counted; the statistics begin anew after.

        Until they have counted for some seconds, what little the monitoring does looks like much.
        """
        room = int(self._shown("pg_stat_statements.max"))
        many = ";".join(f"with no_{n} as (select 1) table no_{n}" for n in range(room))
        try:
            self._as_app(many)
            yield
        finally:
            with psycopg.connect(self.superuser, autocommit=True) as connection:
                connection.execute("select pg_stat_statements_reset()")
            past.visit(self._parts.shop.app, self._timings)
            time.sleep(_FORGIVEN_S)

    @contextlib.contextmanager
    def statements_forgotten(self, like: str) -> Iterator[None]:
        """Let the statistics forget, after, what was slow meanwhile; by a pattern of LIKE."""
        try:
            yield
        finally:
            if self._parts.shop.has_statistics:
                with psycopg.connect(self.superuser, autocommit=True) as connection:
                    connection.execute(_FORGET.encode(), [like])

    def _as_app(self, statement: str) -> None:
        with psycopg.connect(self._parts.shop.app, autocommit=True) as connection:
            connection.execute(statement.encode())

    @contextlib.contextmanager
    def history_changed(self, change: Callable[[sqlite3.Connection], object]) -> Iterator[None]:
        """Change the file of the snapshots."""
        with kept(self._parts.history):
            with contextlib.closing(sqlite3.connect(self._parts.history)) as file, file:
                change(file)
            yield

    @contextlib.contextmanager
    def history_begun_anew(self) -> Iterator[None]:
        """Give the database another past of forty days: as it is now, all that time."""
        path = self._parts.history
        with kept(path):
            path.unlink()
            past.begin(path, *past.taken(self._parts.shop.monitor))
            yield

    def newest_snapshot(
        self, kind: Literal["usage", "bloat"], *, moved_days: float = 0.0, **changes: object
    ) -> AbstractContextManager[None]:
        """Change fields of the newest snapshot of a kind, or move it by some days."""
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

    def _shown(self, name: str) -> str:
        with psycopg.connect(self.superuser, autocommit=True) as connection:
            row = connection.execute("select current_setting(%s)", [name]).fetchone()
        return str(row[0]) if row else ""


def _at_once(dsn: str, statement: str, seconds: float, calls: int) -> None:
    """Run a statement of so many seconds in so many sessions at the same time."""

    def run(_: int) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(statement.encode(), [seconds])

    with ThreadPoolExecutor(calls) as pool:
        list(pool.map(run, range(calls)))
