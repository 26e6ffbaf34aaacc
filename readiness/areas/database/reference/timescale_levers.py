"""Levers on the metrics: each breaks TimescaleDB in one way, and puts back exactly what was."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any, Final

import psycopg

from readiness.areas.database.reference.metrics import await_jobs
from readiness.model.errors import ReferenceSystemError

_JOB_S: Final = 30.0
_OWN_JOB: Final = "summarise"
_BROKEN: Final = """
create or replace procedure telemetry.summarise(job_id integer, config jsonb) language plpgsql
as 'begin raise exception ''no such sensor''; end'"""
_DEFINITION: Final = "select pg_get_functiondef('telemetry.summarise'::regproc)"
_SCHEDULER: Final = """
select count(*) from pg_stat_activity
where datname = current_database() and backend_type like 'TimescaleDB Background Worker Scheduler%'
"""
_RUNS: Final = """
select j.job_id, coalesce(s.total_runs, 0), coalesce(s.last_run_status, '')
from timescaledb_information.jobs j
left join timescaledb_information.job_stats s on s.job_id = j.job_id where j.proc_name = %s"""


_Connection = psycopg.Connection[tuple[Any, ...]]


class TimescaleLevers:
    """What can be broken of the metrics.

    Args:
        superuser: how to connect as one, in their database.

    Raises:
        ReferenceSystemError: there are none on this machine.
    """

    def __init__(self, superuser: str | None) -> None:
        if superuser is None:
            raise ReferenceSystemError("this system has no TimescaleDB")
        self._dsn = superuser

    @contextlib.contextmanager
    def sql(self, do: str, undo: str) -> Iterator[None]:
        """Run statements as superuser, and others to put it back; waits for new policies."""
        with self._connected() as connection:
            connection.execute(do.encode())
        try:
            yield
        finally:
            with self._connected() as connection:
                connection.execute(undo.encode())
            self._settle()

    @contextlib.contextmanager
    def failing_job(self) -> Iterator[None]:
        """Let the application's own job fail; it runs again, and well, at the end."""
        with self._connected() as connection:
            before = str(_row(connection, _DEFINITION)[0])
            connection.execute(_BROKEN.encode())
        try:
            self._run(_OWN_JOB)
            yield
        finally:
            with self._connected() as connection:
                connection.execute(before.encode())
            self._run(_OWN_JOB)

    def _settle(self) -> None:
        """Wait until the scheduler runs, and has run what is new."""
        with self._connected() as connection:
            connection.autocommit = True
            _await_scheduler(connection)
            await_jobs(connection)

    def _run(self, procedure: str) -> None:
        """Let the scheduler run a job now, and wait until it has ended, however it ends."""
        with self._connected() as connection:
            connection.autocommit = True
            job, before, _ = _runs(connection, procedure)
            connection.execute("select alter_job(%s, next_start => now())", [job])
            deadline = time.monotonic() + _JOB_S
            while time.monotonic() < deadline:
                _, runs, ended = _runs(connection, procedure)
                if runs > before and ended:
                    return
                time.sleep(0.1)
        raise ReferenceSystemError(f"the job {procedure} was not run within {_JOB_S:g} s")

    def _connected(self) -> _Connection:
        return psycopg.connect(self._dsn, connect_timeout=5)


def _await_scheduler(connection: _Connection) -> None:
    """Wait until the scheduler runs, and start it again until it does.

    One that timescaledb_post_restore() starts may read the setting before the change of it is
    committed; it then ends at once, and nobody starts another.
    """
    deadline = time.monotonic() + _JOB_S
    while not _row(connection, _SCHEDULER)[0]:
        if time.monotonic() > deadline:
            raise ReferenceSystemError(f"TimescaleDB's scheduler is not back after {_JOB_S:g} s")
        connection.execute("select _timescaledb_functions.start_background_workers()")
        time.sleep(0.5)


def _runs(connection: _Connection, procedure: str) -> tuple[int, int, str]:
    """The number of a job, how often it was started, and how its last run ended."""
    job, runs, ended = _row(connection, _RUNS, procedure)
    return job, runs, ended


def _row(connection: _Connection, query: str, *parameters: str) -> tuple[Any, ...]:
    row = connection.execute(query.encode(), parameters or None).fetchone()
    if row is None:
        raise ReferenceSystemError("no row", where=query)
    return row
