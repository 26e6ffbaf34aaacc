"""The watchdog's program: undoes what its owner registered, once the owner is gone.

`readiness.lib.guardian` starts this file by its path, isolated: it runs within milliseconds, needs
nothing but the standard library, and works whatever became of the owner's environment.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, Final

GUARD_VARIABLE: Final = "READINESS_GUARD"
COMMAND_TIMEOUT_S: Final = 30.0
GRACE_S: Final = 5.0
_LATE_S: Final = 0.5
_PROC: Final = Path("/proc")
_POLL_S: Final = 0.02


def born(pid: int) -> str | None:
    """When a process started, in the kernel's clock ticks; None if unknown."""
    fields = _stat(pid)
    return fields[19] if fields else None


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on (the name before it may hold blanks)."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _pids() -> Iterator[int]:
    with contextlib.suppress(OSError):
        for entry in _PROC.iterdir():
            if entry.name.isdigit():
                yield int(entry.name)


def group_runs(pgid: int) -> bool:
    """Whether a process group has a member that is not a zombie."""
    try:
        os.killpg(pgid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _PROC.is_dir() or _any_group_runs([pgid])


def _any_group_runs(pgids: Collection[int]) -> bool:
    """The same for several groups, with one pass over all processes."""
    if not _PROC.is_dir():
        return any(map(group_runs, pgids))
    wanted = {str(pgid) for pgid in pgids}
    stats = map(_stat, _pids())
    return any(s[2] in wanted and s[0] not in "ZX" for s in stats if len(s) > 2)  # noqa: PLR2004


def guarded(guard: str) -> list[int]:
    """The running processes that were started with this guard's id in their environment."""
    return marked(GUARD_VARIABLE, guard)


def marked(variable: str, value: str) -> list[int]:
    """The running processes, except this one, that have this variable in their environment."""
    mark = f"{variable}={value}".encode()
    found = []
    for pid in _pids():
        with contextlib.suppress(OSError):
            if mark in (_PROC / str(pid) / "environ").read_bytes().split(b"\0"):
                found.append(pid)
    return [pid for pid in found if pid != os.getpid()]


def _wait_until(done: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _run(entry: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        process = subprocess.Popen(
            entry["argv"],
            env={**os.environ, **(entry["env"] or {})},
            cwd=entry["cwd"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            process.wait(entry["timeout_s"])
        except subprocess.TimeoutExpired:
            _signal_group(process.pid, signal.SIGKILL)
            process.wait(GRACE_S)


def _signal_group(pgid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pgid, number)


def _is_still(entry: dict[str, Any]) -> bool:
    """Whether the number still means the registered process, or the group that it left behind."""
    now = born(entry["pid"])
    return now is None or entry["born"] is None or now == entry["born"]


def _end_groups(entries: list[dict[str, Any]]) -> None:
    entries = [entry for entry in entries if _is_still(entry)]
    for entry in entries:
        _signal_group(entry["pid"], entry["signal"])
        # A stopped process sees no signal but SIGKILL until it is continued.
        _signal_group(entry["pid"], signal.SIGCONT)
    pgids = [entry["pid"] for entry in entries]
    if _wait_until(lambda: not _any_group_runs(pgids), GRACE_S):
        return
    for pgid in filter(group_runs, pgids):
        _signal_group(pgid, signal.SIGKILL)
    _wait_until(lambda: not _any_group_runs(pgids), GRACE_S)


def _end_guarded(guard: str, *, orphaned: bool) -> None:
    """End what was started under the guard and is not registered.

    A process that a killed owner was just starting may get its mark after our first look.
    """
    if orphaned:
        _wait_until(lambda: bool(guarded(guard)), _LATE_S)
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL):
        pids = guarded(guard)
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
                os.kill(pid, signal.SIGCONT)
        _wait_until(lambda: not guarded(guard), GRACE_S / 2)


def remove(path: Path) -> None:
    """Remove a file, a link (not what it points to) or a folder with all in it."""
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
        return
    for _ in range(3):  # a dying process may still write while we sweep
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            return
        time.sleep(_POLL_S)


def undo(entries: list[dict[str, Any]], guard: str, *, orphaned: bool = False) -> None:
    """Undo the entries (oldest first), beginning with the newest: commands, processes, folders.

    Args:
        entries: what was registered.
        guard: the id in the environment of what was started.
        orphaned: whether the owner died; else it waits for us.
    """
    newest_first = entries[::-1]
    for entry in newest_first:
        if entry["do"] == "run":
            _run(entry)
    _end_groups([entry for entry in newest_first if entry["do"] == "kill"])
    _end_guarded(guard, orphaned=orphaned)
    for entry in newest_first:
        if entry["do"] == "remove":
            with contextlib.suppress(OSError):
                remove(Path(entry["path"]))


def _lines(owner: int) -> Iterator[bytes]:
    """The owner's lines, until it is gone.

    End of file says so, and so does a new parent: a fork of the owner may hold the pipe open.
    """
    rest = b""
    while True:
        orphaned = os.getppid() != owner
        if not select.select([0], [], [], 1.0)[0]:
            if orphaned:
                return
            continue
        chunk = os.read(0, 65536)
        if not chunk:
            return
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def main(guard: str, owner: int) -> None:
    """Listen to the owner; undo what is registered when it is gone without a `done`."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    entries: dict[int, dict[str, Any]] = {}
    for line in _lines(owner):
        message = json.loads(line)
        if message["do"] == "done":
            return
        if message["do"] == "forget":
            entries.pop(message["token"], None)
        else:
            entries[message["token"]] = message
    undo(list(entries.values()), guard, orphaned=os.getppid() != owner)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
