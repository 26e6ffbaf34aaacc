"""A private Alertmanager with its own folder and port, without a cluster."""

import contextlib
import http.client
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Final, Self

from readiness.lib.guardian import Guardian
from readiness.model.errors import ReadinessError, TookTooLong, Unreachable
from readiness.servers import programs
from readiness.servers.processes import free_port

_START_TIMEOUT_S: Final = 30.0
_STOP_TIMEOUT_S: Final = 5.0
_PORT_ATTEMPTS: Final = 5
_LOG_TAIL_BYTES: Final = 2000
_OK: Final = 200


class PrivateAlertmanager:
    """A running Alertmanager on 127.0.0.1. Made by `start`; use it as a context manager.

    Attributes:
        port: where it listens.
    """

    def __init__(self, folder: Path, guardian: Guardian) -> None:
        self.port = 0
        self._folder = folder
        self._guardian = guardian
        self._process: subprocess.Popen[bytes] | None = None
        self._token = 0

    @classmethod
    def start(cls, folder: Path, config: str, guardian: Guardian) -> Self:
        """Start one and wait until it answers.

        Args:
            folder: an empty one for its files, the caller's to remove.
            config: its configuration, as YAML.
            guardian: stops it when this process dies.

        Raises:
            Unreachable: there is no such program here, or it does not take that configuration.
            TookTooLong: it does not answer within 30 s.
        """
        try:
            program = programs.find(programs.ALERTMANAGER)
        except programs.AbsentError as problem:
            raise Unreachable(
                problem.message,
                where="PATH",
                remedy=f"{problem.remedy}, or put the `alertmanager` of the running version on"
                " PATH: https://prometheus.io/download/#alertmanager",
            ) from None
        server = cls(folder, guardian)
        (folder / "alertmanager.yml").write_text(config, encoding="utf-8")
        for _ in range(_PORT_ATTEMPTS):
            server.port = free_port()
            if server._comes_up(program):
                return server
        raise Unreachable("no free port on 127.0.0.1", remedy="see what listens: ss -ltn")

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """End it. May be called twice."""
        process, self._process = self._process, None
        if process is None:
            return
        # Its state is discarded, so it is killed at once.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_STOP_TIMEOUT_S)
        self._guardian.forget(self._token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _comes_up(self, program: str) -> bool:
        """Start it; False if its port was taken in the meantime."""
        self._spawn(program)
        deadline = time.monotonic() + _START_TIMEOUT_S
        try:
            while time.monotonic() < deadline:
                if self._process is None or self._process.poll() is not None:
                    return self._port_was_taken()
                if self._answers():
                    return True
                time.sleep(0.02)
        except BaseException:  # an interrupt must not leave it running
            self.stop()
            raise
        self.stop()
        raise TookTooLong(
            f"a private Alertmanager does not answer within {_START_TIMEOUT_S:g} s", where=self.url
        )

    def _spawn(self, program: str) -> None:
        with self._log().open("wb") as log:
            self._process = subprocess.Popen(
                [
                    program,
                    f"--config.file={self._folder / 'alertmanager.yml'}",
                    f"--storage.path={self._folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                    # Otherwise it waits for peers.
                    "--cluster.listen-address=",
                ],
                env={**_without_proxies(), **self._guardian.environ},
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._token = self._guardian.kill(self._process.pid, signal.SIGKILL)
        except ReadinessError:  # we are being stopped
            self.stop()
            raise

    def _port_was_taken(self) -> bool:
        tail = self._log().read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace")
        if "address already in use" in tail:
            return False
        errors = [line for line in tail.splitlines() if "err" in line] or tail.splitlines()
        raise Unreachable(
            f"a private Alertmanager does not start: {errors[-1][:400] if errors else 'no log'}",
            remedy="compare the version on PATH with the running one: alertmanager --version",
        )

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", "/-/ready")
            return connection.getresponse().status == _OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _log(self) -> Path:
        return self._folder / "alertmanager.log"


def _without_proxies() -> dict[str, str]:
    """Our environment without proxies: notifications must stay on this machine."""
    return {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
