"""Whether HTTP endpoints answer as fast as promised."""

from readiness import Evidence, at_most, check, equal_to
from readiness.areas.performance.baseline import Comparison, comparison
from readiness.areas.performance.config import Endpoint
from readiness.areas.performance.endpoints import Answered, answered
from readiness.areas.performance.judging import every, judge_percentile
from readiness.areas.performance.turns import by_turns
from readiness.config.models import Config
from readiness.lib.noise import Noise
from readiness.lib.retry import undisturbed

_CLEARER = "raise `samples` and `budget_s` of the endpoint, and run it on a quiet system"


@check(
    "performance.endpoints",
    title="The endpoint answers every request within its promised p95",
    failure_title="The endpoint is slower than promised or before, or fails",
    each="endpoint",
    severity="blocker",
    effect="load",
    why="""What takes long for one user alone takes longer for all of them. A slow endpoint holds a
    worker and a connection of the pool, and those that are fast wait behind it.""",
    fix="""See which part of the time is spent where:
      curl -so /dev/null -w 'connect %{time_connect}  first byte %{time_starttransfer}\\n' URL
    p95, regression, release: if it became slow with this release, roll back first and investigate
    afterwards. First byte late: look for queries in a loop and calls to other services.
      select calls, mean_exec_time, query from pg_stat_statements order by 2 desc limit 5;
    First byte early, last byte late: the answer is too large; limit or compress it.
    answers: the message has the first answer, the service's log the reason.""",
    judgements=("answers", "p95", "regression", "release"),
)
def test_endpoints(endpoint: Endpoint, target: Config, evidence: Evidence) -> None:
    """Requests are sent one after the other; a wrong answer may be fast, and is not timed."""
    service = target.services[endpoint.service]
    compared = comparison(target, "performance.endpoints", endpoint)
    seen, noise = undisturbed(
        lambda longer: answered(endpoint.longer(longer), service),
        lambda found, noise: _keeps(found, endpoint, compared, noise),
        evidence,
    )
    if not evidence.judge(
        "answers",
        seen.failed,
        equal_to(0, endpoint.deciding("status")),
        seen.first_failure,
        says=f"{seen.failed.value} of {seen.failed.samples} requests failed",
    ):
        return
    limit = at_most(endpoint.max_p95_ms, endpoint.deciding("max_p95_ms"))
    with evidence.attempt():
        judge_percentile(evidence, 0.95, seen.times, limit, noise, _CLEARER)
    if compared:
        with evidence.attempt():
            compared.judge(evidence, seen.times, noise)
    if before := endpoint.before:
        turns, noise = undisturbed(
            lambda longer: by_turns(endpoint.longer(longer), service, before),
            lambda found, _: found.keeps(),
            evidence,
        )
        turns.judge(evidence, noise)


def _keeps(
    seen: Answered, endpoint: Endpoint, compared: Comparison | None, noise: Noise
) -> bool | None:
    if seen.failed.value:
        return False
    return every(
        (
            seen.times.keeps(0.95, endpoint.max_p95_ms, noise),
            compared is None or compared.keeps(seen.times, noise),
        )
    )
