"""Proves the checks: breaks a reference system, and sees exactly the right checks turn red."""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from readiness import catalogue
from readiness.check import Effect
from readiness.config.loading import load
from readiness.errors import ReadinessError
from readiness.evidence import Outcome
from readiness.faults import Fault
from readiness.probes import marker
from readiness.progress import Silent
from readiness.record import CheckResult, RunRecord, Verdict
from readiness.reference.system import ReferenceSystem
from readiness.run import Options, run
from readiness.safety import fingerprint

HEALTHY: Final = "healthy system"
_EFFECTS: Final = tuple(effect.value for effect in Effect if effect.needs_quiet)
# What these check of a system under load or in a change is a matter of milliseconds.
_MEASURE_TIME: Final = frozenset({"performance", "deployment", "scaling"})
# Most checks wait for something, such as the next scrape: several at a time wait together. To be
# quick, the systems wait beside each other instead: two more processes cost more than they save.
_WORKERS: Final = "2"
_WORKERS_QUICK: Final = "0"

Findings = dict[str, CheckResult]
"""Checks that did not pass, by name."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What became of one fault, or of one run of the healthy system.

    Attributes:
        fault: its name.
        story: what was broken.
        expected: names of the checks that must not pass.
        seen: those that did not, by name.
        after: those that still did not once the system was restored.
        error: why it could not be tried; empty if it was.
        duration_s: seconds it took.
        untried: why it cannot be tried on this machine, which proves nothing; empty if it was.
    """

    fault: str
    story: str
    expected: tuple[str, ...]
    seen: Findings
    after: Findings
    error: str
    duration_s: float
    untried: str = ""

    @property
    def proven(self) -> bool:
        """Exactly the expected checks turned red, and all are green again."""
        found = set(self.seen) == set(self.expected)
        return found and not self.error and not self.after and not self.untried

    def to_dict(self) -> dict[str, object]:
        """As `readiness prove --format json` prints it."""
        return {
            "fault": self.fault,
            "expected": list(self.expected),
            "seen": sorted(self.seen),
            "proven": self.proven,
            "duration_s": round(self.duration_s, 3),
            "outcomes": {name: check.outcome for name, check in sorted(self.seen.items())},
            "after": {name: check.outcome for name, check in sorted(self.after.items())},
            "messages": {
                name: check.message for name, check in sorted((self.seen | self.after).items())
            },
            "error": self.error,
            "untried": self.untried,
        }


class Prover:
    """Tries faults on reference systems, several at a time, each on a system of its own."""

    def __init__(
        self,
        *,
        provider: str | None,
        systems: int,
        say: Callable[[Proof], None],
        quick: bool = False,
    ) -> None:
        self._quick = quick
        self._provider = provider
        self._systems = max(1, systems)
        self._say = say

    def prove(self, faults: Sequence[Fault], *, healthy: int) -> Iterator[Proof]:
        """Try every fault, then run the healthy system some times; yields as they end.

        What measures time is tried alone, on a machine that does nothing else.
        """
        alone = [fault for fault in faults if _measures_time(fault)]
        together = [fault for fault in faults if fault not in alone]
        lanes = min(self._systems, len(together))
        if lanes:
            queue = _Queue(together)
            with ThreadPoolExecutor(lanes) as pool:
                try:
                    futures = [pool.submit(self._lane, queue) for _ in range(lanes)]
                    for lane in as_completed(futures):
                        yield from lane.result()
                finally:
                    queue.clear()  # after Ctrl-C, no lane begins another one
        if alone:
            yield from self._lane(_Queue(alone))
        if healthy:
            yield from self._healthy(healthy)

    def _lane(self, queue: "_Queue") -> list[Proof]:
        proofs = []
        with ReferenceSystem.start(provider=self._provider) as system:
            while (fault := queue.take()) is not None:
                missing = system.absent.get(fault.needs, "") if fault.needs else ""
                proof = (
                    _untried(fault, missing) if missing else _try(fault, system, quick=self._quick)
                )
                self._say(proof)
                proofs.append(proof)
        return proofs

    def _healthy(self, times: int) -> Iterator[Proof]:
        with ReferenceSystem.start(provider=self._provider) as system:
            for turn in range(1, times + 1):
                began = time.monotonic()
                seen, error = _not_passing(system, ())
                proof = Proof(
                    fault=f"{HEALTHY}, run {turn} of {times}",
                    story="nothing is broken",
                    expected=(),
                    seen=seen,
                    after={},
                    error=error,
                    duration_s=time.monotonic() - began,
                )
                self._say(proof)
                yield proof


