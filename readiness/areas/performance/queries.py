"""Executes a query as an application would, and times it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from time import perf_counter
from typing import Final

from psycopg.errors import ReadOnlySqlTransaction

from readiness.areas.performance.config import Query
from readiness.areas.performance.judging import PATIENCE, Times, plan
from readiness.lib.postgres import Connection, connect, source_of, translated
from readiness.lib.sampling import percentile
from readiness.model.errors import CouldNotMeasure, NoData

_PILOT: Final = 5


class RunningQuery:
    """A query on a connection of its own; made by `running`. A pilot decides the `plan`."""

    def __init__(self, query: Query, connection: Connection) -> None:
        self._query = query
        self._cursor = connection.cursor()
        # A statement without parameters goes as it is: its percent signs mean themselves.
        self._params = cycle([params or None for params in query.params])
        self._rows = 0
        if not query.writes:
            self._try_to_read(connection)
        self.plan = plan(query.samples, query.budget_s, self._pilot())

    def execute(self) -> None:
        """Execute once with the next parameters, and fetch every row."""
        self._cursor.execute(self._query.sql, next(self._params))
        self._rows += len(self._cursor.fetchall())

    def times(self, seconds: Sequence[float]) -> Times:
        """The measured times in ms.

        Raises:
            NoData: no execution returned a row, so that no work was measured.
        """
        if not self._rows:
            raise NoData(
                "the query returned no row in any execution, so that its speed proves nothing",
                where=source_of(self._query.sql),
                remedy="set `params` that find rows, taken from real traffic",
            )
        return Times([second * 1000 for second in seconds], source_of(self._query.sql))

    def _try_to_read(self, connection: Connection) -> None:
        # Not for the session: a pooler would hand that to the application.
        try:
            with connection.transaction():
                connection.execute("set transaction read only")
                connection.execute(self._query.sql, self._query.params[0] or None)
        except ReadOnlySqlTransaction as error:
            raise CouldNotMeasure(
                f"the query writes: {error.diag.message_primary}",
                where=source_of(self._query.sql),
                remedy="measure a query that reads, or set `writes = true` for a database whose"
                " contents may change",
            ) from None

    def _pilot(self) -> float:
        times = []
        for _ in range(_PILOT):
            started = perf_counter()
            self.execute()
            times.append(perf_counter() - started)
        return percentile(times, 0.5)


@contextmanager
def running(query: Query) -> Iterator[RunningQuery]:
    """A connection for the query, as the application has one: prepared after five executions.

    Raises:
        CouldNotMeasure: the query is wrong, or one execution took longer than the budget.
    """
    if not query.params:
        raise CouldNotMeasure("the query has no parameter set", where=query.name)
    total_s = (_PILOT + PATIENCE + 2) * query.budget_s
    with (
        connect(query.dsn, timeout_s=query.budget_s, total_s=total_s) as connection,
        translated(source_of(query.sql)),
    ):
        yield RunningQuery(query, connection)
