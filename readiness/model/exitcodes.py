"""The exit codes, and the one function that maps a verdict to one of them."""

from enum import IntEnum
from typing import assert_never

from readiness.model.record import RunRecord, Verdict


class ExitCode(IntEnum):
    """The exit codes; part of the public interface."""

    READY = 0
    NOT_READY = 1
    NOTHING_JUDGED = 2
    INCOMPLETE = 3
    INTERRUPTED = 130


def exit_code(record: RunRecord) -> ExitCode:
    """The exit code of a run that was judged.

    130 if the user interrupted it; otherwise 0 with `--report-only`.
    """
    if record.run.interrupted:
        return ExitCode.INTERRUPTED
    if record.run.report_only:
        return ExitCode.READY
    match record.verdict:
        case Verdict.READY:
            return ExitCode.READY
        case Verdict.NOT_READY:
            return ExitCode.NOT_READY
        case Verdict.INCOMPLETE:
            return ExitCode.INCOMPLETE
        case _ as never:
            assert_never(never)
