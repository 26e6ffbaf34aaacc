"""Proves the checks: breaks a reference system and compares what fails with what must fail."""

import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from readiness.areas.registry import areas
from readiness.model.check import CheckSpec, Effect
from readiness.model.errors import ReadinessError
from readiness.model.evidence import Outcome
from readiness.model.fault import Fault, Misses
from readiness.prove.runner import CheckRunner, Findings, whole
from readiness.prove.warm import Warm
from readiness.reference.system import ReferenceSystem

HEALTHY: Final = "healthy system"
# Forks per run of checks. A fork costs 0.3 s of CPU time.
_FORKS: Final = 3
_POLL_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Proof:
    """The result of one fault, or of one run of the healthy system.

    Attributes:
        fault: its name.
        story: what was broken.
        expected: what must miss, and nothing else.
        seen: the checks that did not pass, by name.
        after: the checks that still did not pass after the system was restored.
        error: why trying it failed; empty if it did not.
        duration_s: seconds it took.
        untried: why this machine cannot try it; empty if it can.
        rechecked: whether the checks ran again after the fault was undone.
        needs: the part of the system that the fault breaks, if a machine may lack it.
        second_try: whether it failed at first and was tried again alone.
    """

    fault: str
    story: str
    expected: Misses
    seen: Findings = field(default_factory=dict)
    after: Findings = field(default_factory=dict)
    error: str = ""
    duration_s: float = 0.0
    untried: str = ""
    rechecked: bool = True
    needs: str = ""
    second_try: bool = False

    @property
    def checks(self) -> frozenset[str]:
        """The ids of the expected checks, without their subjects."""
        return frozenset(name.partition("[")[0] for name in self.expected)

    @property
    def proven(self) -> bool:
        """Whether exactly the expected judgements missed and all checks pass again."""
        problem = self.error or self.after or self.untried or self.differences
        return self.rechecked and not problem

    @property
    def differences(self) -> tuple[str, ...]:
        """The differences between seen and expected, one sentence per check."""
        names = sorted(self.seen.keys() | self.expected.keys())
        return tuple(filter(None, (self._difference(name) for name in names)))

    def _difference(self, name: str) -> str:
        if name not in self.expected:
            return f"seen, not expected: {name}"
        if name not in self.seen:
            return f"expected, not seen: {name}"
        keys, check = self.expected[name], self.seen[name]
        if set(check.missed) == keys and (keys or check.outcome is Outcome.ERROR):
            return ""
        expected, seen = (", ".join(sorted(found)) or "an error" for found in (keys, check.missed))
        return f"{name}: expected to miss: {expected}; missed: {seen}"

    def to_dict(self) -> dict[str, object]:
        """As `readiness prove --format json` prints it."""
        return {
            "fault": self.fault,
            "expected": list(self.expected),
            "seen": sorted(self.seen),
            "proven": self.proven,
            "duration_s": round(self.duration_s, 3),
            "misses": {name: list(check.missed) for name, check in sorted(self.seen.items())},
            "outcomes": {name: check.outcome for name, check in sorted(self.seen.items())},
            "after": {name: check.outcome for name, check in sorted(self.after.items())},
            "messages": {
                name: check.message for name, check in sorted((self.seen | self.after).items())
            },
            "error": self.error,
            "untried": self.untried,
            "second_try": self.second_try,
        }


class Runner(Protocol):
    """Runs checks on a reference system; `CheckRunner` is the one that does."""

    @property
    def specs(self) -> Collection[CheckSpec]:
        """All checks."""

    def run(self, system: ReferenceSystem, checks: Collection[str]) -> tuple[Findings, str]:
        """Run these checks; returns those that did not pass, and why not all could run."""

    def interrupt(self) -> None:
        """Stop running checks and start no others."""


