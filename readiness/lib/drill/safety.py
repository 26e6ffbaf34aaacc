"""Safety of drills: notes for recovery, exclusion of other drills, and an undo."""

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, Protocol, Self

import psycopg

from readiness.lib import watchdog
from readiness.lib.guardian import Undo
from readiness.lib.postgres import connect, fetch
from readiness.model.errors import CouldNotMeasure
from readiness.model.secrets import Dsn

FORMAT: Final = "readiness-drill/1"
FOLDER: Final = ".readiness"
_GRACE_S: Final = 10.0
_DAY_S: Final = 86_400.0
RECOVER: Final = "readiness recover"


@dataclass(frozen=True, slots=True)
class Place:
    """The target and the folder of its notes, which is beside readiness.toml."""

    folder: Path
    target: str
    environment: str
    fingerprint: str

    @property
    def file(self) -> Path:
        """The notes of a drill that is running or was killed."""
        return self.folder / f"drill-{self.fingerprint}.json"

    @property
    def lock(self) -> Path:
        """The file that is locked while a drill runs."""
        return self.folder / f"drill-{self.fingerprint}.lock"


@dataclass(frozen=True, slots=True)
class Noted:
    """Everything needed to restore the target.

    Attributes:
        release: the release that it served.
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
            CouldNotMeasure: they are not valid.
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
        """Kill the command that still runs, with its children; returns whether there was one."""
        if not self.tool or not self.born or watchdog.born(self.tool) != self.born:
            return False
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.tool, signal.SIGKILL)
        deadline = time.monotonic() + _GRACE_S
        while watchdog.group_runs(self.tool) and time.monotonic() < deadline:
            time.sleep(0.02)
        return True


class Notes:
    """The notes of a running drill, on disk before anything is changed."""

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


class Reached(Protocol):
    """A database of the configuration; one statement may take `timeout_s`."""

    @property
    def dsn(self) -> Dsn: ...  # noqa: D102

    @property
    def timeout_s(self) -> float: ...  # noqa: D102


@contextmanager
def locked(place: Place) -> Iterator[None]:
    """Hold the lock on this machine; the kernel releases it however the process ends.

    Raises:
        CouldNotMeasure: another process holds it; there is no waiting.
    """
    try:
        place.folder.mkdir(mode=0o700, exist_ok=True)
        file = place.lock.open("a")
    except OSError as error:
        raise CouldNotMeasure(
            f"cannot be written: {error.strerror}",
            where=str(place.lock),
            remedy="give the user who runs readiness write access",
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise _held(str(place.lock)) from None
        yield


@contextmanager
def locked_in(database: Reached | None, place: Place) -> Iterator[None]:
    """Hold a lock in a database of the target, which excludes drills from other machines.

    Raises:
        CouldNotMeasure: another session holds it, or the database does not answer.
    """
    if database is None:
        yield
        return
    key = int(place.fingerprint, 16)
    with connect(
        database.dsn,
        timeout_s=database.timeout_s,
        total_s=_DAY_S,
        application_name="readiness drill",
    ) as connection:
        [(taken,)] = fetch(connection, "select pg_try_advisory_lock(%s)", [key])
        if not taken:
            raise _held(f"pg_try_advisory_lock({key}) in {database.dsn.address}")
        try:
            yield
        finally:
            # The server may notice the closed connection late, after the next drill of this run
            # has begun.
            with suppress(psycopg.Error, CouldNotMeasure):
                fetch(connection, "select pg_advisory_unlock(%s)", [key])


def _held(where: str) -> CouldNotMeasure:
    return CouldNotMeasure(
        "another drill of this target is running",
        where=where,
        remedy="wait for it, or stop it and run: readiness recover",
    )


@dataclass(frozen=True, slots=True)
class Safety:
    """What a drill needs to be safe.

    Attributes:
        config: the readiness.toml for `readiness recover`.
        database: holds the lock against drills from other machines; None if the target has none.
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
