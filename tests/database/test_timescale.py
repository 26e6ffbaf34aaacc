"""The checks of TimescaleDB: on that of this machine, else on one in WebAssembly.

What needs background workers or several sessions is skipped, by name, where only the latter is.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from readiness.areas.database import ExpectedHypertable, discovery
from readiness.areas.database.config import Database, Hypertable
from readiness.areas.database.reference.timescale import Metrics, start_metrics
from readiness.areas.performance.config import Ingest
from readiness.areas.performance.ingest import copy_rate
from readiness.areas.performance.table_shape import _hypertable_like, scratch_copy
from readiness.config.base.discovery import Sources
from readiness.lib.guardian import Guardian
from readiness.lib.postgres import connect, fetch, fetch_value, timescale
from readiness.model.secrets import Dsn
from readiness.servers.postgres import PrivatePostgres
from tests.support.database_health import database as declared
from tests.support.database_health import errors, execute, failures, warnings
from tests.support.found import tables_of
from tests.support.timescale_server import MONITOR, TimescaleServer

pytestmark = pytest.mark.contract

NEEDED = "READINESS_TEST_NEEDS_TIMESCALE"
READINGS: dict[str, Any] = {
    "name": "readings", "table": "telemetry.readings", "chunk_interval_h": 24.0, "keep_d": 30.0,
}  # fmt: skip

Make = Callable[[str], Dsn]


@dataclass(frozen=True)
class Readings:
    """A TimescaleDB server that has the metrics, and how to connect to those as two roles."""

    server: PrivatePostgres | TimescaleServer
    superuser: str
    monitor: str


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Metrics | str]:
    """What the reference system has, without the rest of it; or why it has none here."""
    with Guardian() as guardian:
        started = start_metrics(tmp_path_factory.mktemp("metrics"), guardian)
        if isinstance(started, str) and os.environ.get(NEEDED):
            pytest.fail(f"{NEEDED} is set, and there is no TimescaleDB: {started}")
        yield started
        if not isinstance(started, str):
            started.server.stop("immediate")
        guardian.undo()


@pytest.fixture(scope="module")
def metrics(installed: Metrics | str) -> Metrics:
    """For what the one in WebAssembly has not: background workers, several sessions, COPY."""
    if isinstance(installed, str):
        pytest.skip(f"needs background workers or several sessions: {installed}")
    return installed


@pytest.fixture(scope="module")
def readings(installed: Metrics | str, request: pytest.FixtureRequest) -> Readings:
    """For all else."""
    if isinstance(installed, Metrics):
        return Readings(installed.server, installed.superuser, installed.monitor)
    server: TimescaleServer = request.getfixturevalue("timescale_server")
    return Readings(server, server.dsn(), server.dsn(user=MONITOR))


@pytest.fixture
def make(readings: Readings, request: pytest.FixtureRequest) -> Iterator[Make]:
    """Makes a database with TimescaleDB in which some SQL was run."""
    server = readings.server
    whole = isinstance(server, PrivatePostgres)
    name = f"test_{request.node.name.partition('[')[0]}"[:60] if whole else "made"

    def made(text: str) -> Dsn:
        if whole:
            execute(server.dsn(), f"create database {name}")
        dsn = server.dsn(name)
        execute(dsn, "create extension if not exists timescaledb", text)
        return Dsn(dsn)

    yield made
    if whole:
        execute(server.dsn(), f"drop database if exists {name} with (force)")
    else:  # a second or two for a new one
        execute(
            server.dsn(name),
            "drop schema if exists telemetry cascade",
            """drop table if exists "Read ings\"""",
        )


def database(dsn: Dsn | str, *, min_version: str | None = None) -> Database:
    expected = {"min_version": min_version, "hypertables": {"readings": READINGS}}
    return declared(dsn if isinstance(dsn, Dsn) else Dsn(dsn), timescale=expected)


def hypertable(dsn: Dsn | str, **changes: object) -> ExpectedHypertable:
    return ExpectedHypertable(database(dsn), Hypertable.model_validate(READINGS | changes))


def test_role_without_access_to_rows_judges_everything(readings: Readings) -> None:
    assert warnings("timescale", database(readings.monitor, min_version="2.11")) == ""
    assert warnings("hypertables", hypertable(readings.monitor)) == ""


def test_init_describes_the_hypertables(readings: Readings, tmp_path: Path) -> None:
    dsn = Dsn(readings.monitor)
    sources = Sources("metrics", tmp_path, dsn=dsn, dsn_text=readings.monitor, database="metrics")
    found = tables_of(discovery.database(sources))["databases"]["metrics"]
    described = {"name": "readings", **found["timescale"]["hypertables"]["readings"]}
    assert described == READINGS
    written = Database.model_validate({"name": "metrics", **found})
    assert written.timescale
    (one,) = written.timescale.hypertables.values()
    assert warnings("hypertables", ExpectedHypertable(written, one)) == ""
    assert warnings("timescale", written) == ""


