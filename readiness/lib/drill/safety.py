"""What every drill is kept safe with, and that nobody else drills the same target meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from readiness.lib.drill.locking import Reached, locked, locked_in
from readiness.lib.drill.notes import Place
from readiness.lib.undo import Undo
from readiness.model.errors import CouldNotMeasure

RECOVER: Final = "readiness recover"


@dataclass(frozen=True, slots=True)
class Safety:
    """What a drill is kept safe with.

    Attributes:
        place: where its notes are, and which target it is.
        config: the readiness.toml that `readiness recover` has to be given.
        database: where the lock for other machines is; None where the target has none.
        undo: runs `readiness recover` if this process is killed.
    """

    place: Place
    config: Path
    database: Reached | None
    undo: Undo


@contextmanager
def alone(safety: Safety) -> Iterator[None]:
    """Nobody else drills this target meanwhile.

    Raises:
        CouldNotMeasure: somebody does, or a drill was killed and not put back.
    """
    with locked(safety.place), locked_in(safety.database, safety.place):
        if safety.place.file.exists():
            raise CouldNotMeasure(
                "a drill of this target was killed, and has not been put back",
                where=str(safety.place.file),
                remedy=RECOVER,
            )
        yield
