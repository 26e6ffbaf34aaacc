"""Levers of the monitoring: what Prometheus scrapes and answers, and what a dashboard shows."""

import contextlib
import http.client
import json
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from readiness.areas.monitoring.reference.watched import DASHBOARD
from readiness.model.errors import ReferenceSystemError
from readiness.model.fault import Fault, fault
from readiness.servers.files import Document, kept, write_whole
from readiness.servers.levers import POLL_S, TIMEOUT_S, Edit, Lever, ProgramLevers
from readiness.servers.processes import request_json

_CLOCK: Final = b"query=time%28%29"
_FLAGS: Final = "/api/v1/status/flags"
_TARGETS: Final = "/api/v1/targets"
_TIMEOUT_S: Final = 30.0
# Some scrapes and evaluations, and a window of 30 s.
_NOTICED_S: Final = 90.0
_Page = tuple[int, str, bytes]
_Change = Callable[[str, bytes, Any], None]
"""Changes an answer in place: the path, the body of the request, and the `data` of the answer."""


def noticed_fault(
    name: str,
    story: str,
    misses: Mapping[str, Iterable[str]],
    lever: Callable[[Any], Lever],
    *,
    noticed: str,
    gone: str,
) -> Fault:
    """A fault that lasts from when Prometheus has noticed it until nothing of it is left.

    Args:
        name: the name of the variable it is kept in.
        story: what is broken, as one sentence.
        misses: see `fault`.
        lever: takes the lever from the levers of the system.
        noticed: a query that returns a series once Prometheus has noticed the fault.
        gone: a query that returns a series once nothing of it is left.
    """

    @contextlib.contextmanager
    def apply(system: Any) -> Iterator[None]:
        with lever(system.levers):
            system.levers.await_series(noticed)
            yield
        system.levers.await_series(gone)

    apply.__name__ = name
    return fault(story=story, misses=misses)(apply)


