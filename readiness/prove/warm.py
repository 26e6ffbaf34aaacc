"""Runs pytest in forks of a process that has imported everything: 0.3 s instead of 4 s of CPU.

Each run is a new process whose memory holds nothing but imported modules, so that it judges as
`readiness run` does, with nothing left over from the run before it. The process that is forked is
multiprocessing's fork server: a thread or an open file of the caller is not in it.
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
    """Starts pytest in a fork, in place of a new process. Several threads may share one."""

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
        """Interrupt what runs as Ctrl-C does, and start nothing more."""
        with self._lock:
            self._interrupted = True
            running, self._running = self._running, set()
        for child in running:
            child.send_signal(signal.SIGINT)


@cache
def _socket_guard() -> Guardian:
    """Has the folder of the fork server's socket removed, even if this process is killed."""
    guardian = Guardian()
    guardian.remove(Path(util.get_temp_dir()))
    atexit.register(guardian.close)  # an orderly end removes it itself
    return guardian


def shut_down() -> None:
    """End the process that is forked, where this one goes on; a later start begins a new one.

    They end with this process anyway: multiprocessing has no public way to end them sooner.
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
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, sig)


def _main(folder: Path, environ: Mapping[str, str], log: Path) -> None:
    """In the fork: what `python -m readiness.run.gate` does, in a session of its own."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for source, number in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, number)
    os.close(output)
    os.environ.clear()
    os.environ.update(environ)
    tempfile.tempdir = None  # it was found from the variables of another process
    from readiness.run import gate

    sys.argv = ["pytest", str(folder)]
    sys.exit(gate.main(folder))
