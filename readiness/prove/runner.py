"""Runs some of the checks on a reference system and reports which did not pass."""

import os
import tempfile
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from readiness.config.loading import load
from readiness.model.check import CheckSpec, Effect
from readiness.model.errors import ReadinessError
from readiness.model.evidence import Outcome
from readiness.model.record import CheckResult, RunRecord, Verdict
from readiness.prove.warm import Warm
from readiness.reference.system import ReferenceSystem
from readiness.run import catalogue, marker
from readiness.run.progress import Silent
from readiness.run.safety import fingerprint
from readiness.run.supervisor import Options, run

_EFFECTS: Final = tuple(effect.value for effect in Effect if effect.needs_quiet)
_WORKERS: Final = "2"
# The assumed duration of a check that has not run yet.
_UNKNOWN_S: Final = 0.5
# A fork takes 0.3 s of CPU time: shorter work than this is not divided.
_WORTH_A_FORK_S: Final = 3.0

Findings = dict[str, CheckResult]
"""The checks that did not pass, by name."""


class CheckRunner:
    """Runs checks in forks of a warm process; several threads may share one.

    Most checks wait, for example for a scrape, so the files are divided among several forks. A
    file stays whole, as under xdist's `loadfile`, because its checks share measurements. Files
    that write come after those that only observe: an alert that one check raises would be a
    finding of another. Checks that need quiet come last, alone.
    """

    def __init__(self, warm: Warm, forks: int) -> None:
        self._warm = warm
        self._forks = forks
        self._files = catalogue.files()
        self._specs = {entry.spec.id: entry.spec for entry in catalogue.entries()}
        self._took: dict[str, float] = {}

    @property
    def specs(self) -> Collection[CheckSpec]:
        """All checks."""
        return self._specs.values()

    def interrupt(self) -> None:
        """Stop running checks and start no others."""
        self._warm.interrupt()

    def run(self, system: ReferenceSystem, checks: Collection[str]) -> tuple[Findings, str]:
        """Run these checks, by id.

        Returns:
            Those that did not pass, and why not all could run; empty if they could.
        """
        quiet = sorted(check for check in checks if self._specs[check].effect.needs_quiet)
        parallel = set(checks).difference(quiet)
        writing = {self._files[c] for c in parallel if self._specs[c].effect is Effect.WRITE}
        later = {check for check in parallel if self._files[check] in writing}
        found: list[tuple[Findings, str]] = []
        with ThreadPoolExecutor(self._forks) as pool:
            for turn in (parallel - later, later):
                found += pool.map(lambda part: self._run(system, part), self._divided(turn))
        if quiet:
            found.append(self._run(system, quiet))
        seen: Findings = {}
        for findings, _ in found:
            seen |= findings
        return seen, "; ".join(dict.fromkeys(error for _, error in found if error))

    def _run(self, system: ReferenceSystem, checks: Sequence[str]) -> tuple[Findings, str]:
        try:
            record, refusal = _judged(system, self._warm, select=checks)
        except ReadinessError as error:  # for example a file that a fault has broken
            return {}, error.sentence
        if record is None:
            return {}, refusal
        took: dict[str, float] = defaultdict(float)
        for check in record.checks:
            took[check.id] += check.duration_s
        self._took.update(took)
        return _findings(record)

    def _divided(self, checks: Iterable[str]) -> list[list[str]]:
        """The checks in parts of similar duration, as many as are worth a fork."""
        by_file: dict[Path, list[str]] = defaultdict(list)
        for check in sorted(checks):
            by_file[self._files[check]].append(check)
        files = [(sum(map(self._seconds, mine)), mine) for mine in by_file.values()]
        forks = min(self._forks, 1 + int(sum(seconds for seconds, _ in files) / _WORTH_A_FORK_S))
        parts: list[tuple[float, list[str]]] = [(0.0, []) for _ in range(forks)]
        for seconds, mine in sorted(files, reverse=True):
            parts.sort(key=lambda part: part[0])
            least, ids = parts[0]
            parts[0] = (least + seconds, ids + mine)
        return [ids for _, ids in parts if ids]

    def _seconds(self, check: str) -> float:
        return self._took.get(check, _UNKNOWN_S)


def whole(system: ReferenceSystem) -> tuple[Findings, str]:
    """Judge everything as `readiness run` does, in new processes.

    Returns:
        The checks that did not pass, and why the verdict is not READY; empty if it is.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    record, refusal = _judged(system, None)
    if record is None:
        return {}, refusal
    if record.run.interrupted:
        raise KeyboardInterrupt
    found, error = _findings(record)
    if not found and not error and record.verdict is not Verdict.READY:
        error = f"{record.verdict}: {' '.join(record.reasons)}"
    return found, error


def _judged(
    system: ReferenceSystem, warm: Warm | None, select: Sequence[str] = ()
) -> tuple[RunRecord | None, str]:
    """The record of a run, or why nothing was judged."""
    # In the system's folder: what a killed run leaves is removed with the system.
    with tempfile.TemporaryDirectory(dir=system.folder) as folder:
        loaded = load(system.config_path, os.environ | system.environ)
        environment = marker.environment(loaded.config).environment
        options = Options(
            loaded,
            Path(folder),
            select=tuple(select),
            allow=_EFFECTS,
            confirm=fingerprint(loaded.config, environment),
            workers="0" if warm else _WORKERS,
            record_only=warm is not None,  # no reports are needed
            environ=system.environ,
        )
        ended = run(options, Silent(), warm.start if warm else None)
    refusal = "" if ended.record else f"nothing was judged: {ended.refusal}"
    return ended.record, refusal


def _findings(record: RunRecord) -> tuple[Findings, str]:
    # Not-applicable is declared in the configuration, not caused by a fault.
    good = {Outcome.PASS, Outcome.NOT_APPLICABLE}
    found = {check.name: check for check in record.checks if check.outcome not in good}
    return found, "; ".join(incident.message for incident in record.incidents)
