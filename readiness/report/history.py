"""Stores earlier records in `history/` and finds those to compare with."""

import re
from pathlib import Path
from typing import Final

from readiness.model import figures
from readiness.model.errors import RecordError
from readiness.model.record import RunRecord, Verdict, load
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
