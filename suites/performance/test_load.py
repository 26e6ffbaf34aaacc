"""Whether the service keeps its objectives under the declared load, and after a spike of it."""

from readiness import Evidence, at_least, at_most, check
from readiness.areas.performance import load as probe
from readiness.areas.performance import objectives, summaries
from readiness.areas.performance.baseline import Comparison, comparison
from readiness.areas.performance.config import Load
from readiness.areas.performance.judging import Failures
from readiness.areas.performance.load import Loaded
from readiness.areas.performance.recovery import recover
from readiness.config.models import Config
from readiness.lib.noise import SILENCE, Noise
from readiness.lib.retry import undisturbed
from readiness.model.errors import NoData
from readiness.model.measurement import Measurement


@check(
    "performance.load",
    title="The service keeps its objectives under the declared load",
    failure_title="The service misses its objectives under load, or is slower than before",
    each="load",
    severity="blocker",
    effect="load",
    why="""What is fast for one user can collapse under all of them: connections, locks and queues
    only show under load. Requests arrive as users do, whether or not earlier ones were answered,
    and waiting counts.""",
    fix="""See what the service waits for while the load runs (pool, locks, processor):
      select wait_event_type, wait_event, count(*) from pg_stat_activity
      where state = 'active' group by 1, 2;
      kubectl top pods
    regression: roll back first and investigate afterwards.
    errors: the message has the most frequent answers; the service's log has the reason.
    p95, p99: slow at this rate only: add replicas, or enlarge what they wait for.
    throughput: fewer answers a second than agreed: users of a locustfile wait for slow answers.""",
    judgements=("p95", "p99", "errors", "throughput", "regression"),
)
def test_load(load: Load, target: Config, evidence: Evidence) -> None:
    """Each objective is judged on confidence bounds, over good answers alone."""
    if load.summary:
        return _judge_summary(load, evidence)
    service = target.services[load.service]
    compared = comparison(target, "performance.load", load)
    loaded, noise = undisturbed(
        lambda times: probe.load(load, service, seconds=load.duration_s * times),
        lambda found, noise: _keeps(load, found, compared, noise),
        evidence,
    )
    objectives.record(load, loaded, evidence)
    objectives.judge(load, loaded, noise, evidence)
    if compared and loaded.good and not evidence.failures:
        times = objectives.good(loaded)
        if compared.keeps(times, noise) is False and (problem := probe.starved(load, loaded)):
            raise probe.bottleneck(load, problem)
        compared.judge(evidence, times, noise)
    return None


def _keeps(load: Load, loaded: Loaded, compared: Comparison | None, noise: Noise) -> bool | None:
    kept = objectives.kept(load, loaded, noise)
    if not kept or compared is None:
        return kept
    same = compared.keeps(objectives.good(loaded), noise)
    return None if same is False and probe.starved(load, loaded) else same


def _judge_summary(load: Load, evidence: Evidence) -> None:
    """What another tool saw: its percentiles have no bounds, the number of failures has."""
    seen = summaries.read(load)
    source = f"{load.tool}: {load.summary}"
    failures = Failures(seen.failed, seen.failed, seen.requests, source)
    with evidence.attempt():
        limit = at_most(load.max_error_ratio, load.deciding("max_error_ratio"))
        failures.judge(evidence, limit, SILENCE, objectives.CLEARER)
    if evidence.failures:
        return
    for q, most, key in objectives.percentiles(load):
        with evidence.attempt():
            name = f"p{100 * q:g}"
            value = seen.p95_ms if key == "max_p95_ms" else seen.p99_ms
            if value is None:
                raise NoData(f"the summary has no {name}", where=source)
            latency = Measurement(f"{name} latency", value, "ms", source, samples=seen.requests)
            evidence.judge(name, latency, at_most(most, load.deciding(key)))
    if load.min_per_s:
        rate = Measurement(
            "good answers a second", seen.good_per_s, "requests/s", source, samples=seen.requests
        )
        evidence.judge("throughput", rate, at_least(load.min_per_s, load.deciding("min_per_s")))


@check(
    "performance.recovery",
    title="After a spike, latency and errors recover within the declared time",
    failure_title="After a spike, the service stays slow or keeps failing",
    each="load",
    needs="spike",
    severity="major",
    effect="load",
    why="""A burst passes, and the service stays down: queues hold requests that nobody waits for
    any more, clients retry, a breaker or a rate limit stays shut. What does not recover by itself
    needs a person, at the busiest hour.""",
    fix="""See what is still queued once the burst is over (sessions, pool, breaker, limiter):
      select state, wait_event_type, count(*) from pg_stat_activity group by 1, 2;
    Slow afterwards: bound the queue, and drop requests whose client has given up; scale up in time.
    Failing afterwards: let breakers and limiters open again within the declared time, and let
    clients retry with growing, random pauses.
    Agreed: `rate`, `seconds`, `within_s` of the spike; `max_p95_ms`, `max_error_ratio` of the
    load""",
    judgements=("p95", "errors"),
)
def test_recovery(load: Load, target: Config, evidence: Evidence) -> None:
    """What happens during the spike is recorded; what comes after it is judged."""
    spike = load.spike
    assert spike, "`needs` of the check"
    service = target.services[load.service]
    # For the time after a spike, nothing else is agreed.
    agreed = load.model_copy(update={"max_p99_ms": None, "min_per_s": None})
    seen, noise = undisturbed(
        lambda times: recover(load, spike, service, seconds=load.duration_s * times),
        lambda found, noise: objectives.kept(agreed, found.after, noise),
        evidence,
    )
    objectives.record(load, seen.whole, evidence, seen.bands(spike))
    for figure in seen.figures(load):
        evidence.record(figure)
    objectives.judge(agreed, seen.after, noise, evidence)
