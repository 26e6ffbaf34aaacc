"""Looks at the machine that a release is put on: room on disk, memory, the container runtime."""

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from readiness.areas.deployment.config_before import Host
from readiness.areas.deployment.probes import memory
from readiness.areas.deployment.probes.memory import Memory
from readiness.lib.command import Answer, ask, run
from readiness.lib.text import clean
from readiness.model.errors import CouldNotMeasure, NoData, NotPermitted, Unreachable
from readiness.model.measurement import Measurement

_TIMEOUT_S: Final = 10.0
_LONGEST: Final = 1 << 20
_KIB: Final = 1024
# device, blocks of 1024 bytes, used, available, capacity, mounted on
_DF: Final = re.compile(r"\s\d+\s+-?\d+\s+(-?\d+)\s+(?:\d+%|-)\s+/")
_VERSION: Final = re.compile(r"\d+(?:\.\d+)+")
_LOOK: Final = "see that `run_on` leads there and asks no question: ssh -o BatchMode=yes HOST true"


def free_on(host: Host, path: str) -> Measurement:
    """The bytes that are free on the file system of a folder, for who is not root.

    Raises:
        CouldNotMeasure: there is no such folder, or it cannot be asked for.
    """
    if host.run_on:
        source = shlex.join([*host.run_on, "df", "-Pk", path])
        free = _df([*host.run_on, "df", "-Pk", path])
    else:
        source, free = f"statvfs({path})", _statvfs(path)
    return Measurement(f"free on {path}", free, "bytes", source)


def memory_of(host: Host) -> Memory:
    """The memory that may be used there.

    Raises:
        CouldNotMeasure: and its kinds: the machine does not tell.
    """
    first = _read(host, [memory.MEMINFO, memory.CGROUP])
    limits = memory.limit_files(first.get(memory.CGROUP, ""))
    files = [file for limit in limits for file in (limit, *memory.beside(limit))]
    # Asked for once more: that it comes shows that nothing else was lost on the way.
    texts = _read(host, [memory.MEMINFO, *files])
    return memory.memory_of(texts, limits)


def runtime_of(host: Host) -> Answer:
    """What the container runtime answered.

    Raises:
        CouldNotMeasure: the command cannot be started, hangs, or the machine is away.
    """
    command = [*host.run_on, *(host.runtime or [])]
    answer = ask(command, "ask the runtime", "see `runtime` in [deployment.host]",
                 timeout_s=_TIMEOUT_S)  # fmt: skip
    if answer.status != 0 and host.run_on:
        # A machine that is away says nothing about its runtime.
        run([*host.run_on, "true"], "reach the machine", _LOOK, timeout_s=_TIMEOUT_S)
    return answer


def version_in(answer: Answer, host: Host) -> str:
    """The version that the runtime tells.

    Raises:
        NoData: there is none in what it printed.
    """
    found = _VERSION.search(answer.output)
    if found:
        return found[0]
    said = clean(answer.output) or answer.said
    raise NoData(
        f"the runtime told no version: {said or 'it said nothing'}",
        where=shlex.join([*host.run_on, *(host.runtime or [])]),
        remedy="name a command that asks the runtime itself, and prints its version:"
        " docker info --format '{{.ServerVersion}}'",
    )


def as_numbers(version: str) -> tuple[int, ...]:
    """A version, to be compared: 20.10 is newer than 20.9, and as old as 20.10.0."""
    numbers = [int(number) for number in version.split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _statvfs(path: str) -> int:
    try:
        found = os.statvfs(path)
    except OSError as error:
        raise CouldNotMeasure(
            f"the file system cannot be asked: {error.strerror}",
            where=path,
            remedy="see `disk_paths` in [deployment.host]; on another machine: `run_on`",
        ) from None
    return found.f_bavail * found.f_frsize


def _df(command: Sequence[str]) -> int:
    printed = run(command, "ask for free space", _LOOK, timeout_s=_TIMEOUT_S)
    lines = printed.strip().splitlines()
    found = _DF.search(lines[-1]) if len(lines) > 1 else None
    if not found:
        raise NoData(
            f"df told nothing that can be read: {clean(printed)}", where=shlex.join(command)
        )
    return int(found[1]) * _KIB


def _read(host: Host, paths: Sequence[str]) -> Mapping[str, str]:
    """The contents of those files that there are."""
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
    """All at once. `grep` of everything: it tells which file a line is of, and goes on."""
    command = [*run_on, "grep", "-H", ".", *paths]
    answer = ask(command, "read what it has of memory", _LOOK, timeout_s=_TIMEOUT_S)
    found: dict[str, str] = {}
    for line in answer.output.splitlines():
        path, colon, text = line.partition(":")
        if colon and path in paths:
            found[path] = f"{found.get(path, '')}{text}\n"
    if memory.MEMINFO not in found:
        raise Unreachable(
            f"the machine does not tell what memory it has: {answer.said or 'no answer'}",
            where=shlex.join(command[: len(run_on) + 3]),
            remedy=_LOOK,
        )
    return found
