"""A small service that is well, and levers to make it otherwise."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

from readiness.areas.monitoring.config import Drill, Service, Truth
from readiness.model.evidence import Evidence
from tests.support.small_servers import Reply, Route, SmallServer

GATED = """
[target]
name = "shop"
release = "2.4.1"
[gate]
profile = ["monitoring.health-endpoints"]
[services.api]
url = "{url}"
"""
"""A configuration whose gate judges the service at `url` by one check."""
TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"


def suite(name: str) -> Any:
    """A module of `suites/`, which is no package: its functions are called, not collected."""
    return import_module(f"suites.{name}")


def misses(evidence: Evidence) -> str:
    """Every missed limit; the evidence must have judged something.

    Raises:
        CouldNotMeasure: nothing was missed, and something could not be measured.
    """
    if evidence.lost and not evidence.failures:
        raise evidence.lost[0]
    assert any(measurement.limit for measurement in evidence.measurements)
    return "; ".join(evidence.failures)


def missed(evidence: Evidence) -> set[str]:
    """The keys of the judgements that missed."""
    return {measurement.key for measurement in evidence.measurements if measurement.is_missed}


class MonitoredService(SmallServer):
    """Healthy, with counters for `/work` and `/broken`; `database` is a file that exists or not."""

    def __init__(self, database: Path | None = None, host: str = "127.0.0.1") -> None:
        routes: dict[str, Route] = {
            "/health": Reply(json.dumps({"status": "ok", "version": "1.2"})),
            "/health/ready": self._ready,
            "/health/live": self._live,
            "/metrics": self.metrics,
            "/work": lambda: self._count("/work", 200),
            "/broken": lambda: self._count("/broken", 500),
        }
        super().__init__(routes, host)
        self.database = database
        self.live_needs_database = False
        self.count_by: Mapping[str, int] = {}
        self.hits: Counter[tuple[str, int]] = Counter()

    def _well(self) -> bool:
        return self.database is None or self.database.exists()

    def _ready(self) -> Reply:
        return Reply('{"ready": 1}', 200 if self._well() else 503)

    def _live(self) -> Reply:
        return Reply("{}", 503 if self.live_needs_database and not self._well() else 200)

    def _count(self, path: str, status: int) -> Reply:
        self.hits[path, status] += self.count_by.get(path, 1)
        return Reply("{}", status)

    def metrics(self) -> Reply:
        """The counters, which have no series before the first event."""
        lines = ["# TYPE hits_total counter", "# TYPE errors_total counter", "up 1"]
        for (path, status), count in sorted(self.hits.items()):
            lines.append(f'hits_total{{path="{path}",status="{status}"}} {count}')
            if status >= 400:
                lines.append(f'errors_total{{path="{path}"}} {count}')
        return Reply("\n".join(lines) + "\n", content_type=TEXT_FORMAT)

    def service(self, **changes: object) -> Service:
        """The service as a target describes it, quick to give up."""
        described = {
            "name": "orders",
            "url": self.url,
            # Judged times must not depend on how busy the machine is that runs the tests.
            "health_max_ms": 10_000,
            "timeout_s": 10,
            "truth": Truth(
                path="/work", counter='hits_total{path="/work"}', requests=7,
                error_path="/broken", error_counter='errors_total{path="/broken"}', errors=3,
            ),
        }  # fmt: skip
        return Service.model_validate(described | changes)


@contextmanager
def drilled(folder: Path, **changes: object) -> Iterator[tuple[MonitoredService, Service]]:
    """A service whose database is a file, and a drill that moves it away and back."""
    database, away = folder / "database", folder / "away"
    database.touch()
    described: dict[str, object] = {
        "dependency": "the database",
        "away": ["mv", str(database), str(away)],
        "back": ["mv", str(away), str(database)],
        "within_s": 10,
    }
    with MonitoredService(database) as server:
        yield server, server.service(drill=Drill.model_validate(described | changes))
