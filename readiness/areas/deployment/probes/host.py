"""Reads the host's free disk space, its memory and its container runtime."""

import os
import posixpath
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from readiness.areas.deployment.config import Host
from readiness.lib.command import Answer, ask, run
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, Unreachable
from readiness.model.measurement import Measurement

MEMINFO: Final = "/proc/meminfo"
CGROUP: Final = "/proc/self/cgroup"
_V1: Final = "/sys/fs/cgroup/memory"
_V2: Final = "/sys/fs/cgroup"
_LIMIT_V1: Final = "memory.limit_in_bytes"
_LIMIT_V2: Final = "memory.max"
_USED: Final[Mapping[str, str]] = {
    _LIMIT_V1: "memory.usage_in_bytes",
    _LIMIT_V2: "memory.current",
}
_STAT: Final = "memory.stat"
_NO_LIMIT: Final = "max"
# Version 1 writes the largest number of pages, in bytes, where there is no limit.
_UNLIMITED: Final = 1 << 60
_KIB: Final = 1024
_TIMEOUT_S: Final = 10.0
_LONGEST: Final = 1 << 20
# device, blocks of 1024 bytes, used, available, capacity, mounted on
_DF: Final = re.compile(r"\s\d+\s+-?\d+\s+(-?\d+)\s+(?:\d+%|-)\s+/")
_VERSION: Final = re.compile(r"\d+(?:\.\d+)+")
_LOOK: Final = "see that `run_on` reaches it without a question: ssh -o BatchMode=yes HOST true"


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory in bytes, the least of what the machine has and each cgroup allows.

    Attributes:
        total: all that may be used.
        available: the part that is free, or can be freed by dropping the page cache.
        source: the file that decides `total`.
    """

    total: int
    available: int
    source: str


def limit_files(cgroup: str) -> list[str]:
    """The files that may set a limit, for this cgroup and its parents.

    Args:
        cgroup: the text of /proc/self/cgroup; empty if there are no cgroups.
    """
    found: list[str] = []
    for line in cgroup.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            found += _upwards(_V1, path, _LIMIT_V1)
        elif number == "0" and not controllers:
            found += _upwards(_V2, path, _LIMIT_V2)
            # Some systems mount version 2 here, beside controllers of version 1.
            found += _upwards(f"{_V2}/unified", path, _LIMIT_V2)
    return list(dict.fromkeys(found))


def beside(limit_file: str) -> tuple[str, str]:
    """The files with the memory used under a limit, and with the page cache's part of it."""
    folder, name = posixpath.split(limit_file)
    return f"{folder}/{_USED[name]}", f"{folder}/{_STAT}"


def memory_from(texts: Mapping[str, str], limits: Sequence[str]) -> Memory:
    """The memory that may be used.

    Args:
        texts: the contents of the files that exist, by path.
        limits: the paths from `limit_files`.

    Raises:
        NoData: the machine does not say how much it has, or a limit is not a number.
    """
    machine = texts.get(MEMINFO, "")
    least = Memory(_figure(machine, "MemTotal"), _figure(machine, "MemAvailable"), MEMINFO)
    available = least.available
    for path in limits:
        limit = _limit(texts[path], path) if path in texts else None
        if limit is None:
            continue
        if limit < least.total:
            least = Memory(limit, available, path)
        if (used := _used(texts, path)) is not None:
            available = min(available, max(0, limit - used))
    return Memory(least.total, min(available, least.total), least.source)


def _upwards(root: str, path: str, name: str) -> Iterator[str]:
    """From the cgroup to the root; inside a container only the root may exist."""
    folder = posixpath.normpath("/" + path.lstrip("/"))
    while True:
        yield posixpath.normpath(f"{root}/{folder.lstrip('/')}/{name}")
        if folder == "/":
            return
        folder = posixpath.dirname(folder)


def _figure(text: str, word: str) -> int:
    found = re.search(rf"^{word}:\s+(\d+) kB$", text, re.MULTILINE)
    if not found:
        raise NoData(
            f"{word} is missing",
            where=MEMINFO,
            remedy='memory is read on Linux; for another machine, set `run_on = ["ssh", "HOST"]` in'
            " [deployment.host]",
        )
    return int(found[1]) * _KIB


def _limit(text: str, path: str) -> int | None:
    said = text.strip()
    if said == _NO_LIMIT:
        return None
    if not said.isdecimal():
        raise NoData("the memory limit is not a number", where=path)
    return int(said) if int(said) < _UNLIMITED else None


def _used(texts: Mapping[str, str], limit_file: str) -> int | None:
    """The memory used under a limit, without the page cache; None if unknown."""
    used, stat = beside(limit_file)
    said = texts.get(used, "").strip()
    if not said.isdecimal():
        return None
    files = re.search(r"^(?:total_)?inactive_file (\d+)$", texts.get(stat, ""), re.MULTILINE)
    return int(said) - (int(files[1]) if files else 0)


