"""How far a proof of restore goes: eight steps, of which none counts without those below it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

STEPS: Final = (
    "the job says so",
    "the backup is there, fresh and not empty",
    "it can be read to its end",
    "it restores without an error",
    "rows, schema, sequences and large objects are those of its snapshot",
    "tables and indexes are physically sound",
    "the application reads and writes in it",
    "what is lost and how long it takes is within what was agreed",
    "copies that were damaged on purpose are rejected",
)
"""What each level shows, from 0 to 8."""


@dataclass(frozen=True, slots=True)
class Step:
    """One level.

    Attributes:
        level: 1 to 8.
        problem: why it is not shown; empty if it is.
    """

    level: int
    problem: str

    def __str__(self) -> str:
        return f"level {self.level} ({STEPS[self.level]}): {self.problem or 'shown'}"


def level_of(steps: Sequence[Step]) -> int:
    """The highest level that is shown with all of those below it; 0 if not even the first is."""
    reached = 0
    for step in sorted(steps, key=lambda step: step.level):
        if step.problem or step.level != reached + 1:
            break
        reached = step.level
    return reached


def first_gap(steps: Sequence[Step]) -> Step | None:
    """The lowest level that is not shown."""
    wanted = level_of(steps) + 1
    return next((step for step in steps if step.level == wanted), None)
