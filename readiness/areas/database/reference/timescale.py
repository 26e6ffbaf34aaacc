"""The reference system's metrics: a TimescaleDB server of its own, where this machine has one.

It is a second server and no second database, so that what is preloaded, set and broken for one
of them is not so for the other. Each lever breaks it in one way, and restores exactly what was.
"""

import contextlib
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from readiness.lib.guardian import Guardian
from readiness.lib.retry import until
from readiness.model.errors import ReadinessError, ReferenceSystemError
from readiness.model.secrets import register
from readiness.servers.binaries import Binaries, find_binaries
from readiness.servers.postgres import PrivatePostgres
from readiness.servers.programs import refused
from readiness.servers.shop import STATISTICS, settings_of

PART: Final = "timescale"
"""Its name among the parts of the reference system that may be absent."""

_NAME: Final = "metrics"
_MONITOR: Final = "metrics_monitor"
# As dashboards do in an hour: without queries there is no latency, and no share of cache hits.
_LOOKS: Final = 500
_LOOK: Final = """
select count(*) from telemetry.readings a
cross join lateral (select 1 from telemetry.readings b where b.at = a.at limit 1) c
where a.at > now() - interval '3 hours'"""
_JOBS_S: Final = 30.0
_POLL_S: Final = 0.1
_LONGEST: Final = 500
_SETTINGS: Final = {"timescaledb.telemetry_level": "off", "max_worker_processes": "24"}
_UNFINISHED: Final = """
select string_agg(j.application_name || coalesce(': ' || e.err_message, ''), '; '),
       coalesce(bool_or(s.last_run_status = 'Failed'), false)
from timescaledb_information.jobs j
left join timescaledb_information.job_stats s on s.job_id = j.job_id
left join timescaledb_information.job_errors e on e.job_id = j.job_id
where j.proc_name <> 'policy_telemetry' and s.last_run_status is distinct from 'Success'"""


@dataclass(frozen=True, slots=True)
class Metrics:
    """How to reach the metrics: as superuser, and as the role of the gate, which sees no row."""

    server: PrivatePostgres
    superuser: str
    monitor: str


def start_metrics(folder: Path, guardian: Guardian) -> Metrics | str:
    """Start it and wait until its policies have run once; else the reason why there is none."""
    try:
        binaries = find_binaries("local")
        installed = any(binaries.folder.parent.glob("lib/**/timescaledb.*"))
        if not installed or refused("timescaledb"):
            return (
                f"PostgreSQL {binaries.version} here has no TimescaleDB:"
                " install its package, or see CONTRIBUTING.md"
            )
        return _start(folder, binaries, guardian)
    except (ReadinessError, psycopg.Error) as problem:
        reason = problem.sentence if isinstance(problem, ReadinessError) else str(problem)
        return " ".join(reason.split())[:_LONGEST]


def _start(folder: Path, binaries: Binaries, guardian: Guardian) -> Metrics:
    settings = settings_of(binaries)
    libraries = ["timescaledb", *filter(None, [settings.get("shared_preload_libraries")])]
    server = PrivatePostgres.start(
        folder,
        binaries=binaries,
        settings={**settings, **_SETTINGS, "shared_preload_libraries": ",".join(libraries)},
        guardian=guardian,
    )
    try:
        return _filled(server, with_statistics=len(libraries) > 1)
    except BaseException:  # an interrupt too must leave nothing
        server.stop("immediate")
        raise


def _filled(server: PrivatePostgres, *, with_statistics: bool) -> Metrics:
    password = secrets.token_hex(16)
    register(password)
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(f"create database {_NAME}".encode())
        connection.execute(
            sql.SQL("create role {} login password {} in role pg_monitor").format(
                sql.Identifier(_MONITOR), sql.Literal(password)
            )
        )
    metrics = Metrics(server, server.dsn(_NAME), server.dsn(_NAME, _MONITOR, password))
    script = resources.files("readiness.areas.database.reference").joinpath("metrics.sql")
    with psycopg.connect(metrics.superuser, autocommit=True) as connection:
        if with_statistics:
            connection.execute(f"create extension {STATISTICS}".encode())
        connection.execute("create extension timescaledb")
        connection.execute(script.read_bytes())
        await_jobs(connection)
        # By now the older chunks are compressed; autovacuum has no reason to disturb.
        connection.execute("vacuum analyze")
        for _ in range(_LOOKS):
            connection.execute(_LOOK.encode())
    return metrics


def await_jobs(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Wait until the last run of every job was a success; else raise ReferenceSystemError."""
    names, failed = until(
        lambda: connection.execute(_UNFINISHED.encode()).fetchone() or (None, False),
        lambda seen: not seen[0] or bool(seen[1]),
        within_s=_JOBS_S,
        every_s=_POLL_S,
    )
    if names:
        raise ReferenceSystemError(
            f"TimescaleDB's jobs {'fail' if failed else 'do not end'}: {names}",
            remedy="use a release of TimescaleDB that supports this PostgreSQL",
        )


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
    """What can be broken about the metrics; raises ReferenceSystemError where there are none."""

    def __init__(self, superuser: str | None) -> None:
        if superuser is None:
            raise ReferenceSystemError("this system has no TimescaleDB")
        self._dsn = superuser

    @contextlib.contextmanager
    def sql(self, do: str, undo: str) -> Iterator[None]:
        """Run statements as superuser, and others to restore it; waits for new policies."""
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
        """Let the application's own job fail; at the end it runs successfully again."""
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
        """Wait until the scheduler runs, and has run the new jobs."""
        with self._connected() as connection:
            connection.autocommit = True
            _await_scheduler(connection)
            await_jobs(connection)

    def _run(self, procedure: str) -> None:
        """Let the scheduler run a job now, and wait until it has ended, however it ends."""
        with self._connected() as connection:
            connection.autocommit = True
            job, before, _ = _row(connection, _RUNS, procedure)
            connection.execute("select alter_job(%s, next_start => now())", [job])
            if not until(
                lambda: _has_run(connection, procedure, before),
                bool,
                within_s=_JOBS_S,
                every_s=_POLL_S,
            ):
                raise ReferenceSystemError(f"the job {procedure} did not run within {_JOBS_S:g} s")

    def _connected(self) -> _Connection:
        return psycopg.connect(self._dsn, connect_timeout=5)


def _await_scheduler(connection: _Connection) -> None:
    """Wait until the scheduler runs, and start it again until it does.

    One that timescaledb_post_restore() starts may read the setting before the change of it is
    committed; it then ends at once, and is not started again.
    """
    deadline = time.monotonic() + _JOBS_S
    while not _row(connection, _SCHEDULER)[0]:
        if time.monotonic() > deadline:
            raise ReferenceSystemError(f"TimescaleDB's scheduler is not back after {_JOBS_S:g} s")
        connection.execute("select _timescaledb_functions.start_background_workers()")
        time.sleep(0.5)


def _has_run(connection: _Connection, procedure: str, before: int) -> bool:
    """Whether a job was started more often than before, and has ended."""
    _, runs, ended = _row(connection, _RUNS, procedure)
    return runs > before and bool(ended)


def _row(connection: _Connection, query: str, *parameters: str) -> tuple[Any, ...]:
    row = connection.execute(query.encode(), parameters or None).fetchone()
    if row is None:
        raise ReferenceSystemError("no row", where=query)
    return row
