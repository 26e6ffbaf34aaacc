"""Runs pytest in forks of a process that has imported everything: 0.3 s instead of 4 s of CPU.

Each run is a new process that holds only imported modules, so it judges like `readiness run`. The
forked process is multiprocessing's fork server, which has no threads or open files of the caller.
"""

import atexit
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from multiprocessing import forkserver, resource_tracker, util
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final

from readiness.lib.guardian import Guardian
from readiness.model.errors import ReadinessError

_LOADED: Final = "readiness.prove.warm_modules"


class Warm:
    """Starts pytest in a fork instead of a new process. Several threads may share one."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([_LOADED])
        self._running: set[Forked] = set()
        self._interrupted = False
        self._lock = threading.Lock()

    def start(self, folder: Path, environ: Mapping[str, str], log: Path) -> "Forked":
        """Start `readiness.run.gate`; see `run.Start`.

        Raises:
            ReadinessError: `interrupt` was called.
        """
        process = self._context.Process(target=_main, args=(folder, dict(environ), log))
        with self._lock:
            if self._interrupted:
                raise ReadinessError("interrupted")
            _socket_guard()
            process.start()
            child = Forked(process)
            self._running = {other for other in self._running if other.poll() is None} | {child}
        return child

    def interrupt(self) -> None:
        """Interrupt running forks as Ctrl-C does, and start no more."""
        with self._lock:
            self._interrupted = True
            running, self._running = self._running, set()
        for child in running:
            child.send_signal(signal.SIGINT)


@cache
def _socket_guard() -> Guardian:
    """A guardian that removes the folder of the fork server's socket after a kill."""
    guardian = Guardian()
    guardian.remove(Path(util.get_temp_dir()))
    atexit.register(guardian.close)  # a normal exit removes it
    return guardian


def shut_down() -> None:
    """End the fork server; a later start begins a new one.

    It would end with this process; multiprocessing has no public way to end it sooner.
    """
    forkserver._forkserver._stop()  # type: ignore[attr-defined]  # noqa: SLF001
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]  # noqa: SLF001
    util._run_finalizers()  # type: ignore[attr-defined]  # noqa: SLF001 - the socket's folder
    if _socket_guard.cache_info().currsize:
        _socket_guard().close()
        _socket_guard.cache_clear()


class Forked:
    """A forked process; see `run.Child`."""

    def __init__(self, process: BaseProcess) -> None:
        self._process = process
        self.pid: Final = process.pid or 0

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    def wait(self) -> int:
        """The exit code, once it has ended."""
        self._process.join()
        return self._process.exitcode or 0

    def send_signal(self, sig: int, /) -> None:
        """Send a signal unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sig)


def _main(folder: Path, environ: Mapping[str, str], log: Path) -> None:
    """Runs in the fork: `python -m readiness.run.gate`, in its own session."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for source, number in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, number)
    os.close(output)
    os.environ.clear()
    os.environ.update(environ)
    tempfile.tempdir = None  # computed from the variables of another process
    from readiness.run import gate

    sys.argv = ["pytest", str(folder)]
    sys.exit(gate.main(folder))
