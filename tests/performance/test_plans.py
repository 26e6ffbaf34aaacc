"""What the plan of a slow query says, on a real server, and what the check does with it."""

import re
from typing import Any

import pytest

from readiness.areas.performance.config import Query
from readiness.areas.performance.plans import why_slow
from readiness.areas.performance.queries import running
from readiness.model.errors import CouldNotMeasure
from readiness.model.evidence import CheckFailed
from readiness.model.secrets import Dsn
from tests.performance.test_probe_ingest import fetched
from tests.performance.test_probe_queries import judge_query
from tests.support.servers import Run

pytestmark = pytest.mark.contract
MANY = """
    create table shop.many as select n, n % 1000 as customer_id, md5(n::text) as name
        from generate_series(1, 20000) n;
    analyze shop.many"""
SETTING = """do $$ begin
    execute format('alter database %I set {}', current_database());
end $$"""
FIND = "select * from shop.many where customer_id = %s and name <> 'it''s 7'"


def query(dsn: Dsn, sql: str, **more: Any) -> Query:
    return Query(name="it", dsn=dsn, sql=sql, **{"samples": 60, "budget_s": 5, **more})


def test_a_missing_index_is_named_without_values_and_creating_it_helps(shop: Dsn, run: Run) -> None:
    run(MANY)
    slow = why_slow(query(shop, FIND, params=[[123]]))
    assert slow.because.startswith(
        "in its plan, the sequential scan of shop.many reads 20,000 rows to find 20 rows where"
        " ((many.name <> ?) AND (many.customer_id = ?)): an index is missing"
    )
    assert re.fullmatch(r"sequential scan of shop\.many \d+(\.\d+)?", slow.outline)
    run("create index on shop.many (customer_id)")
    assert "index" not in why_slow(query(shop, FIND, params=[[123]])).because


def test_an_index_that_does_not_fit_is_named(shop: Dsn, run: Run) -> None:
    run(f"{MANY}; create index by_n on shop.many (n)")
    run(SETTING.format("enable_seqscan = off"))
    reads = "select * from shop.many where n > 0 and customer_id = 7 order by n"
    assert "by_n lacks what it filters by" in why_slow(query(shop, reads)).because


def test_a_sort_and_a_hash_on_disk_are_named(shop: Dsn, run: Run) -> None:
    run(MANY)
    run(SETTING.format("work_mem = 64"))
    sort = why_slow(query(shop, "select * from shop.many order by name")).because
    assert re.search(r"a sort writes [\d.]+ MB to disk: `work_mem` is too small", sort)
    joined = "select count(*) from shop.many a join shop.many b using (name)"
    assert "parts on disk" in why_slow(query(shop, joined)).because


def test_statistics_that_are_old_are_named_and_analyze_helps(shop: Dsn, run: Run) -> None:
    run("""
        create table shop.few with (autovacuum_enabled = off) as
            select 1 as kind from generate_series(1, 60000);
        analyze shop.few;
        update shop.few set kind = 2""")
    finds = query(shop, "select * from shop.few where kind = 2")
    says = "the planner expected 1 row of few, and found 60,000: `analyze shop.few`"
    assert says in why_slow(finds).because
    run("analyze shop.few")
    assert "expected" not in why_slow(finds).because


def test_a_function_that_takes_the_time_is_named(shop: Dsn) -> None:
    slow = why_slow(query(shop, "select * from pg_sleep(0.05)"))
    assert (
        slow.because
        == "in its plan, 100% of the time is spent in the function scan of pg_catalog.pg_sleep"
    )


def test_a_plan_that_cannot_be_read_hides_no_miss(shop: Dsn) -> None:
    slow = why_slow(query(shop, "select pg_sleep(1)", budget_s=0.1))
    assert slow.because == ""
    assert slow.outline.startswith("the plan cannot be read: the statement was cancelled")


def test_the_plan_is_in_the_message_of_the_check(shop: Dsn, run: Run) -> None:
    run(MANY)
    with pytest.raises(CheckFailed, match=r"p95 is at least(.|\n)*: an index is missing"):
        judge_query(query(shop, FIND, params=[[123]], max_p95_ms=0.01))


@pytest.mark.parametrize(
    "sql",
    [
        "delete from shop.many returning n",
        "with gone as (delete from shop.many returning n) select * from gone",
        "select nextval('shop.orders_id_seq')",
    ],
)
def test_a_query_that_writes_is_refused_unless_that_is_declared(
    shop: Dsn, run: Run, sql: str
) -> None:
    run(MANY)
    with pytest.raises(CouldNotMeasure, match="the query writes: cannot execute"):
        judge_query(query(shop, sql))
    assert fetched(shop, "select count(*) from shop.many") == [(20_000,)]
    with running(query(shop, sql, writes=True)) as execution:
        execution.execute()


def test_the_plan_of_a_query_that_writes_is_rolled_back(shop: Dsn, run: Run) -> None:
    run(MANY)
    assert why_slow(query(shop, "delete from shop.many", writes=True)).outline
    assert fetched(shop, "select count(*) from shop.many") == [(20_000,)]
