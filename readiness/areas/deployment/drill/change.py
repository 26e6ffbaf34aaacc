"""Changes the release while a prober sends requests, and stops when too many of them fail."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from readiness.areas.deployment.adapters.adapter import Adapter, Call, State
from readiness.areas.deployment.config import Deployment
from readiness.lib import command
from readiness.lib.drill.safety import Notes
from readiness.lib.prober import watched
from readiness.lib.prober.observation import Observation
from readiness.lib.prober.plan import Plan, Sample
from readiness.lib.prober.prober import Prober
from readiness.lib.text import listed
from readiness.model.errors import CouldNotMeasure, NoData

IN_A_ROW: Final = 30
"""How many good answers of one release in a row show that it has arrived."""
_POLL_S: Final = 0.05
_GIVEN_TRIES: Final = 5
_REMEDY: Final = "run it by hand; see [deployment] in readiness.toml"


@dataclass(frozen=True, slots=True)
class Made:
    """How a change went.

    Attributes:
        began: when the command was started, on the clock `time.monotonic`.
        command_s: seconds from then until the command ended; None if it did not.
        status: the exit status of its last command; None if it was stopped.
        problem: why the change did not complete; empty if it did.
        ended: when the service was steady, or the change was stopped.
    """

    began: float
    command_s: float | None
    status: int | None
    problem: str
    ended: float


@dataclass(frozen=True, slots=True)
class Change(Made):
    """A change of the release, and what was seen of it.

    Attributes:
        name: as `deploy 1.5.0`.
        before: the release that was served.
        goal: the release that was to be served.
        back: whether it was made by a rollback.
        steady_s: how long a service must answer well to be called steady.
        state: what the release runs with afterwards; None or an error if unknown.
        counts: the times and replica counts, as the tool counts them.
        seen: all requests of the change.
    """

    name: str
    before: str
    goal: str
    back: bool
    steady_s: float
    state: State | CouldNotMeasure | None
    counts: tuple[tuple[float, int], ...]
    seen: Observation

    def must_be_whole(self) -> None:
        """Raise NoData if it did not complete, changed no release, or the prober was starved."""
        if self.problem:
            raise NoData(
                f"the change was stopped, and the release restored: {self.problem}",
                where=self.name,
                remedy="run the same command by hand, and see why it does not complete",
            )
        for release in (self.before, self.goal):
            if release not in self.seen.versions:
                raise NoData(
                    f"release {release} never answered: the release did not change",
                    where=self.name,
                    remedy="let `url` name the release that answers, and cache no answer",
                )
        self.seen.must_be_fair()

    @property
    def strays(self) -> tuple[Sample, ...]:
        """Good answers of neither release."""
        known = {self.before, self.goal}
        return tuple(s for s in self.seen.samples if not s.failed and s.version not in known)

    @property
    def others_in_the_end(self) -> tuple[Sample, ...]:
        """The requests of the last `steady_s` seconds that the goal did not answer well."""
        last = self.seen.between(self.ended - self.steady_s, self.ended)
        return tuple(s for s in last.samples if s.failed or s.version != self.goal)

    @property
    def first_seen_s(self) -> float | None:
        """Seconds from the command to the first answer of the goal; None if none came."""
        times = (s.ended - self.began for s in self.seen.samples if s.version == self.goal)
        return next(times, None)

    @property
    def last_before_s(self) -> float | None:
        """Seconds from the command to the last answer of the release before; None if none came."""
        times = (s.ended for s in self.seen.samples if s.version == self.before)
        return max((at - self.began for at in times if at >= self.began), default=None)

    @property
    def settled(self) -> Sequence[Sample]:
        """The last requests, all of them answered well by the goal."""
        return tail(self.seen.samples, self.goal)

    @property
    def arrived_s(self) -> float | None:
        """Seconds from the command to the first of `settled`; None if there are too few."""
        settled = self.settled
        return settled[0].ended - self.began if len(settled) >= IN_A_ROW else None

    @property
    def after(self) -> Observation:
        """The requests since the goal arrived."""
        settled = self.settled
        return self.seen.between(settled[0].due if settled else self.ended)


def tail(samples: Sequence[Sample], release: str) -> Sequence[Sample]:
    """The last requests, all of them answered well by this release."""
    for index in range(len(samples) - 1, -1, -1):
        if samples[index].failed or samples[index].version != release:
            return samples[index + 1 :]
    return samples


def is_steady(samples: Sequence[Sample], release: str, steady_s: float) -> bool:
    """Whether the last answers are all good ones of this release, for long enough."""
    settled = tail(samples, release)
    return len(settled) >= IN_A_ROW and settled[-1].due - settled[0].due >= steady_s


def plan_of(deployment: Deployment) -> Plan:
    """What the prober sends to a target."""
    return watched.plan_of(deployment, deployment.version_key)


class Watch:
    """A service that a prober watches."""

    def __init__(self, deployment: Deployment, prober: Prober) -> None:
        self._settings = deployment
        self._prober = prober

    def given(self, adapter: Adapter) -> Observation:
        """The service before anything is changed: steady, one release, all replicas.

        Raises:
            NoData: it is not, so that nothing may be changed.
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
        """Try again if the prober was starved, but not if the service failed."""
        for _ in range(_GIVEN_TRIES):
            began = time.monotonic()
            whole = watched.steadily(self._prober, self._settings, began)
            seen = whole.between(began)
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
            calls: the commands.
            goal: the release to be served in the end.
            notes: where the running command is noted.
            within_s: how long it may take; default: `change_within_s`.
            may_fail: whether the commands may exit with any status.
            quiet: whether no change is under way, asked once the service is steady.

        Raises:
            CouldNotMeasure: the prober ended.
        """
        began = time.monotonic()
        patience = _Patience(began, within_s or self._settings.change_within_s)
        command_s, status, problem = None, None, ""
        for call in calls:
            status, problem = self._run(call, patience, notes)
            if problem and not (may_fail and status is not None):
                break
        else:
            command_s = time.monotonic() - began
            problem = self._arrive(goal, patience, quiet)
        return Made(began, command_s, status, problem, time.monotonic())

    def _run(self, call: Call, patience: "_Patience", notes: Notes) -> tuple[int | None, str]:
        """The exit status, and why the change was stopped, which kills the command."""
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
            seen = self._prober.seen().between(patience.began)
            if is_steady(seen.samples, goal, self._settings.steady_s) and quiet():
                return ""
            if problem := self._too_bad(patience, seen):
                versions = listed(dict.fromkeys(s.version or "none" for s in seen.samples[-100:]))
                return f"{problem}; the last answers were from {versions}"
            time.sleep(_POLL_S)

    def _too_bad(self, patience: "_Patience", seen: Observation | None = None) -> str:
        """Why a change must be stopped; empty while it may go on."""
        settings = self._settings
        seen = seen or self._prober.seen().between(patience.began)
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
            remedy="answer with a JSON object that names the release, or set `version_key`",
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
