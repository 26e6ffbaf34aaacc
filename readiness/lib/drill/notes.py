"""Notes for recovery, written before a drill acts: `.readiness/drill-*.json`."""

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
    """The target and the folder of its notes.

    Attributes:
        folder: beside readiness.toml.
        target: the name of the target.
        environment: as the target reports it.
        fingerprint: what identifies the target.
    """

    folder: Path
    target: str
    environment: str
    fingerprint: str

    @property
    def file(self) -> Path:
        """The notes of a drill that runs or was killed."""
        return self.folder / f"drill-{self.fingerprint}.json"

    @property
    def lock(self) -> Path:
        """The file that is locked while a drill runs."""
        return self.folder / f"drill-{self.fingerprint}.lock"


@dataclass(frozen=True, slots=True)
class Noted:
    """Everything needed to restore the target.

    Attributes:
        fingerprint: the target's.
        target: its name.
        environment: as it reported it.
        release: what it served.
        row: the id of the row that was written; empty if none was.
        tool: the id of the process that now changes the target; 0 if none does.
        born: the start time of that process, from the kernel.
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
            CouldNotMeasure: they are not valid; nothing is changed on a guess.
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
                "is not a valid note of a drill",
                where=str(path),
                remedy="check the served release, restore it by hand, and delete the file",
            )
        return noted

    def end_tool(self) -> bool:
        """Kill the command that was left behind and its children; returns whether there was one."""
        if not self.tool or not self.born or watchdog.born(self.tool) != self.born:
            return False
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.tool, signal.SIGKILL)
        deadline = time.monotonic() + _GRACE_S
        while watchdog.group_runs(self.tool) and time.monotonic() < deadline:
            time.sleep(0.02)
        return True


class Notes:
    """The notes of a running drill; on disk before anything is changed."""

    def __init__(self, path: Path, noted: Noted) -> None:
        self._path = path
        self._noted = asdict(noted)
        self._write()

    def row(self, row: str) -> None:
        """Note a row that will be written."""
        self._update({"row": row})

    def tool(self, pid: int | None) -> None:
        """Note the start (or None: the end) of a command that changes the target."""
        self._update({"tool": pid or 0, "born": (watchdog.born(pid) or "") if pid else ""})

    def close(self) -> None:
        """Remove the notes: the target is restored."""
        self._path.unlink(missing_ok=True)
        _sync(self._path.parent)

    def _update(self, changes: Mapping[str, object]) -> None:
        self._noted.update(changes)
        self._write()

    def _write(self) -> None:
        """Write atomically and sync: the machine may lose power."""
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
                f"cannot be written: {error.strerror}; the drill does not start without it",
                where=str(self._path),
                remedy="give the user who runs readiness write access",
            ) from None


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
