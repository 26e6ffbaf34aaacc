"""Whether rows are stored and queries answered as fast as promised."""

from copy import copy
from itertools import chain, repeat

from pytest_benchmark.fixture import BenchmarkFixture

from readiness import Evidence, at_least, at_most, check, equal_to
from readiness.areas.performance.baseline import Comparison, comparison
from readiness.areas.performance.config import Ingest, Query, WritePath
from readiness.areas.performance.ingest import CopyRate, WriteRate, copy_rate, write_rate
from readiness.areas.performance.judging import Times, every, judge_percentile, judge_rate
from readiness.areas.performance.plans import why_slow
from readiness.areas.performance.queries import RunningQuery, running
from readiness.config.models import Config
from readiness.lib.noise import Noise
from readiness.lib.retry import judge_time, undisturbed
from readiness.model.errors import CouldNotMeasure
from readiness.model.measurement import Limit, Measurement

_CLEARER = "raise `samples` and `budget_s` of the query, and run it on a quiet system"


@check(
    "performance.ingest-rate",
    title="The table stores rows at the required rate, and loses none",
    failure_title="The table stores rows too slowly or slower than before, or loses some",
    each="ingest",
    severity="blocker",
    effect="load",
    why="""If rows arrive faster than they are stored, a queue grows until something drops them.
    A trigger, an index too many or a commit for each row costs a factor of ten to a thousand,
    and goes unnoticed while traffic is low.""",
    fix="""copy-rate, regression: what does the table do for each row (triggers, indexes, keys)?
      psql -c '\\d+ TABLE'
    and at what the server waits for while the check runs:
      select wait_event_type, wait_event, count(*) from pg_stat_activity
      where state = 'active' group by 1, 2;
    write-rate: fast by COPY and slow by the application: it commits each row. Store many rows in
    one statement and one commit; the measurements show the network round trip.
    failed-writes: the application's log has the reason, the message has the first answer.
    missing-rows: the application answers before it commits; make it commit first.""",
    judgements=("copy-rate", "regression", "write-rate", "failed-writes", "missing-rows"),
)
def test_ingest_rate(ingest: Ingest, target: Config, evidence: Evidence) -> None:
    """Rows are counted in the table, by `method` and (where declared) the application's path."""
    limit = at_least(ingest.min_rows_per_s, ingest.deciding("min_rows_per_s"))
    with evidence.attempt():
        _judge_copy(ingest, limit, comparison(target, "performance.ingest-rate", ingest), evidence)
    if ingest.write_path:
        _judge_application(ingest, ingest.write_path, limit, target, evidence)


def _judge_copy(
    ingest: Ingest, limit: Limit, compared: Comparison | None, evidence: Evidence
) -> None:
    def keeps(found: CopyRate, noise: Noise) -> bool | None:
        rate, least = float(found.rate.value), ingest.min_rows_per_s
        return every(
            (
                noise.keeps_rate(rate, least, found.each_s, found.fastest_s),
                compared is None or compared.keeps(found.times, noise),
            )
        )

    measured, noise = undisturbed(lambda longer: copy_rate(ingest.longer(longer)), keeps, evidence)
    evidence.record(measured.round_trip)
    evidence.record(measured.driver)
    because = f"{ingest.table} itself is slow, without the application"
    rate, each_s, fastest_s = measured.rate, measured.each_s, measured.fastest_s
    with evidence.attempt():
        judge_rate(evidence, "copy-rate", rate, each_s, fastest_s, limit, noise, because)
    if compared:
        compared.judge(evidence, measured.times, noise)