class MonitoringLevers(ProgramLevers):
    """What can be broken in the monitoring; methods that return a `Lever` restore it at its end."""

    @abstractmethod
    def replace_in_config(self, old: str, new: str) -> Lever:
        """Replace a text in the system's readiness.toml; the whole system provides this."""

    def edit_prometheus(self, edit: Edit, *, loads: bool = True) -> Lever:
        """Change Prometheus's configuration and reload it.

        Args:
            edit: changes the document in place.
            loads: whether Prometheus must accept it; otherwise it must keep the old one.
        """
        file = self._folder / "prometheus.yml"
        return self._edited({file: self._program("prometheus")}, edit, loads=loads)

    @contextlib.contextmanager
    def scrape_a_copy(self, job: str) -> Iterator[int]:
        """Let Prometheus scrape, in place of a job's target, a server that repeats its metrics."""
        found: dict[str, str] = {}

        def point_to(port: int) -> Edit:
            def edit(document: Any) -> None:
                (own,) = (each for each in document["scrape_configs"] if each["job_name"] == job)
                labels = {"instance": found["place"]}
                own["static_configs"] = [{"targets": [f"127.0.0.1:{port}"], "labels": labels}]

            return edit

        targets = request_json(self._program("prometheus").port, "GET", _TARGETS)
        for target in targets["data"]["activeTargets"]:
            if target["scrapePool"] == job:
                found = {"place": target["labels"]["instance"], "url": target["scrapeUrl"]}
        place = urlsplit(found["url"])
        page = _passed_on(place.port or 80, "GET", place.path, b"")
        with _serving(lambda *_: page) as port, self.edit_prometheus(point_to(port)):
            yield port

    def edit_rules(self, edit: Edit, *, loads: bool = True) -> Lever:
        """Change the alert rules and reload them; see `edit_prometheus`."""
        file = self._folder / "alerts.yml"
        return self._edited({file: self._program("prometheus")}, edit, loads=loads)

    def await_series(self, expression: str, within_s: float = _NOTICED_S) -> None:
        """Wait until a query of Prometheus returns a series.

        Raises:
            ReferenceSystemError: it does not within that time.
        """
        asked = urlencode({"query": expression})
        self.await_answer(
            f"/api/v1/query?{asked}", lambda found: bool(found["data"]["result"]), within_s
        )

    def await_targets(self, good: Callable[[list[Document]], bool]) -> None:
        """Wait until the active targets of Prometheus meet a condition.

        Raises:
            ReferenceSystemError: they do not within 90 s.
        """
        self.await_answer(
            "/api/v1/targets?state=active", lambda found: good(found["data"]["activeTargets"])
        )

    def await_answer(
        self, path: str, good: Callable[[Any], bool], within_s: float = _NOTICED_S
    ) -> None:
        """Wait until the answer of Prometheus to a GET meets a condition.

        Raises:
            ReferenceSystemError: it does not within that time.
        """
        port = self._program("prometheus").port
        deadline = time.monotonic() + within_s
        while not good(request_json(port, "GET", path, timeout_s=TIMEOUT_S)):
            if time.monotonic() > deadline:
                raise ReferenceSystemError(
                    f"the condition was not met within {within_s:g} s", where=path
                )
            time.sleep(POLL_S)

    @contextlib.contextmanager
    def server_fault(self, name: str, **broken: object) -> Iterator[None]:
        """Give one of our own servers, as `grafana` or `ci_server`, a fault."""
        port = self._program(name).port
        before = request_json(port, "GET", "/_ctl")
        request_json(port, "POST", "/_ctl", broken, timeout_s=TIMEOUT_S)
        try:
            yield
        finally:
            healthy = before.get("answers", before)
            request_json(port, "POST", "/_ctl", healthy, timeout_s=TIMEOUT_S)

    @contextlib.contextmanager
    def edit_dashboard(self, edit: Edit) -> Iterator[None]:
        """Change the file of the dashboard; Grafana keeps the one that it has read."""
        file = self._folder / DASHBOARD
        with kept(file):
            document = json.loads(file.read_bytes())
            edit(document)
            write_whole(file, json.dumps(document).encode())
            yield

    def prometheus_clock_ahead(self, seconds: float) -> Lever:
        """Configure a Prometheus whose clock is ahead."""

        def ahead(_: str, asked: bytes, data: Any) -> None:
            if asked == _CLOCK:
                when, value = data["result"]
                data["result"] = [when + seconds, str(float(value) + seconds)]

        return self._answering_otherwise(ahead)

    def prometheus_scraped_before(self, job: str, seconds: float) -> Lever:
        """Configure a Prometheus whose last scrape of a job is that much older."""

        def before(path: str, _: bytes, data: Any) -> None:
            for target in data["activeTargets"] if path.startswith(_TARGETS) else ():
                if target["scrapePool"] == job:
                    last = datetime.fromisoformat(target["lastScrape"])
                    target["lastScrape"] = (last - timedelta(seconds=seconds)).isoformat()

        return self._answering_otherwise(before)

    def prometheus_flag(self, name: str, value: str) -> Lever:
        """Configure a Prometheus that was started with another value of a flag."""

        def other(path: str, _: bytes, data: Any) -> None:
            if path.startswith(_FLAGS):
                data[name] = value

        return self._answering_otherwise(other)

    @contextlib.contextmanager
    def _answering_otherwise(self, edit: _Change) -> Iterator[None]:
        program = self._program("prometheus")
        with (
            _proxy(program.port, edit) as url,
            self.replace_in_config(f'"{program.url}"', f'"{url}"'),
        ):
            yield


@contextlib.contextmanager
def _proxy(port: int, edit: _Change) -> Iterator[str]:
    """A proxy in front of Prometheus that changes its answers."""

    def answer(method: str, path: str, asked: bytes) -> _Page:
        status, content_type, body = _passed_on(port, method, path, asked)
        if content_type.startswith("application/json"):
            document = json.loads(body)
            edit(path, asked, document.get("data"))
            body = json.dumps(document).encode()
        return status, content_type, body

    with _serving(answer) as own:
        yield f"http://127.0.0.1:{own}"


@contextlib.contextmanager
def _serving(answer: Callable[[str, str, bytes], _Page]) -> Iterator[int]:
    """A server on the port that it gives; `answer` takes the method, the path and the body."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(answer))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(answer: Callable[[str, str, bytes], _Page]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, content_type, body = answer(self.command, self.path, asked)
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - theirs

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - theirs
            """Log nothing."""

    return Handler


def _passed_on(port: int, method: str, path: str, body: bytes) -> _Page:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        headers = {"content-type": "application/x-www-form-urlencoded"} if body else {}
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type", ""), answer.read()
    finally:
        connection.close()
