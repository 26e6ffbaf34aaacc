"""Levers of the alerting: Alertmanager and its peers, the channels, the application's engine."""

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from readiness.areas.alerting.reference.gateway import READY, Gateway
from readiness.model.errors import ReferenceSystemError
from readiness.servers.files import kept, write_whole
from readiness.servers.levers import PEERS, POLL_S, Edit, Lever, ProgramLevers
from readiness.servers.processes import Daemon, free_port, request, request_json

CONFIG: Final = "alertmanager.yml"
SLACK_URL_FILE: Final = "slack_url"
"""Beside each Alertmanager's configuration, as a secret that each peer has a copy of."""

_OK: Final = 200
_PEERS_S: Final = 90.0
_GOSSIP_TIMEOUT_S: Final = 20.0


class AlertingLevers(ProgramLevers):
    """What can be broken in the alerting. Every method gives a context manager."""

    @property
    def drill_listener(self) -> str:
        """The URL at which a check listens for the webhook of the drills' receiver."""
        file = self._folder / PEERS[0] / CONFIG
        receivers = json.loads(file.read_text(encoding="utf-8"))["receivers"]
        drill = next(r for r in receivers if r["name"] == "readiness-drill")
        return str(drill["webhook_configs"][0]["url"])

    def edit_alertmanager(
        self, edit: Edit, *, peers: Sequence[str] = PEERS, loads: bool = True
    ) -> Lever:
        """Change Alertmanager's configuration at all peers or some, as `edit_prometheus` does."""
        files = {self._folder / peer / CONFIG: self._program(peer) for peer in peers}
        return self._edited(files, edit, loads=loads)

    @contextlib.contextmanager
    def gateway(self, *to: str, **faults: Sequence[str] | Sequence[int]) -> Iterator[str]:
        """Start a gateway with faults; gives its address. See `gateway.Gateway`."""
        plan = Gateway.model_validate({"to": to, **faults})
        inbox = self._program("inbox")
        daemon = Daemon(
            "gateway",
            lambda port: [
                sys.executable, "-m", "readiness.areas.alerting.reference.gateway", str(port),
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
        """Let an undeclared peer join the cluster of the two."""
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
        arguments = list(self._program(PEERS[1]).command(0))
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
        """Wait until each of our peers sees so many, or raise an error."""
        deadline = time.monotonic() + _PEERS_S
        ports = [self._program(peer).port for peer in PEERS]
        while any(_peers_seen(port) != count for port in ports):
            if time.monotonic() > deadline:
                raise ReferenceSystemError(f"not every peer sees {count}", where="/api/v2/status")
            time.sleep(POLL_S)

    @contextlib.contextmanager
    def stale_secret(self, peer: str) -> Iterator[None]:
        """Give one peer an old copy of Slack's secret address, at which no server listens."""
        file = self._folder / peer / SLACK_URL_FILE
        with kept(file):
            write_whole(file, b"http://127.0.0.1:9/old")
            yield

    def inbox_fault(self, channel: str, **fault: int | bool) -> Lever:
        """Give one channel of the inbox a fault: `status`, `delay_ms` or `loses`."""
        return self._faulty("inbox", {channel: fault}, key="faults")

    def pager_fault(self, **fault: bool) -> Lever:
        """Switch something of the application's alert engine off: see `pager.Fault`."""
        return self._faulty("pager", fault)

    @contextlib.contextmanager
    def _faulty(
        self, program: str, fault: Mapping[str, object], key: str | None = None
    ) -> Iterator[None]:
        port = self._program(program).port
        shown = request_json(port, "GET", "/_ctl")
        before = shown[key] if key else shown
        request_json(port, "POST", "/_ctl", {**before, **fault})
        try:
            yield
        finally:
            request_json(port, "POST", "/_ctl", before)

    @contextlib.contextmanager
    def silenced(self, labels: Mapping[str, str], *, days: int) -> Iterator[None]:
        """Silence alerts with these labels, at the first peer; gossip brings it to the others."""
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
        """Wait until every running peer has the end of the silence."""
        deadline = time.monotonic() + _GOSSIP_TIMEOUT_S
        for peer in PEERS:
            path, port = f"/api/v2/silence/{silence}", self._program(peer).port
            while _state(port, path) == "active":
                if time.monotonic() > deadline:
                    raise ReferenceSystemError("the silence does not end", where=peer)
                time.sleep(0.05)


def _state(port: int, path: str) -> str:
    status, body = request(port, "GET", path)
    return str(json.loads(body)["status"]["state"]) if status == _OK else ""


def _peers_seen(port: int) -> int:
    return len(request_json(port, "GET", "/api/v2/status")["cluster"]["peers"])
