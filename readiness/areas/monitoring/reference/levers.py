"""A Prometheus that answers differently: a proxy that changes one kind of its answers."""

import contextlib
import http.client
import json
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import urlencode

from readiness.areas.monitoring.reference.watched import DASHBOARD
from readiness.model.errors import ReferenceSystemError
from readiness.servers.files import Document, kept, write_whole
from readiness.servers.levers import POLL_S, TIMEOUT_S, Edit, Lever, ProgramLevers
from readiness.servers.processes import request_json

_CLOCK: Final = b"query=time%28%29"
_FLAGS: Final = "/api/v1/status/flags"
_TARGETS: Final = "/api/v1/targets"
_TIMEOUT_S: Final = 30.0
_Change = Callable[[str, bytes, Any], None]
"""Changes an answer in place: the path, the body of the request, and the `data` of the answer."""


def clock_ahead(port: int, seconds: float) -> contextlib.AbstractContextManager[str]:
    """Give the address of a Prometheus whose clock is ahead by so many seconds.

    Args:
        port: where the real one listens, on 127.0.0.1.
        seconds: how far.
    """

    def ahead(_: str, asked: bytes, data: Any) -> None:
        if asked == _CLOCK:
            when, value = data["result"]
            data["result"] = [when + seconds, str(float(value) + seconds)]

    return _changed(port, ahead)


def scraped_before(port: int, job: str, seconds: float) -> contextlib.AbstractContextManager[str]:
    """Give the address of a Prometheus that scraped a job last so many seconds earlier."""

    def before(path: str, _: bytes, data: Any) -> None:
        for target in data["activeTargets"] if path.startswith(_TARGETS) else ():
            if target["scrapePool"] == job:
                last = datetime.fromisoformat(target["lastScrape"])
                target["lastScrape"] = (last - timedelta(seconds=seconds)).isoformat()

    return _changed(port, before)


def with_flag(port: int, name: str, value: str) -> contextlib.AbstractContextManager[str]:
    """Give the address of a Prometheus that was started with another value of a flag."""

    def other(path: str, _: bytes, data: Any) -> None:
        if path.startswith(_FLAGS):
            data[name] = value

    return _changed(port, other)


@contextlib.contextmanager
def _changed(port: int, edit: _Change) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(port, edit))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(port: int, edit: _Change) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, content_type, body = _passed_on(port, self.command, self.path, asked)
            if content_type.startswith("application/json"):
                document = json.loads(body)
                edit(self.path, asked, document.get("data"))
                body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - theirs

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - theirs
            """Log nothing."""

    return Handler


def _passed_on(port: int, method: str, path: str, body: bytes) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)
    try:
        headers = {"content-type": "application/x-www-form-urlencoded"} if body else {}
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type", ""), answer.read()
    finally:
        connection.close()


# Some scrapes and evaluations, and a window of 30 s.
_NOTICED_S: Final = 90.0


class MonitoringLevers(ProgramLevers):
    """What can be broken in the monitoring. Every method gives a context manager."""

    @abstractmethod
    def replace_in_config(self, old: str, new: str) -> Lever:
        """Replace a text in the system's readiness.toml; the whole system provides this."""

    def edit_prometheus(self, edit: Edit, *, loads: bool = True) -> Lever:
        """Change Prometheus's configuration and reload it.

        Args:
            edit: changes the document in place.
            loads: whether Prometheus is to accept it; if not, it goes on with what it had.
        """
        file = self._folder / "prometheus.yml"
        return self._edited({file: self._program("prometheus")}, edit, loads=loads)

    def edit_rules(self, edit: Edit, *, loads: bool = True) -> Lever:
        """Change the alert rules and reload them; see `edit_prometheus`."""
        file = self._folder / "alerts.yml"
        return self._edited({file: self._program("prometheus")}, edit, loads=loads)

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
        while not good(request_json(port, "GET", path, timeout_s=TIMEOUT_S)):
            if time.monotonic() > deadline:
                raise ReferenceSystemError(f"did not come true within {within_s:g} s", where=path)
            time.sleep(POLL_S)

    @contextlib.contextmanager
    def server_fault(self, name: str, **fault: object) -> Iterator[None]:
        """Give a server of our own a fault: `error_tracker`, `grafana` or `site`."""
        port = self._program(name).port
        before = request_json(port, "GET", "/_ctl")
        request_json(port, "POST", "/_ctl", fault, timeout_s=TIMEOUT_S)
        try:
            yield
        finally:
            healthy = before.get("door", before)
            request_json(port, "POST", "/_ctl", healthy, timeout_s=TIMEOUT_S)

    @contextlib.contextmanager
    def edit_dashboard(self, edit: Edit) -> Iterator[None]:
        """Change the file of the dashboard; Grafana has read it already."""
        file = self._folder / DASHBOARD
        with kept(file):
            document = json.loads(file.read_bytes())
            edit(document)
            write_whole(file, json.dumps(document).encode())
            yield

    def prometheus_clock_ahead(self, seconds: float) -> Lever:
        """Configure a Prometheus whose clock is ahead."""
        return self._configured(clock_ahead(self._program("prometheus").port, seconds))

    def prometheus_scraped_before(self, job: str, seconds: float) -> Lever:
        """Configure a Prometheus whose last scrape of a job is that much older."""
        port = self._program("prometheus").port
        return self._configured(scraped_before(port, job, seconds))

    def prometheus_flag(self, name: str, value: str) -> Lever:
        """Configure a Prometheus that was started with another value of a flag."""
        return self._configured(with_flag(self._program("prometheus").port, name, value))

    @contextlib.contextmanager
    def _configured(self, proxy: contextlib.AbstractContextManager[str]) -> Iterator[None]:
        direct = self._program("prometheus").url
        with proxy as url, self.replace_in_config(f'"{direct}"', f'"{url}"'):
            yield
