"""A real Prometheus of the tests' own: one that scrapes small servers, one with rules."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from readiness.areas.alerting.probes import rules as rules_probe
from readiness.config.base.watching import Job
from readiness.config.base.watching import Prometheus as Settings
from readiness.lib.guardian import Guardian
from readiness.lib.prometheus import Prometheus
from readiness.servers import programs
from readiness.servers.processes import Daemon, request
from tests.support.processes import eventually, needed

INTERVAL_S = 1


@contextmanager
def running(
    folder: Path,
    targets: Mapping[str, list[str]],
    *,
    honor_labels: bool = False,
    more: Mapping[str, Mapping[str, Any]] | None = None,
) -> Iterator[str]:
    """Give the address of one that scrapes `targets`, a list of `host:port` for each job.

    `honor_labels` keeps the labels of what is scraped, `instance` among them; `more` is what the
    configuration of a job has besides.
    """
    program = needed(programs.PROMETHEUS)
    config = folder / "prometheus.yml"
    config.write_text(
        json.dumps({
            "global": {"scrape_interval": f"{INTERVAL_S}s", "scrape_timeout": "1s"},
            "scrape_configs": [
                {
                    "job_name": job,
                    "static_configs": [{"targets": places}],
                    "honor_labels": honor_labels,
                    **(more or {}).get(job, {}),
                }
                for job, places in targets.items()
            ],
        })
    )  # fmt: skip
    guardian = Guardian()
    daemon = Daemon(
        "prometheus",
        lambda port: [
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-lifecycle",
        ],
        folder,
        guardian,
        "/-/ready",
    )
    try:
        yield daemon.start().url
    finally:
        daemon.stop()
        guardian.undo()


def settings(url: str, **changes: object) -> Settings:
    """How a target describes it; short windows, as it is seconds old."""
    described = {"url": url, "window_s": 30.0, "timeout_s": 5.0}
    return Settings.model_validate(described | changes)


def job(name: str, **changes: object) -> Job:
    """A job of it, as a target describes it."""
    return Job.model_validate({"name": name, "interval_s": INTERVAL_S} | changes)


Document = dict[str, Any]
LABELS = {"severity": "warning"}


def rule(name: str, expression: str, **changes: Any) -> Document:
    """An alert rule that says all that it must."""
    texts = {"summary": "Something", "runbook_url": "http://127.0.0.1:9/none"}
    described = {"alert": name, "expr": expression, "labels": LABELS, "annotations": texts}
    return described | changes


class Ruled:
    """One Prometheus that scrapes itself and one more target every second."""

    def __init__(self, daemon: Daemon, folder: Path) -> None:
        self._daemon = daemon
        self._folder = folder
        self.settings = Settings(url=daemon.url, timeout_s=5)

    def load(self, *rules: Document, **group: Any) -> None:
        """Load these rules in one group, and no others; waits until each was evaluated."""
        document = {"groups": [{"name": "tests", "interval": "250ms", "rules": rules, **group}]}
        (self._folder / "rules.yml").write_text(json.dumps(document if rules else {"groups": []}))
        status, body = request(self._daemon.port, "POST", "/-/reload")
        assert status == 200, body
        with Prometheus(self.settings) as client:
            assert eventually(lambda: not rules_probe._new(client.rules()))

    def evaluates(self, name: str, state: str = "firing") -> None:
        """Wait until a rule is in that state."""
        with Prometheus(self.settings) as client:
            assert eventually(lambda: (name, state) in {(a.name, a.state) for a in client.alerts()})


@contextmanager
def ruled(
    folder: Path, target: str, alertmanagers: Sequence[str] = (), **others: str
) -> Iterator[Ruled]:
    """Start one.

    Args:
        folder: for its files.
        target: the `host:port` that its job `app` scrapes.
        alertmanagers: the `host:port` of those that it sends to.
        others: further jobs, and the `host:port` that each scrapes.
    """
    program = needed(programs.PROMETHEUS)
    config, guardian = folder / "prometheus.yml", Guardian()
    (folder / "rules.yml").write_text('{"groups": []}')

    def arguments(port: int) -> list[str]:
        jobs = {"app": target, **others, "prometheus": f"127.0.0.1:{port}"}
        document = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [
                {"job_name": name, "static_configs": [{"targets": [place]}]}
                for name, place in jobs.items()
            ],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": list(alertmanagers)}]}]},
        }
        config.write_text(json.dumps(document))
        return [
            program,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-lifecycle",
            "--rules.alert.resend-delay=1s",
        ]

    daemon = Daemon("prometheus", arguments, folder, guardian, "/-/ready")
    try:
        yield Ruled(daemon.start(), folder)
    finally:
        daemon.stop()
        guardian.undo()
