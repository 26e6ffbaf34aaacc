"""The record of a run on staging, accepted for what cannot be drilled in production."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from readiness.model import record as records
from readiness.model.errors import NoData, RecordError
from readiness.model.evidence import Outcome
from readiness.model.record import RunRecord
from readiness.model.verdict import judge


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a run on staging showed.

    Attributes:
        verdict: as its checks give it; `REPORT ONLY` if the run decided nothing.
        environment: as its target reported it.
        release: the release that it judged.
        image: the artifact; empty if it names none.
        finished: when it ended.
        missing: those of the required drills that did not pass there.
    """

    verdict: str
    environment: str
    release: str
    image: str
    finished: datetime
    missing: tuple[str, ...]


def rehearsal(path: Path, drills: Sequence[str]) -> Rehearsal:
    """Read a record.

    Raises:
        NoData: it cannot be read, is not a record, or was changed.
    """
    try:
        record = records.load(path)
    except RecordError as error:
        raise NoData(error.message, where=error.where, remedy=error.remedy) from None
    return Rehearsal(
        # Not what the record says: an edited one can have a matching hash again.
        verdict="REPORT ONLY" if record.run.report_only else judge(record).verdict.value,
        environment=record.target.environment,
        release=record.target.release,
        image=record.target.image,
        finished=record.run.finished,
        missing=tuple(drill for drill in drills if not _passed(drill, record)),
    )


def _passed(drill: str, record: RunRecord) -> bool:
    found = [check for check in record.checks if drill in {check.id, check.name}]
    return bool(found) and all(check.outcome is Outcome.PASS for check in found)
