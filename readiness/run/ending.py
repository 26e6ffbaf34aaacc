"""How a run ends: what is to become of its record, and what did."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from readiness.model.record import RunRecord
from readiness.model.verdict import ExitCode
from readiness.run.ledger import Ledger

if TYPE_CHECKING:
    from readiness.report import EvidenceShown


@dataclass(frozen=True, slots=True)
class Ending:
    """What to do with the record.

    Attributes:
        reports: the folder of the reports and of earlier records.
        baseline: a record to compare with instead of the latest of the history.
        record_only: whether to write the record only, without reports.
        evidence: `findings` leaves the figures of what passed out of the page.
        environ: environment variables that say whether this is a GitHub Actions job; None: ours.
    """

    reports: Path
    baseline: Path | None = None
    record_only: bool = False
    evidence: "EvidenceShown" = "full"
    environ: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended.

    Attributes:
        code: the exit code.
        record: the record; None if nothing was judged.
        refusal: why nothing was judged, or why the reports could not be written.
        ledger: the ledger of the run.
        note: what went wrong after the verdict, and does not change it.
    """

    code: int
    record: RunRecord | None
    refusal: str
    ledger: Ledger
    note: str = ""


def refused(refusal: str, ledger: Ledger) -> Ended:
    """The end of a refused run."""
    return Ended(ExitCode.NOTHING_JUDGED, None, refusal, ledger)