def free_on(host: Host, path: str) -> Measurement:
    """The bytes that are free on the file system of a folder, for users other than root.

    Raises:
        CouldNotMeasure: the folder does not exist, or the machine does not answer.
    """
    if host.run_on:
        source = shlex.join([*host.run_on, "df", "-Pk", path])
        free = _df([*host.run_on, "df", "-Pk", path])
    else:
        source, free = f"statvfs({path})", _statvfs(path)
    return Measurement(f"free on {path}", free, "bytes", source)


def memory_of(host: Host) -> Memory:
    """The memory that may be used on the host; CouldNotMeasure if it does not answer."""
    first = _read(host, [MEMINFO, CGROUP])
    limits = limit_files(first.get(CGROUP, ""))
    files = [file for limit in limits for file in (limit, *beside(limit))]
    # MEMINFO again: its arrival shows that the answer is complete.
    texts = _read(host, [MEMINFO, *files])
    return memory_from(texts, limits)


def runtime_of(host: Host) -> Answer:
    """The answer of the container runtime.

    Raises:
        CouldNotMeasure: the command cannot be started or hangs, or the machine is unreachable.
    """
    command = [*host.run_on, *(host.runtime or [])]
    remedy = "correct `runtime` in [deployment.host]"
    answer = ask(command, "ask the runtime", remedy, timeout_s=_TIMEOUT_S)
    if answer.status != 0 and host.run_on:
        # On an unreachable machine the state of the runtime is unknown.
        run([*host.run_on, "true"], "reach the machine", _LOOK, timeout_s=_TIMEOUT_S)
    return answer


def version_in(answer: Answer, host: Host) -> str:
    """The version that the runtime printed; NoData if it printed none."""
    found = _VERSION.search(answer.output)
    if found:
        return found[0]
    said = clean(answer.output) or answer.said
    raise NoData(
        f"the runtime printed no version: {said or 'it printed nothing'}",
        where=shlex.join([*host.run_on, *(host.runtime or [])]),
        remedy="set it to a command that asks the daemon, and prints its version:"
        " docker info --format '{{.ServerVersion}}'",
    )


def as_numbers(version: str) -> tuple[int, ...]:
    """A version as numbers: 20.10 is newer than 20.9, and equals 20.10.0."""
    numbers = [int(number) for number in version.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _statvfs(path: str) -> int:
    try:
        found = os.statvfs(path)
    except OSError as error:
        raise CouldNotMeasure(
            f"free space cannot be read: {error.strerror}",
            where=path,
            remedy="correct `disk_paths` in [deployment.host]; for another machine, set `run_on`",
        ) from None
    return found.f_bavail * found.f_frsize


def _df(command: Sequence[str]) -> int:
    printed = run(command, "read the free space", _LOOK, timeout_s=_TIMEOUT_S)
    lines = printed.strip().splitlines()
    found = _DF.search(lines[-1]) if len(lines) > 1 else None
    if not found:
        raise NoData(
            f"the output of df cannot be parsed: {clean(printed)}", where=shlex.join(command)
        )
    return int(found[1]) * _KIB


def _read(host: Host, paths: Sequence[str]) -> Mapping[str, str]:
    """The contents of the files that exist."""
    return _read_there(host.run_on, paths) if host.run_on else _read_here(paths)


def _read_here(paths: Sequence[str]) -> Mapping[str, str]:
    found = {}
    for path in paths:
        try:
            with Path(path).open(encoding="utf-8", errors="replace") as file:
                found[path] = file.read(_LONGEST)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError:
            raise NotPermitted("may not be read by this user", where=path) from None
        except OSError as error:
            raise CouldNotMeasure(f"cannot be read: {error.strerror}", where=path) from None
    return found


def _read_there(run_on: Sequence[str], paths: Sequence[str]) -> Mapping[str, str]:
    """Read all at once with `grep`, which prints each line's file and skips missing files."""
    command = [*run_on, "grep", "-H", ".", *paths]
    answer = ask(command, "read its memory", _LOOK, timeout_s=_TIMEOUT_S)
    found: dict[str, str] = {}
    for line in answer.output.splitlines():
        path, colon, text = line.partition(":")
        if colon and path in paths:
            found[path] = f"{found.get(path, '')}{text}\n"
    if MEMINFO not in found:
        raise Unreachable(
            f"the machine does not say how much memory it has: {answer.said or 'no answer'}",
            where=shlex.join(command[: len(run_on) + 3]),
            remedy=_LOOK,
        )
    return found
