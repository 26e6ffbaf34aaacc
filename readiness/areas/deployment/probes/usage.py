"""Tells whether anybody used a scratch database: who ignores it was not tried on it."""

import time
from typing import Final

from readiness.lib.postgres import connect, fetch_value
from readiness.model.errors import TookTooLong
from readiness.model.secrets import Dsn

_TIMEOUT_S: Final = 10.0
_POLL_S: Final = 0.05
_CONNECTED: Final = "select count(*) from pg_stat_activity where datname = %s"
_DONE: Final = """
select coalesce(sum(xact_commit + xact_rollback), 0)::bigint
from pg_stat_database where datname = %s"""


class Usage:
    """The transactions of a database, counted from outside: looking is no use of it.

    Args:
        server: another database of the same server.
        database: the one that is watched.
    """

    def __init__(self, server: Dsn, database: Dsn) -> None:
        self._server = server
        self._name = database.words["dbname"]

    def settled(self) -> int:
        """The transactions so far, once nobody is connected any more.

        Raises:
            TookTooLong: somebody still is after 10 s.
            CouldNotMeasure: and its kinds: the server does not answer.
        """
        deadline = time.monotonic() + _TIMEOUT_S
        while self._value(_CONNECTED):
            if time.monotonic() > deadline:
                raise TookTooLong(f"somebody stays connected to the database {self._name}")
            time.sleep(_POLL_S)
        return self._value(_DONE)

    def grew(self, before: int) -> bool:
        """Whether there were more, once what ended has been counted.

        Raises:
            CouldNotMeasure: and its kinds: the server does not answer.
        """
        deadline = time.monotonic() + _TIMEOUT_S
        while self._value(_DONE) <= before:
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def _value(self, query: str) -> int:
        with connect(self._server, timeout_s=_TIMEOUT_S) as connection:
            return int(fetch_value(connection, query, [self._name]))