def test_hidden_processes_are_an_error_that_names_the_grant(readings: Readings) -> None:
    role = "create role blind login password 'correct horse'"
    execute(readings.superuser, "drop role if exists blind", role)
    blind = readings.server.dsn("metrics", "blind", "correct horse")
    found = errors("timescale", database(blind))
    assert "NotPermitted" in found
    assert "grant pg_monitor to blind" in found
    assert failures("timescale.restoring", database(blind)) == ""
    assert failures("hypertables.compression-coverage", hypertable(blind)) == ""


def test_database_without_timescaledb(dsn: Dsn) -> None:
    assert "The extension timescaledb is not installed" in failures("timescale", database(dsn))
    assert "TimescaleDB is not installed in this database" in errors("hypertables", hypertable(dsn))


def test_unsupported_release_is_an_error(
    readings: Readings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timescale, "OLDEST", (99, 0, 0))
    assert "99.0.0 or later is required" in errors("hypertables", hypertable(readings.monitor))
    found = failures("timescale.extension", database(readings.monitor, min_version="98.1"))
    assert "at least 98.1 required" in found


HYPERTABLE = """
create schema telemetry;
create table telemetry.readings (at timestamptz not null, value int);
select create_hypertable('telemetry.readings', 'at', chunk_time_interval => interval '1 day');
alter table telemetry.readings set (timescaledb.compress);
insert into telemetry.readings
    select now() - n * interval '1 hour', n from generate_series(1, 240) n;
"""


COMPRESSED_LATER = """
select add_compression_policy('telemetry.readings', interval '2 days',
                              initial_start => now() + interval '1 day');
"""


def test_uncompressed_chunks_fail(make: Make) -> None:
    subject = hypertable(make(HYPERTABLE + COMPRESSED_LATER))
    found = failures("hypertables.compression-coverage", subject)
    assert "Compressed share of the due chunks of telemetry.readings: 0 %" in found
    found = failures("hypertables.compression-ratio", subject)
    assert "chunks of telemetry.readings is compressed" in found
    assert failures("hypertables.compression-policy", subject) == ""


def test_one_compressed_chunk_does_not_pass_for_all(make: Make) -> None:
    one = "select compress_chunk(c) from (select show_chunks('telemetry.readings') c limit 1) s"
    subject = hypertable(make(f"{HYPERTABLE}{COMPRESSED_LATER}{one}"))
    assert "not compressed: " in failures("hypertables.compression-coverage", subject)
    assert "of 1 compressed chunks" in failures("hypertables.compression-ratio", subject)


def test_retention_policy_must_match_keep_d(make: Make) -> None:
    dsn = make(
        HYPERTABLE + "select add_retention_policy('telemetry.readings', interval '90 days',"
        " initial_start => now() + interval '1 day')"
    )
    found = failures("hypertables.retention-policy", hypertable(dsn, keep_d=3.0))
    assert "The policy keeps telemetry.readings for: 90 days; 3 days required" in found
    found = failures("hypertables.expired-chunks", hypertable(dsn, keep_d=3.0))
    assert "Expired chunks of telemetry.readings: " in found
    assert "(8." in found or "(9." in found
    for key in ("retention-policy", "expired-chunks"):
        assert failures(f"hypertables.{key}", hypertable(dsn, keep_d=90.0)) == ""


def test_expired_chunks_fail_without_a_policy(make: Make) -> None:
    subject = hypertable(make(HYPERTABLE), keep_d=3.0)
    found = failures("hypertables.retention-policy", subject)
    assert "No retention policy is active for telemetry.readings" in found
    assert ": _timescaledb_internal." in failures("hypertables.expired-chunks", subject)


def test_policy_by_creation_time_is_an_error(make: Make) -> None:
    dsn = make(
        HYPERTABLE + "select add_compression_policy('telemetry.readings',"
        " compress_created_before => interval '2 days')"
    )
    assert "has no compress_after" in errors("hypertables", hypertable(dsn))


def test_integer_time_column_is_an_error(make: Make) -> None:
    dsn = make("""
        create table "Read ings" (at bigint not null);
        select create_hypertable('"Read ings"', 'at', chunk_time_interval => 1000);
        insert into "Read ings" select n from generate_series(1, 5000) n""")
    found = errors("hypertables", hypertable(dsn, table='public."Read ings"'))
    assert found.count("its time is a number or a UUID") == 2, "interval, and age of the chunks"
    without = hypertable(dsn, table='public."Read ings"', chunk_interval_h=None)
    assert errors("hypertables", without).count("its time is a number or a UUID") == 1
    assert failures("hypertables.hypertable", without) == ""


def test_uuid_time_column_is_an_error(timescale_server: TimescaleServer) -> None:
    """Since 2.23: a release that may not be the installed one."""
    dsn = timescale_server.dsn("by_uuid")
    execute(
        dsn,
        "create extension timescaledb",
        """create table readings (id uuid not null);
        select create_hypertable('readings', by_range('id', interval '1 day'));
        insert into readings values (generate_uuidv7())""",
    )
    found = errors("hypertables", hypertable(dsn, table="public.readings"))
    assert found.count("its time is a number or a UUID") == 2


