"""The monitoring stack: exporters, Prometheus, Alertmanager, and the inbox for alerts."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

from readiness.areas.alerting.reference import canary
from readiness.areas.alerting.reference.levers import CONFIG, SLACK_URL_FILE
from readiness.areas.configuration.reference import ci_server
from readiness.areas.monitoring.reference import error_tracker, grafana, watched
from readiness.areas.monitoring.reference.watched import (
    DASHBOARD,
    INTERVAL_S,
    keep_panels,
    keep_rules,
)
from readiness.areas.platforms.reference import platform_server
from readiness.lib.guardian import Guardian
from readiness.lib.yaml_reader import Scalars, read_one
from readiness.model.secrets import register
from readiness.reference import stack_config
from readiness.servers import programs
from readiness.servers.levers import PEERS
from readiness.servers.processes import Daemon, free_port, request_json
from readiness.servers.shop import Shop

RETENTION: Final = "1d"
_PORT: Final = "PORT"
"""Stands for the port among the arguments of a server."""
POSTGRES_EXPORTER: Final = "postgres_exporter"
_JOBS: Final = {
    "postgres": POSTGRES_EXPORTER,
    "node": "node_exporter",
    "blackbox": "blackbox_exporter",
    "canary": "canary",
}


def _secrets() -> dict[str, str]:
    names = (
        *(grafana.TOKEN, error_tracker.KEY, error_tracker.TOKEN, ci_server.TOKEN),
        platform_server.TOKEN,
    )
    made = {name: token_hex(16) for name in names}
    for secret in made.values():
        register(secret)
    return made


@dataclass(slots=True)
class Monitoring:
    """The running programs of the stack.

    Attributes:
        running: the programs that run, by name: `prometheus`, `alertmanager`,
            `alertmanager_2`, `inbox`, `postgres_exporter`, `node_exporter`,
            `blackbox_exporter`, `grafana`, `error_tracker`, `site`, `pager`, `ci_server`,
            `platform_server`.
        absent: why each of the others does not run.
        secrets: the tokens of our replacements for Grafana, Sentry, GitHub and other platforms, by
            variable.
        release: the release of the service, which all platforms serve.
        listener: the port on which checks observe how Alertmanager retries.
    """

    folder: Path
    guardian: Guardian
    release: str
    running: dict[str, Daemon] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=_secrets)
    listener: int = field(default_factory=free_port)

    def url(self, name: str) -> str | None:
        """The address of one program; None if it does not run."""
        daemon = self.running.get(name)
        return daemon.url if daemon else None

    @property
    def peers(self) -> list[str]:
        """The addresses of the Alertmanagers that run."""
        return [self.running[name].url for name in PEERS if name in self.running]

    def start_outputs(self) -> None:
        """Start what does not need the target: inbox, Alertmanagers, two exporters."""
        self._start_own("alerting", "inbox", _PORT)
        self._start_own(
            "alerting", "canary", "serve", _PORT, ready="/metrics",
            environ={canary.FOLDER: str(self.folder)},
        )  # fmt: skip
        self._start_own("alerting", "pager", _PORT, self.running["inbox"].url)
        self._start_own("monitoring", "error_tracker", _PORT, environ=self.secrets)
        self._start_own("configuration", "ci_server", _PORT, environ=self.secrets)
        self._start_own("platforms", "platform_server", _PORT, self.release, environ=self.secrets)
        self._start_site()
        self._start_alertmanagers()
        self._start("node_exporter", programs.NODE_EXPORTER, _listen, ready="/")
        config = self.folder / "blackbox.yml"
        config.write_text(json.dumps(stack_config.blackbox(), indent=2))
        self._start(
            "blackbox_exporter",
            programs.BLACKBOX_EXPORTER,
            lambda port: [*_listen(port), f"--config.file={config}"],
            ready="/",
        )

    def _start_site(self) -> None:
        """Start the page over TLS if openssl is available to make its certificate."""
        try:
            programs.get(programs.OPENSSL)
        except programs.AbsentError as problem:
            self.absent["site"] = problem.sentence
        else:
            self._start_own("monitoring", "site", _PORT, str(self.folder))

    @property
    def site_url(self) -> str | None:
        """The address of the page over TLS; None if it does not run."""
        if "site" not in self.running:
            return None
        port = request_json(self.running["site"].port, "GET", "/_ctl")["tls_port"]
        return f"https://127.0.0.1:{port}"

    @property
    def jobs(self) -> set[str]:
        """The names of the jobs that Prometheus scrapes."""
        there = {job for job, name in _JOBS.items() if name in self.running}
        if not self.peers:
            there.discard("canary")  # its alert has a route of its own
        return {"orders", "prometheus", *there}

    @property
    def dashboard(self) -> Path:
        """This system's copy of the dashboard."""
        return self.folder / DASHBOARD

    def _start_grafana(self) -> None:
        """Start our replacement for Grafana, with Prometheus as its data source."""
        prometheus = self.url("prometheus")
        if prometheus is None:
            self.absent["grafana"] = "it has no Prometheus to query"
            return
        copy = (
            resources.files("readiness.areas.monitoring.reference").joinpath(DASHBOARD).read_bytes()
        )
        shown = keep_panels(json.loads(copy), self.jobs)
        self.dashboard.write_text(json.dumps(shown, indent=1), encoding="utf-8")
        self._start_own(
            "monitoring", "grafana", _PORT, prometheus, str(self.dashboard), environ=self.secrets
        )

    def _start_alertmanagers(self) -> None:
        """Start both peers in order: the first one is the peer that notifies without delay."""
        inbox = self.running["inbox"]
        smtp_port = request_json(inbox.port, "GET", "/_ctl")["smtp_port"]
        config = stack_config.alertmanager(inbox.url, smtp_port, self.listener)
        gossip = [free_port() for _ in PEERS]
        for name, port in zip(PEERS, gossip, strict=True):
            folder = self.folder / name
            folder.mkdir(exist_ok=True)
            (folder / CONFIG).write_text(json.dumps(config, indent=2))
            (folder / SLACK_URL_FILE).write_text(f"{inbox.url}/slack")
            self._start(name, programs.ALERTMANAGER, _peer(folder, port, gossip), works_in=folder)

    def start_postgres_exporter(self, dsn: str) -> None:
        """Start postgres_exporter, if it supports the server, with the monitoring role."""
        self._start(
            POSTGRES_EXPORTER,
            programs.POSTGRES_EXPORTER,
            _listen,
            ready="/",
            environ={"DATA_SOURCE_NAME": f"{dsn}?sslmode=disable"},
        )
        exporter = self.running.get(POSTGRES_EXPORTER)
        if exporter and (unread := watched.unread(exporter)):
            exporter.stop()
            del self.running[POSTGRES_EXPORTER]
            self.absent[POSTGRES_EXPORTER] = unread

    def start_prometheus(self, service: Daemon) -> None:
        """Start Prometheus, once all its targets have a port."""
        rules = (
            resources.files("readiness.areas.monitoring.reference")
            .joinpath("alerts.yml")
            .read_text()
        )
        runbooks = f"{self.running['inbox'].url}/runbooks"
        document: Any = read_one(rules.replace("@RUNBOOKS@", runbooks), Scalars.GO_V2)
        kept = keep_rules(document, self.jobs)
        (self.folder / "alerts.yml").write_text(json.dumps(kept, indent=2), encoding="utf-8")
        self._start(
            "prometheus",
            programs.PROMETHEUS,
            lambda port: self._prometheus_arguments(port, service),
        )
        self._start_grafana()

    def start_all(
        self, executor: Executor, service: "Future[Daemon]", shop: "Future[Shop]"
    ) -> None:
        """Start the whole stack, in parallel with the target that it monitors."""
        outputs = executor.submit(self.start_outputs)
        self.start_postgres_exporter(shop.result().monitor)
        outputs.result()
        self.start_prometheus(service.result())

    def _start_own(
        self,
        area: str,
        module: str,
        *arguments: str,
        ready: str = "/_ctl",
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Start one of our own servers, which replace products that we cannot ship."""
        self.running[module] = Daemon(
            module,
            lambda port: [
                *(sys.executable, "-m", f"readiness.areas.{area}.reference.{module}"),
                *(str(port) if argument == _PORT else argument for argument in arguments),
            ],
            self.folder,
            self.guardian,
            ready,
            environ or {},
        ).start()

    def _start(
        self,
        name: str,
        program: programs.Program,
        arguments: Callable[[int], list[str]],
        *,
        ready: str = "/-/ready",
        environ: dict[str, str] | None = None,
        works_in: Path | None = None,
    ) -> None:
        try:
            path = programs.get(program)
        except programs.AbsentError as problem:
            self.absent[name] = problem.sentence
            return
        self.running[name] = Daemon(
            name,
            lambda port: [path, *arguments(port)],
            self.folder,
            self.guardian,
            ready,
            environ or {},
            works_in=works_in,
        ).start()

    def _prometheus_arguments(self, port: int, service: Daemon) -> list[str]:
        config = self.folder / "prometheus.yml"
        targets = {"orders": service.port, "prometheus": port} | {
            job: self.running[name].port for job, name in _JOBS.items() if job in self.jobs
        }
        peers = [self.running[name].port for name in PEERS if name in self.running]
        # No page that needs the database: the drill that closes it must not leave failed probes.
        pages = (f"{service.url}/version", self.site_url, f"http://127.0.0.1:{port}/-/healthy")
        probed = [url for url in pages if url]
        document = stack_config.prometheus(targets, probed, peers)
        config.write_text(json.dumps(document, indent=2))
        return [
            f"--config.file={config}",
            f"--storage.tsdb.path={self.folder / 'prometheus'}",
            f"--storage.tsdb.retention.time={RETENTION}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-lifecycle",
            # An alert that fires before Alertmanager is discovered is resent only after this delay.
            f"--rules.alert.resend-delay={INTERVAL_S}s",
        ]


def _listen(port: int) -> list[str]:
    return [f"--web.listen-address=127.0.0.1:{port}"]


def _peer(folder: Path, gossip: int, all_gossip: Sequence[int]) -> Callable[[int], list[str]]:
    """The arguments of one Alertmanager, in a cluster that forms within a second."""
    others = [f"--cluster.peer=127.0.0.1:{port}" for port in all_gossip if port != gossip]
    return lambda port: [
        f"--config.file={folder / CONFIG}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--cluster.listen-address=127.0.0.1:{gossip}",
        f"--cluster.advertise-address=127.0.0.1:{gossip}",
        *others,
        # With the defaults a cluster takes ten seconds to settle.
        "--cluster.gossip-interval=20ms",
        "--cluster.reconnect-interval=500ms",
        "--cluster.peer-timeout=1s",
    ]
