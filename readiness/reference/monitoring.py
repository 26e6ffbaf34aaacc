"""The monitoring stack: exporters, Prometheus, Alertmanager, and the inbox for what they send."""

import json
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from readiness.guardian import Guardian
from readiness.reference import packages
from readiness.reference.processes import Daemon, request_json

_INTERVAL = "5s"


@dataclass(slots=True)
class Monitoring:
    """What runs of the stack.

    Attributes:
        running: the programs that run, by name: `prometheus`, `alertmanager`, `inbox`,
            `postgres_exporter`, `node_exporter`.
        absent: why each of the others does not.
    """

    folder: Path
    guardian: Guardian
    running: dict[str, Daemon] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def url(self, name: str) -> str | None:
        """The address of one program; None when it does not run."""
        daemon = self.running.get(name)
        return daemon.url if daemon else None

    def start_outputs(self) -> None:
        """Start what needs nothing of the target: the inbox, Alertmanager, node_exporter."""
        self.running["inbox"] = Daemon(
            "inbox",
            lambda port: [sys.executable, "-m", "readiness.reference.inbox", str(port)],
            self.folder,
            self.guardian,
            "/_ctl",
        ).start()
        self._start("alertmanager", packages.ALERTMANAGER, self._alertmanager_arguments)
        self._start("node_exporter", packages.NODE_EXPORTER, _listen, ready="/")

    def start_postgres_exporter(self, dsn: str) -> None:
        """Start the exporter of the database's figures, as its monitoring role."""
        self._start(
            "postgres_exporter",
            packages.POSTGRES_EXPORTER,
            _listen,
            ready="/",
            environ={"DATA_SOURCE_NAME": f"{dsn}?sslmode=disable"},
        )

    def start_prometheus(self, service: Daemon) -> None:
        """Start Prometheus, once all that it scrapes has a port."""
        rules = resources.files("readiness.reference").joinpath("alerts.yml").read_text()
        (self.folder / "alerts.yml").write_text(rules)
        self._start(
            "prometheus",
            packages.PROMETHEUS,
            lambda port: self._prometheus_arguments(port, service),
        )

    def start_all(self, executor: Executor, service: "Future[Daemon]", dsn: "Future[str]") -> None:
        """Start the whole stack, in parallel with the target that it watches."""
        outputs = executor.submit(self.start_outputs)
        self.start_postgres_exporter(dsn.result())
        outputs.result()
        self.start_prometheus(service.result())

    def _start(
        self,
        name: str,
        package: packages.Package,
        arguments: Callable[[int], list[str]],
        *,
        ready: str = "/-/ready",
        environ: dict[str, str] | None = None,
    ) -> None:
        try:
            command = packages.command(package)
        except packages.AbsentError as problem:
            self.absent[name] = problem.sentence
            return
        self.running[name] = Daemon(
            name,
            lambda port: [*command, *arguments(port)],
            self.folder,
            self.guardian,
            ready,
            environ or {},
        ).start()

    def _alertmanager_arguments(self, port: int) -> list[str]:
        inbox = self.running["inbox"]
        smtp_port = request_json(inbox.port, "GET", "/_ctl")["smtp_port"]
        config = self.folder / "alertmanager.yml"
        config.write_text(json.dumps(_alertmanager_config(inbox.url, smtp_port), indent=2))
        return [
            f"--config.file={config}",
            f"--storage.path={self.folder / 'alertmanager'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]

    def _prometheus_arguments(self, port: int, service: Daemon) -> list[str]:
        config = self.folder / "prometheus.yml"
        targets = {"orders": service.port, "prometheus": port}
        for job, name in (("postgres", "postgres_exporter"), ("node", "node_exporter")):
            if name in self.running:
                targets[job] = self.running[name].port
        alertmanager = self.running.get("alertmanager")
        alerts_to = alertmanager.port if alertmanager else None
        config.write_text(json.dumps(_prometheus_config(targets, alerts_to), indent=2))
        return [
            f"--config.file={config}",
            f"--storage.tsdb.path={self.folder / 'prometheus'}",
            "--storage.tsdb.retention.time=1d",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-lifecycle",
            # By default an alert that fires before Alertmanager is found waits for a minute.
            "--rules.alert.resend-delay=5s",
        ]


def _listen(port: int) -> list[str]:
    return [f"--web.listen-address=127.0.0.1:{port}"]


# Both read YAML, of which JSON is a part: no library is needed to write it.


def _prometheus_config(targets: dict[str, int], alertmanager: int | None) -> dict[str, object]:
    def at(port: int) -> list[dict[str, list[str]]]:
        return [{"targets": [f"127.0.0.1:{port}"]}]

    return {
        "global": {
            "scrape_interval": _INTERVAL,
            "scrape_timeout": "4s",
            "evaluation_interval": _INTERVAL,
        },
        "rule_files": ["alerts.yml"],
        "scrape_configs": [
            {"job_name": job, "static_configs": at(port)} for job, port in targets.items()
        ],
        "alerting": {
            "alertmanagers": [{"static_configs": at(alertmanager)}] if alertmanager else []
        },
    }


def _alertmanager_config(inbox: str, smtp_port: int) -> dict[str, object]:
    def webhook(channel: str) -> list[dict[str, object]]:
        return [{"url": f"{inbox}/{channel}", "send_resolved": True}]

    return {
        "global": {
            "smtp_smarthost": f"127.0.0.1:{smtp_port}",
            "smtp_from": "alertmanager@example.com",
            "smtp_require_tls": False,
            "resolve_timeout": "1m",
        },
        "route": {
            "receiver": "email",
            "group_by": ["alertname"],
            "group_wait": "1s",
            "group_interval": "5s",
            "repeat_interval": "1h",
            "routes": [
                {"matchers": ['alertname="Watchdog"'], "receiver": "watchdog"},
                {"matchers": ['severity="critical"'], "receiver": "pagerduty", "continue": True},
                {"matchers": ['severity="critical"'], "receiver": "sms", "continue": True},
                {
                    "matchers": ['severity=~"critical|warning"'],
                    "receiver": "slack",
                    "continue": True,
                },
                {"matchers": [], "receiver": "email"},
            ],
        },
        "receivers": [
            {
                "name": "email",
                "email_configs": [{"to": "on-call@example.com", "send_resolved": True}],
            },
            {
                "name": "slack",
                "slack_configs": [
                    {
                        "api_url": f"{inbox}/slack",
                        "channel": "#alerts",
                        "text": "{{ range .Alerts }}{{ .Annotations.summary }}\n{{ end }}",
                    }
                ],
            },
            {"name": "sms", "webhook_configs": webhook("sms")},
            {
                "name": "pagerduty",
                "pagerduty_configs": [
                    {"url": f"{inbox}/pagerduty", "routing_key": "reference", "send_resolved": True}
                ],
            },
            {"name": "watchdog", "webhook_configs": webhook("watchdog")},
        ],
    }
