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

from readiness.areas.database.config import Database
from readiness.areas.database.config_timescale import Hypertable, Timescale
from readiness.areas.database.reference.metrics import Metrics, start_metrics
from readiness.areas.database.subjects_timescale import ExpectedHypertable, TimescaleDatabase
from readiness.areas.database.timescale import restoring
from readiness.areas.performance.config import Ingest
from readiness.areas.performance.probes import hypertable_shape
from readiness.areas.performance.probes.ingest import copy_rate
from readiness.areas.performance.probes.table_shape import scratch_copy
from readiness.lib.guardian import Guardian
from readiness.lib.postgres import connect, fetch, fetch_value, timescale
from readiness.model.check import CheckSpec, spec_of
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted
from readiness.model.evidence import Evidence
from readiness.model.secrets import Dsn
from readiness.servers.postgres import PrivatePostgres
from tests.support.database_health import execute
from tests.support.monitored_service import misses, suite
from tests.support.timescale_server import MONITOR, TimescaleServer

pytestmark = pytest.mark.contract

NEEDED = "READINESS_TEST_NEEDS_TIMESCALE"
READINGS: dict[str, Any] = {
    "name": "readings", "table": "telemetry.readings", "chunk_interval_h": 24.0, "keep_d": 30.0,
}  # fmt: skip
CHUNKS = ("compression", "growth", "hypertables", "retention")
OTHERS = ("jobs", "restoring")

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


def judged(dsn: Dsn, slug: str, *, min_version: str | None = None, **changes: object) -> Evidence:
    """What one of the checks finds."""
    expected = Hypertable.model_validate(READINGS | changes)
    timescale = Timescale(min_version=min_version, hypertables={"readings": expected})
    database = Database(name="metrics", dsn=dsn, timescale=timescale)
    check = next(
        function
        for module in ("test_timescale", "test_timescale_chunks")
        for function in vars(suite(f"database.{module}")).values()
        if (spec := spec_of(function)) and spec.id == f"database.timescale-{slug}"
    )
    spec = spec_of(check)
    assert isinstance(spec, CheckSpec)
    subject = (
        TimescaleDatabase(database, timescale)
        if spec.each == "timescale_database"
        else ExpectedHypertable(database, expected)
    )
    evidence = Evidence()
    check(**{str(spec.each): subject, "evidence": evidence})
    return evidence


@pytest.mark.parametrize("slug", [*CHUNKS, "extension", "jobs"])
def test_a_role_that_sees_no_row_judges_everything(readings: Readings, slug: str) -> None:
    evidence = judged(Dsn(readings.monitor), slug, min_version="2.11")
    assert misses(evidence) == ""
    assert evidence.warnings == []


def test_a_role_that_sees_no_row_sees_the_scheduler(metrics: Metrics) -> None:
    assert misses(judged(Dsn(metrics.monitor), "restoring")) == ""


@pytest.mark.parametrize("slug", OTHERS)
def test_who_may_not_see_processes_is_told_the_grant(readings: Readings, slug: str) -> None:
    execute(
        readings.superuser,
        "drop role if exists blind",
        "create role blind login password 'correct horse'",
    )
    dsn = Dsn(readings.server.dsn("metrics", "blind", "correct horse"))
    with pytest.raises(NotPermitted) as problem:
        judged(dsn, slug)
    assert problem.value.remedy == "grant pg_monitor to blind"
    assert misses(judged(dsn, "compression")) == ""


def test_a_database_without_it_fails_one_check_and_is_an_error_to_the_others(dsn: Dsn) -> None:
    assert "extension timescaledb: absent" in misses(judged(dsn, "extension"))
    for slug in (*CHUNKS, *OTHERS):
        with pytest.raises(NoData, match="TimescaleDB is not installed in this database"):
            judged(dsn, slug)


