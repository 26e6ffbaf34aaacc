"""Where the earlier runs of a run are: in files beside its reports, or in a shared history.

A shared history that cannot be reached never changes a verdict: the run is compared with the files
instead, and says so.
"""

from dataclasses import dataclass
from pathlib import Path

from readiness.model.errors import CouldNotMeasure
from readiness.model.record import RunRecord
from readiness.model.secrets import Dsn
from readiness.report.history import Files, Kept


@dataclass(frozen=True, slots=True)
class Whose:
    """Of which runs: those of a target in an environment, with a profile."""

    target: str
    environment: str
    profile: str

    @classmethod
    def of(cls, record: RunRecord) -> "Whose":
        """Those that a record can be compared with."""
        target = record.target
        return cls(target.name, target.environment, record.policy.profile)

    @property
    def key(self) -> tuple[str, str, str]:
        """As the table has it."""
        return self.target, self.environment, self.profile


@dataclass(frozen=True, slots=True)
class Past:
    """Where the earlier runs of a run are, and why not in the shared history."""

    kept: Kept
    note: str = ""


def past(dsn: Dsn | None, whose: Whose, reports: Path) -> Past:
    """The earlier runs: of the shared history, or where there is none, or no way to it, of files.

    Args:
        dsn: `[gate] history`; None if it is not set.
        whose: the runs that are wanted.
        reports: the folder whose `history/` is used without it.
    """
    files = Files(reports)
    if dsn is None:
        return Past(files)
    from readiness.run import shared_history

    try:
        return Past(shared_history.read(dsn, whose))
    except CouldNotMeasure as error:
        place = f"{error.where}: " if error.where else ""
        why = f"{place}{error.message}".rstrip(".")
        return Past(
            files, f"No shared history: {why}. Not stored there; compared with {reports}/history."
        )


def stored(dsn: Dsn | None, record: RunRecord, found: Past) -> str:
    """Store a record in the shared history, if there is one that answered; says why it failed."""
    if dsn is None or found.note:
        return ""
    from readiness.run import shared_history

    try:
        shared_history.store(dsn, record)
    except CouldNotMeasure as error:
        return f"The run is not in the shared history: {error.sentence}"
    return ""
