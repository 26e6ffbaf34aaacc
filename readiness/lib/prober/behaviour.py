"""What a change did to those who used the service, told from the record alone."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from readiness.lib.prober.observation import Observation
from readiness.lib.prober.plan import UNANSWERED, Mode, Sample

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
