"""Levers of the monitoring: what Prometheus scrapes and evaluates, and what a dashboard shows."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import urlencode

from readiness.areas.monitoring.reference.watched import DASHBOARD
from readiness.model.errors import ReferenceSystemError
from readiness.servers.files import Document, kept, write_whole
from readiness.servers.levers import POLL_S, TIMEOUT_S, Edit, Lever, ProgramLevers
from readiness.servers.processes import request_json

# Some scrapes and evaluations, and a window of 30 s.
_NOTICED_S: Final = 90.0


class MonitoringLevers(ProgramLevers):
    """What can be broken in the monitoring. Every method gives a context manager."""

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
