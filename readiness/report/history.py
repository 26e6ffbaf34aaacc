"""Stores earlier records in `history/` and finds the latest."""

import re
from pathlib import Path
from typing import Final

from readiness.model import figures
from readiness.model.errors import RecordError
from readiness.model.record import RunRecord, load
from readiness.report.files import write

FOLDER: Final = "history"
KEPT: Final = 100
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
    """The newest readable record of a target in `folder/history`; None if there is none.

    Call it before the new run is stored. Unreadable or changed files are skipped.
    """
    for path in _newest_first(folder):
        try:
            record = load(path)
        except RecordError:
            continue
        if record.target.name == target_name:
            return record
    return None


def _newest_first(folder: Path) -> list[Path]:
    try:
        found = [p for p in (folder / FOLDER).iterdir() if _OURS.fullmatch(p.name)]
    except OSError:
        return []
    return sorted(found, key=lambda path: path.name, reverse=True)
