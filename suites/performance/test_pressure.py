"""What requests get while a connection, or what they depend on, does not come."""

from dataclasses import replace

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.performance.config import Dependency, Pool
from readiness.areas.performance.pressure import Queued, Slowed, queued, slowed
from readiness.config.models import Config
from readiness.lib.guardian import Undo
from readiness.lib.noise import Noise, watching
from readiness.lib.retry import indistinct, judge_time, undisturbed


@check(
    "performance.pool",
    title="Requests beyond the connection pool are queued and answered in time",
    failure_title="Requests beyond the connection pool fail, or wait too long",
    each="pool",
    severity="major",
    effect="disrupt",
    why="""At a peak there are more requests than connections. A pool that refuses them at once, or
    keeps connections while pages are rendered, turns half a second of waiting into an outage.""",
    fix="""See how the pool is used while the check runs:
      select state, wait_event_type, count(*) from pg_stat_activity where usename = 'ROLE' group by
      1, 2;
    Requests fail: raise the time that a request may wait for a connection (HikariCP:
    connectionTimeout; SQLAlchemy: pool_timeout; psycopg_pool: timeout), or the length of its queue.
    They wait too long: return the connection before rendering and before calls to others; raise the
    pool's size if the database has room (max_connections).
    Agreed: `max_ms`""",
    judgements=("errors", "slowest"),
)
def test_pool(pool: Pool, target: Config, evidence: Evidence) -> None:
    """A lock makes all connections wait for a moment; what comes meanwhile must be queued."""
    service = target.services[pool.service]
    seen, noise = undisturbed(
        lambda _: queued(pool, service),
        lambda found, noise: _keeps(found, pool, noise),
        evidence,
    )
    crowd = seen.crowd
    evidence.record(
        Measurement(
            "connections that waited for `hold_sql`", seen.connections, "count", crowd.source
        )
    )
    says = f"{crowd.failed.value} of {pool.requests} requests failed"
    if crowd.fails(pool.max_ms, noise) is None:
        raise indistinct(f"{says}, {crowd.problems}", noise)
    if evidence.judge("errors", crowd.failed, equal_to(0), crowd.problems, says=says):
        limit = at_most(pool.max_ms, pool.deciding("max_ms"))
        judge_time(evidence, "slowest", crowd.slowest, limit, crowd.fastest_ms, noise, q=1.0)


def _keeps(seen: Queued, pool: Pool, noise: Noise) -> bool | None:
    crowd = seen.crowd
    if crowd.failed.value:
        return None if crowd.fails(pool.max_ms, noise) is None else False
    return noise.keeps_time(float(crowd.slowest.value), pool.max_ms, crowd.fastest_ms, q=1.0)


@check(
    "performance.dependency",
    title="A slow dependency fails fast where it is needed, and harms nothing else",
    failure_title="A slow dependency makes requests hang, or harms what does not need it",
    each="dependency",
    severity="major",
    effect="disrupt",
    why="""A dependency that is down is noticed at once; one that is slow holds every worker and
    connection that waits for it. Without time-outs, one slow query ends the whole service.""",
    fix="""Run `slow` by hand, watch, then run `restore`:
      watch -n1 "curl -so /dev/null -m 30 -w '%{http_code} %{time_total}\\n' URL"
    fails-fast: set a time-out on each call (PostgreSQL: statement_timeout; HTTP: connect and read),
      shorter than that of the client, and answer 503.
    isolated: give the dependency a pool or workers of its own (bulkhead), or a circuit breaker, so
      that waiting for it does not use up what all requests need.
    recovers: let breakers try again after a short time, and check connections before they are used.
    Agreed: `fail_within_s`, `max_ms`, `recover_within_s`""",
    judgements=("fails-fast", "isolated", "recovers"),
)
def test_dependency(
    dependency: Dependency, target: Config, evidence: Evidence, guardian: Undo
) -> None:
    """It is restored in `finally`, and by the guardian if this run is killed."""
    with watching() as watch:
        seen = slowed(dependency, target.services[dependency.service], guardian)
        noise = watch.seen()
    evidence.record(noise.measurement)
    with evidence.attempt():
        _judge_dependent(seen, dependency, noise, evidence)
    with evidence.attempt():
        _judge_independent(seen, dependency, noise, evidence)
    recovered = Measurement(
        "paths that need it are answered well again", int(seen.recovered_s is not None), "count",
        seen.dependent.source,
    )  # fmt: skip
    setting = dependency.deciding("recover_within_s")
    says = f"{dependency.name} was restored, and {dependency.recover_within_s:g} s later"
    says += " what needs it still failed"
    evidence.judge("recovers", recovered, equal_to(1, setting), says=says)


def _judge_dependent(
    seen: Slowed, dependency: Dependency, noise: Noise, evidence: Evidence
) -> None:
    crowd = seen.dependent
    evidence.record(crowd.failed)
    # They wait for a time-out, and hardly work: only late wake-ups delay them.
    noise = replace(noise, lost=0.0)
    limit = at_most(1000 * dependency.fail_within_s, dependency.deciding("fail_within_s"))
    judge_time(evidence, "fails-fast", crowd.slowest, limit, crowd.fastest_ms, noise, q=1.0)


def _judge_independent(
    seen: Slowed, dependency: Dependency, noise: Noise, evidence: Evidence
) -> None:
    crowd = seen.independent
    says = f"{crowd.failed.value} of {len(crowd.asked)} requests that do not need"
    says += f" {dependency.name} failed"
    if evidence.judge("isolated", crowd.failed, equal_to(0), crowd.problems, says=says):
        limit = at_most(dependency.max_ms, dependency.deciding("max_ms"))
        judge_time(evidence, "isolated", crowd.slowest, limit, crowd.fastest_ms, noise, q=1.0)
