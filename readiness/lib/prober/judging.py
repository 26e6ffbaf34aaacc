"""Judges how users were served during a drill, and suggests what would serve them better."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from readiness.lib.prober.observation import Observation, problems_of
from readiness.lib.prober.plan import UNANSWERED, Mode, Sample
from readiness.model.evidence import Evidence
from readiness.model.measurement import Measurement, at_most, equal_to

# In a gap no request is answered, except those that were under way when it began or ended.
_ALL: Final = 0.8


class Behaviour(StrEnum):
    """How a change went, for its users; the text is for the report."""

    UNNOTICED = "no user noticed"
    CLOSED = "kept connections were closed without notice"
    LATE = "requests were sent to replicas that were gone"
    AWAY = "no request was served for a while"
    STALLED = "all requests waited"

    @property
    def remedy(self) -> str:
        """What would serve users better; empty if nothing would."""
        return _REMEDIES.get(self, "")


_REMEDIES: Final = {
    Behaviour.CLOSED: "let the old release answer with `Connection: close` for some seconds"
    " before it ends, longer than clients keep a connection idle",
    Behaviour.LATE: "let a replica go on serving until the balancer sends it no more requests: a"
    " preStop pause (5 to 15 s), or fail readiness first and stop after",
    Behaviour.AWAY: "start the new release before the old one is stopped (rolling update with"
    " maxUnavailable 0, a second port behind the balancer, a graceful reload)",
    Behaviour.STALLED: "look at what the new release does before it answers: migrations that lock,"
    " a cold cache, connections that all open at once",
}


def behaviour(seen: Observation) -> Behaviour:
    """How users were served.

    A request of a kept connection can fail by chance: the service closed it just as the request was
    sent. One of a new connection cannot, nor one that was answered: these decide.
    """
    decisive = _decisive(seen, Mode.NEW) or _decisive(seen, Mode.KEPT)
    if not decisive:
        closed = any(hangup.idle for hangup in seen.hangups) or bool(seen.failed)
        return Behaviour.CLOSED if closed else Behaviour.UNNOTICED
    unanswered = sum(sample.problem == UNANSWERED for sample in decisive)
    if 2 * unanswered > len(decisive):
        return Behaviour.STALLED
    meanwhile = seen.between(decisive[0].due, decisive[-1].due + seen.plan.period_s)
    share = len(decisive) / len(meanwhile.of(decisive[0].mode))
    return Behaviour.AWAY if share >= _ALL else Behaviour.LATE


def lost(stretches: Mapping[str, Observation]) -> Iterator[str]:
    """How users were affected, and the remedy; one sentence for each kind."""
    names: dict[Behaviour, list[str]] = {}
    for name, seen in stretches.items():
        how = behaviour(seen)
        if how.remedy:
            failed = f" ({len(seen.failed)} failed)" if seen.failed else ""
            names.setdefault(how, []).append(f"{name}{failed}")
    for how, hit in names.items():
        yield f"{', '.join(hit)}: {how}: {how.remedy}"


def _decisive(seen: Observation, mode: Mode) -> list[Sample]:
    failed = (sample for sample in seen.failed if sample.mode is mode)
    return [sample for sample in failed if mode is Mode.NEW or sample.status]


def judge_served(name: str, seen: Observation, evidence: Evidence) -> None:
    """Judge absolute figures: a percentage would hide an outage."""
    source, count = asked(seen), len(seen.samples)
    how = behaviour(seen)
    why = f"{problems_of(seen.failed)}; {how}: {how.remedy}" if seen.failed else ""
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
    """The source of a figure: which requests were sent."""
    return f"{seen.plan.rate_per_s:g} requests/s to {seen.plan.url}"


def figure(name: str, value: float, unit: str, source: str, samples: int = 1) -> Measurement:
    """A measurement; `samples` is how many requests or counts it is based on."""
    return Measurement(name, value, unit, source, samples=samples)
