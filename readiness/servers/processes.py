"""Programs of the reference system, each on its own port."""

import contextlib
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from readiness.lib.guardian import Guardian
from readiness.model.errors import ReadinessError, ReferenceSystemError

START_TIMEOUT_S: Final = 30.0
_STOP_TIMEOUT_S: Final = 10.0
_PORT_ATTEMPTS: Final = 3
_BODY_LIMIT_BYTES: Final = 1 << 22
_OK: Final = 200
_LOG_TAIL_BYTES: Final = 1500
# Below the range of outgoing connections (from 32768 on Linux, 49152 elsewhere): a server that is
# restarted must find its port free.
_FROM: Final = 15_000
_TO: Final = 32_000
_chance: Final = random.SystemRandom()


@dataclass(slots=True)
class Daemon:
    """One program that answers HTTP on 127.0.0.1.

    Attributes:
        name: its name in messages, and of its log.
        command: returns the command line for a port.
        folder: where its log goes.
        guardian: stops it when this process dies.
        ready_path: answers 200 once it is ready.
        environ: variables added to those of this process.
        port: where it listens, from `start` on.
        works_in: its working folder; default: `folder`.
        ended_by: the signal of the guardian; SIGKILL by default, as its files are removed anyway.
    """

    name: str
    command: Callable[[int], Sequence[str]]
    folder: Path
    guardian: Guardian
    ready_path: str = "/"
    environ: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    works_in: Path | None = None
    ended_by: int = signal.SIGKILL
    process: subprocess.Popen[bytes] | None = None
    _token: int = 0

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The id of its process; 0 if it does not run."""
        return self.process.pid if self.process else 0

    def start(self) -> Self:
        """Start it and wait until it answers; a restart uses the same port.

        Raises:
            ReferenceSystemError: it ended, or did not answer within 30 s.
        """
        for _ in range(_PORT_ATTEMPTS):
            port = self.port or free_port()
            if self._try(port):
                self.port = port
                return self
        raise ReferenceSystemError(
            f"{self.name} ended at once: {self._log_tail()}", where=str(self._log())
        )

    def stop(self, signal_number: int = signal.SIGTERM) -> None:
        """Stop it and its children; harmless when it has already ended."""
        process = self.process
        if process is None:
            return
        self.signal(signal.SIGCONT)
        self.signal(signal_number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_TIMEOUT_S)
        self.signal(signal.SIGKILL)
        process.wait(_STOP_TIMEOUT_S)
        self.process = None
        self.guardian.forget(self._token)

    def signal(self, number: int) -> None:
        """Send a signal to it and its children."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop it during the block."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Let it hang during the block: it accepts connections but does not answer."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def _try(self, port: int) -> bool:
        """Start it; False if it ended at once, for example because its port was taken."""
        self._spawn(port)
        deadline = time.monotonic() + START_TIMEOUT_S
        try:
            while time.monotonic() < deadline:
                if self.process is None or self.process.poll() is not None:
                    return False
                if _answers(port, self.ready_path):
                    return True
                time.sleep(0.05)
        except BaseException:  # an interrupt must not leave it running
            self.stop(signal.SIGKILL)
            raise
        self.stop(signal.SIGKILL)
        raise ReferenceSystemError(
            f"{self.name} does not answer within {START_TIMEOUT_S:g} s: {self._log_tail()}",
            where=f"http://127.0.0.1:{port}{self.ready_path}",
        )

    def _spawn(self, port: int) -> None:
        with self._log().open("ab") as log:
            self.process = subprocess.Popen(
                list(self.command(port)),
                env={**os.environ, **self.environ, **self.guardian.environ},
                cwd=self.works_in or self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self.pid_file.write_text(str(self.process.pid))
            self._token = self.guardian.kill(self.process.pid, self.ended_by)
        except (OSError, ReadinessError):  # we are being stopped: no folder, or no guardian
            self.signal(signal.SIGKILL)
            self.process.wait(_STOP_TIMEOUT_S)
            raise

    @property
    def pid_file(self) -> Path:
        """The file with its process id."""
        return self.folder / f"{self.name}.pid"

    def _log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def _log_tail(self) -> str:
        with contextlib.suppress(OSError):
            return self._log().read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip()
        return "no log"


def _answers(port: int, path: str) -> bool:
    try:
        return request(port, "GET", path)[0] == _OK
    except (OSError, http.client.HTTPException):
        return False


def request(
    port: int, method: str, path: str, body: object = None, timeout_s: float = 2.0
) -> tuple[int, bytes]:
    """Status and body of one request to 127.0.0.1, without a proxy.

    Raises:
        OSError: no answer in time.
        http.client.HTTPException: the answer is not HTTP.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        sent = None if body is None else json.dumps(body).encode()
        connection.request(method, path, sent, {"content-type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read(_BODY_LIMIT_BYTES)
    finally:
        connection.close()


def request_json(
    port: int, method: str, path: str, body: object = None, timeout_s: float = 2.0
) -> Any:
    """The JSON in the answer to one request to 127.0.0.1.

    Raises:
        ReferenceSystemError: the answer is not JSON with status 200.
    """
    try:
        status, answer = request(port, method, path, body, timeout_s)
        if status == _OK:
            return json.loads(answer)
    except (OSError, http.client.HTTPException, ValueError) as problem:
        status, answer = 0, str(problem).encode()
    raise ReferenceSystemError(
        f"answered {status}: {answer[:200].decode(errors='replace')}",
        where=f"{method} http://127.0.0.1:{port}{path}",
    )


def free_port() -> int:
    """A port that is free now; callers must retry, as another process may take it."""
    while True:
        port = _chance.randrange(_FROM, _TO)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
