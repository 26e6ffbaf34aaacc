"""Puts the target back to the release that it served: after a drill, and by `readiness recover`."""

import shlex
import time
from dataclasses import dataclass
from typing import Final, Self

from readiness.config.deployment import Data, Deployment
from readiness.errors import CouldNotMeasure, TookTooLong
from readiness.probes import command
from readiness.probes.deployment.adapters.adapter import Adapter
from readiness.probes.deployment.change import IN_A_ROW, tail
from readiness.probes.deployment.watching import plan_of
from readiness.probes.prober.observation import Observation
from readiness.probes.prober.prober import Prober, probing

RECOVER: Final = "readiness recover"
_GLANCE_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Restored:
    """How the target was put back.

    Attributes:
        already: whether it served that release all the time, so that nothing was done.
        began: when the command was started, on the clock `time.monotonic`.
        arrived: when the good answers began that nothing else followed.
        ended: when that was certain.
    """

    already: bool
    began: float
    arrived: float
    ended: float

    @classmethod
    def untouched(cls) -> Self:
        """Nothing had to be done."""
        now = time.monotonic()
        return cls(already=True, began=now, arrived=now, ended=now)


def restore(deployment: Deployment, adapter: Adapter, release: str) -> Restored:
    """Put the target back; may be called as often as one likes.

    Raises:
        CouldNotMeasure: it does not serve that release again, or nobody can tell.
    """
    with probing(plan_of(deployment)) as prober:
        if _is_there(prober, adapter, release):
            return Restored.untouched()
        return _restore(deployment, adapter, release, prober)


def remove_row(data: Data, row: str) -> None:
    """Remove the row that a drill wrote.

    Raises:
        CouldNotMeasure: the command fails.
    """
    argv = [word.replace("{id}", row) for word in data.remove]
    command.run(argv, "remove our row", f"run it by hand: {shlex.join(argv)}")


def _is_there(prober: Prober, adapter: Adapter, release: str) -> bool:
    """Only if the tool itself says that nothing is under way: what comes is not seen yet."""
    try:
        if adapter.under_way() != "":
            return False
    except CouldNotMeasure:
        return False
    began = time.monotonic()
    try:
        seen = prober.wait(
            lambda seen: len(seen.between(began, float("inf")).samples) >= IN_A_ROW, _GLANCE_S
        )
    except TookTooLong:
        return False
    return _settled(seen.between(began, float("inf")), release)


def _restore(deployment: Deployment, adapter: Adapter, release: str, prober: Prober) -> Restored:
    began = time.monotonic()
    remedy = f"put release {release} back by hand, then: {RECOVER}"
    said = ""
    for call in adapter.rollback(release):
        try:
            with command.started(call.argv, call.verb, remedy, env=call.env) as running:
                answer = running.wait(deployment.change_within_s)
        except CouldNotMeasure as error:
            said = error.message
            break
        if answer.status:
            said = f"the command to {call.verb} ended with {answer.status}: {answer.said}"
            break
    # Whatever the tool said: what the service serves is what counts.
    told = time.monotonic()
    try:
        seen = prober.wait(
            lambda seen: _is_steady(seen, told, release, deployment.steady_s),
            deployment.change_within_s,
        )
    except TookTooLong:
        raise CouldNotMeasure(
            f"release {release} could not be put back{f': {said}' if said else ''}",
            where=deployment.url,
            remedy=remedy,
        ) from None
    arrived = tail(seen.between(began, float("inf")).samples, release)[0].ended
    return Restored(already=False, began=began, arrived=arrived, ended=time.monotonic())


def _is_steady(seen: Observation, since: float, release: str, steady_s: float) -> bool:
    settled = tail(seen.between(since, float("inf")).samples, release)
    return len(settled) >= IN_A_ROW and settled[-1].due - settled[0].due >= steady_s


def _settled(seen: Observation, release: str) -> bool:
    return len(tail(seen.samples, release)) == len(seen.samples) >= IN_A_ROW
