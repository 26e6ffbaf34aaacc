"""Judges how users were served during a drill, and suggests what would serve them better."""

from collections import Counter
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from readiness.lib.prober.observation import Observation
from readiness.lib.prober.plan import UNANSWERED, Mode, Sample
from readiness.lib.text import listed
from readiness.model.evidence import Evidence
from readiness.model.measurement import Measurement, at_most, equal_to

# In a gap nobody is answered; a request whose answer was under way as it began or ended may be.
_ALL: Final = 0.8


class Behaviour(StrEnum):
    """How a change went, for its users; the text is for the report."""

    UNNOTICED = "nobody noticed"
    CLOSED = "kept connections were closed without a word"
    LATE = "some were led to replicas that were gone"
    AWAY = "nobody was served for a while"
    STALLED = "everybody waited"

    @property
    def remedy(self) -> str:
        """What would do better."""
        return _REMEDIES[self]


_REMEDIES: Final = {
    Behaviour.UNNOTICED: "",
    Behaviour.CLOSED: "let the old release answer with `Connection: close` for some seconds"
    " before it ends, longer than clients keep a connection idle",
    Behaviour.LATE: "let a replica go on serving until the balancer leads nobody there any more:"
    " a preStop pause (5 to 15 s), or fail readiness first and stop after",
    Behaviour.AWAY: "start the new release before the old one is stopped (rolling update with"
    " maxUnavailable 0, a second port behind the balancer, a graceful reload)",
    Behaviour.STALLED: "look at what the new release does before it answers: migrations that lock,"
    " a cold cache, connections that all open at once",
}


def behaviour(seen: Observation) -> Behaviour:
    """Which of the five it was.

    A request of a kept connection can fail by bad luck alone: the service closed it just as the
    request left. One of a new connection cannot, nor one that was answered, so that these tell
    what happened.
    """
    telling = _telling(seen, Mode.NEW) or _telling(seen, Mode.KEPT)
    if not telling:
        closed = any(hangup.idle for hangup in seen.hangups) or bool(seen.failed)
        return Behaviour.CLOSED if closed else Behaviour.UNNOTICED
    unanswered = sum(sample.problem == UNANSWERED for sample in telling)
    if 2 * unanswered > len(telling):
        return Behaviour.STALLED
    meanwhile = seen.between(telling[0].due, telling[-1].due + seen.plan.period_s)
    share = len(telling) / len(meanwhile.of(telling[0].mode))
    return Behaviour.AWAY if share >= _ALL else Behaviour.LATE


def lost(stretches: Mapping[str, Observation]) -> Iterator[str]:
    """How users were hit, and the remedy for that; the same is said once for all it is about."""
    names: dict[Behaviour, list[str]] = {}
    for name, seen in stretches.items():
        how = behaviour(seen)
        if how.remedy:
            failed = f" ({len(seen.failed)} failed)" if seen.failed else ""
            names.setdefault(how, []).append(f"{name}{failed}")
    for how, hit in names.items():
        yield f"{', '.join(hit)}: {how}: {how.remedy}"


def _telling(seen: Observation, mode: Mode) -> list[Sample]:
    failed = (sample for sample in seen.failed if sample.mode is mode)
    return [sample for sample in failed if mode is Mode.NEW or sample.status]


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
