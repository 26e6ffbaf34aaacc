"""Puts the target back to the release that it served: after a drill, and by `readiness recover`."""

import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, Self

from readiness.areas.deployment.adapters.adapter import Adapter, Call
from readiness.areas.deployment.config import Data, Deployment
from readiness.areas.deployment.drill.change import IN_A_ROW, tail
from readiness.areas.deployment.drill.watching import plan_of
from readiness.lib import command
from readiness.lib.drill.safety import RECOVER
from readiness.lib.prober.observation import Observation
from readiness.lib.prober.prober import Prober, probing
from readiness.model.errors import CouldNotMeasure, TookTooLong

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
    """By the way that is meant for it; if that does not lead there, by the other one."""
    began = time.monotonic()
    ways = [adapter.rollback, adapter.deploy]
    if release == deployment.release:
        ways.reverse()
    said = ""
    for way in ways:
        problem = _run(way(release), deployment)
        said = problem or said
        # Whatever the tool said: what the service serves is what counts.
        within_s = _GLANCE_S + deployment.steady_s if problem else deployment.change_within_s
        enough = partial(_is_steady, time.monotonic(), release, deployment.steady_s)
        with suppress(TookTooLong):
            seen = prober.wait(enough, within_s).between(began, float("inf"))
            arrived = tail(seen.samples, release)[0].ended
            return Restored(already=False, began=began, arrived=arrived, ended=time.monotonic())
    raise CouldNotMeasure(
        f"release {release} could not be put back{f': {said}' if said else ''}",
        where=deployment.url,
        remedy=f"put release {release} back by hand, then: {RECOVER}",
    )


def _run(calls: Sequence[Call], deployment: Deployment) -> str:
    """Why the tool did not do it; empty if it says that it did."""
    for call in calls:
        try:
            with command.started(call.argv, call.verb, RECOVER, env=call.env) as running:
                answer = running.wait(deployment.change_within_s)
        except CouldNotMeasure as error:
            return error.message
        if answer.status:
            return f"the command to {call.verb} ended with {answer.status}: {answer.said}"
    return ""


def _is_steady(since: float, release: str, steady_s: float, seen: Observation) -> bool:
    settled = tail(seen.between(since, float("inf")).samples, release)
    return len(settled) >= IN_A_ROW and settled[-1].due - settled[0].due >= steady_s


def _settled(seen: Observation, release: str) -> bool:
    return len(tail(seen.samples, release)) == len(seen.samples) >= IN_A_ROW
