"""Whether the objectives of a load are kept: by its good answers, its failures and its rate."""

from collections.abc import Iterator, Sequence
from typing import Final

from readiness.areas.performance import load as probe
from readiness.areas.performance.config import Load
from readiness.areas.performance.judging import (
    Failures,
    Times,
    every,
    judge_percentile,
    judge_rate,
)
from readiness.areas.performance.load import Loaded
from readiness.lib.noise import Noise
from readiness.model.course import Band
from readiness.model.evidence import Evidence
from readiness.model.measurement import Measurement, at_least, at_most

CLEARER: Final = "raise `duration_s` of the load, and run it on a quiet system"


def judge(load: Load, loaded: Loaded, noise: Noise, evidence: Evidence) -> None:
    """Judge each objective, by the keys `errors`, `p95`, `p99` and `throughput`.

    Raises:
        CouldNotMeasure: the generator may have measured itself.
    """
    with evidence.attempt():
        limit = at_most(load.max_error_ratio, load.deciding("max_error_ratio"))
        _failures(load, loaded, noise).judge(evidence, limit, noise, CLEARER)
    if evidence.failures or not loaded.good:
        return  # what fails fast makes the good answers faster, and proves nothing
    if kept(load, loaded, noise) is None and (problem := probe.starved(load, loaded)):
        raise probe.bottleneck(load, problem)
    for q, most, key in percentiles(load):
        with evidence.attempt():
            limit = at_most(most, load.deciding(key))
            judge_percentile(evidence, q, good(loaded), limit, noise, CLEARER)
    if load.min_per_s:
        limit = at_least(load.min_per_s, load.deciding("min_per_s"))
        rate, each_s, fastest_s = _per_second(loaded), _each_s(loaded), min(loaded.good) / 1000
        judge_rate(evidence, "throughput", rate, each_s, fastest_s, limit, noise)


def kept(load: Load, loaded: Loaded, noise: Noise) -> bool | None:
    """Whether all objectives are kept; None if that cannot be told."""
    few = _failures(load, loaded, noise).keeps(load.max_error_ratio)
    if not few or not loaded.good:
        return few
    clear = every(_keeps(load, loaded, noise))
    return None if clear is False and probe.starved(load, loaded) else clear


def percentiles(load: Load) -> Iterator[tuple[float, float, str]]:
    """The quantiles that are judged, with their limits and keys."""
    yield 0.95, load.max_p95_ms, "max_p95_ms"
    if load.max_p99_ms:
        yield 0.99, load.max_p99_ms, "max_p99_ms"


def good(loaded: Loaded) -> Times:
    """The times of good answers."""
    return Times(loaded.good, loaded.source)


def _each_s(loaded: Loaded) -> float:
    return sum(loaded.good) / max(1, len(loaded.good)) / 1000


def _keeps(load: Load, loaded: Loaded, noise: Noise) -> Iterator[bool | None]:
    """Whether each objective of good answers is kept."""
    for q, most, _ in percentiles(load):
        yield good(loaded).keeps(q, most, noise)
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


def record(load: Load, loaded: Loaded, evidence: Evidence, bands: Sequence[Band] = ()) -> None:
    """Record what was sent, how well the generator kept its plan, and the picture."""
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
            course=probe.course(loaded, load.max_p95_ms, bands),
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
