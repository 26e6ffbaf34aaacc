"""Deploys a release that is known to be bad, and sees whether the target takes it back itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from readiness.areas.deployment.adapters.adapter import Adapter
from readiness.areas.deployment.config import Deployment
from readiness.areas.deployment.drill.change import tail
from readiness.areas.deployment.drill.keeping import Kept, kept
from readiness.areas.deployment.drill.restoring import Restored
from readiness.areas.deployment.drill.watching import Made, Watch, plan_of
from readiness.lib.drill.counting import sampling
from readiness.lib.drill.safety import Safety, alone
from readiness.lib.prober.observation import Observation
from readiness.lib.prober.prober import probing
from readiness.model.errors import NoData

_TRIES: Final = 3
_OFTEN_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What became of a bad release. Seconds count from the command that deployed it.

    Attributes:
        origin: the release that was served before.
        bad: the bad one.
        noticed_s: until the first user noticed: a failure, or an answer of it; None if none did.
        told_s: until the tool gave up, or said that it was done; None if it never ended.
        status: the exit status of the tool; None if it did not end.
        over_s: until everything was as before by itself; None if we had to put it back.
        problem: why we had to; empty if we had not.
        restored: how the target was put back.
        seen: all requests from the command to the end.
    """

    origin: str
    bad: str
    noticed_s: float | None
    told_s: float | None
    status: int | None
    over_s: float | None
    problem: str
    restored: Restored
    seen: Observation

    @property
    def is_starved(self) -> bool:
        """Whether nothing is known but that this machine did too much else at the time."""
        return bool(self.seen.starved) and not self.problem and not self.seen.failed


def taken_back(deployment: Deployment, adapter: Adapter, safety: Safety) -> TakenBack:
    """Deploy the bad release, watch, and put back what was there before, whatever happens.

    Where nothing shows that it was ever begun, it is tried again: a good automation is quick.

    Raises:
        NoData: nothing shows it at the last try either.
        CouldNotMeasure: the service is not steady before, somebody else drills, or it could not
            be put back.
    """
    for _ in range(_TRIES):
        if found := _tried(deployment, adapter, safety):
            return found
    bad = deployment.bad_release
    raise NoData(
        f"nothing shows that release {bad} was ever begun: nobody saw it, and the tool never"
        " said that a change was under way",
        where=f"deploy {bad}",
        remedy="let `bad_release` be one that exists, and name a `status` command",
    )


def _tried(deployment: Deployment, adapter: Adapter, safety: Safety) -> TakenBack | None:
    """None where nothing shows that it was ever begun."""
    bad = deployment.bad_release or ""
    with (
        alone(safety),
        probing(plan_of(deployment)) as prober,
        sampling(adapter.under_way, period_s=_OFTEN_S) as busy,
    ):
        watch = Watch(deployment, prober)
        origin = watch.given(adapter).versions[0]
        with kept(deployment, adapter, origin, safety) as keeping:
            made = _deploy(watch, deployment, adapter, keeping, origin)
            restored = keeping.put_back(there=not made.problem)
        busy.stop()
        own = prober.stop().between(made.began, made.ended)
    under_way = [at for at, what in busy.between(made.began, made.ended) if what]
    if not under_way and bad not in own.versions and not own.failed:
        if busy.problem:
            raise busy.problem
        return None
    return TakenBack(
        origin=origin,
        bad=bad,
        noticed_s=_noticed(own, origin, made.began),
        told_s=made.told_s,
        status=made.status,
        over_s=None if made.problem else _over(own, origin, made, under_way),
        problem=made.problem,
        restored=restored,
        seen=own,
    )


def _deploy(
    watch: Watch, deployment: Deployment, adapter: Adapter, keeping: Kept, origin: str
) -> Made:
    """Deploy it; it is over when all is as before, and nothing is under way any more."""
    return watch.make(
        adapter.deploy(deployment.bad_release or ""),
        origin,
        keeping.notes,
        within_s=deployment.auto_rollback_max_s,
        may_fail=True,
        quiet=lambda: not adapter.under_way(),
    )


def _noticed(seen: Observation, origin: str, began: float) -> float | None:
    times = (s.ended - began for s in seen.samples if s.failed or s.version != origin)
    return next(times, None)


def _over(seen: Observation, origin: str, made: Made, under_way: Sequence[float]) -> float:
    """The last of all signs that it was not over yet."""
    settled = tail(seen.samples, origin)
    signs = [made.told_s or 0.0, *(at - made.began for at in under_way)]
    if settled and len(settled) < len(seen.samples):
        signs.append(settled[0].ended - made.began)
    return max(signs)
