"""How it is judged what users saw, which every drill does alike."""

from collections import Counter

from readiness.lib.prober.behaviour import behaviour
from readiness.lib.prober.observation import Observation
from readiness.lib.text import listed
from readiness.model.evidence import Evidence
from readiness.model.measurement import Measurement, at_most, equal_to


def judge_served(name: str, seen: Observation, evidence: Evidence) -> None:
    """Absolute figures: a percentage would hide an outage."""
    source, count = asked(seen), len(seen.samples)
    kinds = Counter(sample.problem for sample in seen.failed)
    kinds_told = listed(f"{count} x {problem}" for problem, count in kinds.most_common())
    how = behaviour(seen)
    why = f"{kinds_told}; {how}: {how.remedy}" if seen.failed else ""
    evidence.judge(
        "failed-requests",
        figure(f"failed requests, {name}", len(seen.failed), "count", source, count),
        equal_to(0),
        why,
        says=f"{name}: {len(seen.failed)} of {count} requests failed",
    )
    evidence.judge(
        "longest-gap",
        figure(f"longest gap, {name}", seen.longest_gap_s, "s", source, count),
        at_most(0),
        says=f"{name}: no request was answered for {seen.longest_gap_s:.2f} s",
    )
    evidence.record(figure(f"shortest outage seen, {name}", seen.shortest_seen_s, "s", source))


def asked(seen: Observation) -> str:
    """The source of what users saw."""
    plan = seen.plan
    return f"{plan.rate_per_s:g} requests/s to {plan.url}"


def figure(name: str, value: float, unit: str, source: str, samples: int = 1) -> Measurement:
    """A measurement by its parts; `samples` is how many requests or counts it was made of."""
    return Measurement(name, value, unit, source, samples=samples)