def _judge_application(
    ingest: Ingest, path: WritePath, limit: Limit, target: Config, evidence: Evidence
) -> None:
    service = target.services.get(path.service)
    if service is None:
        raise CouldNotMeasure(
            f"the service {path.service} is not declared",
            where=f"[performance.ingest.write_path] of {ingest.name}",
            remedy=f"declare [services.{path.service}], or use one that is declared",
        )
    compared = comparison(target, "performance.ingest-rate", ingest, path)

    def keeps(found: WriteRate, noise: Noise) -> bool | None:
        rate, least = float(found.rate.value), ingest.min_rows_per_s
        if found.lost_something:
            return False
        return every(
            (
                noise.keeps_rate(rate, least, found.each_s, found.fastest_s),
                compared is None or compared.keeps(found.times, noise),
            )
        )

    measured, noise = undisturbed(
        lambda longer: write_rate(path, service, rows=longer * ingest.rows), keeps, evidence
    )
    says = f"{measured.failed.value} of {measured.failed.samples} writes failed"
    evidence.judge("failed-writes", measured.failed, equal_to(0), measured.first_failure, says=says)
    says = f"The application acknowledged {measured.missing.value} rows that are not stored"
    evidence.judge("missing-rows", measured.missing, equal_to(0), says=says)
    because = f"{path.method} {path.path}"
    rate, each_s, fastest_s = measured.rate, measured.each_s, measured.fastest_s
    with evidence.attempt():
        judge_rate(evidence, "write-rate", rate, each_s, fastest_s, limit, noise, because)
    if compared and not measured.lost_something:
        compared.judge(evidence, measured.times, noise)


@check(
    "performance.query-latency",
    title="The query answers within its promised p95, without stalls",
    failure_title="The query is slower than promised or before, or stalls",
    each="query",
    severity="blocker",
    effect="load",
    core=True,
    why="""A query that is slow here, alone and warmed up, is slower under traffic: connections are
    held longer, the pool is exhausted, and requests that have nothing to do with it wait too.""",
    fix="""If it became slow with this release, roll back first and investigate afterwards.
    See where the time goes, with parameters from readiness.toml:
      psql -c "explain (analyze, buffers) SELECT ..."
    p95, regression: Seq Scan on a large table: an index is missing, or was dropped by a migration:
      create index concurrently on TABLE (COLUMNS);
    Rows estimated far from rows found: `analyze TABLE;`
    stall: it waits for another session's lock:
      select pid, state, wait_event, query from pg_stat_activity where wait_event_type = 'Lock';""",
    judgements=("p95", "stall", "regression"),
)
def test_query_latency(
    query: Query, target: Config, evidence: Evidence, benchmark: BenchmarkFixture
) -> None:
    """Judged on confidence bounds, so that the same system gets the same answer."""
    benchmark.group = "query latency"
    benchmark.name = query.name
    # A benchmark measures once: each attempt after the first has a copy of the unused one.
    unused = copy(benchmark)
    benchmarks = chain([benchmark], map(copy, repeat(unused)))
    compared = comparison(target, "performance.query-latency", query)
    times, noise = undisturbed(
        lambda longer: _times(query.longer(longer), next(benchmarks)),
        lambda found, noise: _keeps(found, query, compared, noise),
        evidence,
    )
    why = _why_slow(times, query, compared, noise, evidence)
    limit = at_most(query.max_p95_ms, query.deciding("max_p95_ms"))
    with evidence.attempt():
        judge_percentile(evidence, 0.95, times, limit, noise, _CLEARER, why)
    if compared:
        with evidence.attempt():
            compared.judge(evidence, times, noise, why)
    limit = at_most(query.max_stall_ms, query.deciding("max_stall_ms"))
    judge_time(evidence, "stall", times.slowest, limit, min(times.ms), noise, q=1.0)


def _times(query: Query, benchmark: BenchmarkFixture) -> Times:
    with running(query) as execution:
        return execution.times(_measure(benchmark, execution))


def _keeps(times: Times, query: Query, compared: Comparison | None, noise: Noise) -> bool | None:
    stall = noise.keeps_time(max(times.ms), query.max_stall_ms, min(times.ms), q=1.0)
    return every((_is_fast(times, query, compared, noise), stall))


def _is_fast(times: Times, query: Query, compared: Comparison | None, noise: Noise) -> bool | None:
    """Whether it is as fast as promised, and as before; None if that cannot be told."""
    return every(
        (
            times.keeps(0.95, query.max_p95_ms, noise),
            compared is None or compared.keeps(times, noise),
        )
    )


def _why_slow(
    times: Times, query: Query, compared: Comparison | None, noise: Noise, evidence: Evidence
) -> str:
    """What the plan says, if the query is too slow or slower than before."""
    if _is_fast(times, query, compared, noise) is not False:
        return ""
    slow = why_slow(query)
    evidence.record(Measurement("plan, ms of each node", slow.outline, "text", times.source))
    return slow.because


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
            "pytest-benchmark is disabled, and nothing was timed",
            where=benchmark.name,
            remedy="run it without xdist (-n0) and without --benchmark-disable",
        )
    return list(benchmark.stats.stats.data)