def test_a_release_that_answers_otherwise_is_not_asked(
    readings: Readings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timescale, "OLDEST", (99, 0, 0))
    with pytest.raises(CouldNotMeasure, match=r"is older than 99\.0\.0"):
        judged(Dsn(readings.monitor), "compression")
    found = judged(Dsn(readings.monitor), "extension", min_version="98.1")
    assert "is at least 98.1: no" in misses(found)


HYPERTABLE = """
create schema telemetry;
create table telemetry.readings (at timestamptz not null, value int);
select create_hypertable('telemetry.readings', 'at', chunk_time_interval => interval '1 day');
alter table telemetry.readings set (timescaledb.compress);
insert into telemetry.readings
    select now() - n * interval '1 hour', n from generate_series(1, 240) n;
"""


def test_where_nothing_is_compressed_that_is_a_failure(make: Make) -> None:
    dsn = make(
        HYPERTABLE + "select add_compression_policy('telemetry.readings', interval '2 days',"
        " initial_start => now() + interval '1 day')"
    )
    found = misses(judged(dsn, "compression"))
    assert "share of the due chunks that is compressed: 0 %" in found
    assert "compressed chunks: 0" in found
    assert "policies switched on that compress telemetry.readings" not in found


def test_one_compressed_chunk_does_not_speak_for_the_others(make: Make) -> None:
    dsn = make(
        HYPERTABLE + "select compress_chunk((select c from show_chunks('telemetry.readings') c"  # noqa: S608 - our own
        " limit 1)); select add_compression_policy('telemetry.readings', interval '2 days',"
        " initial_start => now() + interval '1 day')"
    )
    found = misses(judged(dsn, "compression", compression_min_ratio=0.000001))
    assert "share of the due chunks that is compressed" in found
    assert "compressed chunks: 0" not in found


def test_a_policy_that_drops_at_another_time_than_agreed_fails(make: Make) -> None:
    dsn = make(
        HYPERTABLE + "select add_retention_policy('telemetry.readings', interval '90 days',"
        " initial_start => now() + interval '1 day')"
    )
    found = misses(judged(dsn, "retention", keep_d=3.0))
    assert "days that the policy keeps telemetry.readings: 90 d; 3 d required" in found
    assert "chunks of telemetry.readings that should be gone" in found
    assert "(8." in found or "(9." in found
    assert misses(judged(dsn, "retention", keep_d=90.0)) == ""


def test_without_a_policy_the_agreement_still_judges_what_is_there(make: Make) -> None:
    found = misses(judged(make(HYPERTABLE), "retention", keep_d=3.0))
    assert "policies switched on that drop rows of telemetry.readings: 0" in found
    assert "still there: _timescaledb_internal." in found


def test_a_policy_by_the_time_of_making_is_an_error(make: Make) -> None:
    dsn = make(
        HYPERTABLE + "select add_compression_policy('telemetry.readings',"
        " compress_created_before => interval '2 days')"
    )
    with pytest.raises(CouldNotMeasure, match="has no compress_after"):
        judged(dsn, "compression")


def test_a_time_that_is_a_number_is_an_error(make: Make) -> None:
    dsn = make("""
        create table "Read ings" (at bigint not null);
        select create_hypertable('"Read ings"', 'at', chunk_time_interval => 1000);
        insert into "Read ings" select n from generate_series(1, 5000) n""")
    for slug in ("compression", "retention", "growth"):
        with pytest.raises(CouldNotMeasure, match="its time is a number or a UUID"):
            judged(dsn, slug, table='public."Read ings"')
    with pytest.raises(CouldNotMeasure, match="its time is a number or a UUID"):
        judged(dsn, "hypertables", table='public."Read ings"')
    found = judged(dsn, "hypertables", table='public."Read ings"', chunk_interval_h=None)
    assert misses(found) == ""