def test_growth_of_a_young_table_is_no_data(make: Make) -> None:
    dsn = make("""
        create schema telemetry;
        create table telemetry.readings (at timestamptz not null);
        select create_hypertable('telemetry.readings', 'at');
        insert into telemetry.readings values (now())""")
    found = errors("hypertables", hypertable(dsn, compressed=False, keep_d=None))
    assert "NoData" in found
    assert "required to judge a month" in found


@pytest.mark.parametrize(
    ("table", "said"),
    [("telemetry.gone", "does not exist"), ("telemetry.plain", "is a plain table"),
     ("telemetry.seen", "is a plain table")],
)  # fmt: skip
def test_plain_table_view_or_missing_table_fails(make: Make, table: str, said: str) -> None:
    dsn = make("""
        create schema telemetry; create table telemetry.plain (at timestamptz);
        create view telemetry.seen as table telemetry.plain""")
    found = failures("hypertables", hypertable(dsn, table=table))
    assert f"{table} {said}" in found


@pytest.mark.parametrize("setting", ["role metrics_monitor", "role all"])
def test_restoring_mode_of_any_role_is_found(readings: Readings, setting: str) -> None:
    execute(readings.superuser, f"alter {setting} set timescaledb.restoring = on")
    try:
        found = failures("timescale.restoring", database(readings.monitor))
    finally:
        execute(readings.superuser, f"alter {setting} reset timescaledb.restoring")
    assert "no row can be written: set by alter role" in found


def test_scratch_table_becomes_a_hypertable_like_the_target(make: Make) -> None:
    dsn = make("""
        create schema telemetry;
        create table telemetry.readings (at timestamptz not null, value int);
        create table telemetry.scratch (like telemetry.readings);
        select create_hypertable('telemetry.readings', 'at',
                                 chunk_time_interval => interval '6 hours');
        select add_dimension('telemetry.readings', 'value', number_partitions => 2)""")
    dimensions = (
        "select column_name, time_interval::text, num_partitions"
        " from timescaledb_information.dimensions where hypertable_name = %s"
        " order by dimension_number"
    )
    with connect(dsn, timeout_s=10) as connection:
        oid = fetch_value(connection, "select 'telemetry.readings'::regclass::oid")
        scratch = sql.Identifier("telemetry", "scratch")
        for statement in _hypertable_like(connection, oid, scratch):
            connection.execute(statement)
        of_target, of_scratch = (
            fetch(connection, dimensions, [n]) for n in ("readings", "scratch")
        )
        indexes = fetch(connection, "select 1 from pg_indexes where tablename = 'scratch'")
        plain = fetch_value(connection, "select 'pg_class'::regclass::oid")
        assert list(_hypertable_like(connection, plain, scratch)) == []
    assert of_scratch == of_target == [("at", "06:00:00", None), ("value", None, 2)]
    assert indexes == []


@pytest.mark.usefixtures("metrics")
def test_copy_rate_is_measured_on_a_hypertable(make: Make) -> None:
    dsn = make("""
        create schema telemetry;
        create table telemetry.readings (at timestamptz not null, value int, unique (at, value));
        select create_hypertable('telemetry.readings', 'at',
                                 chunk_time_interval => interval '6 hours');
        select add_dimension('telemetry.readings', 'value', number_partitions => 2);
        insert into telemetry.readings
            select now() - n * interval '1 hour', n from generate_series(1, 48) n""")
    ingest = Ingest(name="it", table="telemetry.readings", dsn=dsn, rows=2000, samples=3)
    assert float(copy_rate(ingest).rate.value) > 0
    with connect(dsn, timeout_s=10) as connection:
        with scratch_copy(connection, dsn, "telemetry.readings", triggers=True) as scratch:
            schema = scratch.name.as_string(connection).split('"')[1]
            dimensions = fetch(
                connection,
                "select time_interval::text, num_partitions from timescaledb_information.dimensions"
                " where hypertable_schema = %s order by dimension_number",
                [schema],
            )
        left = fetch_value(
            connection,
            "select count(*) from timescaledb_information.hypertables"
            " where hypertable_schema like 'readiness%'",
        )
    assert (dimensions, left) == ([("06:00:00", None), (None, 2)], 0)


def test_timescale_check_on_a_standby_is_an_error(metrics: Metrics) -> None:
    signal: Path = metrics.server.home / "data" / "standby.signal"
    metrics.server.halt()
    signal.touch()
    metrics.server.restart()
    try:
        assert failures("hypertables", hypertable(metrics.monitor)) == ""
        assert "this is a standby" in errors("timescale", database(metrics.monitor))
    finally:
        metrics.server.halt()
        signal.unlink()
        metrics.server.restart()
