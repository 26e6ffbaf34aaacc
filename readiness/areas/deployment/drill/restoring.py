"""Restores the release that was served: after a drill, and by `readiness recover`."""

import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Self

from readiness.areas.deployment.adapters import adapter_of
from readiness.areas.deployment.adapters.adapter import Adapter, Call
from readiness.areas.deployment.config import Config, Data, Deployment
from readiness.areas.deployment.drill.change import IN_A_ROW, is_steady, plan_of, tail
from readiness.config.base.area import Recovery
from readiness.lib import command
from readiness.lib.drill.safety import RECOVER, Noted, Notes, Place, Safety, locked
from readiness.lib.prober.observation import Observation
from readiness.lib.prober.prober import Prober, probing
from readiness.model.clean import clean
from readiness.model.errors import CouldNotMeasure, TookTooLong, UsageError

_GLANCE_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Restored:
    """How the target was restored.

    Attributes:
        already: whether the release was served already, so that nothing was done.
        began: when the command was started, on the clock `time.monotonic`.
        arrived: when the first of the last good answers came, all of this release.
        ended: when the service was steady.
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
    """Restore the release; a second call changes nothing.

    Raises:
        CouldNotMeasure: it does not serve that release, or does not answer.
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
    command.run(argv, "remove the synthetic row", f"run it by hand: {shlex.join(argv)}")


def _is_there(prober: Prober, adapter: Adapter, release: str) -> bool:
    """Whether it is served, and the tool says that no change is under way that would show later."""
    try:
        if adapter.under_way() != "":
            return False
    except CouldNotMeasure:
        return False
    began = time.monotonic()
    try:
        seen = prober.wait(lambda seen: len(seen.between(began).samples) >= IN_A_ROW, _GLANCE_S)
    except TookTooLong:
        return False
    samples = seen.between(began).samples
    return len(tail(samples, release)) == len(samples) >= IN_A_ROW


def _restore(deployment: Deployment, adapter: Adapter, release: str, prober: Prober) -> Restored:
    """Roll back or deploy, as the release requires; if that fails, try the other."""
    began = time.monotonic()
    ways = [adapter.rollback, adapter.deploy]
    if release == deployment.release:
        ways.reverse()
    said = ""
    for way in ways:
        problem = _run(way(release), deployment)
        said = problem or said
        # The answers of the service decide, whatever the tool printed.
        within_s = _GLANCE_S + deployment.steady_s if problem else deployment.change_within_s
        enough = partial(_is_steady, time.monotonic(), release, deployment.steady_s)
        with suppress(TookTooLong):
            seen = prober.wait(enough, within_s).between(began)
            arrived = tail(seen.samples, release)[0].ended
            return Restored(already=False, began=began, arrived=arrived, ended=time.monotonic())
    raise CouldNotMeasure(
        f"release {release} could not be restored{f': {said}' if said else ''}",
        where=deployment.url,
        remedy=f"deploy release {release} by hand, then: {RECOVER}",
    )


def _run(calls: Sequence[Call], deployment: Deployment) -> str:
    """Why the command failed; empty if its exit status is 0."""
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
    return is_steady(seen.between(since).samples, release, steady_s)


class Kept:
    """A target that will be restored; made by `kept`."""

    def __init__(
        self, deployment: Deployment, adapter: Adapter, release: str, notes: Notes
    ) -> None:
        self._deployment = deployment
        self._adapter = adapter
        self._release = release
        self._row = ""
        self.notes = notes
        self._restored: Restored | None = None
        self._failed: CouldNotMeasure | None = None

    def row(self, row: str) -> None:
        """Note that this row will be written."""
        self._row = row
        self.notes.row(row)

    def restore_all(self, *, there: bool = False) -> Restored:
        """Restore everything, once; `there`: all replicas were seen to serve the release again.

        Raises:
            CouldNotMeasure: it failed; the notes stay.
        """
        if self._failed:
            raise self._failed
        if self._restored is None:
            try:
                self._restored = self._restore_all(there=there)
            except CouldNotMeasure as error:
                self._failed = error
                raise
        return self._restored

    def _restore_all(self, *, there: bool) -> Restored:
        restored = (
            Restored.untouched()
            if there
            else restore(self._deployment, self._adapter, self._release)
        )
        if self._row and self._deployment.data:
            remove_row(self._deployment.data, self._row)
        self.notes.close()
        return restored


@contextmanager
def kept(deployment: Deployment, adapter: Adapter, release: str, safety: Safety) -> Iterator[Kept]:
    """Whatever happens in the block, this release is served again at its end.

    The notes are on disk before the block begins, and a watchdog restores the target if this
    process is killed.

    Raises:
        CouldNotMeasure: it could not be restored, or the notes cannot be written.
    """
    place = safety.place
    noted = Noted(place.fingerprint, place.target, place.environment, release)
    with ExitStack() as stack:
        token = safety.undo.run(_recover(safety.config), timeout_s=_longest_s(deployment))
        stack.callback(safety.undo.forget, token)
        keeping = Kept(deployment, adapter, release, Notes(place.file, noted))
        try:
            yield keeping
        finally:
            keeping.restore_all()


def _recover(config: Path) -> list[str]:
    return [sys.executable, "-P", "-m", "readiness", "recover", "--config", str(config.absolute())]


def _longest_s(deployment: Deployment) -> float:
    """How long restoring may take: two ways, each with its command and its wait."""
    return 4 * deployment.change_within_s + deployment.steady_s + 60


def recover(recovery: Recovery) -> bool:
    """Restore what each note names; returns whether there was any.

    Raises:
        SafetyRefusal: the notes are those of another target.
        UsageError: the file no longer says how the release is changed.
        CouldNotMeasure: a drill is under way, or the target cannot be restored.
    """
    files = sorted(recovery.folder.glob("drill-*.json"))
    for file in files:
        noted = Noted.read(file)
        recovery.check(file, noted.fingerprint, noted.target, noted.environment)
        place = Place(recovery.folder, noted.target, noted.environment, noted.fingerprint)
        with locked(place):
            _recover_from(file, noted, recovery)
    return bool(files)


def _recover_from(file: Path, noted: Noted, recovery: Recovery) -> None:
    config: Config = recovery.config
    deployment, say = config.deployment, recovery.say
    if deployment is None:
        raise UsageError(
            "no longer says how the release is changed",
            where="[deployment]",
            remedy=f"deploy release {clean(noted.release)} by hand, and remove {file}",
        )
    if noted.end_tool():
        say(f"stopped the command that the drill had left running (process {noted.tool})")
    restored = restore(deployment, adapter_of(deployment), noted.release)
    served = f"release {clean(noted.release)} is served"
    if restored.already:
        say(f"{served}; nothing had to be restored")
    else:
        say(f"{served} again, after {restored.arrived - restored.began:.1f} s")
    if noted.row and deployment.data:
        remove_row(deployment.data, noted.row)
        say(f"removed the synthetic row {clean(noted.row)}")
    file.unlink(missing_ok=True)
