"""Records of earlier runs: where they are kept, and which one a new run is compared with."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from readiness.model import figures
from readiness.model.errors import RecordError
from readiness.model.record import Facts, RunRecord, Verdict, parse
from readiness.report.files import write
from readiness.report.trends import PastRun, past_run

FOLDER: Final = "history"
KEPT: Final = 100
MOST: Final = 50
"""Earlier runs that are shown."""
# `to_json` writes the verdict second.
_BEGINNING: Final = 200
_READY: Final = '"verdict": "READY"'
_OURS: Final = re.compile(r"\d{8}T\d{6}Z-[A-Za-z0-9._-]+\.json")


class Kept(Protocol):
    """A place where records of runs are kept, of one target or of several."""

    def texts(self, target: str, *, ready: bool) -> Iterator[str]:
        """Records as JSON, newest first, at least those of the target.

        Args:
            target: the name of the target.
            ready: leave out those whose verdict is not READY.
        """
        ...


@dataclass(frozen=True, slots=True)
class Files:
    """The records in `history/` of a folder of reports."""

    folder: Path

    def texts(self, target: str, *, ready: bool) -> Iterator[str]:  # noqa: ARG002 - of several
        """See `Kept`; unreadable files are skipped."""
        for path in _newest_first(self.folder):
            try:
                with path.open(encoding="utf-8") as file:
                    # Records are large, and a hundred are kept: only some are read whole.
                    begin = file.read(_BEGINNING)
                    if not ready or _READY in begin:
                        yield begin + file.read()
            except (OSError, UnicodeDecodeError):
                continue


def store(record: RunRecord, folder: Path, text: str | None = None) -> Path:
    """Store the record in `folder/history`; only the newest 100 are kept.

    Args:
        record: the run.
        folder: the folder of the reports.
        text: the record as JSON, if it was already rendered.

    Raises:
        ReadinessError: it cannot be written.
    """
    run = record.run
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", run.id)[:80] or "run"
    path = folder / FOLDER / f"{figures.in_utc(run.started):%Y%m%dT%H%M%SZ}-{slug}.json"
    write(path, [record.to_json() if text is None else text])
    for old in _newest_first(folder)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def baseline(kept: Kept, facts: Facts) -> RunRecord | None:
    """The record to compare a new run with: the last READY one of its target and profile.

    Where none was READY yet, the last whole run, whose verdict stands beside what changed. A run
    of a part of the checks is never compared with. Altered records are skipped.
    """
    return _first(kept, facts, ready=True) or _first(kept, facts, ready=False)


def latest(kept: Kept, target: str) -> RunRecord | None:
    """The newest record of a target, whatever its verdict: for how long its checks take."""
    for text in kept.texts(target, ready=False):
        record = _parsed(text)
        if record and record.target.name == target:
            return record
    return None


def earlier(kept: Kept, record: RunRecord, most: int = MOST) -> tuple[PastRun, ...]:
    """The newest runs of the same target and profile that began before this one, newest first."""
    found: list[PastRun] = []
    for text in kept.texts(record.target.name, ready=False):
        if len(found) == most:
            break
        try:
            old = past_run(text)
        except RecordError:
            continue
        before = old.id != record.run.id and old.started < figures.in_utc(record.run.started)
        if before and old.of == _of(record):
            found.append(old)
    return tuple(found)


def _first(kept: Kept, facts: Facts, *, ready: bool) -> RunRecord | None:
    for text in kept.texts(facts.target.name, ready=ready):
        try:
            run = past_run(text)  # ten times as fast as the whole record
        except RecordError:
            continue
        fits = run.whole and run.of == _of(facts) and (run.verdict is Verdict.READY or not ready)
        if fits and (record := _parsed(text)):
            return record
    return None


def _of(facts: Facts) -> tuple[str, str, str]:
    return facts.target.name, facts.target.environment, facts.policy.profile


def _parsed(text: str) -> RunRecord | None:
    try:
        return parse(text, FOLDER)
    except RecordError:
        return None


def _newest_first(folder: Path) -> list[Path]:
    try:
        found = [p for p in (folder / FOLDER).iterdir() if _OURS.fullmatch(p.name)]
    except OSError:
        return []
    return sorted(found, key=lambda path: path.name, reverse=True)
