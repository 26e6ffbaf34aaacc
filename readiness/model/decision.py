"""Decisions of people that change how a result counts: waivers, exclusions, a time to observe."""

import re
from datetime import date
from enum import StrEnum
from functools import lru_cache
from typing import Literal

from pydantic import BaseModel, ConfigDict


class Kind(StrEnum):
    """What a decision does."""

    WAIVER = "waiver"
    """Accepts a failure, or one named error."""
    NOT_APPLICABLE = "not-applicable"
    """Excuses what does not apply to the target."""
    OBSERVE_ONLY = "observe-only"
    """Shows the result, which does not decide yet."""


class Decision(BaseModel):
    """A decision, and its effect in a run.

    Attributes:
        kind: what it does.
        what: the check: an id, `id[subject]`, an area, or any of these with `*` and `?`.
        owner: who is responsible.
        approver: who accepted it; empty where nobody has to.
        reason: justification.
        expires: the last day (UTC) on which it counts.
        error: for a waiver that accepts an error: text that each of its causes must contain.
        state: its effect in the run.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    kind: Kind
    what: str
    owner: str
    approver: str = ""
    reason: str
    expires: date
    error: str = ""
    state: Literal["applied", "expired", "unused"] = "unused"

    def covers(self, check: str, subject: str) -> bool:
        """Whether it is about this check on this subject; a waiver names both exactly."""
        if self.kind is Kind.WAIVER:
            return self.what in {check, f"{check}[{subject}]"}
        return matches(self.what, check, subject)

    def is_valid(self, today: date) -> bool:
        """Whether it counts on that day."""
        return today <= self.expires


def matches(what: str, check: str, subject: str) -> bool:
    """Whether `what` names a check on a subject: by its id, its area, or a pattern of these."""
    area = check.partition(".")[0]
    pattern = _pattern(what)
    return any(pattern.fullmatch(name) for name in (check, f"{check}[{subject}]", area))


@lru_cache(maxsize=1024)
def _pattern(what: str) -> re.Pattern[str]:
    text = re.escape(what).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(text, re.DOTALL)
