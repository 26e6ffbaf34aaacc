"""Levers of the monitoring: programs that stop, and configurations that say something else."""

import contextlib
import http.client
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from readiness.areas.monitoring.reference.gateway import READY, Gateway
from readiness.areas.monitoring.reference.stack import CONFIG, DASHBOARD, PEERS
from readiness.areas.monitoring.reference.stack_config import SLACK_URL_FILE, Document
from readiness.lib.yaml_reader import Scalars, read_one
from readiness.model.errors import ReferenceSystemError
from readiness.servers.files import kept, write_whole
from readiness.servers.ports import free_port
from readiness.servers.processes import Daemon, request, request_json

_OK: Final = 200
_TIMEOUT_S: Final = 20.0
# Some scrapes and evaluations, and a window of 30 s.
_NOTICED_S: Final = 90.0
_POLL_S: Final = 0.3
_GOSSIP_TIMEOUT_S: Final = 20.0
# Prometheus finds its Alertmanagers within five seconds, and evaluates its rules each second.
_FOUND_S: Final = 10.0
_HANDED_OVER_S: Final = 3.0
Edit = Callable[[Document], object]


class MonitoringLevers:
    """What can be broken in the monitoring. Every method gives a context manager.

    Args:
        programs: those that run, by name.
        folder: where their configurations lie.
    """

    def __init__(self, programs: Mapping[str, Daemon], folder: Path) -> None:
        self._programs = programs
        self._folder = folder

    def program_url(self, name: str) -> str:
        """The address of one program.

        Raises:
            ReferenceSystemError: it does not run.
        """
        return self._program(name).url

    @property
    def drill_listener(self) -> str:
        """Where the webhook of the drills' receiver leads: to whichever check listens there."""
        file = self._folder / PEERS[0] / CONFIG
        receivers = json.loads(file.read_text(encoding="utf-8"))["receivers"]
        drill = next(r for r in receivers if r["name"] == "readiness-drill")
        return str(drill["webhook_configs"][0]["url"])

    def stop_program(self, name: str) -> AbstractContextManager[None]:
        """Stop one program of the monitoring, such as `prometheus`.

        Raises:
            ReferenceSystemError: it does not run.
        """
        return self._program(name).stopped()

    def pause_program(self, name: str) -> AbstractContextManager[None]:
        """Make one program hang: connections are accepted, and nothing answers.

        Raises:
            ReferenceSystemError: it does not run.
        """
        return self._program(name).paused()

    def edit_prometheus(self, edit: Edit, *, loads: bool = True) -> AbstractContextManager[None]:
        """Change Prometheus's configuration and reload it.

        Args:
            edit: changes the document in place.
            loads: whether Prometheus is to accept it; if not, it goes on with what it had.
        """
        file = self._folder / "prometheus.yml"
        return self._edited({file: self._program("prometheus")}, edit, loads=loads)

    def edit_rules(self, edit: Edit, *, loads: bool = True) -> AbstractContextManager[None]:
        """Change the alert rules and reload them; see `edit_prometheus`."""
        file = self._folder / "alerts.yml"
        return self._edited({file: self._program("prometheus")}, edit, loads=loads)

    def edit_alertmanager(
        self, edit: Edit, *, peers: Sequence[str] = PEERS, loads: bool = True
    ) -> AbstractContextManager[None]:
        """Change the configuration of Alertmanager, at all peers or some; see `edit_prometheus`."""
        files = {self._folder / peer / CONFIG: self._program(peer) for peer in peers}
        return self._edited(files, edit, loads=loads)

    @contextlib.contextmanager
    def gateway(
        self,
        *to: str,
        swallows: Sequence[int] = (),
        refuses: Sequence[str] = (),
        ignores: Sequence[str] = (),
        drops: Sequence[str] = (),
    ) -> Iterator[str]:
        """Start a gateway that gets something wrong; gives its address. See `gateway.Gateway`."""
        plan = Gateway(
            to=list(to),
            swallows=list(swallows),
            refuses=list(refuses),
            ignores=list(ignores),
            drops=list(drops),
        )
        inbox = self._program("inbox")
        daemon = Daemon(
            "gateway",
            lambda port: [
                sys.executable, "-m", "readiness.areas.monitoring.reference.gateway", str(port),
                plan.model_dump_json(),
            ],
            self._folder,
            inbox.guardian,
            READY,
        ).start()  # fmt: skip
        try:
            yield daemon.url
        finally:
            daemon.stop()

    @contextlib.contextmanager
    def third_peer(self) -> Iterator[None]:
        """Let a peer that nobody declared join the cluster of the two."""
        known = self._program(PEERS[1])
        arguments = list(known.command(0))
        joined = next(a for a in arguments if a.startswith("--cluster.listen-address="))
        address = joined.partition("=")[2]
        gossip = f"127.0.0.1:{free_port()}"
        own = ("--cluster.", "--web.listen-address=", "--storage.path=")
        kept_as_they_are = [a for a in arguments if not a.startswith(own)]
        daemon = Daemon(
            "alertmanager_3",
            lambda port: [
                *kept_as_they_are,
                f"--web.listen-address=127.0.0.1:{port}",
                f"--storage.path={self._folder / 'alertmanager_3'}",
                f"--cluster.listen-address={gossip}",
                f"--cluster.advertise-address={gossip}",
                f"--cluster.peer={address}",
            ],
            self._folder,
            known.guardian,
            "/-/ready",
            works_in=known.works_in,
        ).start()
        try:
            self._await_peers(len(PEERS) + 1)
            yield
        finally:
            daemon.stop()
            self._await_peers(len(PEERS))

    @contextlib.contextmanager
    def isolated_peer(self) -> Iterator[None]:
        """Let the second peer neither find the first one nor be found by it."""
        peer = self._program(PEERS[1])
        arguments = list(peer.command(0))
        other, listens = (
            next(argument for argument in arguments if argument.startswith(f"--cluster.{name}="))
            for name in ("peer", "listen-address")
        )
        elsewhere = f"--cluster.listen-address=127.0.0.1:{free_port()}"
        with (
            self.with_argument(PEERS[1], other, "--cluster.peer=127.0.0.1:9"),
            self.with_argument(PEERS[1], listens, elsewhere),
        ):
            self._await_peers(1)
            yield
        self._await_peers(len(PEERS))

    def _await_peers(self, count: int) -> None:
        """Wait until each of our peers sees so many.

        Raises:
            ReferenceSystemError: one does not, in time.
        """
        deadline = time.monotonic() + _NOTICED_S
        ports = [self._program(peer).port for peer in PEERS]
        while any(_peers_seen(port) != count for port in ports):
            if time.monotonic() > deadline:
                raise ReferenceSystemError(f"not every peer sees {count}", where="/api/v2/status")
            time.sleep(_POLL_S)

    @contextlib.contextmanager
    def stale_secret(self, peer: str) -> Iterator[None]:
        """Let one peer have an old copy of Slack's secret address: nobody answers there."""
        file = self._folder / peer / SLACK_URL_FILE
        with kept(file):
            write_whole(file, b"http://127.0.0.1:9/old")
            yield

    @contextlib.contextmanager
    def inbox_fault(self, channel: str, **fault: int | bool) -> Iterator[None]:
        """Give one channel of the inbox a fault: `status`, `delay_ms` or `loses`."""
        port = self._program("inbox").port
        before = request_json(port, "GET", "/_ctl")["faults"]
        request_json(port, "POST", "/_ctl", {**before, channel: fault})
        try:
            yield
        finally:
            request_json(port, "POST", "/_ctl", before)

    @contextlib.contextmanager
    def pager_fault(self, **fault: bool) -> Iterator[None]:
        """Let the alert engine of the application get something wrong: see `pager.Fault`."""
        port = self._program("pager").port
        before = request_json(port, "GET", "/_ctl")
        request_json(port, "POST", "/_ctl", {**before, **fault})
        try:
            yield
        finally:
            request_json(port, "POST", "/_ctl", before)

    def await_series(self, expression: str, within_s: float = _NOTICED_S) -> None:
        """Wait until a query of Prometheus gives a series.

        Raises:
            ReferenceSystemError: it does not, in time.
        """
        asked = urlencode({"query": expression})
        self.await_answer(
            f"/api/v1/query?{asked}", lambda found: bool(found["data"]["result"]), within_s
        )

    def await_targets(self, good: Callable[[list[Document]], bool]) -> None:
        """Wait until the active targets of Prometheus are as they must be.

        Raises:
            ReferenceSystemError: they are not, in time.
        """
        self.await_answer(
            "/api/v1/targets?state=active", lambda found: good(found["data"]["activeTargets"])
        )

    def await_answer(
        self, path: str, good: Callable[[Any], bool], within_s: float = _NOTICED_S
    ) -> None:
        """Wait until Prometheus answers a GET as it must.

        Raises:
            ReferenceSystemError: it does not, in time.
        """
        port = self._program("prometheus").port
        deadline = time.monotonic() + within_s
        while not good(request_json(port, "GET", path, timeout_s=_TIMEOUT_S)):
            if time.monotonic() > deadline:
                raise ReferenceSystemError(f"did not come true within {within_s:g} s", where=path)
            time.sleep(_POLL_S)

    @contextlib.contextmanager
    def told(self, name: str, **fault: object) -> Iterator[None]:
        """Give a server of our own a fault: `error_tracker`, `grafana` or `site`."""
        port = self._program(name).port
        before = request_json(port, "GET", "/_ctl")
        request_json(port, "POST", "/_ctl", fault, timeout_s=_TIMEOUT_S)
        try:
            yield
        finally:
            healthy = before.get("door", before)
            request_json(port, "POST", "/_ctl", healthy, timeout_s=_TIMEOUT_S)

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
    def edit_dashboard(self, edit: Edit) -> Iterator[None]:
        """Change the file of the dashboard; Grafana has read it already."""
        file = self._folder / DASHBOARD
        with kept(file):
            document = json.loads(file.read_bytes())
            edit(document)
            write_whole(file, json.dumps(document).encode())
            yield

    @contextlib.contextmanager
    def silenced(self, labels: Mapping[str, str], *, days: int) -> Iterator[None]:
        """Silence alerts with these labels, at the peer that runs; the others hear of it."""
        port = self._program(PEERS[0]).port
        now = datetime.now(UTC)
        silence = {
            "matchers": [
                {"name": name, "value": value, "isRegex": False} for name, value in labels.items()
            ],
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(days=days)).isoformat(),
            "createdBy": "ops",
            "comment": "deployment",
        }
        made = request_json(port, "POST", "/api/v2/silences", silence)
        try:
            yield
        finally:
            request(port, "DELETE", f"/api/v2/silence/{made['silenceID']}")
            self._wait_unsilenced(made["silenceID"])

    def _wait_unsilenced(self, silence: str) -> None:
        """Wait until every peer that runs has heard that the silence is over."""
        deadline = time.monotonic() + _GOSSIP_TIMEOUT_S
        for peer in PEERS:
            path, port = f"/api/v2/silence/{silence}", self._program(peer).port
            while _state(port, path) == "active":
                if time.monotonic() > deadline:
                    raise ReferenceSystemError("the silence does not end", where=peer)
                time.sleep(0.05)

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

        When it reads its configuration it forgets them for up to five seconds, and drops what it
        has to say: the peers take the Watchdog for resolved then, so that the dead man's switch
        would look broken by whatever fault reloads Prometheus. Where the fault is that nobody is
        notified, it is waited for no longer than it would take.
        """
        if program is not self._programs.get("prometheus"):
            return
        document = json.loads((self._folder / "prometheus.yml").read_text(encoding="utf-8"))
        known = {f"http://{target}/api/v2/alerts" for target in _alertmanagers(document)}
        deadline = time.monotonic() + _FOUND_S
        while not known <= _active(program.port) and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        since = datetime.now(UTC)
        ports = [program.port for name, program in self._programs.items() if name in PEERS]
        notified = [port for port in ports if f"http://127.0.0.1:{port}/api/v2/alerts" in known]
        deadline = time.monotonic() + _HANDED_OVER_S
        while not all(_has_news(port, since) for port in notified):
            if time.monotonic() > deadline:
                return
            time.sleep(_POLL_S)

    def _program(self, name: str) -> Daemon:
        try:
            return self._programs[name]
        except KeyError:
            raise ReferenceSystemError(f"{name} does not run here") from None


def _alertmanagers(document: Document) -> list[str]:
    """The addresses of the Alertmanagers in a configuration of Prometheus."""
    groups = document.get("alerting", {}).get("alertmanagers", [])
    configs = [config for group in groups for config in group.get("static_configs", [])]
    return [target for config in configs for target in config["targets"]]


def _active(port: int) -> set[str]:
    """The addresses at which Prometheus notifies."""
    found = request_json(port, "GET", "/api/v1/alertmanagers", timeout_s=_TIMEOUT_S)
    return {peer["url"] for peer in found["data"]["activeAlertmanagers"]}


def _has_news(port: int, since: datetime) -> bool:
    """Whether an Alertmanager was notified of the Watchdog since then, or does not answer."""
    asked = urlencode({"filter": 'alertname="Watchdog"'})
    try:
        alerts = request_json(port, "GET", f"/api/v2/alerts?{asked}")
    except ReferenceSystemError:
        return True
    return any(datetime.fromisoformat(alert["updatedAt"]) >= since for alert in alerts)


def _state(port: int, path: str) -> str:
    status, body = request(port, "GET", path)
    return str(json.loads(body)["status"]["state"]) if status == _OK else ""


def _peers_seen(port: int) -> int:
    return len(request_json(port, "GET", "/api/v2/status")["cluster"]["peers"])


def _post_reload(program: Daemon, *, loads: bool) -> None:
    """Let a program read its configuration again.

    Raises:
        ReferenceSystemError: it was to accept it and did not, or the other way round.
    """
    try:
        status, body = request(program.port, "POST", "/-/reload", timeout_s=_TIMEOUT_S)
    except (OSError, http.client.HTTPException) as problem:
        status, body = 0, str(problem).encode()
    if (status == _OK) is not loads:
        raise ReferenceSystemError(
            f"{program.name} answered {status}: {body[:300].decode(errors='replace').strip()}",
            where="POST /-/reload",
        )
