"""What a drill changes, written down before it acts: `.readiness/drill-*.json`."""

import json
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

from readiness.lib import watchdog
from readiness.model.errors import CouldNotMeasure

FORMAT: Final = "readiness-drill/1"
FOLDER: Final = ".readiness"
_GRACE_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a target's notes are, and which target it is.

    Attributes:
        folder: beside readiness.toml.
        target: the name of the target.
        environment: as the target itself says it.
        fingerprint: what identifies the target.
    """

    folder: Path
    target: str
    environment: str
    fingerprint: str

    @property
    def file(self) -> Path:
        """The notes of a drill that is under way, or was killed."""
        return self.folder / f"drill-{self.fingerprint}.json"

    @property
    def lock(self) -> Path:
        """The file that is locked while a drill is under way."""
        return self.folder / f"drill-{self.fingerprint}.lock"


@dataclass(frozen=True, slots=True)
class Noted:
    """What one needs to put the target back.

    Attributes:
        fingerprint: the target's.
        target: its name.
        environment: what it said it is.
        release: what it served.
        row: the id of the row that was written; empty if none was.
        tool: the number of the process that changes something now; 0 if none does.
        born: when that process began, in the kernel's words.
    """

    fingerprint: str
    target: str
    environment: str
    release: str
    row: str = ""
    tool: int = 0
    born: str = ""
    format: str = FORMAT

    @classmethod
    def read(cls, path: Path) -> Self:
        """The notes in a file.

        Raises:
            CouldNotMeasure: they cannot be understood; nothing is changed on a guess.
        """
        try:
            document: Any = json.loads(path.read_text(encoding="utf-8"))
            noted = cls(**document)
        except (OSError, ValueError, TypeError):
            noted = None
        kinds = {field.name: field.type for field in fields(cls)}
        if (
            noted is None
            or noted.format != FORMAT
            or any(type(getattr(noted, name)) is not kind for name, kind in kinds.items())
        ):
            raise CouldNotMeasure(
                "cannot be understood",
                where=str(path),
                remedy="see which release the target serves, put it back by hand, and remove it",
            )
        return noted

    def end_tool(self) -> bool:
        """End the command that was left behind, with all that it started; whether there was one."""
        if not self.tool or not self.born or watchdog.born(self.tool) != self.born:
            return False
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.tool, signal.SIGKILL)
        deadline = time.monotonic() + _GRACE_S
        while watchdog.group_runs(self.tool) and time.monotonic() < deadline:
            time.sleep(0.02)
        return True


class Notes:
    """The notes of a drill that is under way: on disk before anything happens."""

    def __init__(self, path: Path, noted: Noted) -> None:
        self._path = path
        self._noted = asdict(noted)
        self._write()

    def row(self, row: str) -> None:
        """A row is going to be written."""
        self._update({"row": row})

    def tool(self, pid: int | None) -> None:
        """A command that changes something has been started, or has ended."""
        self._update({"tool": pid or 0, "born": (watchdog.born(pid) or "") if pid else ""})

    def close(self) -> None:
        """The target is as it was before."""
        self._path.unlink(missing_ok=True)
        _sync(self._path.parent)

    def _update(self, changes: Mapping[str, object]) -> None:
        self._noted.update(changes)
        self._write()

    def _write(self) -> None:
        """All or nothing, and not only in a cache: the machine may lose its power."""
        try:
            new = self._path.with_suffix(".new")
            with new.open("w", encoding="utf-8") as file:
                json.dump(self._noted, file)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
            _sync(self._path.parent)
        except OSError as error:
            raise CouldNotMeasure(
                f"cannot be written: {error.strerror}; nothing is changed without it",
                where=str(self._path),
                remedy="let the user who runs the gate write there",
            ) from None


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
