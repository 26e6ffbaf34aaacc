"""Whether the service keeps its objectives under the declared load."""

from collections.abc import Iterator

from readiness import Evidence, at_least, at_most, check
from readiness.areas.performance import load as probe
from readiness.areas.performance import summaries
from readiness.areas.performance.config import Load
from readiness.areas.performance.judging import (
    Failures,
    Times,
    every,
    judge_percentile,
    judge_rate,
)
from readiness.areas.performance.load import Loaded
from readiness.config.models import Config
from readiness.lib.noise import SILENCE, Noise
from readiness.lib.retry import undisturbed
from readiness.model.errors import NoData
from readiness.model.measurement import Measurement

_CLEARER = "raise `duration_s` of the load, and run it on a quiet system"


@check(
    "performance.load",
    title="The service keeps its objectives under the declared load",
    failure_title="The service misses its objectives under the declared load",
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
    Requests fail: the message has the most frequent answers; the service's log has the reason.
    The p95 is too slow at this rate only: add replicas, or enlarge what they wait for.
    Fewer answers a second than agreed: the users of the locustfile wait for slow answers.""",
    judgements=("p95", "p99", "errors", "throughput"),
)
def test_load(load: Load, target: Config, evidence: Evidence) -> None:
    """Each objective is judged on confidence bounds, over good answers alone."""
    if load.summary:
        return _judge_summary(load, evidence)
    service = target.services[load.service]
    loaded, noise = undisturbed(
        lambda times: probe.load(load, service, seconds=load.duration_s * times),
        lambda found, noise: _clearly(load, found, noise),
        evidence,
    )
    _record(load, loaded, evidence)
    with evidence.attempt():
        limit = at_most(load.max_error_ratio, load.deciding("max_error_ratio"))
        _failures(load, loaded, noise).judge(evidence, limit, noise, _CLEARER)
    if evidence.failures or not loaded.good:
        return None  # what fails fast makes the good answers faster, and proves nothing
    if _clearly(load, loaded, noise) is None and (problem := probe.starved(load, loaded)):
        raise probe.bottleneck(load, problem)
    for q, most, key in _percentiles(load):
        with evidence.attempt():
            limit = at_most(most, load.deciding(key))
            judge_percentile(evidence, q, _good(loaded), limit, noise, _CLEARER)
    if load.min_per_s:
        limit = at_least(load.min_per_s, load.deciding("min_per_s"))
        rate, each_s, fastest_s = _per_second(loaded), _each_s(loaded), min(loaded.good) / 1000
        judge_rate(evidence, "throughput", rate, each_s, fastest_s, limit, noise)
    return None


def _judge_summary(load: Load, evidence: Evidence) -> None:
    """What another tool saw: its percentiles have no bounds, the number of failures has."""
    seen = summaries.read(load)
    source = f"{load.tool}: {load.summary}"
    failures = Failures(seen.failed, seen.failed, seen.requests, source)
    with evidence.attempt():
        limit = at_most(load.max_error_ratio, load.deciding("max_error_ratio"))
        failures.judge(evidence, limit, SILENCE, _CLEARER)
    if evidence.failures:
        return
    for q, most, key in _percentiles(load):
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


def _percentiles(load: Load) -> Iterator[tuple[float, float, str]]:
    """The quantiles that are judged, with their limits and keys."""
    yield 0.95, load.max_p95_ms, "max_p95_ms"
    if load.max_p99_ms:
        yield 0.99, load.max_p99_ms, "max_p99_ms"


def _good(loaded: Loaded) -> Times:
    return Times(loaded.good, loaded.source)


def _each_s(loaded: Loaded) -> float:
    return sum(loaded.good) / max(1, len(loaded.good)) / 1000


def _clearly(load: Load, loaded: Loaded, noise: Noise) -> bool | None:
    """Whether all objectives are kept; None if that cannot be told."""
    good = _failures(load, loaded, noise).keeps(load.max_error_ratio)
    if not good or not loaded.good:
        return good
    kept = every(_keeps(load, loaded, noise))
    return None if kept is False and probe.starved(load, loaded) else kept


def _keeps(load: Load, loaded: Loaded, noise: Noise) -> Iterator[bool | None]:
    """Whether each objective of good answers is kept."""
    for q, most, _ in _percentiles(load):
        yield _good(loaded).keeps(q, most, noise)
    if load.min_per_s:
        fastest_s = min(loaded.good) / 1000
        yield noise.keeps_rate(loaded.good_per_s, load.min_per_s, _each_s(loaded), fastest_s)


def _failures(load: Load, loaded: Loaded, noise: Noise) -> Failures:
    """What failed after waiting longer than the objective may have waited for this machine."""
    fastest_s = min(loaded.good, default=0.0) / 1000
    agreed_s = load.max_p95_ms / 1000
    times_s = [one.took_ms / 1000 for one in loaded.asked if one.problem]
    certain = sum(s <= agreed_s or noise.own(s, fastest_s) > agreed_s for s in times_s)
    count = len(loaded.asked)
    return Failures(loaded.failed, certain, count, loaded.source, loaded.problems)


def _record(load: Load, loaded: Loaded, evidence: Evidence) -> None:
    for name, value, unit in (
        ("requests", len(loaded.asked), "count"),
        ("generator: busiest process, share of a core", loaded.cpu, "ratio"),
        ("generator: p99 of how late it sent", loaded.late_ms, "ms"),
    ):
        evidence.record(Measurement(name, value, unit, loaded.source, samples=len(loaded.asked)))
    evidence.record(
        Measurement(
            f"load: {loaded.source}",
            loaded.seconds,
            "s",
            loaded.source,
            samples=len(loaded.asked),
            course=probe.course(loaded, load.max_p95_ms),
        )
    )


def _per_second(loaded: Loaded) -> Measurement:
    return Measurement(
        "good answers a second",
        loaded.good_per_s,
        "requests/s",
        loaded.source,
        samples=len(loaded.good),
    )
