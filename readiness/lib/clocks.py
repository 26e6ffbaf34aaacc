"""Whether a server's clock agrees with ours; alone, as two areas compare clocks for `doctor`.

Ages of backups, alerts and replies are differences between two clocks.
"""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from readiness.model.errors import CouldNotMeasure

MOST_S: Final = 5.0
"""Seconds. NTP keeps clocks within milliseconds; the date of an HTTP answer has whole seconds."""


def agree(theirs: datetime, where: str, ours: datetime | None = None) -> None:
    """Compare a server's time with ours.

    Raises:
        CouldNotMeasure: they differ by more than `MOST_S`.
    """
    agree_within((theirs - (ours or datetime.now(UTC))).total_seconds(), where)


def agree_within(ahead_s: float, where: str) -> None:
    """The same for a clock that is known to be `ahead_s` seconds ahead of ours."""
    if abs(ahead_s) > MOST_S:
        direction = "ahead of" if ahead_s > 0 else "behind"
        raise CouldNotMeasure(
            f"its clock is {abs(ahead_s):.0f} s {direction} the clock of this machine",
            where=where,
            remedy="synchronize both clocks: timedatectl set-ntp true",
        )


def agree_http(date: str | None, where: str) -> None:
    """The same for the `Date` of an answer; an answer without a valid one is not compared."""
    try:
        theirs = parsedate_to_datetime(date or "")
    except ValueError:
        return
    agree(theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC), where)
