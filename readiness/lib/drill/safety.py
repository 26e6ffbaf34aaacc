"""The safety of a drill: its notes, its undo, and exclusion of other drills."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from readiness.lib.drill.locking import Reached, locked, locked_in
from readiness.lib.drill.notes import Place
from readiness.lib.guardian import Undo
from readiness.model.errors import CouldNotMeasure

RECOVER: Final = "readiness recover"


@dataclass(frozen=True, slots=True)
class Safety:
    """What a drill needs to be safe.

    Attributes:
        place: the target and the folder of its notes.
        config: the readiness.toml for `readiness recover`.
        database: holds the lock against other machines; None if the target has none.
        undo: runs `readiness recover` if this process is killed.
    """

    place: Place
    config: Path
    database: Reached | None
    undo: Undo


@contextmanager
def alone(safety: Safety) -> Iterator[None]:
    """Exclude other drills of this target during the block.

    Raises:
        CouldNotMeasure: another drill runs, or a killed one was not recovered.
    """
    with locked(safety.place), locked_in(safety.database, safety.place):
        if safety.place.file.exists():
            raise CouldNotMeasure(
                "a drill of this target was killed and is not recovered yet",
                where=str(safety.place.file),
                remedy=RECOVER,
            )
        yield