class _Queue:
    """Hands out faults, one at a time, to several lanes."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._left = list(faults)
        self._lock = threading.Lock()

    def take(self) -> Fault | None:
        with self._lock:
            return self._left.pop(0) if self._left else None

    def clear(self) -> None:
        with self._lock:
            self._left.clear()


def _measures_time(fault: Fault) -> bool:
    """Whether a check that it turns red would be misled by what else the machine does."""
    return any(
        entry.spec.id in fault.checks
        and entry.spec.effect.needs_quiet
        and entry.spec.suite in _MEASURE_TIME
        for entry in catalogue.entries()
    )


def _untried(fault: Fault, reason: str) -> Proof:
    """What is said of a fault whose part of the system this machine does not have."""
    return Proof(
        fault=fault.name,
        story=fault.story,
        expected=tuple(sorted(fault.turns_red)),
        seen={},
        after={},
        error="",
        duration_s=0.0,
        untried=f"{fault.needs} is absent: {reason}",
    )


def _try(fault: Fault, system: ReferenceSystem, *, quick: bool) -> Proof:
    """Break, look, restore, look again."""
    began = time.monotonic()
    workers = _WORKERS_QUICK if quick else _WORKERS
    seen: Findings = {}
    after: Findings = {}
    error = ""
    try:
        with fault.apply(system):
            seen, error = _not_passing(system, _blind_to(fault, quick=quick), workers)
        if not error:
            after, error = _not_passing(system, _untouched_by(fault, quick=quick), workers)
    except Exception as problem:  # noqa: BLE001 - whatever a fault runs into, its proof says so
        error = problem.sentence if isinstance(problem, ReadinessError) else repr(problem)
    return Proof(
        fault=fault.name,
        story=fault.story,
        expected=tuple(sorted(fault.turns_red)),
        seen=seen,
        after=after,
        error=error,
        duration_s=time.monotonic() - began,
    )


def _blind_to(fault: Fault, *, quick: bool) -> list[str]:
    """The checks that are left out while a fault lasts.

    Every other one is run, so that it shows if anything else turns red. What loads or disrupts
    the system on behalf of another suite cannot see the fault, and would disturb its neighbours;
    what measures time meanwhile would be disturbed by them, and is left to the faults of its own.
    To be quick, all of the other suites are left out, and whatever does not only observe and is
    not expected to turn red: a synthetic alert takes longer than all that is read.
    """
    specs = [entry.spec for entry in catalogue.entries()]
    if not quick:
        own = fault.suites if _measures_time(fault) else fault.suites - _MEASURE_TIME
        return [s.id for s in specs if s.effect.needs_quiet and s.suite not in own]
    acts = {s.id for s in specs if s.effect is not Effect.OBSERVE} - fault.checks
    return [s.id for s in specs if s.id in acts or s.suite not in fault.suites]


def _untouched_by(fault: Fault, *, quick: bool) -> list[str]:
    """The checks that are left out once a fault is over: those, and what it left green.

    Loading and disrupting takes long, and what did not turn red need not turn green again. To be
    quick, only what turned red is looked at: the others are while the next fault lasts.
    """
    specs = [entry.spec for entry in catalogue.entries()]
    if quick:
        return [s.id for s in specs if s.id not in fault.checks]
    return [s.id for s in specs if s.effect.needs_quiet and s.id not in fault.checks]


def _not_passing(
    system: ReferenceSystem, ignore: Sequence[str], workers: str = _WORKERS
) -> tuple[Findings, str]:
    """The checks that do not pass now, among all that are not ignored; and why none could run."""
    # In the system's own folder: what a killed run leaves there goes with the system.
    with tempfile.TemporaryDirectory(dir=system.folder) as folder:
        loaded = load(system.config_path, os.environ | system.environ)
        environment = marker.environment(loaded.config).environment
        ended = run(
            Options(
                loaded,
                Path(folder),
                ignore=tuple(ignore),
                allow=_EFFECTS,
                confirm=fingerprint(loaded.config, environment),
                workers=workers,
                record_only=bool(ignore),  # each fault is two such runs; nobody sees their pages
                environ=system.environ,
            ),
            Silent(),
        )
    if ended.record is None:
        return {}, f"nothing was judged: {ended.refusal}"
    return _findings(ended.record, whole=not ignore)


def _findings(record: RunRecord, *, whole: bool) -> tuple[Findings, str]:
    # What does not apply here is declared with its reason, and no fault has made it so.
    good = {Outcome.PASS, Outcome.NOT_APPLICABLE}
    found = {check.name: check for check in record.checks if check.outcome not in good}
    if record.incidents:
        return found, "; ".join(incident.message for incident in record.incidents)
    if whole and not found and record.verdict is not Verdict.READY:
        return found, f"{record.verdict}: {' '.join(record.reasons)}"
    return found, ""
