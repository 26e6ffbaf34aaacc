"""Whether what users do stays fast while a background job runs."""

import statistics
from dataclasses import replace

from readiness import Evidence, Measurement, at_most, check, equal_to
from readiness.areas.performance.baseline import Comparison, rounds
from readiness.areas.performance.config import BackgroundJob, Baseline
from readiness.areas.performance.contention import Beside, Blocked, Contended, contended
from readiness.areas.performance.judging import every, judge_percentile
from readiness.config.models import Config
from readiness.lib.guardian import Undo
from readiness.lib.noise import Noise
from readiness.lib.retry import indistinct, undisturbed
from readiness.lib.text import listed

_CLEARER = "raise `rate` and `before_s` of the job, and run it on a quiet system"


@check(
    "performance.contention",
    title="Background jobs leave queries and endpoints as fast as promised",
    failure_title="A background job blocks or slows down what users do",
    each="background_job",
    severity="major",
    effect="disrupt",
    why="""Reports, imports and clean-ups are tested alone, and run beside users. One statement that
    locks a table for a minute makes every request that reads it wait, and the pool fill up.""",
    fix="""Run the job by hand, and see who waits for it meanwhile:
      select pid, pg_blocking_pids(pid), now() - query_start, left(query, 60)
      from pg_stat_activity where cardinality(pg_blocking_pids(pid)) > 0;
    blocked: set lock_timeout in the job; commit in small batches; create index concurrently;
      refresh materialized view concurrently; pg_repack instead of vacuum full or cluster.
    errors: the same, or a time-out of the request that is longer than the job's longest lock.
    p95, slowdown: let the job do less at once (smaller batches, pauses, fewer workers), on a
      standby, or with its own pool.
    Agreed: `max_p95_ms` of each query and endpoint; `max_ratio`, `max_blocked_s` of the job""",
    judgements=("errors", "p95", "slowdown", "blocked"),
)
def test_contention(
    background_job: BackgroundJob, target: Config, evidence: Evidence, guardian: Undo
) -> None:
    """The job runs once for each attempt; what is due while it runs is judged."""
    job = background_job
    seen, noise = undisturbed(
        lambda _: contended(job, target, guardian),
        lambda found, noise: _keeps(found, job, noise),
        evidence,
    )
    evidence.record(
        Measurement("the job took", seen.job_s, "s", f"[[performance.jobs]] {job.name}")
    )
    for beside in seen.measured:
        with evidence.attempt():
            _judge_answers(beside, job, noise, evidence)
    if seen.blocked:
        _judge_blocked(seen.blocked, job, noise, evidence)


def _judge_answers(beside: Beside, job: BackgroundJob, noise: Noise, evidence: Evidence) -> None:
    subject, times, asked = beside.subject, beside.times, beside.meanwhile
    problems = sorted({f"{one.what}: {one.problem}" for one in asked if one.problem})
    failed = sum(bool(one.problem) for one in asked)
    source = beside.before.source
    figure = Measurement("failed beside the job", failed, "count", source, samples=len(asked))
    says = f"{failed} of {len(asked)} executions failed beside {job.name}"
    if not evidence.judge("errors", figure, equal_to(0), listed(problems[:3]), says=says):
        return
    with evidence.attempt():
        limit = at_most(subject.max_p95_ms, subject.deciding("max_p95_ms"))
        judge_percentile(evidence, 0.95, times, limit, noise, _CLEARER)
    compared = _before(beside, job)
    now, base = (statistics.median(rounds(t.ms)) for t in (times, beside.before))
    seen = f"{source}: the median is {now:.4g} ms beside {job.name}, {base:.4g} ms without it"
    evidence.record(beside.before.figure("median latency without the job", base))
    median = times.figure("median latency beside the job", now)
    if compared.keeps(times, noise) is None:
        evidence.record(median)
        raise indistinct(f"{seen}, and {compared.most_ms:.4g} ms are the limit", noise, _CLEARER)
    evidence.judge("slowdown", median, at_most(compared.most_ms, job.deciding("max_ratio")), seen)


def _before(beside: Beside, job: BackgroundJob) -> Comparison:
    """The time before the job as a baseline of the time beside it."""
    settings = Baseline(records="none", max_ratio=job.max_ratio, min_ms=job.min_ms)
    return Comparison(settings, "", tuple(rounds(beside.before.ms)), 1, "", "")


def _judge_blocked(blocked: Blocked, job: BackgroundJob, noise: Noise, evidence: Evidence) -> None:
    source = f"pg_blocking_pids, {blocked.looks} looks"
    longest = Measurement("longest wait for a lock", blocked.seconds, "s", source)
    says = f"{blocked.who} waited {blocked.seconds:.3g} s for {blocked.blocker}"
    if _waits(blocked, job, noise) is None:
        evidence.record(longest)
        raise indistinct(f"{says}, and {job.max_blocked_s:g} s are the limit", noise)
    limit = at_most(job.max_blocked_s, job.deciding("max_blocked_s"))
    evidence.judge("blocked", longest, limit, says=says)


def _waits(blocked: Blocked, job: BackgroundJob, noise: Noise) -> bool | None:
    # The server keeps the lock, and the session hardly works: only our looks are late.
    noise = replace(noise, lost=0.0)
    return noise.keeps_time(1000 * blocked.seconds, 1000 * job.max_blocked_s, 0.0)


def _keeps(seen: Contended, job: BackgroundJob, noise: Noise) -> bool | None:
    states = [_waits(seen.blocked, job, noise)] if seen.blocked else []
    for beside in seen.measured:
        if any(one.problem for one in beside.meanwhile):
            return False
        states.append(beside.times.keeps(0.95, beside.subject.max_p95_ms, noise))
        states.append(_before(beside, job).keeps(beside.times, noise))
    return every(states)
