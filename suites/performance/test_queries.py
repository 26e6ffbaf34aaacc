"""Is every query whose latency is promised fast enough?"""

from copy import copy
from itertools import chain, repeat

from pytest_benchmark.fixture import BenchmarkFixture

from readiness import Evidence, at_most, check
from readiness.areas.performance.config import Query
from readiness.areas.performance.probes.queries import Latency, RunningQuery, running
from readiness.lib.interference import undisturbed
from readiness.model.errors import CouldNotMeasure


@check(
    "performance.query-latency",
    title="The query answers within its promised p95",
    each="query",
    severity="blocker",
    effect="load",
    why="""A query that is slow here, alone and warmed up, is slower under traffic: connections
    are held longer, the pool runs dry, and requests that have nothing to do with it wait too.""",
    fix="""See where the time goes, with parameters as in the file:
      psql -c "explain (analyze, buffers) SELECT ..."
    Seq Scan on a large table: an index is missing, or was dropped by a migration:
      create index concurrently on TABLE (COLUMNS);
    Rows estimated far from rows found: `analyze TABLE;`
    Waiting and not working: somebody holds a lock:
      select pid, state, wait_event, query from pg_stat_activity where wait_event_type = 'Lock';
    If it became slow with this release, roll it back first and look afterwards.""",
)
def test_query_latency(query: Query, evidence: Evidence, benchmark: BenchmarkFixture) -> None:
    """Judged on bounds, not on one percentile: the same system gets the same answer."""
    benchmark.group = "query latency"
    benchmark.name = query.name
    # A benchmark measures once: each attempt after the first has a copy of the unused one.
    unused = copy(benchmark)
    benchmarks = chain([benchmark], map(copy, repeat(unused)))
    latency = undisturbed(
        lambda: _latency(query, next(benchmarks)),
        lambda measured: _is_fast(measured, query),
        evidence.record,
    )
    _judge(latency, query.max_p95_ms, evidence)
    evidence.judge(
        "slowest", latency.slowest, at_most(query.max_stall_ms), "a stall that the p95 hides"
    )


def _latency(query: Query, benchmark: BenchmarkFixture) -> Latency:
    with running(query) as execution:
        return execution.latency(_measure(benchmark, execution))


def _is_fast(latency: Latency, query: Query) -> bool:
    return (
        latency.upper is not None
        and at_most(query.max_p95_ms).holds(latency.upper.value)
        and at_most(query.max_stall_ms).holds(latency.slowest.value)
    )


def _measure(benchmark: BenchmarkFixture, execution: RunningQuery) -> list[float]:
    """The times of all executions, in seconds, as pytest-benchmark took them."""
    benchmark.pedantic(  # type: ignore[no-untyped-call]  # pytest-benchmark has no types
        execution.execute,
        rounds=execution.plan.rounds,
        iterations=1,
        warmup_rounds=execution.plan.warm_up,
    )
    if benchmark.stats is None:
        raise CouldNotMeasure(
            "pytest-benchmark is switched off, so that nothing was timed",
            where=benchmark.name,
            remedy="run it without xdist (-n0) and without --benchmark-disable",
        )
    return list(benchmark.stats.stats.data)


def _judge(latency: Latency, limit_ms: float, evidence: Evidence) -> None:
    """Pass above doubt, fail above doubt, or say that it cannot be told."""
    limit = at_most(limit_ms)
    evidence.record(latency.p95)
    if latency.lower and not limit.holds(latency.lower.value):
        evidence.judge("lower", latency.lower, limit, "too slow even if the sample was unlucky")
    elif latency.upper and limit.holds(latency.upper.value):
        evidence.judge("upper", latency.upper, limit)
    else:
        lower = f"{latency.lower.value:.4g}" if latency.lower else "?"
        upper = f"{latency.upper.value:.4g}" if latency.upper else "?"
        raise CouldNotMeasure(
            f"too close to call: {latency.p95.samples} samples put the p95 between {lower} and"
            f" {upper} ms, and the limit is {limit_ms:g} ms",
            remedy="raise `samples` and `budget_s` of the query, on a quiet system; or make it"
            " faster",
        )
