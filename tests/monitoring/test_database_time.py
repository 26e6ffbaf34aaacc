"""The share of a role in the time of all statements, on real servers with and without figures."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from readiness.areas.database.config import Database
from readiness.areas.monitoring.probes import server
from readiness.config.models import Config
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.evidence import Evidence
from readiness.model.secrets import Dsn
from readiness.servers.binaries import find_binaries
from readiness.servers.postgres import PrivatePostgres
from tests.support.monitored_service import misses, suite

pytestmark = pytest.mark.contract


@pytest.fixture(scope="module")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivatePostgres]:
    """A server that counts the time of statements, with a role that has used some."""
    release = find_binaries().folder.parent
    if not any(release.glob("lib/**/pg_stat_statements.*")):
        pytest.skip("this PostgreSQL comes without pg_stat_statements")
    folder: Path = tmp_path_factory.mktemp("postgres")
    settings = {"shared_preload_libraries": "pg_stat_statements"}
    with PrivatePostgres.start(folder, settings=settings) as server:
        with closing(psycopg.connect(server.dsn(), autocommit=True)) as connection:
            connection.execute("create role watcher login password 'correct horse'")
            connection.execute("create schema figures")
            connection.execute("create extension pg_stat_statements schema figures")
            connection.execute("grant usage on schema figures to watcher")
        yield server


def watcher(server: PrivatePostgres) -> Database:
    dsn = server.dsn(user="watcher", password="correct horse")
    return Database.model_validate({"name": "d", "dsn": Dsn(dsn)})


def judge(database: Database) -> str:
    evidence = Evidence()
    suite("monitoring.test_prometheus").test_database_overhead(
        database, Config.model_validate({"target": {"name": "t"}}), evidence
    )
    return misses(evidence)


def test_share_in_an_idle_database_is_of_elapsed_time(
    counting: PrivatePostgres,
) -> None:
    times = server.times(watcher(counting))

    assert times.role == "watcher"
    assert 0 <= times.own_s <= times.all_s
    assert times.elapsed_s > 0
    assert times.share == times.own_s / max(times.all_s, times.elapsed_s)


def test_role_with_a_large_share_fails(counting: PrivatePostgres) -> None:
    database = watcher(counting)
    with psycopg.connect(database.dsn.reveal(), autocommit=True) as connection:
        connection.execute("select pg_sleep(2)")

    assert "share of the database's time that watcher takes" in judge(database)


def test_missing_pg_stat_statements_is_an_error(dsn: Dsn) -> None:
    with pytest.raises(NoData, match="pg_stat_statements is not installed") as problem:
        judge(Database.model_validate({"name": "d", "dsn": dsn}))
    assert "create extension pg_stat_statements" in problem.value.remedy


def test_pg_stat_statements_that_is_not_loaded_is_an_error(dsn: Dsn) -> None:
    with psycopg.connect(dsn.reveal(), autocommit=True) as connection:
        available = connection.execute(
            "select 1 from pg_available_extensions where name = 'pg_stat_statements'"
        ).fetchone()
        if not available:
            pytest.skip("this PostgreSQL comes without pg_stat_statements")
        connection.execute("create extension pg_stat_statements")
    with pytest.raises(CouldNotMeasure, match="shared_preload_libraries"):
        judge(Database.model_validate({"name": "d", "dsn": dsn}))
