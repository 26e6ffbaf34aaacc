"""What the levers of several areas share: running programs and their configurations."""

import contextlib
import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from readiness.lib.yaml_reader import Scalars, read_one
from readiness.model.errors import ReferenceSystemError
from readiness.servers.files import Document, kept, write_whole
from readiness.servers.processes import Daemon, request, request_json

Lever = AbstractContextManager[None]
Edit = Callable[[Document], object]

PEERS: Final = ("alertmanager", "alertmanager_2")
TIMEOUT_S: Final = 20.0
POLL_S: Final = 0.3
_OK: Final = 200
# Prometheus finds its Alertmanagers within five seconds, and evaluates its rules each second.
_FOUND_S: Final = 10.0
_HANDED_OVER_S: Final = 3.0


class ProgramLevers:
    """What can be broken in the programs that run next to the target.

    Args:
        programs: the running programs, by name.
        folder: the folder with their configurations.
    """

    def __init__(self, programs: Mapping[str, Daemon], folder: Path) -> None:
        self._programs = programs
        self._folder = folder

    def program_url(self, name: str) -> str:
        """The address of one program.

        Raises:
            ReferenceSystemError: it is not running.
        """
        return self._program(name).url

    def stop_program(self, name: str) -> Lever:
        """Stop one program of the monitoring, such as `prometheus`.

        Raises:
            ReferenceSystemError: it is not running.
        """
        return self._program(name).stopped()

    def pause_program(self, name: str) -> Lever:
        """Make one program hang: connections are accepted, and nothing answers.

        Raises:
            ReferenceSystemError: it is not running.
        """
        return self._program(name).paused()

    @contextlib.contextmanager
    def with_argument(self, name: str, old: str, new: str) -> Iterator[None]:
        """Run a program with another argument on its command line.

        Raises:
            ReferenceSystemError: it has no such argument.
        """
        program = self._program(name)
        before = program.command

        def changed(port: int) -> list[str]:
            arguments = list(before(port))
            if old not in arguments:
                raise ReferenceSystemError(f"{name} has no argument {old}")
            return [new if argument == old else argument for argument in arguments]

        try:
            with program.stopped():
                program.command = changed
            self._await_notifying(program)
            yield
        finally:
            with program.stopped():
                program.command = before
            self._await_notifying(program)

    @contextlib.contextmanager
    def _edited(self, files: Mapping[Path, Daemon], edit: Edit, *, loads: bool) -> Iterator[None]:
        try:
            with contextlib.ExitStack() as stack:
                for file, program in files.items():
                    stack.enter_context(kept(file))
                    document: Any = read_one(file.read_text(encoding="utf-8"), Scalars.GO_V2)
                    edit(document)
                    write_whole(file, json.dumps(document, indent=2).encode())
                    self._reload(program, loads=loads)
                yield
        finally:
            for program in files.values():
                self._reload(program, loads=True)

    def _reload(self, program: Daemon, *, loads: bool) -> None:
        _post_reload(program, loads=loads)
        if loads:
            self._await_notifying(program)

    def _await_notifying(self, program: Daemon) -> None:
        """Wait until Prometheus, if it is this program, notifies its Alertmanagers again.

        After a reload it has no Alertmanagers for up to five seconds, and drops notifications: the
        peers would consider the Watchdog resolved, and every fault that reloads Prometheus would
        also break the dead man's switch. If the fault is that no peer is notified, the wait ends
        after the time it would normally take.
        """
        if program is not self._programs.get("prometheus"):
            return
        document = json.loads((self._folder / "prometheus.yml").read_text(encoding="utf-8"))
        known = {f"http://{target}/api/v2/alerts" for target in _alertmanagers(document)}
        deadline = time.monotonic() + _FOUND_S
        while not known <= _active(program.port) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        since = datetime.now(UTC)
        ports = [program.port for name, program in self._programs.items() if name in PEERS]
        notified = [port for port in ports if f"http://127.0.0.1:{port}/api/v2/alerts" in known]
        deadline = time.monotonic() + _HANDED_OVER_S
        while not all(_has_news(port, since) for port in notified):
            if time.monotonic() > deadline:
                return
            time.sleep(POLL_S)

    def _program(self, name: str) -> Daemon:
        try:
            return self._programs[name]
        except KeyError:
            raise ReferenceSystemError(f"{name} is not running") from None


def _alertmanagers(document: Document) -> list[str]:
    """The addresses of the Alertmanagers in a configuration of Prometheus."""
    groups = document.get("alerting", {}).get("alertmanagers", [])
    configs = [config for group in groups for config in group.get("static_configs", [])]
    return [target for config in configs for target in config["targets"]]


def _active(port: int) -> set[str]:
    """The addresses that Prometheus notifies."""
    found = request_json(port, "GET", "/api/v1/alertmanagers", timeout_s=TIMEOUT_S)
    return {peer["url"] for peer in found["data"]["activeAlertmanagers"]}


def _has_news(port: int, since: datetime) -> bool:
    """Whether an Alertmanager was notified of the Watchdog since then, or does not answer."""
    asked = urlencode({"filter": 'alertname="Watchdog"'})
    try:
        alerts = request_json(port, "GET", f"/api/v2/alerts?{asked}")
    except ReferenceSystemError:
        return True
    return any(datetime.fromisoformat(alert["updatedAt"]) >= since for alert in alerts)


def _post_reload(program: Daemon, *, loads: bool) -> None:
    """Let a program reload its configuration.

    Raises:
        ReferenceSystemError: it rejected what it should accept, or the reverse.
    """
    try:
        status, body = request(program.port, "POST", "/-/reload", timeout_s=TIMEOUT_S)
    except (OSError, http.client.HTTPException) as problem:
        status, body = 0, str(problem).encode()
    if (status == _OK) is not loads:
        raise ReferenceSystemError(
            f"{program.name} answered {status}: {body[:300].decode(errors='replace').strip()}",
            where="POST /-/reload",
        )
