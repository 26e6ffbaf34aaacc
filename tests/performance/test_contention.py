"""A job beside queries and endpoints: their times, and the sessions that wait for it."""

import threading
from collections.abc import Callable
from datetime import date
from typing import cast

import psycopg
import pytest

from readiness.areas.performance import AREA
from readiness.areas.performance.config import Config as Declared
from readiness.areas.performance.contention import Contended, contended
from readiness.config.models import Config
from readiness.model.errors import CouldNotMeasure, NoData
from readiness.model.evidence import CheckFailed, Evidence, Outcome
from readiness.model.secrets import Dsn
from suites.performance import test_contention as suite
from tests.performance.test_pressure import Undo
from tests.support.small_servers import Reply, SmallServer

pytestmark = pytest.mark.contract
LOCK = "lock table shop.orders in access exclusive mode"
# As much as a p95 needs at 100 executions a second, and not more.
LOCKING = f"do $$ begin {LOCK}; perform pg_sleep(0.5); commit; perform pg_sleep(0.3); end $$"


def declared(shop: Dsn, job: dict[str, object], url: str = "http://127.0.0.1:1") -> Config:
    values: dict[str, object] = {
        "name": "nightly",
        "queries": ["orders"],
        "rate": 100,
        "before_s": 0.2,
        "timeout_s": 20,
        "max_ratio": 2,
        "max_blocked_s": 1,
        **job,
    }
    return Config.model_validate(
        {
            "target": {"name": "t"},
            "services": {"api": {"url": url}},
            "databases": {"shop": {"dsn": shop}},
            "performance": {
                "queries": [
                    {
                        "name": "orders",
                        "dsn": shop,
                        "sql": "select 1 from shop.orders",
                        "max_p95_ms": 1e5,
                    }
                ],
                "endpoints": [{"name": "page", "service": "api", "path": "/a", "max_p95_ms": 9}],
                "jobs": [{key: value for key, value in values.items() if value is not None}],
            },
        }
    )


def run(config: Config, undo: Undo | None = None) -> Contended:
    tables = cast("Declared", config)
    return contended(tables.performance.jobs[0], tables, undo or Undo())


def test_a_job_that_locks_makes_others_wait(shop: Dsn) -> None:
    seen = run(declared(shop, {"sql": LOCKING, "dsn": shop, "database": "shop"}))
    [beside] = seen.measured
    assert not any(one.problem for one in beside.meanwhile)
    late = [one.ms for one in beside.meanwhile if one.ms > 250]
    assert len(late) >= 20
    assert seen.blocked
    assert seen.blocked.seconds > 0.2
    assert seen.blocked.who.startswith("pid ")
    assert "readiness job nightly" in seen.blocked.blocker


def judged(config: Config) -> Evidence:
    evidence = Evidence()
    suite.test_contention(cast("Declared", config).performance.jobs[0], config, evidence, Undo())
    return evidence


def test_the_fix_of_a_long_lock_is_many_short_ones(shop: Dsn) -> None:
    """As much work, and the same locks, in batches."""
    job = {"dsn": shop, "database": "shop", "max_ratio": 1e6, "max_blocked_s": 0.75}
    long = f"do $$ begin {LOCK}; perform pg_sleep(1.5); end $$"
    with pytest.raises(CheckFailed, match=r"waited 1\.\d+ s for pid \d+ readiness job nightly"):
        judged(declared(shop, {"sql": long, **job})).conclude()
    batches = f"""do $$ begin for i in 1..30 loop
        {LOCK}; perform pg_sleep(0.05); commit; perform pg_sleep(0.01); end loop; end $$"""
    assert judged(declared(shop, {"sql": batches, **job})).conclude() is Outcome.PASS


def test_a_wait_that_began_before_is_not_the_jobs(shop: Dsn) -> None:
    dsn = shop.reveal()
    job: dict[str, object] = {"sql": "select pg_sleep(0.8)", "dsn": shop, "database": "shop"}
    with psycopg.connect(dsn) as holder, psycopg.connect(dsn) as waiter:
        holder.execute("select pg_advisory_xact_lock(1)")
        thread = threading.Thread(target=waiter.execute, args=["select pg_advisory_xact_lock(1)"])
        thread.start()
        try:
            seen = run(declared(shop, job))
        finally:
            holder.rollback()
            thread.join()
    assert seen.blocked
    assert seen.blocked.seconds == 0
    assert seen.blocked.looks > 0


def test_a_command_beside_an_endpoint(shop: Dsn) -> None:
    """What fails beside the job is data; without it, it must be sound."""
    undo = Undo()
    with SmallServer({"/a": Reply("{}")}) as server:
        job: dict[str, object] = {"queries": [], "endpoints": ["page"], "command": ["sleep", "0.8"]}
        seen = run(declared(shop, job, server.url), undo)
    [beside] = seen.measured
    assert seen.blocked is None
    assert len(beside.times.ms) == len(beside.meanwhile) >= 59
    assert undo.registered == {}


def broken() -> Reply:
    return Reply("{}", status=500)


@pytest.mark.parametrize(
    ("job", "answer", "error", "says"),
    [
        ({"command": ["sh", "-c", "sleep 0.8; exit 3"]}, None, CouldNotMeasure, "ended with 3"),
        ({"command": ["true"]}, None, NoData, "cannot bound a p95"),
        ({"command": ["sleep", "60"], "timeout_s": 0.1}, None, CouldNotMeasure, "did not end"),
        ({"sql": "select 1 / 0"}, None, CouldNotMeasure, "division by zero"),
        ({"command": ["true"]}, broken, CouldNotMeasure, "status 500, before the job began"),
    ],
)
def test_what_cannot_be_told(
    job: dict[str, object],
    answer: Callable[[], Reply] | None,
    error: type[Exception],
    says: str,
    shop: Dsn,
) -> None:
    with SmallServer({"/a": answer or Reply("{}")}) as server:
        given = {"endpoints": ["page"], **({"dsn": shop} if "sql" in job else {}), **job}
        config = declared(shop, given, server.url)
        undo = Undo()
        with pytest.raises(error, match=says):
            run(config, undo)
    assert undo.registered == {}


@pytest.mark.parametrize(
    ("job", "says"),
    [
        ({}, "one of `command` and `sql` is needed"),
        ({"command": ["true"], "sql": "select 1", "dsn": "DSN"}, "one of `command` and `sql`"),
        ({"sql": "select 1"}, "`sql` and `dsn` belong together"),
        ({"command": ["true"], "queries": []}, "nothing is measured beside it"),
        ({"command": ["true"], "queries": ["order"]}, "order"),
        ({"command": ["true"], "endpoints": ["pages"]}, "pages"),
        ({"command": ["true"], "database": "shops"}, "shops"),
    ],
)
def test_mistakes_of_the_table(job: dict[str, object], says: str) -> None:
    dsn = Dsn("postgresql://nobody@127.0.0.1/shop")
    given = {key: dsn if value == "DSN" else value for key, value in job.items()}
    [mistake] = AREA.mistakes(declared(dsn, given), date(2026, 1, 1))
    assert says in mistake.message