class Prover:
    """Tries faults on reference systems, several at a time, each on a system of its own."""

    def __init__(
        self,
        *,
        provider: str | None,
        systems: int,
        say: Callable[[Proof], None],
        quick: bool = False,
        second_try: bool = False,
        runner: Runner | None = None,
    ) -> None:
        self._quick = quick
        self._second_try = second_try
        self._provider = provider
        self._systems = max(1, systems)
        self._say = say
        self._runner = runner or CheckRunner(Warm(), _FORKS)
        self._starting = threading.Lock()

    def prove(self, faults: Sequence[Fault], *, healthy: int) -> Iterator[Proof]:
        """Try every fault, then run the healthy system several times; yields each result.

        Faults that measure time are tried alone. With `second_try`, a fault that is not proven is
        tried again alone on a new system, and its proof says so, because load of the machine can
        look like a finding. Findings on the healthy system are never tried again.
        """
        of_name = {fault.name: fault for fault in faults}
        again: list[Fault] = []
        for proof in self._once(faults):
            refuted = proof.fault in of_name and not (proof.proven or proof.untried)
            if refuted and self._second_try:
                again.append(of_name[proof.fault])
            else:
                yield proof
        if again:
            for proof in self._lanes(again, 1):
                yield replace(proof, second_try=proof.fault in of_name)
        if healthy:
            yield from self._healthy(healthy)

    def _once(self, faults: Sequence[Fault]) -> Iterator[Proof]:
        alone = [fault for fault in faults if self._measures_time(fault)]
        together = [fault for fault in faults if fault not in alone]
        lanes = min(self._systems, len(together))
        if lanes > 1:
            yield from self._lanes(together, lanes)
            together = []
        if together or alone:
            yield from self._lanes([*together, *alone], 1)

    def _lanes(self, faults: Sequence[Fault], lanes: int) -> Iterator[Proof]:
        queue = _Queue(faults)
        # Ctrl-C during the start of a thread would leave one that the pool does not wait for.
        begin = threading.Event()

        def lane(number: int) -> list[Proof]:
            begin.wait()
            return self._lane(queue, f"lane {number} of {lanes}")

        with ThreadPoolExecutor(lanes) as pool:
            try:
                left = {pool.submit(lane, number) for number in range(1, lanes + 1)}
                begin.set()
                while left:
                    # In short steps: a signal just before the wait does not end it.
                    ended, left = wait(left, _POLL_S, FIRST_COMPLETED)
                    for future in ended:
                        yield from future.result()
            except BaseException:  # such as Ctrl-C: no lane starts another fault
                queue.clear()
                begin.set()
                self._runner.interrupt()
                raise

    def _lane(self, queue: "_Queue", name: str) -> list[Proof]:
        """Try faults on one system, then check that they left nothing behind."""
        proofs: list[Proof] = []
        while queue:
            with self._started() as system:
                tried, sound = self._on(system, queue)
                proofs += tried
                if sound and not all(proof.untried for proof in tried):
                    proofs.append(self._told(self._at_the_end(system, name)))
        return proofs

    def _started(self) -> ReferenceSystem:
        """Start a system; one at a time, as its start is sensitive to load."""
        with self._starting:
            return ReferenceSystem.start(provider=self._provider)

    def _on(self, system: ReferenceSystem, queue: "_Queue") -> tuple[list[Proof], bool]:
        """Try faults on a system until none are left or it may be broken; whether it is intact.

        A system that may still be broken is replaced by a new one.
        """
        proofs: list[Proof] = []
        owed: list[Proof] = []
        sound = True
        while sound and (fault := queue.take()) is not None:
            missing = system.absent.get(fault.needs, "") if fault.needs else ""
            proof = _untried(fault, missing) if missing else self._try(fault, system)
            sound = not proof.error and not proof.after
            if proof.rechecked or proof.error or proof.untried:
                proofs.append(self._told(proof))
            else:
                owed.append(proof)
        if owed:
            settled = [self._told(proof) for proof in self._settled(system, owed)]
            sound = sound and not any(proof.error or proof.after for proof in settled)
            proofs += settled
        return proofs, sound

    def _settled(self, system: ReferenceSystem, owed: Sequence[Proof]) -> list[Proof]:
        """The proofs of faults that were undone earlier, after running their checks again."""
        checks = frozenset[str]().union(*(proof.checks for proof in owed))
        after, error = self._runner.run(system, checks)
        return [
            replace(
                proof,
                after={name: check for name, check in after.items() if check.id in proof.checks},
                error=error,
                rechecked=True,
            )
            for proof in owed
        ]

    def _told(self, proof: Proof) -> Proof:
        self._say(proof)
        return proof

    def _try(self, fault: Fault, system: ReferenceSystem) -> Proof:
        """Break, run the checks, restore, run them again.

        With `quick`, drills are run again once for all faults of the lane: one drill takes half a
        minute and judges most of them.
        """
        began = time.monotonic()
        later = self._quick and self._measures_time(fault)
        seen: Findings = {}
        after: Findings = {}
        error = ""
        try:
            with fault.apply(system):
                seen, error = self._runner.run(system, self._seeing(fault))
            if not error and not later:
                after, error = self._runner.run(system, self._touched_by(fault))
        except Exception as problem:  # noqa: BLE001 - whatever a fault runs into, its proof says so
            error = problem.sentence if isinstance(problem, ReadinessError) else repr(problem)
        return Proof(
            fault=fault.name,
            story=fault.story,
            expected=fault.misses,
            seen=seen,
            after=after,
            error=error,
            duration_s=time.monotonic() - began,
            rechecked=not later,
        )

    def _at_the_end(self, system: ReferenceSystem, name: str) -> Proof:
        """Run all observing checks on a system after its faults."""
        observing = {s.id for s in self._runner.specs if s.effect is Effect.OBSERVE}
        return _nothing_broken(
            f"{HEALTHY}, {name}, after its faults", lambda: self._runner.run(system, observing)
        )

    def _healthy(self, times: int) -> Iterator[Proof]:
        with self._started() as system:
            for turn in range(1, times + 1):
                yield self._told(
                    _nothing_broken(f"{HEALTHY}, run {turn} of {times}", lambda: whole(system))
                )

    def _measures_time(self, fault: Fault) -> bool:
        """Whether a check that it makes fail is sensitive to load of the machine."""
        return any(
            spec.id in fault.checks and spec.effect.needs_quiet and spec.suite in _timed()
            for spec in self._runner.specs
        )

    def _seeing(self, fault: Fault) -> set[str]:
        """The checks that are run while a fault lasts.

        All are, to see whether anything else fails, except checks of other suites that load or
        disrupt the system, which would disturb the rest, and checks that measure time, which would
        be disturbed. With `quick`, other suites are left out, and also checks that do more than
        observe unless they are expected to fail: a synthetic alert takes longer than all reading.
        """
        specs = self._runner.specs
        if self._quick:
            seeing = {s.id for s in specs if s.effect is Effect.OBSERVE} | fault.checks
            return {s.id for s in specs if s.id in seeing and s.suite in fault.suites}
        own = fault.suites if self._measures_time(fault) else fault.suites - _timed()
        return {s.id for s in specs if not s.effect.needs_quiet or s.suite in own}

    def _touched_by(self, fault: Fault) -> Collection[str]:
        """The checks that are run after a fault: those that it makes fail, and related ones.

        Checks that load or disrupt take long, and are run only if they failed. With `quick`, only
        checks that failed are run; the others run during the next fault.
        """
        neighbours = set() if self._quick else self._runner.specs
        return fault.checks | {s.id for s in neighbours if not s.effect.needs_quiet}


def _timed() -> frozenset[str]:
    """The areas whose drills measure milliseconds."""
    return frozenset(area.name for area in areas() if area.timed)


class _Queue:
    """Hands out faults, one at a time, to several lanes."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._left = list(faults)
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._left)

    def take(self) -> Fault | None:
        with self._lock:
            return self._left.pop(0) if self._left else None

    def clear(self) -> None:
        with self._lock:
            self._left.clear()


def _untried(fault: Fault, reason: str) -> Proof:
    """The proof of a fault whose part this machine lacks."""
    return Proof(
        fault=fault.name,
        story=fault.story,
        expected=fault.misses,
        untried=f"{fault.needs} is absent: {reason}",
        needs=fault.needs,
    )


def _nothing_broken(name: str, run: Callable[[], tuple[Findings, str]]) -> Proof:
    """The proof that the unbroken system has no findings."""
    began = time.monotonic()
    seen, error = run()
    return Proof(
        fault=name,
        story="nothing is broken",
        expected={},
        seen=seen,
        error=error,
        duration_s=time.monotonic() - began,
    )
