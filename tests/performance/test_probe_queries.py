"""Queries on a real server, and what the check concludes from their times."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from readiness import Evidence
from readiness.areas.performance.config import Query
from readiness.areas.performance.queries import running
from readiness.config.models import Config
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, TookTooLong
from readiness.model.evidence import CheckFailed, Outcome
from readiness.model.secrets import Dsn
from suites.performance import test_performance as suite
from tests.support.servers import Run

pytestmark = pytest.mark.contract


@dataclass
class Benchmark:
    """Stands in for pytest-benchmark, which is not the same under xdist."""

    enabled: bool = True
    stats: Any = None
    group: str = ""
    name: str = ""

    def pedantic(
        self, function: Callable[[], None], rounds: int, iterations: int, warmup_rounds: int
    ) -> None:
        times = []
        for _ in range(warmup_rounds + rounds * iterations):
            started = time.perf_counter()
            function()
            times.append(time.perf_counter() - started)
        if self.enabled:
            self.stats = SimpleNamespace(stats=SimpleNamespace(data=times[warmup_rounds:]))


def _query(dsn: Dsn, sql: str, **more: Any) -> Query:
    return Query(name="it", dsn=dsn, sql=sql, **{"samples": 100, "budget_s": 5, **more})


def judge_query(query: Query, benchmark: Benchmark | None = None) -> tuple[Outcome, Evidence]:
    evidence = Evidence()
    config = Config.model_validate({"target": {"name": "it"}})
    benchmark = benchmark or Benchmark()
    suite.test_query_latency(query, config, evidence, benchmark)  # type: ignore[arg-type]
    return evidence.conclude(), evidence


def test_fast_query_passes_with_its_distribution(shop: Dsn) -> None:
    query = _query(
        shop,
        "select * from shop.orders where customer_id = %s and note like '%%tab%%'",
        params=[[1], [2], [3]],
        max_p95_ms=2000,
    )
    benchmark = Benchmark()
    outcome, evidence = judge_query(query, benchmark)
    assert outcome is Outcome.PASS
    _, shown, judged, _ = evidence.measurements
    assert (shown.samples, shown.unit, len(shown.quantiles)) == (100, "ms", 21)
    assert judged.name.endswith("upper bound")
    assert float(judged.value) >= float(shown.value) > 0
    assert (benchmark.group, benchmark.name) == ("query latency", "it")


def test_slow_query_fails(shop: Dsn) -> None:
    query = _query(shop, "select pg_sleep(0.1)", max_p95_ms=1, budget_s=0.2)
    with pytest.raises(CheckFailed, match="p95 is at least"):
        judge_query(query)


def test_percent_sign_without_parameters_is_literal(shop: Dsn) -> None:
    with running(_query(shop, "select 1 where 'a' like '%a'")) as execution:
        execution.execute()
        assert execution.times([0.001]).ms == [1]


def test_parameters_are_rotated(shop: Dsn, run: Run) -> None:
    run(
        """create table seen (n int);
           create function look(n int) returns int language sql as
             'insert into seen values (n) returning n'"""
    )
    with running(_query(shop, "select look(%s)", params=[[1], [2]], writes=True)) as execution:
        execution.execute()
    with running(_query(shop, "select n, count(*)::int from seen group by 1 order by 1")) as rows:
        cursor = rows._cursor
        cursor.execute("select n, count(*)::int from seen group by 1 order by 1")
        assert cursor.fetchall() == [(1, 3), (2, 3)]


def test_query_without_rows_is_no_data(shop: Dsn) -> None:
    with pytest.raises(NoData, match="no row"):
        judge_query(_query(shop, "select * from shop.orders where id = %s", params=[[0], [-1]]))


def test_disabled_benchmark_is_an_error(shop: Dsn) -> None:
    with pytest.raises(CouldNotMeasure, match="pytest-benchmark is disabled"):
        judge_query(_query(shop, "select 1"), Benchmark(enabled=False))


@pytest.mark.parametrize(
    "mistake",
    ["select * from nothing", "update shop.orders set id = 1", "set application_name = 'x'"],
)
def test_mistake_in_sql_names_the_query(shop: Dsn, mistake: str) -> None:
    with pytest.raises(CouldNotMeasure) as caught:
        judge_query(_query(shop, mistake))
    assert caught.value.where == mistake


def test_missing_right_to_read_is_an_error(shop: Dsn, role: Dsn) -> None:
    with pytest.raises(NotPermitted, match=r"shop\.orders"):
        judge_query(_query(role, "select * from shop.orders"))


def test_execution_longer_than_the_budget_is_an_error(shop: Dsn) -> None:
    with pytest.raises(TookTooLong):
        judge_query(_query(shop, "select pg_sleep(60)", budget_s=0.2))


def test_a_stall_that_the_p95_hides_is_a_miss(shop: Dsn) -> None:
    # One execution in a hundred stalls: no p95 shows it.
    query = _query(
        shop,
        "select pg_sleep(case when %s = 1 then 0.3 else 0 end)",
        params=[[0]] * 60 + [[1]] + [[0]] * 60,
        max_p95_ms=250,
        max_stall_ms=50,
    )
    with pytest.raises(CheckFailed, match=r"slowest execution: 3\d\d.* ms; limit 50 ms"):
        judge_query(query)
