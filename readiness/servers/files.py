"""Files of the reference system: the cache, atomic writes, restored files, TOML strings."""

import fcntl
import os
import re
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from readiness.model.errors import ReferenceSystemError

Document = dict[str, Any]
"""A configuration file; its shape depends on the program that reads it."""
CACHE: Final = "READINESS_CACHE"
"""The variable that names the folder."""
_SHARED: Final = Path("/var/cache/readiness")
_TEMPORARY: Final = ("TMPDIR", "TEMP", "TMP")
_AMPLE_BYTES: Final = 6 << 30
# What a container may use, of both versions of cgroups, as it sees them.
_ALLOWED: Final = ("memory.max", "memory/memory.limit_in_bytes")


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    mode: int
    times_ns: tuple[int, int]


def memory_folder() -> Path | None:
    """A folder in memory, if there is plenty: a new database takes a tenth of the time there.

    Containers often have 64 MB, from which no program may be started.
    """
    place = Path("/dev/shm")  # noqa: S108 - what is made there gets a random name
    try:
        held = os.statvfs(place)
        (free_kib,) = re.findall(r"MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text())
    except (OSError, ValueError):
        return None
    ample = min(held.f_bavail * held.f_frsize, int(free_kib) << 10, *_allowed()) > _AMPLE_BYTES
    usable = os.access(place, os.W_OK) and not held.f_flag & os.ST_NOEXEC
    return place if ample and usable else None


def _allowed() -> Iterator[int]:
    for name in _ALLOWED:
        with suppress(OSError, ValueError):  # `max` is no limit
            yield int(Path("/sys/fs/cgroup", name).read_text())


def work_in_memory() -> None:
    """Keep temporary files in memory if there is plenty, unless the environment names a folder.

    A reference system flushes and removes thousands of files: on a busy disk, that is most of
    the time of its start and its end.
    """
    if any(map(os.environ.get, _TEMPORARY)):
        return
    if place := memory_folder():
        os.environ["TMPDIR"] = str(place)  # for this process and its children
        tempfile.tempdir = None


def write_whole(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content)
    partial.replace(path)


def replace_in(path: Path, old: str, new: str, *, count: int = -1) -> None:
    """Replace a text in a file, everywhere or the first `count` times.

    Raises:
        ReferenceSystemError: the file does not contain it.
    """
    text = path.read_text(encoding="utf-8")
    if old not in text:
        raise ReferenceSystemError(f"{old!r} is not in the file", where=path.name)
    write_whole(path, text.replace(old, new, count).encode())


@contextmanager
def kept(path: Path) -> Iterator[None]:
    """Restore a file, or all files directly in a folder, at the end of the block."""
    before = _take(path)
    try:
        yield
    finally:
        for name in _take(path).keys() - before.keys():
            name.unlink()
        for name, file in before.items():
            write_whole(name, file.content)
            name.chmod(file.mode)
            os.utime(name, ns=file.times_ns)


def _take(path: Path) -> dict[Path, _File]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {file: _read(file) for file in files if file.is_file()}


def _read(path: Path) -> _File:
    info = path.stat()
    times = (info.st_atime_ns, info.st_mtime_ns)
    return _File(path.read_bytes(), stat.S_IMODE(info.st_mode), times)


def quoted(text: str) -> str:
    """A text as a basic string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def cache_folder() -> Path:
    """The folder, which may not exist yet.

    For root it is one that all accounts may enter, as the servers run as `nobody`.
    """
    if chosen := os.environ.get(CACHE):
        return Path(chosen).absolute()
    named = os.environ.get("XDG_CACHE_HOME")
    if os.geteuid() != 0:
        try:
            return Path(named or Path.home() / ".cache") / "readiness"
        except RuntimeError:  # no home folder: creating the cache reports it
            return Path("/nonexistent/.cache/readiness")
    return Path(named) / "readiness" if named and _is_open(Path(named)) else _SHARED


@contextmanager
def locked(path: Path, within_s: float) -> Iterator[None]:
    """Hold a lock between processes.

    Args:
        path: the lock file.
        within_s: longest wait for another process, in seconds.

    Raises:
        TimeoutError: another process holds the lock for longer.
        OSError: the file cannot be written.
    """
    deadline = time.monotonic() + within_s
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise TimeoutError from None
                time.sleep(0.1)
        yield


def _is_open(place: Path) -> bool:
    """Whether all accounts may enter it, or could once it exists."""
    resolved = place.resolve()
    places = [one for one in (resolved, *resolved.parents) if one.exists()]
    return all(one.stat().st_mode & stat.S_IXOTH for one in places)
