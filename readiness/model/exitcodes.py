"""The exit codes, and the one function that maps a verdict to one of them."""

from enum import IntEnum
from typing import assert_never

from readiness.model.record import Verdict


class ExitCode(IntEnum):
    """What a pipeline may rely on (CONTRACT: exit codes)."""

    READY = 0
    NOT_READY = 1
    NOTHING_JUDGED = 2
    INCOMPLETE = 3
    INTERRUPTED = 130


def exit_code(verdict: Verdict, *, interrupted: bool = False, report_only: bool = False) -> int:
    """The exit code of a run that was judged.

    Args:
        verdict: the verdict of the record.
        interrupted: the run was stopped by the person who started it.
        report_only: the user asked for 0 whatever the verdict.
    """
    if interrupted:
        return ExitCode.INTERRUPTED
    if report_only:
        return ExitCode.READY
    match verdict:
        case Verdict.READY:
            return ExitCode.READY
        case Verdict.NOT_READY:
            return ExitCode.NOT_READY
        case Verdict.INCOMPLETE:
            return ExitCode.INCOMPLETE
        case _ as never:
            assert_never(never)
