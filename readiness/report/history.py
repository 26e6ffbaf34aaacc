"""Earlier records: where they are, which one to compare with, the last runs of each check."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from readiness.model import figures
from readiness.model.errors import RecordError
from readiness.model.evidence import Outcome
from readiness.model.measurement import Measurement
from readiness.model.record import CheckResult, RunRecord, Verdict, load
from readiness.report.files import write

FOLDER: Final = "history"
KEPT: Final = 100
# `to_json` writes the verdict second.
_BEGINNING: Final = 200
_READY: Final = '"verdict": "READY"'
_OURS: Final = re.compile(r"\d{8}T\d{6}Z-[A-Za-z0-9._-]+\.json")


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


def latest(folder: Path, target_name: str) -> RunRecord | None:
    """The record to compare a new run with: the last READY one of the target, else the newest.

    None if there is none. Call it before the new run is stored. Unreadable or changed files are
    skipped.
    """
    newest: RunRecord | None = None
    for path in _newest_first(folder):
        # Only the beginning of the others is read: records are large, and a hundred are kept.
        if newest is None or _READY in _beginning(path):
            record = _of_target(path, target_name)
            newest = newest or record
            if record and record.verdict is Verdict.READY:
                return record
    return newest


def earlier(folder: Path, record: RunRecord, most: int) -> tuple[RunRecord, ...]:
    """The newest records of the same target that began before this one, newest first."""
    found: list[RunRecord] = []
    for path in _newest_first(folder):
        if len(found) == most:
            break
        old = _of_target(path, record.target.name)
        if old and old.run.id != record.run.id and old.run.started < record.run.started:
            found.append(old)
    return tuple(found)


def _of_target(path: Path, name: str) -> RunRecord | None:
    try:
        record = load(path)
    except RecordError:
        return None
    return record if record.target.name == name else None


def _beginning(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_BEGINNING)
    except OSError:
        return ""


def _newest_first(folder: Path) -> list[Path]:
    try:
        found = [p for p in (folder / FOLDER).iterdir() if _OURS.fullmatch(p.name)]
    except OSError:
        return []
    return sorted(found, key=lambda path: path.name, reverse=True)


MOST: Final = 10
"""Earlier runs that are shown."""

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Past:
    """One check in one earlier run.

    Attributes:
        day: the day of that run.
        release: what was judged.
        outcome: how it ended.
        values: its numbers, by judgement and name.
    """

    day: str
    release: str
    outcome: Outcome
    values: Mapping[_Key, float]


@dataclass(frozen=True, slots=True)
class Trends:
    """Earlier runs by check and subject, oldest first."""

    pasts: Mapping[_Key, tuple[Past, ...]] = field(default_factory=dict)

    def of(self, check: CheckResult) -> tuple[Past, ...]:
        """The earlier runs of a check."""
        return self.pasts.get((check.id, check.subject), ())

    def values(self, check: CheckResult, measurement: Measurement) -> tuple[float, ...]:
        """The earlier figures of the same name, oldest first."""
        key = (measurement.key, measurement.name)
        return tuple(past.values[key] for past in self.of(check) if key in past.values)


def trends(record: RunRecord, earlier: Iterable[RunRecord]) -> Trends:
    """The earlier runs of the checks that need reading.

    Args:
        record: the run that is shown.
        earlier: records of the same target, newest first, as the history gives them.
    """
    wanted = _wanted(record)
    found: dict[_Key, list[Past]] = {}
    for old in reversed(list(earlier)[:MOST]):
        for check in old.checks:
            if (check.id, check.subject) in wanted:
                found.setdefault((check.id, check.subject), []).append(_past(old, check))
    return Trends({key: tuple(pasts) for key, pasts in found.items()})


def are_wanted(record: RunRecord) -> bool:
    """Whether anything needs reading; if all is well, no earlier run is shown."""
    return bool(_wanted(record))


def _wanted(record: RunRecord) -> set[_Key]:
    quiet = {Outcome.PASS, Outcome.NOT_APPLICABLE}
    return {(check.id, check.subject) for check in record.checks if check.outcome not in quiet}


def _past(record: RunRecord, check: CheckResult) -> Past:
    values: dict[_Key, float] = {}
    for measurement in check.measurements:
        value = measurement.value
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            values.setdefault((measurement.key, measurement.name), float(value))
    day = f"{figures.in_utc(record.run.started):%d %b %Y}"
    return Past(day, record.target.release, check.outcome, values)
