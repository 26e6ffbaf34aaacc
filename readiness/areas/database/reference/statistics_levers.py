"""Levers on what the server counts and logs."""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from readiness.areas.database.history.snapshot import BloatSnapshot
from readiness.areas.database.reference import customers, history
from readiness.areas.database.reference.parts import DatabaseParts
from readiness.model.errors import ReferenceSystemError
from readiness.servers.files import kept

_RELOAD_S: Final = 10.0
_DAY_S: Final = 86400.0
_REPORT: Final = "select count(*) as report_of_the_day, pg_sleep(%s) from shop.products limit 1"
_FORGET: Final = """
select pg_stat_statements_reset(userid, dbid, queryid)
from pg_stat_statements where query like %s"""
_FORGIVEN_S: Final = 30.0


class StatisticsLevers:
    """What can be broken in the server's statistics. Every method gives a context manager."""

    _parts: DatabaseParts

    @property
    def superuser(self) -> str:
        """How to reach the shop's database as its superuser, for what is no transaction."""
        return self._parts.shop.superuser

    @contextlib.contextmanager
    def setting(self, name: str, value: str) -> Iterator[None]:
        """Set a setting of the server that a reload takes over."""
        before = self._shown(name)
        self._alter(
            sql.SQL("alter system set {} = {}").format(sql.Identifier(name), sql.Literal(value))
        )
        try:
            self._await(name, lambda shown: shown != before)
            yield
        finally:
            self._alter(sql.SQL("alter system reset {}").format(sql.Identifier(name)))
            self._await(name, lambda shown: shown == before)

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
            with ThreadPoolExecutor(calls) as pool:
                for ended in [pool.submit(self._as_app, _REPORT, seconds) for _ in range(calls)]:
                    ended.result()
            yield

    @contextlib.contextmanager
    def report_slow_at_times(self) -> Iterator[None]:
        """Let the application run a statement that is slow one time of ten."""
        with self.statements_forgotten("%monthly_report%"), kept(self._timings):
            customers.visit(self._parts.shop.app, self._timings, customers.REPORT)
            yield

    @property
    def _timings(self) -> Path:
        return self._parts.config.parent / customers.FILE

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
            customers.visit(self._parts.shop.app, self._timings)
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

    def _as_app(self, statement: str, *parameters: float) -> None:
        with psycopg.connect(self._parts.shop.app, autocommit=True) as connection:
            connection.execute(statement.encode(), parameters or None)

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
            history.begin(path, *history.taken(self._parts.shop.monitor))
            yield

    def bloat_dated_back(self, days: float) -> AbstractContextManager[None]:
        """Make the snapshot of the bloat older."""

        def change(file: sqlite3.Connection) -> None:
            rows = file.execute("select at, body from snapshots where kind = 'bloat'").fetchall()
            for at, body in rows:
                older = BloatSnapshot.unpacked(body).model_copy(update={"at": at - days * _DAY_S})
                file.execute(
                    "update snapshots set at = ?, body = ? where kind = 'bloat' and at = ?",
                    (older.at, older.packed(), at),
                )

        return self.history_changed(change)

    def _alter(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.superuser, autocommit=True) as connection:
            connection.execute(statement)
            connection.execute("select pg_reload_conf()")

    def _shown(self, name: str) -> str:
        with psycopg.connect(self.superuser, autocommit=True) as connection:
            row = connection.execute("select current_setting(%s)", [name]).fetchone()
        return str(row[0]) if row else ""

    def _await(self, name: str, good: Callable[[str], bool]) -> None:
        """Wait until new sessions have the setting: the server reloads when it comes to it."""
        deadline = time.monotonic() + _RELOAD_S
        while not good(self._shown(name)):
            if time.monotonic() > deadline:
                raise ReferenceSystemError(f"the server does not take over {name}")
            time.sleep(0.05)
