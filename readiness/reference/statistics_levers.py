"""Levers on what the server counts and logs."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import sql

from readiness.errors import ReferenceSystemError

if TYPE_CHECKING:
    from readiness.reference.levers import Parts

_RELOAD_S: Final = 10.0


class StatisticsLevers:
    """What can be broken in the server's statistics. Every method gives a context manager."""

    _parts: "Parts"

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
