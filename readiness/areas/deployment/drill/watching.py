"""Runs a change while a prober sends requests, and stops it when too many of them fail."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from readiness.areas.deployment.adapters.adapter import Adapter, Call
from readiness.areas.deployment.config import Deployment
from readiness.areas.deployment.drill.change import IN_A_ROW, tail
from readiness.lib import command
from readiness.lib.drill.notes import Notes
from readiness.lib.prober import watched
from readiness.lib.prober.observation import Observation
from readiness.lib.prober.plan import Plan
from readiness.lib.prober.prober import Prober
from readiness.lib.text import listed
from readiness.model.errors import CouldNotMeasure, NoData

_POLL_S: Final = 0.05
_GIVEN_TRIES: Final = 5
_REMEDY: Final = "run it by hand; see [deployment] in readiness.toml"


def plan_of(deployment: Deployment) -> Plan:
    """What the prober sends to a target."""
    return watched.plan_of(deployment, deployment.version_key)


@dataclass(frozen=True, slots=True)
class Made:
    """How a change went, by the tool and a first look at the answers.

    Attributes:
        began: when the command was started, on the clock `time.monotonic`.
        told_s: seconds until the command ended; None if it did not.
        status: the exit status of its last command; None if it was stopped.
        problem: why the change did not complete; empty if it did.
        ended: when it completed or was stopped.
    """

    began: float
    told_s: float | None
    status: int | None
    problem: str
    ended: float


class Watch:
    """A service under a prober."""

    def __init__(self, deployment: Deployment, prober: Prober) -> None:
        self._settings = deployment
        self._prober = prober

    def given(self, adapter: Adapter) -> Observation:
        """The service before anything is changed: steady, one release, all replicas.

        Raises:
            NoData: it is not steady, so that nothing may be changed.
            CouldNotMeasure: the prober ended, or the tool does not answer.
        """
        settings = self._settings
        if busy := adapter.under_way():
            raise _unsteady(f"a change is under way: {busy}", settings)
        seen = self._steadily()
        if seen.failed:
            raise _unsteady(watched.failures_of(seen), settings)
        _one_release(seen, settings)
        count = adapter.replicas() if not settings.replica_header else len(seen.replicas)
        if count is not None and count < settings.replicas:
            raise _unsteady(f"{count} of {settings.replicas} replicas serve", settings)
        seen.must_be_fair()
        return seen

    def _steadily(self) -> Observation:
        """Tries again where the prober was starved, but not where the service failed."""
        for _ in range(_GIVEN_TRIES):
            began = time.monotonic()
            whole = watched.steadily(self._prober, self._settings, began)
            seen = whole.between(began, float("inf"))
            if seen.failed or not seen.starved:
                break
        return seen

    def make(
        self,
        calls: Sequence[Call],
        goal: str,
        notes: Notes,
        *,
        within_s: float = 0,
        may_fail: bool = False,
        quiet: Callable[[], bool] = lambda: True,
    ) -> Made:
        """Change the release, and wait until the service is steady; or stop the change.

        Args:
            calls: what changes it.
            goal: what is to be served in the end.
            notes: where the running command is written down.
            within_s: how long it may take; default: `change_within_s`.
            may_fail: whether the commands may exit with any status.
            quiet: whether no change is under way, asked once the service is steady.

        Raises:
            CouldNotMeasure: the prober ended.
        """
        began = time.monotonic()
        patience = _Patience(began, within_s or self._settings.change_within_s)
        told_s, status, problem = None, None, ""
        for call in calls:
            status, problem = self._run(call, patience, notes)
            if problem and not (may_fail and status is not None):
                break
        else:
            told_s = time.monotonic() - began
            problem = self._arrive(goal, patience, quiet)
        return Made(began, told_s, status, problem, time.monotonic())

    def _run(self, call: Call, patience: "_Patience", notes: Notes) -> tuple[int | None, str]:
        """The exit status, and why the change was stopped; that kills the command."""
        try:
            with command.started(call.argv, call.verb, _REMEDY, env=call.env) as running:
                notes.tool(running.pid)
                while (answer := running.poll()) is None:
                    if problem := self._too_bad(patience):
                        return None, problem
                    time.sleep(_POLL_S)
        except CouldNotMeasure as error:
            return None, error.message
        finally:
            notes.tool(None)
        if answer.status == 0:
            return 0, ""
        said = f"the command to {call.verb} ended with {answer.status}: {answer.said}"
        return answer.status, said

    def _arrive(self, goal: str, patience: "_Patience", quiet: Callable[[], bool]) -> str:
        while True:
            seen = self._prober.seen().between(patience.began, float("inf"))
            settled = tail(seen.samples, goal)
            long_s = settled[-1].due - settled[0].due if settled else 0.0
            if len(settled) >= IN_A_ROW and long_s >= self._settings.steady_s and quiet():
                return ""
            if problem := self._too_bad(patience, seen):
                versions = listed(dict.fromkeys(s.version or "none" for s in seen.samples[-100:]))
                return f"{problem}; the last answers were from {versions}"
            time.sleep(_POLL_S)

    def _too_bad(self, patience: "_Patience", seen: Observation | None = None) -> str:
        """Why a change must be stopped; empty as long as it may go on."""
        settings = self._settings
        seen = seen or self._prober.seen().between(patience.began, float("inf"))
        if time.monotonic() - patience.began > patience.seconds:
            return f"not complete after {patience.seconds:g} s"
        return watched.suffering(seen, settings)


@dataclass(frozen=True, slots=True)
class _Patience:
    """Since when, and for how long, a change may go on."""

    began: float
    seconds: float


def _one_release(seen: Observation, settings: Deployment) -> None:
    if any(not sample.version for sample in seen.samples):
        raise NoData(
            f"its answers do not name the release in the key {settings.version_key!r}",
            where=settings.url,
            remedy="let it answer with a JSON object that names the release, or set `version_key`",
        )
    if len(seen.versions) > 1:
        raise _unsteady(f"{len(seen.versions)} releases answer: {listed(seen.versions)}", settings)
    if seen.versions[0] not in {settings.release, settings.previous}:
        raise _unsteady(
            f"release {listed(seen.versions)} answers, which is neither {settings.release} nor"
            f" {settings.previous}",
            settings,
        )


def _unsteady(problem: str, settings: Deployment) -> NoData:
    return NoData(
        f"{problem} before the drill, so that nothing was changed",
        where=settings.url,
        remedy="make the service steady first; after a drill that was killed: readiness recover",
    )
