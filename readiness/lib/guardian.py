"""Undoes what must not outlive this process, even after `kill -9`, by a watchdog process."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol, Self

from readiness.lib import watchdog
from readiness.lib.watchdog import COMMAND_TIMEOUT_S
from readiness.model.errors import ReadinessError

_CLOSE_TIMEOUT_S: Final = 10.0
_UNDO_TIMEOUT_S: Final = 120.0


class Undo(Protocol):
    """Registers commands and processes, as `Guardian` does; a stand-in in tests."""

    def run(self, argv: Sequence[str], *, timeout_s: float = COMMAND_TIMEOUT_S) -> int:
        """Run this command if this process dies; returns a token for `forget`."""
        ...

    def kill(self, pid: int) -> int:
        """End this process group, by its leader, if this process dies; as for `run`."""
        ...

    def forget(self, token: int) -> None:
        """Unregister what is done."""
        ...


class Guardian:
    """Registers, in a watchdog process, what to undo when this process dies.

    Normally the owner undoes everything itself, calls `forget`, and ends with `close`. If it dies
    first, the watchdog undoes what is still registered, newest first: commands, then processes,
    then files and folders. Each registration returns a token for `forget`.
    """

    def __init__(self) -> None:
        self._id = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._last = 0
        inherited = {k: v for k, v in os.environ.items() if k != watchdog.GUARD_VARIABLE}
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", watchdog.__file__, self._id, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Not under an outer guardian, which would kill the watchdog before it is done.
            env=inherited,
            cwd="/",
            start_new_session=True,
        )

    @property
    def environ(self) -> dict[str, str]:
        """Variables for a child's environment, by which an unregistered child is found."""
        return {watchdog.GUARD_VARIABLE: self._id}

    def kill(self, pid: int, signal: int = signal.SIGTERM) -> int:
        """Register a process group by its leader: it gets the signal, and SIGKILL 5 s later."""
        return self._register(
            {"do": "kill", "pid": pid, "signal": int(signal), "born": watchdog.born(pid)}
        )

    def remove(self, path: Path) -> int:
        """Register a file or folder to remove."""
        return self._register({"do": "remove", "path": str(path.absolute())})

    def run(
        self,
        argv: Sequence[str],
        env: Mapping[str, str] | None = None,
        *,
        timeout_s: float = watchdog.COMMAND_TIMEOUT_S,
    ) -> int:
        """Register a command to run.

        Args:
            argv: the program and its arguments.
            env: variables on top of the environment as it was when the guardian started.
            timeout_s: seconds that it may take.
        """
        return self._register(
            {
                "do": "run",
                "argv": list(argv),
                "env": dict(env or {}),
                "cwd": str(Path.cwd()),
                "timeout_s": timeout_s,
            }
        )

    def forget(self, token: int) -> None:
        """Unregister one entry: it is undone, or should stay."""
        with contextlib.suppress(ReadinessError):  # a dead watchdog has no entries
            self._send({"do": "forget", "token": token})

    def close(self) -> None:
        """End the watchdog without undoing anything. May be called twice."""
        with contextlib.suppress(ReadinessError):
            self._send({"do": "done"})
        self._hang_up(_CLOSE_TIMEOUT_S)

    def undo(self) -> None:
        """Undo all entries now, as if this process had died, and wait until it is done.

        Raises:
            ReadinessError: it takes longer than two minutes.
        """
        self._hang_up(_UNDO_TIMEOUT_S)

    def _hang_up(self, timeout_s: float) -> None:
        pipe = self._process.stdin
        with self._lock, contextlib.suppress(OSError):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ReadinessError(
                f"the watchdog (process {self._process.pid}) did not finish within {timeout_s:g} s",
                remedy="look for leftover processes and folders, and end the watchdog: kill PID",
            ) from None

    def _register(self, entry: dict[str, object]) -> int:
        with self._lock:
            self._last += 1
            token = self._last
        self._send({**entry, "token": token})
        return token

    def _send(self, message: dict[str, object]) -> None:
        line = json.dumps(message).encode() + b"\n"
        pipe = self._process.stdin
        try:
            with self._lock:
                if pipe is None or pipe.closed:
                    raise BrokenPipeError
                pipe.write(line)
                pipe.flush()
        except OSError:
            raise ReadinessError(
                "the watchdog has died; nothing would be cleaned up after a crash",
                remedy="run again",
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
