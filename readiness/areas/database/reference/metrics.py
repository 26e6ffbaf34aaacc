"""The reference system's metrics: a TimescaleDB server of its own, where this machine has one.

It is a second server and no second database, so that what is preloaded, set and broken for one
of them is not so for the other.
"""

import secrets
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql

from readiness.lib.guardian import Guardian
from readiness.model.errors import ReadinessError, ReferenceSystemError
from readiness.model.secrets import register
from readiness.servers.binaries import Binaries, find_binaries
from readiness.servers.postgres import PrivatePostgres
from readiness.servers.programs import refused
from readiness.servers.shop import STATISTICS, settings_of

PART: Final = "timescale"
"""What it is called among the parts of the reference system that may be absent."""

_NAME: Final = "metrics"
_MONITOR: Final = "metrics_monitor"
# As dashboards do in an hour: what nobody asks has no latency, and a cache no share of hits.
_LOOKS: Final = 500
_LOOK: Final = """
select count(*) from telemetry.readings a
cross join lateral (select 1 from telemetry.readings b where b.at = a.at limit 1) c
where a.at > now() - interval '3 hours'"""
_JOBS_S: Final = 30.0
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
    """How to reach the metrics.

    Attributes:
        server: the server.
        superuser: in the database of the metrics.
        monitor: as the role of the gate: it sees statistics, and no row.
    """

    server: PrivatePostgres
    superuser: str
    monitor: str


def start_metrics(folder: Path, guardian: Guardian) -> Metrics | str:
    """Start it and wait until its policies have run once; or why there is none here.

    Args:
        folder: where its data goes.
        guardian: ends it when this process dies.
    """
    try:
        binaries = find_binaries("local")
        there = any(binaries.folder.parent.glob("lib/**/timescaledb.*"))
        if not there or refused("timescaledb"):
            return (
                f"PostgreSQL {binaries.version} here has no TimescaleDB:"
                " install its package, or see CONTRIBUTING.md"
            )
        return _start(folder, binaries, guardian)
    except (ReadinessError, psycopg.Error) as problem:
        told = problem.sentence if isinstance(problem, ReadinessError) else str(problem)
        return " ".join(told.split())[:_LONGEST]


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
    script = (
        resources.files("readiness.areas.database.reference").joinpath("metrics.sql").read_bytes()
    )
    with psycopg.connect(metrics.superuser, autocommit=True) as connection:
        if with_statistics:
            connection.execute(f"create extension {STATISTICS}".encode())
        connection.execute("create extension timescaledb")
        connection.execute(script)
        await_jobs(connection)
        # By now the older chunks are compressed; autovacuum has no reason to disturb.
        connection.execute("vacuum analyze")
        for _ in range(_LOOKS):
            connection.execute(_LOOK.encode())
    return metrics


def await_jobs(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Wait until the last run of every job was a success.

    Raises:
        ReferenceSystemError: one failed, or it took too long.
    """
    deadline = time.monotonic() + _JOBS_S
    while True:
        names, failed = connection.execute(_UNFINISHED.encode()).fetchone() or (None, False)
        if not names:
            return
        if failed or time.monotonic() > deadline:
            raise ReferenceSystemError(
                f"TimescaleDB's jobs {'fail' if failed else 'do not end'}: {names}",
                remedy="use a release of TimescaleDB that supports this PostgreSQL",
            )
        time.sleep(0.1)
