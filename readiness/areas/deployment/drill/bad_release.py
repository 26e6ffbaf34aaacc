"""Deploys a release that is known to be bad, and watches whether the target rolls it back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from readiness.areas.deployment.adapters.adapter import Adapter
from readiness.areas.deployment.config import Deployment
from readiness.areas.deployment.drill.change import Made, Watch, plan_of, tail
from readiness.areas.deployment.drill.restoring import Kept, Restored, kept
from readiness.lib.drill.counting import sampling
from readiness.lib.drill.safety import Safety, alone
from readiness.lib.prober.observation import Observation
from readiness.lib.prober.prober import probing
from readiness.model.errors import NoData

_TRIES: Final = 3
_OFTEN_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class BadRelease:
    """The outcome of a bad release; seconds count from the command that deployed it.

    Attributes:
        origin: the release that was served before.
        bad: the bad one.
        noticed_s: until the first failed request, or answer of it; None if there was none.
        command_s: until the command ended; None if it did not.
        status: the exit status of the tool; None if it did not end.
        over_s: until the target had rolled it back; None if the gate rolled it back.
        problem: why the gate did; empty if it did not.
        restored: how the target was restored.
        seen: all requests from the command to the end.
    """

    origin: str
    bad: str
    noticed_s: float | None
    command_s: float | None
    status: int | None
    over_s: float | None
    problem: str
    restored: Restored
    seen: Observation

    @property
    def is_starved(self) -> bool:
        """Whether all that went wrong is that this machine was too busy to probe."""
        return bool(self.seen.starved) and not self.problem and not self.seen.failed


def deploy_bad_release(deployment: Deployment, adapter: Adapter, safety: Safety) -> BadRelease:
    """Deploy the bad release, watch, and restore the previous state, whatever happens.

    If nothing shows that the deployment began, it is tried again: a good rollback is quick.

    Raises:
        NoData: nothing shows it at the last try either.
        CouldNotMeasure: the service is not steady before, another drill runs, or the release could
            not be restored.
    """
    for _ in range(_TRIES):
        if found := _tried(deployment, adapter, safety):
            return found
    bad = deployment.bad_release
    raise NoData(
        f"nothing shows that the deployment of {bad} began: no answer came from it, and the tool"
        " never said that a change was under way",
        where=f"deploy {bad}",
        remedy="set `bad_release` to one that exists, and set `status` in [deployment.command]",
    )


def _tried(deployment: Deployment, adapter: Adapter, safety: Safety) -> BadRelease | None:
    """None if nothing shows that the deployment began."""
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
            restored = keeping.restore_all(there=not made.problem)
        busy.stop()
        own = prober.stop().between(made.began, made.ended)
    under_way = [at for at, what in busy.between(made.began, made.ended) if what]
    if not under_way and bad not in own.versions and not own.failed:
        if busy.problem:
            raise busy.problem
        return None
    return BadRelease(
        origin=origin,
        bad=bad,
        noticed_s=_noticed(own, origin, made.began),
        command_s=made.command_s,
        status=made.status,
        over_s=None if made.problem else _over(own, origin, made, under_way),
        problem=made.problem,
        restored=restored,
        seen=own,
    )


def _deploy(
    watch: Watch, deployment: Deployment, adapter: Adapter, keeping: Kept, origin: str
) -> Made:
    """Deploy it, and wait until everything is as before and no change is under way."""
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
    """When the last sign of the bad release was seen."""
    settled = tail(seen.samples, origin)
    signs = [made.command_s or 0.0, *(at - made.began for at in under_way)]
    if settled and len(settled) < len(seen.samples):
        signs.append(settled[0].ended - made.began)
    return max(signs)