def test_a_time_within_a_uuid_is_an_error(timescale_server: TimescaleServer) -> None:
    """Since 2.23: a release that may not be the installed one."""
    dsn = timescale_server.dsn("by_uuid")
    execute(
        dsn,
        "create extension timescaledb",
        """create table readings (id uuid not null);
        select create_hypertable('readings', by_range('id', interval '1 day'));
        insert into readings values (generate_uuidv7())""",
    )
    for slug in CHUNKS:
        with pytest.raises(CouldNotMeasure, match="its time is a number or a UUID"):
            judged(Dsn(dsn), slug, table="public.readings")


def test_a_young_table_tells_nothing_of_a_month(make: Make) -> None:
    dsn = make("""
        create schema telemetry;
        create table telemetry.readings (at timestamptz not null);
        select create_hypertable('telemetry.readings', 'at');
        insert into telemetry.readings values (now())""")
    with pytest.raises(NoData, match="tell nothing of a month"):
        judged(dsn, "growth")


@pytest.mark.parametrize(
    ("table", "kind"),
    [("telemetry.gone", "no such table"), ("telemetry.plain", "plain table"),
     ("telemetry.seen", "plain table")],
)  # fmt: skip
def test_what_is_no_hypertable_is_named(make: Make, table: str, kind: str) -> None:
    dsn = make("""
        create schema telemetry; create table telemetry.plain (at timestamptz);
        create view telemetry.seen as table telemetry.plain""")
    assert f"{table} is: {kind}" in misses(judged(dsn, "hypertables", table=table))
    with pytest.raises(NoData, match=kind):
        judged(dsn, "growth", table=table)


@pytest.mark.parametrize("setting", ["role metrics_monitor", "role all"])
def test_the_mode_of_a_restore_is_found_wherever_it_is_kept(
    readings: Readings, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        restoring, "_START_S", 0.0
    )  # where there is no scheduler, none is waited for
    execute(readings.superuser, f"alter {setting} set timescaledb.restoring = on")
    try:
        found = misses(judged(Dsn(readings.monitor), "restoring"))
    finally:
        execute(readings.superuser, f"alter {setting} reset timescaledb.restoring")
    assert "settings that keep timescaledb.restoring on: 1: set by alter role" in found


def test_a_table_becomes_a_hypertable_like_the_target(make: Make) -> None:
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
        for statement in hypertable_shape.like(connection, oid, scratch):
            connection.execute(statement)
        of_target, of_scratch = (
            fetch(connection, dimensions, [n]) for n in ("readings", "scratch")
        )
        indexes = fetch(connection, "select 1 from pg_indexes where tablename = 'scratch'")
        plain = fetch_value(connection, "select 'pg_class'::regclass::oid")
        assert list(hypertable_shape.like(connection, plain, scratch)) == []
    assert of_scratch == of_target == [("at", "06:00:00", None), ("value", None, 2)]
    assert indexes == []


@pytest.mark.usefixtures("metrics")
def test_rows_are_taken_in_by_a_hypertable_like_the_target(make: Make) -> None:
    dsn = make("""
        create schema telemetry;
        create table telemetry.readings (at timestamptz not null, value int, unique (at, value));
        select create_hypertable('telemetry.readings', 'at',
                                 chunk_time_interval => interval '6 hours');
        select add_dimension('telemetry.readings', 'value', number_partitions => 2);
        insert into telemetry.readings
            select now() - n * interval '1 hour', n from generate_series(1, 48) n""")
    measured = copy_rate(
        Ingest(name="it", table="telemetry.readings", dsn=dsn, rows=2000, samples=3)
    )
    assert isinstance(measured.rate.value, float)
    assert measured.rate.value > 0
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


def test_a_standby_is_told_by_its_name(metrics: Metrics) -> None:
    signal: Path = metrics.server.home / "data" / "standby.signal"
    metrics.server.halt()
    signal.touch()
    metrics.server.restart()
    try:
        assert misses(judged(Dsn(metrics.monitor), "compression")) == ""
        with pytest.raises(CouldNotMeasure, match="this is a standby"):
            judged(Dsn(metrics.monitor), "restoring")
    finally:
        metrics.server.halt()
        signal.unlink()
        metrics.server.restart()
