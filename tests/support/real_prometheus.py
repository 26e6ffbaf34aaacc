"""A real Prometheus of the tests' own, that scrapes small servers every second."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from readiness.config.base.watching import Job
from readiness.config.base.watching import Prometheus as Settings
from readiness.lib.guardian import Guardian
from readiness.servers import programs
from readiness.servers.processes import Daemon
from tests.support.programs import needed

INTERVAL_S = 1


@contextmanager
def running(
    folder: Path, targets: Mapping[str, list[str]], *, honor_labels: bool = False
) -> Iterator[str]:
    """Give the address of one that scrapes `targets`, a list of `host:port` for each job.

    `honor_labels` keeps the labels of what is scraped, `instance` among them.
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
