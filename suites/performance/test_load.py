"""Whether the service keeps its objectives under the declared load."""

from collections.abc import Iterator

from readiness import Evidence, at_least, at_most, check
from readiness.areas.performance import load as probe
from readiness.areas.performance.config import Load
from readiness.areas.performance.load import Loaded
from readiness.config.base.tables import Service
from readiness.config.models import Config
from readiness.lib.retry import undisturbed
from readiness.lib.sampling import Bounds, percentile_bounds, quantile_points
from readiness.model.errors import CouldNotMeasure
from readiness.model.measurement import Limit, Measurement

# A result within the uncertainty is measured again, this many times as long.
_LONGER = (1, 2)


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
    service = target.services[load.service]
    loaded = undisturbed(
        lambda: _measured(load, service),
        lambda seen: all(_keeps(load, seen)),
        evidence.record,
    )
    _record(load, loaded, evidence)
    with evidence.attempt():
        _judge_errors(load, loaded, evidence)
    if evidence.failures:
        return  # what fails fast makes the good answers faster, and proves nothing
    with evidence.attempt():
        limit = at_most(load.max_p95_ms, load.deciding("max_p95_ms"))
        _judge_latency("p95", 0.95, loaded, limit, evidence)
    if load.max_p99_ms:
        with evidence.attempt():
            limit = at_most(load.max_p99_ms, load.deciding("max_p99_ms"))
            _judge_latency("p99", 0.99, loaded, limit, evidence)
    if load.min_per_s:
        limit = at_least(load.min_per_s, load.deciding("min_per_s"))
        evidence.judge("throughput", _per_second(loaded), limit)


def _measured(load: Load, service: Service) -> Loaded:
    """The load; longer if the first time leaves a doubt."""
    for times in _LONGER:
        loaded = probe.load(load, service, seconds=load.duration_s * times)
        if None not in _keeps(load, loaded):
            break
    return loaded


def _keeps(load: Load, loaded: Loaded) -> Iterator[bool | None]:
    """Whether each objective is kept; None where it cannot be told."""
    yield _sure(_failing(load, loaded), 0)
    yield _sure(percentile_bounds(loaded.good, 0.95), load.max_p95_ms) if loaded.good else False
    if load.max_p99_ms:
        yield _sure(percentile_bounds(loaded.good, 0.99), load.max_p99_ms) if loaded.good else False
    if load.min_per_s:
        yield loaded.good_per_s >= load.min_per_s


def _failing(load: Load, loaded: Loaded) -> Bounds:
    """Bounds of the quantile at the error budget, of 1 for a failed request and 0 for a good one.

    At most the agreed share fails exactly if this quantile is 0.
    """
    missed = [float(bool(one.problem)) for one in loaded.asked]
    return percentile_bounds(missed, 1 - load.max_error_ratio)


def _sure(bounds: Bounds, limit: float) -> bool | None:
    if bounds.lower is not None and bounds.lower > limit:
        return False
    if bounds.upper is not None and bounds.upper <= limit:
        return True
    return None


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


def _judge_errors(load: Load, loaded: Loaded, evidence: Evidence) -> None:
    count = len(loaded.asked)
    ratio = Measurement(
        "failed requests", loaded.failed / count, "ratio", loaded.source, samples=count
    )
    if _sure(_failing(load, loaded), 0) is None:
        evidence.record(ratio)
        raise _doubtful(
            f"{loaded.failed} of {count} requests failed", f"{load.max_error_ratio:.3g} of them"
        )
    evidence.judge(
        "errors",
        ratio,
        at_most(load.max_error_ratio, load.deciding("max_error_ratio")),
        loaded.problems,
        says=f"{loaded.failed} of {count} requests failed ({loaded.failed / count:.3g})",
    )


def _judge_latency(key: str, q: float, loaded: Loaded, limit: Limit, evidence: Evidence) -> None:
    """Pass beyond doubt, fail beyond doubt, or be an error."""
    bounds = percentile_bounds(loaded.good, q)
    seen = _milliseconds(f"{key} latency", bounds.value, loaded)
    evidence.record(seen)
    most = float(limit.value)
    match _sure(bounds, most):
        case None:
            between = f"between {_shown(bounds.lower)} and {_shown(bounds.upper)} ms"
            raise _doubtful(f"the {key} is {between}", f"{most:g} ms")
        case True:
            upper = _milliseconds(f"{key} latency, 95 % upper bound", bounds.upper or 0.0, loaded)
            evidence.judge(key, upper, limit)
        case False:
            lower = _milliseconds(f"{key} latency, 95 % lower bound", bounds.lower or 0.0, loaded)
            says = f"{key} is at least {bounds.lower:.4g} ms (95 % confidence)"
            evidence.judge(key, lower, limit, says=says)


def _milliseconds(name: str, value: float, loaded: Loaded) -> Measurement:
    quantiles = quantile_points(loaded.good)
    return Measurement(
        name, value, "ms", loaded.source, samples=len(loaded.good), quantiles=quantiles
    )


def _per_second(loaded: Loaded) -> Measurement:
    return Measurement(
        "good answers a second",
        loaded.good_per_s,
        "requests/s",
        loaded.source,
        samples=len(loaded.good),
    )


def _shown(bound: float | None) -> str:
    return "?" if bound is None else f"{bound:.4g}"


def _doubtful(seen: str, limit: str) -> CouldNotMeasure:
    return CouldNotMeasure(
        f"too close to call: {seen}, and the limit is {limit}",
        remedy="raise `duration_s` of the load, and run it on a quiet system",
    )
